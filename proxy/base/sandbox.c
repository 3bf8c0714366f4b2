/* SPDX-License-Identifier: ISC */
/*
 * The jail.  Landlock takes the filesystem away, and with newer kernels fixed
 * ports, abstract sockets and signals; seccomp then leaves the system calls of
 * an event loop over sockets, with the arguments they need here.  What a
 * library tries on the off chance is refused; all else ends the process.
 */

#include "proxy/base/sandbox.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <linux/landlock.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

/*
 * Landlock as of its ABI 6, which the headers of an older system lack.  The
 * kernel takes the long form of the attributes as long as what it does not
 * know is zero.
 */
struct ruleset {
	uint64_t access_fs;
	uint64_t access_net;
	uint64_t scoped;
};

struct port_rule {
	uint64_t allowed;
	uint64_t port;
};

#define RULE_PORT 2 /* LANDLOCK_RULE_NET_PORT */

#define FS_READ                                                                \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |          \
	    LANDLOCK_ACCESS_FS_EXECUTE)
#define FS_ABI1      ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#define FS_REFER     (UINT64_C(1) << 13)
#define FS_TRUNCATE  (UINT64_C(1) << 14)
#define FS_IOCTL_DEV (UINT64_C(1) << 15)

#define NET_BIND_TCP (UINT64_C(1) << 0)

#define SCOPE_ABSTRACT_UNIX_SOCKET (UINT64_C(1) << 0)
#define SCOPE_SIGNAL               (UINT64_C(1) << 1)

static struct ruleset
ruleset_of_abi(long abi)
{
	struct ruleset ruleset = {.access_fs = FS_ABI1};

	if (abi >= 2)
		ruleset.access_fs |= FS_REFER;
	if (abi >= 3)
		ruleset.access_fs |= FS_TRUNCATE;
	if (abi >= 4)
		ruleset.access_net = NET_BIND_TCP;
	if (abi >= 5)
		ruleset.access_fs |= FS_IOCTL_DEV;
	if (abi >= 6)
		ruleset.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
#ifdef POSTERN_SANITIZE
	/* Its runtime reads /proc, and runs a symbolizer. */
	ruleset.access_fs &= ~(uint64_t)FS_READ;
#endif
	return ruleset;
}

static int
allow_reading(int ruleset, const char *path)
{
	struct landlock_path_beneath_attr rule = {
	    .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE,
	};
	struct stat st;
	int saved, ret = -1;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd == -1)
		return -1;
	if (fstat(rule.parent_fd, &st) == -1)
		goto out;
	if (S_ISDIR(st.st_mode))
		rule.allowed_access |= LANDLOCK_ACCESS_FS_READ_DIR;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
		&rule, 0) == -1)
		goto out;
	ret = 0;
out:
	saved = errno;
	close(rule.parent_fd);
	errno = saved;
	return ret;
}

/*
 * A connection may leave from any address, by a port of the kernel's choice;
 * nobody may come to be served at a port that others count on.
 */
static int
allow_any_port(int ruleset)
{
	struct port_rule rule = {.allowed = NET_BIND_TCP, .port = 0};

	return (int)syscall(
	    SYS_landlock_add_rule, ruleset, RULE_PORT, &rule, 0);
}

