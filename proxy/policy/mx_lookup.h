/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_MX_LOOKUP_H
#define POSTERN_MX_LOOKUP_H

/*
 * Asks the DNS for a domain's mail hosts (RFC 5321 5.1), which of them have a
 * given address, and the TLSA records of those (RFC 7672 2.2).  It collects;
 * what follows from it is decide.c's business.
 */

#include "proxy/base/address.h"

struct dns;
struct mx_facts;

/*
 * mx_lookup_start begins.  destination's port is the one whose TLSA records are
 * asked for; where its family is AF_UNSPEC, no host has it.  Returns 0, and
 * done will be called exactly once, from the event loop, with facts that are
 * its own from then on, for mx_facts_free; or -1 with errno set as dns_ask, and
 * done will not be called.
 */
int mx_lookup_start(struct dns *, const char *domain,
    const struct address *destination,
    void (*done)(void *arg, struct mx_facts *), void *arg);
void mx_facts_free(struct mx_facts *);

#endif
