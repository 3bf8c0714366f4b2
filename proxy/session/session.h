/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_SESSION_H
#define POSTERN_SESSION_H

/*
 * One intercepted connection, from accept to its last byte: a client, a
 * server, and the rule that no envelope reaches a server that is not proved
 * for it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/address.h"

struct endpoints;
struct event_base;
struct hints;
struct policy_client;
struct reaper;
struct session;
struct settings;
struct tls_client;
struct verdict_cache;

#define TRANSACTION_REDIALS_MAX 8 /* for another SNI */
#define SESSION_REFUSALS_MAX                                                   \
	20 /* bad commands before the client is cut off                        \
	    */

/* What all sessions of a relay share; borrowed, and outlives them. */
struct session_context {
	struct event_base *base;
	struct reaper *reaper;
	struct tls_client *tls;
	struct policy_client *policy;
	struct verdict_cache *verdicts;
	struct hints *hints;
	struct endpoints *endpoints;
	uint32_t mark; /* of upstream sockets; 0: none */
	/* Called once for each session, when its memory is about to go. */
	void (*on_end)(
	    void *arg, struct session *, const struct address *client);
	void *arg;
};

/*
 * session_new takes over fd, an accepted connection from client that was
 * meant for server; depth as of endpoints_depth.  The settings are
 * referenced.  NULL with errno set and fd closed.
 */
struct session *
session_new(const struct session_context *, struct settings *, int fd,
    const struct address *client, const struct address *server, unsigned depth);

/*
 * session_drain ends the session with a 421 as soon as no transaction is in
 * flight, or, with is_now, at once.
 */
void session_drain(struct session *, bool is_now);

#endif
