/* SPDX-License-Identifier: ISC */
/*
 * The monotonic and the wall clock, and a test's hand on both.
 */

#include "proxy/base/clock.h"

#include <time.h>

static int64_t fake_monotonic_ms = -1;
static int64_t fake_wall = -1;

int64_t
clock_monotonic_ms(void)
{
	struct timespec now;

	if (fake_monotonic_ms >= 0)
		return fake_monotonic_ms;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
clock_wall(void)
{
	struct timespec now;

	if (fake_wall >= 0)
		return fake_wall;
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec;
}

void
clock_fake(int64_t monotonic_ms, int64_t wall)
{
	fake_monotonic_ms = monotonic_ms;
	fake_wall = wall;
}
