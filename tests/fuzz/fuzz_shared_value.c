/* SPDX-License-Identifier: ISC */
/* Any value: one that is taken is written back as the very same bytes. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/policy/shared_value.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static char value[SHARED_VALUE_MAX];
	const int64_t now = 1800000000;
	struct state_policy policy;

	if (shared_value_read(
		&policy, (const char *)data, len, "a.example", now) == -1)
		return 0;
	if (shared_value_write(&policy, now, value) != len ||
	    memcmp(value, data, len) != 0)
		abort();
	return 0;
}
