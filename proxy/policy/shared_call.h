/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_SHARED_CALL_H
#define POSTERN_SHARED_CALL_H

/*
 * A question to Redis or an offer, from when it is made until it is answered;
 * shared.c's own.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proxy/policy/state.h"

struct redis_link;

struct shared_call {
	TAILQ_ENTRY(shared_call) entry;
	char domain[DECISION_NAME_MAX];
	int64_t asked; /* monotonic, milliseconds */
	void (*done)(void *, const struct state_policy *); /* NULL: an offer */
	void *arg; /* borrowed */
	char *value; /* of an offer that is not sent yet; owned */
	size_t len;
	int64_t expires; /* of an offer; wall time, seconds */
};

TAILQ_HEAD(shared_calls, shared_call);

/* A question, for the caller to fill in.  NULL: errno ENOMEM, EAGAIN. */
struct shared_call *shared_call_question(const char *domain);
/* NULL: ENOMEM, or it is not one to offer. */
struct shared_call *shared_call_offer(const struct state_policy *);
void shared_call_free(struct shared_call *);

/* Asks, or offers and lets the value go.  0, or -1: it could not be sent. */
int shared_call_send(struct shared_call *, struct redis_link *);

#endif
