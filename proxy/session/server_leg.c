/* SPDX-License-Identifier: ISC */
/*
 * Knows the life of a connection to a server, and hands replies to whom they
 * belong.  The way to TLS is server_start.c's, the order of commands
 * server_queue.c's; what replies mean to the client is for the session.
 */

#include "proxy/session/server_leg.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/config.h"
#include "proxy/session/server_leg_state.h"
#include "proxy/tls/conn.h"

static const char *
state_text(enum server_state state)
{
	static const char *const names[] = {
#define X(name) #name,
	    SERVER_STATES(X)
#undef X
	};

	return names[state];
}

void
server_leg_goto(struct server_leg *leg, enum server_state state)
{
	log_debug("%s server %s -> %s", leg->options.log_id,
	    state_text(leg->state), state_text(state));
	leg->state = state;
}

void
server_leg_tell(
    struct server_leg *leg, enum server_event event, const struct reply *reply)
{
	static const struct server_ref none;

	if (leg->options.handler != NULL)
		leg->options.handler(leg->options.arg, leg, event, none, reply);
}

void
server_leg_fail(struct server_leg *leg, enum result_word word,
    const char *status, const char *fmt, ...)
{
	va_list ap;

	if (leg->state == SERVER_FAILED || leg->options.handler == NULL)
		return;
	leg->fault.word = word;
	strlcpy(leg->fault.status, status, sizeof(leg->fault.status));
	va_start(ap, fmt);
	vsnprintf(leg->fault.text, sizeof(leg->fault.text), fmt, ap);
	va_end(ap);
	server_leg_goto(leg, SERVER_FAILED);
	conn_abort(leg->conn);
	server_leg_tell(leg, SERVER_GONE, NULL);
}

void
server_leg_set_deadline(struct server_leg *leg, uint32_t seconds)
{
	conn_set_deadline(leg->conn, (int64_t)seconds * 1000);
}

void
server_leg_update_deadline(struct server_leg *leg)
{
	if (server_queue_awaits(&leg->queue))
		server_leg_set_deadline(leg, server_queue_timeout(&leg->queue));
	else
		conn_set_deadline(leg->conn, -1);
}

const char *
server_leg_first_line(const struct reply *reply, char out[128])
{
	const char *text;
	size_t len;

	if ((text = reply_text_line(reply, 0, &len)) == NULL)
		text = "", len = 0;
	snprintf(out, 128, "%.*s", (int)(len > 100 ? 100 : len), text);
	return out;
}

/* Sends what was held back, as far as the server may have it. */
static void
send_held(struct server_leg *leg)
{
	bool pipelines = (leg->ehlo.capabilities & EHLO_PIPELINING) != 0;
	bool awaited_none = !server_queue_awaits(&leg->queue);
	const void *line;
	size_t len;

	while (
	    (line = server_queue_next(&leg->queue, pipelines, &len)) != NULL) {
		if (conn_write(leg->conn, line, len) == -1) {
			if (conn_queued(leg->conn) == 0)
				server_leg_fail(
				    leg, RESULT_NONE, "3.0", "out of memory");
			return;
		}
		server_queue_sent(&leg->queue);
		if (awaited_none)
			server_leg_update_deadline(leg);
		awaited_none = false;
	}
}

static void
on_reply(struct server_leg *leg, const struct reply *reply)
{
	struct server_ref ref;
	char text[128];

	if (!server_queue_answered(&leg->queue, &ref)) {
		/*
		 * Nothing was asked.  A 421 may come at any time (RFC 5321
		 * 3.8) and a refusal inside a message; everything else is out
		 * of step or an attack.
		 */
		server_leg_tell(leg, SERVER_UNASKED, reply);
		if (leg->options.handler == NULL)
			return; /* the session has parted with it */
		server_leg_fail(leg, RESULT_NONE, "4.2",
		    reply->code == 421
			? "the server ended the session: %d %s"
			: "the server sent a reply to nothing: %d %s",
		    reply->code, server_leg_first_line(reply, text));
		return;
	}
	send_held(leg);
	server_leg_update_deadline(leg);
	if (leg->options.handler != NULL)
		leg->options.handler(
		    leg->options.arg, leg, SERVER_ANSWERED, ref, reply);
}

/* One whole reply, whatever the state. */
static void
take_reply(struct server_leg *leg)
{
	switch (leg->state) {
	case SERVER_READY:
	case SERVER_GREETED:
	case SERVER_REFUSED:
		on_reply(leg, &leg->reply);
		return;
	case SERVER_GREETING:
	case SERVER_EHLO:
	case SERVER_STARTTLS:
	case SERVER_EHLO_TLS:
	case SERVER_HELO:
		server_start_take(leg, &leg->reply);
		return;
	case SERVER_CONNECTING:
	case SERVER_HANDSHAKE:
	case SERVER_FAILED:
		return;
	}
}

