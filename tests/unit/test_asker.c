/* SPDX-License-Identifier: ISC */
/*
 * A relay's questions on their way through the order of evidence: which DNS
 * questions they lead to, and their one answer.
 */

#include "proxy/policy/asker.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/config.h"
#include "proxy/policy/dns.h"
#include "proxy/policy/mta_sts.h"
#include "proxy/policy/shared.h"
#include "tests/unit/fake_dns.h"

static char *by_address[] = {"192.0.2.0/28"};
static char *by_host[] = {"relay.example"};
static char *no_host[] = {""};
static char *names[] = {"partner.example"};

static struct rule servers[] = {
    {.name = "prefix",
	.matches = by_address,
	.match_count = 1,
	.level = LEVEL_ENCRYPT,
	.origin = "f:1"},
    {.name = "host",
	.matches = by_host,
	.match_count = 1,
	.level = LEVEL_VERIFY,
	.origin = "f:2"},
};

static struct rule domains[] = {
    {.name = "partner.example",
	.names = names,
	.name_count = 1,
	.level = LEVEL_VERIFY,
	.origin = "f:3"},
};

static struct config config;
static struct asker *asker;
/* One lives as long as its process: there is none to end it. */
static struct asker *askers[16];
static size_t asker_count;

static bool is_dns_broken, is_sts_full;

/* The policies: questions wait until the test answers them. */
static struct {
	void (*done)(void *, const struct mta_sts_facts *);
	void *arg;
} policies[8];
static size_t policy_count, prepared_count;

static struct decision decision;
static uint32_t answered_id;
static int answers;

struct dns *
dns_new(struct event_base *base, const struct dns_settings *settings,
    char error[DNS_ERROR_MAX])
{
	(void)base;
	assert_int_equal(settings->timeout, config.dns.timeout);
	if (!is_dns_broken)
		return (struct dns *)&config;
	snprintf(error, DNS_ERROR_MAX, "no DNS today");
	return NULL;
}

void
dns_free(struct dns *dns)
{
	(void)dns;
}

struct mta_sts *
mta_sts_new(struct event_base *base, struct dns *dns, const struct config *with,
    struct state *state, struct shared *shared, char error[MTA_STS_ERROR_MAX])
{
	(void)base;
	(void)error;
	assert_ptr_equal(dns, &config);
	assert_ptr_equal(with, &config);
	assert_ptr_equal(state, &decision);
	assert_null(shared);
	return (struct mta_sts *)policies;
}

void
mta_sts_free(struct mta_sts *sts)
{
	(void)sts;
}

int
mta_sts_ask(struct mta_sts *sts, const char *domain,
    void (*done)(void *, const struct mta_sts_facts *), void *arg)
{
	assert_ptr_equal(sts, policies);
	assert_string_equal(domain, "a.example");
	if (is_sts_full) {
		errno = EAGAIN;
		return -1;
	}
	assert_true(policy_count < 8);
	policies[policy_count].done = done;
	policies[policy_count++].arg = arg;
	return 0;
}

void
mta_sts_prepare(struct mta_sts *sts, const char *domain)
{
	assert_ptr_equal(sts, policies);
	assert_string_equal(domain, "a.example");
	prepared_count++;
}

struct shared *
shared_new(struct event_base *base, struct dns *dns, const char *url,
    char error[SHARED_ERROR_MAX])
{
	(void)base;
	(void)dns;
	snprintf(error, SHARED_ERROR_MAX, "%s: no Redis today", url);
	return NULL;
}

void
shared_free(struct shared *shared)
{
	(void)shared;
}

static void
serve(size_t server_count)
{
	char error[ASKER_ERROR_MAX] = "";

	memset(&config, 0, sizeof(config));
	config.dns.timeout = 7;
	config.servers = servers;
	config.server_count = server_count;
	config.domains = domains;
	config.domain_count = 1;
	asked_count = 0;
	answers = 0;
	policy_count = prepared_count = 0;
	is_dns_broken = is_sts_full = false;
	room = ASKED_MAX;
	asker = asker_new(NULL, &config, (struct state *)&decision, error);
	if (asker == NULL)
		fail_msg("%s", error);
	askers[asker_count++] = asker;
}

