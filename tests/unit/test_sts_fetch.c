/* SPDX-License-Identifier: ISC */
/*
 * Whose turn it is to have a policy fetched, by transfers that end when the
 * test says so.
 */

#include "proxy/policy/sts_fetch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "proxy/base/clock.h"
#include "proxy/config.h"
#include "proxy/policy/dns_name.h"

#define TIMEOUT   20
#define ASKED_MAX (STS_QUEUE_MAX + STS_FETCHES_MAX + 64)

static struct event_base *base;
static struct sts_fetcher *fetcher;

/* The transfers: open until the test ends them. */
static struct transfer {
	char domain[DNS_NAME_MAX];
	void (*done)(void *, const struct sts_fetched *);
	void *arg;
} transfers[STS_FETCHES_MAX + 1];
static size_t open_count, begun_count;
static int start_error;

/* The fetches. */
static struct ask {
	char domain[DNS_NAME_MAX];
	size_t told;
	struct sts_fetched fetched;
	const char *then; /* asked for by the callback */
} asks[ASKED_MAX];
static size_t ask_count, told_count;

struct sts_transfers *
sts_transfers_new(struct event_base *with, struct dns *dns,
    const struct config *config, char error[STS_ERROR_MAX])
{
	assert_ptr_equal(with, base);
	(void)dns;
	(void)config;
	(void)error;
	return (struct sts_transfers *)transfers;
}

void
sts_transfers_free(struct sts_transfers *freed)
{
	assert_ptr_equal(freed, transfers);
	assert_int_equal(open_count, 0);
}

int
sts_transfer_start(struct sts_transfers *started, const char *domain,
    void (*done)(void *, const struct sts_fetched *), void *arg)
{
	assert_ptr_equal(started, transfers);
	if (start_error != 0) {
		errno = start_error;
		return -1;
	}
	assert_true(open_count < STS_FETCHES_MAX);
	strlcpy(
	    transfers[open_count].domain, domain, sizeof(transfers[0].domain));
	transfers[open_count].done = done;
	transfers[open_count++].arg = arg;
	begun_count++;
	return 0;
}

static void
turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static int fetch(const char *domain);

static void
on_fetched(void *arg, const struct sts_fetched *fetched)
{
	struct ask *ask = arg;

	ask->told++;
	told_count++;
	ask->fetched = *fetched;
	if (ask->then != NULL)
		assert_int_equal(fetch(ask->then), 0);
}

static int
fetch(const char *domain)
{
	size_t before = told_count;
	int result;

	assert_true(ask_count < ASKED_MAX);
	strlcpy(asks[ask_count].domain, domain, sizeof(asks[0].domain));
	result = sts_fetch(fetcher, domain, on_fetched, &asks[ask_count]);
	assert_int_equal(told_count, before); /* never before it returns */
	if (result == 0)
		ask_count++;
	return result;
}

static void
fetch_many(const char *zone, size_t count)
{
	char domain[DNS_NAME_MAX];

	for (; count > 0; count--) {
		snprintf(domain, sizeof(domain), "d%zu.%s", count, zone);
		assert_int_equal(fetch(domain), 0);
	}
}

static bool
is_open(const char *domain)
{
	size_t i;

	for (i = 0; i < open_count; i++)
		if (strcmp(transfers[i].domain, domain) == 0)
			return true;
	return false;
}

/* The transfer that has been open for longest is over. */
static void
end_one(void)
{
	struct sts_fetched fetched = {.word = RESULT_NONE, .text = ""};
	struct transfer ended = transfers[0];

	assert_true(open_count > 0);
	open_count--;
	memmove(transfers, transfers + 1, open_count * sizeof(transfers[0]));
	ended.done(ended.arg, &fetched);
	turn();
}

static void
end_all(void)
{
	size_t i;

	turn();
	while (open_count > 0)
		end_one();
	assert_int_equal(told_count, ask_count);
	for (i = 0; i < ask_count; i++)
		assert_int_equal(asks[i].told, 1);
}

static int
setup(void **state)
{
	static struct config config = {.mta_sts.timeout = TIMEOUT};
	char error[STS_ERROR_MAX];

	(void)state;
	memset(asks, 0, sizeof(asks));
	ask_count = told_count = begun_count = 0;
	start_error = 0;
	clock_fake(1000000, 1800000000);
	base = event_base_new();
	fetcher = sts_fetcher_new(base, NULL, &config, error);
	assert_non_null(fetcher);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	sts_fetcher_free(fetcher);
	event_base_free(base);
	clock_fake(-1, -1);
	return 0;
}

static void
test_one(void **state)
{
	(void)state;
	assert_int_equal(fetch("a.example"), 0);
	assert_int_equal(open_count, 0);
	turn();
	assert_true(is_open("a.example"));
	end_one();
	assert_int_equal(asks[0].fetched.word, RESULT_NONE);
	end_all();
}

