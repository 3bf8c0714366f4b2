/* SPDX-License-Identifier: ISC */
/*
 * What happens between fork and exec.  The order matters: limits, the bounding
 * set and the groups need root; capabilities are set again after the change of
 * user has cleared them; and the signal of the parent's death comes last,
 * because the kernel forgets it at every change of credentials.
 */

#include "proxy/spawn.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/ipc.h"
#include "proxy/base/log.h"
#include "proxy/process_message.h"

struct capabilities {
	uint64_t effective;
	uint64_t permitted;
	uint64_t inheritable;
};

static int
capabilities_get(struct capabilities *caps)
{
	struct __user_cap_header_struct head = {
	    .version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, data) == -1)
		return -1;
	caps->effective = data[0].effective | (uint64_t)data[1].effective << 32;
	caps->permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	caps->inheritable = data[0].inheritable | (uint64_t)data[1].inheritable
	                                              << 32;
	return 0;
}

static int
capabilities_set(const struct capabilities *caps)
{
	struct __user_cap_header_struct head = {
	    .version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
	    {
		.effective = (uint32_t)caps->effective,
		.permitted = (uint32_t)caps->permitted,
		.inheritable = (uint32_t)caps->inheritable,
	    },
	    {
		.effective = (uint32_t)(caps->effective >> 32),
		.permitted = (uint32_t)(caps->permitted >> 32),
		.inheritable = (uint32_t)(caps->inheritable >> 32),
	    },
	};

	return syscall(SYS_capset, &head, data) == -1 ? -1 : 0;
}

bool
spawn_has_capability(int capability)
{
	struct capabilities caps;

	return capabilities_get(&caps) == 0 &&
	       (caps.effective >> capability & 1) != 0;
}

/* Without CAP_SETPCAP the set stays as it is: no_new_privs makes it moot. */
static int
drop_bounding_set(void)
{
	if (!spawn_has_capability(CAP_SETPCAP))
		return 0;
	for (int c = 0; prctl(PR_CAPBSET_READ, c) >= 0; c++) {
		if (prctl(PR_CAPBSET_DROP, c) == -1)
			return -1;
	}
	return 0;
}

/*
 * A capability outlives exec under another user only as an ambient one, and
 * that needs it permitted and inheritable first; inheritable, in turn, can
 * only gain what the bounding set still holds.
 */
static int
drop_privileges(const struct spawn *s, const char **what)
{
	struct capabilities caps;

	*what = "capabilities";
	if (capabilities_get(&caps) == -1)
		return -1;
	caps.inheritable = s->keeps;
	if (capabilities_set(&caps) == -1)
		return -1;
	*what = "PR_CAPBSET_DROP";
	if (drop_bounding_set() == -1)
		return -1;
	if (s->changes_user) {
		*what = "change of user";
		if (prctl(PR_SET_KEEPCAPS, 1) == -1 ||
		    setgroups(0, NULL) == -1 ||
		    setresgid(s->gid, s->gid, s->gid) == -1 ||
		    setresuid(s->uid, s->uid, s->uid) == -1)
			return -1;
	}
	*what = "capabilities";
	caps.effective = caps.permitted = caps.inheritable = s->keeps;
	if (capabilities_set(&caps) == -1 ||
	    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == -1)
		return -1;
	for (int c = 0; c <= CAP_LAST_CAP; c++) {
		if ((s->keeps >> c & 1) != 0 &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0) == -1)
			return -1;
	}
	*what = "PR_SET_NO_NEW_PRIVS";
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/*
 * Room for `files` descriptors where the hard limit can be moved that far,
 * and all that it allows otherwise: less room is fewer sessions, not a fault.
 */
static void
raise_files(const char *path, unsigned int files)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (limit.rlim_max < files) {
		struct rlimit more = {.rlim_cur = files, .rlim_max = files};

		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			return;
		log_warnx("%s wants %u descriptors (relays: limits.sessions), "
			  "but the system allows %llu: raise LimitNOFILE",
		    path, files, (unsigned long long)limit.rlim_max);
	}
	if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
		log_warn("RLIMIT_NOFILE");
}

static int
arrange_descriptors(int control)
{
	int null;

	if ((null = open("/dev/null", O_RDONLY | O_CLOEXEC)) == -1 ||
	    dup2(null, STDIN_FILENO) == -1)
		return -1;
	if (control == PROCESS_CONTROL_FD) {
		if (fcntl(control, F_SETFD, 0) == -1)
			return -1;
	} else if (dup2(control, PROCESS_CONTROL_FD) == -1)
		return -1;
	/* Closed by exec, so that a failure before it can still be logged. */
	return close_range(PROCESS_CONTROL_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC);
}

static void __attribute__((noreturn))
run_child(const struct spawn *s, int control, pid_t parent)
{
	char *const argv[] = {s->path, NULL};
	const char *what = "setsid";

	/* Its own session: a terminal's ^C is the parent's to act on. */
	if (setsid() == -1)
		goto fail;
	if (s->files != 0)
		raise_files(s->path, s->files);
	what = "descriptors";
	if (arrange_descriptors(control) == -1)
		goto fail;
	if (drop_privileges(s, &what) == -1)
		goto fail;
	what = "PR_SET_PDEATHSIG";
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1)
		goto fail;
	if (getppid() != parent) /* it died before it could be watched */
		_exit(SPAWN_EXIT_FAILED);
	what = "exec";
	execv(s->path, argv);
fail:
	log_warn("%s: %s", s->path, what);
	_exit(SPAWN_EXIT_FAILED);
}

pid_t
spawn(const struct spawn *s, int *control)
{
	pid_t parent = getpid(), pid;
	int fds[2], saved;

	*control = -1;
	if (ipc_pair(fds) == -1)
		return -1;
	if ((pid = fork()) == 0)
		run_child(s, fds[1], parent);
	saved = errno;
	close(fds[1]);
	if (pid == -1)
		close(fds[0]);
	else
		*control = fds[0];
	errno = saved;
	return pid;
}
