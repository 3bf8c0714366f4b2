/* SPDX-License-Identifier: ISC */
/*
 * The jail from inside: a child enters it and does one thing.  What must kill
 * it is told from what must fail and from what must work.  Where an argument
 * is refused before it is looked at, a bad descriptor tells the two apart:
 * EBADF comes from behind the jail's wall.
 */

#include "proxy/base/sandbox.h"

#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <libmnl/libmnl.h>
#include <linux/landlock.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/sockios.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "netfilter/gate_socket.h"
#include "netfilter/nft.h"
#include "proxy/base/ipc.h"
#include "proxy/base/log.h"

#define NO_JAIL    90 /* exit codes of a child that got nowhere */
#define NO_MOUNTS  91
#define ABI_PORTS  4 /* of Landlock */
#define ABI_SCOPES 6

/* What the child may read and what not, made anew for each test. */
static struct {
	char dir[64];
	char listed_file[80];
	char listed_dir[80];
	char in_listed_dir[96];
	char unlisted[80];
} f;

static void
make_file(const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, "text", 4), 4);
	close(fd);
}

static int
setup(void **state)
{
	(void)state;
	strlcpy(f.dir, "/tmp/postern-test-XXXXXX", sizeof(f.dir));
	if (mkdtemp(f.dir) == NULL)
		return -1;
	snprintf(f.listed_file, sizeof(f.listed_file), "%s/file", f.dir);
	snprintf(f.listed_dir, sizeof(f.listed_dir), "%s/dir", f.dir);
	snprintf(
	    f.in_listed_dir, sizeof(f.in_listed_dir), "%s/file", f.listed_dir);
	snprintf(f.unlisted, sizeof(f.unlisted), "%s/unlisted", f.dir);
	if (mkdir(f.listed_dir, 0755) == -1)
		return -1;
	make_file(f.listed_file);
	make_file(f.in_listed_dir);
	make_file(f.unlisted);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(f.listed_file);
	unlink(f.in_listed_dir);
	unlink(f.unlisted);
	rmdir(f.listed_dir);
	return rmdir(f.dir);
}

static void
enter(enum sandbox_kind kind)
{
	const char *paths[] = {f.listed_file, f.listed_dir, NULL};
	const char *why;

	if (sandbox_enter(kind, paths, &why) == 0)
		return;
	fprintf(stderr, "sandbox: %s: %s\n", why, strerror(errno));
	_exit(NO_JAIL);
}

