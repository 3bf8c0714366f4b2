/* SPDX-License-Identifier: ISC */
/* A domain's mail hosts, out of scripted DNS answers in every order. */

#include "proxy/policy/mx_lookup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/policy/decide.h"
#include "proxy/policy/dns.h"
#include "tests/unit/fake_dns.h"

static struct mx_facts *facts; /* owned */
static int done_count;

static void
on_done(void *arg, struct mx_facts *found)
{
	assert_ptr_equal(arg, &facts);
	mx_facts_free(facts);
	facts = found;
	done_count++;
}

static int
start(const char *destination)
{
	struct address address;

	asked_count = 0;
	done_count = 0;
	assert_int_equal(address_from_text(&address, destination), 0);
	address.port = 25;
	return mx_lookup_start(NULL, "example.org", &address, on_done, &facts);
}

static void
add_mx(const char *name)
{
	answer.records[answer.count].preference = (uint16_t)answer.count;
	strlcpy(answer.records[answer.count++].name, name, DNS_NAME_MAX);
}

static void
reply_address(const char *name, const char *text, uint32_t ttl)
{
	begin(DNS_FOUND, answer.is_secure, ttl);
	add_address(text);
	reply(name, strchr(text, ':') == NULL ? DNS_A : DNS_AAAA);
}

static void
reply_none(const char *name, enum dns_type type)
{
	begin(DNS_NODATA, answer.is_secure, 900);
	reply(name, type);
}

/* The whole of a domain with one MX host, up to its addresses. */
static void
reply_one_host(bool is_secure)
{
	begin(DNS_FOUND, is_secure, 500);
	add_mx("mx1.example");
	reply("example.org", DNS_MX);
}

static int
setup(void **state)
{
	(void)state;
	room = 1000;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	mx_facts_free(facts);
	facts = NULL;
	return 0;
}

static void
test_hosts(void **state)
{
	(void)state;
	assert_int_equal(start("192.0.2.2"), 0);
	begin(DNS_FOUND, false, 500);
	add_mx("mx1.example");
	add_mx("mx2.example");
	add_mx("mx1.example"); /* with another preference */
	add_mx(""); /* no null MX beside others */
	reply("example.org", DNS_MX);
	/* The other family is nobody's business without DNSSEC. */
	assert_int_equal(asked_count, 3);
	reply_address("mx2.example", "192.0.2.2", 400);
	assert_int_equal(done_count, 0);
	reply_address("mx1.example", "192.0.2.1", 600);
	assert_int_equal(done_count, 1);
	assert_int_equal(asked_count, 3); /* nor are TLSA records */
	assert_int_equal(facts->status, DNS_FOUND);
	assert_false(facts->is_secure);
	assert_false(facts->is_null);
	assert_false(facts->has_unknown);
	assert_int_equal(facts->host_count, 2);
	assert_string_equal(facts->hosts[0].name, "mx1.example");
	assert_false(facts->hosts[0].has_destination);
	assert_int_equal(facts->hosts[0].ipv4.count, 1);
	assert_int_equal(facts->hosts[0].ipv6.status, DNS_NODATA);
	assert_int_equal(facts->hosts[1].preference, 1);
	assert_true(facts->hosts[1].has_destination);
	assert_int_equal(facts->hosts[1].tlsa, MX_TLSA_NOT_ASKED);
	assert_int_equal(facts->ttl, 400);
}

static void
test_ipv6(void **state)
{
	(void)state;
	assert_int_equal(start("2001:db8::1"), 0);
	reply_one_host(false);
	assert_false(is_asked("mx1.example", DNS_A));
	reply_address("mx1.example", "2001:db8::1", 400);
	assert_true(facts->hosts[0].has_destination);
	assert_int_equal(facts->ttl, 400);
}

static void
test_implicit(void **state)
{
	(void)state;
	assert_int_equal(start("192.0.2.1"), 0);
	begin(DNS_NODATA, true, 50);
	reply("example.org", DNS_MX);
	begin(DNS_FOUND, true, 400);
	add_address("192.0.2.1");
	reply("example.org", DNS_A);
	reply_none("example.org", DNS_AAAA);
	reply_none("_25._tcp.example.org", DNS_TLSA);
	assert_int_equal(done_count, 1);
	assert_int_equal(facts->status, DNS_NODATA);
	assert_true(facts->is_secure);
	assert_int_equal(facts->host_count, 1);
	assert_string_equal(facts->hosts[0].name, "example.org");
	assert_true(facts->hosts[0].has_destination);
	assert_int_equal(facts->hosts[0].tlsa, MX_TLSA_NONE);
	assert_int_equal(facts->ttl, 50);
}