/*
 * Input is taken reply by reply.  A second reply in the input while only one
 * was due meets its own state: inside the upgrade it stays unread, and
 * conn_start_tls refuses to begin over it.  What comes behind the reply at
 * which the session parted with the leg is nobody's.
 */
static void
take_input(struct server_leg *leg)
{
	enum reply_result result;
	const uint8_t *data;
	size_t len, used;

	while (leg->options.handler != NULL && leg->state != SERVER_FAILED &&
	       leg->state != SERVER_HANDSHAKE) {
		data = conn_input(leg->conn, &len);
		if (len == 0)
			return;
		result = reply_feed(&leg->reply, data, len, &used);
		conn_consume(leg->conn, used);
		if (result == REPLY_MORE)
			return;
		if (result == REPLY_BAD) {
			server_leg_fail(leg, RESULT_NONE, "5.0",
			    "the server sent a malformed reply: %s",
			    leg->reply.reason);
			return;
		}
		take_reply(leg);
		reply_clear(&leg->reply);
	}
}

/* What was being waited for, for people. */
static const char *
awaited(const struct server_leg *leg)
{
	switch (leg->state) {
	case SERVER_CONNECTING:
		return "connecting";
	case SERVER_GREETING:
		return "waiting for the greeting";
	case SERVER_EHLO:
	case SERVER_EHLO_TLS:
	case SERVER_HELO:
		return "waiting for the reply to EHLO";
	case SERVER_STARTTLS:
		return "waiting for the reply to STARTTLS";
	case SERVER_HANDSHAKE:
		return "in the TLS handshake";
	case SERVER_GREETED:
	case SERVER_REFUSED:
	case SERVER_READY:
	case SERVER_FAILED:
		break;
	}
	return server_queue_awaits(&leg->queue) ? "waiting for a reply"
	                                        : "between commands";
}

static void
on_conn_failed(struct server_leg *leg, const char *what)
{
	switch (leg->state) {
	case SERVER_CONNECTING:
		leg->fault.is_connect = true;
		server_leg_fail(
		    leg, RESULT_NONE, "4.1", "no connection: %s", what);
		return;
	case SERVER_HANDSHAKE:
		leg->fault.is_handshake = true;
		leg->fault.is_weak = conn_is_weak(leg->conn);
		server_leg_fail(leg, RESULT_VALIDATION_FAILURE,
		    leg->fault.is_weak ? "7.6" : "7.5",
		    "TLS handshake failed: %s", what);
		return;
	case SERVER_STARTTLS:
		leg->fault.is_starttls = true;
		server_leg_fail(leg, RESULT_STARTTLS_NOT_SUPPORTED, "7.4",
		    "%s while %s", what, awaited(leg));
		return;
	case SERVER_GREETING:
	case SERVER_GREETED:
	case SERVER_EHLO:
	case SERVER_EHLO_TLS:
	case SERVER_HELO:
	case SERVER_REFUSED:
	case SERVER_READY:
	case SERVER_FAILED:
		server_leg_fail(
		    leg, RESULT_NONE, "4.2", "%s while %s", what, awaited(leg));
		return;
	}
}

static void
leg_free(void *arg)
{
	struct server_leg *leg = arg;

	endpoints_remove(leg->options.endpoints, &leg->endpoint);
	conn_free(leg->conn);
	reply_clear(&leg->reply);
	reply_clear(&leg->ehlo_reply);
	server_queue_clear(&leg->queue);
	free(leg->sni);
	free(leg->hello);
	free(leg);
}

static void
on_conn(void *arg, struct conn *conn, enum conn_event event)
{
	struct server_leg *leg = arg;

	switch (event) {
	case CONN_CONNECTED:
		server_leg_goto(leg, SERVER_GREETING);
		server_leg_set_deadline(leg, leg->options.timeouts->greeting);
		break;
	case CONN_TLS_UP:
		server_start_say(leg, SERVER_EHLO_TLS, "EHLO", leg->hello);
		break;
	case CONN_INPUT:
		take_input(leg);
		break;
	case CONN_WRITABLE:
		server_leg_tell(leg, SERVER_CAN_WRITE, NULL);
		break;
	case CONN_EOF:
		on_conn_failed(leg, "the server closed the connection");
		break;
	case CONN_TIMEOUT:
		on_conn_failed(leg, "timed out");
		break;
	case CONN_FAILED:
		on_conn_failed(leg, conn_error(conn));
		break;
	case CONN_DONE:
		reap_later(leg->options.reaper, &leg->reap, leg_free, leg);
		break;
	}
}

