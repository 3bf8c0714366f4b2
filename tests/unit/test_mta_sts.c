/* SPDX-License-Identifier: ISC */
/*
 * MTA-STS policies out of scripted records, files, disks and peers, under a
 * clock that the test moves.
 */

#include "proxy/policy/mta_sts.h"

#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/clock.h"
#include "proxy/policy/dns.h"
#include "proxy/policy/shared.h"
#include "proxy/policy/state.h"
#include "proxy/policy/sts_fetch.h"
#include "proxy/policy/sts_refresh.h"

#define WALL 1800000000
#define DAY  INT64_C(86400)
#define ENFORCE                                                                \
	"version: STSv1\nmode: enforce\nmx: mx.a.example\nmax_age: 604800\n"
#define OTHER                                                                  \
	"version: STSv1\r\nmode: testing\r\nmx: mx2.a.example\r\n"             \
	"x-junk: much\r\nmax_age: 604800\r\n"
/* As it is kept. */
#define OTHER_KEPT                                                             \
	"version: STSv1\nmode: testing\nmax_age: 604800\nmx: mx2.a.example\n"

static int64_t now; /* seconds since the test began */
static int64_t wall_offset; /* how far the wall clock has jumped */
static int handle; /* what a state or shared is borrowed as */
#define STATE  ((struct state *)&handle)
#define SHARED ((struct shared *)&handle)

static struct mta_sts *sts;

/* The DNS. */
static struct {
	size_t count; /* questions ever asked */
	char name[DNS_NAME_MAX];
	void (*done)(void *, const struct dns_answer *);
	void *arg;
	int error;
} resolver;

/* The policy hosts. */
static struct {
	size_t count; /* fetches ever begun */
	char domain[DNS_NAME_MAX];
	void (*done)(void *, const struct sts_fetched *);
	void *arg;
	int error;
	bool is_open;
} web;

/* The disk, and the other gateways. */
static struct {
	size_t put;
	size_t asked;
	size_t dropped;
	char id[STS_ID_MAX + 1];
	int64_t fetched;
	int64_t expires;
	char text[512];
} disk, peers;
static struct state_policy kept[4];
static size_t kept_count;
static struct {
	size_t count;
	void (*done)(void *, const struct state_policy *);
	void *arg;
	int error;
} peer_question;

/* What was told last. */
static struct {
	struct mta_sts_facts facts;
	struct sts_policy policy;
	size_t count;
} told;

int
dns_ask(struct dns *dns, const char *name, enum dns_type type,
    void (*done)(void *, const struct dns_answer *), void *arg)
{
	(void)dns;
	assert_int_equal(type, DNS_TXT);
	assert_true(dns_name_is_host(name));
	assert_null(resolver.done);
	if (resolver.error != 0) {
		errno = resolver.error;
		return -1;
	}
	resolver.count++;
	strlcpy(resolver.name, name, sizeof(resolver.name));
	resolver.done = done;
	resolver.arg = arg;
	return 0;
}

struct sts_fetcher *
sts_fetcher_new(struct event_base *base, struct dns *dns,
    const struct config *config, char error[STS_ERROR_MAX])
{
	(void)base;
	(void)dns;
	(void)config;
	(void)error;
	return (struct sts_fetcher *)&web;
}

void
sts_fetcher_free(struct sts_fetcher *fetcher)
{
	assert_ptr_equal(fetcher, &web);
}

int
sts_fetch(struct sts_fetcher *fetcher, const char *domain,
    void (*done)(void *, const struct sts_fetched *), void *arg)
{
	assert_ptr_equal(fetcher, &web);
	assert_false(web.is_open);
	if (web.error != 0) {
		errno = web.error;
		return -1;
	}
	web.count++;
	web.is_open = true;
	strlcpy(web.domain, domain, sizeof(web.domain));
	web.done = done;
	web.arg = arg;
	return 0;
}

int
state_put_policy(struct state *state, const struct state_policy *row)
{
	assert_ptr_equal(state, STATE);
	disk.put++;
	disk.fetched = row->fetched;
	disk.expires = row->expires;
	strlcpy(disk.id, row->id, sizeof(disk.id));
	assert_true(row->len < sizeof(disk.text));
	memcpy(disk.text, row->text, row->len);
	disk.text[row->len] = '\0';
	return -1; /* a full disk is no harm */
}

int
state_drop_policy(struct state *state, const char *domain, int64_t expires)
{
	assert_ptr_equal(state, STATE);
	assert_string_equal(domain, "a.example");
	assert_int_equal(expires, disk.expires);
	disk.dropped++;
	return 0;
}

int
state_get_policy(struct state *state, const char *domain, int64_t at,
    bool (*take)(void *, const struct state_policy *), void *arg)
{
	size_t i;

	assert_ptr_equal(state, STATE);
	assert_int_equal(at, clock_wall());
	disk.asked++;
	for (i = 0; i < kept_count; i++)
		if (strcmp(kept[i].domain, domain) == 0 &&
		    kept[i].expires > at) {
			take(arg, &kept[i]);
			return 1;
		}
	return 0;
}

int
state_each_policy(struct state *state, int64_t at,
    bool (*each)(void *, const struct state_policy *), void *arg)
{
	size_t i;

	assert_ptr_equal(state, STATE);
	assert_int_equal(at, clock_wall());
	for (i = 0; i < kept_count; i++)
		if (!each(arg, &kept[i]))
			break;
	return 0;
}

int
shared_get(struct shared *shared, const char *domain,
    void (*done)(void *, const struct state_policy *), void *arg)
{
	assert_ptr_equal(shared, SHARED);
	assert_string_equal(domain, "a.example");
	peer_question.count++;
	if (peer_question.error != 0)
		return -1;
	peer_question.done = done;
	peer_question.arg = arg;
	return 0;
}

