/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_PROBE_POLICY_H
#define POSTERN_PROBE_POLICY_H

/*
 * A postern-policy of the probe's own, asked as a relay asks: its life is the
 * probe's, and nothing that it learns outlives it.
 */

#include "proxy/policy/facts.h"

#define PROBE_QUESTIONS_MAX FACTS_OPEN_MAX /* for facts, open at once */

struct config;
struct event_base;
struct policy_client;
struct probe_policy;
struct spawn;

/*
 * probe_policy_start runs the program with this configuration.  Where it ends
 * by itself, every open question is answered by failure.  NULL with errno set.
 */
struct probe_policy *probe_policy_start(
    struct event_base *, const struct spawn *, const struct config *);
/*
 * probe_policy_stop lets it end, which it does while the event loop goes on;
 * what was asked is not answered any more.  probe_policy_free comes after
 * that, or ends it at once.  NULL is fine.
 */
void probe_policy_stop(struct probe_policy *);
void probe_policy_free(struct probe_policy *);

/* Where decisions are asked for. */
struct policy_client *probe_policy_client(struct probe_policy *);

/*
 * probe_policy_ask asks for the facts of a domain.  Returns 0, and done
 * follows once, never before this returns: with the facts, which are the
 * callee's own then, or NULL where postern-policy ended first.  Or -1 with
 * errno set.
 */
int probe_policy_ask(struct probe_policy *, const char *domain,
    void (*done)(void *arg, struct facts *), void *arg);

#endif
