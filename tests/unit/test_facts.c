/* SPDX-License-Identifier: ISC */
/* The facts of a domain as messages: there and back, and what is refused. */

#include "proxy/policy/facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mutate.h"
#include "proxy/base/ipc.h"

static struct ipc_message message;

/* Takes a copy of just so many bytes, so that a sanitizer sees more. */
static int
take(struct facts *facts, int (*part)(struct facts *, struct ipc_reader *),
    const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	struct ipc_reader reader = {.data = copy, .len = len};
	int ret;

	assert_non_null(copy);
	memcpy(copy, data, len);
	ret = part(facts, &reader);
	assert_int_equal(ret == -1, reader.is_bad);
	if (ret == 0)
		ret = ipc_end(&reader);
	free(copy);
	return ret;
}

static int
take_message(
    struct facts *facts, int (*part)(struct facts *, struct ipc_reader *))
{
	assert_false(message.is_bad);
	return take(facts, part, message.data, message.len);
}

static struct mx_facts
some_head(void)
{
	struct mx_facts mx = {
	    .status = DNS_FOUND,
	    .is_secure = true,
	    .why = "why not",
	    .ttl = 0x12345678,
	    .has_unknown = true,
	    .canonical = "real.example",
	    .host_count = 1,
	    .more = 0xabcd,
	};

	return mx;
}

static void
fill_addresses(struct mx_addresses *addresses, const char *text)
{
	size_t i;

	addresses->status = DNS_FOUND;
	addresses->is_secure = true;
	addresses->count = MX_ADDRESSES_MAX;
	addresses->more = 0x1234;
	for (i = 0; i < MX_ADDRESSES_MAX; i++) {
		assert_int_equal(
		    address_from_text(&addresses->list[i], text), 0);
		addresses->list[i].ip[3] = (uint8_t)i;
	}
	addresses->is_alias = true;
	snprintf(addresses->canonical, sizeof(addresses->canonical),
	    "%063d.%063d.%063d.%057dabc", 4, 3, 2, 1);
	memset(addresses->why, 'w', sizeof(addresses->why) - 1);
}

/* As large as one can be. */
static void
fill_host(struct mx_host *host, uint8_t bytes[DNS_BYTES_MAX])
{
	size_t i, each = DNS_BYTES_MAX / MX_TLSA_MAX;

	memset(host, 0, sizeof(*host));
	snprintf(host->name, sizeof(host->name), "%063d.%063d.%063d.%057dabc",
	    1, 2, 3, 4);
	host->preference = 0xfedc;
	host->has_destination = true;
	fill_addresses(&host->ipv4, "192.0.2.1");
	fill_addresses(&host->ipv6, "2001:db8::1");
	host->tlsa = MX_TLSA_FOUND;
	host->tlsa_is_bogus = true;
	memset(host->tlsa_why, '\\', sizeof(host->tlsa_why) - 1);
	strlcpy(host->base, host->name, sizeof(host->base));
	host->record_count = MX_TLSA_MAX;
	for (i = 0; i < MX_TLSA_MAX; i++) {
		memset(bytes + i * each, (int)i, each);
		host->records[i] = (struct tlsa){
		    .usage = (uint8_t)i,
		    .selector = 255,
		    .matching = (uint8_t)(i * 3),
		    .len = (uint16_t)each,
		    .data = bytes + i * each,
		};
	}
}

static void
fill_sts(struct mta_sts_facts *sts, struct sts_policy *policy)
{
	size_t i;

	memset(sts, 0, sizeof(*sts));
	memset(policy, 0, sizeof(*policy));
	sts->status = MTA_STS_FOUND;
	sts->policy = policy;
	memset(sts->id, 'i', STS_ID_MAX);
	sts->expires = 0x123456789abcdef;
	sts->is_fresh = true;
	sts->word = RESULT_STS_WEBPKI_INVALID;
	memset(sts->why, '!', sizeof(sts->why) - 1);
	sts->ttl = 77;
	policy->mode = STS_ENFORCE;
	policy->max_age = STS_AGE_MAX;
	policy->mx_count = STS_MX_MAX;
	for (i = 0; i < STS_MX_MAX; i++)
		snprintf(policy->mx[i], STS_PATTERN_MAX,
		    "%s%061zu.%063zu.%063zu.%053zuabcdefgh",
		    i % 2 == 0 ? "*." : "a.", i, i, i, i);
}

static void
put_head(const struct mx_facts *mx)
{
	ipc_compose(&message, POLICY_FACTS_HEAD, 1);
	facts_put_head(&message, mx);
}

static void
put_host(const struct mx_host *host)
{
	ipc_compose(&message, POLICY_FACTS_HOST, 1);
	facts_put_host(&message, host);
}

static void
put_sts(const struct mta_sts_facts *sts)
{
	ipc_compose(&message, POLICY_FACTS_STS, 1);
	facts_put_sts(&message, sts);
}