void
shared_put(struct shared *shared, const struct state_policy *row)
{
	assert_ptr_equal(shared, SHARED);
	peers.put++;
	strlcpy(peers.id, row->id, sizeof(peers.id));
	assert_true(row->len < sizeof(peers.text));
	memcpy(peers.text, row->text, row->len);
	peers.text[row->len] = '\0';
}

static void
pass(int64_t seconds)
{
	now += seconds;
	clock_fake((now + 1000) * 1000, WALL + now + wall_offset);
}

static void
jump(int64_t seconds)
{
	wall_offset += seconds;
	pass(0);
}

static void
begin_with(struct state *state, struct shared *shared)
{
	char error[MTA_STS_ERROR_MAX];

	mta_sts_free(sts);
	sts = mta_sts_new(NULL, NULL, NULL, state, shared, error);
	assert_non_null(sts);
}

static int
setup(void **state)
{
	(void)state;
	memset(&resolver, 0, sizeof(resolver));
	memset(&web, 0, sizeof(web));
	memset(&disk, 0, sizeof(disk));
	memset(&peers, 0, sizeof(peers));
	memset(&peer_question, 0, sizeof(peer_question));
	memset(&told, 0, sizeof(told));
	kept_count = 0;
	now = wall_offset = 0;
	pass(0);
	begin_with(NULL, NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	mta_sts_free(sts);
	sts = NULL;
	clock_fake(-1, -1);
	return 0;
}

static void
on_told(void *arg, const struct mta_sts_facts *facts)
{
	assert_ptr_equal(arg, &told);
	told.count++;
	told.facts = *facts;
	if (facts->policy != NULL) {
		told.policy = *facts->policy;
		told.facts.policy = &told.policy;
	}
	assert_int_equal(facts->status == MTA_STS_FOUND, facts->policy != NULL);
	assert_int_equal(facts->word != RESULT_NONE, facts->why[0] != '\0');
}

static int
ask(const char *domain)
{
	return mta_sts_ask(sts, domain, on_told, &told);
}

static void
reply(enum dns_status status, uint32_t ttl, const char *const *texts)
{
	void (*done)(void *, const struct dns_answer *) = resolver.done;
	static struct dns_answer answer;

	assert_non_null(done);
	memset(&answer, 0, sizeof(answer));
	answer.status = status;
	answer.ttl = ttl;
	if (status == DNS_BOGUS || status == DNS_FAILED)
		strlcpy(answer.why, "because\n", sizeof(answer.why));
	for (; texts != NULL && *texts != NULL; texts++) {
		struct dns_record *record = &answer.records[answer.count++];

		record->offset = answer.byte_count;
		record->len = strlen(*texts);
		memcpy(answer.bytes + record->offset, *texts, record->len);
		answer.byte_count += record->len;
	}
	resolver.done = NULL;
	done(resolver.arg, &answer);
}

static void
reply_id(const char *id)
{
	char text[64];
	const char *texts[] = {text, NULL};

	snprintf(text, sizeof(text), "v=STSv1; id=%s;", id);
	reply(DNS_FOUND, 300, texts);
}

static void
serve(const char *text)
{
	static struct sts_fetched fetched;

	assert_true(web.is_open);
	fetched.word = RESULT_NONE;
	fetched.is_local = false;
	fetched.text = text;
	fetched.len = strlen(text);
	fetched.why[0] = '\0';
	web.is_open = false;
	web.done(web.arg, &fetched);
}

static void
break_down(enum result_word word, bool is_local)
{
	static struct sts_fetched fetched;

	assert_true(web.is_open);
	memset(&fetched, 0, sizeof(fetched));
	fetched.word = word;
	fetched.is_local = is_local;
	strlcpy(fetched.why, "it burns", sizeof(fetched.why));
	web.is_open = false;
	web.done(web.arg, &fetched);
}

static void
assert_found(const char *id, const char *mx)
{
	assert_int_equal(told.facts.status, MTA_STS_FOUND);
	assert_string_equal(told.facts.id, id);
	assert_string_equal(told.policy.mx[0], mx);
}

/* a.example's policy is at hand, fresh. */
static void
have_policy(void)
{
	size_t count = told.count;

	assert_int_equal(ask("a.example"), 0);
	reply_id("1");
	serve(ENFORCE);
	assert_int_equal(told.count, count + 1);
	assert_found("1", "mx.a.example");
}

static void
test_found(void **state)
{
	(void)state;
	assert_int_equal(ask("a.example"), 0);
	assert_string_equal(resolver.name, "_mta-sts.a.example");
	assert_int_equal(told.count, 0);
	reply_id("1");
	assert_string_equal(web.domain, "a.example");
	assert_int_equal(told.count, 0);
	serve(ENFORCE);
	assert_int_equal(told.count, 1);
	assert_found("1", "mx.a.example");
	assert_int_equal(told.policy.mode, STS_ENFORCE);
	assert_int_equal(told.facts.expires, WALL + 604800);
	assert_int_equal(told.facts.word, RESULT_NONE);
	assert_true(told.facts.is_fresh);
	assert_int_equal(told.facts.ttl, 300);
	/* At hand for the record's TTL. */
	pass(299);
	assert_int_equal(ask("a.example"), 0);
	assert_int_equal(told.count, 2);
	assert_int_equal(told.facts.ttl, 1);
	assert_int_equal(resolver.count, 1);
	/* Then the record is looked at, and the policy is at hand still. */
	pass(1);
	assert_int_equal(ask("a.example"), 0);
	assert_int_equal(told.count, 2);
	reply_id("1");
	assert_int_equal(told.count, 3);
	assert_found("1", "mx.a.example");
	assert_int_equal(web.count, 1);
}

static void
test_absent(void **state)
{
	static const enum dns_status statuses[] = {DNS_NODATA, DNS_NXDOMAIN};
	char domain[] = "0.example";
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		domain[0]++;
		assert_int_equal(ask(domain), 0);
		reply(statuses[i], 10, NULL);
		assert_int_equal(told.count, 2 * i + 1);
		assert_int_equal(told.facts.status, MTA_STS_ABSENT);
		assert_string_equal(told.facts.why, "");
		/* Not asked again at once. */
		assert_int_equal(told.facts.ttl, MTA_STS_CHECK_MIN);
		assert_int_equal(ask(domain), 0);
		assert_int_equal(told.count, 2 * i + 2);
		assert_int_equal(resolver.count, i + 1);
	}
	assert_int_equal(web.count, 0);
}

