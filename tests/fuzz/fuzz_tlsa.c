/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as a TLSA record: out of the DNS, as text, and as a whole set.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/policy/tlsa.h"

#define RECORDS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* What is printed whole is read back as it was. */
static void
check(const struct tlsa *tlsa)
{
	static uint8_t data[TLSA_DATA_MAX];
	char text[TLSA_TEXT_MAX];
	struct tlsa again;

	tlsa_text(tlsa, text);
	if (strnlen(text, sizeof(text)) == sizeof(text) ||
	    (tlsa_fault(tlsa) == NULL) != tlsa_is_usable(tlsa))
		abort();
	if (tlsa->len == 0 || strstr(text, "...") != NULL)
		return;
	if (tlsa_from_text(&again, text, data) == -1 ||
	    again.usage != tlsa->usage || again.selector != tlsa->selector ||
	    again.matching != tlsa->matching || again.len != tlsa->len ||
	    memcmp(again.data, tlsa->data, tlsa->len) != 0)
		abort();
}

static void
read_text(const uint8_t *bytes, size_t len)
{
	static uint8_t data[TLSA_DATA_MAX];
	struct tlsa tlsa;
	char *text;

	if ((text = strndup((const char *)bytes, len)) == NULL)
		return;
	if (tlsa_from_text(&tlsa, text, data) == 0)
		check(&tlsa);
	free(text);
}

/* Whether nothing of the set is left out but for something stronger. */
static void
select_some(const uint8_t *bytes, size_t len)
{
	struct tlsa all[RECORDS_MAX];
	size_t count = 0, left, size;

	while (len > 0 && count < RECORDS_MAX) {
		size = bytes[0] < len - 1 ? bytes[0] : len - 1;
		if (tlsa_from_rdata(&all[count], bytes + 1, size) == 0)
			count++;
		bytes += 1 + size;
		len -= 1 + size;
	}
	left = tlsa_select(all, count);
	if (left > count)
		abort();
	for (size_t i = 0; i < left; i++) {
		if (!tlsa_is_usable(&all[i]))
			abort();
		for (size_t j = 0; j < left; j++) {
			if (all[i].usage == all[j].usage &&
			    all[i].selector == all[j].selector &&
			    all[i].matching != TLSA_FULL &&
			    all[i].matching < all[j].matching)
				abort();
		}
	}
	if (tlsa_select(all, left) != left)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct tlsa tlsa;

	if (tlsa_from_rdata(&tlsa, bytes, len) == 0)
		check(&tlsa);
	read_text(bytes, len);
	select_some(bytes, len);
	return 0;
}
