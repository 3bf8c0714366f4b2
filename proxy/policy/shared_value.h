/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_SHARED_VALUE_H
#define POSTERN_SHARED_VALUE_H

/*
 * The form in which gateways share a policy: a key, and a value of one line
 * and the policy's text.  Pure.
 *
 *	postern:mta-sts:a.example
 *	postern-sts 1 a.example 20260101 1800000000 1800604800
 *	version: STSv1 ...
 *
 * Whoever can write there may be broken or worse: a value is believed only as
 * far as a policy that had been fetched could be so.
 */

#include <stddef.h>
#include <stdint.h>

#include "proxy/policy/state.h"

#define SHARED_KEY_MAX   (DECISION_NAME_MAX + 32)
#define SHARED_HEAD_MAX  512
#define SHARED_VALUE_MAX (SHARED_HEAD_MAX + STS_TEXT_MAX)
#define SHARED_SKEW      300 /* seconds that other gateways' clocks may be off */

/* Returns out. */
const char *shared_key(const char *domain, char out[SHARED_KEY_MAX]);

/*
 * shared_value_write returns the value's length, or 0 where the policy is none
 * that shared_value_read would take.
 */
size_t shared_value_write(
    const struct state_policy *, int64_t now, char out[SHARED_VALUE_MAX]);

/*
 * shared_value_read takes the policy of a domain out of a value; its text is
 * borrowed from there.  Returns 0, or -1: it is not one, or not of that
 * domain, or of no time that can be.
 */
int shared_value_read(struct state_policy *, const char *data, size_t len,
    const char *domain, int64_t now);

#endif
