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

#define ASKED_MAX 8

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

/* The DNS: questions wait until the test answers them. */
static struct {
	char name[DNS_NAME_MAX];
	enum dns_type type;
	void (*done)(void *, const struct dns_answer *);
	void *arg;
} asked[ASKED_MAX];
static size_t asked_count;
static bool is_dns_full, is_dns_broken;

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

int
dns_ask(struct dns *dns, const char *name, enum dns_type type,
    void (*done)(void *, const struct dns_answer *), void *arg)
{
	assert_ptr_equal(dns, &config);
	if (is_dns_full) {
		errno = EAGAIN;
		return -1;
	}
	assert_true(asked_count < ASKED_MAX);
	strlcpy(asked[asked_count].name, name, sizeof(asked[0].name));
	asked[asked_count].type = type;
	asked[asked_count].done = done;
	asked[asked_count++].arg = arg;
	return 0;
}

static void
begin(size_t server_count)
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
	is_dns_full = is_dns_broken = false;
	asker = asker_new(NULL, &config, error);
	if (asker == NULL)
		fail_msg("%s", error);
	askers[asker_count++] = asker;
}

static void
on_answer(void *arg, uint32_t id, const struct decision *answer)
{
	assert_ptr_equal(arg, &decision);
	decision = *answer;
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

static void
check_asked(size_t which, const char *name, enum dns_type type)
{
	assert_true(which < asked_count);
	assert_string_equal(asked[which].name, name);
	assert_int_equal(asked[which].type, type);
}

static void
reply(size_t which, enum dns_status status, const char *text)
{
	static struct dns_answer answer;

	memset(&answer, 0, sizeof(answer));
	answer.status = status;
	answer.ttl = 300;
	if (status == DNS_FOUND) {
		answer.count = 1;
		if (asked[which].type == DNS_MX)
			strlcpy(answer.records[0].name, text, DNS_NAME_MAX);
		else
			address_from_text(&answer.records[0].address, text);
	}
	asked[which].done(asked[which].arg, &answer);
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

/* MX records, then their hosts' addresses. */
static void
test_domain(void **state)
{
	(void)state;
	begin(0);
	ask(POLICY_ASK_DOMAIN, 77, "2001:db8::9", "a.example");
	check_asked(0, "a.example", DNS_MX);
	reply(0, DNS_FOUND, "mx.a.example");
	check_asked(1, "mx.a.example", DNS_A);
	check_asked(2, "mx.a.example", DNS_AAAA);
	reply(1, DNS_NODATA, NULL);
	assert_int_equal(answers, 0);
	reply(2, DNS_FOUND, "2001:db8::9");
	assert_int_equal(answers, 1);
	assert_int_equal(answered_id, 77);
	assert_int_equal(asked_count, 3);
	assert_int_equal(decision.kind, DECISION_LEVEL);
	assert_int_equal(decision.evidence, EVIDENCE_MX);
	assert_int_equal(decision.level, LEVEL_VERIFY);
	assert_string_equal(decision.names[0], "mx.a.example");
}

static void
test_nothing_to_ask(void **state)
{
	(void)state;
	begin(1);
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
	begin(1);
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
	begin(2);
	ask(POLICY_ASK_SERVER, 1, "198.51.100.1", NULL);
	ask(POLICY_ASK_DOMAIN, 2, "198.51.100.2", "a.example");
	check_asked(0, "relay.example", DNS_A);
	assert_int_equal(asked_count, 1);
	assert_int_equal(answers, 0);
	reply(0, DNS_FOUND, "198.51.100.1");
	assert_int_equal(answers, 1);
	assert_int_equal(answered_id, 1);
	assert_true(decision.is_server);
	assert_string_equal(decision.names[0], "relay.example");
	/* The other one goes on to its domain. */
	check_asked(1, "a.example", DNS_MX);
	reply(1, DNS_FAILED, NULL);
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
	begin(2);
	ask(POLICY_ASK_DOMAIN, 1, "198.51.100.2", "a.example");
	reply(0, DNS_NODATA, NULL);
	check_asked(1, "a.example", DNS_MX);
	ask(POLICY_ASK_SERVER, 2, "2001:db8::1", NULL);
	check_asked(2, "relay.example", DNS_AAAA);
	reply(2, DNS_FOUND, "2001:db8::1");
	assert_int_equal(answers, 1);
	assert_int_equal(answered_id, 2);
	assert_int_equal(asked_count, 3);
	reply(1, DNS_NXDOMAIN, NULL);
	assert_int_equal(answers, 2);
	assert_int_equal(answered_id, 1);
}

/* A host that cannot be looked up may be any: nothing is passed by it. */
static void
test_server_host_unknown(void **state)
{
	(void)state;
	begin(2);
	ask(POLICY_ASK_DOMAIN, 1, "198.51.100.1", "partner.example");
	reply(0, DNS_BOGUS, NULL);
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
	begin(0);
	is_dns_full = true;
	ask(POLICY_ASK_DOMAIN, 1, "198.51.100.1", "a.example");
	check_temporary("too many DNS questions at once");
	begin(2);
	is_dns_full = true;
	ask(POLICY_ASK_SERVER, 1, "198.51.100.1", NULL);
	check_temporary("relay.example");
}

static void
test_forget(void **state)
{
	(void)state;
	begin(2);
	ask(POLICY_ASK_SERVER, 1, "198.51.100.1", NULL);
	ask(POLICY_ASK_DOMAIN, 2, "198.51.100.2", "a.example");
	asker_forget(asker, &answers); /* somebody else */
	asker_forget(asker, &decision);
	reply(0, DNS_FOUND, "198.51.100.1");
	reply(1, DNS_NXDOMAIN, NULL);
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
	char error[ASKER_ERROR_MAX];

	(void)state;
	begin(0);
	is_dns_broken = true;
	assert_null(asker_new(NULL, &config, error));
	assert_string_equal(error, "no DNS today");
	is_dns_broken = false;
	bad = servers[1];
	bad.matches = no_host;
	config.servers = &bad;
	config.server_count = 1;
	assert_null(asker_new(NULL, &config, error));
	assert_non_null(strstr(error, "f:2: neither an address nor a host"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_domain),
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