/* An answer with its head, waiting for that many hosts. */
static struct facts *
begun(size_t hosts)
{
	struct facts *facts = facts_new();
	struct mx_facts mx = some_head();

	assert_non_null(facts);
	mx.host_count = hosts;
	put_head(&mx);
	assert_int_equal(take_message(facts, facts_take_head), 0);
	return facts;
}

static uint8_t bytes[DNS_BYTES_MAX];
static struct mx_host host;
static struct mta_sts_facts sts;
static struct sts_policy policy;

static void
test_whole(void **state)
{
	struct facts *facts = begun(2);
	size_t i;

	(void)state;
	assert_int_equal(facts->mx.status, DNS_FOUND);
	assert_true(facts->mx.is_secure && facts->mx.has_unknown);
	assert_string_equal(facts->mx.why, "why not");
	assert_int_equal(facts->mx.ttl, 0x12345678);
	assert_int_equal(facts->mx.more, 0xabcd);
	assert_string_equal(facts->mx.canonical, "real.example");
	fill_host(&host, bytes);
	put_host(&host);
	assert_int_equal(take_message(facts, facts_take_host), 0);
	assert_int_equal(take_message(facts, facts_take_host), 0);
	assert_false(facts_are_complete(facts));
	fill_sts(&sts, &policy);
	put_sts(&sts);
	assert_int_equal(take_message(facts, facts_take_sts), 0);
	assert_true(facts_are_complete(facts));

	for (i = 0; i < MX_TLSA_MAX; i++) {
		struct tlsa *out = &facts->mx.hosts[1].records[i];

		assert_int_equal(out->usage, host.records[i].usage);
		assert_int_equal(out->selector, host.records[i].selector);
		assert_int_equal(out->matching, host.records[i].matching);
		assert_int_equal(out->len, host.records[i].len);
		assert_memory_equal(out->data, host.records[i].data, out->len);
	}
	assert_memory_equal(
	    &facts->mx.hosts[1], &host, offsetof(struct mx_host, records));
	assert_memory_equal(&facts->policy, &policy, sizeof(policy));
	assert_ptr_equal(facts->sts.policy, &facts->policy);
	facts->sts.policy = &policy;
	assert_memory_equal(&facts->sts, &sts, sizeof(sts));
	facts_free(facts);
}

/* What the DNS says is no text for a terminal before it is escaped. */
static void
test_why_is_escaped(void **state)
{
	struct facts *facts = facts_new();
	struct mx_facts mx = {.status = DNS_FAILED, .why = "a\033[1m\n"};

	(void)state;
	assert_non_null(facts);
	put_head(&mx);
	assert_int_equal(take_message(facts, facts_take_head), 0);
	assert_string_equal(facts->mx.why, "a\\x1b[1m\\x0a");
	facts_free(facts);
	/* And is no reason to trust who should have escaped it. */
	facts = facts_new();
	message.data[message.len - 15] = '\n';
	assert_int_equal(take_message(facts, facts_take_head), -1);
	facts_free(facts);
}

static void
test_absent_policy(void **state)
{
	struct facts *facts = facts_new();

	(void)state;
	assert_non_null(facts);
	memset(&sts, 0, sizeof(sts));
	sts.status = MTA_STS_ABSENT;
	put_sts(&sts);
	assert_int_equal(take_message(facts, facts_take_sts), 0);
	assert_null(facts->sts.policy);
	facts_free(facts);
}

static void
test_order(void **state)
{
	struct facts *facts = facts_new();
	struct mx_facts mx = some_head();

	(void)state;
	assert_non_null(facts);
	fill_host(&host, bytes);
	put_host(&host);
	assert_int_equal(take_message(facts, facts_take_host), -1);
	facts_free(facts);

	facts = begun(1);
	put_head(&mx);
	assert_int_equal(take_message(facts, facts_take_head), -1);
	put_host(&host);
	assert_int_equal(take_message(facts, facts_take_host), 0);
	assert_int_equal(take_message(facts, facts_take_host), -1);
	fill_sts(&sts, &policy);
	put_sts(&sts);
	assert_int_equal(take_message(facts, facts_take_sts), 0);
	assert_int_equal(take_message(facts, facts_take_sts), -1);
	facts_free(facts);
}

