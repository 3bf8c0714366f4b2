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

#include "gate_rule.h"

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

/* What postern-gate needs. */

static char *
gate_text(const struct config *config, enum rules_queue queue, bool has_log)
{
	char error[RULES_ERROR_MAX] = "";
	const struct rules_host host = {.queue = queue, .has_log = has_log};
	char *text = rules_text(config, &host, error);

	if (text == NULL) {
		fail_msg("no text: %s", error);
		return NULL;
	}
	assert_lacks(text, "@");
	assert_lacks(text, "bypass");
	return text;
}

static struct admission_rule *
add_client(
    struct config *config, const char *words, enum config_verdict verdict)
{
	struct admission_rule *longer = realloc(
	    config->clients, (config->client_count + 1) * sizeof(*longer));

	assert_non_null(longer);
	config->clients = longer;
	longer += config->client_count++;
	gate_rule_fill(longer, words, verdict);
	return longer;
}

static size_t
count_of(const char *text, const char *what)
{
	size_t count = 0;

	for (; (text = strstr(text, what)) != NULL; text++)
		count++;
	return count;
}

static void
test_no_gate(void **state)
{
	static const char *const words[] = {
	    "queue", "log", "exempt", "chain admit", "chain ask", "watch"};
	struct config *config = *state;
	char *plain = gate_text(config, RULES_QUEUE_NONE, false), *text;
	size_t i;

	add_client(config, "192.0.2.1", CONFIG_EXEMPT);
	text = gate_text(config, RULES_QUEUE_NONE, true);
	assert_string_equal(text, plain);
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		assert_lacks(text, words[i]);
	free(text);
	free(plain);
	config->mode = CONFIG_LOCAL;
	plain = text_of(config, CONFIG_OWN_MARK);
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		assert_lacks(plain, words[i]);
	free(plain);
}

/* Asked before it is seized; what comes back refused, before it is asked. */
static void
test_gate(void **state)
{
	static const char first[] =
	    "iifname { \"lan0\" } tcp dport { 25 } tcp flags & (syn | ack) == "
	    "syn fib daddr type != local ";
	struct config *config = *state;
	char *text = gate_text(config, RULES_QUEUE_NFT, false);

	assert_order(text,
	    "chain admit {\n\t\ttype filter hook prerouting priority mangle; ",
	    first);
	assert_order(text, "meta mark and 0x40 == 0x40 reject with tcp reset\n",
	    "goto ask\n");
	assert_order(
	    text, "goto ask\n", "chain ask {\n\t\tqueue num 925-928\n\t}\n");
	assert_order(text, "chain ask",
	    "chain prerouting {\n\t\ttype filter hook prerouting priority "
	    "mangle + 1;");
	assert_int_equal(count_of(text, first), 2);
	assert_lacks(text, "log");
	assert_lacks(text, "exempt");
	free(text);
	config->gate.queues = 1;
	config->gate.queue = 7;
	text = gate_text(config, RULES_QUEUE_NFT, false);
	assert_holds(text, "chain ask {\n\t\tqueue num 7\n\t}\n");
	free(text);
}

/* Until the target is put before it, and where it is lost, all is dropped. */
static void
test_gate_by_target(void **state)
{
	char *text = gate_text(*state, RULES_QUEUE_XT, false);

	assert_lacks(text, "queue num");
	assert_holds(text,
	    "chain ask {\n"
	    "\t\t# before this stands the xtables target NFQUEUE, to 925-928\n"
	    "\t\tdrop\n\t}\n");
	free(text);
}

static void
test_watch(void **state)
{
	char *text = gate_text(*state, RULES_QUEUE_XT, true);

	assert_order(text, "chain watch_prerouting {\n", "chain admit");
	assert_order(text, "chain watch_output {\n", "chain admit");
	assert_holds(text, "hook prerouting priority mangle - 1; ");
	assert_holds(text, "hook output priority mangle - 1; ");
	assert_int_equal(count_of(text, "udp sport 53 limit rate "), 2);
	assert_int_equal(count_of(text, "tcp sport 53 limit rate "), 2);
	assert_int_equal(
	    count_of(text, " log group 925 queue-threshold 1\n"), 4);
	free(text);
}

/* Other verdicts are for postern-gate alone to know. */
static void
test_only_exempt_is_written(void **state)
{
	struct config *config = *state;
	char *plain = gate_text(config, RULES_QUEUE_NFT, true), *text;

	add_client(config, "192.0.2.1 if:lan0", CONFIG_REJECT);
	add_client(config, "2001:db8::1 mark:0x1/0x1", CONFIG_INTERCEPT);
	text = gate_text(config, RULES_QUEUE_NFT, true);
	assert_string_equal(text, plain);
	free(text);
	free(plain);
}

