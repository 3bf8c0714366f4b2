/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_HINTS_H
#define POSTERN_HINTS_H

/*
 * Which name a server at an address was last proved under, and by which
 * policy: a first guess for SNI and for a session to resume, never evidence.
 */

#include <stdint.h>

#include "proxy/tls/client.h"

struct address;
struct hints;

#define HINTS_MAX 1024

/* NULL: ENOMEM. */
struct hints *hints_new(void);
void hints_free(struct hints *);
/* Copied; a newer one takes an older one's place. */
void hints_put(struct hints *, const struct address *, const char *name,
    const uint8_t policy[TLS_POLICY_LEN]);
void hints_drop(struct hints *, const struct address *);
/*
 * hints_get sets what is known in a target for that address: its SNI, which is
 * NULL where there is none, valid until the next hints_put; and its policy.
 */
void hints_get(const struct hints *, struct tls_target *);

#endif