static void
test_places(void **state)
{
	char zone[] = "a.example";

	(void)state;
	for (; zone[0] < 'a' + STS_FETCHES_MAX + 2; zone[0]++)
		fetch_many(zone, 1);
	turn();
	assert_int_equal(open_count, STS_FETCHES_MAX);
	/* In the order they came. */
	assert_true(is_open("d1.a.example"));
	assert_true(is_open("d1.p.example"));
	end_one();
	assert_int_equal(open_count, STS_FETCHES_MAX);
	assert_true(is_open("d1.q.example"));
	assert_false(is_open("d1.r.example"));
	end_all();
	assert_int_equal(begun_count, STS_FETCHES_MAX + 2);
}

/* One zone has so many places; others are let past it. */
static void
test_zone(void **state)
{
	(void)state;
	fetch_many("evil.example", 64);
	turn();
	assert_int_equal(open_count, STS_FETCHES_ZONE_MAX);
	assert_int_equal(fetch("good.example"), 0);
	assert_int_equal(fetch("deep.down.good.example"), 0);
	turn();
	assert_true(is_open("good.example"));
	assert_true(is_open("deep.down.good.example"));
	assert_int_equal(open_count, STS_FETCHES_ZONE_MAX + 2);
	end_all();
}

/* All places taken by those who have many: who has none is next. */
static void
test_fewest(void **state)
{
	(void)state;
	fetch_many("evil1.example", 60);
	fetch_many("evil2.example", 60);
	fetch_many("evil3.example", 60);
	fetch_many("evil4.example", 60);
	turn();
	assert_int_equal(open_count, STS_FETCHES_MAX);
	assert_int_equal(fetch("good.example"), 0);
	turn();
	assert_false(is_open("good.example"));
	end_one();
	assert_true(is_open("good.example"));
	end_all();
}

static const struct {
	const char *one;
	const char *other;
	bool is_same;
} zones[] = {
    {"a.example", "b.example", false},
    {"a.evil.example", "b.evil.example", true},
    {"evil.example", "a.b.c.evil.example", true},
    {"evil.example", "bevil.example", false},
    {"example", "evil.example", false},
    {"a.co.uk", "b.co.uk", false},
    {"x.a.co.uk", "y.a.co.uk", true},
    {"co.uk", "a.co.uk", false},
    {"a.com.au", "b.com.au", false},
    {"a.evil.uk", "b.evil.uk", true},
    {"a.co.example", "b.co.example", true},
    {"a.coo.uk", "b.coo.uk", true},
    {"a", "b", false},
};

static void
test_zones(void **state)
{
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
		for (n = 0; n < STS_FETCHES_ZONE_MAX; n++)
			assert_int_equal(fetch(zones[i].one), 0);
		assert_int_equal(fetch(zones[i].other), 0);
		turn();
		if (is_open(zones[i].other) == zones[i].is_same)
			fail_msg("%s, %s", zones[i].one, zones[i].other);
		end_all();
	}
}

static void
test_queue_is_full(void **state)
{
	char zone[32];
	size_t i;

	(void)state;
	fetch_many("evil.example", STS_QUEUE_ZONE_MAX);
	assert_int_equal(fetch("one.evil.example"), -1);
	assert_int_equal(errno, EAGAIN);
	turn(); /* four have their turn */
	fetch_many("evil.example", STS_FETCHES_ZONE_MAX);
	assert_int_equal(fetch("one.evil.example"), -1);
	for (i = 0; i < STS_FETCHES_MAX - STS_FETCHES_ZONE_MAX; i++) {
		snprintf(zone, sizeof(zone), "open%zu.example", i);
		fetch_many(zone, 1);
	}
	turn();
	assert_int_equal(open_count, STS_FETCHES_MAX);
	for (i = STS_QUEUE_ZONE_MAX; i < STS_QUEUE_MAX; i++) {
		snprintf(zone, sizeof(zone), "zone%zu.example", i);
		fetch_many(zone, 1);
	}
	assert_int_equal(fetch("good.example"), -1);
	assert_int_equal(errno, EAGAIN);
	end_one();
	assert_int_equal(fetch("good.example"), 0);
	end_all();
}

static void
test_wait_ends(void **state)
{
	size_t i;

	(void)state;
	fetch_many("evil.example", STS_FETCHES_ZONE_MAX + 2);
	turn();
	clock_fake(1000000 + TIMEOUT * 1000 - 1, 1800000000);
	assert_int_equal(fetch("late.evil.example"), 0);
	turn();
	assert_int_equal(told_count, 0);
	clock_fake(1000000 + TIMEOUT * 1000, 1800000000);
	assert_int_equal(fetch("good.example"), 0); /* a turn */
	turn();
	assert_int_equal(told_count, 2);
	for (i = STS_FETCHES_ZONE_MAX; i < STS_FETCHES_ZONE_MAX + 2; i++) {
		assert_int_equal(asks[i].told, 1);
		/* It says nothing of the domain. */
		assert_true(asks[i].fetched.is_local);
		assert_int_equal(
		    asks[i].fetched.word, RESULT_STS_POLICY_FETCH_ERROR);
		assert_non_null(strstr(asks[i].fetched.why, asks[i].domain));
		assert_non_null(strstr(asks[i].fetched.why, "mta_sts.timeout"));
	}
	assert_true(is_open("good.example"));
	end_all();
	assert_int_equal(
	    asks[STS_FETCHES_ZONE_MAX + 2].fetched.word, RESULT_NONE);
}

