/* SPDX-License-Identifier: ISC */
/*
 * Hosts of server blocks over hours and days: a scripted DNS and a clock that
 * the test moves.
 */

#include "proxy/policy/server_names.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/clock.h"
#include "proxy/policy/blocks.h"
#include "proxy/policy/decide.h"
#include "proxy/policy/dns.h"

/* The DNS: one open question a host, answered when the test says so. */
static struct {
	char name[DNS_NAME_MAX];
	enum dns_type type;
	void (*done)(void *, const struct dns_answer *);
	void *arg;
} asked[8];
static size_t asked_count;
static bool is_dns_full;
static int changes;
static bool is_signed;
static int64_t now_ms;
static struct server_names *names;

int
dns_ask(struct dns *dns, const char *name, enum dns_type type,
    void (*done)(void *, const struct dns_answer *), void *arg)
{
	(void)dns;
	if (is_dns_full) {
		errno = EAGAIN;
		return -1;
	}
	assert_true(asked_count < sizeof(asked) / sizeof(asked[0]));
	strlcpy(asked[asked_count].name, name, sizeof(asked[0].name));
	asked[asked_count].type = type;
	asked[asked_count].done = done;
	asked[asked_count++].arg = arg;
	return 0;
}

static void
on_changed(void *arg)
{
	(void)arg;
	changes++;
}

static void
pass(int64_t seconds)
{
	now_ms += seconds * 1000;
	clock_fake(now_ms, 0);
}

/* Answers the oldest question. */
static void
reply(enum dns_status status, const char *address, uint32_t ttl)
{
	static struct dns_answer answer;
	void (*done)(void *, const struct dns_answer *) = asked[0].done;
	void *arg = asked[0].arg;

	assert_true(asked_count > 0);
	memset(&answer, 0, sizeof(answer));
	answer.status = status;
	answer.ttl = ttl;
	answer.is_secure = is_signed;
	if (address != NULL)
		assert_int_equal(
		    address_from_text(
			&answer.records[answer.count++].address, address),
		    0);
	memmove(&asked[0], &asked[1], --asked_count * sizeof(asked[0]));
	done(arg, &answer);
}

static const struct host_fact *
fact(void)
{
	return server_names_facts(names, AF_INET);
}

static bool
has(const char *text)
{
	struct address address;

	assert_int_equal(address_from_text(&address, text), 0);
	return fact()->is_known && fact()->count == 1 &&
	       address_ip_equal(&fact()->addresses[0], &address);
}

static char *matches[] = {"relay.example"};
static struct rule rule = {
    .name = "r", .matches = matches, .match_count = 1, .origin = "f:1"};
static const struct config config = {.servers = &rule, .server_count = 1};

/* An exception by a name that anybody could answer for is for nobody. */
static void
test_an_exception_wants_signed_addresses(void **state)
{
	(void)state;
	rule.level = LEVEL_NONE;
	assert_false(server_names_refresh(names, AF_INET));
	reply(DNS_FOUND, "192.0.2.1", 100);
	assert_true(fact()->is_known);
	assert_int_equal(fact()->count, 0);
	is_signed = true;
	pass(101);
	assert_false(server_names_refresh(names, AF_INET));
	reply(DNS_FOUND, "192.0.2.2", 100);
	assert_true(has("192.0.2.2"));
	is_signed = false;
	pass(101);
	assert_false(server_names_refresh(names, AF_INET));
	reply(DNS_FOUND, "192.0.2.3", 100);
	assert_int_equal(fact()->count, 0);
	rule.level = LEVEL_VERIFY;
}

static void
test_lookup(void **state)
{
	(void)state;
	assert_false(server_names_refresh(names, AF_INET));
	assert_int_equal(asked_count, 1);
	assert_string_equal(asked[0].name, "relay.example");
	assert_int_equal(asked[0].type, DNS_A);
	assert_false(fact()->is_known);
	/* Once, however many wait. */
	assert_false(server_names_refresh(names, AF_INET));
	assert_int_equal(asked_count, 1);
	reply(DNS_FOUND, "192.0.2.1", 100);
	assert_int_equal(changes, 1);
	assert_true(server_names_refresh(names, AF_INET));
	assert_true(has("192.0.2.1"));
	assert_int_equal(fact()->ttl, 100);
	pass(99);
	assert_true(server_names_refresh(names, AF_INET));
	assert_int_equal(asked_count, 0);
	assert_int_equal(fact()->ttl, 1);
	/* Over: what is new is waited for. */
	pass(1);
	assert_false(server_names_refresh(names, AF_INET));
	reply(DNS_FOUND, "192.0.2.2", 100);
	assert_true(server_names_refresh(names, AF_INET));
	assert_true(has("192.0.2.2"));
}

