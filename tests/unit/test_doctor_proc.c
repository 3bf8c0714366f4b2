/* SPDX-License-Identifier: ISC */
/* Texts as proc(5) has them. */

#include "proxy/doctor_proc.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char status_text[] = "Name:\tpostern-relay\n"
				  "Umask:\t0077\n"
				  "State:\tS (sleeping)\n"
				  "Tgid:\t812\n"
				  "Pid:\t812\n"
				  "PPid:\t801\n"
				  "TracerPid:\t0\n"
				  "Uid:\t998\t997\t998\t998\n"
				  "Gid:\t998\t998\t998\t998\n"
				  "CapInh:\t0000000000002000\n"
				  "CapEff:\t0000000000002000\n"
				  "NoNewPrivs:\t1\n"
				  "Seccomp:\t2\n"
				  "Seccomp_filters:\t1\n";

static void
test_status(void **state)
{
	struct proc proc = {0};

	(void)state;
	assert_int_equal(proc_status_read(status_text, &proc), 0);
	assert_int_equal(proc.state, 'S');
	assert_int_equal(proc.parent, 801);
	assert_int_equal(proc.uid, 997);
	assert_int_equal(proc.seccomp, 2);
	assert_int_equal(proc.capabilities, 0x2000);
}

/* A process has any name it likes, but no line of its own. */
static void
test_status_of_others(void **state)
{
	struct proc proc = {0};

	(void)state;
	assert_int_equal(proc_status_read("", &proc), -1);
	assert_int_equal(proc_status_read("State:\tS\nPPid:\t1\n", &proc), -1);
	assert_int_equal(
	    proc_status_read("State:\tS\nPPid:\t1\nUid:\tx\n", &proc), -1);
	assert_int_equal(
	    proc_status_read("Name:\tState:\tT\nState:\tR\nPPid:\t1\n"
			     "Uid:\t0\t0\t0\t0\n",
		&proc),
	    0);
	assert_int_equal(proc.state, 'R');
	assert_int_equal(proc.seccomp, 0);
}

static void
test_cut(void **state)
{
	struct proc proc;
	char *exact;
	size_t len;

	(void)state;
	for (len = 0; len < sizeof(status_text); len++) {
		exact = strndup(status_text, len);
		assert_non_null(exact);
		(void)proc_status_read(exact, &proc);
		free(exact);
	}
}

static void
test_limits(void **state)
{
	unsigned long long files = 0;

	(void)state;
	assert_int_equal(
	    proc_limits_read(
		"Limit                     Soft Limit           Hard Limit  "
		"         Units     \n"
		"Max processes             7500                 7500        "
		"         processes \n"
		"Max open files            1024                 1048576     "
		"         files     \n",
		&files),
	    0);
	assert_int_equal(files, 1024);
	assert_int_equal(
	    proc_limits_read("Max open files            unlimited   ", &files),
	    0);
	assert_true(files == ULLONG_MAX);
	assert_int_equal(proc_limits_read("Max open files  ", &files), -1);
	assert_int_equal(proc_limits_read("", &files), -1);
}

static void
expect_program(const char *link, const char *wanted, bool wants_replaced)
{
	char name[PROC_NAME_MAX];
	bool is_replaced;

	proc_program_read(link, name, &is_replaced);
	assert_string_equal(name, wanted);
	assert_int_equal(is_replaced, wants_replaced);
}

static void
test_program(void **state)
{
	(void)state;
	expect_program("/usr/sbin/postern", "postern", false);
	expect_program("/usr/sbin/postern (deleted)", "postern", true);
	expect_program("postern-relay", "postern-relay", false);
	expect_program("/ (deleted)", " (deleted)", false);
	expect_program("/", "", false);
	expect_program("", "", false);
	expect_program("/x/0123456789012345678901234567890123456789",
	    "0123456789012345678901234567890", false);
}

static const char netstat[] =
    "TcpExt: SyncookiesSent IPReversePathFilter TCPTimeWaitOverflow\n"
    "TcpExt: 3 41 7\n"
    "IpExt: InNoRoutes IPReversePathFilterX\n"
    "IpExt: 5 6\n";

static void
test_counter(void **state)
{
	uint64_t value = 0;

	(void)state;
	assert_int_equal(
	    proc_counter_read(netstat, "TcpExt", "IPReversePathFilter", &value),
	    0);
	assert_int_equal(value, 41);
	assert_int_equal(
	    proc_counter_read(netstat, "TcpExt", "SyncookiesSent", &value), 0);
	assert_int_equal(value, 3);
	assert_int_equal(
	    proc_counter_read(netstat, "IpExt", "IPReversePathFilterX", &value),
	    0);
	assert_int_equal(value, 6);
	assert_int_equal(
	    proc_counter_read(netstat, "IpExt", "IPReversePathFilter", &value),
	    -1);
	assert_int_equal(
	    proc_counter_read(netstat, "Tcp", "InNoRoutes", &value), -1);
	assert_int_equal(
	    proc_counter_read("TcpExt: A B\n", "TcpExt", "B", &value), -1);
	assert_int_equal(proc_counter_read(
			     "TcpExt: A B\nTcpExt: 1\n", "TcpExt", "B", &value),
	    -1);
	assert_int_equal(proc_counter_read("", "TcpExt", "B", &value), -1);
}

static void
test_inet6(void **state)
{
	static const char text[] =
	    "20010db8010000000000000000000001 02 40 00 82     lan0\n"
	    "fe80000000000000dc4f31fffe2c1a11 03 40 20 80     wan0\n"
	    "00000000000000000000000000000001 01 80 10 80       lo\n";

	(void)state;
	assert_true(proc_has_inet6(text, "lan0"));
	assert_false(proc_has_inet6(text, "wan0"));
	assert_false(proc_has_inet6(text, "lo"));
	assert_false(proc_has_inet6(text, "lan"));
	assert_false(proc_has_inet6("", "lan0"));
	assert_false(proc_has_inet6("\n\nlan0\n", "lan0"));
}

static void
test_route(void **state)
{
	static const char text[] = "Iface\tDestination\tGateway \tFlags\n"
				   "wan0\t00000000\tFE0071CB\t0003\n"
				   "lan0.10\t006433C6\t00000000\t0001\n";

	(void)state;
	assert_true(proc_has_route(text, "wan0"));
	assert_true(proc_has_route(text, "lan0.10"));
	assert_false(proc_has_route(text, "lan0"));
	assert_false(proc_has_route("", "lan0"));
}

static void
test_files(void **state)
{
	char text[PROC_TEXT_MAX];
	long long number = 0;

	(void)state;
	assert_true(proc_read("/proc/self/status", text) > 0);
	assert_int_equal(strncmp(text, "Name:", 5), 0);
	assert_int_equal(proc_read("/proc/no-such-file", text), -1);
	assert_string_equal(text, "");
	assert_int_equal(
	    proc_number(&number, "/proc/sys/kernel/%s", "pid_max"), 0);
	assert_true(number > 0);
	assert_int_equal(proc_number(&number, "/proc/%s/status", "self"), -1);
	assert_int_equal(proc_number(&number, "/proc/no-such-file"), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_status),
	    cmocka_unit_test(test_status_of_others),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_program),
	    cmocka_unit_test(test_counter),
	    cmocka_unit_test(test_inet6),
	    cmocka_unit_test(test_route),
	    cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
