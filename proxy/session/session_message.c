/* SPDX-License-Identifier: ISC */
/*
 * The message: DATA and BDAT, from the command to the server's last word.  A
 * positive answer is always the server's own, to the whole of the message.
 */

#include <stdio.h>
#include <string.h>

#include "proxy/config.h"
#include "proxy/session/session_state.h"
#include "proxy/tls/conn.h"

/* No recipient got as far as the server: nothing may be sent. */
static void
answer_no_recipients(struct session *session, uint32_t id)
{
	const struct transaction *transaction = &session->transaction;

	if (transaction->mail == MAIL_NONE)
		session_answer(session, id, 503, "5.5.1", "MAIL comes first");
	else if (transaction->mail == MAIL_REFUSED)
		session_answer_raw(session, id, transaction->refusal,
		    transaction->refusal_len);
	else if (transaction->has_temporary)
		session_answer(session, id, 451, "4.5.1",
		    "no valid recipients: all were refused for now");
	else
		session_answer(
		    session, id, 554, "5.5.1", "no valid recipients");
}

void
session_data(struct session *session)
{
	struct transaction *transaction = &session->transaction;

	if (transaction->is_chunking) {
		session_answer(
		    session, session->current, 503, "5.5.1", "DATA after BDAT");
		return;
	}
	if (transaction->recipient_count == 0 ||
	    transaction->mail == MAIL_REFUSED) {
		answer_no_recipients(session, session->current);
		return;
	}
	session_goto(session, SESSION_DATA);
	(void)session_send(session, REPLY_FOR_DATA, session->current,
	    session_config(session)->timeouts.data_initiation, "DATA\r\n", 6);
}

void
session_on_data_reply(struct session *session, const struct reply *reply)
{
	if (session->transaction.mail == MAIL_REFUSED && reply->code == 354) {
		session_end(session, "server out of step", 421, "4.5.0",
		    "the server asks for a message whose sender it refused");
		return;
	}
	if (session->transaction.mail == MAIL_REFUSED)
		answer_no_recipients(session, session->current);
	else
		session_answer_raw(session, session->current,
		    buf_data(&reply->text), buf_len(&reply->text));
	if (reply->code == 421)
		session_close(session, "ended by the server");
	else if (reply->code == 354) {
		stream_init_data(&session->stream);
		session->is_discarding = false;
		session_goto(session, SESSION_STREAM);
	} else
		session_goto(session, SESSION_READY);
}

/*
 * A chunk goes with its command, whether or not the server will take it; only
 * one that would follow no recipient at all is thrown away here.
 */
void
session_bdat(struct session *session, const struct command *command)
{
	struct transaction *transaction = &session->transaction;
	char line[64];
	int len;

	session->is_discarding = transaction->recipient_count == 0 ||
	                         transaction->mail == MAIL_REFUSED ||
	                         (session->shown.capabilities &
				     EHLO_CHUNKING) == 0;
	stream_init_chunk(&session->stream, command->chunk_size);
	session_goto(session, SESSION_STREAM);
	if (session->is_discarding)
		return;
	transaction->is_chunking = true;
	len = snprintf(line, sizeof(line), "BDAT %llu%s\r\n",
	    (unsigned long long)command->chunk_size,
	    command->is_last ? " LAST" : "");
	(void)session_send(session,
	    command->is_last ? REPLY_FOR_LAST_CHUNK : REPLY_FOR_CHUNK,
	    session->current,
	    command->is_last
		? session_config(session)->timeouts.data_termination
		: session_config(session)->timeouts.reply,
	    line, (size_t)len);
}

/*
 * A message with bare CR or LF could be read as two by some server: it is
 * refused, and what went of it is abandoned by a reset.  The client hears it
 * at once; what it still sends is thrown away until it has read that.
 */
static void
refuse_message(struct session *session, const char *what)
{
	session->refused++;
	session->current = answers_owe(&session->answers);
	session_end(session, "bare CR or LF in the message", 554, "5.5.2",
	    "the message holds a %s, which some servers take for the end of a "
	    "line or of the message: send CRLF only",
	    what);
}

