/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_STATE_H
#define POSTERN_STATE_H

/*
 * What postern keeps past its own life, in one SQLite file: MTA-STS policies,
 * and what was let pass by observation though it would have been refused.  A
 * disk that is full, slow or gone costs memory of these and nothing else: each
 * function here may fail, and the caller goes on.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/policy/decision.h"
#include "proxy/policy/sts_policy.h"

#define STATE_FILE      "state.db"
#define STATE_ERROR_MAX 512
/*
 * Domains kept.  When they are too many, or the file is too large, those whose
 * policies have expired go first; then the oldest of the party that takes most
 * (dns_name_party); and where none stands out, the oldest.
 */
#define STATE_POLICIES_MAX  65536
#define STATE_OBSERVED_MAX  65536 /* rows kept; the oldest go first */
#define STATE_BYTES_MAX     (128U << 20) /* of the file */
#define STATE_PAGE_BYTES    4096U
#define STATE_WAL_BYTES_MAX (32U << 20) /* of the log beside it */
#define STATE_BUSY_MS       200 /* for another process to end its change */
#define STATE_LOCK_MS       5000 /* for another process to have opened it */
#define STATE_RETRY_MS      30000 /* from a failure until the next attempt */

struct state;

/* A policy that was fetched. */
struct state_policy {
	char domain[DECISION_NAME_MAX];
	char id[STS_ID_MAX + 1];
	int64_t fetched; /* wall time, seconds */
	int64_t expires;
	size_t len;
	const char *text; /* as sts_policy_write has it; borrowed */
};

/* What would have been refused, counted. */
struct state_observed {
	char domain[DECISION_NAME_MAX]; /* the recipient's */
	char server[DECISION_NAME_MAX + ADDRESS_TEXT_MAX]; /* "mx[192.0.2.1]" */
	char evidence[16]; /* evidence_text */
	char word[32]; /* result_word_text; "none" */
	char why[DECISION_TEXT_MAX];
	uint64_t count; /* recipients */
	int64_t first; /* wall time, seconds */
	int64_t last;
};

/*
 * state_open opens the file in a directory that must be this user's alone, and
 * makes it where there is none.  One that is damaged, or is no state at all,
 * is put aside as state.db.bad, with a warning; one of a newer postern is left
 * alone, and is an error.  It may be shared by several processes.  To be
 * called before the process locks itself in: afterwards no file is opened,
 * made or removed.  NULL with a message that says what to do.
 */
struct state *state_open(const char *directory, char error[STATE_ERROR_MAX]);
/*
 * state_open_existing makes no file and puts none aside; may_clear: for
 * state_clear_observed, too.  NULL with a message, and errno ENOENT where
 * there is no file.
 */
struct state *state_open_existing(
    const char *directory, bool may_clear, char error[STATE_ERROR_MAX]);
/* NULL is fine, as the state of all of these, too: they then fail. */
void state_close(struct state *);

/*
 * state_put_policy keeps a policy in place of an older one of its domain;
 * state_drop_policy forgets it, unless it is one that expires later than that,
 * which another process has put there.  A failure is logged, once until it
 * works again, and -1 returned.  After one, nothing is tried for
 * STATE_RETRY_MS.
 */
int state_put_policy(struct state *, const struct state_policy *);
int state_drop_policy(struct state *, const char *domain, int64_t expires);
/*
 * state_get_policy calls take with a domain's policy where there is one that
 * has not expired by now; it is valid until take returns.  Returns 1 where it
 * was called, 0 where there is none, -1 where that cannot be read.
 */
int state_get_policy(struct state *, const char *domain, int64_t now,
    bool (*take)(void *arg, const struct state_policy *), void *arg);
/*
 * state_each_policy calls each with every policy that has not expired by now,
 * the newest first, until it returns false; the policy is valid until then.
 * Returns 0, or -1 where not all could be read.
 */
int state_each_policy(struct state *, int64_t now,
    bool (*each)(void *arg, const struct state_policy *), void *arg);

/* Adds row->count to the row of these texts, or makes it. */
int state_add_observed(struct state *, const struct state_observed *);
/*
 * By domain, then the latest first.  As long as it lasts, the log beside the
 * file can only grow: each should copy, and wait for nobody.
 */
int state_each_observed(struct state *,
    bool (*each)(void *arg, const struct state_observed *), void *arg);
/* Forgets all that was observed. */
int state_clear_observed(struct state *);

#endif
