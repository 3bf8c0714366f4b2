/* SPDX-License-Identifier: ISC */
/*
 * A queue of the kernel's own, in a network namespace: what is given which
 * verdict, and that nothing passes which was given none.  Needs root and a
 * kernel with queues; what they are for is the business of
 * tests/e2e/test_gate.py.
 */

#include "netfilter/queue.h"

#include <sys/wait.h>

#include <linux/netfilter/nfnetlink_queue.h>

#include <stdlib.h>

#include "netfilter/packet.h"
#include "netfilter/rules_queue.h"
#include "proxy/base/sandbox.h"
#include "proxy/config.h"
#include "tests/unit/chance.h"
#include "tests/unit/netns.h"

#define NUMBER  5
#define MARK    0x40
#define RUN_LEN 500

static bool is_there;
static struct queue *queue;

/* What was judged, by the first byte of each datagram, and what was seen. */
static char judged[8192];
static size_t judged_count;
static struct queue_packet seen;

static void
load_rules(enum rules_queue kind)
{
	char error[RULES_ERROR_MAX], text[1024];
	struct config *config;

	snprintf(text, sizeof(text),
	    "table inet postern {\n"
	    " chain out {\n"
	    "  type filter hook output priority 0; policy accept;\n"
	    "  udp dport %d meta mark and %d == %d accept\n"
	    "  udp dport %d goto ask\n"
	    " }\n"
	    " chain ask {\n"
	    "  %s\n"
	    " }\n"
	    " chain behind {\n"
	    "  type filter hook output priority 1; policy accept;\n"
	    "  meta mark 0x99 drop\n"
	    " }\n"
	    "}\n",
	    NETNS_PORT, MARK, MARK, NETNS_PORT,
	    kind == RULES_QUEUE_NFT ? "queue num 5" : "drop");
	netns_rules(text);
	if (kind == RULES_QUEUE_NFT)
		return;
	assert_non_null(config = config_new());
	config->gate.queue = NUMBER;
	config->gate.queues = 1;
	if (rules_queue_insert(config, error) == -1)
		fail_msg("%s", error);
	config_free(config);
}

static int
group_setup(void **state)
{
	enum rules_queue kind;

	(void)state;
	if (!netns_enter())
		return 0;
	if ((kind = rules_queue_find()) == RULES_QUEUE_NONE)
		return 0;
	load_rules(kind);
	is_there = true;
	return 0;
}

static void
open_queue(void)
{
	char error[QUEUE_ERROR_MAX];

	if ((queue = queue_open(NUMBER, error)) == NULL)
		fail_msg("%s", error);
}

static int
setup(void **state)
{
	(void)state;
	judged_count = 0;
	memset(judged, 0, sizeof(judged));
	return 0;
}

static int
teardown(void **state)
{
	char rest[8192];

	(void)state;
	queue_close(queue);
	queue = NULL;
	if (is_there)
		netns_received(rest, sizeof(rest));
	return 0;
}

#define NEEDS_QUEUE()                                                          \
	do {                                                                   \
		(void)state;                                                   \
		if (!is_there)                                                 \
			skip();                                                \
	} while (0)

/* a: accept, m: with a mark, r: repeat with a mark; all others: drop. */
static struct queue_answer
judge(void *arg, const struct queue_packet *packet)
{
	struct packet parsed;
	char letter;

	assert_ptr_equal(arg, judged);
	assert_true(packet_parse(packet->data, packet->len, &parsed));
	assert_int_equal(parsed.target.port, NETNS_PORT);
	assert_true(parsed.payload_len > 0);
	assert_true(judged_count < sizeof(judged) - 1);
	letter = (char)parsed.payload[0];
	judged[judged_count++] = letter;
	seen = *packet;
	switch (letter) {
	case 'a':
		return (struct queue_answer){.verdict = QUEUE_ACCEPT};
	case 'm':
		return (struct queue_answer){QUEUE_ACCEPT, true, 0x99};
	case 'r':
		return (struct queue_answer){QUEUE_REPEAT, true, MARK};
	default:
		return (struct queue_answer){.verdict = QUEUE_DROP};
	}
}

static void
send_letters(const char *letters)
{
	for (; *letters != '\0'; letters++)
		netns_send(NETNS_PORT, letters, 1);
}

/* Serves until there is nothing more, which is judged. */
static void
serve(const char *expected)
{
	int count;

	while ((count = queue_serve(queue, judge, judged)) > 0)
		assert_in_range(count, 1, QUEUE_BURST);
	assert_int_equal(count, 0);
	assert_string_equal(judged, expected);
}

static void
test_verdicts(void **state)
{
	char letters[RUN_LEN + 1] = "", expected[RUN_LEN + 1] = "";
	size_t i, len = 0;

	NEEDS_QUEUE();
	open_queue();
	for (i = 0; i < RUN_LEN; i++) {
		letters[i] = "aaaaadrm"[chance(8)];
		if (letters[i] == 'a' || letters[i] == 'r')
			expected[len++] = letters[i];
	}
	send_letters(letters);
	netns_assert_received(""); /* all of them wait */
	serve(letters);
	netns_assert_received(expected);
}

