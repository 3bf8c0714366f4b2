/* SPDX-License-Identifier: ISC */
/*
 * The list of certificates that a server sent.  They are kept as the
 * reference-counted buffers that TLS made of them, and are not parsed here.
 */

#include "certs/chain.h"

#include <errno.h>
#include <openssl/pool.h>
#include <openssl/sha.h>
#include <stdlib.h>

#include "certs/pem.h"

struct chain {
	unsigned references;
	size_t count;
	size_t bytes;
	CRYPTO_BUFFER *certs[CHAIN_CERTS_MAX]; /* a reference each */
};

static struct chain *
chain_new(void)
{
	struct chain *chain;

	if ((chain = calloc(1, sizeof(*chain))) != NULL)
		chain->references = 1;
	return chain;
}

/* Takes the reference only where it returns 0. */
static int
chain_add(struct chain *chain, CRYPTO_BUFFER *cert)
{
	size_t len = CRYPTO_BUFFER_len(cert);

	if (chain->count == CHAIN_CERTS_MAX ||
	    len > CHAIN_BYTES_MAX - chain->bytes) {
		errno = E2BIG;
		return -1;
	}
	chain->certs[chain->count++] = cert;
	chain->bytes += len;
	return 0;
}

struct chain *
chain_from_buffers(const STACK_OF(CRYPTO_BUFFER) * certs)
{
	struct chain *chain;
	CRYPTO_BUFFER *cert;

	if (sk_CRYPTO_BUFFER_num(certs) == 0) {
		errno = EINVAL;
		return NULL;
	}
	if ((chain = chain_new()) == NULL)
		return NULL;
	for (size_t i = 0; i < sk_CRYPTO_BUFFER_num(certs); i++) {
		cert = sk_CRYPTO_BUFFER_value(certs, i);
		if (chain_add(chain, cert) == -1) {
			chain_free(chain);
			errno = E2BIG;
			return NULL;
		}
		CRYPTO_BUFFER_up_ref(cert);
	}
	return chain;
}

static int
chain_add_der(struct chain *chain, const uint8_t *der, size_t len)
{
	CRYPTO_BUFFER *cert;

	if ((cert = CRYPTO_BUFFER_new(der, len, NULL)) == NULL) {
		errno = ENOMEM;
		return -1;
	}
	if (chain_add(chain, cert) == -1) {
		CRYPTO_BUFFER_free(cert);
		errno = E2BIG;
		return -1;
	}
	return 0;
}

/* Returns 1 after a block, 0 at the end, or -1 with errno set. */
static int
chain_add_next(struct chain *chain, struct pem *pem)
{
	uint8_t *der;
	size_t len;
	int added, saved;

	switch (pem_next(pem, &der, &len)) {
	case PEM_END:
		return 0;
	case PEM_BAD:
		errno = EINVAL;
		return -1;
	case PEM_ERROR:
		errno = ENOMEM;
		return -1;
	case PEM_BLOCK:
		break;
	}
	added = chain_add_der(chain, der, len);
	saved = errno;
	free(der);
	errno = saved;
	return added == -1 ? -1 : 1;
}

struct chain *
chain_from_pem(const char *text, size_t len)
{
	struct chain *chain;
	struct pem pem;
	int more, saved;

	if ((chain = chain_new()) == NULL)
		return NULL;
	pem_init(&pem, text, len);
	do {
		more = chain_add_next(chain, &pem);
	} while (more == 1);
	if (more == 0 && chain->count == 0) {
		errno = EINVAL;
		more = -1;
	}
	if (more == -1) {
		saved = errno;
		chain_free(chain);
		errno = saved;
		return NULL;
	}
	return chain;
}

struct chain *
chain_ref(struct chain *chain)
{
	chain->references++;
	return chain;
}

void
chain_free(struct chain *chain)
{
	if (chain == NULL || --chain->references > 0)
		return;
	for (size_t i = 0; i < chain->count; i++)
		CRYPTO_BUFFER_free(chain->certs[i]);
	free(chain);
}

size_t
chain_count(const struct chain *chain)
{
	return chain->count;
}

const uint8_t *
chain_der(const struct chain *chain, size_t i, size_t *len)
{
	*len = CRYPTO_BUFFER_len(chain->certs[i]);
	return CRYPTO_BUFFER_data(chain->certs[i]);
}

CRYPTO_BUFFER *
chain_buffer(const struct chain *chain, size_t i)
{
	return chain->certs[i];
}

void
chain_leaf_sha256(const struct chain *chain, uint8_t out[32])
{
	const uint8_t *der;
	size_t len;

	der = chain_der(chain, 0, &len);
	SHA256(der, len, out);
}

void
chain_sha256(const struct chain *chain, uint8_t out[32])
{
	SHA256_CTX hash;
	const uint8_t *der;
	size_t len;

	SHA256_Init(&hash);
	for (size_t i = 0; i < chain->count; i++) {
		uint64_t framed;

		der = chain_der(chain, i, &len);
		framed = len;
		SHA256_Update(&hash, &framed, sizeof(framed));
		SHA256_Update(&hash, der, len);
	}
	SHA256_Final(out, &hash);
}