static const struct {
	const char *texts[4];
	const char *id; /* NULL: no policy */
	const char *why;
} records[] = {
    {{"v=spf1 -all", NULL}, NULL, ""},
    {{"v=STSv1 is new", "v=STSv1; id=7", "v=STSv2; id=8", NULL}, "7", ""},
    {{"v=STSv1; id=7", "v=STSv1; id=7", NULL}, NULL, "has 2 records"},
    {{"v=STSv1; id=7", "v=STSv1; id=+", NULL}, NULL, "has 2 records"},
    {{"v=STSv1; id=+", NULL}, NULL, "is malformed"},
};

static void
test_records(void **state)
{
	char domain[] = "0.example";
	size_t i, fetches = 0;

	(void)state;
	for (i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		domain[0]++;
		assert_int_equal(ask(domain), 0);
		reply(DNS_FOUND, 300, records[i].texts);
		if (records[i].id != NULL) {
			serve(ENFORCE);
			fetches++;
			assert_found(records[i].id, "mx.a.example");
			continue;
		}
		assert_int_equal(told.facts.status, MTA_STS_ABSENT);
		assert_non_null(strstr(told.facts.why, records[i].why));
		assert_int_equal(
		    told.facts.why[0] == '\0', records[i].why[0] == '\0');
		if (records[i].why[0] != '\0')
			assert_int_equal(
			    told.facts.word, RESULT_STS_POLICY_INVALID);
	}
	assert_int_equal(web.count, fetches);
}

static void
test_unknown(void **state)
{
	(void)state;
	assert_int_equal(ask("a.example"), 0);
	reply(DNS_FAILED, 0, NULL);
	assert_int_equal(told.facts.status, MTA_STS_UNKNOWN);
	assert_int_equal(told.facts.word, RESULT_STS_POLICY_FETCH_ERROR);
	assert_string_equal(
	    told.facts.why, "TXT lookup of _mta-sts.a.example: because\\x0a");
	assert_int_equal(told.facts.ttl, MTA_STS_CHECK_FAILED);
	pass(MTA_STS_CHECK_FAILED);
	assert_int_equal(ask("a.example"), 0);
	reply(DNS_BOGUS, 0, NULL);
	assert_int_equal(told.facts.status, MTA_STS_UNKNOWN);
	assert_int_equal(told.facts.word, RESULT_DNSSEC_INVALID);
	/* It comes back. */
	pass(MTA_STS_CHECK_FAILED);
	have_policy();
	assert_int_equal(told.facts.word, RESULT_NONE);
}

/* Without a fresh record, the policy at hand holds. */
static void
test_record_gone(void **state)
{
	static const enum dns_status statuses[] = {
	    DNS_NODATA, DNS_NXDOMAIN, DNS_BOGUS, DNS_FAILED};
	size_t i;

	(void)state;
	have_policy();
	for (i = 0; i < 4; i++) {
		pass(MTA_STS_CHECK_MAX);
		assert_int_equal(ask("a.example"), 0);
		reply(statuses[i], 300, NULL);
		assert_found("1", "mx.a.example");
		assert_int_equal(told.facts.is_fresh, i < 2);
		assert_int_equal(told.facts.why[0] != '\0', i >= 2);
	}
	pass(MTA_STS_CHECK_MAX);
	assert_int_equal(ask("a.example"), 0);
	reply(DNS_FOUND, 300, records[4].texts);
	assert_found("1", "mx.a.example");
	/* Nor when the DNS takes no more questions. */
	pass(MTA_STS_CHECK_MAX);
	resolver.error = EAGAIN;
	assert_int_equal(ask("a.example"), 0);
	assert_found("1", "mx.a.example");
	assert_false(told.facts.is_fresh);
	assert_int_equal(told.facts.ttl, 0);
	assert_int_equal(web.count, 1);
}

static void
test_new_id(void **state)
{
	(void)state;
	have_policy();
	pass(300);
	assert_int_equal(ask("a.example"), 0);
	reply_id("2");
	assert_int_equal(told.count, 1); /* waits for it */
	serve(OTHER);
	assert_int_equal(told.count, 2);
	assert_found("2", "mx2.a.example");
	assert_true(told.facts.is_fresh);
}

static void
test_new_id_fails(void **state)
{
	(void)state;
	have_policy();
	pass(300);
	assert_int_equal(ask("a.example"), 0);
	reply_id("2");
	break_down(RESULT_STS_WEBPKI_INVALID, false);
	assert_found("1", "mx.a.example");
	assert_false(told.facts.is_fresh);
	assert_int_equal(told.facts.word, RESULT_STS_WEBPKI_INVALID);
	assert_string_equal(told.facts.why, "it burns");
	assert_int_equal(told.facts.ttl, MTA_STS_TTL_FAULT);
	/* Not tried for a while, nor forgotten. */
	pass(MTA_STS_RETRY_MIN - 1);
	assert_int_equal(ask("a.example"), 0);
	assert_found("1", "mx.a.example");
	assert_string_equal(told.facts.why, "it burns");
	assert_int_equal(web.count, 2);
	/* A third id is another matter, but for the record's TTL. */
	pass(1);
	assert_int_equal(ask("a.example"), 0);
	reply_id("3");
	assert_int_equal(web.count, 3);
	serve("no policy");
	assert_found("1", "mx.a.example");
	assert_int_equal(told.facts.word, RESULT_STS_POLICY_INVALID);
	/* The domain goes back to what is at hand. */
	pass(MTA_STS_RETRY_MIN);
	assert_int_equal(ask("a.example"), 0);
	reply_id("1");
	assert_found("1", "mx.a.example");
	assert_int_equal(told.facts.word, RESULT_NONE);
	assert_true(told.facts.is_fresh);
	assert_int_equal(web.count, 3);
}

