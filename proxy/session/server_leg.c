/* SPDX-License-Identifier: ISC */
/*
 * Knows the order in which a server is brought to TLS, and which reply belongs
 * to which command.  What replies mean to the client is for the session.
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
#include "proxy/session/endpoints.h"
#include "proxy/session/reap.h"
#include "proxy/session/server_queue.h"
#include "proxy/tls/conn.h"

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

static void
leg_goto(struct server_leg *leg, enum server_state state)
{
	log_debug("%s server %s -> %s", leg->options.log_id,
	    state_text(leg->state), state_text(state));
	leg->state = state;
}

static void
tell(struct server_leg *leg, enum server_event event, const struct reply *reply)
{
	static const struct server_ref none;

	if (leg->options.handler != NULL)
		leg->options.handler(leg->options.arg, leg, event, none, reply);
}

/* The one way in which a leg fails: once, and with a reason. */
static void __attribute__((format(printf, 4, 5)))
leg_fail(struct server_leg *leg, enum result_word word, const char *status,
    const char *fmt, ...)
{
	va_list ap;

	if (leg->state == SERVER_FAILED || leg->options.handler == NULL)
		return;
	leg->fault.word = word;
	strlcpy(leg->fault.status, status, sizeof(leg->fault.status));
	va_start(ap, fmt);
	vsnprintf(leg->fault.text, sizeof(leg->fault.text), fmt, ap);
	va_end(ap);
	leg_goto(leg, SERVER_FAILED);
	conn_abort(leg->conn);
	tell(leg, SERVER_GONE, NULL);
}

static void
set_deadline(struct server_leg *leg, uint32_t seconds)
{
	conn_set_deadline(leg->conn, (int64_t)seconds * 1000);
}

/* The oldest command's reply is what is waited for. */
static void
update_deadline(struct server_leg *leg)
{
	if (server_queue_awaits(&leg->queue))
		set_deadline(leg, server_queue_timeout(&leg->queue));
	else
		conn_set_deadline(leg->conn, -1);
}

static void
say(struct server_leg *leg, enum server_state next, const char *verb,
    const char *argument)
{
	char line[LINE_COMMAND_MAX];
	size_t len;

	/*
	 * Before TLS is up one command has one reply: what is there already
	 * answers something that was never asked (CVE-2026-42246).
	 */
	(void)conn_input(leg->conn, &len);
	if (len > 0) {
		leg_fail(leg, RESULT_VALIDATION_FAILURE, "7.5",
		    "the server sent a reply before %s was sent: an "
		    "injection attack",
		    verb);
		return;
	}
	len = (size_t)snprintf(line, sizeof(line), "%s%s%s\r\n", verb,
	    argument != NULL ? " " : "", argument != NULL ? argument : "");
	if (len >= sizeof(line) || conn_write(leg->conn, line, len) == -1) {
		leg_fail(leg, RESULT_NONE, "3.0", "out of memory");
		return;
	}
	leg_goto(leg, next);
	set_deadline(leg, next == SERVER_STARTTLS
			      ? leg->options.timeouts->handshake
			      : leg->options.timeouts->reply);
	(void)conn_flush(leg->conn);
}

static void
come_up(struct server_leg *leg)
{
	leg_goto(leg, SERVER_READY);
	update_deadline(leg);
	tell(leg, SERVER_UP, &leg->ehlo_reply);
}

/* What EHLO's reply said takes the place of whatever was said before. */
static void
keep_ehlo(struct server_leg *leg)
{
	struct reply empty = leg->ehlo_reply;

	reply_clear(&empty);
	leg->ehlo_reply = leg->reply;
	leg->reply = empty;
	ehlo_parse(&leg->ehlo_reply, &leg->ehlo);
}

/* The first text of a reply, for people. */
static const char *
first_line(const struct reply *reply, char out[128])
{
	const char *text;
	size_t len;

	if ((text = reply_text_line(reply, 0, &len)) == NULL)
		len = 0;
	return log_escape(out, 128, text, len > 100 ? 100 : len);
}

