/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_SHARED_H
#define POSTERN_SHARED_H

/*
 * MTA-STS policies that gateways share through Redis or Valkey.  It is a help
 * and never needed: what it does not answer in SHARED_TIMEOUT_MS is taken as
 * not there; what it answers is parsed as strictly as if it had been fetched,
 * and how far it is to be believed is for mta_sts.c.  Where it cannot be
 * reached, that is logged once; it is tried again, with back-off, for as long
 * as it takes, and meanwhile nobody waits for it.
 */

#include <stddef.h>
#include <stdint.h>

#include "proxy/policy/state.h"

#define SHARED_TIMEOUT_MS   1000
#define SHARED_WAITERS_MAX  4096 /* questions and offers at once */
#define SHARED_OFFERS_MAX   64 /* of them, that wait for a connection */
#define SHARED_RETRY_MS     1000 /* after a failure; then twice as long */
#define SHARED_RETRY_MAX_MS 60000
#define SHARED_ERROR_MAX    256

struct dns;
struct event_base;
struct shared;

/*
 * shared_new reads redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]; HOST is a name,
 * an IPv4 address or an IPv6 address in brackets.  base and dns are borrowed.
 * Nothing is connected before it is needed.  NULL with a message.
 */
struct shared *shared_new(struct event_base *, struct dns *, const char *url,
    char error[SHARED_ERROR_MAX]);
/*
 * shared_free forgets the questions that are open; it is not to be called from
 * within done.  NULL is fine.
 */
void shared_free(struct shared *);

/*
 * shared_get asks for a domain's policy.  Returns 0, and done follows exactly
 * once, never before this returns, with the policy, valid until done returns,
 * or NULL: none there, or no answer.  -1: done will not be called.
 */
int shared_get(struct shared *, const char *domain,
    void (*done)(void *arg, const struct state_policy *), void *arg);
/*
 * Offers a policy to the others, until it expires; connects for that, but does
 * not wait for what is away.  Failing to is no harm.
 */
void shared_put(struct shared *, const struct state_policy *);

#endif
