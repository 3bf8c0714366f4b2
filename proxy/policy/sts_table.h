/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_STS_TABLE_H
#define POSTERN_STS_TABLE_H

/*
 * What is known of each domain's MTA-STS: its policy, and what came of asking
 * for it.  Bounded: the domains asked for least recently are forgotten, and
 * those without a policy never push out one that has.  Of policies it is the
 * party with most of them that loses some (dns_name_party), so that one who
 * has mail sent to very many domains of his own only pushes out his own: a
 * policy that is forgotten before its time is a downgrade.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/tree.h>

#include "proxy/policy/decision.h"
#include "proxy/policy/dns_name.h"
#include "proxy/policy/sts_policy.h"

/*
 * An entry takes about 1 KB, and up to 17 more with the largest policy: these
 * two make 80 MB together at the very most, and what is held comes on top.
 */
#define STS_TABLE_BYTES_MAX  (64U << 20) /* of the entries with a policy */
#define STS_TABLE_OTHERS_MAX 16384 /* domains without a policy */
/* With less than this no party is large, and who was used last counts. */
#define STS_TABLE_PARTY_MIN (STS_TABLE_BYTES_MAX / 1024)
/* So much of what the largest party has goes at once: a search is long. */
#define STS_TABLE_PART    8
#define STS_TABLE_WHY_MAX 256
/*
 * Seconds: who waits for a policy gets one, be its max_age 0; and after this,
 * or half of its life, a policy is to be fetched anew.
 */
#define STS_TABLE_LIFE_MIN    60
#define STS_TABLE_REFRESH_MAX 86400

struct state_policy;

enum sts_phase {
	STS_PHASE_IDLE,
	STS_PHASE_DNS, /* waits for the TXT record */
	STS_PHASE_SHARED, /* for what other gateways know */
	STS_PHASE_FETCH, /* for the policy file */
};

struct mta_sts;
struct sts_waiter;
TAILQ_HEAD(sts_waiters, sts_waiter);

struct sts_entry {
	/* The table's own. */
	RB_ENTRY(sts_entry) by_domain;
	TAILQ_ENTRY(sts_entry) by_use;
	bool is_held;
	int64_t used; /* got last; monotonic, ms */
	char domain[DNS_NAME_MAX];
	/*
	 * The policy, read only; text is NULL where there is none, else as
	 * sts_policy_write has it.
	 */
	char *text; /* owned */
	size_t len;
	enum sts_mode mode;
	/*
	 * From other gateways and not yet from the domain itself; mta_sts.c
	 * says so after sts_table_put, which takes it back.
	 */
	bool is_unconfirmed;
	char id[STS_ID_MAX + 1];
	int64_t fetched; /* wall time, seconds */
	int64_t expires; /* likewise */
	int64_t ends; /* the same by the monotonic clock, ms */
	int64_t refresh; /* when to fetch it anew; monotonic, ms */
	/*
	 * mta_sts.c's, zero at first.  Times are monotonic, in ms.
	 */
	struct mta_sts *sts; /* borrowed */
	struct sts_waiters waiters;
	enum sts_phase phase;
	bool is_background; /* FETCH: nobody waits for it */
	bool is_refresh; /* nobody has asked for what is under way */
	bool is_prepared; /* nobody asked for more than the record yet */
	int64_t checked; /* the TXT record's answer counts until then */
	bool is_unknown; /* the TXT record could not be told */
	bool is_local; /* the fetch failed for this machine's fault */
	char txt_id[STS_ID_MAX + 1]; /* "": no record */
	char failed_id[STS_ID_MAX + 1]; /* whose policy was not had */
	uint32_t back_off; /* seconds; 0: it was */
	int64_t retry; /* it is not tried before */
	enum result_word word; /* what went wrong last */
	char why[STS_TABLE_WHY_MAX];
};

struct sts_table;

struct sts_table *sts_table_new(void);
void sts_table_free(struct sts_table *);

/*
 * sts_table_get finds a domain's entry or makes it; it lives until the next
 * call of a function here, unless it is held.  NULL: ENOMEM.
 */
struct sts_entry *sts_table_get(struct sts_table *, const char *domain);

/* The entry after that domain in the table's order, or NULL; "": the first. */
struct sts_entry *sts_table_after(struct sts_table *, const char *domain);

/* A held entry stays.  sts_table_release makes room, maybe out of itself. */
void sts_table_hold(struct sts_table *, struct sts_entry *);
void sts_table_release(struct sts_table *, struct sts_entry *);

/*
 * sts_table_put gives an entry a policy, in place of another: what was parsed,
 * with the id and the times of row, whose text is not looked at.  It holds for
 * as long as it is now until expires, and no longer than max_age, by the
 * monotonic clock.  Returns 0 or -1 (ENOMEM), with the entry unchanged.
 */
int sts_table_put(struct sts_table *, struct sts_entry *,
    const struct state_policy *row, const struct sts_policy *);

/* Whether another policy may push one out. */
bool sts_table_is_full(const struct sts_table *);

/*
 * sts_table_check forgets the entry's policy where it has expired, and returns
 * whether it has just done so.
 */
bool sts_table_check(struct sts_table *, struct sts_entry *);

/*
 * Whether the policy is to be fetched anew: its time for that has come, it is
 * not confirmed, or the wall clock, which may have jumped, says that it is from
 * the future or should have expired.
 */
bool sts_table_is_stale(const struct sts_entry *);

/* The seconds that a policy with this max_age holds. */
int64_t sts_table_life(uint32_t max_age);

#endif
