/* SPDX-License-Identifier: ISC */
/*
 * The rules as text: what stands in them for which settings.  What the kernel
 * makes of them is the business of tests/e2e/test_rules.py.
 */

#include "netfilter/rules_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define UID 4242

static int
setup(void **state)
{
	struct config *config;

	if ((config = config_new()) == NULL)
		return -1;
	config->interfaces = calloc(2, sizeof(char *));
	config->interfaces[0] = strdup("lan0");
	config->interface_count = 1;
	config->mark = 0x40;
	config->listen_port = 10026;
	config->route_table = 77;
	config->route_priority = 900;
	*state = config;
	return 0;
}

static int
teardown(void **state)
{
	config_free(*state);
	return 0;
}

static char *
text_of(const struct config *config, enum config_own own)
{
	char error[RULES_ERROR_MAX] = "";
	const struct rules_host host = {.own = own, .uid = UID};
	char *text = rules_text(config, &host, error);

	if (text == NULL)
		fail_msg("no text: %s", error);
	return text;
}

static void
assert_holds(const char *text, const char *what)
{
	if (strstr(text, what) == NULL)
		fail_msg("\"%s\" is not in:\n%s", what, text);
}

static void
assert_lacks(const char *text, const char *what)
{
	if (strstr(text, what) != NULL)
		fail_msg("\"%s\" is in:\n%s", what, text);
}

/* first stands before second, and both are there. */
static void
assert_order(const char *text, const char *first, const char *second)
{
	assert_holds(text, first);
	if (strstr(strstr(text, first), second) == NULL)
		fail_msg(
		    "\"%s\" is not behind \"%s\" in:\n%s", second, first, text);
}

static void
assert_refused(const struct config *config, const char *why)
{
	const struct rules_host host = {.own = CONFIG_OWN_MARK, .uid = UID};
	char error[RULES_ERROR_MAX] = "";

	assert_null(rules_text(config, &host, error));
	assert_holds(error, why);
}

static void
test_begins_by_replacing_itself(void **state)
{
	static const char head[] = "add table inet postern\n"
				   "delete table inet postern\n"
				   "table inet postern {\n";
	struct config *config = *state;
	char *text;

	text = text_of(config, CONFIG_OWN_MARK);
	assert_memory_equal(text, head, strlen(head));
	assert_lacks(text + strlen(head), "\ntable");
	free(text);
	config->mode = CONFIG_LOCAL;
	text = text_of(config, CONFIG_OWN_MARK);
	assert_memory_equal(text, head, strlen(head));
	assert_lacks(text + strlen(head), "\ntable");
	free(text);
}

static void
test_gateway(void **state)
{
	char *text = text_of(*state, CONFIG_OWN_MARK);

	assert_order(text,
	    "iifname { \"lan0\" } tcp dport { 25 } "
	    "fib daddr type != local goto seize",
	    "chain seize");
	assert_order(text, "chain seize {\n\t\tmeta mark set meta mark or 0x40",
	    "tproxy ip to 127.0.0.1:10026 accept");
	assert_order(text, "tproxy ip to 127.0.0.1:10026 accept",
	    "tproxy ip6 to [::1]:10026 accept");
	assert_order(text, "tproxy ip6 to [::1]:10026 accept",
	    "reject with tcp reset\n\t}\n\tchain forward");
	assert_order(text, "hook forward",
	    "\t\ttcp dport { 25 } reject with tcp reset\n"
	    "\t\ttcp sport { 25 } reject with tcp reset\n");
	assert_order(text, "hook input", "tcp dport 10026 tcp flags");
	assert_lacks(text, "skuid");
	assert_lacks(text, "redirect");
	assert_lacks(text, "@");
	free(text);
}

static void
test_gateway_routing_is_told(void **state)
{
	char *text = text_of(*state, CONFIG_OWN_MARK);

	assert_order(
	    text, "\n}\n", "#   ip -4 route add local default dev lo table 77");
	assert_holds(text,
	    "#   ip -4 rule add pref 900 iif lo fwmark 0x40/0x40 goto 902");
	assert_holds(
	    text, "#   ip -6 rule add pref 901 fwmark 0x40/0x40 lookup 77");
	assert_holds(
	    text, "#   ip -6 rule add pref 902 iif lo fwmark 0x40/0x40 nop");
	free(text);
}

static void
test_many(void **state)
{
	struct config *config = *state;
	char *text;

	config->interfaces[1] = strdup("br-lan.5");
	config->interface_count = 2;
	config->ports[1] = 587;
	config->port_count = 2;
	text = text_of(config, CONFIG_OWN_MARK);
	assert_holds(text, "iifname { \"lan0\", \"br-lan.5\" } "
			   "tcp dport { 25, 587 } ");
	assert_holds(text, "\ttcp dport { 25, 587 } reject with tcp reset");
	assert_holds(text, "\ttcp sport { 25, 587 } reject with tcp reset");
	free(text);
}

/* What comes in is let through ahead of the refusals, and nothing else is. */
static void
test_inbound(void **state)
{
	struct config *config = *state;
	char *text = text_of(config, CONFIG_OWN_MARK);

	assert_lacks(text, "oifname");
	free(text);
	config->inbound = calloc(2, sizeof(char *));
	config->inbound[0] = strdup("wan0");
	config->inbound[1] = strdup("wan1");
	config->inbound_count = 2;
	text = text_of(config, CONFIG_OWN_MARK);
	assert_order(text, "hook forward",
	    "\t\tiifname { \"wan0\", \"wan1\" } oifname != { \"wan0\", "
	    "\"wan1\" } tcp dport { 25 } accept\n"
	    "\t\toifname { \"wan0\", \"wan1\" } iifname != { \"wan0\", "
	    "\"wan1\" } tcp sport { 25 } accept\n");
	assert_order(text, "tcp sport { 25 } accept",
	    "\t\ttcp dport { 25 } reject with tcp reset\n");
	free(text);
	free(config->inbound[1]);
	config->inbound[1] = strdup("x\"; accept; #");
	assert_refused(config, "x\"; accept; #");
}