static void
on_greeting(struct server_leg *leg, const struct reply *reply)
{
	char text[128];

	if (leg->hello == NULL || reply->code != 220) {
		if (leg->hello != NULL) {
			leg_fail(leg, RESULT_NONE, "4.2",
			    "the server greeted with %d %s", reply->code,
			    first_line(reply, text));
			return;
		}
		leg_goto(leg, SERVER_GREETED);
		conn_set_deadline(leg->conn, -1);
		tell(leg, SERVER_GREETED_US, reply);
		return;
	}
	say(leg, SERVER_EHLO, "EHLO", leg->hello);
}

static void
on_ehlo(struct server_leg *leg, const struct reply *reply)
{
	bool is_ok = reply->code == 250;

	if (reply->code == 421) {
		tell(leg, SERVER_SAID_NO, reply);
		return;
	}
	if (is_ok)
		keep_ehlo(leg);
	leg->is_offered = is_ok &&
	                  (leg->ehlo.capabilities & EHLO_STARTTLS) != 0;
	if (!leg->options.is_clear) {
		/*
		 * Asked for even where it is not offered or EHLO was refused:
		 * that is what stripping looks like.
		 */
		say(leg, SERVER_STARTTLS, "STARTTLS", NULL);
	} else if (is_ok)
		come_up(leg);
	else
		say(leg, SERVER_HELO, "HELO", leg->hello);
}

/*
 * No TLS.  Where some recipient may be reached without, the leg goes on in
 * clear and the fault waits for the verdict of each.
 */
static void
on_no_starttls(struct server_leg *leg, const struct reply *reply)
{
	char text[128], answer[SERVER_TEXT_MAX];

	snprintf(answer, sizeof(answer), "%s STARTTLS and answered %d %s",
	    leg->is_offered ? "the server offered" : "the server did not offer",
	    reply->code, first_line(reply, text));
	leg->fault.is_starttls = true;
	if (!leg->options.allows_clear || reply->code == 421) {
		leg_fail(
		    leg, RESULT_STARTTLS_NOT_SUPPORTED, "7.4", "%s", answer);
		return;
	}
	leg->fault.word = RESULT_STARTTLS_NOT_SUPPORTED;
	strlcpy(leg->fault.text, answer, sizeof(leg->fault.text));
	if (leg->ehlo_reply.line_count > 0)
		come_up(leg);
	else
		say(leg, SERVER_HELO, "HELO", leg->hello);
}

static void
on_starttls(struct server_leg *leg, const struct reply *reply)
{
	const char *sni = leg->sni[0] != '\0' ? leg->sni : NULL;

	if (reply->code != 220) {
		on_no_starttls(leg, reply);
		return;
	}
	if (conn_start_tls(leg->conn, leg->options.tls, &leg->options.address,
		sni) == -1) {
		/* CVE-2021-38371 and its kin: STARTTLS response injection. */
		leg->fault.is_handshake = true;
		leg_fail(leg, RESULT_VALIDATION_FAILURE, "7.5", "%s",
		    errno == EPROTO ? "the server sent data between its 220 to "
				      "STARTTLS and the "
				      "handshake: an injection attack"
				    : strerror(errno));
		return;
	}
	/* What was said in clear is forgotten (RFC 3207 4.2). */
	reply_clear(&leg->ehlo_reply);
	memset(&leg->ehlo, 0, sizeof(leg->ehlo));
	leg_goto(leg, SERVER_HANDSHAKE);
	set_deadline(leg, leg->options.timeouts->handshake);
}

static void
on_ehlo_tls(struct server_leg *leg, const struct reply *reply)
{
	if (reply->code == 250) {
		keep_ehlo(leg);
		come_up(leg);
	} else if (leg->use_helo && reply->code >= 500)
		say(leg, SERVER_HELO, "HELO", leg->hello);
	else {
		leg_goto(leg, SERVER_REFUSED);
		conn_set_deadline(leg->conn, -1);
		tell(leg, SERVER_SAID_NO, reply);
	}
}