static void
test_each_alone(void **state)
{
	static const char *const letters[] = {"a", "d", "r", "m"};
	size_t i;

	NEEDS_QUEUE();
	open_queue();
	for (i = 0; i < sizeof(letters) / sizeof(letters[0]); i++) {
		judged_count = 0;
		send_letters(letters[i]);
		assert_true(netns_wait(queue_fd(queue)));
		serve(letters[i]);
		netns_assert_received(i % 2 == 0 ? letters[i] : "");
	}
}

static void
test_what_is_told(void **state)
{
	const int mark = 0x1234, none = 0;
	char big[2000];

	NEEDS_QUEUE();
	open_queue();
	memset(big, 'a', sizeof(big));
	assert_int_equal(
	    setsockopt(netns_sender, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)),
	    0);
	netns_send(NETNS_PORT, big, sizeof(big));
	assert_int_equal(
	    setsockopt(netns_sender, SOL_SOCKET, SO_MARK, &none, sizeof(none)),
	    0);
	serve("a");
	assert_int_equal(seen.len, QUEUE_COPY_BYTES);
	assert_int_equal(seen.mark, mark);
	assert_int_equal(seen.interface, 0); /* it came in nowhere */
	netns_assert_received("a"); /* and all of it */
}

/* One whose message is lost is not accepted along with those behind it. */
static void
test_unread_is_not_accepted(void **state)
{
	uint8_t message[2048];

	NEEDS_QUEUE();
	open_queue();
	send_letters("xa");
	assert_true(recv(queue_fd(queue), message, sizeof(message), 0) > 0);
	serve("a");
	netns_assert_received("a");
	send_letters("aaa");
	serve("aaaa");
	netns_assert_received("aaa");
}

static void
test_nobody_listens(void **state)
{
	NEEDS_QUEUE();
	send_letters("a");
	netns_assert_received("");
}

static void
test_reader_ends(void **state)
{
	NEEDS_QUEUE();
	open_queue();
	send_letters("aaa");
	queue_close(queue);
	queue = NULL;
	netns_assert_received("");
	send_letters("a");
	open_queue();
	serve("");
	netns_assert_received("");
}

/* What there is no room for is dropped, and the rest is not the worse for it.
 */
static void
test_full(void **state)
{
	static char received[2 * QUEUE_LENGTH];
	size_t i;

	NEEDS_QUEUE();
	open_queue();
	for (i = 0; i < QUEUE_LENGTH + 1000; i++)
		send_letters("a");
	while (queue_serve(queue, judge, judged) > 0)
		continue;
	assert_in_range(judged_count, QUEUE_BURST, QUEUE_LENGTH);
	netns_received(received, sizeof(received));
	assert_string_equal(received, judged);
	judged_count = 0;
	memset(judged, 0, sizeof(judged));
	send_letters("ada");
	serve("ada");
	netns_assert_received("aa");
}

/* Only the kernel's word counts. */
static void
test_forged(void **state)
{
	uint8_t message[2048];
	ssize_t len;

	NEEDS_QUEUE();
	open_queue();
	send_letters("a");
	len = recv(queue_fd(queue), message, sizeof(message), 0);
	assert_true(len > 0);
	netns_forge(queue_fd(queue), message, (size_t)len);
	serve("");
	netns_assert_received("");
}

static void
test_taken(void **state)
{
	char error[QUEUE_ERROR_MAX] = "";

	NEEDS_QUEUE();
	open_queue();
	assert_null(queue_open(NUMBER, error));
	assert_non_null(strstr(error, "queue 5: "));
	assert_non_null(strstr(error, "gate.queue"));
	send_letters("a"); /* the first is none the worse */
	serve("a");
	netns_assert_received("a");
}

/* As postern-gate does: opened outside, served from inside. */
static void
test_in_the_jail(void **state)
{
	const char *const paths[] = {NULL};
	const char *why;
	int status;
	pid_t pid;

	NEEDS_QUEUE();
	open_queue();
	send_letters("adrm");
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		if (sandbox_enter(SANDBOX_GATE, paths, &why) == -1)
			_exit(1);
		if (queue_serve(queue, judge, judged) != 4)
			_exit(2);
		_exit(strcmp(judged, "adrm") == 0 ? 0 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	netns_assert_received("ar");
}

static void
test_no_capability(void **state)
{
	char error[QUEUE_ERROR_MAX];
	int status;
	pid_t pid;

	NEEDS_QUEUE();
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0)
		_exit(setuid(65534) == -1                      ? 1
		      : queue_open(NUMBER, error) != NULL      ? 2
		      : strstr(error, "CAP_NET_ADMIN") == NULL ? 3
							       : 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_verdicts),
	    TEST(test_each_alone),
	    TEST(test_what_is_told),
	    TEST(test_unread_is_not_accepted),
	    TEST(test_nobody_listens),
	    TEST(test_reader_ends),
	    TEST(test_full),
	    TEST(test_forged),
	    TEST(test_taken),
	    TEST(test_in_the_jail),
	    TEST(test_no_capability),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
