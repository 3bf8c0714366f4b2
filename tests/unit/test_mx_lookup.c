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

#define ASKED_MAX (1 + DECISION_NAMES_MAX)

static struct {
	char name[DNS_NAME_MAX];
	enum dns_type type;
	void (*done)(void *, const struct dns_answer *);
	void *arg;
} asked[ASKED_MAX];
static size_t asked_count;
static size_t room; /* questions that the DNS still takes */

static struct dns_answer answer;
static struct mx_facts facts;
static struct mx_host found_hosts[DECISION_NAMES_MAX];
static char why[DNS_WHY_MAX];
static int done_count;

int
dns_ask(struct dns *dns, const char *name, enum dns_type type,
    void (*done)(void *, const struct dns_answer *), void *arg)
{
	(void)dns;
	if (room == 0) {
		errno = EAGAIN;
		return -1;
	}
	room--;
	assert_true(asked_count < ASKED_MAX);
	strlcpy(asked[asked_count].name, name, sizeof(asked[0].name));
	asked[asked_count].type = type;
	asked[asked_count].done = done;
	asked[asked_count++].arg = arg;
	return 0;
}

static void
on_done(void *arg, const struct mx_facts *found)
{
	assert_ptr_equal(arg, &facts);
	facts = *found;
	memcpy(found_hosts, found->hosts,
	    found->host_count * sizeof(*found_hosts));
	facts.hosts = found_hosts;
	if (found->why != NULL)
		strlcpy(why, found->why, sizeof(why));
	done_count++;
}

static int
start(const char *destination)
{
	struct address address;

	asked_count = 0;
	done_count = 0;
	assert_int_equal(address_from_text(&address, destination), 0);
	return mx_lookup_start(NULL, "example.org", &address, on_done, &facts);
}

static void
begin(enum dns_status status, uint32_t ttl)
{
	memset(&answer, 0, sizeof(answer));
	answer.status = status;
	answer.ttl = ttl;
}

static void
add_mx(const char *name)
{
	answer.records[answer.count].preference = (uint16_t)answer.count;
	strlcpy(answer.records[answer.count++].name, name, DNS_NAME_MAX);
}

static void
reply(size_t which)
{
	asked[which].done(asked[which].arg, &answer);
}

static void
reply_address(size_t which, const char *text, uint32_t ttl)
{
	begin(DNS_FOUND, ttl);
	assert_int_equal(
	    address_from_text(&answer.records[0].address, text), 0);
	answer.count = 1;
	reply(which);
}

static int
setup(void **state)
{
	(void)state;
	room = 1000;
	return 0;
}

static void
test_hosts(void **state)
{
	(void)state;
	assert_int_equal(start("192.0.2.2"), 0);
	assert_string_equal(asked[0].name, "example.org");
	assert_int_equal(asked[0].type, DNS_MX);
	begin(DNS_FOUND, 500);
	answer.is_secure = true;
	add_mx("mx1.example");
	add_mx("mx2.example");
	add_mx("mx1.example"); /* with another preference */
	add_mx(""); /* no null MX beside others */
	reply(0);
	assert_int_equal(asked_count, 3);
	assert_int_equal(asked[1].type, DNS_A);
	assert_string_equal(asked[2].name, "mx2.example");
	reply_address(2, "192.0.2.2", 400);
	assert_int_equal(done_count, 0);
	reply_address(1, "192.0.2.1", 600);
	assert_int_equal(done_count, 1);
	assert_int_equal(facts.status, DNS_FOUND);
	assert_true(facts.is_secure);
	assert_false(facts.is_null);
	assert_false(facts.has_unknown);
	assert_int_equal(facts.host_count, 2);
	assert_string_equal(facts.hosts[0].name, "mx1.example");
	assert_false(facts.hosts[0].has_destination);
	assert_true(facts.hosts[1].has_destination);
	assert_int_equal(facts.ttl, 400);
}

static void
test_ipv6(void **state)
{
	(void)state;
	assert_int_equal(start("2001:db8::1"), 0);
	begin(DNS_FOUND, 500);
	add_mx("mx1.example");
	reply(0);
	assert_int_equal(asked[1].type, DNS_AAAA);
	reply_address(1, "2001:db8::1", 400);
	assert_true(facts.hosts[0].has_destination);
}

