/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_DECIDE_MX_H
#define POSTERN_DECIDE_MX_H

/*
 * What the DNS and MTA-STS say of a domain's mail hosts, where no operator's
 * block does.  For decide.c alone.
 */

#include "proxy/policy/decide.h"

/*
 * decide_mx decides by DANE where a host has TLSA records, else by the
 * domain's MTA-STS policy, else by the MX names.  sts may be NULL, and
 * DECIDE_ASK says that it is needed.
 */
enum decide
decide_mx(const struct config *, const char *domain, const struct mx_facts *,
    const struct mta_sts_facts *sts, struct decision *);

/* decide_mx_names decides by the MX names alone. */
void decide_mx_names(
    const struct mx_facts *, bool requires_dnssec, struct decision *);

#endif