static void
on_helo(struct server_leg *leg, const struct reply *reply)
{
	if (reply->code == 250) {
		keep_ehlo(leg);
		/* A reply to HELO offers nothing, whatever it says. */
		leg->ehlo.capabilities = 0;
		come_up(leg);
		return;
	}
	leg_goto(leg, SERVER_REFUSED);
	conn_set_deadline(leg->conn, -1);
	tell(leg, SERVER_SAID_NO, reply);
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
				leg_fail(
				    leg, RESULT_NONE, "3.0", "out of memory");
			return;
		}
		server_queue_sent(&leg->queue);
		if (awaited_none)
			update_deadline(leg);
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
		tell(leg, SERVER_UNASKED, reply);
		if (leg->options.handler == NULL)
			return; /* the session has parted with it */
		leg_fail(leg, RESULT_NONE, "4.2",
		    reply->code == 421
			? "the server ended the session: %d %s"
			: "the server sent a reply to nothing: %d %s",
		    reply->code, first_line(reply, text));
		return;
	}
	send_held(leg);
	update_deadline(leg);
	if (leg->options.handler != NULL)
		leg->options.handler(
		    leg->options.arg, leg, SERVER_ANSWERED, ref, reply);
}

/* One whole reply, whatever the state. */
static void
take_reply(struct server_leg *leg)
{
	switch (leg->state) {
	case SERVER_GREETING:
		on_greeting(leg, &leg->reply);
		break;
	case SERVER_EHLO:
		on_ehlo(leg, &leg->reply);
		break;
	case SERVER_STARTTLS:
		on_starttls(leg, &leg->reply);
		break;
	case SERVER_EHLO_TLS:
		on_ehlo_tls(leg, &leg->reply);
		break;
	case SERVER_HELO:
		on_helo(leg, &leg->reply);
		break;
	case SERVER_READY:
	case SERVER_GREETED:
	case SERVER_REFUSED:
		on_reply(leg, &leg->reply);
		break;
	case SERVER_CONNECTING:
	case SERVER_HANDSHAKE:
	case SERVER_FAILED:
		break;
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
			leg_fail(leg, RESULT_NONE, "5.0",
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
		leg_fail(leg, RESULT_NONE, "4.1", "no connection: %s", what);
		return;
	case SERVER_HANDSHAKE:
		leg->fault.is_handshake = true;
		leg_fail(leg, RESULT_VALIDATION_FAILURE, "7.5",
		    "TLS handshake failed: %s", what);
		return;
	case SERVER_STARTTLS:
		leg_fail(leg, RESULT_STARTTLS_NOT_SUPPORTED, "7.4",
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
		leg_fail(
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
		leg_goto(leg, SERVER_GREETING);
		set_deadline(leg, leg->options.timeouts->greeting);
		break;
	case CONN_TLS_UP:
		say(leg, SERVER_EHLO_TLS, "EHLO", leg->hello);
		break;
	case CONN_INPUT:
		take_input(leg);
		break;
	case CONN_WRITABLE:
		tell(leg, SERVER_CAN_WRITE, NULL);
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
	leg->sni = strdup(options->sni != NULL ? options->sni : "");
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
	set_deadline(leg, options->timeouts->connect);
	conn_connect(leg->conn, &options->address);
	if (conn_local_address(leg->conn, &local) == 0)
		endpoints_put(options->endpoints, &leg->endpoint, &local,
		    &options->address, options->depth);
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
		leg_fail(leg, RESULT_NONE, "3.0", "out of memory");
		return;
	}
	free(leg->hello);
	leg->hello = copy;
	leg->use_helo = use_helo;
	say(leg, leg->state == SERVER_GREETED ? SERVER_EHLO : SERVER_EHLO_TLS,
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
		update_deadline(leg);
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
	update_deadline(leg);
}

void
server_leg_flush(struct server_leg *leg)
{
	if (leg->state == SERVER_READY)
		(void)conn_flush(leg->conn);
}
