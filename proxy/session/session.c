/* SPDX-License-Identifier: ISC */
/*
 * The life of a session and the one place that decides what happens next:
 * every event ends in session_run, which takes commands, moves bytes and
 * flushes until nothing more can be done without another event.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/config.h"
#include "proxy/session/policy_client.h"
#include "proxy/session/session_state.h"
#include "proxy/session/settings.h"
#include "proxy/smtp/line.h"
#include "proxy/tls/conn.h"

/* A client that does not read its answers gets to give no more commands. */
#define CLIENT_QUEUE_HIGH 16384

static void on_client(void *, struct conn *, enum conn_event);

static const char *
state_text(enum session_state state)
{
	static const char *const names[] = {
#define X(name) #name,
	    SESSION_STATES(X)
#undef X
	};

	return names[state];
}

const struct config *
session_config(const struct session *session)
{
	return session->settings->config;
}

const char *
session_peer(const struct session *session, char out[ADDRESS_TEXT_MAX])
{
	return address_text(&session->server_address, out);
}

/* What the client may take its time for, in each state; ms, or -1. */
static int64_t
client_patience(const struct session *session)
{
	const struct config_timeouts *timeouts =
	    &session_config(session)->timeouts;

	switch (session->state) {
	case SESSION_READY:
		/* While it waits for an answer, its silence is right. */
		if (answers_owed(&session->answers) > 0)
			return -1;
		return (int64_t)timeouts->command * 1000;
	case SESSION_AUTH_LINE:
		return (int64_t)timeouts->command * 1000;
	case SESSION_STREAM:
		return (int64_t)timeouts->data_block * 1000;
	case SESSION_SERVER_RULE:
	case SESSION_DECISION:
		return (int64_t)timeouts->decision * 1000;
	case SESSION_GREETING:
	case SESSION_HELLO:
	case SESSION_SETTLE:
	case SESSION_REDIAL:
	case SESSION_REPLAY:
	case SESSION_DATA:
	case SESSION_FINAL:
	case SESSION_AUTH:
	case SESSION_QUIT:
	case SESSION_FINISH:
	case SESSION_DEAD:
		return -1; /* the server's deadline rules */
	}
	return -1;
}

void
session_set_patience(struct session *session)
{
	conn_set_deadline(session->client, client_patience(session));
}

void
session_goto(struct session *session, enum session_state state)
{
	/* What has ended stays ended. */
	if (session->state == SESSION_DEAD ||
	    (session->state == SESSION_FINISH && state != SESSION_DEAD))
		return;
	log_debug("%s session %s -> %s", session->id,
	    state_text(session->state), state_text(state));
	session->state = state;
	if (state != SESSION_FINISH && state != SESSION_DEAD)
		session_set_patience(session);
}

void
session_answer_raw(
    struct session *session, uint32_t id, const void *text, size_t len)
{
	if (session->state == SESSION_FINISH || session->state == SESSION_DEAD)
		return;
	if (answers_give(&session->answers, id, session->client, text, len) ==
	    -1)
		session_close(session, "the client does not read its answers");
	else if (session->state == SESSION_READY)
		session_set_patience(session);
}

static void __attribute__((format(printf, 5, 0)))
answer_va(struct session *session, uint32_t id, int code, const char *status,
    const char *fmt, va_list ap)
{
	char text[1024], reply[REPLY_FORMAT_MAX];
	size_t len;

	vsnprintf(text, sizeof(text), fmt, ap);
	len = reply_format(reply, sizeof(reply), code, status, "%s", text);
	session_answer_raw(session, id, reply, len);
}

void
session_answer(struct session *session, uint32_t id, int code,
    const char *status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	answer_va(session, id, code, status, fmt, ap);
	va_end(ap);
}

