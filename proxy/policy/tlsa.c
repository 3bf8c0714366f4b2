/* SPDX-License-Identifier: ISC */
/*
 * Knows the form of TLSA records, in the DNS and as text, and which of them
 * SMTP counts.
 */

#include "proxy/policy/tlsa.h"

#include <stdio.h>
#include <string.h>

#include "proxy/base/hex.h"

#define SHA256_LEN 32
#define SHA512_LEN 64

int
tlsa_from_rdata(struct tlsa *tlsa, const uint8_t *rdata, size_t len)
{
	if (len < TLSA_RDATA_HEAD || len - TLSA_RDATA_HEAD > TLSA_DATA_MAX)
		return -1;
	tlsa->usage = rdata[0];
	tlsa->selector = rdata[1];
	tlsa->matching = rdata[2];
	tlsa->len = (uint16_t)(len - TLSA_RDATA_HEAD);
	tlsa->data = rdata + TLSA_RDATA_HEAD;
	return 0;
}

static const char *
skip_blanks(const char *text)
{
	return text + strspn(text, " \t");
}

/* Takes a number of 0 to 255 and the blanks behind it. */
static bool
take_octet(const char **text, uint8_t *out)
{
	size_t digits = strspn(*text, "0123456789");
	unsigned int value = 0;

	if (digits == 0 || digits > 3)
		return false;
	for (size_t i = 0; i < digits; i++)
		value = value * 10 + (unsigned int)((*text)[i] - '0');
	*text += digits;
	if (value > UINT8_MAX || (**text != ' ' && **text != '\t'))
		return false;
	*text = skip_blanks(*text);
	*out = (uint8_t)value;
	return true;
}

/* RFC 6698 2.2: white space may stand anywhere in the data. */
static bool
take_data(const char *text, uint8_t *data, uint16_t *len)
{
	size_t digits = 0;
	int digit;

	for (; *text != '\0'; text = skip_blanks(text + 1)) {
		if ((digit = hex_digit(*text)) == -1 ||
		    digits == 2 * (size_t)TLSA_DATA_MAX)
			return false;
		if (digits % 2 == 0)
			data[digits / 2] = (uint8_t)(digit << 4);
		else
			data[digits / 2] |= (uint8_t)digit;
		digits++;
	}
	*len = (uint16_t)(digits / 2);
	return digits > 0 && digits % 2 == 0;
}

int
tlsa_from_text(struct tlsa *tlsa, const char *text, uint8_t *data)
{
	struct tlsa read = {.data = data};

	text = skip_blanks(text);
	if (!take_octet(&text, &read.usage) ||
	    !take_octet(&text, &read.selector) ||
	    !take_octet(&text, &read.matching) ||
	    !take_data(text, data, &read.len))
		return -1;
	*tlsa = read;
	return 0;
}

const char *
tlsa_text(const struct tlsa *tlsa, char out[TLSA_TEXT_MAX])
{
	static const char cut[] = "...";
	size_t used, bytes = tlsa->len;

	used = (size_t)snprintf(out, TLSA_TEXT_MAX, "%u %u %u ", tlsa->usage,
	    tlsa->selector, tlsa->matching);
	if (2 * bytes >= TLSA_TEXT_MAX - used)
		bytes = (TLSA_TEXT_MAX - used - sizeof(cut)) / 2;
	for (size_t i = 0; i < bytes; i++, used += 2)
		snprintf(out + used, 3, "%02x", tlsa->data[i]);
	if (bytes < tlsa->len)
		memcpy(out + used, cut, sizeof(cut));
	return out;
}

static const char *
usage_fault(uint8_t usage)
{
	switch (usage) {
	case TLSA_PKIX_TA:
		return "PKIX-TA(0)";
	case TLSA_PKIX_EE:
		return "PKIX-EE(1)";
	case TLSA_DANE_TA:
	case TLSA_DANE_EE:
		return NULL;
	}
	return "an unknown usage";
}

static const char *
data_fault(const struct tlsa *tlsa)
{
	switch (tlsa->matching) {
	case TLSA_FULL:
		return tlsa->len > 0 ? NULL : "no data";
	case TLSA_SHA256:
		return tlsa->len == SHA256_LEN ? NULL
		                               : "not the length of a SHA-256";
	case TLSA_SHA512:
		return tlsa->len == SHA512_LEN ? NULL
		                               : "not the length of a SHA-512";
	}
	return "an unknown matching type";
}

const char *
tlsa_fault(const struct tlsa *tlsa)
{
	const char *fault = usage_fault(tlsa->usage);

	if (fault != NULL)
		return fault;
	if (tlsa->selector > TLSA_SPKI)
		return "an unknown selector";
	return data_fault(tlsa);
}

bool
tlsa_is_usable(const struct tlsa *tlsa)
{
	return tlsa_fault(tlsa) == NULL;
}

/* Whether a stronger digest speaks for what this one does. */
static bool
is_outdone(const struct tlsa *tlsa, const struct tlsa *all, size_t count)
{
	if (tlsa->matching == TLSA_FULL)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (all[i].usage == tlsa->usage &&
		    all[i].selector == tlsa->selector &&
		    all[i].matching > tlsa->matching)
			return true;
	}
	return false;
}

size_t
tlsa_select(struct tlsa *all, size_t count)
{
	size_t usable = 0, kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (tlsa_is_usable(&all[i]))
			all[usable++] = all[i];
	}
	/* The strongest of a kind is among those kept, or yet to come. */
	for (size_t i = 0; i < usable; i++) {
		if (!is_outdone(&all[i], all, kept) &&
		    !is_outdone(&all[i], all + i, usable - i))
			all[kept++] = all[i];
	}
	return kept;
}
