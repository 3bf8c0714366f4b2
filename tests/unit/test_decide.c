/* SPDX-License-Identifier: ISC */
/*
 * The order of evidence: server blocks, domain blocks, MX records; and that
 * nothing unknown, unsigned or forged becomes more than it is.
 */

#include "proxy/policy/decide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/policy/blocks.h"
#include "proxy/policy/mta_sts.h"

#define NOW 1000000

static struct decision decision;
/* The domain has no MTA-STS policy. */
static const struct mta_sts_facts no_sts = {.ttl = DECIDE_TTL_MAX};

static struct address
address(const char *text)
{
	struct address out;

	assert_int_equal(address_from_text(&out, text), 0);
	return out;
}

static struct blocks *
blocks_of(const struct config *config)
{
	char error[BLOCKS_ERROR_MAX];
	struct blocks *blocks = blocks_new(config, error);

	if (blocks == NULL)
		fail_msg("%s", error);
	return blocks;
}

/* Decides for a destination under one server block. */
static void
ask_server(const struct rule *rule, const char *destination,
    const struct host_fact *facts, enum decide expected)
{
	struct rule copy = *rule;
	struct config config = {.servers = &copy, .server_count = 1};
	struct blocks *blocks;
	struct address d = address(destination);

	copy.name = "s";
	copy.origin = "f:1";
	blocks = blocks_of(&config);
	assert_int_equal(
	    decide_server(blocks, &d, facts, NOW, &decision), expected);
	blocks_free(blocks);
}

/* Decides for example.org under one domain block, or none. */
static enum decide
ask_domain(
    const struct rule *rule, bool requires_dnssec, const struct mx_facts *facts)
{
	struct rule copy = {.name = "example.org"};
	struct config config = {.require_dnssec = requires_dnssec};
	struct blocks *blocks;
	enum decide ret;

	if (rule != NULL) {
		copy = *rule;
		copy.name = "example.org";
		copy.origin = "f:1";
		config.domains = &copy;
		config.domain_count = 1;
	}
	blocks = blocks_of(&config);
	ret = decide_domain(
	    blocks, "example.org", facts, &no_sts, NOW, &decision);
	blocks_free(blocks);
	return ret;
}

/* Of the facts in hand: one test has one set at a time. */
static struct mx_host hosts[DECISION_NAMES_MAX];

static void
add_host(struct mx_facts *facts, const char *name, bool has_destination)
{
	struct mx_host *host = &facts->hosts[facts->host_count++];

	strlcpy(host->name, name, sizeof(host->name));
	host->has_destination = has_destination;
	host->tlsa = MX_TLSA_NONE;
}

static struct mx_facts
mx_facts(bool is_secure)
{
	struct mx_facts facts = {.status = DNS_FOUND,
	    .ttl = 100,
	    .why = "",
	    .is_secure = is_secure,
	    .hosts = hosts};

	memset(hosts, 0, sizeof(hosts));

	add_host(&facts, "mx1.example", false);
	add_host(&facts, "mx2.example", false);
	return facts;
}

static char *by_address[] = {"192.0.2.0/24"};
static char *by_name[] = {"relay.example"};
static char *names[] = {"a.example", "b.example"};
static uint8_t pins[][32] = {{1}, {2}};

static void
assert_names(size_t count, const char *first, size_t sni_count)
{
	assert_int_equal(decision.name_count, count);
	if (count > 0)
		assert_string_equal(decision.names[0], first);
	assert_int_equal(decision.sni_count, sni_count);
}

