/* SPDX-License-Identifier: ISC */
/* Whose turn it is, and how many at once. */

#include "proxy/policy/sts_refresh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/clock.h"
#include "proxy/policy/state.h"
#include "proxy/policy/sts_table.h"

#define WALL  1800000000
#define DAY   INT64_C(86400)
#define COUNT (3 * STS_REFRESH_LOOKS_MAX + 10)

static struct sts_table *table;
static struct sts_refresh *refresh;
static int64_t now; /* seconds */
static size_t checks, begins;
static bool refuses;
static uint8_t begun[COUNT];

static void
check(void *arg, struct sts_entry *entry)
{
	assert_ptr_equal(arg, &table);
	checks++;
	sts_table_check(table, entry);
}

static bool
begin(void *arg, struct sts_entry *entry)
{
	unsigned long number = strtoul(entry->domain + 1, NULL, 10);

	assert_ptr_equal(arg, &table);
	assert_true(number < COUNT);
	begins++;
	begun[number]++;
	return !refuses;
}

static void
pass(int64_t seconds)
{
	now += seconds;
	clock_fake(now * 1000, WALL + now);
}

static int
setup(void **state)
{
	struct state_policy row = {.id = "1", .fetched = WALL};
	static struct sts_policy policy = {
	    .mode = STS_ENFORCE, .max_age = 7 * DAY, .mx_count = 1};
	struct sts_entry *entry;
	char domain[32];

	(void)state;
	now = 0;
	pass(0);
	checks = begins = 0;
	refuses = false;
	memset(begun, 0, sizeof(begun));
	table = sts_table_new();
	refresh = sts_refresh_new(NULL, table, check, begin, &table);
	if (table == NULL || refresh == NULL)
		return -1;
	strlcpy(policy.mx[0], "mx.example", sizeof(policy.mx[0]));
	row.expires = row.fetched + policy.max_age;
	for (size_t i = 0; i < COUNT; i++) {
		snprintf(domain, sizeof(domain), "d%zu.example", i);
		entry = sts_table_get(table, domain);
		if (entry == NULL ||
		    sts_table_put(table, entry, &row, &policy) == -1)
			return -1;
		sts_table_get(table, domain + 1); /* it has none */
	}
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	sts_refresh_free(refresh);
	sts_table_free(table);
	clock_fake(-1, -1);
	return 0;
}

/* Each once in a round, and never more at once. */
static void
test_turns(void **state)
{
	size_t open;

	(void)state;
	pass(DAY);
	do {
		open = begins;
		sts_refresh_tick(refresh);
		assert_true(begins - open <= STS_REFRESH_OPEN_MAX);
		assert_true(
		    begins == COUNT || begins - open == STS_REFRESH_OPEN_MAX);
		sts_refresh_tick(refresh); /* no place free */
		for (size_t i = open; i < begins; i++)
			sts_refresh_end(refresh);
	} while (begins < COUNT);
	for (size_t i = 0; i < COUNT; i++)
		assert_int_equal(begun[i], 1);
}

/* What has no need costs no more than a look, and that not too often. */
static void
test_looks(void **state)
{
	size_t ticks, most = 0, before;

	(void)state;
	for (ticks = 0; ticks < 30; ticks++) {
		before = checks;
		pass(STS_REFRESH_TICK);
		sts_refresh_tick(refresh);
		most = checks - before > most ? checks - before : most;
	}
	assert_int_equal(begins, 0);
	assert_int_equal(checks, COUNT);
	assert_true(most <= STS_REFRESH_LOOKS_MAX);
	pass(STS_REFRESH_ROUND);
	sts_refresh_tick(refresh);
	assert_true(checks > COUNT);
}

/* What cannot begin takes no place. */
static void
test_refused(void **state)
{
	(void)state;
	refuses = true;
	pass(DAY);
	for (size_t i = 0; i < 2 * COUNT / STS_REFRESH_LOOKS_MAX + 2; i++)
		sts_refresh_tick(refresh);
	assert_int_equal(begins, COUNT);
}

static void
test_expired_are_dropped(void **state)
{
	(void)state;
	pass(7 * DAY);
	for (size_t i = 0; i < 2 * COUNT / STS_REFRESH_LOOKS_MAX + 2; i++)
		sts_refresh_tick(refresh);
	assert_int_equal(begins, 0);
	assert_int_equal(checks, COUNT);
	assert_null(sts_table_get(table, "d0.example")->text);
}

/* Held by who asks, in its back-off, or not asked for in a long time. */
static void
test_not_due(void **state)
{
	struct sts_entry *entry;

	(void)state;
	pass(DAY);
	entry = sts_table_get(table, "d1.example");
	entry->phase = STS_PHASE_DNS;
	entry = sts_table_get(table, "d2.example");
	entry->checked = now * 1000 + 1;
	entry = sts_table_get(table, "d3.example");
	entry->back_off = 60;
	entry->retry = now * 1000 + 1;
	strlcpy(entry->failed_id, "1", sizeof(entry->failed_id));
	entry = sts_table_get(table, "d4.example");
	entry->used = now * 1000 - (int64_t)STS_REFRESH_UNUSED_MAX * 1000 - 1;
	refuses = true;
	for (size_t i = 0; i < 2 * COUNT / STS_REFRESH_LOOKS_MAX + 2; i++)
		sts_refresh_tick(refresh);
	for (size_t i = 0; i < COUNT; i++)
		assert_int_equal(begun[i], i == 0 || i > 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_turns),
	    TEST(test_looks),
	    TEST(test_refused),
	    TEST(test_expired_are_dropped),
	    TEST(test_not_due),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
