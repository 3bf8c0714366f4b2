/* SPDX-License-Identifier: ISC */
/* Which of the operator's blocks speaks for a destination or a domain. */

#include "proxy/policy/blocks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1000

static char *wide[] = {"192.0.2.0/24", "relay.example"};
static char *narrow[] = {"192.0.2.9", "2001:db8::/32"};
static char *again[] = {"192.0.2.0/24"};
static char *ended[] = {"192.0.2.8/31"};

static struct rule servers[] = {
    {.name = "wide", .matches = wide, .match_count = 2, .origin = "f:1"},
    {.name = "narrow", .matches = narrow, .match_count = 2, .origin = "f:2"},
    {.name = "again", .matches = again, .match_count = 1, .origin = "f:3"},
    {.name = "ended",
	.matches = ended,
	.match_count = 1,
	.origin = "f:4",
	.until = NOW},
};

static struct rule domains[] = {
    {.name = "*.example", .origin = "f:5"},
    {.name = "*.a.example", .origin = "f:6"},
    {.name = "b.a.example", .origin = "f:7"},
    {.name = "c.a.example", .origin = "f:8", .until = NOW},
};

static struct config config = {
    .servers = servers,
    .server_count = 4,
    .domains = domains,
    .domain_count = 4,
};

static const char *
find_address(const struct blocks *blocks, const char *text, int64_t now)
{
	const struct rule *rule;
	struct address address;

	assert_int_equal(address_from_text(&address, text), 0);
	rule = blocks_find_address(blocks, &address, now);
	return rule == NULL ? "none" : rule->name;
}

static const char *
find_domain(const struct blocks *blocks, const char *domain, int64_t now)
{
	const struct rule *rule = blocks_find_domain(blocks, domain, now);

	return rule == NULL ? "none" : rule->name;
}

static void
test_addresses(void **state)
{
	const struct blocks *blocks = *state;

	assert_string_equal(find_address(blocks, "192.0.2.1", NOW), "wide");
	assert_string_equal(find_address(blocks, "192.0.2.9", NOW), "narrow");
	assert_string_equal(
	    find_address(blocks, "192.0.2.8", NOW - 1), "ended");
	assert_string_equal(find_address(blocks, "192.0.2.8", NOW), "wide");
	assert_string_equal(find_address(blocks, "192.0.3.1", NOW), "none");
	assert_string_equal(
	    find_address(blocks, "2001:db8:1::", NOW), "narrow");
	assert_string_equal(find_address(blocks, "2001:db9::", NOW), "none");
	assert_int_equal(blocks->host_count, 1);
	assert_string_equal(blocks->hosts[0].name, "relay.example");
	assert_string_equal(blocks->hosts[0].rule->name, "wide");
}

static void
test_domains(void **state)
{
	const struct blocks *blocks = *state;

	assert_string_equal(find_domain(blocks, "x.example", NOW), "*.example");
	assert_string_equal(find_domain(blocks, "example", NOW), "none");
	assert_string_equal(find_domain(blocks, "notexample", NOW), "none");
	assert_string_equal(find_domain(blocks, "a.example", NOW), "*.example");
	assert_string_equal(
	    find_domain(blocks, "x.a.example", NOW), "*.a.example");
	assert_string_equal(
	    find_domain(blocks, "y.x.a.example", NOW), "*.a.example");
	assert_string_equal(
	    find_domain(blocks, "b.a.example", NOW), "b.a.example");
	assert_string_equal(
	    find_domain(blocks, "c.a.example", NOW - 1), "c.a.example");
	/* Over: as if it were not there. */
	assert_string_equal(
	    find_domain(blocks, "c.a.example", NOW), "*.a.example");
	assert_string_equal(
	    find_domain(blocks, "*.a.example", NOW), "*.a.example");
	assert_string_equal(find_domain(blocks, "", NOW), "none");
}

static void
test_refused(void **state)
{
	static char long_trust[2000];
	static char *bad_names[] = {"mx.example", "mx\r\n.example"};
	static char *bad_matches[] = {"192.0.2.0/33"};
	struct rule rule = {.name = "x", .origin = "f:9"};
	const struct config one = {.servers = &rule, .server_count = 1};
	const struct config other = {.domains = &rule, .domain_count = 1};
	struct blocks *blocks;
	char error[BLOCKS_ERROR_MAX];

	(void)state;
	blocks = blocks_new(&one, error);
	assert_non_null(blocks);
	blocks_free(blocks);
	rule.names = bad_names;
	rule.name_count = 2;
	assert_null(blocks_new(&one, error));
	assert_non_null(strstr(error, "f:9"));
	assert_null(blocks_new(&other, error));
	rule.name_count = 1;
	rule.matches = bad_matches;
	rule.match_count = 1;
	assert_null(blocks_new(&one, error));
	memset(long_trust, '/', sizeof(long_trust) - 1);
	rule.match_count = 0;
	rule.trust = long_trust;
	assert_null(blocks_new(&one, error));
}

static int
setup(void **state)
{
	char error[BLOCKS_ERROR_MAX];

	*state = blocks_new(&config, error);
	return *state == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	blocks_free(*state);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_domains),
	    cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
