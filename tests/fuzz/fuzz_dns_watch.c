/* SPDX-License-Identifier: ISC */
/*
 * DNS answers in passing, one after another.  Before each stand a byte of its
 * length, one of the time that goes by, and one of what its head is: the
 * input's own, or that of an answer with so many records.  No hint but of a
 * host's name and of an address, for a time within bounds.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "netfilter/dns_watch.h"

#define HEAD_LEN 12
#define OWN_HEAD 0x80

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct dns_watch *watch;
static int64_t now_ms;

static void
check(void *arg, const struct dns_hint *hint)
{
	(void)arg;
	if (!dns_name_is_host(hint->name) || hint->address.port != 0 ||
	    address_ip_len(&hint->address) == 0 ||
	    hint->seconds < DNS_WATCH_MIN_S || hint->seconds > DNS_WATCH_MAX_S)
		abort();
}

/* In a block of its own size, so that ASan sees a read past its end. */
static void
see(const uint8_t *data, size_t len, uint8_t head)
{
	const uint8_t answer[HEAD_LEN] = {0, 0, 0x81, 0x80, 0, 1, 0, head % 8};
	const size_t head_len = (head & OWN_HEAD) != 0 ? 0 : HEAD_LEN;
	uint8_t *message = malloc(head_len + len + 1);

	if (message == NULL)
		return;
	memcpy(message + 1, answer, head_len);
	memcpy(message + 1 + head_len, data, len);
	dns_watch_message(
	    watch, message + 1, head_len + len, now_ms, check, NULL);
	free(message);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t part;

	if (watch == NULL && (watch = dns_watch_new()) == NULL)
		return 0;
	/* What the last input left behind counts no longer. */
	now_ms += INT64_C(2000) * DNS_WATCH_MAX_S;
	for (; len >= 3; data += part, len -= part) {
		part = data[0] < len - 3 ? data[0] : len - 3;
		now_ms += (int64_t)data[1] * 10000;
		see(data + 3, part, data[2]);
		data += 3;
		len -= 3;
	}
	return 0;
}