static void
test_local_by_mark(void **state)
{
	static const char own[] =
	    "meta skuid 4242 meta mark and 0x40 == 0x40 accept\n";
	static const char kept[] = "meta skuid 4242 meta mark and 0x40 == 0x40 "
				   "ct mark set ct mark or 0x40 accept\n";
	static const char others[] = "meta skuid != 4242 reject";
	struct config *config = *state;
	char *text;

	config->mode = CONFIG_LOCAL;
	text = text_of(config, CONFIG_OWN_MARK);
	assert_order(text, own,
	    "tcp dport { 25 } fib daddr type != local redirect to :10026");
	assert_order(text, kept, others);
	assert_order(text, others, "ct mark and 0x40 == 0x40 accept\n");
	assert_order(text, "ct mark and 0x40 == 0x40 accept\n",
	    "\t\tmeta l4proto tcp reject with tcp reset\n");
	assert_order(text, "ct original proto-dst { 25 } accept",
	    "tcp dport 10026 tcp flags");
	assert_lacks(text, "tproxy");
	assert_lacks(text, "ip -4");
	free(text);
}

static void
test_local_by_uid(void **state)
{
	struct config *config = *state;
	char *text;

	config->mode = CONFIG_LOCAL;
	text = text_of(config, CONFIG_OWN_UID);
	assert_holds(text, "meta skuid 4242 accept\n");
	assert_holds(
	    text, "meta skuid 4242 ct mark set ct mark or 0x40 accept");
	assert_lacks(text, "meta mark");
	free(text);
}

/* In local mode the user is what tells postern apart, and root is anybody. */
static void
test_root_is_refused(void **state)
{
	const struct rules_host host = {.own = CONFIG_OWN_MARK, .uid = 0};
	char error[RULES_ERROR_MAX] = "";
	struct config *config = *state;

	config->mode = CONFIG_LOCAL;
	assert_null(rules_text(config, &host, error));
	assert_holds(error, "root");
}

static void
test_own_port_is_refused(void **state)
{
	struct config *config = *state;

	config->ports[config->port_count++] = config->listen_port;
	assert_refused(config, "10026");
	config->mode = CONFIG_LOCAL;
	assert_refused(config, "10026");
}

static void
test_nothing_to_intercept_is_refused(void **state)
{
	struct config *config = *state;

	config->port_count = 0;
	assert_refused(config, "port");
	config->port_count = 1;
	free(config->interfaces[0]);
	config->interface_count = 0;
	assert_refused(config, "interfaces");
}

static void
test_interface_is_no_syntax(void **state)
{
	static const char *const names[] = {
	    "",
	    ".",
	    "..",
	    "lan*",
	    "lan 0",
	    "lan0\n",
	    "lan0\"",
	    "lan0\\",
	    "lan0\" }",
	    "\"; flush",
	    "{}",
	    "a;b",
	    "a#b",
	    "$lan",
	    "a/b",
	    "a:b",
	    "l\xc3\xa4n",
	    "lo",
	    "sixteen-letters.",
	};
	struct config *config = *state;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		free(config->interfaces[0]);
		config->interfaces[0] = strdup(names[i]);
		assert_refused(config, "");
	}
	free(config->interfaces[0]);
	config->interfaces[0] = strdup("fifteen-letters");
	free(text_of(config, CONFIG_OWN_MARK));
}

static void
test_here_takes_the_users_id(void **state)
{
	char error[RULES_ERROR_MAX] = "";
	struct config *config = *state;
	char *text;

	config->mode = CONFIG_LOCAL;
	config->own_connections = CONFIG_OWN_UID;
	free(config->user);
	config->user = strdup("nobody");
	text = rules_text_here(config, error);
	assert_non_null(text);
	assert_holds(text, "meta skuid 65534 accept\n");
	free(text);
	free(config->user);
	config->user = strdup("no-such-user-here");
	assert_null(rules_text_here(config, error));
	assert_holds(error, "no-such-user-here: no such user");
	free(config->user);
	config->user = strdup("root");
	assert_null(rules_text_here(config, error));
	assert_holds(error, "root");
}

static void
test_own_is_as_configured(void **state)
{
	struct config *config = *state;

	config->own_connections = CONFIG_OWN_UID;
	assert_int_equal(rules_own(config), CONFIG_OWN_UID);
	config->own_connections = CONFIG_OWN_MARK;
	assert_int_equal(rules_own(config), CONFIG_OWN_MARK);
	config->own_connections = CONFIG_OWN_AUTO;
	assert_int_not_equal(rules_own(config), CONFIG_OWN_AUTO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_begins_by_replacing_itself),
	    TEST(test_gateway),
	    TEST(test_gateway_routing_is_told),
	    TEST(test_many),
	    TEST(test_inbound),
	    TEST(test_local_by_mark),
	    TEST(test_local_by_uid),
	    TEST(test_root_is_refused),
	    TEST(test_own_port_is_refused),
	    TEST(test_nothing_to_intercept_is_refused),
	    TEST(test_interface_is_no_syntax),
	    TEST(test_here_takes_the_users_id),
	    TEST(test_own_is_as_configured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