void
session_end(struct session *session, const char *why, int code,
    const char *status, const char *fmt, ...)
{
	uint32_t id;
	va_list ap;

	if (session->state == SESSION_FINISH || session->state == SESSION_DEAD)
		return;
	va_start(ap, fmt);
	vsnprintf(session->end_text, sizeof(session->end_text), fmt, ap);
	va_end(ap);
	if (answers_owed(&session->answers) > 0)
		id = session->answers.first;
	else
		id = answers_owe(&session->answers);
	session_answer(
	    session, id, code, status, "%s (postern)", session->end_text);
	session_close(session, why);
}

/* A message that was begun must not look finished to the server. */
static void
drop_servers(struct session *session)
{
	bool is_cut = (session->state == SESSION_STREAM &&
			  !session->is_discarding) ||
	              session->state == SESSION_DATA ||
	              session->transaction.is_chunking;

	server_leg_retire(session->server, is_cut);
	server_leg_retire(session->other, false);
	session->server = session->other = NULL;
}

void
session_close(struct session *session, const char *why)
{
	if (session->state == SESSION_FINISH || session->state == SESSION_DEAD)
		return;
	session->end = why;
	drop_servers(session);
	session_asking_clear(session);
	policy_cancel(session->context->policy, session->question);
	session->question = NULL;
	session_goto(session, SESSION_FINISH);
	conn_finish(session->client);
}

static void
session_free(void *arg)
{
	struct session *session = arg;

	session->context->on_end(
	    session->context->arg, session, &session->client_address);
	answers_clear(&session->answers);
	transaction_clear(&session->transaction);
	known_unref(session->rule);
	conn_free(session->client);
	settings_unref(session->settings);
	free(session->hello);
	free(session->next_hello);
	free(session);
}

/* The client is gone for good. */
static void
die(struct session *session, const char *why)
{
	if (session->state == SESSION_DEAD)
		return;
	if (session->end == NULL)
		session->end = why;
	session_record_end(session);
	drop_servers(session);
	session_asking_clear(session);
	policy_cancel(session->context->policy, session->question);
	session->question = NULL;
	session->state = SESSION_DEAD;
	conn_abort(session->client);
	reap_later(
	    session->context->reaper, &session->reap, session_free, session);
}

static void
on_client_timeout(struct session *session)
{
	uint32_t patience = session_config(session)->timeouts.decision;

	if (session->state == SESSION_SERVER_RULE ||
	    session->state == SESSION_DECISION)
		session_end(session, "no decision in time", 421, "4.4.3",
		    "no decision about this destination within %u s: see "
		    "postern's log",
		    patience);
	else
		session_end(session, "the client was silent for too long", 421,
		    "4.4.2", "timeout: nothing came from the client");
}

static void
on_client(void *arg, struct conn *conn, enum conn_event event)
{
	struct session *session = arg;

	switch (event) {
	case CONN_INPUT:
	case CONN_EOF:
	case CONN_WRITABLE:
		break;
	case CONN_TIMEOUT:
		on_client_timeout(session);
		break;
	case CONN_FAILED:
		if (session->end_text[0] == '\0')
			strlcpy(session->end_text, conn_error(conn),
			    sizeof(session->end_text));
		die(session, "the client's connection broke");
		return;
	case CONN_DONE:
		die(session, "closed");
		return;
	case CONN_CONNECTED:
	case CONN_TLS_UP:
		return;
	}
	session_run(session);
}

/* May another command be taken now? */
static bool
has_room(struct session *session)
{
	return answers_room(&session->answers) > 0 &&
	       conn_queued(session->client) < CLIENT_QUEUE_HIGH &&
	       (session->server == NULL ||
		   server_leg_room(session->server) > 2);
}

/*
 * The client has gone, or has half-closed and given all its commands, while
 * the server is not up.  No mail can come of that: nobody waits for it, nor
 * holds the server's connection, up to the server's deadline.  Commands that
 * are still to be taken have their answers due, however late.
 */
