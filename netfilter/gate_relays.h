/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_GATE_RELAYS_H
#define POSTERN_GATE_RELAYS_H

/*
 * The relays, as postern-gate knows them: who runs, who has room, how many
 * sessions each client has.  A relay that sends nonsense loses its channel,
 * and counts as gone until the parent brings another.
 */

#include <stdbool.h>

#include "netfilter/dns_watch.h"
#include "netfilter/sources.h"

struct event_base;
struct gate_relays;

/*
 * gate_relays_new keeps counts in sources, which is borrowed.  told is called
 * whenever a relay has said whether it has room.  NULL: ENOMEM.
 */
struct gate_relays *gate_relays_new(
    struct event_base *, struct sources *, void (*told)(void *arg), void *arg);

/*
 * gate_relays_attach takes up a channel to one of them, and its descriptor.
 * Returns 0, or -1 with errno set (ENOSPC: SOURCES_RELAYS_MAX are there); the
 * descriptor is then closed.
 */
int gate_relays_attach(struct gate_relays *, int fd);

/* How many there are, and whether one has room for a session more. */
size_t gate_relays_count(const struct gate_relays *);
bool gate_relays_have_room(const struct gate_relays *);

/* gate_relays_hint tells all of them; it is lost on those that are behind. */
void gate_relays_hint(struct gate_relays *, const struct dns_hint *);

#endif
