/* SPDX-License-Identifier: ISC */
/*
 * Where TLSA records are asked for, and what of the answers counts (RFC 7672
 * 2.2); the rows D1 to D6 of what went wrong elsewhere.
 */

#include "proxy/policy/tlsa_lookup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/policy/decide.h"
#include "tests/unit/fake_dns.h"

#define OWN   "_25._tcp.mx.example"
#define OTHER "_25._tcp.other.example"

static struct mx_host host;
static uint32_t ttl;
static int done_count;

static void
on_done(void *arg, uint32_t found)
{
	assert_ptr_equal(arg, &host);
	ttl = found;
	done_count++;
}

/* Ends what a test began and had no more interest in. */
static void
end_lookups(void)
{
	size_t i;

	for (i = 0; i < asked_count; i++) {
		if (asked[i].done == NULL)
			continue;
		begin(DNS_FAILED, false, 0);
		reply(asked[i].name, asked[i].type);
	}
}

static void
fresh(enum dns_status ipv4, bool ipv4_secure, enum dns_status ipv6,
    bool ipv6_secure)
{
	end_lookups();
	free(host.bytes);
	memset(&host, 0, sizeof(host));
	strlcpy(host.name, "mx.example", sizeof(host.name));
	host.ipv4.status = ipv4;
	host.ipv4.is_secure = ipv4_secure;
	host.ipv6.status = ipv6;
	host.ipv6.is_secure = ipv6_secure;
	strlcpy(host.ipv4.why, "four", sizeof(host.ipv4.why));
	strlcpy(host.ipv6.why, "six", sizeof(host.ipv6.why));
	asked_count = 0;
	done_count = 0;
	room = 1000;
}

static void
start(bool prefers_ipv6)
{
	tlsa_lookup_start(NULL, &host, 25, prefers_ipv6, on_done, &host);
}

static void
add_record(const char *rdata)
{
	struct dns_record *record = &answer.records[answer.count++];

	record->offset = answer.byte_count;
	record->len = strlen(rdata);
	memcpy(answer.bytes + answer.byte_count, rdata, record->len);
	answer.byte_count += record->len;
}

static void
assert_done(enum mx_tlsa tlsa, size_t questions)
{
	assert_int_equal(done_count, 1);
	assert_int_equal(host.tlsa, tlsa);
	assert_int_equal(asked_count, questions);
}

static void
test_found(void **state)
{
	(void)state;
	fresh(DNS_FOUND, true, DNS_NODATA, true);
	start(false);
	begin(DNS_FOUND, true, 77);
	add_record("\3\1\1abc");
	add_record("\2");
	add_record("\2\1\2def");
	reply(OWN, DNS_TLSA);
	assert_done(MX_TLSA_FOUND, 1);
	assert_int_equal(ttl, 77);
	assert_string_equal(host.base, "mx.example");
	assert_int_equal(host.record_count, 2); /* one is too short to be */
	assert_int_equal(host.records[0].usage, 3);
	assert_int_equal(host.records[1].len, 3);
	assert_memory_equal(host.records[1].data, "def", 3);
}

static void
test_port(void **state)
{
	(void)state;
	fresh(DNS_FOUND, true, DNS_NODATA, true);
	tlsa_lookup_start(NULL, &host, 2525, false, on_done, &host);
	begin(DNS_NODATA, true, 60);
	reply("_2525._tcp.mx.example", DNS_TLSA);
	assert_done(MX_TLSA_NONE, 1);
}

/* A lookup that fails is never "no such record". */
static void
test_d1_failed_is_not_none(void **state)
{
	static const enum dns_status statuses[] = {DNS_FAILED, DNS_BOGUS};
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		fresh(DNS_FOUND, true, DNS_NODATA, true);
		start(false);
		begin(statuses[i], false, 0);
		reply(OWN, DNS_TLSA);
		assert_done(MX_TLSA_UNKNOWN, 1);
		assert_int_equal(host.tlsa_is_bogus, i == 1);
		assert_non_null(strstr(host.tlsa_why, "because"));
	}
	fresh(DNS_FOUND, true, DNS_NODATA, true);
	room = 0;
	start(false);
	assert_done(MX_TLSA_UNKNOWN, 0);
}

