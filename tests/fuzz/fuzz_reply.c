/* SPDX-License-Identifier: ISC */
/* Replies: whole or byte by byte, they are the same, and kept as they came. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/smtp/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct reply whole, bytes;
	char out[REPLY_ENHANCED_MAX];
	size_t used, one, i, n;

	reply_init(&whole);
	reply_init(&bytes);
	reply_feed(&whole, data, len, &used);
	for (i = 0; i < len && bytes.result == REPLY_MORE; i++)
		reply_feed(&bytes, data + i, 1, &one);
	if (whole.result != bytes.result || whole.code != bytes.code ||
	    whole.line_count != bytes.line_count || i != used)
		abort();
	if (whole.result == REPLY_READY &&
	    (buf_len(&whole.text) != used ||
		memcmp(buf_data(&whole.text), data, used) != 0))
		abort();
	for (i = 0; i < whole.line_count; i++)
		if (reply_text_line(&whole, i, &n) == NULL || n > used)
			abort();
	reply_enhanced(&whole, out);
	reply_clear(&whole);
	reply_clear(&bytes);
	return 0;
}
