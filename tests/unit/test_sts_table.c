/* SPDX-License-Identifier: ISC */
/* The bounds of the table, and how long a policy in it holds. */

#include "proxy/policy/sts_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/clock.h"
#include "proxy/policy/state.h"

#define WALL 1800000000
#define AGE  1000

static struct sts_table *table;
static struct sts_policy small, big;
static size_t small_size, big_size; /* what an entry with it counts */

static size_t
size_with(const struct sts_policy *policy)
{
	char text[STS_TEXT_MAX];

	return sizeof(struct sts_entry) + sts_policy_write(policy, text) + 1;
}

static void
make_policies(void)
{
	small.mode = big.mode = STS_ENFORCE;
	small.max_age = big.max_age = AGE;
	small.mx_count = 1;
	strlcpy(small.mx[0], "mx.example", sizeof(small.mx[0]));
	big.mx_count = STS_MX_MAX;
	for (size_t i = 0; i < STS_MX_MAX; i++) {
		memset(big.mx[i], 'x', STS_PATTERN_MAX - 1);
		big.mx[i][STS_PATTERN_MAX - 1] = '\0';
	}
	small_size = size_with(&small);
	big_size = size_with(&big);
}

static int
setup(void **state)
{
	(void)state;
	clock_fake(1000, WALL);
	table = sts_table_new();
	make_policies();
	return table != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	sts_table_free(table);
	clock_fake(-1, -1);
	return 0;
}

static struct sts_entry *
get_name(const char *domain)
{
	struct sts_entry *entry = sts_table_get(table, domain);

	assert_non_null(entry);
	assert_string_equal(entry->domain, domain);
	return entry;
}

/* Each another party's. */
static struct sts_entry *
get(size_t number)
{
	char domain[32];

	snprintf(domain, sizeof(domain), "d%zu.example", number);
	return get_name(domain);
}

static void
put_times(struct sts_entry *entry, const struct sts_policy *policy,
    int64_t fetched, int64_t expires)
{
	struct state_policy row = {.id = "1", .text = "junk", .len = 4};
	char text[STS_TEXT_MAX];

	row.fetched = fetched;
	row.expires = expires;
	assert_int_equal(sts_table_put(table, entry, &row, policy), 0);
	assert_int_equal(entry->len, sts_policy_write(policy, text));
	assert_string_equal(entry->text, text);
	assert_int_equal(entry->mode, policy->mode);
}

static void
put(struct sts_entry *entry, const struct sts_policy *policy)
{
	put_times(entry, policy, WALL, WALL + AGE);
}

static bool
has_policy(size_t number)
{
	return get(number)->text != NULL;
}

/* Of policies as many as there is memory set aside for. */
static void
test_bytes(void **state)
{
	const size_t most = STS_TABLE_BYTES_MAX / big_size;
	size_t i;

	(void)state;
	for (i = 0; i < most; i++) {
		assert_false(sts_table_is_full(table));
		put(get(i), &big);
	}
	assert_true(sts_table_is_full(table));
	assert_true(has_policy(0)); /* used last now */
	put(get(most), &big);
	assert_true(has_policy(0));
	assert_false(has_policy(1));
	for (i = 2; i <= most; i++)
		assert_true(has_policy(i));
}

/* An entry is memory, too. */
static void
test_count(void **state)
{
	const size_t most = STS_TABLE_BYTES_MAX / small_size;
	size_t i;

	(void)state;
	for (i = 0; i < most; i++)
		put(get(i), &small);
	assert_true(sts_table_is_full(table));
	put(get(i), &small);
	assert_true(has_policy(i));
	assert_false(has_policy(0));
	assert_true(has_policy(1));
}

/* One party's policies, however many and large, push out its own. */
static void
test_party(void **state)
{
	static const char *const formats[] = {
	    "n%zu.evil.test", "n%zu.deep.below.evil.test", "n%zu.evil.co.uk"};
	const size_t many = (size_t)2 * STS_TABLE_BYTES_MAX / big_size;
	char domain[64];
	size_t f, i;

	(void)state;
	for (i = 0; i < 1000; i++) {
		put(get(i), &small);
		snprintf(domain, sizeof(domain), "d%zu.co.uk", i);
		put(get_name(domain), &small);
	}
	put(get_name("evil.example"), &small);
	put(get_name("notevil.test"), &big);
	for (f = 0; f < 3; f++) {
		for (i = 0; i < many; i++) {
			snprintf(domain, sizeof(domain), formats[f], i);
			put(get_name(domain), &big);
		}
		assert_non_null(get_name(domain)->text);
		snprintf(domain, sizeof(domain), formats[f], (size_t)0);
		assert_null(get_name(domain)->text);
	}
	for (i = 0; i < 1000; i++) {
		assert_true(has_policy(i));
		snprintf(domain, sizeof(domain), "d%zu.co.uk", i);
		assert_non_null(get_name(domain)->text);
	}
	assert_non_null(get_name("evil.example")->text);
	assert_non_null(get_name("notevil.test")->text);
}

