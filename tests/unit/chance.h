/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_TEST_CHANCE_H
#define POSTERN_TEST_CHANCE_H

/* Chance that is the same in every run, so that what it finds is found again.
 */

#include <stdint.h>

static uint64_t chance_state = 1;

/* From 0 to below n. */
static inline uint32_t
chance(uint32_t n)
{
	chance_state = chance_state * UINT64_C(6364136223846793005) +
	               UINT64_C(1442695040888963407);
	return (uint32_t)(chance_state >> 33) % n;
}

#endif