/* The wait status of a child that does act in a jail of this kind. */
static int
in_jail(enum sandbox_kind kind, int (*act)(void))
{
	int status;
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		enter(kind);
		_exit(act());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* act returns 0, or a number that says how far it got. */
static void
assert_works(enum sandbox_kind kind, int (*act)(void))
{
	int status = in_jail(kind, act);

	if (WIFSIGNALED(status))
		fail_msg("killed: %s", strsignal(WTERMSIG(status)));
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Files. */

static int
can_read(const char *path)
{
	char text[4];
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret;

	if (fd == -1)
		return errno;
	ret = fstat(fd, &st) == 0 && st.st_size == sizeof(text) &&
	              read(fd, text, sizeof(text)) == sizeof(text) &&
	              memcmp(text, "text", sizeof(text)) == 0
	          ? 0
	          : -1;
	close(fd);
	return ret;
}

static int
reads_listed(void)
{
	struct stat st;
	DIR *dir;
	int entries = 0;

	if (can_read(f.listed_file) != 0)
		return 1;
	if (can_read(f.in_listed_dir) != 0)
		return 2;
	if ((dir = opendir(f.listed_dir)) == NULL)
		return 3;
	while (readdir(dir) != NULL)
		entries++;
	closedir(dir);
	if (stat(f.listed_file, &st) == -1)
		return 4;
	return entries == 3 ? 0 : 5;
}

static void
test_listed_paths_are_readable(void **state)
{
	(void)state;
	assert_works(SANDBOX_POLICY, reads_listed);
}

/* Each error is the kernel's; that none of them is 0 is the jail's doing. */
static int
writes_listed(void)
{
	static const int flags[] = {O_WRONLY, O_RDWR, O_WRONLY | O_APPEND,
	    O_WRONLY | O_TRUNC, O_RDONLY | O_TRUNC, O_WRONLY | O_CREAT};
	char path[128];
	size_t i;

	for (i = 0; i < COUNT(flags); i++)
		if (open(f.listed_file, flags[i], 0644) != -1 ||
		    errno != EACCES)
			return (int)i + 1;
	snprintf(path, sizeof(path), "%s/new", f.listed_dir);
	if (open(path, O_RDONLY | O_CREAT, 0644) != -1 || errno != EACCES)
		return 11;
	if (open(f.listed_dir, O_TMPFILE | O_WRONLY, 0644) != -1 ||
	    errno != EACCES)
		return 12;
	return 0;
}

static void
test_nothing_is_writable(void **state)
{
	(void)state;
	assert_works(SANDBOX_POLICY, writes_listed);
	assert_works(SANDBOX_RELAY, writes_listed);
}

/* What was open before may be written, by the kind that keeps a state. */
static int held;

static int
writes_held(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char text[4];

	if (fcntl(held, F_SETLK, &lock) == -1)
		return 1;
	if (pwrite(held, "TEXT", 4, 0) != 4 || ftruncate(held, 2) == -1)
		return 2;
	if (fsync(held) == -1 || fdatasync(held) == -1)
		return 3;
	return pread(held, text, sizeof(text), 0) == 2 ? 0 : 4;
}

static void
test_held_file_is_writable(void **state)
{
	(void)state;
	held = open(f.unlisted, O_RDWR | O_CLOEXEC);
	assert_int_not_equal(held, -1);
	assert_works(SANDBOX_POLICY, writes_held);
	close(held);
}

#ifndef POSTERN_SANITIZE /* there, files stay readable and nothing kills */

static int
reads_unlisted(void)
{
	char path[160];

	if (can_read(f.unlisted) != EACCES)
		return 1;
	/* Nor by a way round. */
	snprintf(path, sizeof(path), "%s/../unlisted", f.listed_dir);
	if (can_read(path) != EACCES)
		return 2;
	if (open(f.dir, O_RDONLY | O_DIRECTORY) != -1 || errno != EACCES)
		return 3;
	return can_read("/etc/passwd") == EACCES ? 0 : 4;
}

static void
test_other_paths_are_not(void **state)
{
	(void)state;
	assert_works(SANDBOX_POLICY, reads_unlisted);
}

static int
reads_anything(void)
{
	struct stat st;

	if (stat(f.listed_file, &st) != -1 || errno != EACCES)
		return 1;
	return can_read(f.listed_file) == EACCES ? 0 : 2;
}

static void
test_relay_and_gate_have_no_files(void **state)
{
	(void)state;
	assert_works(SANDBOX_RELAY, reads_anything);
	assert_works(SANDBOX_GATE, reads_anything);
}

/* One system call, by number. */
struct call {
	const char *name;
	long number;
	long args[4];
};

static const struct call *call;

/* Exits with what became of the call: 0 or its errno. */
static int
make_call(void)
{
	if (syscall(call->number, call->args[0], call->args[1], call->args[2],
		call->args[3]) == -1)
		return errno;
	return 0;
}

static void
assert_calls_fail(
    enum sandbox_kind kind, const struct call *calls, size_t count, int error)
{
	int status;

	for (call = calls; call < calls + count; call++) {
		status = in_jail(kind, make_call);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != error)
			fail_msg("%s: status 0x%x", call->name, status);
	}
}

/* Death. */

/* Where one of them lived, these say so by another status than SIGSYS. */
static const struct call deadly[] = {
    {"execve", SYS_execve, {0}},
    {"execveat", SYS_execveat, {-1}},
    {"clone", SYS_clone, {SIGCHLD}},
    {"clone of a thread", SYS_clone, {CLONE_THREAD}},
    {"clone3", SYS_clone3, {0}},
    {"unshare", SYS_unshare, {CLONE_NEWUSER}},
    {"setns", SYS_setns, {-1}},
    {"ptrace", SYS_ptrace, {0}},
    {"process_vm_readv", SYS_process_vm_readv, {1}},
    {"pidfd_open", SYS_pidfd_open, {1}},
    {"kill", SYS_kill, {1, 0}},
    {"tgkill of another", SYS_tgkill, {1, 1, SIGABRT}},
    {"mount", SYS_mount, {0}},
    {"chroot", SYS_chroot, {0}},
    {"unlinkat", SYS_unlinkat, {-1}},
    {"renameat2", SYS_renameat2, {-1}},
    {"openat2", SYS_openat2, {-1}},
    {"setresuid", SYS_setresuid, {-1, -1, -1}},
    {"capset", SYS_capset, {0}},
    {"bpf", SYS_bpf, {-1}},
    {"perf_event_open", SYS_perf_event_open, {0}},
    {"io_uring_setup", SYS_io_uring_setup, {0}},
    {"userfaultfd", SYS_userfaultfd, {0}},
    {"keyctl", SYS_keyctl, {-1}},
    {"seccomp", SYS_seccomp, {-1}},
    {"memfd_create", SYS_memfd_create, {0}},
    {"listen", SYS_listen, {-1}},
    {"socketpair", SYS_socketpair, {AF_UNIX, SOCK_STREAM}},
    {"packets", SYS_socket, {AF_PACKET, SOCK_RAW}},
    {"netlink", SYS_socket, {AF_NETLINK, SOCK_RAW}},
    {"unix stream", SYS_socket, {AF_UNIX, SOCK_STREAM}},
    {"raw IPv4", SYS_socket, {AF_INET, SOCK_RAW, IPPROTO_ICMP}},
    {"raw IPv6", SYS_socket, {AF_INET6, SOCK_RAW, IPPROTO_ICMPV6}},
    {"ping", SYS_socket, {AF_INET, SOCK_DGRAM, IPPROTO_ICMP}},
    {"SCTP", SYS_socket, {AF_INET, SOCK_STREAM, IPPROTO_SCTP}},
    {"MPTCP", SYS_socket, {AF_INET, SOCK_STREAM, IPPROTO_MPTCP}},
    {"code by mmap", SYS_mmap,
	{0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS}},
    {"code by mprotect", SYS_mprotect, {0, 4096, PROT_EXEC}},
    {"F_SETOWN", SYS_fcntl, {-1, F_SETOWN}},
    {"F_SETLKW", SYS_fcntl, {-1, F_SETLKW}},
    {"F_OFD_SETLK", SYS_fcntl, {-1, F_OFD_SETLK}},
    {"F_SETLEASE", SYS_fcntl, {-1, F_SETLEASE}},
    {"linkat", SYS_linkat, {-1}},
    {"mkdirat", SYS_mkdirat, {-1}},
    {"fchmod", SYS_fchmod, {-1}},
    {"fchown", SYS_fchown, {-1}},
    {"truncate", SYS_truncate, {0}},
    {"PR_SET_DUMPABLE", SYS_prctl, {PR_SET_DUMPABLE, 1}},
    {"PR_SET_MM", SYS_prctl, {PR_SET_MM}},
#ifdef __x86_64__
    {"the x32 ABI", 0x40000000 | SYS_getpid, {0}},
    {"open", SYS_open, {0}},
    {"fork", SYS_fork, {0}},
    {"unlink", SYS_unlink, {0}},
    {"rename", SYS_rename, {0}},
#endif
};

static const struct call deadly_to_relay[] = {
    {"UDP", SYS_socket, {AF_INET, SOCK_DGRAM}},
    {"UDP over IPv6", SYS_socket, {AF_INET6, SOCK_DGRAM, IPPROTO_UDP}},
    {"getdents64", SYS_getdents64, {-1}},
    {"pwrite64", SYS_pwrite64, {-1}},
    {"fsync", SYS_fsync, {-1}},
    {"fdatasync", SYS_fdatasync, {-1}},
    {"ftruncate", SYS_ftruncate, {-1}},
    {"F_GETLK", SYS_fcntl, {-1, F_GETLK}},
    {"F_SETLK", SYS_fcntl, {-1, F_SETLK}},
    {"clock_nanosleep", SYS_clock_nanosleep, {-1}},
};

/* It has the sockets that it needs, and gets no other connection. */
static const struct call deadly_to_gate[] = {
    {"TCP", SYS_socket, {AF_INET, SOCK_STREAM}},
    {"TCP over IPv6", SYS_socket, {AF_INET6, SOCK_STREAM, IPPROTO_TCP}},
    {"accept4", SYS_accept4, {-1}},
    {"bind", SYS_bind, {-1}},
    {"getpeername", SYS_getpeername, {-1}},
    {"getsockname", SYS_getsockname, {-1}},
    {"sendmmsg", SYS_sendmmsg, {-1}},
    {"shutdown", SYS_shutdown, {-1}},
};

static void
assert_calls_kill(
    enum sandbox_kind kind, const struct call *calls, size_t count)
{
	int status;

	for (call = calls; call < calls + count; call++) {
		status = in_jail(kind, make_call);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s: status 0x%x", call->name, status);
	}
}

static void
test_deadly_calls(void **state)
{
	(void)state;
	assert_calls_kill(SANDBOX_RELAY, deadly, COUNT(deadly));
	assert_calls_kill(SANDBOX_POLICY, deadly, COUNT(deadly));
	assert_calls_kill(SANDBOX_GATE, deadly, COUNT(deadly));
	assert_calls_kill(
	    SANDBOX_RELAY, deadly_to_relay, COUNT(deadly_to_relay));
	assert_calls_kill(
	    SANDBOX_GATE, deadly_to_relay, COUNT(deadly_to_relay));
	assert_calls_kill(SANDBOX_GATE, deadly_to_gate, COUNT(deadly_to_gate));
}

/*
 * By the sockets that the gate gives verdicts by it could change the packet
 * rules.  All go with one batch of three headers, the shortest there is.
 */

struct batch {
	struct nlmsghdr begin;
	struct nfgenmsg begin_of;
	struct nlmsghdr change;
	struct nfgenmsg change_of;
	struct nlmsghdr end;
	struct nfgenmsg end_of;
};

static const struct batch flush = {
    .begin = {20, NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, 0, 0},
    .begin_of = {AF_UNSPEC, NFNETLINK_V0, NFNL_SUBSYS_NFTABLES << 8},
    .change = {20, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE, NLM_F_REQUEST,
	0, 0},
    .end = {20, NFNL_MSG_BATCH_END, NLM_F_REQUEST, 0, 0},
};

static int netlink;

static int
flush_by_sendto(void)
{
	return send(netlink, &flush, sizeof(flush), 0) == sizeof(flush) ? 0 : 1;
}

static int
flush_by_write(void)
{
	return write(netlink, &flush, sizeof(flush)) == sizeof(flush) ? 0 : 1;
}

static int
flush_by_writev(void)
{
	struct iovec iov = {(void *)&flush, sizeof(flush)};

	return writev(netlink, &iov, 1) == sizeof(flush) ? 0 : 1;
}

static int
flush_by_sendmsg(void)
{
	struct iovec iov = {(void *)&flush, sizeof(flush)};
	struct msghdr head = {.msg_iov = &iov, .msg_iovlen = 1};

	return sendmsg(netlink, &head, 0) == sizeof(flush) ? 0 : 1;
}

/* By another number, which is not looked at so closely. */
static int
flush_by_copy(void)
{
	netlink = fcntl(netlink, F_DUPFD_CLOEXEC, 0);
	return flush_by_write();
}

/* Each is let out, and neither is a batch. */
static int
flush_in_parts(void)
{
	const char *bytes = (const char *)&flush;
	const size_t half = offsetof(struct batch, change);

	if (send(netlink, bytes, half, 0) == -1)
		return 1;
	return send(netlink, bytes + half, sizeof(flush) - half, 0) != -1 ? 0
	                                                                  : 2;
}

static bool
has_rules(void)
{
	char error[NFT_ERROR_MAX];

	return nft_run("list table inet kept\n", error) == 0;
}

/* In a namespace of its own. */
static int
flushes(void)
{
	static int (*const ways[])(void) = {flush_by_sendto, flush_by_write,
	    flush_by_writev, flush_by_sendmsg, flush_by_copy};
	char error[NFT_ERROR_MAX];
	struct mnl_socket *made;
	size_t i;
	int status;

	if (unshare(CLONE_NEWNET) == -1)
		return NO_MOUNTS;
	if (nft_run("add table inet kept\n", error) == -1 ||
	    (made = gate_socket()) == NULL)
		return 1;
	netlink = mnl_socket_get_fd(made);
	for (i = 0; i < COUNT(ways); i++) {
		status = in_jail(SANDBOX_GATE, ways[i]);
		if ((WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
		    !has_rules())
			return 10 + (int)i;
	}
	if (in_jail(SANDBOX_GATE, flush_in_parts) != 0 || !has_rules())
		return 20;
	return flush_by_sendto() == 0 && !has_rules() ? 0 : 21;
}

static void
test_gate_keeps_off_rules(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0)
		_exit(flushes());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_MOUNTS)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

#ifdef __x86_64__
static int
calls_as_i386(void)
{
	long number = 20; /* getpid there; writev here, which is allowed */

	__asm__ volatile("int $0x80" : "+a"(number) : : "memory");
	return 1;
}

static void
test_other_architecture(void **state)
{
	int status = in_jail(SANDBOX_RELAY, calls_as_i386);

	(void)state;
	assert_true(WIFSIGNALED(status));
	/* Without the emulation the kernel is as deaf: SIGSEGV. */
	assert_true(WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV);
}
#endif

static int
aborts(void)
{
	abort();
}

static void
test_abort_is_told_apart(void **state)
{
	int status = in_jail(SANDBOX_RELAY, aborts);

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* What fails and lets live. */

static void
test_refused_calls(void **state)
{
	static const struct call calls[] = {
	    {"ioctl", SYS_ioctl, {0, 0x5401}},
	    {"SO_ATTACH_FILTER", SYS_setsockopt,
		{-1, SOL_SOCKET, SO_ATTACH_FILTER}},
	    {"SO_BINDTODEVICE", SYS_setsockopt,
		{-1, SOL_SOCKET, SO_BINDTODEVICE}},
	    /* the number of one that is allowed, at another level */
	    {"another level's TCP_NODELAY", SYS_setsockopt,
		{-1, IPPROTO_UDP, TCP_NODELAY}},
	    {"TCP_REPAIR", SYS_setsockopt, {-1, IPPROTO_TCP, TCP_REPAIR}},
	    {"TCP_ULP", SYS_setsockopt, {-1, IPPROTO_TCP, TCP_ULP}},
	};
	static const struct call policy[] = {
	    {"SO_MARK", SYS_setsockopt, {-1, SOL_SOCKET, SO_MARK}},
	    {"IP_TRANSPARENT", SYS_setsockopt,
		{-1, IPPROTO_IP, IP_TRANSPARENT}},
	    {"O_WRONLY", SYS_openat, {-1, (long)"x", O_WRONLY}},
	    {"O_RDWR", SYS_openat, {-1, (long)"x", O_RDWR}},
	    {"O_APPEND", SYS_openat, {-1, (long)"x", O_APPEND}},
	    {"O_CREAT", SYS_openat, {-1, (long)"x", O_CREAT}},
	    {"O_TRUNC", SYS_openat, {-1, (long)"x", O_TRUNC}},
	};
	static const struct call gate[] = {
	    {"SO_MARK", SYS_setsockopt, {-1, SOL_SOCKET, SO_MARK}},
	    {"IP_TRANSPARENT", SYS_setsockopt,
		{-1, IPPROTO_IP, IP_TRANSPARENT}},
	    {"IP_BIND_ADDRESS_NO_PORT", SYS_setsockopt,
		{-1, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT}},
	    {"NETLINK_ADD_MEMBERSHIP", SYS_setsockopt,
		{-1, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP}},
	    {"SIOCSIFNAME", SYS_ioctl, {-1, SIOCSIFNAME}},
	    {"SIOCSIFFLAGS", SYS_ioctl, {-1, SIOCSIFFLAGS}},
	    {"openat", SYS_openat, {-1, (long)"x"}},
	};

	(void)state;
	assert_calls_fail(SANDBOX_RELAY, calls, COUNT(calls), EACCES);
	assert_calls_fail(SANDBOX_GATE, calls, COUNT(calls), EACCES);
	assert_calls_fail(SANDBOX_GATE, gate, COUNT(gate), EACCES);
	assert_calls_fail(SANDBOX_POLICY, calls, COUNT(calls), EACCES);
	assert_calls_fail(SANDBOX_POLICY, policy, COUNT(policy), EACCES);
}

static void
test_calls_that_pass(void **state)
{
	static const struct call relay[] = {
	    {"SO_MARK", SYS_setsockopt, {-1, SOL_SOCKET, SO_MARK}},
	    {"SO_LINGER", SYS_setsockopt, {-1, SOL_SOCKET, SO_LINGER}},
	    {"SO_OOBINLINE", SYS_setsockopt, {-1, SOL_SOCKET, SO_OOBINLINE}},
	    {"IP_TRANSPARENT", SYS_setsockopt,
		{-1, IPPROTO_IP, IP_TRANSPARENT}},
	    {"IPV6_TRANSPARENT", SYS_setsockopt,
		{-1, IPPROTO_IPV6, IPV6_TRANSPARENT}},
	    {"IP_BIND_ADDRESS_NO_PORT", SYS_setsockopt,
		{-1, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT}},
	};
	static const struct call policy[] = {
	    {"SO_REUSEADDR", SYS_setsockopt, {-1, SOL_SOCKET, SO_REUSEADDR}},
	    {"IP_MTU_DISCOVER", SYS_setsockopt,
		{-1, IPPROTO_IP, IP_MTU_DISCOVER}},
	    {"O_CLOEXEC", SYS_openat, {-1, (long)"x", O_CLOEXEC}},
	    {"pwrite64", SYS_pwrite64, {-1}},
	    {"fsync", SYS_fsync, {-1}},
	    {"fdatasync", SYS_fdatasync, {-1}},
	    {"ftruncate", SYS_ftruncate, {-1}},
	    {"F_GETLK", SYS_fcntl, {-1, F_GETLK}},
	    {"F_SETLK", SYS_fcntl, {-1, F_SETLK}},
	};
	static const struct call gate[] = {
	    {"SIOCGIFNAME", SYS_ioctl, {-1, SIOCGIFNAME}},
	    {"recvfrom", SYS_recvfrom, {-1}},
	    {"sendto", SYS_sendto, {-1}},
	};

	(void)state;
	assert_calls_fail(SANDBOX_GATE, gate, COUNT(gate), EBADF);
	assert_calls_fail(SANDBOX_POLICY, policy, COUNT(policy), EBADF);
	assert_calls_fail(SANDBOX_RELAY, relay, COUNT(relay), EBADF);
}

/* The process is marked as it should be, seen from outside. */
static void
test_marks(void **state)
{
	char path[64], line[128];
	int up[2], down[2], found = 0;
	pid_t pid;
	FILE *file;

	(void)state;
	assert_int_equal(pipe(up), 0);
	assert_int_equal(pipe(down), 0);
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		close(down[1]);
		enter(SANDBOX_RELAY);
		_exit(write(up[1], "x", 1) == 1 && read(down[0], line, 1) == 0
			  ? 0
			  : 1);
	}
	close(up[1]); /* so that a child that failed is not waited for */
	assert_int_equal(read(up[0], line, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	assert_non_null(file = fopen(path, "r"));
	while (fgets(line, sizeof(line), file) != NULL)
		if (strcmp(line, "NoNewPrivs:\t1\n") == 0 ||
		    strcmp(line, "Seccomp:\t2\n") == 0)
			found++;
	fclose(file);
	close(down[1]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(up[0]);
	close(down[0]);
	assert_int_equal(found, 2);
}

#endif /* POSTERN_SANITIZE */

/* Ports and sockets. */

static long
landlock_abi(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
}

static in_port_t port; /* network order */

static int
binds(void)
{
	struct sockaddr_in sin = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);

	sin.sin_port = port;
	if (fd == -1)
		return 1;
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1)
		return errno;
	return 0;
}

static void
test_ports(void **state)
{
	int status;

	(void)state;
	port = 0;
	assert_works(SANDBOX_RELAY, binds);
	assert_works(SANDBOX_POLICY, binds);
	if (landlock_abi() < ABI_PORTS)
		skip();
	port = htons(2525);
	status = in_jail(SANDBOX_RELAY, binds);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EACCES);
}

static struct sockaddr_un abstract;
static socklen_t abstract_len;

static int
talks_to_abstract(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return 1;
	if (connect(fd, (struct sockaddr *)&abstract, abstract_len) == -1)
		return errno;
	return 0;
}

static void
test_abstract_sockets(void **state)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), status;

	(void)state;
	if (landlock_abi() < ABI_SCOPES)
		skip();
	abstract.sun_family = AF_UNIX; /* and the kernel picks a name */
	assert_int_equal(
	    bind(fd, (struct sockaddr *)&abstract, sizeof(sa_family_t)), 0);
	abstract_len = sizeof(abstract);
	assert_int_equal(
	    getsockname(fd, (struct sockaddr *)&abstract, &abstract_len), 0);
	assert_int_equal(talks_to_abstract(), 0);
	status = in_jail(SANDBOX_POLICY, talks_to_abstract);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EPERM);
	close(fd);
}