/* Nothing has to happen for a wait to end. */
static void
test_wait_ends_by_itself(void **state)
{
	static struct config config = {.mta_sts.timeout = 1};
	char error[STS_ERROR_MAX];

	(void)state;
	clock_fake(-1, -1);
	sts_fetcher_free(fetcher);
	fetcher = sts_fetcher_new(base, NULL, &config, error);
	fetch_many("evil.example", STS_FETCHES_ZONE_MAX + 1);
	turn();
	while (told_count == 0)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(asks[STS_FETCHES_ZONE_MAX].told, 1);
	assert_true(asks[STS_FETCHES_ZONE_MAX].fetched.is_local);
	end_all();
}

static void
test_transfer_that_cannot_start(void **state)
{
	static const struct {
		int error;
		bool is_local;
	} rows[] = {{EAGAIN, true}, {ENOMEM, true}, {EINVAL, false}};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		start_error = rows[i].error;
		assert_int_equal(fetch("a.example"), 0);
		turn();
		assert_int_equal(asks[i].told, 1);
		assert_int_equal(asks[i].fetched.is_local, rows[i].is_local);
		assert_int_equal(
		    asks[i].fetched.word, RESULT_STS_POLICY_FETCH_ERROR);
		assert_true(asks[i].fetched.why[0] != '\0');
	}
	start_error = 0;
	end_all();
}

/* Who is told may ask for the next at once. */
static void
test_ask_from_callback(void **state)
{
	(void)state;
	asks[0].then = "b.example";
	assert_int_equal(fetch("a.example"), 0);
	turn();
	end_one();
	assert_true(is_open("b.example"));
	end_all();
	assert_int_equal(ask_count, 2);
}

/* Hosts that nobody reaches, or that are: the log is told once. */
static void
try_reach(const char *domain, enum sts_reach reach, bool is_local)
{
	struct sts_fetched fetched = {.word = RESULT_STS_POLICY_FETCH_ERROR,
	    .reach = reach,
	    .is_local = is_local,
	    .why = "nobody there"};

	assert_int_equal(fetch(domain), 0);
	turn();
	assert_int_equal(open_count--, 1);
	transfers[0].done(transfers[0].arg, &fetched);
	turn();
}

static size_t
warnings(FILE *log)
{
	static char text[4096];
	const char *at = text;
	size_t count = 0;

	fflush(stderr);
	rewind(log);
	text[fread(text, 1, sizeof(text) - 1, log)] = '\0';
	while ((at = strstr(at, "TCP port 443")) != NULL) {
		at++;
		count++;
	}
	return count;
}

static void
test_nobody_is_reached(void **state)
{
	static const char *const domains[] = {"a.one.example", "a.two.example",
	    "a.three.example", "a.four.example", "a.five.example",
	    "a.six.example"};
	FILE *log = tmpfile();
	int own = dup(STDERR_FILENO);
	size_t i, n;

	(void)state;
	assert_non_null(log);
	assert_int_not_equal(dup2(fileno(log), STDERR_FILENO), -1);
	/* One zone is no reason, nor is what has another one. */
	for (i = 0; i < STS_UNREACHED_MAX; i++) {
		try_reach("b.one.example", STS_REACH_NOBODY, false);
		try_reach(domains[i], STS_REACH_UNTRIED, false);
		try_reach(domains[i], STS_REACH_NOBODY, true);
	}
	assert_int_equal(warnings(log), 0);
	for (n = 0; n < 2; n++) {
		try_reach("good.example", STS_REACH_HOST, false);
		for (i = 0; i < STS_UNREACHED_MAX - 1; i++)
			try_reach(domains[i], STS_REACH_NOBODY, false);
		assert_int_equal(warnings(log), n);
		try_reach(domains[i], STS_REACH_NOBODY, false);
		assert_int_equal(warnings(log), n + 1);
		try_reach(domains[i + 1], STS_REACH_NOBODY, false);
		assert_int_equal(warnings(log), n + 1);
	}
	dup2(own, STDERR_FILENO);
	close(own);
	fclose(log);
}

static void
test_long_name(void **state)
{
	char domain[DNS_NAME_MAX + 1];

	(void)state;
	memset(domain, 'a', sizeof(domain));
	domain[DNS_NAME_MAX] = '\0';
	assert_int_equal(sts_fetch(fetcher, domain, on_fetched, NULL), -1);
	assert_int_equal(errno, EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_one),
	    TEST(test_places),
	    TEST(test_zone),
	    TEST(test_fewest),
	    TEST(test_zones),
	    TEST(test_queue_is_full),
	    TEST(test_wait_ends),
	    TEST(test_wait_ends_by_itself),
	    TEST(test_transfer_that_cannot_start),
	    TEST(test_ask_from_callback),
	    TEST(test_nobody_is_reached),
	    TEST(test_long_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