static void
test_server_by_address(void **state)
{
	struct rule rule = {
	    .matches = by_address, .match_count = 1, .auth = true};

	(void)state;
	/* Nothing said: the address itself. */
	ask_server(&rule, "192.0.2.9", NULL, DECIDE_DONE);
	assert_int_equal(decision.kind, DECISION_LEVEL);
	assert_int_equal(decision.evidence, EVIDENCE_OPERATOR);
	assert_int_equal(decision.level, LEVEL_VERIFY);
	assert_true(decision.is_server);
	assert_true(decision.allows_auth);
	assert_true(decision.has_address);
	assert_memory_equal(decision.address.ip, "\300\0\2\11", 4);
	assert_names(0, NULL, 0);
	assert_int_equal(decision.ttl, DECIDE_TTL_MAX);

	rule.names = names;
	rule.name_count = 2;
	ask_server(&rule, "192.0.2.9", NULL, DECIDE_DONE);
	assert_names(2, "a.example", 1);
	assert_false(decision.has_address);

	rule.pins = pins;
	rule.pin_count = 2;
	ask_server(&rule, "192.0.2.9", NULL, DECIDE_DONE);
	assert_false(decision.is_pin_only);
	assert_int_equal(decision.pin_count, 2);
	assert_int_equal(decision.pins[1][0], 2);

	rule.name_count = 0;
	ask_server(&rule, "192.0.2.9", NULL, DECIDE_DONE);
	assert_true(decision.is_pin_only);
	assert_false(decision.has_address);

	/* A trust file beside the pins asks for more than the pins. */
	rule.trust = "/t.pem";
	ask_server(&rule, "192.0.2.9", NULL, DECIDE_DONE);
	assert_false(decision.is_pin_only);
	assert_true(decision.has_address);
	assert_string_equal(decision.trust, "/t.pem");

	ask_server(&rule, "192.0.3.9", NULL, DECIDE_DONE);
	assert_int_equal(decision.kind, DECISION_NO_RULE);
	assert_int_equal(decision.ttl, DECIDE_TTL_MAX);
}

static void
test_server_exception(void **state)
{
	struct rule rule = {.matches = by_address,
	    .match_count = 1,
	    .auth = true,
	    .level = LEVEL_ENCRYPT,
	    .until = NOW + 50};

	(void)state;
	ask_server(&rule, "192.0.2.9", NULL, DECIDE_DONE);
	assert_int_equal(decision.kind, DECISION_LEVEL);
	assert_int_equal(decision.level, LEVEL_ENCRYPT);
	/* AUTH is for proved servers alone, whatever the block says. */
	assert_false(decision.allows_auth);
	assert_false(decision.has_address);
	assert_int_equal(decision.ttl, 50);

	/* The end is sooner than the shortest life of a decision. */
	rule.until = NOW + 1;
	ask_server(&rule, "192.0.2.9", NULL, DECIDE_DONE);
	assert_int_equal(decision.ttl, 1);
	rule.until = NOW;
	ask_server(&rule, "192.0.2.9", NULL, DECIDE_DONE);
	assert_int_equal(decision.kind, DECISION_NO_RULE);
}

static void
test_server_by_name(void **state)
{
	struct rule rule = {.matches = by_name, .match_count = 1};
	struct address addresses[] = {
	    address("2001:db8::1"), address("2001:db8::2")};
	struct host_fact fact = {
	    .is_known = true, .addresses = addresses, .count = 2, .ttl = 40};

	(void)state;
	ask_server(&rule, "2001:db8::2", NULL, DECIDE_ASK);
	ask_server(&rule, "2001:db8::2", &fact, DECIDE_DONE);
	assert_int_equal(decision.kind, DECISION_LEVEL);
	assert_names(1, "relay.example", 1);
	assert_false(decision.allows_auth);
	assert_int_equal(decision.ttl, 40);

	ask_server(&rule, "2001:db8::3", &fact, DECIDE_DONE);
	assert_int_equal(decision.kind, DECISION_NO_RULE);
	assert_int_equal(decision.ttl, 40);

	rule.names = names;
	rule.name_count = 2;
	ask_server(&rule, "2001:db8::2", &fact, DECIDE_DONE);
	assert_names(2, "a.example", 1);

	/* Pins alone suffice; the name is still the SNI. */
	rule.name_count = 0;
	rule.pins = pins;
	rule.pin_count = 1;
	ask_server(&rule, "2001:db8::2", &fact, DECIDE_DONE);
	assert_true(decision.is_pin_only);
	assert_names(1, "relay.example", 1);

	fact.count = 0; /* no such host */
	ask_server(&rule, "2001:db8::2", &fact, DECIDE_DONE);
	assert_int_equal(decision.kind, DECISION_NO_RULE);

	fact.is_known = false;
	ask_server(&rule, "2001:db8::2", &fact, DECIDE_DONE);
	assert_int_equal(decision.kind, DECISION_TEMPORARY);
	assert_string_equal(decision.status, "4.3");
	assert_non_null(strstr(decision.text, "\"s\""));
	assert_non_null(strstr(decision.text, "relay.example"));

	rule.until = NOW; /* over: its host matters no more */
	ask_server(&rule, "2001:db8::2", &fact, DECIDE_DONE);
	assert_int_equal(decision.kind, DECISION_NO_RULE);
}

