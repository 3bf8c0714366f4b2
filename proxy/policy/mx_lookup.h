/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_MX_LOOKUP_H
#define POSTERN_MX_LOOKUP_H

/*
 * Asks the DNS for a domain's mail hosts (RFC 5321 5.1) and which of them have
 * a given address.  It collects; what follows from it is decide.c's business.
 */

#include "proxy/base/address.h"

struct dns;
struct mx_facts;

/*
 * mx_lookup_start begins.  Returns 0, and done will be called exactly once,
 * from the event loop, with facts that are valid until it returns; or -1 with
 * errno set as dns_ask, and done will not be called.
 */
int mx_lookup_start(struct dns *, const char *domain,
    const struct address *destination,
    void (*done)(void *arg, const struct mx_facts *), void *arg);

#endif
