/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_SERVER_LEG_H
#define POSTERN_SERVER_LEG_H

/*
 * The upstream side of a session: dials D, takes the greeting, says EHLO,
 * upgrades to TLS, says EHLO again, and from then on sends commands and hands
 * their replies back, one for one and in order.  Nothing that was said in
 * clear outlives the upgrade.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/address.h"
#include "proxy/policy/decision.h"
#include "proxy/smtp/ehlo.h"
#include "proxy/smtp/reply.h"
#include "proxy/tls/client.h"

struct conn;
struct config_timeouts;
struct endpoints;
struct event_base;
struct reaper;
struct server_leg;

#define SERVER_PENDING_MAX 128 /* commands sent or held, not answered */
#define SERVER_HELD_MAX                                                        \
	65536 /* bytes held for a server that cannot                           \
	         pipeline */
#define SERVER_TEXT_MAX 256

#define SERVER_STATES(X)                                                       \
	X(CONNECTING)                                                          \
	X(GREETING)                                                            \
	X(GREETED) /* until server_leg_hello */                                \
	X(EHLO) /* in clear */                                                 \
	X(STARTTLS)                                                            \
	X(HANDSHAKE)                                                           \
	X(EHLO_TLS)                                                            \
	X(HELO)                                                                \
	X(REFUSED) /* EHLO was, inside TLS; until server_leg_hello */          \
	X(READY)                                                               \
	X(FAILED)

enum server_state {
#define X(name) SERVER_##name,
	SERVER_STATES(X)
#undef X
};

/* Why a leg failed. */
struct server_fault {
	bool is_connect; /* no connection came about */
	bool is_handshake; /* TLS failed: another SNI may help */
	bool is_starttls; /* the server has none, or ended when asked */
	bool is_weak; /* TLS failed for lack of anything strong enough */
	enum result_word word;
	char status[8]; /* "4.1", for behind the class */
	char text[SERVER_TEXT_MAX];
};

enum server_event {
	SERVER_GREETED_US, /* with the greeting; any code */
	SERVER_UP, /* commands may go; server_leg_ehlo has the caps */
	SERVER_SAID_NO, /* with the reply that refused EHLO or HELO */
	SERVER_ANSWERED, /* with the reply to the oldest command, its ref */
	SERVER_UNASKED, /* with a reply to nothing; SERVER_GONE follows */
	SERVER_CAN_WRITE, /* conn_write_now may be tried again */
	SERVER_GONE, /* failed; server_leg_fault says why */
};

/* What a command's reply is for: the session's own, opaque here. */
struct server_ref {
	int kind;
	uint32_t id;
};

struct server_leg_options {
	struct event_base *base;
	struct tls_client *tls;
	struct reaper *reaper;
	struct endpoints *endpoints; /* where our own end is kept */
	unsigned depth; /* see there */
	struct tls_target target; /* its SNI is copied */
	const char *hello; /* NULL: wait for server_leg_hello; copied */
	bool use_helo; /* see there */
	bool is_clear; /* do not ask for TLS */
	bool allows_clear; /* go on where there is none */
	const struct config_timeouts *timeouts; /* outlives the leg */
	/* reply is valid during the call; NULL where the event has none. */
	void (*handler)(void *arg, struct server_leg *, enum server_event,
	    struct server_ref, const struct reply *);
	void *arg;
	const char *log_id; /* borrowed: the session's */
};

/*
 * server_leg_new dials from fd (origin_dial_socket), which it takes over on
 * success.  NULL with errno set.
 */
struct server_leg *server_leg_new(const struct server_leg_options *, int fd);
/*
 * server_leg_retire parts with a leg: politely (QUIT, close_notify), or with
 * a reset where a message was cut off, so that no server can take a part for
 * the whole.  No event follows; the memory goes when it is safe.
 */
void server_leg_retire(struct server_leg *, bool is_abrupt);

/*
 * server_leg_hello goes on from GREETED or REFUSED: name is copied.  use_helo
 * says that the client knows no EHLO: HELO is then tried where the server
 * refuses EHLO even inside TLS.
 */
void server_leg_hello(struct server_leg *, const char *name, bool use_helo);

enum server_state server_leg_state(const struct server_leg *);
struct conn *server_leg_conn(struct server_leg *);
/* What the server offers now; valid from SERVER_UP. */
const struct ehlo *server_leg_ehlo(const struct server_leg *);
/*
 * server_leg_renew takes the server's 250 to an EHLO or HELO that was sent as
 * a command: what it offers now, to HELO nothing, takes the place of what it
 * offered before.
 */
void server_leg_renew(struct server_leg *, const struct reply *, bool is_helo);
/* The reply that ehlo was read from when the leg came up. */
const struct reply *server_leg_ehlo_reply(const struct server_leg *);
/* Whom it is made to; valid as long as the leg. */
const struct tls_target *server_leg_target(const struct server_leg *);
/* "" for none. */
const char *server_leg_sni(const struct server_leg *);
/* Of SERVER_GONE; or, on a clear-text leg, why there is no TLS. */
const struct server_fault *server_leg_fault(const struct server_leg *);

/*
 * server_leg_command sends a line (CRLF included) as soon as the server may
 * get it; its reply comes as SERVER_ANSWERED with ref, within timeout_s.
 * 0, or -1 where SERVER_PENDING_MAX or SERVER_HELD_MAX is reached.
 */
int server_leg_command(struct server_leg *, struct server_ref,
    uint32_t timeout_s, const char *line, size_t len);
/*
 * server_leg_expect takes a further reply as due, for what was not a command
 * line: the end of a message.  0, or -1, with errno EPROTO where a reply is
 * there already, to what the server cannot have had.
 */
int
server_leg_expect(struct server_leg *, struct server_ref, uint32_t timeout_s);
/* How many more commands there is room for, and how many are unanswered. */
size_t server_leg_room(const struct server_leg *);
size_t server_leg_pending(const struct server_leg *);
/* Is no command held back, so that message bytes may follow? */
bool server_leg_may_stream(const struct server_leg *);
/* Back to waiting for the replies due, after message bytes. */
void server_leg_wait(struct server_leg *);
void server_leg_flush(struct server_leg *);

#endif