/* Address before name, and what is known before what is not. */
static void
test_server_order(void **state)
{
	static char *first[] = {"one.example"};
	static char *second[] = {"two.example"};
	struct rule rules[] = {
	    {.name = "one", .matches = first, .match_count = 1},
	    {.name = "two", .matches = second, .match_count = 1},
	    {.name = "three", .matches = by_address, .match_count = 1},
	};
	struct config config = {.servers = rules, .server_count = 3};
	struct blocks *blocks = blocks_of(&config);
	struct address there = address("198.51.100.1");
	struct address d = address("192.0.2.1");
	struct host_fact facts[] = {
	    {.is_known = false},
	    {.is_known = true, .addresses = &there, .count = 1},
	};

	(void)state;
	assert_int_equal(
	    decide_server(blocks, &d, NULL, NOW, &decision), DECIDE_DONE);
	assert_true(decision.has_address);
	assert_int_equal(
	    decide_server(blocks, &there, facts, NOW, &decision), DECIDE_DONE);
	assert_names(1, "two.example", 1);
	assert_int_equal(decision.ttl, DECIDE_TTL_MIN);
	facts[0] = facts[1];
	assert_int_equal(
	    decide_server(blocks, &there, facts, NOW, &decision), DECIDE_DONE);
	assert_names(1, "one.example", 1);
	blocks_free(blocks);
}

static void
test_domain_block(void **state)
{
	struct rule rule = {.level = LEVEL_NONE, .until = NOW + 7};
	struct mx_facts facts = mx_facts(false);

	(void)state;
	assert_int_equal(ask_domain(&rule, true, NULL), DECIDE_DONE);
	assert_int_equal(decision.kind, DECISION_LEVEL);
	assert_int_equal(decision.evidence, EVIDENCE_OPERATOR);
	assert_int_equal(decision.level, LEVEL_NONE);
	assert_false(decision.is_server);
	assert_int_equal(decision.ttl, 7);

	/* An exception that is over is none. */
	rule.until = NOW;
	assert_int_equal(ask_domain(&rule, false, NULL), DECIDE_ASK);
	assert_int_equal(ask_domain(&rule, false, &facts), DECIDE_DONE);
	assert_int_equal(decision.level, LEVEL_VERIFY);
	assert_int_equal(decision.evidence, EVIDENCE_MX);

	rule = (struct rule){.names = names, .name_count = 2};
	assert_int_equal(ask_domain(&rule, true, NULL), DECIDE_DONE);
	assert_int_equal(decision.evidence, EVIDENCE_OPERATOR);
	assert_int_equal(decision.level, LEVEL_VERIFY);
	assert_names(2, "a.example", 1);

	rule = (struct rule){.pins = pins, .pin_count = 2};
	assert_int_equal(ask_domain(&rule, true, NULL), DECIDE_DONE);
	assert_true(decision.is_pin_only);
	assert_int_equal(decision.pin_count, 2);
	assert_names(0, NULL, 0);
}

/* A trust file alone: the MX names, judged by that file. */
static void
test_domain_trust(void **state)
{
	struct rule rule = {
	    .trust = "/t.pem", .pins = pins, .pin_count = 1, .until = NOW + 60};
	struct mx_facts facts = mx_facts(false);

	(void)state;
	assert_int_equal(ask_domain(&rule, false, NULL), DECIDE_ASK);
	assert_int_equal(ask_domain(&rule, false, &facts), DECIDE_DONE);
	assert_int_equal(decision.kind, DECISION_LEVEL);
	assert_int_equal(decision.evidence, EVIDENCE_OPERATOR);
	assert_string_equal(decision.trust, "/t.pem");
	assert_int_equal(decision.pin_count, 1);
	assert_false(decision.is_pin_only);
	assert_names(2, "mx1.example", 1);
	assert_int_equal(decision.ttl, 60);

	/* Names out of unsigned DNS are what require_dnssec refuses. */
	assert_int_equal(ask_domain(&rule, true, &facts), DECIDE_DONE);
	assert_int_equal(decision.kind, DECISION_REFUSE);

	facts.status = DNS_FAILED;
	assert_int_equal(ask_domain(&rule, false, &facts), DECIDE_DONE);
	assert_int_equal(decision.kind, DECISION_TEMPORARY);

	/* A block that asks for nothing of its own. */
	rule = (struct rule){.level = LEVEL_VERIFY};
	facts = mx_facts(true);
	assert_int_equal(ask_domain(&rule, false, &facts), DECIDE_DONE);
	assert_int_equal(decision.evidence, EVIDENCE_MX_DNSSEC);
	assert_string_equal(decision.trust, "");
}

