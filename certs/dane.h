/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_DANE_H
#define POSTERN_DANE_H

/*
 * What TLSA records say of certificates (RFC 6698, 7671, 7672): which of them
 * is the server's own, DANE-EE(3), and which may stand at the top of its path,
 * DANE-TA(2).  Whether such a path holds is for proof.c.  Private to certs.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "certs/verify.h"
#include "proxy/policy/tlsa.h"

/* Anchors made for public keys that no certificate came with. */
#define DANE_KEYS_MAX 64

struct cert;
struct store;

struct dane {
	struct tlsa
	    records[VERIFY_TLSA_MAX]; /* by tlsa_select; data borrowed */
	size_t count;
};

/* Takes the records that count, which may be none; count <= VERIFY_TLSA_MAX. */
void dane_init(struct dane *, const struct tlsa *, size_t count);
bool dane_has_usage(const struct dane *, enum tlsa_usage);

/*
 * dane_match_leaf returns a DANE-EE record of this certificate, or NULL.  All
 * that is read of it is where its key stands, and for a record of the whole
 * certificate not even that.
 */
const struct tlsa *
dane_match_leaf(const struct dane *, const uint8_t *der, size_t len);
/* dane_match_anchor returns a DANE-TA record of this certificate, or NULL. */
const struct tlsa *dane_match_anchor(const struct dane *, const struct cert *);

/*
 * dane_anchors makes a store of what the DANE-TA records stand for: sent
 * certificates that one matches, never the leaf itself; certificates that are
 * in a record in full; and public keys that are, and that none of the sent
 * certificates has.  For each of those keys and each sent certificate that it
 * may have signed there is one anchor, with the issuer's name and that key; at
 * most DANE_KEYS_MAX of them.
 * sent is what the server sent, the leaf first.  *has_sent says whether one of
 * the anchors was sent.  NULL: out of memory.
 */
struct store *dane_anchors(
    const struct dane *, const struct cert *sent, size_t count, bool *has_sent);

/*
 * dane_mismatch_text says what the leaf's record would be, and what one of the
 * records, of which there must be one, is instead.  Returns out.
 */
const char *dane_mismatch_text(const struct dane *, const uint8_t *der,
    size_t len, char out[VERIFY_TEXT_MAX]);

#endif