/* A day's work. */

static struct {
	struct event_base *base;
	int listener, accepted, dialled;
	struct ipc_channel *channels[2];
	int memory, passed;
	bool was_read;
} w;

static void
on_connection(evutil_socket_t fd, short events, void *arg)
{
	(void)events;
	(void)arg;
	w.accepted = accept4((int)fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (w.accepted == -1 || send(w.accepted, "220", 3, MSG_NOSIGNAL) != 3 ||
	    shutdown(w.accepted, SHUT_WR) == -1)
		event_base_loopbreak(w.base);
}

static void
on_greeting(evutil_socket_t fd, short events, void *arg)
{
	char text[4];

	(void)events;
	(void)arg;
	w.was_read = recv((int)fd, text, sizeof(text), 0) == 3 &&
	             memcmp(text, "220", 3) == 0;
	event_base_loopbreak(w.base);
}

static int
on_passed(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	(void)arg;
	(void)channel;
	w.passed = ipc_get_fd(reader);
	event_base_loopbreak(w.base);
	return ipc_end(reader);
}

static void
on_closed(void *arg, struct ipc_channel *channel, const char *why)
{
	(void)arg;
	(void)channel;
	(void)why;
	event_base_loopbreak(w.base);
}

static const struct ipc_row rows[] = {
    {1, false, "PASSED", on_passed},
    {0, false, NULL, NULL},
};

static void
on_signal(evutil_socket_t number, short events, void *arg)
{
	(void)number;
	(void)events;
	(void)arg;
}

/* Everything that a process has before it locks itself in. */
static void
prepare_work(void)
{
	struct sockaddr_in sin = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fds[2];

	memset(&w, 0, sizeof(w));
	w.passed = -1;
	assert_non_null(w.base = event_base_new());
	w.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(
	    bind(w.listener, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(w.listener, 1), 0);
	assert_int_equal(ipc_pair(fds), 0);
	w.channels[0] = ipc_channel_new(
	    w.base, fds[0], "a", rows, on_closed, NULL);
	w.channels[1] = ipc_channel_new(
	    w.base, fds[1], "b", rows, on_closed, NULL);
	assert_non_null(w.channels[0]);
	assert_non_null(w.channels[1]);
	w.memory = memfd_create("memory", MFD_CLOEXEC);
	assert_int_equal(write(w.memory, "text", 4), 4);
}

static void
end_work(void)
{
	ipc_channel_free(w.channels[0]);
	ipc_channel_free(w.channels[1]);
	close(w.listener);
	close(w.memory);
	event_base_free(w.base);
}

static int
dials(void)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct event *events[3];
	struct timeval limit = {.tv_sec = 10};
	int fd, error = -1, on = 1;

	if (getsockname(w.listener, (struct sockaddr *)&ss, &len) == -1)
		return 1;
	fd = socket(
	    AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fd == -1 || (connect(fd, (struct sockaddr *)&ss, len) == -1 &&
			    errno != EINPROGRESS))
		return 2;
	events[0] = event_new(w.base, w.listener, EV_READ, on_connection, NULL);
	events[1] = event_new(w.base, fd, EV_READ, on_greeting, NULL);
	events[2] = evsignal_new(w.base, SIGTERM, on_signal, NULL);
	if (events[0] == NULL || event_add(events[0], NULL) == -1 ||
	    events[1] == NULL || event_add(events[1], NULL) == -1 ||
	    events[2] == NULL || event_add(events[2], NULL) == -1 ||
	    event_base_loopexit(w.base, &limit) == -1)
		return 3;
	event_base_dispatch(w.base);
	len = sizeof(error);
	if (!w.was_read ||
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1 ||
	    error != 0 ||
	    getpeername(
		fd, (struct sockaddr *)&ss, (socklen_t[]){sizeof(ss)}) == -1)
		return 4;
	/* The relay's; policy has no use for it and does without. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	event_free(events[0]);
	event_free(events[1]);
	event_free(events[2]);
	close(fd);
	close(w.accepted);
	return 0;
}

/* As a configuration comes on reload. */
static int
takes_memory_file(void)
{
	struct ipc_message message;
	struct stat st;
	char text[4];

	ipc_compose(&message, 1, 1);
	ipc_put_fd(&message, w.memory);
	if (ipc_send(w.channels[0], &message) == -1)
		return 11;
	event_base_dispatch(w.base);
	if (w.passed == -1 || fstat(w.passed, &st) == -1 || st.st_size != 4)
		return 12;
	if (pread(w.passed, text, sizeof(text), 0) != 4 ||
	    memcmp(text, "text", 4) != 0)
		return 13;
	close(w.passed);
	return 0;
}

static int
compare_ints(const void *a, const void *b)
{
	return *(const int *)a < *(const int *)b
	           ? -1
	           : *(const int *)a > *(const int *)b;
}

/* What the C library does under the hood. */
static int
uses_libc(void)
{
	time_t now = time(NULL);
	struct tm tm;
	size_t i, count = 100000;
	int *numbers = calloc(count, sizeof(*numbers));
	void *block;

	if (numbers == NULL)
		return 21;
	arc4random_buf(numbers, count * sizeof(*numbers));
	qsort(numbers, count, sizeof(*numbers), compare_ints);
	for (i = 1; i < count; i++)
		if (numbers[i - 1] > numbers[i])
			return 22;
	for (i = 1; i < (1 << 24); i *= 2) {
		if ((block = realloc(numbers, i)) == NULL)
			return 23;
		numbers = block;
		memset(numbers, 1, i);
	}
	free(numbers);
	if (localtime_r(&now, &tm) == NULL || gmtime_r(&now, &tm) == NULL)
		return 24;
	(void)isatty(STDERR_FILENO);
	/* Quiet, but it goes all the way to the write. */
	if (close(STDERR_FILENO) == -1)
		return 25;
	log_info("from inside");
	return 0;
}

static int
works(void)
{
	int ret;

	if ((ret = dials()) != 0 || (ret = takes_memory_file()) != 0)
		return ret;
	return uses_libc();
}

static void
test_work(void **state)
{
	(void)state;
	prepare_work();
	assert_works(SANDBOX_RELAY, works);
	end_work();
	prepare_work();
	assert_works(SANDBOX_POLICY, works);
	end_work();
}

/* What it does all day; the sockets are there before the jail is. */
static int
works_as_gate(void)
{
	struct mmsghdr head = {0};
	char name[IF_NAMESIZE];
	int ret;

	if ((ret = takes_memory_file()) != 0 || (ret = uses_libc()) != 0)
		return ret;
	if (if_indextoname(1, name) == NULL)
		return 40;
	if (if_indextoname(UINT32_MAX, name) != NULL)
		return 41;
	if (recvmmsg(-1, &head, 1, MSG_DONTWAIT, NULL) != -1 || errno != EBADF)
		return 42;
	return 0;
}

static void
test_gate_works(void **state)
{
	(void)state;
	prepare_work();
	assert_works(SANDBOX_GATE, works_as_gate);
	end_work();
}

static int
asks_by_udp(void)
{
	static const sa_family_t families[] = {AF_INET, AF_INET6};
	struct sockaddr_storage ss;
	int fd;
	size_t i;

	for (i = 0; i < COUNT(families); i++) {
		fd = socket(families[i], SOCK_DGRAM | SOCK_NONBLOCK, 0);
		memset(&ss, 0, sizeof(ss));
		ss.ss_family = families[i];
		/* A source port of its own choice guards a resolver. */
		((struct sockaddr_in *)&ss)->sin_port = htons(40053);
		if (fd == -1 || bind(fd, (struct sockaddr *)&ss,
				    families[i] == AF_INET
					? sizeof(struct sockaddr_in)
					: sizeof(struct sockaddr_in6)) == -1)
			return (int)i + 1;
		close(fd);
	}
	return 0;
}

static void
test_policy_asks_by_udp(void **state)
{
	(void)state;
	assert_works(SANDBOX_POLICY, asks_by_udp);
}

/* The system log comes back under the same name, and is found again. */

static int
make_dev_log(void)
{
	struct sockaddr_un sun = {
	    .sun_family = AF_UNIX, .sun_path = "/dev/log"};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	unlink(sun.sun_path);
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1)
		_exit(1);
	return fd;
}

static void
expect_line(int fd, const char *text)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};
	char line[512];
	ssize_t n;

	if (poll(&pollfd, 1, 10000) != 1 ||
	    (n = recv(fd, line, sizeof(line) - 1, 0)) == -1)
		_exit(2);
	line[n] = '\0';
	if (strstr(line, text) == NULL)
		_exit(3);
}

