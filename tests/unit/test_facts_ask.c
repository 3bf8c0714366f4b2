/* SPDX-License-Identifier: ISC */
/* Facts are asked for: one whole answer each, whatever fails or goes away. */

#include "proxy/policy/facts_ask.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/ipc.h"
#include "proxy/policy/facts.h"
#include "proxy/policy/mx_lookup.h"

#define ASKED_MAX 16

static struct {
	void (*done)(void *, struct mx_facts *);
	void *arg;
} lookups[ASKED_MAX];
static struct {
	void (*done)(void *, const struct mta_sts_facts *);
	void *arg;
} fetches[ASKED_MAX];
static size_t lookup_count, fetch_count;
static bool fails;

int
mx_lookup_start(struct dns *dns, const char *domain,
    const struct address *destination, void (*done)(void *, struct mx_facts *),
    void *arg)
{
	(void)dns;
	assert_string_equal(domain, "example.org");
	assert_int_equal(destination->family, AF_UNSPEC);
	assert_int_equal(destination->port, 25);
	if (fails)
		return -1;
	lookups[lookup_count].done = done;
	lookups[lookup_count++].arg = arg;
	return 0;
}

void
mx_facts_free(struct mx_facts *facts)
{
	free(facts->hosts);
	free(facts);
}

int
mta_sts_ask(struct mta_sts *sts, const char *domain,
    void (*done)(void *, const struct mta_sts_facts *), void *arg)
{
	(void)sts;
	(void)domain;
	if (fails)
		return -1;
	fetches[fetch_count].done = done;
	fetches[fetch_count++].arg = arg;
	return 0;
}

/* Who asks. */
struct asked {
	struct facts_asker *asker;
	struct facts *facts;
	uint32_t id;
	size_t parts;
	bool goes_away; /* at the first part */
};

static void
on_part(void *arg, const struct ipc_message *message)
{
	struct asked *asked = arg;
	struct ipc_reader reader = {
	    .data = message->data,
	    .len = message->len,
	};
	int ret = -1;

	asked->parts++;
	if (asked->goes_away) {
		facts_forget(asked->asker, asked);
		return;
	}
	assert_int_equal(message->id, asked->id);
	if (message->type == POLICY_FACTS_HEAD)
		ret = facts_take_head(asked->facts, &reader);
	else if (message->type == POLICY_FACTS_HOST)
		ret = facts_take_host(asked->facts, &reader);
	else if (message->type == POLICY_FACTS_STS)
		ret = facts_take_sts(asked->facts, &reader);
	assert_int_equal(ret, 0);
	assert_int_equal(ipc_end(&reader), 0);
}

static void
begin(struct asked *asked)
{
	memset(asked, 0, sizeof(*asked));
	lookup_count = fetch_count = 0;
	fails = false;
	asked->asker = facts_asker_new(NULL, NULL);
	asked->facts = facts_new();
	asked->id = 7;
	assert_non_null(asked->asker);
	assert_non_null(asked->facts);
}

static void
end(struct asked *asked)
{
	facts_free(asked->facts);
	facts_asker_free(asked->asker);
}

static int
ask(struct asked *asked, const char *domain)
{
	return facts_ask(asked->asker, asked->id, domain, on_part, asked);
}

static void
answer_lookup(size_t i)
{
	struct mx_facts *facts = calloc(1, sizeof(*facts));

	assert_non_null(facts);
	facts->status = DNS_FOUND;
	facts->host_count = 2;
	facts->hosts = calloc(2, sizeof(*facts->hosts));
	assert_non_null(facts->hosts);
	strlcpy(facts->hosts[0].name, "a.example", DECISION_NAME_MAX);
	strlcpy(facts->hosts[1].name, "b.example", DECISION_NAME_MAX);
	lookups[i].done(lookups[i].arg, facts);
}

static void
answer_fetch(size_t i)
{
	const struct mta_sts_facts facts = {.status = MTA_STS_ABSENT};

	fetches[i].done(fetches[i].arg, &facts);
}

static void
test_either_first(void **state)
{
	struct asked asked;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		begin(&asked);
		assert_int_equal(ask(&asked, "example.org"), 0);
		if (i == 0)
			answer_lookup(0);
		answer_fetch(0);
		if (i == 1)
			answer_lookup(0);
		assert_true(facts_are_complete(asked.facts));
		assert_int_equal(asked.parts, 4);
		assert_string_equal(asked.facts->mx.hosts[1].name, "b.example");
		end(&asked);
	}
}

static void
test_what_fails_is_told(void **state)
{
	struct asked asked;

	(void)state;
	begin(&asked);
	fails = true;
	assert_int_equal(ask(&asked, "example.org"), 0);
	assert_true(facts_are_complete(asked.facts));
	assert_int_equal(asked.facts->mx.status, DNS_FAILED);
	assert_int_equal(asked.facts->sts.status, MTA_STS_UNKNOWN);
	assert_true(asked.facts->mx.why[0] != '\0');
	assert_true(asked.facts->sts.why[0] != '\0');
	end(&asked);

	begin(&asked);
	assert_int_equal(ask(&asked, "no name"), 0);
	assert_true(facts_are_complete(asked.facts));
	assert_int_equal(asked.facts->mx.status, DNS_FAILED);
	assert_int_equal(lookup_count + fetch_count, 0);
	end(&asked);
}

static void
test_gone(void **state)
{
	struct asked asked;

	(void)state;
	begin(&asked);
	assert_int_equal(ask(&asked, "example.org"), 0);
	facts_forget(asked.asker, &asked);
	answer_fetch(0);
	answer_lookup(0);
	assert_int_equal(asked.parts, 0);
	end(&asked);

	begin(&asked);
	asked.goes_away = true;
	assert_int_equal(ask(&asked, "example.org"), 0);
	answer_lookup(0);
	answer_fetch(0);
	assert_int_equal(asked.parts, 1);
	end(&asked);
}

static void
test_bound(void **state)
{
	struct asked asked;
	size_t i;

	(void)state;
	begin(&asked);
	for (i = 0; i < FACTS_OPEN_MAX; i++)
		assert_int_equal(ask(&asked, "example.org"), 0);
	assert_int_equal(ask(&asked, "example.org"), -1);
	assert_int_equal(errno, EAGAIN);
	answer_lookup(0);
	answer_fetch(0);
	assert_int_equal(ask(&asked, "example.org"), 0);
	facts_forget(asked.asker, &asked);
	for (i = 1; i <= FACTS_OPEN_MAX; i++) {
		answer_lookup(i);
		answer_fetch(i);
	}
	end(&asked);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_either_first),
	    cmocka_unit_test(test_what_fails_is_told),
	    cmocka_unit_test(test_gone),
	    cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests_name("facts_ask", tests, NULL, NULL);
}