/* Denied, signed or not; or there and not signed. */
static void
test_d2_none(void **state)
{
	static const enum dns_status statuses[] = {
	    DNS_NODATA, DNS_NXDOMAIN, DNS_FOUND};
	int i, is_secure;

	(void)state;
	for (i = 0; i < 3; i++) {
		for (is_secure = 0; is_secure < 2; is_secure++) {
			if (statuses[i] == DNS_FOUND && is_secure)
				continue;
			fresh(DNS_FOUND, true, DNS_NODATA, true);
			start(false);
			begin(statuses[i], is_secure, 60);
			if (statuses[i] == DNS_FOUND)
				add_record("\3\1\1abc");
			reply(OWN, DNS_TLSA);
			assert_done(MX_TLSA_NONE, 1);
			assert_int_equal(host.record_count, 0);
		}
	}
}

static void
test_d3_insecure_addresses(void **state)
{
	(void)state;
	fresh(DNS_FOUND, false, DNS_NODATA, false);
	start(false);
	assert_done(MX_TLSA_NOT_ASKED, 0);
	/* That of the connection's family says so, whatever the other. */
	fresh(DNS_FOUND, false, DNS_FOUND, true);
	start(false);
	assert_done(MX_TLSA_NOT_ASKED, 0);
	fresh(DNS_FOUND, false, DNS_FOUND, true);
	start(true);
	assert_true(is_asked(OWN, DNS_TLSA));
}

static void
test_d4_one_family_fails(void **state)
{
	static const enum dns_status statuses[] = {DNS_BOGUS, DNS_FAILED};
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		fresh(statuses[i], false, DNS_FOUND, true);
		start(false);
		assert_true(is_asked(OWN, DNS_TLSA));
		fresh(DNS_FOUND, true, statuses[i], false);
		start(true);
		assert_true(is_asked(OWN, DNS_TLSA));
		/* The other does not matter where this one answers. */
		fresh(DNS_FOUND, true, statuses[i], false);
		start(false);
		assert_true(is_asked(OWN, DNS_TLSA));

		fresh(statuses[i], false, statuses[i], false);
		start(false);
		assert_done(MX_TLSA_UNKNOWN, 0);
		assert_int_equal(host.tlsa_is_bogus, statuses[i] == DNS_BOGUS);
		assert_non_null(strstr(host.tlsa_why, "four"));
	}
	/* No address in the connection's family. */
	fresh(DNS_NODATA, true, DNS_FOUND, true);
	start(false);
	assert_true(is_asked(OWN, DNS_TLSA));
	fresh(DNS_NODATA, true, DNS_FOUND, false);
	start(false);
	assert_done(MX_TLSA_NOT_ASKED, 0);
}

static void
lead(struct mx_addresses *addresses, const char *canonical)
{
	addresses->is_alias = true;
	strlcpy(addresses->canonical, canonical, sizeof(addresses->canonical));
}

/* First where the signed aliases lead, then at the host's own name. */
static void
test_secure_alias(void **state)
{
	(void)state;
	fresh(DNS_FOUND, true, DNS_NODATA, true);
	lead(&host.ipv4, "other.example");
	start(false);
	begin(DNS_FOUND, true, 60);
	add_record("\3\1\1abc");
	reply(OTHER, DNS_TLSA);
	assert_done(MX_TLSA_FOUND, 1);
	assert_string_equal(host.base, "other.example");

	fresh(DNS_FOUND, true, DNS_NODATA, true);
	lead(&host.ipv4, "other.example");
	start(false);
	begin(DNS_NXDOMAIN, true, 60);
	reply(OTHER, DNS_TLSA);
	assert_int_equal(done_count, 0);
	begin(DNS_FOUND, true, 50);
	add_record("\3\1\1abc");
	reply(OWN, DNS_TLSA);
	assert_done(MX_TLSA_FOUND, 2);
	assert_string_equal(host.base, "mx.example");
	assert_int_equal(ttl, 50);

	/* The first one's failure is not passed over. */
	fresh(DNS_FOUND, true, DNS_NODATA, true);
	lead(&host.ipv4, "other.example");
	start(false);
	begin(DNS_FAILED, false, 0);
	reply(OTHER, DNS_TLSA);
	assert_done(MX_TLSA_UNKNOWN, 1);

	/* An alias to what no host can be called. */
	fresh(DNS_FOUND, true, DNS_NODATA, true);
	lead(&host.ipv4, "");
	start(false);
	assert_true(is_asked(OWN, DNS_TLSA));
}