static void
logs_twice(int log, int up, int down)
{
	char c;

	close(log); /* it ends with its server, not with this process */
	log_init("postern-test", LOG_TO_SYSLOG, LOG_FORMAT_TEXT);
	enter(SANDBOX_RELAY);
	log_info("one");
	if (write(up, "x", 1) != 1 || read(down, &c, 1) != 1)
		_exit(4);
	log_info("two");
	_exit(0);
}

static void
serves_dev_log(void)
{
	int fd, up[2], down[2], status;
	char c;
	pid_t pid;

	if (unshare(CLONE_NEWNS) == -1 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1 ||
	    mount("dev", "/dev", "tmpfs", 0, NULL) == -1)
		_exit(NO_MOUNTS);
	fd = make_dev_log();
	if (pipe(up) == -1 || pipe(down) == -1 || (pid = fork()) == -1)
		_exit(5);
	if (pid == 0)
		logs_twice(fd, up[1], down[0]);
	close(up[1]);
	if (read(up[0], &c, 1) != 1)
		_exit(6);
	expect_line(fd, ": one");
	close(fd);
	fd = make_dev_log();
	if (write(down[1], "x", 1) != 1)
		_exit(7);
	expect_line(fd, ": two");
	_exit(waitpid(pid, &status, 0) == pid && status == 0 ? 0 : 8);
}