static void
test_mx_names(void **state)
{
	struct mx_facts facts = mx_facts(false);

	(void)state;
	assert_int_equal(ask_domain(NULL, false, NULL), DECIDE_ASK);
	/* D is none of them: any of them, the best one as the guess. */
	assert_int_equal(ask_domain(NULL, false, &facts), DECIDE_DONE);
	assert_int_equal(decision.kind, DECISION_LEVEL);
	assert_int_equal(decision.evidence, EVIDENCE_MX);
	assert_int_equal(decision.level, LEVEL_VERIFY);
	assert_names(2, "mx1.example", 1);
	assert_string_equal(
	    decision.text, "none of the MX hosts has this address");
	assert_int_equal(decision.ttl, 100);

	facts.has_unknown = true;
	assert_int_equal(ask_domain(NULL, false, &facts), DECIDE_DONE);
	assert_names(2, "mx1.example", 1);
	assert_string_equal(decision.text,
	    "it is not known which of the MX hosts has this address");
	assert_int_equal(decision.ttl, DECIDE_TTL_PARTIAL);

	/* D is the second: that name alone. */
	facts = mx_facts(true);
	facts.hosts[1].has_destination = true;
	assert_int_equal(ask_domain(NULL, true, &facts), DECIDE_DONE);
	assert_int_equal(decision.evidence, EVIDENCE_MX_DNSSEC);
	assert_names(1, "mx2.example", 1);
	assert_string_equal(decision.text, "");

	/* Several at one address: each may be the SNI. */
	facts.hosts[0].has_destination = true;
	assert_int_equal(ask_domain(NULL, false, &facts), DECIDE_DONE);
	assert_names(2, "mx1.example", 2);

	/* The implicit MX is a host like others, of a name without MX. */
	facts = (struct mx_facts){
	    .status = DNS_NODATA, .ttl = 90000, .why = "", .hosts = hosts};
	add_host(&facts, "example.org", true);
	assert_int_equal(ask_domain(NULL, false, &facts), DECIDE_DONE);
	assert_names(1, "example.org", 1);
	assert_int_equal(decision.ttl, DECIDE_TTL_MAX);
}

static void
test_most_names(void **state)
{
	struct mx_facts facts = {
	    .status = DNS_FOUND, .why = "", .hosts = hosts};
	char name[32];
	int i;

	(void)state;
	for (i = 0; i < DECISION_NAMES_MAX; i++) {
		snprintf(name, sizeof(name), "mx%d.example", i);
		add_host(&facts, name, true);
	}
	assert_int_equal(ask_domain(NULL, false, &facts), DECIDE_DONE);
	assert_names(DECISION_NAMES_MAX, "mx0.example", DECISION_NAMES_MAX);
}

/* Two hosts at D; what is known of each one's TLSA records, and of the policy.
 */
static enum decide
decide_two(enum mx_tlsa first, enum mx_tlsa second, enum mta_sts_status status,
    const char *pattern)
{
	static const uint8_t key[32] = {1};
	static struct sts_policy policy;
	struct config config = {.enforce = true};
	struct blocks *blocks = blocks_of(&config);
	struct mx_facts facts = mx_facts(true);
	struct mta_sts_facts sts = {
	    .status = status, .ttl = 100, .is_fresh = true, .why = "why"};
	const enum mx_tlsa tlsa[] = {first, second};
	enum decide ret;
	size_t i;

	for (i = 0; i < 2; i++) {
		hosts[i].has_destination = true;
		hosts[i].tlsa = tlsa[i];
		if (tlsa[i] != MX_TLSA_FOUND)
			continue;
		strlcpy(hosts[i].base, hosts[i].name, sizeof(hosts[i].base));
		hosts[i].records[hosts[i].record_count++] = (struct tlsa){
		    TLSA_DANE_EE, TLSA_SPKI, TLSA_SHA256, sizeof(key), key};
	}
	memset(&policy, 0, sizeof(policy));
	if (status == MTA_STS_FOUND) {
		policy.mode = STS_ENFORCE;
		policy.mx_count = 1;
		strlcpy(policy.mx[0], pattern, sizeof(policy.mx[0]));
		sts.policy = &policy;
	}
	ret = decide_domain(
	    blocks, "example.org", &facts, &sts, NOW, &decision);
	blocks_free(blocks);
	return ret;
}

