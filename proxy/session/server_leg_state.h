/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_SERVER_LEG_STATE_H
#define POSTERN_SERVER_LEG_STATE_H

/*
 * The inside of a server leg, shared by the files that make it up:
 * server_leg.c (its life, commands and replies), server_start.c (the way to
 * TLS).
 */

#include "proxy/session/endpoints.h"
#include "proxy/session/reap.h"
#include "proxy/session/server_leg.h"
#include "proxy/session/server_queue.h"

struct server_leg {
	enum server_state state;
	struct server_leg_options options; /* its strings are our own */
	char *sni; /* owned; "" for none */
	char *hello; /* owned; NULL until it is known */
	bool use_helo;
	struct conn *conn;
	struct reply reply; /* being read */
	struct reply ehlo_reply;
	struct ehlo ehlo;
	bool is_offered; /* STARTTLS, in clear */
	bool is_clear; /* ended up without TLS */
	struct server_fault fault;
	struct server_queue queue;
	struct endpoint endpoint;
	struct reap_link reap;
};

/* server_leg.c */
void server_leg_goto(struct server_leg *, enum server_state);
/* Tells the session of an event that has no reference. */
void
server_leg_tell(struct server_leg *, enum server_event, const struct reply *);
/* The one way in which a leg fails: once, and with a reason. */
void server_leg_fail(struct server_leg *, enum result_word, const char *status,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void server_leg_set_deadline(struct server_leg *, uint32_t seconds);
/* The oldest command's reply is what is waited for. */
void server_leg_update_deadline(struct server_leg *);
/* The first text of a reply, for people; who shows it escapes it. */
const char *server_leg_first_line(const struct reply *, char out[128]);

/* server_start.c */
/* Takes a reply on the way up. */
void server_start_take(struct server_leg *, const struct reply *);
/* Says a command of the way up, and waits for its reply in state next. */
void server_start_say(struct server_leg *, enum server_state next,
    const char *verb, const char *argument);

#endif
