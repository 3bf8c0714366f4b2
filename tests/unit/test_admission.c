/* SPDX-License-Identifier: ISC */
/*
 * What becomes of a connection.  The table is held against a model that looks
 * at every block in turn, on many random configurations.
 */

#include "netfilter/admission.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chance.h"
#include "gate_rule.h"
#include "proxy/config_value.h"

#define OWN_MARK   0x100
#define MODEL_RUNS 2000
#define MODEL_ASKS 50

static struct config *config;
static struct admission *admission;

static int
setup(void **state)
{
	(void)state;
	if ((config = config_new()) == NULL)
		return -1;
	config->mark = OWN_MARK;
	config->clients = calloc(64, sizeof(*config->clients));
	config->destinations = calloc(64, sizeof(*config->destinations));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	admission_free(admission);
	admission = NULL;
	config_free(config);
	return 0;
}

static struct admission_rule *
add_client(const char *words, enum config_verdict verdict)
{
	struct admission_rule *rule = &config->clients[config->client_count++];

	gate_rule_fill(rule, words, verdict);
	return rule;
}

static struct admission_rule *
add_destination(const char *words, enum config_verdict verdict)
{
	struct admission_rule *rule =
	    &config->destinations[config->destination_count++];

	gate_rule_fill(rule, words, verdict);
	return rule;
}

static struct admission_word
judge(const char *source, const char *target, const char *interface,
    uint32_t mark)
{
	struct admission_packet packet = {.interface = interface, .mark = mark};

	if (admission == NULL)
		admission = admission_new(config);
	assert_non_null(admission);
	assert_int_equal(address_from_text(&packet.source, source), 0);
	assert_int_equal(address_from_text(&packet.target, target), 0);
	packet.source.port = 40000;
	packet.target.port = 25;
	return admission_judge(admission, &packet);
}

/* rule NULL: no client block covers it. */
static void
assert_client(const char *source, const char *interface, uint32_t mark,
    const struct admission_rule *rule)
{
	struct admission_word word = judge(
	    source, "198.51.100.1", interface, mark);

	assert_ptr_equal(word.client, rule);
	assert_null(word.destination);
	assert_int_equal(
	    word.verdict, rule == NULL ? CONFIG_INTERCEPT : rule->verdict);
}

static void
test_no_blocks(void **state)
{
	(void)state;
	assert_client("192.0.2.1", "", 0, NULL);
	assert_client("2001:db8::1", "lan0", UINT32_MAX, NULL);
}

static void
test_longest_match(void **state)
{
	const struct admission_rule *all, *wide, *narrow, *host, *ipv6;

	(void)state;
	narrow = add_client("10.1.2.0/24 10.1.3.0/25", CONFIG_REJECT);
	wide = add_client("10.0.0.0/8 192.0.2.0/31", CONFIG_EXEMPT);
	host = add_client("10.1.2.255 2001:db8::/128", CONFIG_INTERCEPT);
	ipv6 = add_client("2001:db8::/33 ::/0", CONFIG_REJECT);
	all = add_client("", CONFIG_INTERCEPT); /* as long as ::/0, but last */
	assert_client("9.255.255.255", "", 0, all);
	assert_client("10.0.0.0", "", 0, wide);
	assert_client("10.255.255.255", "", 0, wide);
	assert_client("11.0.0.0", "", 0, all);
	assert_client("10.1.1.255", "", 0, wide);
	assert_client("10.1.2.0", "", 0, narrow);
	assert_client("10.1.2.254", "", 0, narrow);
	assert_client("10.1.2.255", "", 0, host);
	assert_client("10.1.3.127", "", 0, narrow);
	assert_client("10.1.3.128", "", 0, wide);
	assert_client("192.0.2.1", "", 0, wide);
	assert_client("192.0.2.2", "", 0, all);
	assert_client("2001:db8::", "", 0, host);
	assert_client("2001:db8::1", "", 0, ipv6);
	assert_client("2001:db8:8000::", "", 0, ipv6);
	assert_client("::", "", 0, ipv6);
}

