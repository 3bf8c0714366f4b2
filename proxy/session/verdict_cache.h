/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_VERDICT_CACHE_H
#define POSTERN_VERDICT_CACHE_H

/*
 * Verifications that were done a moment ago.  An entry's key is the SHA-256
 * of everything that the result rests on but the time: the whole chain, the
 * names, the pins, the TLSA records and the identity of the trust store; and an
 * entry is used only inside the validity of the path it found, and not for
 * long.
 */

#include <stdint.h>

struct chain;
struct verify_report;
struct verify_request;
struct verdict_cache;

#define VERDICT_CACHE_MAX     1024
#define VERDICT_CACHE_LIFE_MS 300000

/* NULL: ENOMEM. */
struct verdict_cache *verdict_cache_new(void);
void verdict_cache_free(struct verdict_cache *);
/* Everything is forgotten: what is trusted may have changed. */
void verdict_cache_forget(struct verdict_cache *);

/*
 * verdict_cache_verify is verify_chain with memory of what was PROVED; a
 * refusal is never remembered.
 */
void verdict_cache_verify(struct verdict_cache *, const struct chain *,
    const struct verify_request *, struct verify_report *);

#endif