static void
test_refused(void **state)
{
	struct mx_facts mx;
	struct facts *facts;

	(void)state;
#define HEAD_REFUSED(change)                                                   \
	do {                                                                   \
		mx = some_head();                                              \
		change;                                                        \
		put_head(&mx);                                                 \
		facts = facts_new();                                           \
		assert_int_equal(take_message(facts, facts_take_head), -1);    \
		facts_free(facts);                                             \
	} while (0)
	HEAD_REFUSED(mx.status = DNS_FAILED + 1);
	HEAD_REFUSED(mx.is_null = true);
	HEAD_REFUSED(mx.host_count = DECISION_NAMES_MAX + 1);
	HEAD_REFUSED(strlcpy(mx.canonical, "a b", sizeof(mx.canonical)));
#define HOST_REFUSED(change)                                                   \
	do {                                                                   \
		facts = begun(1);                                              \
		fill_host(&host, bytes);                                       \
		change;                                                        \
		put_host(&host);                                               \
		assert_int_equal(take_message(facts, facts_take_host), -1);    \
		facts_free(facts);                                             \
	} while (0)
	HOST_REFUSED(host.name[0] = '\0');
	HOST_REFUSED(host.name[0] = '\n');
	HOST_REFUSED(host.ipv4.list[3].family = AF_INET6);
	HOST_REFUSED(host.ipv6.list[3].family = AF_UNSPEC);
	HOST_REFUSED(host.ipv6.status = DNS_FAILED + 1);
	HOST_REFUSED(host.tlsa = MX_TLSA_NONE);
	HOST_REFUSED(host.tlsa = MX_TLSA_FOUND + 1);
	HOST_REFUSED(host.base[3] = ' ');
	HOST_REFUSED(host.records[7].len++); /* more than there can be */
#define STS_REFUSED(change)                                                    \
	do {                                                                   \
		facts = begun(1);                                              \
		fill_sts(&sts, &policy);                                       \
		change;                                                        \
		put_sts(&sts);                                                 \
		assert_int_equal(take_message(facts, facts_take_sts), -1);     \
		facts_free(facts);                                             \
	} while (0)
	STS_REFUSED(sts.id[0] = '\0');
	STS_REFUSED(sts.id[1] = '-');
	STS_REFUSED(sts.word = RESULT_STS_WEBPKI_INVALID + 1);
	STS_REFUSED(policy.mode = STS_ENFORCE + 1);
	STS_REFUSED(policy.max_age++);
	STS_REFUSED(strlcpy(policy.mx[1], "*", STS_PATTERN_MAX));
	STS_REFUSED(strlcpy(policy.mx[1], "a.*.b", STS_PATTERN_MAX));
}

/* Whatever it is, it ends well, and what is taken is written back. */
static void
try_head(const uint8_t *data, size_t len)
{
	struct facts *facts = facts_new();

	if (take(facts, facts_take_head, data, len) == 0) {
		put_head(&facts->mx);
		assert_int_equal(message.len, len);
		assert_memory_equal(message.data, data, len);
	}
	facts_free(facts);
}

static void
try_host(const uint8_t *data, size_t len)
{
	struct facts *facts = facts_new();

	facts->has_head = true;
	facts->mx.host_count = 1;
	facts->mx.hosts = calloc(1, sizeof(*facts->mx.hosts));
	if (take(facts, facts_take_host, data, len) == 0) {
		put_host(&facts->mx.hosts[0]);
		assert_int_equal(message.len, len);
		assert_memory_equal(message.data, data, len);
	}
	facts_free(facts);
}

static void
try_sts(const uint8_t *data, size_t len)
{
	struct facts *facts = facts_new();

	if (take(facts, facts_take_sts, data, len) == 0) {
		put_sts(&facts->sts);
		assert_int_equal(message.len, len);
		assert_memory_equal(message.data, data, len);
	}
	facts_free(facts);
}

static void
test_mutated(void **state)
{
	static struct ipc_message good;
	struct mx_facts mx = some_head();

	(void)state;
	put_head(&mx);
	good = message;
	mutate(good.data, good.len, try_head);

	fill_host(&host, bytes);
	host.ipv4.count = host.ipv6.count = 2;
	host.record_count = 2;
	host.records[0].len = host.records[1].len = 8;
	put_host(&host);
	good = message;
	mutate(good.data, good.len, try_host);

	fill_sts(&sts, &policy);
	policy.mx_count = 2;
	put_sts(&sts);
	good = message;
	mutate(good.data, good.len, try_sts);
}

/* A part that lacks its end is none. */
static void
test_cut(void **state)
{
	struct facts *facts;
	size_t len;

	(void)state;
	fill_host(&host, bytes);
	put_host(&host);
	for (len = 0; len < message.len; len++) {
		static struct ipc_message whole;

		whole = message;
		facts = begun(1);
		assert_int_equal(
		    take(facts, facts_take_host, whole.data, len), -1);
		facts_free(facts);
		message = whole;
	}
	fill_sts(&sts, &policy);
	put_sts(&sts);
	for (len = 0; len < message.len; len++) {
		facts = facts_new();
		assert_int_equal(
		    take(facts, facts_take_sts, message.data, len), -1);
		facts_free(facts);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_whole),
	    cmocka_unit_test(test_why_is_escaped),
	    cmocka_unit_test(test_absent_policy),
	    cmocka_unit_test(test_order),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_mutated),
	    cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests_name("facts", tests, NULL, NULL);
}
