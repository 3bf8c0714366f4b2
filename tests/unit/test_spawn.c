/* SPDX-License-Identifier: ISC */
/*
 * What a started program finds: this test is that program, too, and tells over
 * its control channel what it was given.
 */

#include "proxy/spawn.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/process_message.h"

#define NOBODY   65534
#define NET_RAW  (UINT64_C(1) << CAP_NET_RAW)
#define PATIENCE 10000 /* ms */

/* What the program tells; sent in one packet. */
struct told {
	uid_t uid[3];
	gid_t gid[3];
	int groups;
	uint64_t effective;
	uint64_t permitted;
	uint64_t inheritable;
	bool is_ambient; /* CAP_NET_RAW */
	bool is_bounded; /* the bounding set holds something */
	bool is_alone; /* no descriptor but the four */
	bool has_null_input;
	bool leads_session;
	int no_new_privs;
	int death_signal;
	rlim_t files;
};

static bool
has_four_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	long fd;

	if (dir == NULL)
		return false;
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		fd = strtol(entry->d_name, NULL, 10);
		if (fd > PROCESS_CONTROL_FD && fd != dirfd(dir))
			return false;
	}
	closedir(dir);
	return true;
}

static void
tell_capabilities(struct told *told)
{
	struct __user_cap_header_struct head = {
	    .version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	int c;

	if (syscall(SYS_capget, &head, data) == -1)
		_exit(90);
	told->effective = data[0].effective | (uint64_t)data[1].effective << 32;
	told->permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	told->inheritable = data[0].inheritable | (uint64_t)data[1].inheritable
	                                              << 32;
	told->is_ambient = prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET,
			       CAP_NET_RAW, 0, 0) == 1;
	for (c = 0; prctl(PR_CAPBSET_READ, c) >= 0; c++)
		told->is_bounded |= prctl(PR_CAPBSET_READ, c) == 1;
}

/* The program's part: tell, and stay until the channel ends. */
static int
be_started(void)
{
	struct told told;
	struct rlimit limit;
	struct stat input, null;
	char byte;

	memset(&told, 0, sizeof(told));
	getresuid(&told.uid[0], &told.uid[1], &told.uid[2]);
	getresgid(&told.gid[0], &told.gid[1], &told.gid[2]);
	told.groups = getgroups(0, NULL);
	tell_capabilities(&told);
	told.is_alone = has_four_descriptors();
	told.has_null_input = fstat(STDIN_FILENO, &input) == 0 &&
	                      stat("/dev/null", &null) == 0 &&
	                      input.st_rdev == null.st_rdev;
	told.leads_session = getsid(0) == getpid();
	told.no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	prctl(PR_GET_PDEATHSIG, &told.death_signal);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		told.files = limit.rlim_cur;
	if (send(PROCESS_CONTROL_FD, &told, sizeof(told), 0) != sizeof(told))
		return 91;
	return recv(PROCESS_CONTROL_FD, &byte, 1, 0) == 0 ? 0 : 92;
}

static int
end_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Starts this program so and takes what it tells. */
static struct told
start(const struct spawn *as)
{
	struct spawn s = *as;
	struct pollfd ready;
	struct told told;
	int control;
	pid_t pid;

	s.path = strdup("/proc/self/exe");
	assert_int_not_equal(pid = spawn(&s, &control), -1);
	ready = (struct pollfd){.fd = control, .events = POLLIN};
	assert_int_equal(poll(&ready, 1, PATIENCE), 1);
	assert_int_equal(recv(control, &told, sizeof(told), 0), sizeof(told));
	assert_int_equal(fcntl(control, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(control);
	assert_int_equal(end_of(pid), 0);
	free(s.path);
	return told;
}

static void
skip_unless_root(void)
{
	if (geteuid() != 0)
		skip();
}

static void
test_what_everyone_gets(void **state)
{
	int stray = open("/dev/zero", O_RDONLY); /* and not close-on-exec */
	int far = dup2(stray, 900);
	struct told told = start(&(struct spawn){0});

	(void)state;
	assert_true(told.is_alone);
	assert_true(told.has_null_input);
	assert_true(told.leads_session);
	assert_int_equal(told.no_new_privs, 1);
	assert_int_equal(told.death_signal, SIGKILL);
	assert_int_equal(told.effective | told.permitted | told.inheritable, 0);
	assert_false(told.is_ambient);
	assert_int_equal(told.uid[0], getuid());
	close(stray);
	close(far);
}

static void
test_another_user(void **state)
{
	const struct spawn as = {
	    .changes_user = true, .uid = NOBODY, .gid = NOBODY};
	gid_t groups[] = {0, 4};
	struct told told;
	size_t i;

	(void)state;
	skip_unless_root();
	assert_int_equal(setgroups(2, groups), 0);
	told = start(&as);
	for (i = 0; i < 3; i++) {
		assert_int_equal(told.uid[i], NOBODY);
		assert_int_equal(told.gid[i], NOBODY);
	}
	assert_int_equal(told.groups, 0);
	assert_false(told.is_bounded);
	assert_int_equal(told.effective | told.permitted | told.inheritable, 0);
	assert_int_equal(told.death_signal, SIGKILL);
	assert_int_equal(told.no_new_privs, 1);
}

static void
test_one_capability(void **state)
{
	const struct spawn as = {.changes_user = true,
	    .uid = NOBODY,
	    .gid = NOBODY,
	    .keeps = UINT64_C(1) << CAP_NET_RAW};
	struct told told;

	(void)state;
	skip_unless_root();
	if (!spawn_has_capability(CAP_NET_RAW))
		skip();
	told = start(&as);
	assert_int_equal(told.effective, NET_RAW);
	assert_int_equal(told.permitted, NET_RAW);
	assert_int_equal(told.inheritable, NET_RAW);
	assert_true(told.is_ambient);
	assert_false(told.is_bounded);
}

static void
test_descriptors(void **state)
{
	struct rlimit before, limit;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_true(start(&(struct spawn){.files = 100}).files >= 100);
	assert_int_equal(start(&(struct spawn){0}).files, 64);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* It ends, with the status that says so, and the channel with it. */
static void
test_program_that_is_not_there(void **state)
{
	char path[] = "/nonexistent/program", byte;
	struct spawn s = {.path = path};
	int control;
	pid_t pid;

	(void)state;
	assert_int_not_equal(pid = spawn(&s, &control), -1);
	assert_int_equal(recv(control, &byte, 1, 0), 0);
	assert_int_equal(end_of(pid), SPAWN_EXIT_FAILED);
	close(control);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_everyone_gets),
	    cmocka_unit_test(test_another_user),
	    cmocka_unit_test(test_one_capability),
	    cmocka_unit_test(test_descriptors),
	    cmocka_unit_test(test_program_that_is_not_there),
	};
	int type;
	socklen_t len = sizeof(type);

	(void)argc;
	if (strcmp(argv[0], "/proc/self/exe") == 0 &&
	    getsockopt(PROCESS_CONTROL_FD, SOL_SOCKET, SO_TYPE, &type, &len) ==
		0 &&
	    type == SOCK_SEQPACKET)
		return be_started();
	return cmocka_run_group_tests_name("spawn", tests, NULL, NULL);
}
