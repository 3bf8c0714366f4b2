/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_SOURCES_H
#define POSTERN_SOURCES_H

/*
 * What each client has done of late: how fast it opens connections, and how
 * many sessions it has with each relay.  A client is an address, for IPv6 its
 * /64.  Memory is taken once; where there are more clients than places, the
 * one that was quiet for longest is forgotten.  Time is the caller's.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/address.h"

#define SOURCES_MAX        16384 /* clients remembered */
#define SOURCES_RELAYS_MAX 64
#define SOURCES_BURST_S    2 /* of the rate, at once */

struct sources;

/* NULL: ENOMEM. */
struct sources *sources_new(void);
void sources_free(struct sources *);

/*
 * sources_take counts one more connection of a client and says whether it may
 * have it, at so many a second (0: any number).  Where it may not, nothing is
 * counted.
 */
bool sources_take(
    struct sources *, const struct address *, uint32_t rate, int64_t now_ms);

/* The client's sessions with all relays. */
uint32_t sources_sessions(const struct sources *, const struct address *);

/*
 * sources_told takes down how many sessions a relay (a number from 0 on) has
 * of a client; sources_lost forgets all of a relay that has ended.
 */
void sources_told(
    struct sources *, const struct address *, size_t relay, uint32_t sessions);
void sources_lost(struct sources *, size_t relay);

/*
 * sources_may_tell says whether something that befell this client is worth a
 * line in the log: once in SOURCES_QUIET_MS.  *unsaid is then how many times
 * it was not since the last.
 */
#define SOURCES_QUIET_MS 10000
bool sources_may_tell(
    struct sources *, const struct address *, int64_t now_ms, uint32_t *unsaid);

#endif
