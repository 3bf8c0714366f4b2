/* SPDX-License-Identifier: ISC */
/* The clocks: real, faked, and real again. */

#include "proxy/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

static void
test_real(void **state)
{
	struct timespec before, after;
	int64_t wall, first, second;

	(void)state;
	clock_gettime(CLOCK_REALTIME, &before);
	wall = clock_wall();
	clock_gettime(CLOCK_REALTIME, &after);
	assert_in_range(wall, before.tv_sec, after.tv_sec);

	clock_gettime(CLOCK_MONOTONIC, &before);
	first = clock_monotonic_ms();
	second = clock_monotonic_ms();
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(first <= second);
	assert_true(first >= before.tv_sec * 1000 + before.tv_nsec / 1000000);
	assert_true(second <= after.tv_sec * 1000 + after.tv_nsec / 1000000);
}

static void
test_fake(void **state)
{
	(void)state;
	clock_fake(1234, 5678);
	assert_int_equal(clock_monotonic_ms(), 1234);
	assert_int_equal(clock_wall(), 5678);
	clock_fake(0, 0);
	assert_int_equal(clock_monotonic_ms(), 0);
	assert_int_equal(clock_wall(), 0);
	clock_fake(-1, -1);
	test_real(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_real),
	    cmocka_unit_test(test_fake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