/* RFC 8461 3.3: as without a policy; and not at once again. */
static void
test_back_off(void **state)
{
	static const uint32_t waits[] = {
	    60, 120, 240, 480, 960, 1920, 3600, 3600};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		size_t count;

		assert_int_equal(ask("a.example"), 0);
		reply_id("1");
		assert_int_equal(web.count, i + 1);
		break_down(RESULT_STS_POLICY_FETCH_ERROR, false);
		assert_int_equal(told.facts.status, MTA_STS_ABSENT);
		assert_int_equal(
		    told.facts.word, RESULT_STS_POLICY_FETCH_ERROR);
		assert_string_equal(told.facts.why, "it burns");
		assert_int_equal(told.facts.ttl, MTA_STS_TTL_FAULT);
		pass(waits[i] - 1);
		count = told.count;
		assert_int_equal(ask("a.example"), 0);
		if (told.count == count) {
			reply_id("1");
			assert_int_equal(told.count, count + 1);
		}
		assert_int_equal(told.facts.status, MTA_STS_ABSENT);
		assert_string_equal(told.facts.why, "it burns");
		assert_int_equal(told.facts.ttl, 1);
		assert_int_equal(web.count, i + 1);
		pass(1);
	}
	/* Success ends it. */
	have_policy();
	assert_int_equal(told.facts.word, RESULT_NONE);
}

static void
test_back_off_ends_with_id(void **state)
{
	(void)state;
	assert_int_equal(ask("a.example"), 0);
	reply_id("1");
	break_down(RESULT_STS_POLICY_FETCH_ERROR, false);
	pass(MTA_STS_RETRY_MIN);
	assert_int_equal(ask("a.example"), 0);
	reply_id("1");
	break_down(RESULT_STS_POLICY_FETCH_ERROR, false); /* two minutes */
	pass(61);
	assert_int_equal(ask("a.example"), 0);
	assert_null(resolver.done);
	pass(60);
	assert_int_equal(ask("a.example"), 0);
	reply_id("2");
	assert_int_equal(web.count, 3);
	serve(ENFORCE);
	assert_found("2", "mx.a.example");
}

/* What this machine cannot do must not turn off a domain's policy. */
static void
test_local_faults(void **state)
{
	(void)state;
	web.error = EAGAIN;
	assert_int_equal(ask("a.example"), 0);
	reply_id("1");
	assert_int_equal(told.facts.status, MTA_STS_UNKNOWN);
	assert_non_null(strstr(told.facts.why, "too many fetches at once"));
	assert_int_equal(told.facts.ttl, 0);
	web.error = 0;
	assert_int_equal(ask("a.example"), 0);
	reply_id("1");
	break_down(RESULT_STS_POLICY_FETCH_ERROR, true);
	assert_int_equal(told.facts.status, MTA_STS_UNKNOWN);
	assert_int_equal(told.facts.ttl, 0);
	have_policy(); /* no back-off */
	/* The DNS is overrun, and nothing is at hand. */
	resolver.error = EAGAIN;
	assert_int_equal(ask("b.example"), -1);
	assert_int_equal(errno, EAGAIN);
}

static void
test_waiters(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < 5; i++)
		assert_int_equal(ask("a.example"), 0);
	assert_int_equal(resolver.count, 1);
	reply_id("1");
	for (i = 0; i < 5; i++)
		assert_int_equal(ask("a.example"), 0);
	assert_int_equal(told.count, 0);
	serve(ENFORCE);
	assert_int_equal(told.count, 10);
	assert_int_equal(web.count, 1);
	assert_int_equal(resolver.count, 1);
}

static void
test_too_many_waiters(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < MTA_STS_WAITERS_MAX; i++)
		assert_int_equal(ask("a.example"), 0);
	assert_int_equal(ask("a.example"), -1);
	assert_int_equal(errno, EAGAIN);
	reply(DNS_NXDOMAIN, 300, NULL);
	assert_int_equal(told.count, MTA_STS_WAITERS_MAX);
	assert_int_equal(ask("a.example"), 0);
}

static void
ask_again(void *arg, const struct mta_sts_facts *facts)
{
	const struct sts_policy *policy = facts->policy;

	assert_ptr_equal(arg, &told);
	assert_int_equal(ask("a.example"), 0);
	assert_ptr_equal(facts->policy, policy);
	assert_string_equal(facts->policy->mx[0], "mx.a.example");
}

