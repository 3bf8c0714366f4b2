/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_DECISION_MAKE_H
#define POSTERN_DECISION_MAKE_H

/*
 * The parts that decisions are made of, each from nothing, so that none can be
 * left with less than it asks for.
 */

#include <stdbool.h>
#include <stdint.h>

#include "proxy/policy/decision.h"

/* Seconds that a relay may keep a decision. */
#define DECIDE_TTL_MIN      5 /* about one transaction */
#define DECIDE_TTL_MAX      3600
#define DECIDE_TTL_NEGATIVE 300 /* null MX, no such domain: at most */
#define DECIDE_TTL_PARTIAL  30 /* something that could change it is unknown */

/* Subject and detail of RFC 3463 3, RFC 7505 4 and RFC 7372's registry. */
#define STATUS_BAD_DOMAIN "1.2" /* bad destination system address */
#define STATUS_NULL_MX    "1.10" /* recipient address has null MX */
#define STATUS_LOOKUP     "4.3" /* directory server failure */
#define STATUS_NO_ROUTE   "4.4" /* unable to route */
#define STATUS_POLICY     "7.1" /* not authorized */
#define STATUS_DNSSEC     "7.5" /* cryptographic failure */

/* ttl, but no more than max and no less than DECIDE_TTL_MIN. */
uint32_t decide_clamp_ttl(uint32_t ttl, uint32_t max);

/* DECISION_LEVEL, without any name yet. */
void decide_begin(struct decision *, enum evidence, enum level, uint32_t ttl);
/* DECISION_NO_RULE. */
void decide_no_rule(struct decision *, uint32_t ttl);
/*
 * DECISION_REFUSE, and DECISION_TEMPORARY: nothing can be told now.  status is
 * RFC 3463's without the class; why, printf-style, is escaped and cut.
 */
void decide_refuse(struct decision *, const char *status, bool is_permanent,
    const char *why, ...) __attribute__((format(printf, 4, 5)));
void decide_temporary(struct decision *, const char *status, const char *why,
    ...) __attribute__((format(printf, 3, 4)));

/* There must be room: name_count < DECISION_NAMES_MAX. */
void decide_add_name(struct decision *, const char *name);
/* Escaped and cut. */
void decide_set_text(struct decision *, const char *, ...)
    __attribute__((format(printf, 2, 3)));

#endif