static void
test_implicit(void **state)
{
	(void)state;
	assert_int_equal(start("192.0.2.1"), 0);
	begin(DNS_NODATA, 50);
	answer.is_secure = true;
	reply(0);
	assert_string_equal(asked[1].name, "example.org");
	reply_address(1, "192.0.2.1", 400);
	assert_int_equal(done_count, 1);
	assert_int_equal(facts.status, DNS_NODATA);
	assert_true(facts.is_secure);
	assert_int_equal(facts.host_count, 1);
	assert_string_equal(facts.hosts[0].name, "example.org");
	assert_true(facts.hosts[0].has_destination);
	assert_int_equal(facts.ttl, 50);
}

static void
test_no_hosts(void **state)
{
	(void)state;
	assert_int_equal(start("192.0.2.1"), 0);
	begin(DNS_FOUND, 50);
	add_mx("");
	reply(0);
	assert_int_equal(done_count, 1);
	assert_true(facts.is_null);
	assert_int_equal(facts.host_count, 0);

	/* A null MX beside a host of which nothing is known is none. */
	assert_int_equal(start("192.0.2.1"), 0);
	answer.bad_count = 1;
	reply(0);
	assert_false(facts.is_null);
	assert_int_equal(facts.host_count, 0);
	/* Nor where there is nothing else: the domain itself is none. */
	assert_int_equal(start("192.0.2.1"), 0);
	begin(DNS_FOUND, 60);
	answer.bad_count = 1;
	reply(0);
	assert_int_equal(done_count, 1);
	assert_int_equal(asked_count, 1);
	assert_false(facts.is_null);
	assert_int_equal(facts.host_count, 0);
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
		begin(statuses[i], 0);
		strlcpy(answer.why, "because", sizeof(answer.why));
		reply(0);
		assert_int_equal(done_count, 1);
		assert_int_equal(asked_count, 1);
		assert_int_equal(facts.status, statuses[i]);
		assert_int_equal(facts.host_count, 0);
		assert_string_equal(why, "because");
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
		begin(DNS_FOUND, 500);
		add_mx("mx1.example");
		reply(0);
		begin(statuses[i], 0);
		reply(1);
		assert_int_equal(done_count, 1);
		assert_true(facts.has_unknown);
		assert_false(facts.hosts[0].has_destination);
		assert_int_equal(facts.ttl, 500);
	}
}

static void
test_dns_full(void **state)
{
	(void)state;
	room = 0;
	assert_int_equal(start("192.0.2.1"), -1);
	assert_int_equal(errno, EAGAIN);

	/* For the second host; for both. */
	for (room = 2; room > 0; room--) {
		size_t hosts = room - 1;

		assert_int_equal(start("192.0.2.1"), 0);
		begin(DNS_FOUND, 500);
		add_mx("mx1.example");
		add_mx("mx2.example");
		reply(0);
		if (hosts > 0)
			reply_address(1, "192.0.2.1", 400);
		assert_int_equal(done_count, 1);
		assert_true(facts.has_unknown);
		assert_int_equal(facts.hosts[0].has_destination, hosts > 0);
		room = hosts + 1;
	}
}

static void
test_most_hosts(void **state)
{
	char name[32];
	size_t i;

	(void)state;
	assert_int_equal(start("192.0.2.1"), 0);
	begin(DNS_FOUND, 500);
	for (i = 0; i < DNS_RECORDS_MAX; i++) {
		snprintf(name, sizeof(name), "mx%zu.example", i);
		add_mx(name);
	}
	reply(0);
	assert_int_equal(asked_count, 1 + DECISION_NAMES_MAX);
	for (i = 1; i < asked_count; i++)
		reply_address(i, "192.0.2.1", 100);
	assert_int_equal(done_count, 1);
	assert_int_equal(facts.host_count, DECISION_NAMES_MAX);
	assert_string_equal(
	    facts.hosts[DECISION_NAMES_MAX - 1].name, "mx31.example");
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