struct server_leg *
server_leg_new(const struct server_leg_options *options, int fd)
{
	struct server_leg *leg;
	struct address local;

	if ((leg = calloc(1, sizeof(*leg))) == NULL)
		return NULL;
	leg->options = *options;
	leg->use_helo = options->use_helo;
	reply_init(&leg->reply);
	reply_init(&leg->ehlo_reply);
	server_queue_init(&leg->queue);
	leg->sni = strdup(
	    options->target.sni != NULL ? options->target.sni : "");
	if (leg->sni == NULL ||
	    (options->hello != NULL &&
		(leg->hello = strdup(options->hello)) == NULL) ||
	    (leg->conn = conn_new(options->base, fd, on_conn, leg)) == NULL) {
		free(leg->sni);
		free(leg->hello);
		free(leg);
		errno = ENOMEM;
		return NULL;
	}
	/* What the options borrow may change or go while the leg lives. */
	leg->options.target.sni = leg->sni[0] != '\0' ? leg->sni : NULL;
	server_leg_set_deadline(leg, options->timeouts->connect);
	conn_connect(leg->conn, &options->target.address);
	if (conn_local_address(leg->conn, &local) == 0)
		endpoints_put(options->endpoints, &leg->endpoint, &local,
		    &options->target.address, options->depth);
	return leg;
}

void
server_leg_retire(struct server_leg *leg, bool is_abrupt)
{
	if (leg == NULL)
		return;
	leg->options.handler = NULL;
	leg->options.log_id = "-";
	if (is_abrupt || leg->state == SERVER_FAILED) {
		conn_abort(leg->conn);
		reap_later(leg->options.reaper, &leg->reap, leg_free, leg);
		return;
	}
	if (leg->state == SERVER_READY)
		(void)conn_write(leg->conn, "QUIT\r\n", 6);
	conn_finish(leg->conn);
}

void
server_leg_hello(struct server_leg *leg, const char *name, bool use_helo)
{
	char *copy;

	if (leg->state != SERVER_GREETED && leg->state != SERVER_REFUSED)
		return;
	if ((copy = strdup(name)) == NULL) {
		server_leg_fail(leg, RESULT_NONE, "3.0", "out of memory");
		return;
	}
	free(leg->hello);
	leg->hello = copy;
	leg->use_helo = use_helo;
	server_start_say(leg,
	    leg->state == SERVER_GREETED ? SERVER_EHLO : SERVER_EHLO_TLS,
	    "EHLO", leg->hello);
}

void
server_leg_renew(
    struct server_leg *leg, const struct reply *reply, bool is_helo)
{
	ehlo_parse(reply, &leg->ehlo);
	if (is_helo)
		leg->ehlo.capabilities = 0;
}

enum server_state
server_leg_state(const struct server_leg *leg)
{
	return leg->state;
}

struct conn *
server_leg_conn(struct server_leg *leg)
{
	return leg->conn;
}

const struct ehlo *
server_leg_ehlo(const struct server_leg *leg)
{
	return &leg->ehlo;
}

const struct reply *
server_leg_ehlo_reply(const struct server_leg *leg)
{
	return &leg->ehlo_reply;
}

const struct tls_target *
server_leg_target(const struct server_leg *leg)
{
	return &leg->options.target;
}

const char *
server_leg_sni(const struct server_leg *leg)
{
	return leg->sni;
}

const struct server_fault *
server_leg_fault(const struct server_leg *leg)
{
	return &leg->fault;
}

int
server_leg_command(struct server_leg *leg, struct server_ref ref,
    uint32_t timeout_s, const char *line, size_t len)
{
	if (leg->state != SERVER_READY ||
	    server_queue_add(&leg->queue, ref, timeout_s, line, len) == -1)
		return -1;
	send_held(leg);
	return leg->state == SERVER_READY ? 0 : -1;
}

int
server_leg_expect(
    struct server_leg *leg, struct server_ref ref, uint32_t timeout_s)
{
	bool awaited_none = !server_queue_awaits(&leg->queue);
	size_t unread;

	(void)conn_input(leg->conn, &unread);
	if (unread > 0 && awaited_none) {
		errno = EPROTO;
		return -1;
	}
	if (server_queue_expect(&leg->queue, ref, timeout_s) == -1)
		return -1;
	if (awaited_none)
		server_leg_update_deadline(leg);
	return 0;
}

size_t
server_leg_room(const struct server_leg *leg)
{
	if (buf_room(&leg->queue.held) < (size_t)2 * LINE_AUTH_MAX)
		return 0;
	return SERVER_PENDING_MAX - leg->queue.count;
}

size_t
server_leg_pending(const struct server_leg *leg)
{
	return leg->queue.count;
}

bool
server_leg_may_stream(const struct server_leg *leg)
{
	return leg->queue.sent == leg->queue.count;
}

void
server_leg_wait(struct server_leg *leg)
{
	server_leg_update_deadline(leg);
}

void
server_leg_flush(struct server_leg *leg)
{
	if (leg->state == SERVER_READY)
		(void)conn_flush(leg->conn);
}
