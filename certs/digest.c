/* SPDX-License-Identifier: ISC */
/*
 * Knows BoringSSL's SHA-256 and hides its context in plain bytes.
 */

#include "certs/digest.h"

#include <openssl/sha.h>

_Static_assert(sizeof(struct digest) >= sizeof(SHA256_CTX), "the context fits");

void
digest_begin(struct digest *digest)
{
	SHA256_Init((SHA256_CTX *)digest->private);
}

void
digest_add(struct digest *digest, const void *part, size_t len)
{
	uint64_t count = len;

	SHA256_Update((SHA256_CTX *)digest->private, &count, sizeof(count));
	if (len > 0)
		SHA256_Update((SHA256_CTX *)digest->private, part, len);
}

void
digest_end(struct digest *digest, uint8_t out[DIGEST_LEN])
{
	SHA256_Final(out, (SHA256_CTX *)digest->private);
}
