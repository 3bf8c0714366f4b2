/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_VERDICT_H
#define POSTERN_VERDICT_H

/*
 * May mail for this domain go to this far end?  A pure function of a decision
 * (who may receive it), what TLS showed, the trust in force and the time; and
 * the words in which a refusal reaches the sender.
 */

#include <stdbool.h>
#include <stdint.h>

#include "certs/verify.h"
#include "proxy/policy/decision.h"

struct chain;
struct store;
struct verdict_cache;

#define VERDICT_TEXT_MAX   1024
#define VERDICT_STATUS_MAX 10

/* What is known of a far end. */
struct far_end {
	struct address address;
	const struct chain *chain; /* NULL: no TLS */
	/* Where there is no TLS: why, from the attempt. */
	enum result_word fault_word;
	bool fault_is_weak; /* of struct server_fault */
	const char *fault_text; /* NULL: TLS is up */
};

/* What the operator wants done with what is not proved. */
struct verdict_terms {
	enum config_on_refusal on_refusal;
	bool enforces; /* else it passes, and is told */
};

struct verdict {
	bool passes;
	/*
	 * Passes by observation: word, code, status and text are those of the
	 * refusal that it would have been.
	 */
	bool would_refuse;
	/* Passes by an exception, not because anything was proved. */
	bool is_exception;
	/*
	 * Refused for what the far end showed: with another SNI it might show
	 * something else.
	 */
	bool is_identity;
	enum evidence evidence;
	enum result_word word;
	int code; /* of a refusal's reply: 451 or 550 */
	char status[VERDICT_STATUS_MAX];
	char text[VERDICT_TEXT_MAX]; /* why, either way */
	char note[DECISION_TEXT_MAX]; /* what else the log is to say */
	/* "mx1.example.org[192.0.2.9]", or the address alone. */
	char peer[DECISION_NAME_MAX + ADDRESS_TEXT_MAX];
	char name[DECISION_NAME_MAX]; /* that was proved */
};

/*
 * verdict_judge fills the verdict.  what is the recipient's domain, literal
 * or, for a server block, NULL.  trust is the store that the decision names,
 * NULL where the session does not have it (a refusal).  cache may be NULL.
 */
void verdict_judge(struct verdict *, const struct decision *, const char *what,
    const struct far_end *, const struct store *trust,
    const struct verdict_terms *, struct verdict_cache *, int64_t now);

#endif
