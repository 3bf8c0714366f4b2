/* SPDX-License-Identifier: ISC */
/* What another gateway, or somebody else, has put there. */

#include "proxy/policy/shared_value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/mutate.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NOW      INT64_C(1800000000)
#define HEAD     "postern-sts 1 a.example 20260101 1799999000 1800604800\n"

static char value[SHARED_VALUE_MAX];

static struct state_policy
a_policy(void)
{
	return (struct state_policy){
	    .domain = "a.example",
	    .id = "20260101",
	    .fetched = NOW - 1000,
	    .expires = NOW + 604800,
	    .len = 4,
	    .text = "text",
	};
}

static void
test_form(void **state)
{
	struct state_policy policy = a_policy(), read;
	size_t len = shared_value_write(&policy, NOW, value);
	char key[SHARED_KEY_MAX];

	(void)state;
	assert_int_equal(len, strlen(HEAD "text"));
	assert_memory_equal(value, HEAD "text", len);
	assert_int_equal(
	    shared_value_read(&read, value, len, "a.example", NOW), 0);
	assert_string_equal(read.domain, "a.example");
	assert_string_equal(read.id, "20260101");
	assert_int_equal(read.fetched, NOW - 1000);
	assert_int_equal(read.expires, NOW + 604800);
	assert_int_equal(read.len, 4);
	assert_memory_equal(read.text, "text", 4);
	assert_string_equal(
	    shared_key("a.example", key), "postern:mta-sts:a.example");
}

static void
test_longest(void **state)
{
	static char text[STS_TEXT_MAX + 1];
	struct state_policy policy = a_policy(), read;
	size_t len;

	(void)state;
	memset(policy.domain, 'a', sizeof(policy.domain) - 1);
	memset(policy.id, 'b', sizeof(policy.id) - 1);
	policy.text = text;
	policy.len = STS_TEXT_MAX;
	len = shared_value_write(&policy, NOW, value);
	assert_int_not_equal(len, 0);
	assert_int_equal(
	    shared_value_read(&read, value, len, policy.domain, NOW), 0);
	assert_int_equal(read.len, STS_TEXT_MAX);
	policy.len++;
	assert_int_equal(shared_value_write(&policy, NOW, value), 0);
}

static void
test_not_offered(void **state)
{
	struct state_policy policy = a_policy();

	(void)state;
	strlcpy(policy.id, "a b", sizeof(policy.id));
	assert_int_equal(shared_value_write(&policy, NOW, value), 0);
	policy = a_policy();
	policy.id[0] = '\0';
	assert_int_equal(shared_value_write(&policy, NOW, value), 0);
	policy = a_policy();
	assert_int_equal(shared_value_write(&policy, policy.expires, value), 0);
	policy.expires = INT64_MAX;
	assert_int_equal(shared_value_write(&policy, NOW, value), 0);
}

static void
test_read(void **state)
{
#define S "postern-sts 1 a.example "
	static const struct {
		const char *value;
		int want;
	} rows[] = {
	    {S "1 1800000000 1800000001\nt", 0},
	    {S "1 1800000300 1800000301\nt", 0}, /* clocks differ */
	    {S "1 1800000301 1800000302\nt", -1},
	    {S "1 1768442401 1800000001\nt", 0}, /* the oldest that may be */
	    {S "1 1768442400 1800000001\nt", -1},
	    {S "1 1800000000 1800000000\nt", -1}, /* expired */
	    {S "1 1800000000 1831557600\nt", 0},
	    {S "1 1800000000 1831557601\nt", -1}, /* kept too long */
	    {S "1 0 1800000001\nt", -1},
	    {S "1 -1 1800000001\nt", -1},
	    {S "1 1800000000 1800000001\n", -1}, /* no text */
	    {S "1 1800000000 1800000001", -1},
	    {S "1 1800000000 01800000001\nt", -1},
	    {S "1 +1800000000 1800000001\nt", -1},
	    {S "1 1800000000 999999999999999\nt", -1},
	    {S "1 1800000000 9999999999999999999\nt", -1},
	    {S "1  1800000000 1800000001\nt", -1},
	    {S "1 1800000000 1800000001 \nt", -1},
	    {S "1 1800000000 1800000001\r\nt", -1},
	    {S " 1800000000 1800000001\nt", -1},
	    {S "a-b 1800000000 1800000001\nt", -1},
	    {S "\xc3\xa4 1800000000 1800000001\nt", -1},
	    {S "a23456789012345678901234567890bc 1800000000 1800000001\nt", 0},
	    {S "a23456789012345678901234567890bcd 1800000000 1800000001\nt",
		-1},
	    {"postern-sts 1 b.example 1 1800000000 1800000001\nt", -1},
	    {"postern-sts 1 a.exampl 1 1800000000 1800000001\nt", -1},
	    {"postern-sts 1 a.example.b 1 1800000000 1800000001\nt", -1},
	    {"postern-sts 2 a.example 1 1800000000 1800000001\nt", -1},
	    {"version: STSv1\n", -1},
	    {"", -1},
	};
	struct state_policy policy;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (shared_value_read(&policy, rows[i].value,
			strlen(rows[i].value), "a.example",
			NOW) != rows[i].want)
			fail_msg("%s", rows[i].value);
}

static void
read_spoilt(const uint8_t *data, size_t len)
{
	struct state_policy policy;

	if (shared_value_read(
		&policy, (const char *)data, len, "a.example", NOW) == -1)
		return;
	assert_true(policy.expires > NOW);
	assert_true(policy.expires - policy.fetched <= STS_AGE_MAX);
	assert_ptr_equal(policy.text + policy.len, (const char *)data + len);
}

static void
test_spoilt(void **state)
{
	(void)state;
	mutate(HEAD "text", strlen(HEAD "text"), read_spoilt);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_form),
	    cmocka_unit_test(test_longest),
	    cmocka_unit_test(test_not_offered),
	    cmocka_unit_test(test_read),
	    cmocka_unit_test(test_spoilt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