static void
test_exempt(void **state)
{
	struct config *config = *state;
	char *text;

	add_client(config, "192.0.2.1 10.0.0.0/8 2001:db8::/32", CONFIG_EXEMPT);
	text = gate_text(config, RULES_QUEUE_NFT, false);
	/* What may be seized already is, before anybody is exempted. */
	assert_order(text, "chain ask", "chain exempt {\n");
	assert_order(text, "chain exempt {\n", "chain prerouting");
	assert_order(text,
	    "meta mark and 0x40 != 0x40 "
	    "ct mark set ct mark and 0xffffffbf goto seize\n",
	    "meta mark set meta mark and 0xffffffbf "
	    "ct mark set ct mark or 0x40 accept\n");
	assert_order(text, "ct mark set ct mark or 0x40 accept\n",
	    "ct mark and 0x40 == 0x40 accept\n\t\tgoto seize\n\t}\n");
	assert_order(text, "tcp sport { 25 } socket transparent 1",
	    "\t\tiifname { \"lan0\" } tcp dport { 25 } meta nfproto ipv4 "
	    "ip saddr { 192.0.2.1, 10.0.0.0/8 } "
	    "fib daddr type != local goto exempt\n"
	    "\t\tiifname { \"lan0\" } tcp dport { 25 } meta nfproto ipv6 "
	    "ip6 saddr { 2001:db8::/32 } "
	    "fib daddr type != local goto exempt\n"
	    "\t\tiifname { \"lan0\" } tcp dport { 25 } "
	    "fib daddr type != local goto seize\n");
	assert_order(text, "hook forward",
	    "\t\tct mark and 0x40 == 0x40 ct direction original "
	    "tcp dport { 25 } meta nfproto ipv4 "
	    "ip saddr { 192.0.2.1, 10.0.0.0/8 } accept\n");
	assert_order(text,
	    "\t\tct mark and 0x40 == 0x40 ct direction reply "
	    "tcp sport { 25 } meta nfproto ipv6 "
	    "ip6 daddr { 2001:db8::/32 } accept\n",
	    "\t\ttcp dport { 25 } reject with tcp reset\n");
	free(text);
}

static void
test_exempt_of_one_family(void **state)
{
	struct config *config = *state;
	char *text;

	add_client(config, "192.0.2.1", CONFIG_EXEMPT);
	text = gate_text(config, RULES_QUEUE_NFT, false);
	assert_int_equal(count_of(text, "ip saddr { 192.0.2.1 }"), 2);
	assert_int_equal(count_of(text, "ip daddr { 192.0.2.1 }"), 1);
	assert_lacks(text, "ip6 saddr");
	assert_int_equal(count_of(text, "goto exempt"), 1);
	free(text);
	add_client(config, "2001:db8::1", CONFIG_EXEMPT);
	text = gate_text(config, RULES_QUEUE_NFT, false);
	assert_int_equal(count_of(text, "ip6 saddr { 2001:db8::1 }"), 2);
	assert_int_equal(count_of(text, "goto exempt"), 2);
	free(text);
}

static void
test_exempt_by_interface_and_mark(void **state)
{
	struct config *config = *state;
	char *text;

	add_client(config, "if:dmz0 if:dmz1 mark:0x7/0xffffffff mark:0x10/0x30",
	    CONFIG_EXEMPT);
	text = gate_text(config, RULES_QUEUE_NFT, false);
	/* Two families, two marks; postern's own bit is none of theirs. */
	assert_int_equal(count_of(text, "goto exempt"), 4);
	assert_holds(text,
	    " meta nfproto ipv6 iifname { \"dmz0\", \"dmz1\" } "
	    "meta mark and 0xffffffbf == 0x7 fib daddr type != local "
	    "goto exempt\n");
	assert_holds(text,
	    "ct direction original tcp dport { 25 } meta nfproto ipv4 "
	    "iifname { \"dmz0\", \"dmz1\" } meta mark and 0x30 == 0x10 "
	    "accept\n");
	assert_int_equal(count_of(text, "ct direction original"), 4);
	/* What comes back bears no mark. */
	assert_holds(text,
	    "ct direction reply tcp sport { 25 } meta nfproto ipv4 "
	    "oifname { \"dmz0\", \"dmz1\" } accept\n");
	assert_int_equal(count_of(text, "ct direction reply"), 2);
	free(text);
}

/* Of a block's text only what is checked becomes nft's. */
static void
test_block_is_no_syntax(void **state)
{
	static const char *const names[] = {
	    "", "lan0\"", "lan0\" } accept #", "lan*", "lan 0", "a;b", "$lan"};
	static const char *const matches[] = {"", "192.0.2.1 } accept #",
	    "192.0.2.1/24 }", "$net", "mx.example.org", "@set", "{", "*"};
	struct config *config = *state;
	struct admission_rule *rule;
	char *text;
	size_t i;

	rule = add_client(config, "192.0.2.1 if:lan0", CONFIG_EXEMPT);
	free(rule->name);
	rule->name = strdup("x\"\n accept #");
	free(rule->origin);
	rule->origin = strdup("x\"\n accept #:1");
	text = gate_text(config, RULES_QUEUE_NFT, false);
	assert_lacks(text, "x\"");
	free(text);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		free(rule->interfaces[0]);
		rule->interfaces[0] = strdup(names[i]);
		assert_refused(config, names[i]);
	}
	free(rule->interfaces[0]);
	rule->interfaces[0] = strdup("lan0");
	for (i = 0; i < sizeof(matches) / sizeof(matches[0]); i++) {
		free(rule->matches[0]);
		rule->matches[0] = strdup(matches[i]);
		text = gate_text(config, RULES_QUEUE_NFT, false);
		assert_lacks(text, "goto exempt");
		assert_int_equal(count_of(text, "ct direction"), 0);
		free(text);
	}
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
	    TEST(test_no_gate),
	    TEST(test_gate),
	    TEST(test_gate_by_target),
	    TEST(test_watch),
	    TEST(test_only_exempt_is_written),
	    TEST(test_exempt),
	    TEST(test_exempt_of_one_family),
	    TEST(test_exempt_by_interface_and_mark),
	    TEST(test_block_is_no_syntax),
	    TEST(test_here_takes_the_users_id),
	    TEST(test_own_is_as_configured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
