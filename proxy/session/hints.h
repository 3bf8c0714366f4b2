/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_HINTS_H
#define POSTERN_HINTS_H

/*
 * Which name a server at an address was last proved under, and by which
 * policy; and which one the DNS answers that passed make likely.  A first
 * guess for SNI and for a session to resume, never evidence.
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
/*
 * hints_guess notes what somebody has just looked up: until then (monotonic
 * milliseconds) it comes before what was proved, whatever the port, since
 * whoever asks the DNS for a host connects to it next.  A guess is forgotten
 * when the server is proved under another name.
 */
void hints_guess(
    struct hints *, const struct address *, const char *name, int64_t until_ms);
void hints_drop(struct hints *, const struct address *);
/*
 * hints_get sets what is known in a target for that address: its SNI, which is
 * NULL where there is none, valid until the next call for these hints; and its
 * policy, where the server was proved under that name.
 */
void hints_get(struct hints *, struct tls_target *);

#endif
