/* SPDX-License-Identifier: ISC */
/*
 * Copies of packets, from a log group of the kernel's in a network namespace.
 * Needs root and nft's `log group`.
 */

#include "netfilter/dns_tap.h"

#include <sys/wait.h>

#include <stdlib.h>

#include "netfilter/packet.h"
#include "netfilter/rules_queue.h"
#include "tests/unit/netns.h"

#define GROUP 6

static bool is_there;
static struct dns_tap *tap;
static char taken[8192];
static size_t taken_count, last_len;
static bool last_is_whole;

static int
group_setup(void **state)
{
	(void)state;
	if (!netns_enter() || !rules_log_find())
		return 0;
	netns_rules("table inet t {\n"
		    " chain out {\n"
		    "  type filter hook output priority 0; policy accept;\n"
		    "  udp dport 2525 log group 6 queue-threshold 1\n"
		    " }\n"
		    "}\n");
	is_there = true;
	return 0;
}

static int
setup(void **state)
{
	char error[DNS_TAP_ERROR_MAX];

	(void)state;
	taken_count = 0;
	memset(taken, 0, sizeof(taken));
	if (!is_there)
		return 0;
	if ((tap = dns_tap_open(GROUP, error)) == NULL)
		fprintf(stderr, "%s\n", error);
	return tap == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	dns_tap_close(tap);
	tap = NULL;
	return 0;
}

#define NEEDS_TAP()                                                            \
	do {                                                                   \
		(void)state;                                                   \
		if (!is_there)                                                 \
			skip();                                                \
	} while (0)

static void
take(void *arg, const uint8_t *data, size_t len)
{
	struct packet packet;

	assert_ptr_equal(arg, taken);
	assert_true(len <= DNS_TAP_COPY_BYTES);
	assert_true(packet_parse(data, len, &packet));
	assert_int_equal(packet.protocol, IPPROTO_UDP);
	assert_int_equal(packet.target.port, NETNS_PORT);
	assert_true(packet.payload_len > 0);
	assert_true(taken_count < sizeof(taken) - 1);
	taken[taken_count++] = (char)packet.payload[0];
	last_len = len;
	last_is_whole = packet.is_whole;
}

static void
read_all(const char *expected)
{
	int count;

	while ((count = dns_tap_read(tap, take, taken)) > 0)
		assert_in_range(count, 1, DNS_TAP_BURST);
	assert_int_equal(count, 0);
	assert_string_equal(taken, expected);
}

/* Copies: what was sent arrives whether they are read or not. */
static void
test_copies(void **state)
{
	NEEDS_TAP();
	read_all("");
	netns_send(NETNS_PORT, "a", 1);
	netns_send(NETNS_PORT, "b", 1);
	netns_assert_received("ab");
	assert_true(netns_wait(dns_tap_fd(tap)));
	read_all("ab");
	netns_send(NETNS_PORT, "c", 1);
	netns_assert_received("c");
}

static void
test_many(void **state)
{
	char letters[20 * DNS_TAP_BURST + 1] = "";
	size_t i;

	NEEDS_TAP();
	for (i = 0; i < sizeof(letters) - 1; i++) {
		letters[i] = (char)('a' + i % 26);
		netns_send(NETNS_PORT, &letters[i], 1);
	}
	netns_assert_received(letters);
	read_all(letters);
}

/* What nobody reads in time is lost, and no fault of the tap. */
static void
test_too_many(void **state)
{
	static char got[8192];
	int i;

	NEEDS_TAP();
	for (i = 0; i < 8000; i++)
		netns_send(NETNS_PORT, "x", 1);
	assert_int_equal(netns_received(got, sizeof(got)), 8000);
	while (dns_tap_read(tap, take, taken) > 0)
		continue;
	assert_in_range(taken_count, 1, 8000);
	taken_count = 0;
	memset(taken, 0, sizeof(taken));
	netns_send(NETNS_PORT, "y", 1);
	netns_assert_received("y");
	read_all("y");
}

static void
test_large(void **state)
{
	static char big[9000];

	NEEDS_TAP();
	memset(big, 'z', sizeof(big));
	netns_send(NETNS_PORT, big, 4000);
	read_all("z");
	assert_int_equal(last_len, 4028);
	assert_true(last_is_whole);
	netns_send(NETNS_PORT, big, sizeof(big));
	read_all("zz");
	assert_int_equal(last_len, DNS_TAP_COPY_BYTES);
	assert_false(last_is_whole);
	netns_assert_received("zz");
}

/* Only the kernel's word counts. */
static void
test_forged(void **state)
{
	uint8_t message[8192];
	ssize_t len;

	NEEDS_TAP();
	netns_send(NETNS_PORT, "a", 1);
	len = recv(dns_tap_fd(tap), message, sizeof(message), 0);
	assert_true(len > 0);
	netns_forge(dns_tap_fd(tap), message, (size_t)len);
	netns_send(NETNS_PORT, "b", 1);
	read_all("b");
	netns_assert_received("ab");
}

static void
test_not_opened(void **state)
{
	char error[DNS_TAP_ERROR_MAX] = "";
	int status;
	pid_t pid;

	NEEDS_TAP();
	assert_null(dns_tap_open(GROUP, error)); /* taken */
	assert_non_null(strstr(error, "log group 6: "));
	netns_send(NETNS_PORT, "a", 1);
	read_all("a");
	netns_assert_received("a");
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0)
		_exit(setuid(65534) == -1                      ? 1
		      : dns_tap_open(GROUP + 1, error) != NULL ? 2
							       : 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_copies),
	    TEST(test_many),
	    TEST(test_too_many),
	    TEST(test_large),
	    TEST(test_forged),
	    TEST(test_not_opened),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
