/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_DIGEST_H
#define POSTERN_DIGEST_H

/*
 * SHA-256 over a sequence of parts, each with its length, for those above who
 * never see BoringSSL.
 */

#include <stddef.h>
#include <stdint.h>

#define DIGEST_LEN 32

struct digest {
	uint64_t private[16]; /* holds BoringSSL's context */
};

/* digest_add hashes the part's length before it: ("a","bc") != ("ab","c"). */
void digest_begin(struct digest *);
void digest_add(struct digest *, const void *, size_t);
void digest_end(struct digest *, uint8_t out[DIGEST_LEN]);

#endif
