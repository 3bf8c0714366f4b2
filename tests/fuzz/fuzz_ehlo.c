/* SPDX-License-Identifier: ISC */
/* Capabilities: what a client is shown reads back as what was understood. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/buf.h"
#include "proxy/smtp/ehlo.h"
#include "proxy/smtp/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_shown(const struct ehlo *before, const struct buf *shown)
{
	struct reply reply;
	struct ehlo after;
	size_t used;

	reply_init(&reply);
	if (reply_feed(&reply, buf_data(shown), buf_len(shown), &used) !=
		REPLY_READY ||
	    used != buf_len(shown))
		abort();
	ehlo_parse(&reply, &after);
	if (!ehlo_covers(&after, before) || !ehlo_covers(before, &after) ||
	    after.capabilities & (EHLO_STARTTLS | EHLO_REQUIRETLS))
		abort();
	reply_clear(&reply);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct reply reply;
	struct ehlo ehlo;
	struct buf shown;
	size_t used;

	reply_init(&reply);
	buf_init(&shown, REPLY_BYTES_MAX);
	if (reply_feed(&reply, data, len, &used) == REPLY_READY) {
		ehlo_parse(&reply, &ehlo);
		if (ehlo_format(&ehlo, &reply, true, &shown) == -1)
			abort();
		check_shown(&ehlo, &shown);
	}
	buf_clear(&shown);
	reply_clear(&reply);
	return 0;
}
