/* SPDX-License-Identifier: ISC */
/*
 * Holds certificates against TLSA records.
 */

#include "certs/dane.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "certs/cert.h"

void
dane_init(struct dane *dane, const struct tlsa *records, size_t count)
{
	memcpy(dane->records, records, count * sizeof(*records));
	dane->count = tlsa_select(dane->records, count);
}

bool
dane_has_usage(const struct dane *dane, enum tlsa_usage usage)
{
	for (size_t i = 0; i < dane->count; i++) {
		if (dane->records[i].usage == usage)
			return true;
	}
	return false;
}

/* The data of a record of this matching type; a digest is made in digest. */
static CBS
association(
    uint8_t matching, const CBS *whole, uint8_t digest[SHA512_DIGEST_LENGTH])
{
	CBS out = *whole;

	switch (matching) {
	case TLSA_SHA256:
		SHA256(CBS_data(whole), CBS_len(whole), digest);
		CBS_init(&out, digest, SHA256_DIGEST_LENGTH);
		break;
	case TLSA_SHA512:
		SHA512(CBS_data(whole), CBS_len(whole), digest);
		CBS_init(&out, digest, SHA512_DIGEST_LENGTH);
		break;
	}
	return out;
}

/* An empty spki is one that cannot be found. */
static bool
matches(const struct tlsa *record, const CBS *der, const CBS *spki)
{
	const CBS *whole = record->selector == TLSA_SPKI ? spki : der;
	uint8_t digest[SHA512_DIGEST_LENGTH];
	CBS data;

	if (CBS_len(whole) == 0)
		return false;
	data = association(record->matching, whole, digest);
	return CBS_mem_equal(&data, record->data, record->len);
}

static const struct tlsa *
find(const struct dane *dane, enum tlsa_usage usage, const CBS *der,
    const CBS *spki)
{
	for (size_t i = 0; i < dane->count; i++) {
		if (dane->records[i].usage == usage &&
		    matches(&dane->records[i], der, spki))
			return &dane->records[i];
	}
	return NULL;
}

const struct tlsa *
dane_match_leaf(const struct dane *dane, const uint8_t *der, size_t len)
{
	CBS leaf, spki;

	CBS_init(&leaf, der, len);
	if (cert_find_spki(der, len, &spki) == -1)
		CBS_init(&spki, NULL, 0);
	return find(dane, TLSA_DANE_EE, &leaf, &spki);
}

const struct tlsa *
dane_match_anchor(const struct dane *dane, const struct cert *cert)
{
	return find(dane, TLSA_DANE_TA, &cert->der, &cert->spki);
}

/*
 * In the form that the first record has, but for a record in full, which no
 * line can hold.
 */
static const char *
leaf_text(const struct tlsa *like, const uint8_t *der, size_t len,
    char out[TLSA_TEXT_MAX])
{
	struct tlsa leaf = {.usage = TLSA_DANE_EE,
	    .selector = like->selector,
	    .matching = like->matching};
	uint8_t digest[SHA512_DIGEST_LENGTH];
	CBS whole, data;

	if (leaf.matching == TLSA_FULL)
		leaf.matching = TLSA_SHA256;
	if (leaf.selector == TLSA_CERTIFICATE ||
	    cert_find_spki(der, len, &whole) == -1) {
		leaf.selector = TLSA_CERTIFICATE;
		CBS_init(&whole, der, len);
	}
	data = association(leaf.matching, &whole, digest);
	leaf.data = CBS_data(&data);
	leaf.len = (uint16_t)CBS_len(&data);
	return tlsa_text(&leaf, out);
}

/* Of several records, one that a leaf could have. */
static const struct tlsa *
find_telling(const struct dane *dane)
{
	for (size_t i = 0; i < dane->count; i++) {
		if (dane->records[i].usage == TLSA_DANE_EE)
			return &dane->records[i];
	}
	return &dane->records[0];
}

const char *
dane_mismatch_text(const struct dane *dane, const uint8_t *der, size_t len,
    char out[VERIFY_TEXT_MAX])
{
	const struct tlsa *first = find_telling(dane);
	char is[TLSA_TEXT_MAX], says[TLSA_TEXT_MAX], more[32] = "";

	if (dane->count > 1)
		snprintf(more, sizeof(more), " (%zu more)", dane->count - 1);
	snprintf(out, VERIFY_TEXT_MAX, "it is %s, %s %s%s",
	    leaf_text(first, der, len, is),
	    first->usage == TLSA_DANE_EE ? "the record is"
					 : "and no CA that was sent is",
	    tlsa_text(first, says), more);
	return out;
}
