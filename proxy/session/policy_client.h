/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_POLICY_CLIENT_H
#define POSTERN_POLICY_CLIENT_H

/*
 * The relay's side of postern-policy: questions, their one answer each, and a
 * small cache of answers that are still good.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/policy/decision.h"

struct address;
struct event_base;
struct policy_client;
struct question;
struct verdict;

#define POLICY_CACHE_MAX     512 /* decisions kept by one relay */
#define POLICY_QUESTIONS_MAX 16384 /* open at once */

/* A decision, counted: sessions hold it as long as a transaction needs it. */
struct known {
	size_t refs;
	int64_t expires; /* monotonic ms: good until then */
	uint64_t era; /* of the rules that it was asked under */
	struct decision decision;
};
struct known *known_ref(struct known *);
void known_unref(struct known *);
/* Whether it still holds, by both clocks. */
bool known_is_good(const struct known *);

/*
 * policy_client_new: lost, which may be NULL, is called when the newest channel
 * has closed; until another is attached nothing can be asked.  NULL: ENOMEM.
 */
struct policy_client *
policy_client_new(struct event_base *, void (*lost)(void *), void *arg);
void policy_client_free(struct policy_client *);

/*
 * policy_client_attach takes over fd, a channel to a new postern-policy, in
 * place of the one before; what was asked there is still answered by it.
 * 0, or -1 with errno set and fd closed.
 */
int policy_client_attach(struct policy_client *, int fd);
/* Whether a postern-policy has ever been attached. */
int policy_client_is_attached(const struct policy_client *);
/* policy_client_forget drops the cache: the configuration has changed. */
void policy_client_forget(struct policy_client *);

/*
 * policy_ask_* return a reference to a decision where one is at hand.  Else
 * NULL, and *question is set: done(arg, known) will follow exactly once (known
 * borrowed; take a reference to keep it), "failed" included, unless
 * policy_cancel comes first.  Both NULL: out of memory, no answer follows.
 */
struct known *policy_ask_server(struct policy_client *,
    const struct address *server, void (*done)(void *, struct known *),
    void *arg, struct question **question);
struct known *
policy_ask_domain(struct policy_client *, const struct address *server,
    const char *domain, void (*done)(void *, struct known *), void *arg,
    struct question **question);
struct known *
policy_ask_literal(struct policy_client *, const struct address *server,
    const struct address *literal, void (*done)(void *, struct known *),
    void *arg, struct question **question);
/*
 * policy_tell_observed has postern-policy count what was let pass by
 * observation; where it is busy or gone, nobody counts it.
 */
void policy_tell_observed(
    struct policy_client *, const char *what, const struct verdict *);
/* Whether a decision is good and by the rules in force now. */
bool policy_holds(const struct policy_client *, const struct known *);
void policy_cancel(struct policy_client *, struct question *);

/*
 * policy_temporary makes a decision that says "cannot be told now"; NULL:
 * out of memory.
 */
struct known *policy_temporary(const char *status, const char *text);

#endif