static void
on_answer(void *arg, uint32_t id, const struct decision *given)
{
	assert_ptr_equal(arg, &decision);
	decision = *given;
	answered_id = id;
	answers++;
}

static void
ask(enum policy_message kind, uint32_t id, const char *destination,
    const char *what)
{
	struct question question = {.kind = kind, .id = id};

	assert_int_equal(
	    address_from_text(&question.destination, destination), 0);
	if (kind == POLICY_ASK_LITERAL)
		assert_int_equal(address_from_text(&question.literal, what), 0);
	else if (what != NULL)
		strlcpy(question.domain, what, sizeof(question.domain));
	asker_ask(asker, &question, on_answer, &decision);
	memset(&question, 0, sizeof(question)); /* it was copied */
}

/* Answers the open question of that name and type, with one record. */
static void
say(const char *name, enum dns_type type, enum dns_status status,
    const char *text)
{
	begin(status, false, 300);
	if (status == DNS_FOUND && type == DNS_MX) {
		strlcpy(answer.records[0].name, text, DNS_NAME_MAX);
		answer.count = 1;
	} else if (status == DNS_FOUND) {
		add_address(text);
	}
	reply(name, type);
}

/* Answers who asked for the policy last. */
static void
say_policy(enum mta_sts_status status)
{
	struct mta_sts_facts facts = {.status = status, .ttl = 300};

	assert_true(policy_count > 0);
	strlcpy(facts.why, "why", sizeof(facts.why));
	policies[policy_count - 1].done(policies[policy_count - 1].arg, &facts);
}

static void
check_temporary(const char *says)
{
	assert_int_equal(answers, 1);
	assert_int_equal(decision.kind, DECISION_TEMPORARY);
	assert_string_equal(decision.status, "4.3");
	if (strstr(decision.text, says) == NULL)
		fail_msg("%s", decision.text);
}

/* MX records, then their hosts' addresses, then the policy. */
static void
test_domain(void **state)
{
	(void)state;
	serve(0);
	ask(POLICY_ASK_DOMAIN, 77, "2001:db8::9", "a.example");
	/* The policy's record is asked for at the same time, and no more. */
	assert_int_equal(prepared_count, 1);
	assert_int_equal(policy_count, 0);
	say("a.example", DNS_MX, DNS_FOUND, "mx.a.example");
	say("mx.a.example", DNS_AAAA, DNS_FOUND, "2001:db8::9");
	assert_int_equal(answers, 0);
	say_policy(MTA_STS_ABSENT);
	assert_int_equal(answers, 1);
	assert_int_equal(answered_id, 77);
	assert_int_equal(asked_count, 2);
	assert_int_equal(decision.kind, DECISION_LEVEL);
	assert_int_equal(decision.evidence, EVIDENCE_MX);
	assert_int_equal(decision.level, LEVEL_VERIFY);
	assert_string_equal(decision.names[0], "mx.a.example");
}

static void
test_policy_unknown(void **state)
{
	(void)state;
	serve(0);
	ask(POLICY_ASK_DOMAIN, 1, "192.0.2.200", "a.example");
	say("a.example", DNS_MX, DNS_FOUND, "mx.a.example");
	say("mx.a.example", DNS_A, DNS_FOUND, "192.0.2.200");
	say_policy(MTA_STS_UNKNOWN);
	check_temporary("MTA-STS policy: why");
	assert_int_equal(decision.evidence, EVIDENCE_MTA_STS);
}

