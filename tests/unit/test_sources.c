/* SPDX-License-Identifier: ISC */
/*
 * What clients did of late, held against a model that remembers everybody and
 * all that they ever opened.
 */

#include "netfilter/sources.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chance.h"

#define T0 INT64_C(1000000)

static struct sources *sources;

static int
setup(void **state)
{
	(void)state;
	return (sources = sources_new()) == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	sources_free(sources);
	return 0;
}

static struct address
address_of(const char *text)
{
	struct address address;

	assert_int_equal(address_from_text(&address, text), 0);
	return address;
}

/* The n-th of very many, of both families in turn. */
static struct address
nth(size_t n)
{
	struct address address = address_of(n % 2 == 0 ? "10.0.0.0" : "fd00::");
	size_t at = n % 2 == 0 ? 1 : 4;

	address.ip[at] = (uint8_t)(n >> 16);
	address.ip[at + 1] = (uint8_t)(n >> 8);
	address.ip[at + 2] = (uint8_t)n;
	return address;
}

static int
take_many(const struct address *address, uint32_t rate, int64_t now_ms, int n)
{
	int taken = 0;

	while (n-- > 0)
		taken += sources_take(sources, address, rate, now_ms);
	return taken;
}

static void
test_burst_then_rate(void **state)
{
	struct address a = address_of("192.0.2.1"), b = address_of("192.0.2.2");
	int second;

	(void)state;
	assert_int_equal(take_many(&a, 10, T0, 100), 10 * SOURCES_BURST_S);
	assert_int_equal(take_many(&b, 10, T0, 5), 5); /* its own */
	for (second = 1; second < 100; second++)
		assert_int_equal(
		    take_many(&a, 10, T0 + second * 1000L, 100), 10);
	/* Rest does it good, but only so much. */
	assert_int_equal(take_many(&a, 10, T0 + 86400000, 100), 20);
}

/* Just often enough, for ever; a millisecond earlier is too often. */
static void
test_rate_of_one(void **state)
{
	struct address a = address_of("192.0.2.1");
	int64_t now = T0;
	int i;

	(void)state;
	assert_int_equal(take_many(&a, 1, now, 10), SOURCES_BURST_S);
	for (i = 0; i < 1000; i++) {
		now += 999;
		assert_false(sources_take(sources, &a, 1, now));
		now += 1;
		assert_true(sources_take(sources, &a, 1, now));
		assert_false(sources_take(sources, &a, 1, now));
	}
}

/* Refusals cost nothing: who keeps asking gets as much as who waits. */
static void
test_asking_does_no_harm(void **state)
{
	struct address a = address_of("192.0.2.1");
	int64_t now;
	int taken = 0;

	(void)state;
	for (now = T0; now < T0 + 10000; now++)
		taken += sources_take(sources, &a, 7, now);
	assert_in_range(taken, 14 + 69, 14 + 70);
}

static void
test_no_rate(void **state)
{
	struct address a = address_of("192.0.2.1");

	(void)state;
	assert_int_equal(take_many(&a, 0, T0, 100000), 100000);
}

static void
test_clock_stands_still(void **state)
{
	struct address a = address_of("192.0.2.1");

	(void)state;
	assert_int_equal(take_many(&a, 3, T0, 100000), 6);
	assert_int_equal(take_many(&a, 3, T0, 100000), 0);
	/* From the beginning of time, and at its end. */
	a = address_of("192.0.2.2");
	assert_int_equal(take_many(&a, 3, 0, 100), 6);
	a = address_of("192.0.2.3");
	assert_int_equal(take_many(&a, 1000000, T0, 3000000), 2000000);
	assert_int_equal(take_many(&a, 1000000, INT64_MAX, 3000000), 2000000);
}

/* A rate that is changed meanwhile is the new one at once. */
static void
test_rate_changes(void **state)
{
	struct address a = address_of("192.0.2.1");

	(void)state;
	assert_int_equal(take_many(&a, 100, T0, 10), 10);
	assert_int_equal(take_many(&a, 1, T0, 10), 2);
	assert_int_equal(take_many(&a, 100, T0 + 1000, 1000), 100);
}