static void
test_hosts_each_by_its_own(void **state)
{
	(void)state;
	decide_two(MX_TLSA_FOUND, MX_TLSA_NONE, MTA_STS_ABSENT, NULL);
	assert_names(2, "mx1.example", 2);
	assert_int_equal(decision.evidence, EVIDENCE_MX_DNSSEC);
	assert_int_equal(decision.by_tlsa[0].count, 1);
	assert_int_equal(decision.by_tlsa[1].count, 0);
	assert_false(decision.is_unconfirmed);

	/* MTA-STS has no say in the first, and names not the second. */
	decide_two(MX_TLSA_FOUND, MX_TLSA_NONE, MTA_STS_FOUND, "x.example");
	assert_names(1, "mx1.example", 1);
	assert_int_equal(decision.evidence, EVIDENCE_DANE);
	decide_two(MX_TLSA_FOUND, MX_TLSA_NONE, MTA_STS_FOUND, "mx2.example");
	assert_names(2, "mx1.example", 2);
	assert_int_equal(decision.evidence, EVIDENCE_MTA_STS);
}

/* RFC 7672 3.2.2: the recipient's domain is a name with DANE-TA. */
static void
test_also(void **state)
{
	static const uint8_t key[32] = {1};
	struct config config = {.enforce = true};
	struct blocks *blocks = blocks_of(&config);
	struct mx_facts facts = mx_facts(true);
	int usage;

	(void)state;
	for (usage = TLSA_DANE_TA; usage <= TLSA_DANE_EE; usage++) {
		hosts[0].has_destination = true;
		hosts[0].tlsa = MX_TLSA_FOUND;
		strlcpy(hosts[0].base, "base.example", DECISION_NAME_MAX);
		hosts[0].record_count = 1;
		hosts[0].records[0] = (struct tlsa){
		    (uint8_t)usage, TLSA_SPKI, TLSA_SHA256, sizeof(key), key};
		strlcpy(facts.canonical, "canonical.example",
		    sizeof(facts.canonical));
		assert_int_equal(decide_domain(blocks, "example.org", &facts,
				     NULL, NOW, &decision),
		    DECIDE_DONE);
		assert_names(1, "base.example", 1);
		if (usage == TLSA_DANE_EE) {
			assert_int_equal(decision.also_count, 0);
			continue;
		}
		assert_int_equal(decision.also_count, 2);
		assert_string_equal(decision.also[0], "example.org");
		assert_string_equal(decision.also[1], "canonical.example");
	}
	blocks_free(blocks);
}

/* What is not known may be the one: no refusal by the rest is for good. */
static void
test_hosts_partly_unknown(void **state)
{
	(void)state;
	decide_two(MX_TLSA_UNKNOWN, MX_TLSA_NONE, MTA_STS_ABSENT, NULL);
	assert_names(1, "mx2.example", 1);
	assert_true(decision.is_unconfirmed);
	assert_true(decision.ttl <= DECIDE_TTL_PARTIAL);

	decide_two(MX_TLSA_UNKNOWN, MX_TLSA_FOUND, MTA_STS_ABSENT, NULL);
	assert_names(1, "mx2.example", 1);
	assert_int_equal(decision.evidence, EVIDENCE_DANE);
	assert_true(decision.is_unconfirmed);

	/* Whether the second host is named cannot be told: it is left out. */
	decide_two(MX_TLSA_FOUND, MX_TLSA_NONE, MTA_STS_UNKNOWN, NULL);
	assert_names(1, "mx1.example", 1);
	assert_int_equal(decision.evidence, EVIDENCE_DANE);
	assert_true(decision.is_unconfirmed);

	/* The first one is what there is to wait for. */
	decide_two(MX_TLSA_UNKNOWN, MX_TLSA_NONE, MTA_STS_FOUND, "mx1.example");
	assert_int_equal(decision.kind, DECISION_TEMPORARY);
	assert_int_equal(decision.evidence, EVIDENCE_DANE);
	assert_non_null(strstr(decision.text, "mx1.example"));
}

static void
assert_refused(bool is_permanent, const char *status)
{
	assert_int_equal(decision.kind, DECISION_REFUSE);
	assert_int_equal(decision.is_permanent, is_permanent);
	assert_string_equal(decision.status, status);
	assert_true(decision.ttl <= DECIDE_TTL_NEGATIVE);
	assert_true(decision.text[0] != '\0');
	assert_int_equal(decision.name_count, 0);
}

