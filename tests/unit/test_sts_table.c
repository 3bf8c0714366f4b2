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
static char big[STS_BYTES_MAX];

static int
setup(void **state)
{
	(void)state;
	clock_fake(1000, WALL);
	table = sts_table_new();
	memset(big, 'x', sizeof(big));
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
get(size_t number)
{
	struct sts_entry *entry;
	char domain[32];

	snprintf(domain, sizeof(domain), "d%zu.example", number);
	entry = sts_table_get(table, domain);
	assert_non_null(entry);
	assert_string_equal(entry->domain, domain);
	return entry;
}

static void
put(struct sts_entry *entry, size_t len, int64_t fetched, int64_t expires)
{
	struct state_policy row = {.id = "1", .text = big, .len = len};

	row.fetched = fetched;
	row.expires = expires;
	assert_int_equal(sts_table_put(table, entry, &row, AGE), 0);
	assert_int_equal(entry->len, len);
	assert_memory_equal(entry->text, big, len);
}

static bool
has_policy(size_t number)
{
	return get(number)->text != NULL;
}

/* Of large policies as many as there is memory set aside for. */
static void
test_bytes(void **state)
{
	const size_t most = STS_TABLE_BYTES_MAX / STS_BYTES_MAX;
	size_t i;

	(void)state;
	for (i = 0; i < most; i++) {
		assert_false(sts_table_is_full(table));
		put(get(i), STS_BYTES_MAX, WALL, WALL + AGE);
	}
	assert_true(sts_table_is_full(table));
	assert_true(has_policy(0)); /* used last now */
	put(get(most), STS_BYTES_MAX, WALL, WALL + AGE);
	assert_true(has_policy(0));
	assert_true(has_policy(2));
	assert_false(has_policy(1));
}

static void
test_count(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < STS_TABLE_POLICIES_MAX; i++)
		put(get(i), 1, WALL, WALL + AGE);
	assert_true(sts_table_is_full(table));
	put(get(i), 1, WALL, WALL + AGE);
	get(i + 1);
	assert_true(has_policy(i));
	assert_false(has_policy(0));
}

/* One in use stays, however many come. */
static void
test_held(void **state)
{
	struct sts_entry *held, *policy;
	size_t i;

	(void)state;
	held = get(0);
	held->checked = 7;
	sts_table_hold(table, held);
	sts_table_hold(table, held);
	policy = get(1);
	sts_table_hold(table, policy);
	put(policy, STS_BYTES_MAX, WALL, WALL + AGE);
	for (i = 2; i < STS_TABLE_OTHERS_MAX + 10; i++)
		get(i);
	for (; i < STS_TABLE_OTHERS_MAX + 2000; i++)
		put(get(i), STS_BYTES_MAX, WALL, WALL + AGE);
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
	const size_t most = STS_TABLE_BYTES_MAX / STS_BYTES_MAX;
	size_t i;

	(void)state;
	for (i = 1; i <= most; i++) {
		sts_table_hold(table, get(i));
		put(get(i), STS_BYTES_MAX, WALL, WALL + AGE);
	}
	put(get(0), STS_BYTES_MAX, WALL, WALL + AGE);
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
	for (i = 0; i < 2 * STS_TABLE_BYTES_MAX / STS_BYTES_MAX; i++)
		put(entry, STS_BYTES_MAX, WALL, WALL + AGE);
	assert_false(sts_table_is_full(table));
	clock_fake(1000, WALL + AGE);
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
    {0, AGE, AGE, 0, false, false},
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
		put(entry, 1, WALL + lives[i].fetched, WALL + lives[i].expires);
		clock_fake(
		    1000 + lives[i].monotonic * 1000, WALL + lives[i].wall);
		if (sts_table_is_stale(entry) != lives[i].is_stale)
			fail_msg("%zu: stale", i);
		sts_table_check(table, entry);
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
	    TEST(test_held),
	    TEST(test_held_fill_it),
	    TEST(test_replaced),
	    TEST(test_lives),
	    TEST(test_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
