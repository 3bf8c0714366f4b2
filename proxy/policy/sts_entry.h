/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_STS_ENTRY_H
#define POSTERN_STS_ENTRY_H

/*
 * An entry of the table of MTA-STS domains: what its record says, which policy
 * that makes the wanted one, what went wrong and when to try again.
 */

#include <stdbool.h>

#include "proxy/policy/sts_table.h"

#define STS_RECORD_PREFIX "_mta-sts."

struct dns_answer;
struct mta_sts_facts;
struct state_policy;

/* What went wrong last, printf-style, escaped; and that nothing did. */
void sts_entry_blame(struct sts_entry *, enum result_word, const char *format,
    ...) __attribute__((format(printf, 3, 4)));
void sts_entry_forgive(struct sts_entry *);

/* Whose policy is wanted: what the record says, else the one at hand. */
const char *sts_entry_wanted_id(const struct sts_entry *);
bool sts_entry_has_wanted(const struct sts_entry *);

/* Logs that the wanted policy could not be had, and puts off the next try. */
void sts_entry_note_failure(struct sts_entry *);
/* Whether it is too early for that. */
bool sts_entry_backs_off(const struct sts_entry *);
/* What failed is looked at again sooner than its record's TTL would have it. */
void sts_entry_settle(struct sts_entry *);

/* Takes the answer about the domain's TXT record: RFC 8461 3.1. */
void sts_entry_read_answer(struct sts_entry *, const struct dns_answer *);

/*
 * Whether a policy from outside, be it the disk, is one of this domain, as
 * long-lived as one of its age can be, and newer than the one at hand; and what
 * it says.
 */
bool sts_entry_believes(
    const struct sts_entry *, const struct state_policy *, struct sts_policy *);

/*
 * What who asks is told; policy is where the facts' policy is put, and must
 * live as long.
 */
void sts_entry_tell(const struct sts_entry *, struct mta_sts_facts *,
    struct sts_policy *policy);

#endif
