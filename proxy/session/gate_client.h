/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_GATE_CLIENT_H
#define POSTERN_GATE_CLIENT_H

/*
 * A relay's channel to postern-gate, where there is one: it tells what the
 * gate cannot see from outside, and hears what names servers are likely to be
 * called by.  Without a gate all of it does nothing.
 */

#include <stdbool.h>
#include <stdint.h>

struct address;
struct event_base;
struct gate_client;

struct gate_client_handlers {
	/* A hint; name is one that dns_name_is_host, and is borrowed. */
	void (*hinted)(void *arg, const struct address *, const char *name,
	    uint32_t seconds);
	void (*lost)(void *arg); /* the channel closed */
};

/* gate_client_new borrows handlers and arg.  NULL: ENOMEM. */
struct gate_client *gate_client_new(
    struct event_base *, const struct gate_client_handlers *, void *arg);

bool gate_client_is_attached(const struct gate_client *);

/*
 * gate_client_attach takes up a channel and its descriptor, in place of the
 * one before, and tells whether the relay is full.  Every client's sessions
 * are to be told again.  Returns 0, or -1 with errno set, the descriptor
 * closed and the old channel in place.
 */
int gate_client_attach(struct gate_client *, int fd);

/* How many sessions a client has now. */
void gate_client_sessions(
    struct gate_client *, const struct address *, uint32_t sessions);

/* Whether the relay can take no session more; to be called as often as may be.
 */
void gate_client_full(struct gate_client *, bool is_full);

#endif
