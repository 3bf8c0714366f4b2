/* SPDX-License-Identifier: ISC */
/*
 * A reader of CERTIFICATE blocks.  BoringSSL's own reader tells neither a
 * damaged block from the end of the text nor either from a lack of memory.
 */

#include "certs/pem.h"

#include <openssl/base64.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END   "-----END CERTIFICATE-----"

void
pem_init(struct pem *pem, const char *text, size_t len)
{
	pem->text = text;
	pem->len = len;
}

static void
skip(struct pem *pem, size_t len)
{
	pem->text += len;
	pem->len -= len;
}

/* Moves behind the next marker; what lay before it is in *before. */
static bool
skip_past(struct pem *pem, const char *marker, struct pem *before)
{
	const char *found;

	*before = *pem;
	found = memmem(pem->text, pem->len, marker, strlen(marker));
	if (found == NULL) {
		skip(pem, pem->len);
		return false;
	}
	before->len = (size_t)(found - pem->text);
	skip(pem, before->len + strlen(marker));
	return true;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static enum pem_result
decode(const struct pem *body, uint8_t **der, size_t *der_len)
{
	uint8_t *packed, *out = NULL;
	size_t packed_len = 0, out_max;
	enum pem_result result = PEM_ERROR;

	if ((packed = malloc(body->len + 1)) == NULL)
		return PEM_ERROR;
	for (size_t i = 0; i < body->len; i++) {
		if (!is_space(body->text[i]))
			packed[packed_len++] = (uint8_t)body->text[i];
	}
	result = PEM_BAD;
	if (packed_len == 0 || EVP_DecodedLength(&out_max, packed_len) != 1)
		goto out;
	result = PEM_ERROR;
	if ((out = malloc(out_max)) == NULL)
		goto out;
	result = PEM_BAD;
	if (EVP_DecodeBase64(out, der_len, out_max, packed, packed_len) != 1)
		goto out;
	*der = out;
	out = NULL;
	result = PEM_BLOCK;
out:
	free(packed);
	free(out);
	return result;
}

enum pem_result
pem_next(struct pem *pem, uint8_t **der, size_t *der_len)
{
	struct pem body;

	*der = NULL;
	*der_len = 0;
	if (!skip_past(pem, BEGIN, &body))
		return PEM_END;
	if (!skip_past(pem, END, &body))
		return PEM_BAD;
	return decode(&body, der, der_len);
}