/* Neither port nor scope, nor what is behind a /64, makes another client. */
static void
test_who_is_a_client(void **state)
{
	struct address a = address_of("2001:db8:1:2:3::4");
	struct address b = address_of("2001:db8:1:2:ffff::");
	struct address c = address_of("2001:db8:1:3::");
	struct address v4 = address_of("32.1.13.184"); /* a's first bytes */

	(void)state;
	a.port = 1;
	b.port = 2;
	b.scope = 3;
	assert_int_equal(take_many(&a, 1, T0, 10), 2);
	assert_int_equal(take_many(&b, 1, T0, 10), 0);
	assert_int_equal(take_many(&c, 1, T0, 10), 2);
	assert_int_equal(take_many(&v4, 1, T0, 10), 2);
	sources_told(sources, &a, 0, 7);
	assert_int_equal(sources_sessions(sources, &b), 7);
	assert_int_equal(sources_sessions(sources, &c), 0);
	assert_int_equal(sources_sessions(sources, &v4), 0);
}

static void
test_sessions(void **state)
{
	const size_t last = SOURCES_RELAYS_MAX - 1;
	struct address a = address_of("192.0.2.1"), b = address_of("192.0.2.2");

	(void)state;
	assert_int_equal(sources_sessions(sources, &a), 0);
	sources_told(sources, &a, 0, 3);
	sources_told(sources, &a, last, 4);
	sources_told(sources, &b, last, 5);
	assert_int_equal(sources_sessions(sources, &a), 7);
	sources_told(sources, &a, 0, 1);
	assert_int_equal(sources_sessions(sources, &a), 5);
	sources_lost(sources, last);
	assert_int_equal(sources_sessions(sources, &a), 1);
	assert_int_equal(sources_sessions(sources, &b), 0);
	sources_lost(sources, last);
	sources_told(sources, &a, 0, 0);
	assert_int_equal(sources_sessions(sources, &a), 0);
}

/* Whatever a relay says, a sum neither wraps nor hides a limit. */
static void
test_sessions_of_nonsense(void **state)
{
	struct address a = address_of("192.0.2.1");
	size_t i;

	(void)state;
	for (i = 0; i < SOURCES_RELAYS_MAX; i++)
		sources_told(sources, &a, i, UINT32_MAX);
	/* More than any limit that can be configured. */
	assert_true(sources_sessions(sources, &a) > 1000000);
	for (i = 0; i < SOURCES_RELAYS_MAX; i++)
		sources_lost(sources, i);
	assert_int_equal(sources_sessions(sources, &a), 0);
	sources_told(sources, &a, 3, 1000000);
	assert_true(sources_sessions(sources, &a) >= 1000000);
}

/* The one that was quiet for longest gives way, and comes back as new. */
static void
test_more_clients_than_places(void **state)
{
	struct address a;
	size_t i;

	(void)state;
	for (i = 0; i < SOURCES_MAX; i++) {
		a = nth(i);
		assert_int_equal(take_many(&a, 1, T0, 3), 2);
		sources_told(sources, &a, i % SOURCES_RELAYS_MAX, 1);
	}
	a = nth(0); /* is heard of again */
	sources_told(sources, &a, 0, 9);
	for (i = SOURCES_MAX; i < SOURCES_MAX + 100; i++) {
		a = nth(i);
		assert_int_equal(take_many(&a, 1, T0, 3), 2);
		assert_int_equal(sources_sessions(sources, &a), 0);
	}
	a = nth(0);
	assert_int_equal(sources_sessions(sources, &a), 9);
	assert_int_equal(take_many(&a, 1, T0, 3), 0);
	for (i = 1; i < SOURCES_MAX; i++) {
		a = nth(i);
		assert_int_equal(sources_sessions(sources, &a), i > 100);
	}
	a = nth(1);
	assert_int_equal(take_many(&a, 1, T0, 3), 2);
	/* Nobody takes a place to say that he has nothing. */
	a = nth(102);
	for (i = SOURCES_MAX * 2UL; i < SOURCES_MAX * 4UL; i++) {
		struct address other = nth(i);

		sources_told(sources, &other, 0, 0);
	}
	assert_int_equal(sources_sessions(sources, &a), 1);
}