static void
on_data_streamed(struct session *session)
{
	struct server_ref ref = {.kind = REPLY_FOR_FINAL};

	session->current = ref.id = answers_owe(&session->answers);
	/* Before the state says that the message is whole: it is cut off. */
	if (server_leg_expect(session->server, ref,
		session_config(session)->timeouts.data_termination) == -1)
		session_end(session, "server out of step", 421, "4.5.0",
		    "the server answered before it had the message");
	session_goto(session, SESSION_FINAL);
}

static void
on_chunk_streamed(struct session *session)
{
	if (session->is_discarding) {
		if ((session->shown.capabilities & EHLO_CHUNKING) == 0)
			session_answer(session, session->current, 502, "5.5.1",
			    "the server does not offer CHUNKING");
		else
			answer_no_recipients(session, session->current);
	} else
		server_leg_wait(session->server);
	session_goto(session, SESSION_READY);
}

void
session_stream(struct session *session)
{
	struct conn *server = NULL;
	enum stream_result result;
	int64_t patience =
	    (int64_t)session_config(session)->timeouts.data_block * 1000;

	if (!session->is_discarding) {
		if (!server_leg_may_stream(session->server)) {
			/* It is the server's turn: its deadline rules. */
			conn_set_deadline(session->client, -1);
			return;
		}
		server = server_leg_conn(session->server);
	}
	result = stream_run(&session->stream, session->client, server);
	/* Writing may have found the server gone, and ended the session. */
	if (session->state != SESSION_STREAM)
		return;
	switch (result) {
	case STREAM_STARVED:
		conn_set_deadline(session->client, patience);
		if (server != NULL)
			conn_set_deadline(server, -1);
		if (conn_is_eof(session->client))
			session_close(
			    session, "the client closed inside a message");
		return;
	case STREAM_BLOCKED:
		conn_set_deadline(session->client, -1);
		conn_set_deadline(server, patience);
		return;
	case STREAM_END:
		if (session->stream.kind == STREAM_DATA)
			on_data_streamed(session);
		else
			on_chunk_streamed(session);
		return;
	case STREAM_BARE_CR:
		refuse_message(session, "bare CR");
		return;
	case STREAM_BARE_LF:
		refuse_message(session, "bare LF");
		return;
	}
}

void
session_on_chunk_reply(struct session *session, uint32_t id, bool is_last,
    const struct reply *reply)
{
	bool is_positive = reply->code / 100 == 2;

	if (is_positive && session->state == SESSION_STREAM &&
	    !session->is_discarding && id == session->current) {
		session_end(session, "server out of step", 421, "4.5.0",
		    "the server accepted a chunk that it does not have yet");
		return;
	}
	if (is_positive && session->transaction.mail == MAIL_REFUSED) {
		session_end(session, "server out of step", 421, "4.5.0",
		    "the server accepts a message whose sender it refused");
		return;
	}
	session_answer_raw(
	    session, id, buf_data(&reply->text), buf_len(&reply->text));
	if (reply->code == 421)
		session_close(session, "ended by the server");
	else if (is_last) {
		session->messages += is_positive;
		transaction_clear(&session->transaction);
	}
}

/*
 * A reply to nothing: a server that gives up on a message before its end is
 * taken at its word where the word is no; then, or after a 421, it goes.
 */
void
session_on_unasked(struct session *session, const struct reply *reply)
{
	uint32_t id;
	bool is_refusal = session->state == SESSION_STREAM &&
	                  session->stream.kind == STREAM_DATA &&
	                  reply->code >= 400;

	if (!is_refusal && reply->code != 421)
		return;
	id = answers_owed(&session->answers) > 0
	         ? session->answers.first
	         : answers_owe(&session->answers);
	session_answer_raw(
	    session, id, buf_data(&reply->text), buf_len(&reply->text));
	session_close(session, "ended by the server");
}

void
session_on_final_reply(struct session *session, const struct reply *reply)
{
	session->messages += reply->code / 100 == 2;
	session_answer_raw(session, session->current, buf_data(&reply->text),
	    buf_len(&reply->text));
	transaction_clear(&session->transaction);
	if (reply->code == 421)
		session_close(session, "ended by the server");
	else
		session_goto(session, SESSION_READY);
}