static void
test_families(void **state)
{
	(void)state;
	assert_false(server_names_refresh(names, AF_INET6));
	assert_int_equal(asked[0].type, DNS_AAAA);
	reply(DNS_FOUND, "2001:db8::1", 100);
	assert_true(server_names_refresh(names, AF_INET6));
	assert_int_equal(server_names_facts(names, AF_INET6)->count, 1);
	assert_false(fact()->is_known);
}

static void
test_ttl_bounds(void **state)
{
	(void)state;
	server_names_refresh(names, AF_INET);
	reply(DNS_FOUND, "192.0.2.1", 0);
	assert_int_equal(fact()->ttl, SERVER_TTL_MIN);
	pass(SERVER_TTL_MIN);
	server_names_refresh(names, AF_INET);
	reply(DNS_FOUND, "192.0.2.1", 1000000);
	assert_int_equal(fact()->ttl, SERVER_TTL_MAX);
}

static void
test_none(void **state)
{
	(void)state;
	server_names_refresh(names, AF_INET);
	reply(DNS_FOUND, "192.0.2.1", 100);
	pass(100);
	server_names_refresh(names, AF_INET);
	reply(DNS_NXDOMAIN, NULL, 100);
	assert_true(server_names_refresh(names, AF_INET));
	assert_true(fact()->is_known);
	assert_int_equal(fact()->count, 0);
	pass(100);
	server_names_refresh(names, AF_INET);
	reply(DNS_NODATA, NULL, 100);
	assert_true(fact()->is_known);
	assert_int_equal(fact()->count, 0);
}

static void
test_never_known(void **state)
{
	(void)state;
	assert_false(server_names_refresh(names, AF_INET));
	reply(DNS_FAILED, NULL, 0);
	assert_true(server_names_refresh(names, AF_INET));
	assert_false(fact()->is_known);
	assert_int_equal(asked_count, 0);
	pass(SERVER_RETRY);
	/* Asked again, and not waited for: it failed last time. */
	assert_true(server_names_refresh(names, AF_INET));
	assert_int_equal(asked_count, 1);
	assert_false(fact()->is_known);
	reply(DNS_BOGUS, NULL, 0);
	assert_false(fact()->is_known);
	pass(SERVER_RETRY);
	server_names_refresh(names, AF_INET);
	reply(DNS_FOUND, "192.0.2.1", 100);
	assert_true(has("192.0.2.1"));
}

/* The last good address serves for a day of failures and no longer. */
static void
test_stale(void **state)
{
	int64_t passed;

	(void)state;
	server_names_refresh(names, AF_INET);
	reply(DNS_FOUND, "192.0.2.1", 100);
	pass(100);
	assert_false(server_names_refresh(names, AF_INET));
	assert_true(has("192.0.2.1"));
	reply(DNS_FAILED, NULL, 0);
	for (passed = 100; passed + SERVER_RETRY <= SERVER_STALE_MAX;
	     passed += SERVER_RETRY) {
		assert_true(has("192.0.2.1"));
		pass(SERVER_RETRY);
		assert_true(server_names_refresh(names, AF_INET));
		reply(DNS_FAILED, NULL, 0);
	}
	pass(SERVER_RETRY);
	assert_false(fact()->is_known);
}

static void
test_dns_full(void **state)
{
	(void)state;
	is_dns_full = true;
	assert_true(server_names_refresh(names, AF_INET));
	assert_false(fact()->is_known);
	is_dns_full = false;
	pass(SERVER_RETRY);
	server_names_refresh(names, AF_INET);
	reply(DNS_FOUND, "192.0.2.1", 100);
	assert_true(has("192.0.2.1"));
}

static int
setup(void **state)
{
	char error[BLOCKS_ERROR_MAX];
	struct blocks *blocks = blocks_new(&config, error);

	if (blocks == NULL)
		return -1;
	*state = blocks;
	asked_count = 0;
	is_dns_full = false;
	changes = 0;
	pass(1000);
	names = server_names_new(NULL, blocks, on_changed, NULL);
	return names == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	server_names_free(names);
	blocks_free(*state);
	clock_fake(-1, -1);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_lookup),
	    TEST(test_an_exception_wants_signed_addresses),
	    TEST(test_families),
	    TEST(test_ttl_bounds),
	    TEST(test_none),
	    TEST(test_never_known),
	    TEST(test_stale),
	    TEST(test_dns_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