/* Of one family's numbers none is the other's. */
static void
test_families_apart(void **state)
{
	const struct admission_rule *ipv4, *ipv6;

	(void)state;
	ipv6 = add_client("::/0", CONFIG_REJECT);
	ipv4 = add_client("0.0.0.0/0", CONFIG_EXEMPT);
	assert_client("0.0.0.0", "", 0, ipv4);
	assert_client("255.255.255.255", "", 0, ipv4);
	assert_client("::", "", 0, ipv6);
	assert_client("a00::", "", 0, ipv6);
	assert_client("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "", 0, ipv6);
	assert_client("10.0.0.0", "", 0, ipv4);
}

static void
test_what_asks_for_more(void **state)
{
	const struct admission_rule *plain, *by_if, *by_mark, *by_both, *host;

	(void)state;
	plain = add_client("10.0.0.0/8", CONFIG_REJECT);
	by_if = add_client("10.0.0.0/8 if:lan0 if:lan1", CONFIG_REJECT);
	by_mark = add_client("10.0.0.0/8 mark:0x7", CONFIG_REJECT);
	by_both = add_client("10.0.0.0/8 if:lan0 mark:0x7", CONFIG_REJECT);
	(void)add_client("10.0.0.0/8", CONFIG_EXEMPT); /* comes second */
	host = add_client("10.0.0.1 if:lan9", CONFIG_EXEMPT);
	assert_client("10.0.0.1", "lan0", 7, by_both);
	assert_client("10.0.0.1", "lan1", 7, by_mark);
	assert_client("10.0.0.1", "lan1", 8, by_if);
	assert_client("10.0.0.1", "lan2", 8, plain);
	assert_client("10.0.0.1", "lan", 8, plain);
	assert_client("10.0.0.1", "", 8, plain);
	/* The longest of those that cover it. */
	assert_client("10.0.0.1", "lan9", 7, host);
	assert_client("10.0.0.2", "lan9", 8, plain);
}

/* postern's own bit is no part of what a client's packet bears. */
static void
test_marks(void **state)
{
	const struct admission_rule *masked, *whole, *none;

	(void)state;
	masked = add_client("10.0.0.1 mark:0x5/0xf", CONFIG_EXEMPT);
	whole = add_client("10.0.0.2 mark:0x9 mark:0x80000000", CONFIG_EXEMPT);
	none = add_client("10.0.0.3 mark:0x0/0xffffffff", CONFIG_EXEMPT);
	assert_client("10.0.0.1", "", 0x5, masked);
	assert_client("10.0.0.1", "", 0xfffffff5, masked);
	assert_client("10.0.0.1", "", 0x4, NULL);
	assert_client("10.0.0.2", "", 0x9, whole);
	assert_client("10.0.0.2", "", 0x9 | OWN_MARK, whole);
	assert_client("10.0.0.2", "", 0x80000000, whole);
	assert_client("10.0.0.2", "", 0x80000009, NULL);
	assert_client("10.0.0.3", "", 0, none);
	assert_client("10.0.0.3", "", OWN_MARK, none);
	assert_client("10.0.0.3", "", 1, NULL);
}

static void
test_destinations(void **state)
{
	const struct admission_rule *closed, *client;
	struct admission_word word;

	(void)state;
	client = add_client("10.0.0.0/8", CONFIG_EXEMPT);
	closed = add_destination(
	    "198.51.100.0/24 2001:db8::/32", CONFIG_REJECT);
	(void)add_destination("198.51.100.25", CONFIG_INTERCEPT);
	word = judge("10.0.0.1", "198.51.100.1", "", 0);
	assert_int_equal(word.verdict, CONFIG_REJECT);
	assert_ptr_equal(word.destination, closed);
	assert_null(word.client);
	word = judge("2001:db9::1", "2001:db8::1", "", 0);
	assert_ptr_equal(word.destination, closed);
	/* One that is let through is the clients' matter. */
	word = judge("10.0.0.1", "198.51.100.25", "", 0);
	assert_int_equal(word.verdict, CONFIG_EXEMPT);
	assert_ptr_equal(word.client, client);
	assert_null(word.destination);
	word = judge("192.0.2.1", "198.51.100.25", "", 0);
	assert_int_equal(word.verdict, CONFIG_INTERCEPT);
	assert_null(word.client);
}

/* The model. */

/* Few enough addresses that blocks and packets meet. */
static void
random_prefix(struct prefix *prefix)
{
	size_t bits, i;

	memset(prefix, 0, sizeof(*prefix));
	prefix->address.family = chance(2) == 0 ? AF_INET : AF_INET6;
	bits = address_ip_len(&prefix->address) * 8;
	switch (chance(4)) {
	case 0:
		prefix->length = (uint8_t)bits;
		break;
	case 1:
		prefix->length = (uint8_t)chance(9);
		break;
	default:
		prefix->length = (uint8_t)chance((uint32_t)bits + 1);
		break;
	}
	for (i = 0; i < bits; i++)
		if (i < prefix->length && chance(8) == 0)
			prefix->address.ip[i / 8] |= 0x80 >> i % 8;
}

static const char *const interfaces[] = {"lan0", "lan1", "dmz"};
static const char *const marks[] = {
    "0x1/0x1", "0x2/0x3", "0x1/0xffffffff", "0x0/0xffffffff"};

static void
random_words(char *words, size_t size)
{
	char text[ADDRESS_TEXT_MAX], word[128];
	struct prefix prefix;
	uint32_t i;

	words[0] = '\0';
	for (i = chance(4); i > 0; i--) {
		random_prefix(&prefix);
		snprintf(word, sizeof(word), "%s/%u ",
		    address_ip_text(&prefix.address, text), prefix.length);
		strlcat(words, word, size);
	}
	for (i = chance(4) == 0 ? chance(3) : 0; i > 0; i--) {
		snprintf(word, sizeof(word), "if:%s ", interfaces[chance(3)]);
		strlcat(words, word, size);
	}
	for (i = chance(4) == 0 ? chance(3) : 0; i > 0; i--) {
		snprintf(word, sizeof(word), "mark:%s ", marks[chance(4)]);
		strlcat(words, word, size);
	}
}

static bool
holds(const struct admission_rule *rule, const struct admission_packet *packet)
{
	bool has_interface = rule->interface_count == 0;
	bool has_mark = rule->mark_count == 0;
	uint32_t value, mask;
	size_t i;

	for (i = 0; i < rule->interface_count; i++)
		has_interface |= strcmp(rule->interfaces[i],
				     packet->interface) == 0;
	for (i = 0; i < rule->mark_count; i++) {
		value_mark_parts(rule->marks[i], &value, &mask);
		has_mark |= ((packet->mark ^ value) & mask & ~OWN_MARK) == 0;
	}
	return has_interface && has_mark;
}

/* The length of the block's longest prefix around the address, or -1. */
static int
covers(const struct admission_rule *rule, const struct address *address)
{
	struct prefix prefix;
	int longest = rule->match_count == 0 ? 0 : -1;
	size_t i;

	for (i = 0; i < rule->match_count; i++) {
		assert_int_equal(
		    prefix_from_text(&prefix, rule->matches[i]), 0);
		if (prefix_contains(&prefix, address) &&
		    prefix.length > longest)
			longest = prefix.length;
	}
	return longest;
}

static const struct admission_rule *
model(const struct admission_rule *rules, size_t count,
    const struct address *address, const struct admission_packet *packet)
{
	const struct admission_rule *best = NULL;
	int score, best_score = -1;
	size_t i;

	for (i = 0; i < count; i++) {
		if (!holds(&rules[i], packet) ||
		    (score = covers(&rules[i], address)) == -1)
			continue;
		score = score * 4 + (rules[i].mark_count > 0 ? 2 : 0) +
		        (rules[i].interface_count > 0 ? 1 : 0);
		if (score > best_score) {
			best = &rules[i];
			best_score = score;
		}
	}
	return best;
}

static void
check_model(void)
{
	const struct admission_rule *to, *from = NULL;
	struct admission_packet packet = {.mark = chance(4)};
	struct admission_word word;
	struct prefix prefix;

	packet.interface = chance(4) == 0 ? "" : interfaces[chance(3)];
	random_prefix(&prefix);
	packet.source = prefix.address;
	random_prefix(&prefix);
	packet.target = prefix.address;
	word = admission_judge(admission, &packet);
	to = model(config->destinations, config->destination_count,
	    &packet.target, &packet);
	if (to != NULL && to->verdict != CONFIG_REJECT)
		to = NULL;
	if (to == NULL)
		from = model(config->clients, config->client_count,
		    &packet.source, &packet);
	assert_ptr_equal(word.destination, to);
	assert_ptr_equal(word.client, from);
	assert_int_equal(word.verdict, to != NULL     ? CONFIG_REJECT
				       : from != NULL ? from->verdict
						      : CONFIG_INTERCEPT);
}

static void
test_model(void **state)
{
	char words[512];
	uint32_t i;
	int run;

	for (run = 0; run < MODEL_RUNS; run++) {
		for (i = chance(24); i > 0; i--) {
			random_words(words, sizeof(words));
			(void)add_client(words, (enum config_verdict)chance(3));
		}
		for (i = chance(4); i > 0; i--) {
			random_words(words, sizeof(words));
			(void)add_destination(
			    words, (enum config_verdict)chance(2));
		}
		assert_non_null(admission = admission_new(config));
		for (i = 0; i < MODEL_ASKS; i++)
			check_model();
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_no_blocks),
	    TEST(test_longest_match),
	    TEST(test_families_apart),
	    TEST(test_what_asks_for_more),
	    TEST(test_marks),
	    TEST(test_destinations),
	    TEST(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