static int
enter_landlock(const char *const *paths, const char **why)
{
	struct ruleset attr;
	int ruleset, saved, ret = -1;
	long abi;

	*why = "no Landlock: the kernel has none, it is not enabled (lsm=), or "
	       "a container's seccomp profile forbids it";
	abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	if (abi == -1)
		return -1;
	*why = "Landlock: cannot make a ruleset";
	attr = ruleset_of_abi(abi);
	ruleset = (int)syscall(
	    SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset == -1)
		return -1;
	*why = "Landlock: a path that must stay readable";
	for (; (attr.access_fs & FS_READ) != 0 && *paths != NULL; paths++)
		if (allow_reading(ruleset, *paths) == -1)
			goto out;
	*why = "Landlock: ports";
	if (attr.access_net != 0 && allow_any_port(ruleset) == -1)
		goto out;
	*why = "Landlock: cannot enforce the ruleset";
	ret = (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
out:
	saved = errno;
	close(ruleset);
	errno = saved;
	return ret;
}

#ifndef POSTERN_SANITIZE

#define ARGS_MAX 3

/* A system call that is allowed with these arguments, if all of them hold. */
struct permit {
	int syscall;
	struct scmp_arg_cmp args[ARGS_MAX]; /* ended by one without op */
};

/* clang-format off */
/* Only 32 bits of an int argument mean anything. */
#define IS(n, value) \
	{ n, SCMP_CMP_MASKED_EQ, UINT32_MAX, (uint32_t)(value) }
#define WITH(n, bits) \
	{ n, SCMP_CMP_MASKED_EQ, (uint32_t)(bits), (uint32_t)(bits) }
#define WITHOUT(n, bits) \
	{ n, SCMP_CMP_MASKED_EQ, (uint32_t)(bits), 0 }
#define IS_BUT_FOR(n, bits, value) \
	{ n, SCMP_CMP_MASKED_EQ, (uint32_t)~(bits), (uint32_t)(value) }

#define ALLOW(name, ...) { SCMP_SYS(name), { __VA_ARGS__ } }
#define OPTION(level, name) ALLOW(setsockopt, IS(1, level), IS(2, name))
#define SOCKET(family, type, protocol) \
	ALLOW(socket, IS(0, family), \
	    IS_BUT_FOR(1, SOCK_NONBLOCK | SOCK_CLOEXEC, type), \
	    IS(2, protocol))
/* clang-format on */

static const struct permit common[] = {
    /* Memory that is never code. */
    ALLOW(brk),
    ALLOW(madvise),
    ALLOW(mmap, WITHOUT(2, PROT_EXEC)),
    ALLOW(mprotect, WITHOUT(2, PROT_EXEC)),
    ALLOW(mremap),
    ALLOW(munmap),

    /* Descriptors: sockets, and memory files from the parent. */
    ALLOW(close),
    ALLOW(fcntl, IS(1, F_GETFD)),
    ALLOW(fcntl, IS(1, F_GETFL)),
    ALLOW(fcntl, IS(1, F_SETFD)),
    ALLOW(fcntl, IS(1, F_SETFL)),
    ALLOW(fstat),
    ALLOW(lseek),
    ALLOW(newfstatat, WITH(3, AT_EMPTY_PATH)), /* fstat(2), to glibc */
    ALLOW(pread64),
    ALLOW(read),
    ALLOW(readv),

    /* The loop. */
    ALLOW(clock_gettime),
    ALLOW(epoll_ctl),
    ALLOW(epoll_pwait),
    ALLOW(epoll_wait),
    ALLOW(futex),
    ALLOW(getpid),
    ALLOW(getrandom),
    ALLOW(gettid),
    ALLOW(gettimeofday),
    ALLOW(poll),
    ALLOW(ppoll),
    ALLOW(restart_syscall),
    ALLOW(rt_sigaction),
    ALLOW(rt_sigprocmask),
    ALLOW(rt_sigreturn),
    ALLOW(time),
    ALLOW(exit),
    ALLOW(exit_group),
    ALLOW(prctl, IS(0, PR_SET_NAME)),
    ALLOW(prctl, IS(0, PR_SET_VMA)), /* malloc names its arenas */
    ALLOW(sysinfo), /* qsort(3): how much memory is there? */

    /* Sockets that are there, and syslog(3) after its restart. */
    ALLOW(connect),
    ALLOW(getsockopt),
    ALLOW(recvfrom),
    ALLOW(recvmsg),
    SOCKET(AF_UNIX, SOCK_DGRAM, 0),
};

/* Relays' and postern-policy's. */
static const struct permit connections[] = {
    ALLOW(fcntl, IS(1, F_DUPFD_CLOEXEC)),
    ALLOW(sendmsg),
    ALLOW(sendto),
    ALLOW(write),
    ALLOW(writev),

    ALLOW(accept4),
    ALLOW(bind),
    ALLOW(getpeername),
    ALLOW(getsockname),
    ALLOW(shutdown),
    SOCKET(AF_INET, SOCK_STREAM, 0),
    SOCKET(AF_INET, SOCK_STREAM, IPPROTO_TCP),
    SOCKET(AF_INET6, SOCK_STREAM, 0),
    SOCKET(AF_INET6, SOCK_STREAM, IPPROTO_TCP),
    OPTION(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT),
};

static const struct permit relay[] = {
    OPTION(IPPROTO_IP, IP_TRANSPARENT),
    OPTION(IPPROTO_IPV6, IPV6_TRANSPARENT),
    OPTION(IPPROTO_TCP, TCP_NODELAY),
    OPTION(SOL_SOCKET, SO_LINGER),
    OPTION(SOL_SOCKET, SO_MARK),
    OPTION(SOL_SOCKET, SO_OOBINLINE),
    OPTION(SOL_SOCKET, SO_RCVLOWAT),
};

static const struct permit policy[] = {
    /* Reading; which files is Landlock's to say. */
    ALLOW(getdents64),
    ALLOW(newfstatat),
    ALLOW(openat, WITHOUT(2, O_ACCMODE | O_APPEND | O_CREAT | O_TRUNC)),

    SOCKET(AF_INET, SOCK_DGRAM, 0),
    SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_UDP),
    SOCKET(AF_INET6, SOCK_DGRAM, 0),
    SOCKET(AF_INET6, SOCK_DGRAM, IPPROTO_UDP),
    /* libunbound's. */
    OPTION(IPPROTO_IP, IP_MTU_DISCOVER),
    OPTION(IPPROTO_IPV6, IPV6_MTU),
    OPTION(IPPROTO_IPV6, IPV6_MTU_DISCOVER),
    OPTION(IPPROTO_IPV6, IPV6_V6ONLY),
    OPTION(IPPROTO_TCP, TCP_MAXSEG),
    OPTION(SOL_SOCKET, SO_REUSEADDR),

    /* SQLite's, on what was open before: nothing is opened for writing. */
    ALLOW(clock_nanosleep), /* for another's lock */
    ALLOW(fcntl, IS(1, F_GETLK)),
    ALLOW(fcntl, IS(1, F_SETLK)),
    ALLOW(fdatasync),
    ALLOW(fsync),
    ALLOW(ftruncate),
    ALLOW(pwrite64),

    /* libcurl's and hiredis's. */
    OPTION(IPPROTO_TCP, TCP_NODELAY),
};