static void
test_no_hosts(void **state)
{
	(void)state;
	assert_int_equal(start("192.0.2.1"), 0);
	begin(DNS_FOUND, false, 50);
	add_mx("");
	reply("example.org", DNS_MX);
	assert_int_equal(done_count, 1);
	assert_true(facts->is_null);
	assert_int_equal(facts->host_count, 0);

	/* A null MX beside a host of which nothing is known is none. */
	assert_int_equal(start("192.0.2.1"), 0);
	answer.bad_count = 1;
	reply("example.org", DNS_MX);
	assert_false(facts->is_null);
	assert_int_equal(facts->host_count, 0);
	/* Nor where there is nothing else: the domain itself is none. */
	assert_int_equal(start("192.0.2.1"), 0);
	begin(DNS_FOUND, false, 60);
	answer.bad_count = 1;
	reply("example.org", DNS_MX);
	assert_int_equal(done_count, 1);
	assert_int_equal(asked_count, 1);
	assert_false(facts->is_null);
	assert_int_equal(facts->host_count, 0);
}

static void
test_failures(void **state)
{
	static const enum dns_status statuses[] = {
	    DNS_NXDOMAIN, DNS_BOGUS, DNS_FAILED};
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		assert_int_equal(start("192.0.2.1"), 0);
		begin(statuses[i], false, 0);
		reply("example.org", DNS_MX);
		assert_int_equal(done_count, 1);
		assert_int_equal(asked_count, 1);
		assert_int_equal(facts->status, statuses[i]);
		assert_int_equal(facts->host_count, 0);
		assert_string_equal(facts->why, "because");
	}
}

static void
test_unknown_addresses(void **state)
{
	static const enum dns_status statuses[] = {DNS_BOGUS, DNS_FAILED};
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_int_equal(start("192.0.2.1"), 0);
		reply_one_host(false);
		begin(statuses[i], false, 0);
		reply("mx1.example", DNS_A);
		assert_int_equal(done_count, 1);
		assert_true(facts->has_unknown);
		assert_false(facts->hosts[0].has_destination);
		assert_int_equal(facts->ttl, 500);

		/* The other family's failure leaves nothing open. */
		assert_int_equal(start("192.0.2.1"), 0);
		reply_one_host(true);
		begin(statuses[i], false, 0);
		reply("mx1.example", DNS_AAAA);
		begin(DNS_FOUND, true, 400);
		add_address("192.0.2.1");
		reply("mx1.example", DNS_A);
		reply_none("_25._tcp.mx1.example", DNS_TLSA);
		assert_false(facts->has_unknown);
		assert_true(facts->hosts[0].has_destination);
		assert_int_equal(facts->ttl, 400);
	}
}

static void
test_dns_full(void **state)
{
	size_t i;

	(void)state;
	room = 0;
	assert_int_equal(start("192.0.2.1"), -1);
	assert_int_equal(errno, EAGAIN);

	/* At each question on the way; what is not known is told as such. */
	for (i = 1; i < 4; i++) {
		room = i;
		assert_int_equal(start("192.0.2.1"), 0);
		reply_one_host(true);
		if (i > 1)
			reply_address("mx1.example", "192.0.2.1", 400);
		if (i > 2)
			reply_none("mx1.example", DNS_AAAA);
		assert_int_equal(done_count, 1);
		assert_int_equal(facts->has_unknown, i == 1);
		assert_int_equal(facts->hosts[0].has_destination, i > 1);
		assert_int_equal(facts->hosts[0].tlsa, MX_TLSA_UNKNOWN);
	}
}

static void
test_most_hosts(void **state)
{
	char name[32];
	size_t i;

	(void)state;
	assert_int_equal(start("192.0.2.1"), 0);
	begin(DNS_FOUND, false, 500);
	for (i = 0; i < DNS_RECORDS_MAX; i++) {
		snprintf(name, sizeof(name), "mx%zu.example", i);
		add_mx(name);
	}
	strlcpy(answer.records[40].name, "mx0.example", DNS_NAME_MAX);
	answer.more = 3;
	reply("example.org", DNS_MX);
	assert_int_equal(asked_count, 1 + DECISION_NAMES_MAX);
	for (i = 0; i < DECISION_NAMES_MAX; i++) {
		snprintf(name, sizeof(name), "mx%zu.example", i);
		reply_address(name, "192.0.2.1", 100);
	}
	assert_int_equal(done_count, 1);
	assert_int_equal(facts->host_count, DECISION_NAMES_MAX);
	assert_string_equal(
	    facts->hosts[DECISION_NAMES_MAX - 1].name, "mx31.example");
	/* A host that is there already is none more. */
	assert_int_equal(
	    facts->more, DNS_RECORDS_MAX - 1 - DECISION_NAMES_MAX + 3);
}

