/* SPDX-License-Identifier: ISC */
/*
 * Messages: cut by the first byte's measure or not at all, the same bytes are
 * let through, and none of them hold a CR or LF alone.
 */

#include <stdint.h>
#include <stdlib.h>

#include "proxy/smtp/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* Scans in steps up to the first result; returns how many bytes that took. */
static size_t
scan(const uint8_t *data, size_t len, size_t step, enum data_result *result)
{
	struct data_scanner scanner;
	size_t at = 0, end = 0, used;

	data_scan_init(&scanner);
	do {
		end = len - end < step ? len : end + step;
		*result = data_scan(&scanner, data + at, end - at, &used);
		at += used;
	} while (*result == DATA_MORE && end < len);
	return at;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	enum data_result whole, cut;
	size_t used, i;

	if (len == 0)
		return 0;
	used = scan(data, len, len, &whole);
	if (scan(data, len, 1 + data[0] % 16, &cut) != used || cut != whole)
		abort();
	if (whole == DATA_BARE_CR || whole == DATA_BARE_LF)
		used--;
	for (i = 0; i < used; i++) {
		if (data[i] == '\n' && (i == 0 || data[i - 1] != '\r'))
			abort();
		if (data[i] == '\r' && (i + 1 == used || data[i + 1] != '\n'))
			abort();
	}
	return 0;
}
