/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_HOST_LOOKUP_H
#define POSTERN_HOST_LOOKUP_H

/*
 * Asks the DNS for the addresses of a host that postern itself connects to, of
 * both families at once.
 */

#include <stddef.h>

#include "proxy/base/address.h"
#include "proxy/policy/dns_packet.h"

#define HOST_ADDRESSES_MAX 4 /* of each family */

struct dns;

struct host_addresses {
	size_t count; /* IPv6 first */
	struct address addresses[2 * HOST_ADDRESSES_MAX]; /* port 0 */
	/* Where there is none: what failed, "" where nothing did. */
	char why[DNS_WHY_MAX];
};

/*
 * host_lookup_start begins.  Returns 0, and done will be called exactly once,
 * from the event loop and never before this returns, with addresses that are
 * valid until done returns; or -1 with errno set as dns_ask, and done will not
 * be called.
 */
int host_lookup_start(struct dns *, const char *host,
    void (*done)(void *arg, const struct host_addresses *), void *arg);

#endif
