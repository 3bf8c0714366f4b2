/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_DNS_WATCH_H
#define POSTERN_DNS_WATCH_H

/*
 * DNS answers seen in passing, and what they make likely: that the next
 * connection to an address is meant for this MX host.  A hint, for the first
 * guess at SNI; whoever can forge an answer can make it wrong, and no more.
 * Pure but for its own memory, which is bounded and taken once.
 */

#include <stddef.h>
#include <stdint.h>

#include "proxy/base/address.h"
#include "proxy/policy/dns_name.h"

#define DNS_WATCH_HOSTS_MAX 4096 /* MX hosts remembered */
#define DNS_WATCH_TOLD_MAX  16 /* addresses of one answer that are told */
#define DNS_WATCH_MIN_S     300 /* an answer counts no shorter than this */
#define DNS_WATCH_MAX_S     86400 /* nor longer */

struct dns_hint {
	struct address address; /* without port */
	const char *name; /* borrowed; dns_name_is_host */
	uint32_t seconds; /* how long it is worth something */
};

struct dns_watch;

/* NULL: ENOMEM. */
struct dns_watch *dns_watch_new(void);
void dns_watch_free(struct dns_watch *);

/*
 * dns_watch_message reads one DNS message.  MX answers are remembered; the
 * answers on the addresses of those hosts are told to hint, one call an
 * address, up to DNS_WATCH_TOLD_MAX.  Everything else, and whatever is no good
 * answer, is passed over.
 */
void dns_watch_message(struct dns_watch *, const uint8_t *message, size_t len,
    int64_t now_ms, void (*hint)(void *arg, const struct dns_hint *),
    void *arg);

#endif
