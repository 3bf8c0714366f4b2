/* SPDX-License-Identifier: ISC */
/*
 * What this kernel has for packets that wait, asked in a network namespace:
 * to ask changes nothing, and the rule that nft cannot write stands where it
 * belongs.
 */

#include "netfilter/rules_queue.h"

#include <sys/wait.h>

#include <stdlib.h>

#include "tests/unit/netns.h"

static bool is_there;

static int
group_setup(void **state)
{
	(void)state;
	is_there = netns_enter();
	return 0;
}

#define NEEDS_ROOT()                                                           \
	do {                                                                   \
		(void)state;                                                   \
		if (!is_there)                                                 \
			skip();                                                \
	} while (0)

static bool
has_table(const char *name)
{
	char error[NFT_ERROR_MAX], text[64];

	snprintf(text, sizeof(text), "list table inet %s\n", name);
	return nft_run(text, error) == 0;
}

/* Many times over, since an answer that is not there must not be waited for. */
static void
test_asking_changes_nothing(void **state)
{
	enum rules_queue kind;
	int i;

	NEEDS_ROOT();
	kind = rules_queue_find();
	for (i = 0; i < 20; i++) {
		assert_int_equal(rules_queue_find(), kind);
		(void)rules_log_find();
		assert_false(has_table("postern_asks"));
		assert_false(has_table("postern"));
	}
}

/* Who may not ask hears of what every kernel should have. */
static void
test_without_capability(void **state)
{
	int status;
	pid_t pid;

	NEEDS_ROOT();
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0)
		_exit(setuid(65534) == -1                     ? 1
		      : rules_queue_find() != RULES_QUEUE_NFT ? 2
		      : !rules_log_find()                     ? 3
							      : 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int
insert(uint32_t first, uint32_t count, char error[RULES_ERROR_MAX])
{
	struct config *config = config_new();
	int ret;

	assert_non_null(config);
	config->gate.queue = first;
	config->gate.queues = count;
	ret = rules_queue_insert(config, error);
	config_free(config);
	return ret;
}

/* Nowhere to put it, or nothing to put: it is said at once. */
static void
test_no_chain(void **state)
{
	char error[RULES_ERROR_MAX] = "";

	NEEDS_ROOT();
	assert_int_equal(insert(1, 1, error), -1);
	assert_non_null(strstr(error, "the target NFQUEUE: "));
	assert_non_null(strstr(error, "dropped"));
	assert_false(has_table("postern"));
	netns_rules("table inet postern { chain other { }\n }\n");
	assert_int_equal(insert(1, 1, error), -1);
	netns_rules("delete table inet postern\n");
}

/* Before the rule that drops: else a datagram would be refused at once. */
static void
test_insert(void **state)
{
	char error[RULES_ERROR_MAX] = "";

	NEEDS_ROOT();
	if (rules_queue_find() != RULES_QUEUE_XT)
		skip();
	netns_rules("table inet postern {\n"
		    " chain out {\n"
		    "  type filter hook output priority 0; policy accept;\n"
		    "  udp dport 2525 goto ask\n"
		    " }\n"
		    " chain ask {\n"
		    "  accept\n"
		    " }\n"
		    "}\n");
	netns_send(NETNS_PORT, "1", 1);
	netns_assert_received("1");
	if (insert(65519, 16, error) == -1)
		fail_msg("%s", error);
	netns_send(NETNS_PORT, "2", 1); /* nobody listens: dropped */
	netns_assert_received("");
	netns_rules("delete table inet postern\n");
	netns_send(NETNS_PORT, "3", 1);
	netns_assert_received("3");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_asking_changes_nothing),
	    cmocka_unit_test(test_without_capability),
	    cmocka_unit_test(test_no_chain),
	    cmocka_unit_test(test_insert),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