static void
test_sts_is_full(void **state)
{
	(void)state;
	serve(0);
	is_sts_full = true;
	ask(POLICY_ASK_DOMAIN, 1, "192.0.2.200", "a.example");
	say("a.example", DNS_MX, DNS_FOUND, "mx.a.example");
	say("mx.a.example", DNS_A, DNS_FOUND, "192.0.2.200");
	check_temporary("too many MTA-STS policies");
}

/* Without hosts the policy does not matter. */
static void
test_policy_not_needed(void **state)
{
	(void)state;
	serve(0);
	ask(POLICY_ASK_DOMAIN, 1, "192.0.2.200", "a.example");
	say("a.example", DNS_MX, DNS_NXDOMAIN, NULL);
	assert_int_equal(answers, 1);
	assert_int_equal(decision.kind, DECISION_REFUSE);
	assert_int_equal(policy_count, 0);
}

static void
test_nothing_to_ask(void **state)
{
	(void)state;
	serve(1);
	ask(POLICY_ASK_DOMAIN, 1, "198.51.100.1", "partner.example");
	assert_int_equal(answers, 1);
	assert_int_equal(decision.evidence, EVIDENCE_OPERATOR);
	assert_string_equal(decision.names[0], "partner.example");
	ask(POLICY_ASK_DOMAIN, 2, "198.51.100.1", "");
	assert_int_equal(answers, 2);
	assert_int_equal(decision.kind, DECISION_REFUSE);
	ask(POLICY_ASK_LITERAL, 3, "198.51.100.1", "192.0.2.77");
	assert_int_equal(answers, 3);
	assert_int_equal(answered_id, 3);
	assert_int_equal(decision.evidence, EVIDENCE_ADDRESS);
	assert_int_equal(decision.address.ip[3], 77);
	ask(POLICY_ASK_SERVER, 4, "198.51.100.1", NULL);
	assert_int_equal(answers, 4);
	assert_int_equal(decision.kind, DECISION_NO_RULE);
	assert_int_equal(asked_count, 0);
}

/* A server block speaks before the domain's own, for literals too. */
static void
test_server_first(void **state)
{
	(void)state;
	serve(1);
	ask(POLICY_ASK_SERVER, 1, "192.0.2.1", NULL);
	assert_true(decision.is_server);
	ask(POLICY_ASK_DOMAIN, 2, "192.0.2.1", "partner.example");
	assert_true(decision.is_server);
	assert_int_equal(decision.level, LEVEL_ENCRYPT);
	ask(POLICY_ASK_LITERAL, 3, "192.0.2.1", "192.0.2.77");
	assert_true(decision.is_server);
	assert_int_equal(answers, 3);
	assert_int_equal(asked_count, 0);
}

/* What waits for the hosts of server blocks, and what comes after them. */
static void
test_server_host(void **state)
{
	(void)state;
	serve(2);
	ask(POLICY_ASK_SERVER, 1, "198.51.100.1", NULL);
	ask(POLICY_ASK_DOMAIN, 2, "198.51.100.2", "a.example");
	assert_int_equal(asked_count, 1);
	assert_int_equal(answers, 0);
	say("relay.example", DNS_A, DNS_FOUND, "198.51.100.1");
	assert_int_equal(answers, 1);
	assert_int_equal(answered_id, 1);
	assert_true(decision.is_server);
	assert_string_equal(decision.names[0], "relay.example");
	/* The other one goes on to its domain. */
	say("a.example", DNS_MX, DNS_FAILED, NULL);
	assert_int_equal(answers, 2);
	assert_int_equal(answered_id, 2);
	assert_int_equal(decision.kind, DECISION_TEMPORARY);
	/* The addresses are known now. */
	ask(POLICY_ASK_SERVER, 3, "198.51.100.1", NULL);
	assert_int_equal(answers, 3);
	assert_true(decision.is_server);
	assert_int_equal(asked_count, 2);
}