static void
test_syslog_restarts(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0)
		serves_dev_log();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_MOUNTS)
		skip(); /* not root */
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* No jail at all rather than half of one. */

static void *
waits(void *arg)
{
	pause();
	return arg;
}

/* As containers have it: unshare(2) is for those with CAP_SYS_ADMIN. */
static bool
forbid_unshare(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	bool is_done;

	is_done = ctx != NULL &&
	          seccomp_rule_add(
		      ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 0) == 0 &&
	          seccomp_load(ctx) == 0;
	seccomp_release(ctx);
	return is_done;
}

static int
enter_with(bool has_unshare, bool has_thread)
{
	const char *paths[] = {NULL}, *why = NULL;
	pthread_t thread;
	pid_t pid;
	int status;

	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		if ((!has_unshare && !forbid_unshare()) ||
		    (has_thread &&
			pthread_create(&thread, NULL, waits, NULL) != 0))
			_exit(3);
		if (sandbox_enter(SANDBOX_RELAY, paths, &why) == 0)
			_exit(0);
		_exit(errno == EINVAL && strstr(why, "thread") != NULL ? 1 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
test_threads_are_refused(void **state)
{
	(void)state;
	for (int has_unshare = 0; has_unshare <= 1; has_unshare++) {
		assert_int_equal(enter_with(has_unshare, false), 0);
		assert_int_equal(enter_with(has_unshare, true), 1);
	}
}

#ifndef POSTERN_SANITIZE
static void
test_missing_path(void **state)
{
	const char *paths[] = {"/nonexistent", NULL}, *why = NULL;
	pid_t pid;
	int status;

	(void)state;
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		if (sandbox_enter(SANDBOX_POLICY, paths, &why) != -1)
			_exit(1);
		_exit(errno == ENOENT && strstr(why, "path") != NULL ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	    TEST(test_listed_paths_are_readable),
	    TEST(test_nothing_is_writable),
	    TEST(test_held_file_is_writable),
#ifndef POSTERN_SANITIZE
	    TEST(test_other_paths_are_not),
	    TEST(test_relay_and_gate_have_no_files),
	    TEST(test_deadly_calls),
	    TEST(test_gate_keeps_off_rules),
#ifdef __x86_64__
	    TEST(test_other_architecture),
#endif
	    TEST(test_abort_is_told_apart),
	    TEST(test_refused_calls),
	    TEST(test_calls_that_pass),
	    TEST(test_marks),
	    TEST(test_missing_path),
#endif
	    TEST(test_ports),
	    TEST(test_abstract_sockets),
	    TEST(test_work),
	    TEST(test_gate_works),
	    TEST(test_policy_asks_by_udp),
	    TEST(test_syslog_restarts),
	    TEST(test_threads_are_refused),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