static void
test_mx_refused(void **state)
{
	struct mx_facts facts = {.status = DNS_FOUND,
	    .ttl = 9000,
	    .is_null = true,
	    .why = "",
	    .hosts = hosts};

	(void)state;
	assert_int_equal(ask_domain(NULL, true, &facts), DECIDE_DONE);
	assert_refused(true, "1.10");

	facts.is_null = false; /* MX records, and no host that can be */
	assert_int_equal(ask_domain(NULL, false, &facts), DECIDE_DONE);
	assert_refused(false, "4.4");

	facts.status = DNS_NXDOMAIN;
	assert_int_equal(ask_domain(NULL, true, &facts), DECIDE_DONE);
	assert_refused(true, "1.2");
	assert_int_equal(decision.word, RESULT_NONE);

	facts = mx_facts(false);
	facts.hosts[0].has_destination = true;
	assert_int_equal(ask_domain(NULL, true, &facts), DECIDE_DONE);
	assert_refused(false, "7.5");
	assert_int_equal(decision.word, RESULT_DNSSEC_INVALID);
}

static void
test_mx_unknown(void **state)
{
	struct mx_facts facts = mx_facts(false);

	(void)state;
	facts.status = DNS_BOGUS;
	strlcpy(
	    facts.why, "no signatures\r\nfrom 192.0.2.1", sizeof(facts.why));
	assert_int_equal(ask_domain(NULL, false, &facts), DECIDE_DONE);
	assert_int_equal(decision.kind, DECISION_TEMPORARY);
	assert_string_equal(decision.status, "7.5");
	assert_int_equal(decision.word, RESULT_DNSSEC_INVALID);
	assert_non_null(strstr(decision.text, "bogus: no signatures\\x0d"));
	assert_null(strchr(decision.text, '\n'));
	assert_int_equal(decision.ttl, DECIDE_TTL_MIN);

	facts.status = DNS_FAILED;
	strlcpy(facts.why, "timed out", sizeof(facts.why));
	assert_int_equal(ask_domain(NULL, false, &facts), DECIDE_DONE);
	assert_int_equal(decision.kind, DECISION_TEMPORARY);
	assert_string_equal(decision.status, "4.3");
	assert_int_equal(decision.word, RESULT_NONE);
	assert_non_null(strstr(decision.text, "timed out"));
	assert_int_equal(decision.name_count, 0);
}

static void
test_bad_domain(void **state)
{
	static const char *const domains[] = {
	    "", "a b.example", "a\r\nb.example", "192.0.2.1", "a..example"};
	struct config config = {.require_dnssec = false};
	struct blocks *blocks = blocks_of(&config);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(domains) / sizeof(domains[0]); i++) {
		assert_int_equal(decide_domain(blocks, domains[i], NULL, NULL,
				     NOW, &decision),
		    DECIDE_DONE);
		assert_refused(true, "1.2");
	}
	blocks_free(blocks);
}

static void
test_literal(void **state)
{
	struct address literal = address("192.0.2.9");

	(void)state;
	decide_literal(&literal, &decision);
	assert_int_equal(decision.kind, DECISION_LEVEL);
	assert_int_equal(decision.evidence, EVIDENCE_ADDRESS);
	assert_int_equal(decision.level, LEVEL_VERIFY);
	assert_true(decision.has_address);
	assert_true(address_ip_equal(&decision.address, &literal));
	assert_names(0, NULL, 0);
}

static void
test_long_text(void **state)
{
	char why[2000];

	(void)state;
	memset(why, 'x', sizeof(why) - 1);
	why[sizeof(why) - 1] = '\0';
	decide_temporary(&decision, "4.3", "%s", why);
	assert_int_equal(decision.kind, DECISION_TEMPORARY);
	assert_int_equal(strlen(decision.text), DECISION_TEXT_MAX - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_server_by_address),
	    cmocka_unit_test(test_server_exception),
	    cmocka_unit_test(test_server_by_name),
	    cmocka_unit_test(test_server_order),
	    cmocka_unit_test(test_domain_block),
	    cmocka_unit_test(test_domain_trust),
	    cmocka_unit_test(test_mx_names),
	    cmocka_unit_test(test_most_names),
	    cmocka_unit_test(test_hosts_each_by_its_own),
	    cmocka_unit_test(test_also),
	    cmocka_unit_test(test_hosts_partly_unknown),
	    cmocka_unit_test(test_mx_refused),
	    cmocka_unit_test(test_mx_unknown),
	    cmocka_unit_test(test_bad_domain),
	    cmocka_unit_test(test_literal),
	    cmocka_unit_test(test_long_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