/* What waits for its domain is not asked for a second time. */
static void
test_server_host_of_other_family(void **state)
{
	(void)state;
	serve(2);
	ask(POLICY_ASK_DOMAIN, 1, "198.51.100.2", "a.example");
	say("relay.example", DNS_A, DNS_NODATA, NULL);
	ask(POLICY_ASK_SERVER, 2, "2001:db8::1", NULL);
	say("relay.example", DNS_AAAA, DNS_FOUND, "2001:db8::1");
	assert_int_equal(answers, 1);
	assert_int_equal(answered_id, 2);
	assert_int_equal(asked_count, 3);
	say("a.example", DNS_MX, DNS_NXDOMAIN, NULL);
	assert_int_equal(answers, 2);
	assert_int_equal(answered_id, 1);
}

/* A host that cannot be looked up may be any: nothing is passed by it. */
static void
test_server_host_unknown(void **state)
{
	(void)state;
	serve(2);
	ask(POLICY_ASK_DOMAIN, 1, "198.51.100.1", "partner.example");
	say("relay.example", DNS_A, DNS_BOGUS, NULL);
	check_temporary("its host relay.example cannot be looked up");
	assert_int_equal(asked_count, 1);
	answers = 0;
	ask(POLICY_ASK_SERVER, 2, "192.0.2.1", NULL);
	assert_int_equal(decision.kind, DECISION_LEVEL);
}

static void
test_dns_is_full(void **state)
{
	(void)state;
	serve(0);
	room = 0;
	ask(POLICY_ASK_DOMAIN, 1, "198.51.100.1", "a.example");
	check_temporary("too many DNS questions at once");
	serve(2);
	room = 0;
	ask(POLICY_ASK_SERVER, 1, "198.51.100.1", NULL);
	check_temporary("relay.example");
}

static void
test_forget(void **state)
{
	(void)state;
	serve(2);
	ask(POLICY_ASK_SERVER, 1, "198.51.100.1", NULL);
	ask(POLICY_ASK_DOMAIN, 2, "198.51.100.2", "a.example");
	asker_forget(asker, &answers); /* somebody else */
	asker_forget(asker, &decision);
	say("relay.example", DNS_A, DNS_FOUND, "198.51.100.1");
	say("a.example", DNS_MX, DNS_NXDOMAIN, NULL);
	assert_int_equal(answers, 0);
	/* Who was forgotten may ask again. */
	ask(POLICY_ASK_SERVER, 3, "198.51.100.1", NULL);
	assert_int_equal(answers, 1);
	assert_int_equal(answered_id, 3);
}

static void
test_cannot_serve(void **state)
{
	static struct rule bad;
	static char shared_url[] = "redis://a";
	char error[ASKER_ERROR_MAX];

	(void)state;
	serve(0);
	is_dns_broken = true;
	assert_null(asker_new(NULL, &config, NULL, error));
	assert_string_equal(error, "no DNS today");
	is_dns_broken = false;
	config.state = shared_url;
	assert_null(asker_new(NULL, &config, NULL, error));
	assert_string_equal(error, "redis://a: no Redis today");
	config.state = NULL;
	bad = servers[1];
	bad.matches = no_host;
	config.servers = &bad;
	config.server_count = 1;
	assert_null(asker_new(NULL, &config, NULL, error));
	assert_non_null(strstr(error, "f:2: neither an address nor a host"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_domain),
	    cmocka_unit_test(test_policy_unknown),
	    cmocka_unit_test(test_sts_is_full),
	    cmocka_unit_test(test_policy_not_needed),
	    cmocka_unit_test(test_nothing_to_ask),
	    cmocka_unit_test(test_server_first),
	    cmocka_unit_test(test_server_host),
	    cmocka_unit_test(test_server_host_of_other_family),
	    cmocka_unit_test(test_server_host_unknown),
	    cmocka_unit_test(test_dns_is_full),
	    cmocka_unit_test(test_forget),
	    cmocka_unit_test(test_cannot_serve),
	};

	return cmocka_run_group_tests_name("asker", tests, NULL, NULL);
}