/* A signed alias into an unsigned zone: the host's own name may have some. */
static void
test_d6_insecure_target(void **state)
{
	(void)state;
	fresh(DNS_FOUND, false, DNS_NODATA, false);
	lead(&host.ipv4, "other.example");
	start(false);
	begin(DNS_FOUND, true, 60);
	reply("mx.example", DNS_CNAME);
	assert_int_equal(done_count, 0);
	begin(DNS_FOUND, true, 60);
	add_record("\3\1\1abc");
	reply(OWN, DNS_TLSA);
	assert_done(MX_TLSA_FOUND, 2);
	assert_string_equal(host.base, "mx.example");
}

static void
test_d6_insecure_alias(void **state)
{
	static const enum dns_status failures[] = {DNS_BOGUS, DNS_FAILED};
	size_t i;

	(void)state;
	fresh(DNS_FOUND, false, DNS_NODATA, false);
	lead(&host.ipv4, "other.example");
	start(false);
	begin(DNS_FOUND, false, 60);
	reply("mx.example", DNS_CNAME);
	assert_done(MX_TLSA_NOT_ASKED, 1);
	/* It has gone since. */
	fresh(DNS_FOUND, false, DNS_NODATA, false);
	lead(&host.ipv4, "other.example");
	start(false);
	begin(DNS_NODATA, true, 60);
	reply("mx.example", DNS_CNAME);
	assert_done(MX_TLSA_NOT_ASKED, 1);
	for (i = 0; i < 2; i++) {
		fresh(DNS_FOUND, false, DNS_NODATA, false);
		lead(&host.ipv4, "other.example");
		start(false);
		begin(failures[i], false, 0);
		reply("mx.example", DNS_CNAME);
		assert_done(MX_TLSA_UNKNOWN, 1);
	}
	fresh(DNS_FOUND, false, DNS_NODATA, false);
	lead(&host.ipv4, "other.example");
	room = 0;
	start(false);
	assert_done(MX_TLSA_UNKNOWN, 0);
}

/* A host's name so long that nothing fits before it has no records. */
static void
test_long_name(void **state)
{
	(void)state;
	fresh(DNS_FOUND, true, DNS_NODATA, true);
	memset(host.name, 'x', 250);
	host.name[63] = host.name[127] = host.name[191] = '.';
	host.name[250] = '\0';
	assert_true(dns_name_is_host(host.name));
	start(false);
	assert_done(MX_TLSA_NONE, 0);
}

static void
test_many(void **state)
{
	size_t i;

	(void)state;
	fresh(DNS_FOUND, true, DNS_NODATA, true);
	start(false);
	begin(DNS_FOUND, true, 60);
	for (i = 0; i < DNS_RECORDS_MAX; i++)
		add_record("\3\1\1abc");
	reply(OWN, DNS_TLSA);
	assert_done(MX_TLSA_FOUND, 1);
	assert_int_equal(host.record_count, MX_TLSA_MAX);
}

/* Nobody vouches for their order: those that count are kept first. */
static void
test_usable_before_others(void **state)
{
	size_t i;

	(void)state;
	fresh(DNS_FOUND, true, DNS_NODATA, true);
	start(false);
	begin(DNS_FOUND, true, 60);
	for (i = 0; i < DNS_RECORDS_MAX - 1; i++)
		add_record("\1\1\1abc");
	add_record("\3\1\1"
		   "0123456789abcdef0123456789abcdef");
	reply(OWN, DNS_TLSA);
	assert_done(MX_TLSA_FOUND, 1);
	assert_int_equal(host.record_count, MX_TLSA_MAX);
	assert_int_equal(host.records[0].usage, TLSA_DANE_EE);
	assert_int_equal(host.records[1].usage, TLSA_PKIX_EE);
}

static int
teardown(void **state)
{
	(void)state;
	end_lookups();
	asked_count = 0;
	free(host.bytes);
	host.bytes = NULL;
	return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_found),
	    TEST(test_port),
	    TEST(test_d1_failed_is_not_none),
	    TEST(test_d2_none),
	    TEST(test_d3_insecure_addresses),
	    TEST(test_d4_one_family_fails),
	    TEST(test_secure_alias),
	    TEST(test_d6_insecure_target),
	    TEST(test_d6_insecure_alias),
	    TEST(test_long_name),
	    TEST(test_many),
	    TEST(test_usable_before_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
