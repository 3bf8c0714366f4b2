/* SPDX-License-Identifier: ISC */
/* What has ended is freed after the turn, once, whoever ends meanwhile. */

#include "proxy/session/reap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/event.h>

static struct event_base *base;
static struct reaper *reaper;
static int freed;

/* As a leg or a session: the link lies in what is freed. */
struct thing {
	struct reap_link link;
	struct thing *next; /* ends when this one is freed */
};

static int
setup(void **state)
{
	(void)state;
	freed = 0;
	base = event_base_new();
	reaper = reaper_new(base);
	return base == NULL || reaper == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	reaper_free(reaper);
	event_base_free(base);
	return 0;
}

static struct thing *
thing_new(struct thing *next)
{
	struct thing *thing = calloc(1, sizeof(*thing));

	assert_non_null(thing);
	thing->next = next;
	return thing;
}

static void
thing_free(void *arg)
{
	struct thing *thing = arg, *next = thing->next;

	freed++;
	memset(thing, 0xff, sizeof(*thing));
	free(thing);
	if (next != NULL)
		reap_later(reaper, &next->link, thing_free, next);
}

static void
end(struct thing *thing)
{
	reap_later(reaper, &thing->link, thing_free, thing);
}

static void
test_not_before_the_turn_is_over(void **state)
{
	(void)state;
	end(thing_new(NULL));
	end(thing_new(NULL));
	end(thing_new(NULL));
	assert_int_equal(freed, 0);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(freed, 3);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(freed, 3);
	/* And again on another day. */
	end(thing_new(NULL));
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(freed, 4);
}

/* Handlers of one turn, the first of which ends what the second runs on. */
static int seen;

static void
on_first(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	end(arg);
	seen = freed;
}

static void
test_not_inside_a_handler(void **state)
{
	struct thing *thing = thing_new(NULL);

	(void)state;
	seen = -1;
	assert_int_equal(
	    event_base_once(base, -1, EV_TIMEOUT, on_first, thing, NULL), 0);
	event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(seen, 0);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(freed, 1);
}

/* A session takes its legs along. */
static void
test_one_ends_another(void **state)
{
	(void)state;
	end(thing_new(thing_new(thing_new(NULL))));
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(freed, 3);
}

static void
test_free_frees_what_is_due(void **state)
{
	(void)state;
	end(thing_new(thing_new(NULL)));
	end(thing_new(NULL));
	reaper_free(reaper);
	reaper = NULL;
	assert_int_equal(freed, 3);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_not_before_the_turn_is_over),
	    TEST(test_not_inside_a_handler),
	    TEST(test_one_ends_another),
	    TEST(test_free_frees_what_is_due),
	};

	return cmocka_run_group_tests_name("reap", tests, NULL, NULL);
}
