/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_CHAIN_H
#define POSTERN_CHAIN_H

/*
 * The certificates that a server sent, as they came: an immutable, counted
 * list of DER blobs, leaf first, and what can be said of it without judging.
 */

#include <stddef.h>
#include <stdint.h>

#define CHAIN_CERTS_MAX 64 /* certificates of one chain */
#define CHAIN_BYTES_MAX (100UL * 1024) /* all of them together */

struct chain;
struct crypto_buffer_st;
struct stack_st_CRYPTO_BUFFER;

/*
 * chain_from_buffers takes references, copies nothing.  NULL with errno
 * E2BIG past the maxima, EINVAL for an empty stack, ENOMEM.
 */
struct chain *chain_from_buffers(const struct stack_st_CRYPTO_BUFFER *);
/*
 * chain_from_pem reads every CERTIFICATE block, in their order; other text is
 * passed over.  NULL with errno as above, EINVAL also for damaged PEM.
 */
struct chain *chain_from_pem(const char *pem, size_t len);
struct chain *chain_ref(struct chain *);
void chain_free(struct chain *);

size_t chain_count(const struct chain *);
/* Borrowed for the life of the chain; i < chain_count. */
const uint8_t *chain_der(const struct chain *, size_t i, size_t *len);
struct crypto_buffer_st *chain_buffer(const struct chain *, size_t i);
/* SHA-256 of the leaf's DER. */
void chain_leaf_sha256(const struct chain *, uint8_t out[32]);
/* SHA-256 over every certificate with its length: the chain's identity. */
void chain_sha256(const struct chain *, uint8_t out[32]);

#endif