/* clang-format off */
#define UP_TO(n, value) { n, SCMP_CMP_LE, value, 0 }
#define IS_NO_NETLINK WITHOUT(0, ~(SANDBOX_NETLINK_FD - 1U))
/* clang-format on */

/* One of its sockets under a number of others' would be out of the jail. */
static const struct permit gate[] = {
    ALLOW(fcntl, IS_NO_NETLINK, IS(1, F_DUPFD_CLOEXEC)),
    ALLOW(sendmsg, IS_NO_NETLINK),
    ALLOW(sendto, IS_NO_NETLINK),
    ALLOW(sendto, UP_TO(2, SANDBOX_NETLINK_BYTES)),
    ALLOW(write, IS_NO_NETLINK),
    ALLOW(writev, IS_NO_NETLINK),

    ALLOW(ioctl, IS(1, SIOCGIFNAME)),
    ALLOW(recvmmsg),
};

/*
 * What libraries try and do without: time zones' files, "is it a terminal?",
 * the socket options of a newer release.  Where the rows above do not allow
 * one of these, it fails with EACCES and the process lives.
 */
static const struct permit refused[] = {
    ALLOW(ioctl),
    ALLOW(newfstatat),
    ALLOW(openat),
    ALLOW(setsockopt),
};

static int
add_rows(scmp_filter_ctx ctx, const struct permit *rows, size_t count)
{
	const struct permit *row;
	unsigned int n;
	int r;

	for (row = rows; row < rows + count; row++) {
		for (n = 0; n < ARGS_MAX && row->args[n].op != 0; n++)
			continue;
		r = seccomp_rule_add_array(
		    ctx, SCMP_ACT_ALLOW, row->syscall, n, row->args);
		if (r != 0)
			return r;
	}
	return 0;
}

