/* SPDX-License-Identifier: ISC */
/*
 * How a server is brought to TLS: greeting, EHLO, STARTTLS, the handshake,
 * EHLO again; and the ways on where one of them is refused.  One function for
 * each reply that may come on the way.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proxy/config.h"
#include "proxy/session/server_leg_state.h"
#include "proxy/tls/conn.h"

void
server_start_say(struct server_leg *leg, enum server_state next,
    const char *verb, const char *argument)
{
	char line[LINE_COMMAND_MAX];
	size_t len;

	/*
	 * Before TLS is up one command has one reply: what is there already
	 * answers something that was never asked (CVE-2026-42246).
	 */
	(void)conn_input(leg->conn, &len);
	if (len > 0) {
		server_leg_fail(leg, RESULT_VALIDATION_FAILURE, "7.5",
		    "the server sent a reply before %s was sent: an "
		    "injection attack",
		    verb);
		return;
	}
	len = (size_t)snprintf(line, sizeof(line), "%s%s%s\r\n", verb,
	    argument != NULL ? " " : "", argument != NULL ? argument : "");
	if (len >= sizeof(line) || conn_write(leg->conn, line, len) == -1) {
		server_leg_fail(leg, RESULT_NONE, "3.0", "out of memory");
		return;
	}
	server_leg_goto(leg, next);
	server_leg_set_deadline(leg, next == SERVER_STARTTLS
					 ? leg->options.timeouts->handshake
					 : leg->options.timeouts->reply);
	(void)conn_flush(leg->conn);
}

static void
come_up(struct server_leg *leg)
{
	server_leg_goto(leg, SERVER_READY);
	server_leg_update_deadline(leg);
	server_leg_tell(leg, SERVER_UP, &leg->ehlo_reply);
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

static void
on_greeting(struct server_leg *leg, const struct reply *reply)
{
	char text[128];

	if (leg->hello == NULL || reply->code != 220) {
		if (leg->hello != NULL) {
			server_leg_fail(leg, RESULT_NONE, "4.2",
			    "the server greeted with %d %s", reply->code,
			    server_leg_first_line(reply, text));
			return;
		}
		server_leg_goto(leg, SERVER_GREETED);
		conn_set_deadline(leg->conn, -1);
		server_leg_tell(leg, SERVER_GREETED_US, reply);
		return;
	}
	server_start_say(leg, SERVER_EHLO, "EHLO", leg->hello);
}

static void
on_ehlo(struct server_leg *leg, const struct reply *reply)
{
	bool is_ok = reply->code == 250;

	if (reply->code == 421) {
		server_leg_tell(leg, SERVER_SAID_NO, reply);
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
		server_start_say(leg, SERVER_STARTTLS, "STARTTLS", NULL);
	} else if (is_ok)
		come_up(leg);
	else
		server_start_say(leg, SERVER_HELO, "HELO", leg->hello);
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
	    reply->code, server_leg_first_line(reply, text));
	leg->fault.is_starttls = true;
	if (!leg->options.allows_clear || reply->code == 421) {
		server_leg_fail(
		    leg, RESULT_STARTTLS_NOT_SUPPORTED, "7.4", "%s", answer);
		return;
	}
	leg->fault.word = RESULT_STARTTLS_NOT_SUPPORTED;
	strlcpy(leg->fault.text, answer, sizeof(leg->fault.text));
	if (leg->ehlo_reply.line_count > 0)
		come_up(leg);
	else
		server_start_say(leg, SERVER_HELO, "HELO", leg->hello);
}

static void
on_starttls(struct server_leg *leg, const struct reply *reply)
{
	if (reply->code != 220) {
		on_no_starttls(leg, reply);
		return;
	}
	if (conn_start_tls(leg->conn, leg->options.tls, &leg->options.target) ==
	    -1) {
		/* CVE-2021-38371 and its kin: STARTTLS response injection. */
		leg->fault.is_handshake = true;
		server_leg_fail(leg, RESULT_VALIDATION_FAILURE, "7.5", "%s",
		    errno == EPROTO ? "the server sent data between its 220 to "
				      "STARTTLS and the "
				      "handshake: an injection attack"
				    : strerror(errno));
		return;
	}
	/* What was said in clear is forgotten (RFC 3207 4.2). */
	reply_clear(&leg->ehlo_reply);
	memset(&leg->ehlo, 0, sizeof(leg->ehlo));
	server_leg_goto(leg, SERVER_HANDSHAKE);
	server_leg_set_deadline(leg, leg->options.timeouts->handshake);
}

static void
on_ehlo_tls(struct server_leg *leg, const struct reply *reply)
{
	if (reply->code == 250) {
		keep_ehlo(leg);
		come_up(leg);
	} else if (leg->use_helo && reply->code >= 500)
		server_start_say(leg, SERVER_HELO, "HELO", leg->hello);
	else {
		server_leg_goto(leg, SERVER_REFUSED);
		conn_set_deadline(leg->conn, -1);
		server_leg_tell(leg, SERVER_SAID_NO, reply);
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
	server_leg_goto(leg, SERVER_REFUSED);
	conn_set_deadline(leg->conn, -1);
	server_leg_tell(leg, SERVER_SAID_NO, reply);
}

void
server_start_take(struct server_leg *leg, const struct reply *reply)
{
	switch (leg->state) {
	case SERVER_GREETING:
		on_greeting(leg, reply);
		return;
	case SERVER_EHLO:
		on_ehlo(leg, reply);
		return;
	case SERVER_STARTTLS:
		on_starttls(leg, reply);
		return;
	case SERVER_EHLO_TLS:
		on_ehlo_tls(leg, reply);
		return;
	case SERVER_HELO:
		on_helo(leg, reply);
		return;
	case SERVER_CONNECTING:
	case SERVER_GREETED:
	case SERVER_HANDSHAKE:
	case SERVER_REFUSED:
	case SERVER_READY:
	case SERVER_FAILED:
		return;
	}
}