/* The record only, until somebody asks. */
static void
test_prepare(void **state)
{
	(void)state;
	begin_with(NULL, SHARED);
	mta_sts_prepare(sts, "a.example");
	assert_string_equal(resolver.name, "_mta-sts.a.example");
	mta_sts_prepare(sts, "a.example");
	reply_id("1");
	mta_sts_prepare(sts, "a.example");
	assert_int_equal(resolver.count, 1);
	assert_int_equal(peer_question.count, 0);
	assert_int_equal(web.count, 0);
	peer_question.error = EAGAIN;
	assert_int_equal(ask("a.example"), 0);
	assert_int_equal(resolver.count, 1);
	assert_int_equal(peer_question.count, 1);
	assert_int_equal(web.count, 1);
	assert_int_equal(told.count, 0);
	assert_int_equal(ask("a.example"), 0);
	serve(ENFORCE);
	assert_int_equal(told.count, 2);
	assert_found("1", "mx.a.example");
	assert_true(told.facts.is_fresh);
	/* All is at hand: nothing to prepare. */
	mta_sts_prepare(sts, "a.example");
	assert_int_equal(ask("a.example"), 0);
	assert_int_equal(told.count, 3);
	assert_int_equal(resolver.count, 1);
	/* The record has to be looked at again. */
	pass(300);
	mta_sts_prepare(sts, "a.example");
	assert_int_equal(resolver.count, 2);
	assert_int_equal(ask("a.example"), 0);
	assert_int_equal(told.count, 3);
	reply_id("1");
	assert_int_equal(told.count, 4);
	assert_found("1", "mx.a.example");
	assert_int_equal(web.count, 1);
}

/* Who asks before the record is there waits for all of it. */
static void
test_ask_while_prepared(void **state)
{
	(void)state;
	mta_sts_prepare(sts, "a.example");
	assert_int_equal(ask("a.example"), 0);
	reply_id("1");
	serve(ENFORCE);
	assert_int_equal(told.count, 1);
	assert_found("1", "mx.a.example");
}

/* Prepared, and not asked for before it was too late. */
static void
test_prepared_too_early(void **state)
{
	(void)state;
	mta_sts_prepare(sts, "a.example");
	reply_id("1");
	pass(300);
	assert_int_equal(ask("a.example"), 0);
	assert_int_equal(resolver.count, 2);
	reply_id("2");
	serve(OTHER);
	assert_int_equal(told.count, 1);
	assert_found("2", "mx2.a.example");
}

static void
test_prepare_fails(void **state)
{
	(void)state;
	mta_sts_prepare(sts, "a.example");
	reply(DNS_FAILED, 0, NULL);
	assert_int_equal(ask("a.example"), 0);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.facts.status, MTA_STS_UNKNOWN);
	resolver.error = EAGAIN;
	mta_sts_prepare(sts, "b.example");
	resolver.error = 0;
	assert_int_equal(ask("b.example"), 0);
	reply(DNS_NXDOMAIN, 300, NULL);
	assert_int_equal(told.count, 2);
	assert_int_equal(told.facts.status, MTA_STS_ABSENT);
	assert_int_equal(web.count, 0);
}

/* An answer may lead to the next question. */
static void
test_ask_from_answer(void **state)
{
	(void)state;
	assert_int_equal(mta_sts_ask(sts, "a.example", ask_again, &told), 0);
	reply_id("1");
	serve(ENFORCE);
	assert_int_equal(told.count, 1);
	assert_int_equal(mta_sts_ask(sts, "a.example", ask_again, &told), 0);
	assert_int_equal(told.count, 2);
}

static void
test_refresh(void **state)
{
	(void)state;
	have_policy();
	pass(DAY - 1);
	assert_int_equal(ask("a.example"), 0);
	reply_id("1");
	assert_int_equal(web.count, 1);
	/* A day old: renewed behind everybody's back. */
	pass(MTA_STS_CHECK_MAX);
	assert_int_equal(ask("a.example"), 0);
	reply_id("1");
	assert_int_equal(told.count, 3);
	assert_int_equal(web.count, 2);
	assert_int_equal(ask("a.example"), 0);
	assert_int_equal(told.count, 4);
	/* In vain: nothing changes, and a while passes until the next. */
	break_down(RESULT_STS_POLICY_FETCH_ERROR, false);
	assert_int_equal(ask("a.example"), 0);
	assert_found("1", "mx.a.example");
	assert_true(told.facts.is_fresh);
	assert_string_equal(told.facts.why, "it burns");
	assert_int_equal(web.count, 2);
	pass(MTA_STS_RETRY_MIN);
	assert_int_equal(ask("a.example"), 0);
	reply(DNS_NXDOMAIN, 300, NULL); /* the record has no say in it */
	assert_int_equal(web.count, 3);
	serve(OTHER);
	assert_int_equal(ask("a.example"), 0);
	assert_found("1", "mx2.a.example");
	assert_int_equal(told.facts.expires, clock_wall() + 604800);
	assert_string_equal(told.facts.why, "");
}

/* The timer's turn; it sees the whole table, and then rests. */
static void
tick(void)
{
	pass(STS_REFRESH_ROUND);
	mta_sts_refresh(sts);
}

/* Mail every eight days, and a policy of a week: it never lapses. */
static void
test_refresh_without_mail(void **state)
{
	size_t day;

	(void)state;
	have_policy();
	tick();
	assert_null(resolver.done); /* too early */
	for (day = 1; day <= 8; day++) {
		pass(DAY);
		tick();
		assert_int_equal(resolver.count, day + 1);
		tick(); /* under way */
		assert_int_equal(resolver.count, day + 1);
		reply_id("1");
		assert_int_equal(web.count, day + 1);
		tick();
		serve(ENFORCE);
		tick();
		assert_int_equal(resolver.count, day + 1);
	}
	assert_int_equal(ask("a.example"), 0);
	reply(DNS_NXDOMAIN, 300, NULL);
	assert_found("1", "mx.a.example");
	/* Nobody has asked for long: it ends. */
	pass(STS_REFRESH_UNUSED_MAX - 6 * DAY);
	begin_with(NULL, NULL);
	have_policy();
	pass(6 * DAY);
	tick();
	assert_non_null(resolver.done);
	reply_id("2"); /* and of another it is told, too */
	serve(OTHER);
	for (day = 7; day <= 35; day++) {
		pass(DAY - STS_REFRESH_ROUND);
		tick();
		if (resolver.done == NULL)
			break;
		reply_id("2");
		serve(OTHER);
	}
	assert_int_equal(day, 35);
}

