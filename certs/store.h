/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_STORE_H
#define POSTERN_STORE_H

/*
 * Trust anchors, out of one PEM file as a rule, found by subject; immutable
 * and counted, so that a session keeps the store it began with through a
 * reload.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cert;
struct crypto_buffer_st;
struct store;
struct x509_store_st;
struct X509_name_st;

#define STORE_ERROR_MAX 256
#define STORE_CERTS_MAX 8192
#define STORE_NAME_MAX  96

/*
 * store_from_pem reads every certificate in the text.  A block that cannot be
 * parsed is an error where nothing usable is left, and is counted in
 * store_skipped otherwise (system bundles carry odd ones).  Returns NULL with
 * a message in error.
 */
struct store *
store_from_pem(const char *pem, size_t len, char error[STORE_ERROR_MAX]);
/*
 * store_from_buffers reads certificates one by one, and passes over those that
 * cannot be read: none need be left.  Takes references.  NULL: out of memory.
 */
struct store *
store_from_buffers(struct crypto_buffer_st *const *, size_t count);
struct store *store_ref(struct store *);
void store_free(struct store *);
size_t store_count(const struct store *);
size_t store_skipped(const struct store *);
/* How many anchors are past their dates at that time. */
size_t store_count_ended(const struct store *, int64_t at);
/*
 * store_next_end finds the anchor that ends first of those good at that time,
 * and names it; false where there is none.
 */
bool store_next_end(
    const struct store *, int64_t at, int64_t *end, char name[STORE_NAME_MAX]);

/*
 * For certs alone.  store_find returns the first of *count anchors with this
 * subject, one behind the other, or NULL.  store_x509 is the empty X509_STORE
 * that X509_verify_cert wants to have; the anchors are given to it one by one.
 */
const struct cert *store_find(
    const struct store *, const struct X509_name_st *subject, size_t *count);
struct x509_store_st *store_x509(const struct store *);

#endif
