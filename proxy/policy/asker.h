/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_ASKER_H
#define POSTERN_ASKER_H

/*
 * Takes a relay's question through the order of evidence: asks decide.c, gets
 * what it lacks from the DNS, asks again, answers.  Every question gets one
 * answer.
 */

#include <stddef.h>
#include <stdint.h>

#include "proxy/base/address.h"
#include "proxy/policy/decision.h"

#define ASKER_ERROR_MAX 256

struct asker;
struct config;
struct event_base;
struct facts_asker;
struct state;

struct question {
	enum policy_message kind; /* one of the three POLICY_ASK_* */
	uint32_t id;
	struct address destination;
	struct address literal;
	char domain[DECISION_NAME_MAX]; /* "": no valid one */
};

/*
 * asker_new sets up DNS, blocks and MTA-STS, for the rest of the process's
 * life; config and state, which may be NULL, are borrowed as long.  NULL, with
 * a message in error, where it cannot serve.
 */
struct asker *asker_new(struct event_base *, const struct config *,
    struct state *, char error[ASKER_ERROR_MAX]);

/*
 * asker_ask copies the question; answer is called once, perhaps before
 * asker_ask returns, unless asker_forget comes first.
 */
void asker_ask(struct asker *, const struct question *,
    void (*answer)(void *arg, uint32_t id, const struct decision *), void *arg);

/* Where `postern probe` asks (facts_ask.h); it is the asker's. */
struct facts_asker *asker_facts(struct asker *);

/* asker_forget: no answer will be given any more to arg. */
void asker_forget(struct asker *, const void *arg);

#endif