/* A record that was looked up for nobody is no end of it. */
static void
test_refresh_of_prepared(void **state)
{
	(void)state;
	have_policy();
	pass(DAY);
	mta_sts_prepare(sts, "a.example");
	reply_id("1");
	assert_false(web.is_open);
	tick();
	reply_id("1");
	assert_true(web.is_open);
	serve(OTHER);
	assert_int_equal(ask("a.example"), 0);
	assert_found("1", "mx2.a.example");
}

/* In vain: not tried at each turn, and it ends when it does. */
static void
test_refresh_fails(void **state)
{
	size_t begun = 0, i;

	(void)state;
	begin_with(STATE, NULL);
	have_policy();
	pass(DAY);
	for (i = 0; i < 24 * 3600 / STS_REFRESH_ROUND; i++) {
		tick();
		if (resolver.done != NULL) {
			begun++;
			reply_id("1");
			break_down(RESULT_STS_POLICY_FETCH_ERROR, false);
		}
	}
	assert_in_range(begun, 20, 30);
	pass(5 * DAY);
	tick();
	assert_null(resolver.done);
	assert_int_equal(disk.dropped, 1);
}

/* The DNS overrun, and a fault of this machine: at the next round. */
static void
test_refresh_local_faults(void **state)
{
	(void)state;
	have_policy();
	pass(DAY);
	resolver.error = EAGAIN;
	tick();
	resolver.error = 0;
	mta_sts_refresh(sts);
	assert_null(resolver.done);
	tick();
	reply_id("1");
	break_down(RESULT_STS_POLICY_FETCH_ERROR, true);
	mta_sts_refresh(sts);
	assert_null(resolver.done);
	tick();
	/* Who asks meanwhile waits for the same. */
	assert_int_equal(ask("a.example"), 0);
	assert_int_equal(told.count, 1);
	reply_id("1");
	assert_int_equal(told.count, 2);
	assert_true(told.facts.is_fresh);
	serve(OTHER);
	assert_int_equal(ask("a.example"), 0);
	assert_found("1", "mx2.a.example");
}

/* The loop's own turn. */
static void
test_refresh_timer(void **state)
{
	struct event_base *base = event_base_new();
	char error[MTA_STS_ERROR_MAX];

	(void)state;
	mta_sts_free(sts);
	sts = mta_sts_new(base, NULL, NULL, NULL, NULL, error);
	assert_non_null(sts);
	assert_int_equal(
	    event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 1);
	mta_sts_free(sts);
	sts = NULL;
	assert_int_equal(
	    event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 0);
	event_base_free(base);
}

static void
test_expiry(void **state)
{
	(void)state;
	have_policy();
	pass(604799);
	assert_int_equal(ask("a.example"), 0);
	reply(DNS_NXDOMAIN, 300, NULL);
	assert_found("1", "mx.a.example");
	assert_int_equal(told.facts.ttl, 1);
	break_down(RESULT_STS_POLICY_FETCH_ERROR, false);
	/* Never past its time, though its record counted for longer. */
	pass(1);
	assert_int_equal(ask("a.example"), 0);
	assert_int_equal(told.count, 2);
	reply(DNS_NXDOMAIN, 300, NULL);
	assert_int_equal(told.count, 3);
	assert_int_equal(told.facts.status, MTA_STS_ABSENT);
	assert_string_equal(told.facts.why, "");
}

static void
test_clock_jumps(void **state)
{
	(void)state;
	have_policy();
	/* Back: it is still believed, but not as fresh, nor for longer. */
	jump(-30 * DAY);
	pass(300);
	assert_int_equal(ask("a.example"), 0);
	reply_id("1");
	assert_found("1", "mx.a.example");
	assert_int_equal(web.count, 2);
	break_down(RESULT_STS_POLICY_FETCH_ERROR, false);
	pass(604800 - 300 - 1);
	assert_int_equal(ask("a.example"), 0);
	reply(DNS_NXDOMAIN, 300, NULL);
	assert_found("1", "mx.a.example");
	break_down(RESULT_STS_POLICY_FETCH_ERROR, false);
	pass(1);
	assert_int_equal(ask("a.example"), 0);
	reply(DNS_NXDOMAIN, 300, NULL);
	assert_int_equal(told.facts.status, MTA_STS_ABSENT);
}

/* An hour with a wrong clock must not cost a policy of years. */
static void
test_clock_jumps_forward(void **state)
{
	(void)state;
	begin_with(STATE, NULL);
	have_policy();
	jump(400 * DAY);
	pass(200);
	assert_int_equal(ask("a.example"), 0);
	assert_found("1", "mx.a.example");
	assert_int_equal(told.facts.ttl, 100);
	pass(100);
	/* It is fetched anew, since one of the clocks must be wrong. */
	assert_int_equal(ask("a.example"), 0);
	reply_id("1");
	assert_found("1", "mx.a.example");
	break_down(RESULT_STS_POLICY_FETCH_ERROR, false);
	jump(-400 * DAY);
	pass(MTA_STS_RETRY_MAX);
	assert_int_equal(ask("a.example"), 0);
	reply_id("1");
	assert_found("1", "mx.a.example");
	/* Ahead or not, it ends when it does, on the disk too. */
	jump(-DAY);
	pass(604800 - 300 - MTA_STS_RETRY_MAX);
	assert_int_equal(disk.dropped, 0);
	assert_int_equal(ask("a.example"), 0);
	reply(DNS_NXDOMAIN, 300, NULL);
	assert_int_equal(told.facts.status, MTA_STS_ABSENT);
	assert_int_equal(disk.dropped, 1);
}

