/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_REDIS_HOST_H
#define POSTERN_REDIS_HOST_H

/* The addresses of a Redis's host. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/address.h"
#include "proxy/policy/dns_packet.h"

#define REDIS_ADDRESSES_MAX 8

struct dns;
struct redis_lookup;

struct redis_host {
	size_t count;
	struct address addresses[REDIS_ADDRESSES_MAX]; /* with the port */
	char why[DNS_WHY_MAX]; /* where there is none; printable */
};

/*
 * redis_host_know fills in the addresses that need no DNS: of an address
 * itself, and of localhost, which is not the DNS's to say.
 */
bool redis_host_know(struct redis_host *, const char *name, uint16_t port);

/*
 * redis_host_find looks the others up.  done is called once, from the event
 * loop, with addresses valid until it returns, and the lookup is then gone.
 * NULL: it will not be called.
 */
struct redis_lookup *
redis_host_find(struct dns *, const char *name, uint16_t port,
    void (*done)(void *arg, const struct redis_host *), void *arg);
/* The lookup's done is not called any more; NULL is fine. */
void redis_host_forget(struct redis_lookup *);

#endif
