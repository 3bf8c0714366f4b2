/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_TLSA_LOOKUP_H
#define POSTERN_TLSA_LOOKUP_H

/*
 * Asks the DNS for the TLSA records of one MX host, by the rules of RFC 7672
 * 2.2: only where its address records are proved by DNSSEC, first at the name
 * that its CNAMEs lead to, then at its own.
 */

#include <stdbool.h>
#include <stdint.h>

struct dns;
struct mx_host;

/*
 * tlsa_lookup_start fills host->tlsa and what belongs to it.  The address
 * lookups in host are done; prefers_ipv6 says in which family the connection
 * is: one whose answer failed gives way to the other.  host is borrowed until
 * done, which is called exactly once, perhaps before this returns; ttl is the
 * shortest of the answers used.
 */
void tlsa_lookup_start(struct dns *, struct mx_host *host, uint16_t port,
    bool prefers_ipv6, void (*done)(void *arg, uint32_t ttl), void *arg);

#endif