/* Who waited for it gets it, and so does who comes right after. */
static void
test_no_age(void **state)
{
	(void)state;
	assert_int_equal(ask("a.example"), 0);
	reply_id("1");
	serve("version: STSv1\nmode: none\nmax_age: 0\n");
	assert_int_equal(told.facts.status, MTA_STS_FOUND);
	assert_int_equal(told.policy.mode, STS_NONE);
	assert_int_equal(told.facts.ttl, STS_TABLE_LIFE_MIN);
}

static void
keep(const char *domain, const char *id, int64_t fetched, int64_t expires,
    const char *text)
{
	struct state_policy *row = &kept[kept_count++];

	memset(row, 0, sizeof(*row));
	strlcpy(row->domain, domain, sizeof(row->domain));
	strlcpy(row->id, id, sizeof(row->id));
	row->fetched = fetched;
	row->expires = expires;
	row->text = text;
	row->len = strlen(text);
}

static void
test_state(void **state)
{
	(void)state;
	keep("a.example", "1", WALL - 100, WALL + 604700, ENFORCE);
	keep("b.example", "1", WALL - 100, WALL + 604700, "no policy");
	keep("C.example", "1", WALL - 100, WALL + 604700, ENFORCE);
	keep("d.example", "1", WALL - 100, WALL + 604701, ENFORCE);
	begin_with(STATE, NULL);
	assert_int_equal(ask("a.example"), 0);
	reply(DNS_NXDOMAIN, 300, NULL);
	assert_found("1", "mx.a.example");
	assert_int_equal(told.facts.expires, WALL + 604700);
	assert_int_equal(web.count, 0);
	/* What is not whole is not believed. */
	assert_int_equal(ask("b.example"), 0);
	reply(DNS_NXDOMAIN, 300, NULL);
	assert_int_equal(told.facts.status, MTA_STS_ABSENT);
	assert_int_equal(ask("d.example"), 0);
	reply(DNS_NXDOMAIN, 300, NULL);
	assert_int_equal(told.facts.status, MTA_STS_ABSENT);
	assert_int_equal(disk.put, 0);
	/* What is fetched is kept. */
	pass(300);
	assert_int_equal(ask("a.example"), 0);
	reply_id("2");
	serve(OTHER);
	assert_int_equal(disk.put, 1);
	assert_string_equal(disk.id, "2");
	assert_string_equal(disk.text, OTHER_KEPT);
	assert_int_equal(disk.fetched, WALL + 300);
	assert_int_equal(disk.expires, WALL + 300 + 604800);
}

/*
 * Not read at the start, or forgotten since: the disk is asked before anybody
 * is told that there is no policy.
 */
static void
test_read_back(void **state)
{
	(void)state;
	begin_with(STATE, NULL);
	keep("a.example", "1", WALL - 100, WALL + 604700, ENFORCE);
	assert_int_equal(ask("a.example"), 0);
	reply(DNS_NXDOMAIN, 300, NULL);
	assert_found("1", "mx.a.example");
	assert_int_equal(disk.asked, 1);
	pass(300);
	assert_int_equal(ask("a.example"), 0);
	reply(DNS_NXDOMAIN, 300, NULL);
	assert_int_equal(disk.asked, 1);
	/* The DNS takes no question: it holds all the same. */
	keep("b.example", "1", WALL - 100, WALL + 604700, ENFORCE);
	resolver.error = EAGAIN;
	assert_int_equal(ask("b.example"), 0);
	assert_found("1", "mx.a.example");
}

/* Kept by a clock that was ahead: renewed at the first question. */
static void
test_state_of_the_future(void **state)
{
	(void)state;
	keep("a.example", "1", WALL + DAY, WALL + DAY + 604800, ENFORCE);
	begin_with(STATE, NULL);
	assert_int_equal(ask("a.example"), 0);
	reply_id("1");
	assert_found("1", "mx.a.example");
	assert_int_equal(web.count, 1);
	serve(OTHER);
	assert_int_equal(ask("a.example"), 0);
	assert_found("1", "mx2.a.example");
}

static void
reply_peers(size_t which)
{
	void (*done)(void *, const struct state_policy *) = peer_question.done;

	assert_non_null(done);
	peer_question.done = NULL;
	done(peer_question.arg, which < kept_count ? &kept[which] : NULL);
}

/* What others have counts at once, and the domain's own word is fetched. */
static void
test_shared(void **state)
{
	(void)state;
	keep("a.example", "1", WALL - 100, WALL + 604700, ENFORCE);
	kept_count = 0; /* not on this disk */
	begin_with(STATE, SHARED);
	assert_int_equal(ask("a.example"), 0);
	reply_id("1");
	assert_int_equal(told.count, 0);
	kept_count = 1;
	reply_peers(0);
	kept_count = 0;
	assert_found("1", "mx.a.example");
	assert_false(told.facts.is_fresh);
	assert_int_equal(told.facts.ttl, MTA_STS_TTL_UNCONFIRMED);
	assert_int_equal(web.count, 1);
	assert_int_equal(disk.put, 0);
	assert_int_equal(ask("a.example"), 0);
	assert_false(told.facts.is_fresh);
	serve(ENFORCE);
	assert_int_equal(disk.put, 1);
	assert_int_equal(peers.put, 1);
	assert_int_equal(ask("a.example"), 0);
	assert_found("1", "mx.a.example");
	assert_true(told.facts.is_fresh);
	assert_int_equal(told.facts.ttl, 300);
	/* Of one that is known only the domain is asked. */
	pass(300);
	assert_int_equal(ask("a.example"), 0);
	reply_id("2");
	serve(OTHER);
	assert_found("2", "mx2.a.example");
	assert_int_equal(peers.put, 2);
	assert_string_equal(peers.id, "2");
	assert_string_equal(peers.text, OTHER_KEPT);
	assert_int_equal(peer_question.count, 1);
}