static void
test_may_tell(void **state)
{
	struct address a = address_of("192.0.2.1"), b = address_of("192.0.2.2");
	uint32_t unsaid = 99;
	int i;

	(void)state;
	assert_true(sources_may_tell(sources, &a, T0, &unsaid));
	assert_int_equal(unsaid, 0);
	for (i = 0; i < 5; i++)
		assert_false(sources_may_tell(
		    sources, &a, T0 + SOURCES_QUIET_MS - 1, &unsaid));
	assert_true(sources_may_tell(sources, &b, T0, &unsaid));
	assert_int_equal(unsaid, 0);
	assert_true(
	    sources_may_tell(sources, &a, T0 + SOURCES_QUIET_MS, &unsaid));
	assert_int_equal(unsaid, 5);
	assert_false(
	    sources_may_tell(sources, &a, T0 + SOURCES_QUIET_MS, &unsaid));
	assert_true(
	    sources_may_tell(sources, &a, T0 + 2L * SOURCES_QUIET_MS, &unsaid));
	assert_int_equal(unsaid, 1);
}

/*
 * The model: a client's connections and relays' words, each in a list; what it
 * may open is worked out anew from its first connection on.
 */
#define MODEL_CLIENTS 200
#define MODEL_RELAYS  5
#define MODEL_RATE    3
#define MODEL_STEPS   50000

static struct {
	int64_t level; /* thousandths */
	int64_t then_ms; /* 0: was never here */
	uint32_t sessions[MODEL_RELAYS];
} model[MODEL_CLIENTS];

static bool
model_take(size_t n, int64_t now_ms)
{
	const int64_t full = INT64_C(1000) * MODEL_RATE * SOURCES_BURST_S;

	if (model[n].then_ms == 0)
		model[n].level = full;
	else
		model[n].level += (now_ms - model[n].then_ms) * MODEL_RATE;
	model[n].then_ms = now_ms;
	if (model[n].level > full)
		model[n].level = full;
	if (model[n].level < 1000)
		return false;
	model[n].level -= 1000;
	return true;
}

static void
test_model(void **state)
{
	struct address a;
	int64_t now = T0;
	uint32_t sum, value;
	size_t n, relay, i;
	int step;

	(void)state;
	for (step = 0; step < MODEL_STEPS; step++) {
		n = chance(MODEL_CLIENTS);
		relay = chance(MODEL_RELAYS);
		value = chance(4);
		a = nth(n);
		now += chance(3) == 0 ? chance(20) : 0;
		switch (chance(40)) {
		case 0:
			sources_lost(sources, relay);
			for (i = 0; i < MODEL_CLIENTS; i++)
				model[i].sessions[relay] = 0;
			break;
		case 1 ... 10:
			sources_told(sources, &a, relay, value);
			model[n].sessions[relay] = value;
			break;
		default:
			assert_int_equal(
			    sources_take(sources, &a, MODEL_RATE, now),
			    model_take(n, now));
			break;
		}
		for (sum = 0, i = 0; i < MODEL_RELAYS; i++)
			sum += model[n].sessions[i];
		assert_int_equal(sources_sessions(sources, &a), sum);
	}
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_burst_then_rate),
	    TEST(test_rate_of_one),
	    TEST(test_asking_does_no_harm),
	    TEST(test_no_rate),
	    TEST(test_clock_stands_still),
	    TEST(test_rate_changes),
	    TEST(test_who_is_a_client),
	    TEST(test_sessions),
	    TEST(test_sessions_of_nonsense),
	    TEST(test_more_clients_than_places),
	    TEST(test_may_tell),
	    TEST(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