/* More addresses than are kept: D is found among all of them. */
static void
test_many_addresses(void **state)
{
	char text[32];
	int i;

	(void)state;
	assert_int_equal(start("192.0.2.40"), 0);
	reply_one_host(false);
	begin(DNS_FOUND, false, 100);
	for (i = 1; i <= 40; i++) {
		snprintf(text, sizeof(text), "192.0.2.%d", i);
		add_address(text);
	}
	answer.more = 2;
	reply("mx1.example", DNS_A);
	assert_int_equal(facts->hosts[0].ipv4.count, MX_ADDRESSES_MAX);
	assert_int_equal(facts->hosts[0].ipv4.more, 40 - MX_ADDRESSES_MAX + 2);
	assert_int_equal(facts->hosts[0].ipv6.more, 0);
	assert_int_equal(facts->more, 0);
	assert_true(facts->hosts[0].has_destination);
}

/* Only of the hosts that D is; where it is none, of all. */
static void
test_whose_tlsa(void **state)
{
	int is_there;

	(void)state;
	for (is_there = 0; is_there < 2; is_there++) {
		assert_int_equal(
		    start(is_there ? "192.0.2.1" : "192.0.2.99"), 0);
		begin(DNS_FOUND, true, 500);
		add_mx("mx1.example");
		add_mx("mx2.example");
		lead_to("canonical.example");
		reply("example.org", DNS_MX);
		answer.is_secure = true;
		reply_address("mx1.example", "192.0.2.1", 400);
		reply_address("mx2.example", "192.0.2.2", 400);
		reply_none("mx1.example", DNS_AAAA);
		reply_none("mx2.example", DNS_AAAA);
		assert_true(is_asked("_25._tcp.mx1.example", DNS_TLSA));
		assert_int_equal(
		    is_asked("_25._tcp.mx2.example", DNS_TLSA), !is_there);
		begin(DNS_NXDOMAIN, true, 30);
		reply("_25._tcp.mx1.example", DNS_TLSA);
		if (!is_there)
			reply("_25._tcp.mx2.example", DNS_TLSA);
		assert_int_equal(done_count, 1);
		assert_int_equal(facts->ttl, 30);
		assert_string_equal(facts->canonical, "canonical.example");
		assert_int_equal(facts->hosts[0].tlsa, MX_TLSA_NONE);
		assert_int_equal(facts->hosts[1].tlsa,
		    is_there ? MX_TLSA_NOT_ASKED : MX_TLSA_NONE);
	}
}

/* Without a destination all there is to know is asked for. */
static void
test_no_destination(void **state)
{
	struct address none = {.family = AF_UNSPEC, .port = 25};

	(void)state;
	asked_count = 0;
	assert_int_equal(
	    mx_lookup_start(NULL, "example.org", &none, on_done, &facts), 0);
	reply_one_host(false);
	reply_address("mx1.example", "192.0.2.1", 400);
	reply_address("mx1.example", "2001:db8::1", 400);
	assert_false(facts->hosts[0].has_destination);
	assert_int_equal(facts->hosts[0].ipv6.count, 1);
}

/* What unsigned aliases lead to is not the domain's name. */
static void
test_unsigned_canonical(void **state)
{
	(void)state;
	assert_int_equal(start("192.0.2.1"), 0);
	begin(DNS_NXDOMAIN, false, 500);
	lead_to("canonical.example");
	reply("example.org", DNS_MX);
	assert_string_equal(facts->canonical, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_hosts),
	    TEST(test_ipv6),
	    TEST(test_implicit),
	    TEST(test_no_hosts),
	    TEST(test_failures),
	    TEST(test_unknown_addresses),
	    TEST(test_dns_full),
	    TEST(test_most_hosts),
	    TEST(test_many_addresses),
	    TEST(test_whose_tlsa),
	    TEST(test_no_destination),
	    TEST(test_unsigned_canonical),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