/* Nobody's word but the domain's own makes its policy weaker. */
static void
test_shared_is_weaker(void **state)
{
	static const char *const texts[] = {
	    OTHER, "version: STSv1\nmode: none\nmax_age: 604800\n"};
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		begin_with(NULL, SHARED);
		kept_count = 0;
		keep("a.example", "1", WALL + 10, WALL + 604700, texts[i]);
		assert_int_equal(ask("a.example"), 0);
		reply_id("1");
		reply_peers(0);
		assert_int_equal(told.count, i);
		serve(ENFORCE);
		assert_int_equal(told.count, i + 1);
		assert_int_equal(told.policy.mode, STS_ENFORCE);
		assert_true(told.facts.is_fresh);
	}
}

/* It cannot be confirmed: it holds, and it is tried again. */
static void
test_shared_is_not_confirmed(void **state)
{
	(void)state;
	keep("a.example", "1", WALL - 100, WALL + 604700, ENFORCE);
	begin_with(NULL, SHARED);
	assert_int_equal(ask("a.example"), 0);
	reply_id("1");
	reply_peers(0);
	break_down(RESULT_STS_POLICY_FETCH_ERROR, false);
	assert_int_equal(ask("a.example"), 0);
	assert_found("1", "mx.a.example");
	assert_false(told.facts.is_fresh);
	pass(MTA_STS_RETRY_MIN);
	assert_int_equal(ask("a.example"), 0);
	reply_id("1");
	assert_int_equal(web.count, 2);
	serve(OTHER);
	assert_int_equal(ask("a.example"), 0);
	assert_found("1", "mx2.a.example");
	assert_true(told.facts.is_fresh);
}

/* A policy that others have holds, with or without its record. */
static void
test_shared_without_record(void **state)
{
	(void)state;
	keep("a.example", "1", WALL - 100, WALL + 604700, ENFORCE);
	begin_with(NULL, SHARED);
	assert_int_equal(ask("a.example"), 0);
	reply(DNS_FAILED, 0, NULL);
	reply_peers(0);
	assert_found("1", "mx.a.example");
	assert_false(told.facts.is_fresh);
}

static void
test_bad_shared(void **state)
{
	size_t i;

	(void)state;
	keep("b.example", "1", WALL - 100, WALL + 604700, ENFORCE);
	keep("a.example", "1 ", WALL - 100, WALL + 604700, ENFORCE);
	keep("a.example", "1", WALL - 100, WALL + 604701, ENFORCE);
	keep("a.example", "1", WALL + 100, WALL + 604900, ENFORCE);
	for (i = 0; i < kept_count; i++) {
		begin_with(NULL, SHARED);
		assert_int_equal(ask("a.example"), 0);
		reply(DNS_NXDOMAIN, 300, NULL);
		reply_peers(i);
		assert_int_equal(told.facts.status, MTA_STS_ABSENT);
	}
	/* It does not even take the question. */
	peer_question.error = EAGAIN;
	begin_with(NULL, SHARED);
	have_policy();
}

/* There is no such record where its name is too long. */
static void
test_long_name(void **state)
{
	char domain[DNS_NAME_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < 248; i++)
		domain[i] = i % 2 == 0 ? 'a' : '.';
	strlcpy(domain + 248, "a", 2);
	domain[247] = 'a';
	assert_true(dns_name_is_host(domain));
	assert_int_equal(ask(domain), 0);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.facts.status, MTA_STS_ABSENT);
	assert_int_equal(resolver.count, 0);
}

/* Domains without a policy do not push out those that have one. */
static void
test_many_domains(void **state)
{
	char domain[32];
	size_t i;

	(void)state;
	have_policy();
	for (i = 0; i < STS_TABLE_OTHERS_MAX + 10; i++) {
		snprintf(domain, sizeof(domain), "d%zu.example", i);
		assert_int_equal(ask(domain), 0);
		reply(DNS_NXDOMAIN, 300, NULL);
	}
	assert_int_equal(ask("a.example"), 0);
	assert_null(resolver.done);
	assert_found("1", "mx.a.example");
	/* The oldest of them is forgotten, the newest is not. */
	assert_int_equal(ask(domain), 0);
	assert_null(resolver.done);
	assert_int_equal(ask("d0.example"), 0);
	assert_non_null(resolver.done);
	reply(DNS_NXDOMAIN, 300, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_found),
	    TEST(test_absent),
	    TEST(test_records),
	    TEST(test_unknown),
	    TEST(test_record_gone),
	    TEST(test_new_id),
	    TEST(test_new_id_fails),
	    TEST(test_back_off),
	    TEST(test_back_off_ends_with_id),
	    TEST(test_local_faults),
	    TEST(test_waiters),
	    TEST(test_too_many_waiters),
	    TEST(test_prepare),
	    TEST(test_ask_while_prepared),
	    TEST(test_prepared_too_early),
	    TEST(test_prepare_fails),
	    TEST(test_ask_from_answer),
	    TEST(test_refresh),
	    TEST(test_refresh_without_mail),
	    TEST(test_refresh_of_prepared),
	    TEST(test_refresh_fails),
	    TEST(test_refresh_local_faults),
	    TEST(test_refresh_timer),
	    TEST(test_expiry),
	    TEST(test_clock_jumps),
	    TEST(test_clock_jumps_forward),
	    TEST(test_no_age),
	    TEST(test_state),
	    TEST(test_read_back),
	    TEST(test_state_of_the_future),
	    TEST(test_shared),
	    TEST(test_shared_is_weaker),
	    TEST(test_shared_is_not_confirmed),
	    TEST(test_shared_without_record),
	    TEST(test_bad_shared),
	    TEST(test_long_name),
	    TEST(test_many_domains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