/* One in use stays, however many come. */
static void
test_held(void **state)
{
	const size_t many = STS_TABLE_BYTES_MAX / big_size + 10;
	struct sts_entry *held, *policy;
	size_t i;

	(void)state;
	held = get(0);
	held->checked = 7;
	sts_table_hold(table, held);
	sts_table_hold(table, held);
	policy = get(1);
	sts_table_hold(table, policy);
	put(policy, &big);
	for (i = 2; i < STS_TABLE_OTHERS_MAX + 10; i++)
		get(i);
	for (; i < STS_TABLE_OTHERS_MAX + many; i++)
		put(get(i), &big);
	assert_ptr_equal(get(0), held);
	assert_int_equal(held->checked, 7);
	assert_ptr_equal(get(1), policy);
	assert_true(has_policy(1));
	sts_table_release(table, held);
	sts_table_release(table, held);
	sts_table_release(table, policy);
	assert_ptr_equal(get(0), held);
	for (i = 2; i < STS_TABLE_OTHERS_MAX + 10; i++)
		get(i);
	assert_int_equal(get(0)->checked, 0);
}

/* What is held takes all the room: what is asked for is still there. */
static void
test_held_fill_it(void **state)
{
	const size_t most = STS_TABLE_BYTES_MAX / big_size;
	size_t i;

	(void)state;
	for (i = 1; i <= most; i++) {
		sts_table_hold(table, get(i));
		put(get(i), &big);
	}
	put(get(0), &big);
	assert_true(has_policy(0));
	assert_true(has_policy(0));
}

/* Replaced and dropped, it counts no more. */
static void
test_replaced(void **state)
{
	struct sts_entry *entry = get(0);
	size_t i;

	(void)state;
	for (i = 0; i < (size_t)2 * STS_TABLE_BYTES_MAX / big_size; i++)
		put(entry, &big);
	assert_false(sts_table_is_full(table));
	clock_fake(1000 + AGE * 1000, WALL + AGE);
	sts_table_check(table, entry);
	assert_null(entry->text);
	assert_string_equal(entry->id, "");
}

static const struct {
	int64_t fetched; /* from now, by the wall clock; seconds */
	int64_t expires;
	int64_t wall; /* how far that clock moves */
	int64_t monotonic; /* and the other one */
	bool holds;
	bool is_stale;
} lives[] = {
    {0, AGE, 0, 0, true, false},
    {0, AGE, AGE / 2 - 1, AGE / 2 - 1, true, false},
    {0, AGE, AGE / 2, AGE / 2, true, true},
    {0, AGE, AGE - 1, AGE - 1, true, true},
    {0, AGE, AGE, AGE, false, true},
    /* The wall clock alone jumps. */
    {0, AGE, AGE - 1, 0, true, false},
    {0, AGE, AGE, 0, true, true},
    {0, AGE, INT64_C(1000) * AGE, AGE - 1, true, true},
    {0, AGE, INT64_C(1000) * AGE, AGE, false, true},
    {0, AGE, -AGE, AGE - 1, true, true},
    {0, AGE, -AGE, AGE, false, true},
    {0, AGE, -1, 0, true, true},
    /* An old one, and one of the future. */
    {-900, 100, 0, 0, true, true},
    {-900, 100, 0, 99, true, true},
    {-900, 100, 0, 100, false, true},
    {500, AGE + 500, 0, 0, true, true},
    {500, AGE + 500, AGE, AGE - 1, true, true},
    {500, AGE + 500, AGE, AGE, false, true},
};

static void
test_lives(void **state)
{
	struct sts_entry *entry = get(0);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lives) / sizeof(lives[0]); i++) {
		clock_fake(1000, WALL);
		put_times(entry, &small, WALL + lives[i].fetched,
		    WALL + lives[i].expires);
		clock_fake(
		    1000 + lives[i].monotonic * 1000, WALL + lives[i].wall);
		if (sts_table_is_stale(entry) != lives[i].is_stale)
			fail_msg("%zu: stale", i);
		if (sts_table_check(table, entry) == lives[i].holds)
			fail_msg("%zu: check", i);
		assert_false(sts_table_check(table, entry));
		if ((entry->text != NULL) != lives[i].holds)
			fail_msg("%zu: holds", i);
	}
}

static void
test_life(void **state)
{
	(void)state;
	assert_int_equal(sts_table_life(0), STS_TABLE_LIFE_MIN);
	assert_int_equal(sts_table_life(STS_AGE_MAX), STS_AGE_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_bytes),
	    TEST(test_count),
	    TEST(test_party),
	    TEST(test_held),
	    TEST(test_held_fill_it),
	    TEST(test_replaced),
	    TEST(test_lives),
	    TEST(test_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