static void
look_for_client(struct session *session)
{
	const uint8_t *data;
	struct line line;
	size_t len;

	if (session->is_up || !conn_is_eof(session->client))
		return;
	data = conn_input(session->client, &len);
	if (line_next(data, len, LINE_COMMAND_MAX, &line) == LINE_MORE)
		session_close(session, "the client closed");
}

/* One thing done; false: nothing can be done without another event. */
static bool
step(struct session *session)
{
	switch (session->state) {
	case SESSION_READY:
		if (session->is_draining &&
		    session->transaction.mail == MAIL_NONE) {
			session_drain(session, true);
			return false;
		}
		session->waits_for_room = !has_room(session);
		if (session->waits_for_room)
			return false;
		if (session_take_command(session))
			return true;
		if (conn_is_eof(session->client) &&
		    answers_owed(&session->answers) == 0)
			session_close(session, "the client closed");
		return false;
	case SESSION_AUTH_LINE:
		return session_take_auth_line(session);
	case SESSION_STREAM:
		session_stream(session);
		return session->state == SESSION_READY;
	case SESSION_SETTLE:
		if (server_leg_pending(session->server) > 0)
			return false;
		session_judge(session);
		return session->state == SESSION_READY;
	case SESSION_SERVER_RULE:
	case SESSION_GREETING:
	case SESSION_HELLO:
		look_for_client(session);
		return false;
	case SESSION_DECISION:
	case SESSION_REDIAL:
	case SESSION_REPLAY:
	case SESSION_DATA:
	case SESSION_FINAL:
	case SESSION_AUTH:
	case SESSION_QUIT:
	case SESSION_FINISH:
	case SESSION_DEAD:
		return false;
	}
	return false;
}

static void
flush(struct session *session)
{
	if (session->state != SESSION_DEAD && session->state != SESSION_FINISH)
		(void)conn_flush(session->client);
	if (session->server != NULL)
		server_leg_flush(session->server);
	if (session->other != NULL)
		server_leg_flush(session->other);
}

/*
 * Commands that wait because the answers before them fill the client's queue:
 * there may be room now that it was flushed, or there will be an event.
 */
static void
look_for_room(struct session *session)
{
	if (!session->waits_for_room || session->state != SESSION_READY)
		return;
	if (has_room(session))
		session->runs_again = true;
	else
		conn_want_writable(session->client);
}

void
session_run(struct session *session)
{
	if (session->is_running) {
		session->runs_again = true;
		return;
	}
	session->is_running = true;
	do {
		session->runs_again = false;
		while (step(session))
			;
		flush(session);
		look_for_room(session);
	} while (session->runs_again);
	session->is_running = false;
}

struct session *
session_new(const struct session_context *context, struct settings *settings,
    int fd, const struct address *client, const struct address *server,
    unsigned depth)
{
	static uint64_t counter;
	struct session *session;

	if ((session = calloc(1, sizeof(*session))) == NULL)
		goto fail;
	session->context = context;
	session->client_address = *client;
	session->server_address = *server;
	session->depth = depth;
	session->started = clock_monotonic_ms();
	snprintf(session->id, sizeof(session->id), "%" PRIx64 ".%x",
	    (uint64_t)clock_wall() << 16 | (++counter & 0xffff),
	    (unsigned)getpid());
	answers_init(&session->answers);
	transaction_init(&session->transaction);
	session->client = conn_new(context->base, fd, on_client, session);
	if (session->client == NULL)
		goto fail;
	session->settings = settings_ref(settings);
	session_begin(session);
	session_run(session);
	return session;
fail:
	free(session);
	close(fd);
	errno = ENOMEM;
	return NULL;
}

void
session_drain(struct session *session, bool is_now)
{
	session->is_draining = true;
	if (is_now || (session->state == SESSION_READY &&
			  session->transaction.mail == MAIL_NONE))
		session_end(session, "drained", 421, "4.3.2",
		    "the mail gateway is going down for a moment; try again");
	session_run(session);
}
