/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_CLOCK_H
#define POSTERN_CLOCK_H

/*
 * The two clocks.  Waits and cache lives run on the monotonic one, so that a
 * jump of the system time moves no deadline; certificates' dates and a rule's
 * `until` are judged by the wall clock.
 */

#include <stdint.h>

/* Milliseconds since some point in the past; never goes back. */
int64_t clock_monotonic_ms(void);
/* Seconds since 1970. */
int64_t clock_wall(void);

/*
 * For tests: from now on both clocks stand at these values.  Negative values
 * give the real clocks back.
 */
void clock_fake(int64_t monotonic_ms, int64_t wall);

#endif
