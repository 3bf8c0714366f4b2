/* SPDX-License-Identifier: ISC */
/*
 * Certificates from a stranger.  The input is a chain, each certificate behind
 * two bytes of its length; the last one is the trust anchor as well as sent.
 * The same bytes are also read as PEM and as lists of names.
 */

#include <openssl/base64.h>
#include <openssl/pool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certs/chain.h"
#include "certs/name.h"
#include "certs/store.h"
#include "certs/verify.h"

#define AT 1800000000 /* the seeds' time, of make_certs.py */

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct store *
make_store(CRYPTO_BUFFER *anchor)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----\n";
	static const char end[] = "\n-----END CERTIFICATE-----\n";
	size_t len = CRYPTO_BUFFER_len(anchor), room;
	char error[STORE_ERROR_MAX], *text;
	struct store *store;

	room = sizeof(begin) + sizeof(end) + len / 3 * 4 + 5;
	if ((text = calloc(1, room)) == NULL)
		return NULL;
	strlcpy(text, begin, room);
	EVP_EncodeBlock(
	    (uint8_t *)text + strlen(text), CRYPTO_BUFFER_data(anchor), len);
	strlcat(text, end, room);
	store = store_from_pem(text, strlen(text), error);
	free(text);
	return store;
}

/* The report is fit to be printed, whatever was in the certificates. */
static void
check_text(const char *text)
{
	if (text[0] == '\0')
		abort();
	for (; *text != '\0'; text++) {
		if (*text < ' ' || *text > '~')
			abort();
	}
}

static void
verify(const STACK_OF(CRYPTO_BUFFER) * certs)
{
	static const char *const names[] = {"mx.example.org"};
	static const uint8_t ip[] = {192, 0, 2, 1};
	struct verify_request request = {.names = names,
	    .name_count = 1,
	    .ip = ip,
	    .ip_len = sizeof(ip),
	    .at = AT};
	char leaf_names[VERIFY_TEXT_MAX];
	struct verify_report report;
	struct chain *chain;
	struct store *store;

	if ((chain = chain_from_buffers(certs)) == NULL)
		return;
	store = make_store(
	    sk_CRYPTO_BUFFER_value(certs, sk_CRYPTO_BUFFER_num(certs) - 1));
	request.trust = store;
	verify_chain(chain, &request, &report);
	check_text(report.text);
	verify_leaf_names(chain, leaf_names);
	store_free(store);
	chain_free(chain);
}

static void
read_certs(const uint8_t *data, size_t size)
{
	STACK_OF(CRYPTO_BUFFER) *certs = sk_CRYPTO_BUFFER_new_null();
	CRYPTO_BUFFER *cert;
	size_t len;

	while (size >= 2) {
		len = (size_t)data[0] << 8 | data[1];
		data += 2;
		size -= 2;
		if (len > size)
			len = size;
		if ((cert = CRYPTO_BUFFER_new(data, len, NULL)) == NULL ||
		    sk_CRYPTO_BUFFER_push(certs, cert) == 0)
			abort();
		data += len;
		size -= len;
	}
	verify(certs);
	sk_CRYPTO_BUFFER_pop_free(certs, CRYPTO_BUFFER_free);
}

static void
read_names(const uint8_t *data, size_t size)
{
	char text[VERIFY_TEXT_MAX];

	name_list_has_host(data, size, "mx.example.org");
	name_list_has_ip(data, size, data, size < 16 ? 4 : 16);
	name_list_text(data, size, text, sizeof(text));
	name_constraints_count(data, size);
	name_constraints_fault(
	    data, size / 2, data + size / 2, size - size / 2);
	/* A name that matches is the host's but for case and dots. */
	if (name_matches(data, size, "mx.example.org") &&
	    (size < 13 || size > 15))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct chain *chain;

	read_certs(data, size);
	if (size >= 16)
		read_names(data, size);
	if ((chain = chain_from_pem((const char *)data, size)) != NULL)
		chain_free(chain);
	return 0;
}