#define ADD(ctx, rows) add_rows(ctx, rows, sizeof(rows) / sizeof((rows)[0]))

static int
add_kind(scmp_filter_ctx ctx, enum sandbox_kind kind)
{
	/* abort(3): a crash is not to be taken for a break-out. */
	const struct permit own[] = {
	    ALLOW(tgkill, IS(0, getpid()), IS(2, SIGABRT)),
	};
	int r;

	if ((r = ADD(ctx, common)) != 0 || (r = ADD(ctx, own)) != 0)
		return r;
	switch (kind) {
	case SANDBOX_RELAY:
		r = ADD(ctx, connections);
		return r != 0 ? r : ADD(ctx, relay);
	case SANDBOX_POLICY:
		r = ADD(ctx, connections);
		return r != 0 ? r : ADD(ctx, policy);
	case SANDBOX_GATE:
		return ADD(ctx, gate);
	}
	return -EINVAL;
}

/* A filter that does `otherwise` to what no row allows. */
static int
load_filter(enum sandbox_kind kind, uint32_t otherwise,
    const struct permit *more, size_t more_count)
{
	scmp_filter_ctx ctx;
	int r;

	if ((ctx = seccomp_init(otherwise)) == NULL)
		return -ENOMEM;
	/* no_new_privs is set; the second filter could not ask for it. */
	if ((r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0)) == 0 &&
	    (r = add_kind(ctx, kind)) == 0 &&
	    (r = add_rows(ctx, more, more_count)) == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r;
}

/*
 * One filter cannot say "these arguments, else an error" of one system call
 * and "else death" of another.  Two can, since of their answers the harsher
 * one holds: the first lets pass what the tables allow and the second filter's
 * loading, the second what the tables allow and what may fail.
 */
static int
enter_seccomp(enum sandbox_kind kind, const char **why)
{
	static const struct permit second[] = {ALLOW(seccomp)};
	int r;

	*why = "seccomp";
	if ((r = load_filter(kind, SCMP_ACT_ERRNO(EACCES), second, 1)) != 0 ||
	    (r = load_filter(kind, SCMP_ACT_KILL_PROCESS, refused,
		 sizeof(refused) / sizeof(refused[0]))) != 0) {
		errno = -r;
		return -1;
	}
	return 0;
}

#else

static int
enter_seccomp(enum sandbox_kind kind, const char **why)
{
	(void)kind;
	(void)why;
	return 0;
}

#endif

/*
 * The call does nothing but tell: EINVAL is "there is one".  Containers are
 * not let ask that; the kernel lists a process's threads, too.
 */
static bool
has_other_threads(void)
{
	struct stat st;

	if (unshare(CLONE_THREAD) == 0)
		return false;
	if (errno != EINVAL && stat("/proc/self/task", &st) == 0 &&
	    st.st_nlink == 3) /* itself, its parent, and one thread */
		return false;
	errno = EINVAL;
	return true;
}

int
sandbox_enter(
    enum sandbox_kind kind, const char *const *paths, const char **why)
{
	/* One that is there already would stay outside. */
	*why = "the process has more than one thread, or cannot tell";
	if (has_other_threads())
		return -1;
	*why = "PR_SET_NO_NEW_PRIVS";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return -1;
	if (enter_landlock(paths, why) == -1)
		return -1;
	return enter_seccomp(kind, why);
}
