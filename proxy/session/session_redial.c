/* SPDX-License-Identifier: ISC */
/*
 * Another connection to D, where this one does not prove what a recipient
 * needs: without resumption, with another SNI.  It takes this one's place
 * without the client noticing, and only where it serves all who were let
 * through before.
 */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proxy/config.h"
#include "proxy/session/policy_client.h"
#include "proxy/session/policy_tag.h"
#include "proxy/session/session_state.h"
#include "proxy/tls/conn.h"

/*
 * The next SNI worth trying: a name that this server may have for the domain
 * and that this connection did not ask for.
 */
static const char *
next_sni(struct session *session)
{
	const struct decision *decision = &session->asking.known->decision;
	const char *name;

	while (session->asking.next_sni < decision->sni_count) {
		name = decision->names[session->asking.next_sni++];
		if (strcmp(name, server_leg_sni(session->server)) != 0)
			return name;
	}
	return NULL;
}

/*
 * A leg that was refused leaves no TLS session to resume: the server may have
 * another certificate by then.
 */
void
session_drop_tls(struct session *session, struct server_leg *leg)
{
	tls_client_drop(session->context->tls, server_leg_target(leg));
}

/*
 * A session that was resumed has the certificate of the day it was made; the
 * server may have a new one since.  True where that is yet to be looked at.
 */
static bool
is_stale(const struct session *session)
{
	const struct conn_tls *tls = conn_tls(server_leg_conn(session->server));

	return tls != NULL && tls->is_resumed && !session->asking.tried_fresh;
}

/*
 * What to dial with instead: the same SNI without resumption, or another SNI;
 * false: there is nothing left to try.
 */
static bool
choose_target(struct session *session, struct tls_target *target)
{
	struct asking *asking = &session->asking;

	target->is_fresh = true;
	if (is_stale(session)) {
		asking->tried_fresh = true;
		target->sni = server_leg_sni(session->server);
		if (target->sni[0] == '\0')
			target->sni = NULL;
		return true;
	}
	target->sni = next_sni(session);
	return target->sni != NULL;
}

/* What is refused now may be proved another time: no bounce by it. */
static void
defer(struct session *session)
{
	struct verdict *verdict = &session->asking.verdict;

	session->asking.is_deferred = true;
	if (verdict->passes)
		return;
	verdict->code = 451;
	verdict->status[0] = '4';
}

/*
 * What the whole of a decision's candidates came to is not tried again for
 * the next recipient of the transaction.
 */
static bool
is_exhausted(struct session *session)
{
	return session->transaction.exhausted == session->asking.known;
}

bool
session_redial(struct session *session)
{
	struct session_dialling dialling = {.allows_clear = false};

	if (session->is_authenticated || is_exhausted(session))
		return false;
	if (!choose_target(session, &dialling.target)) {
		if (!session->asking.is_deferred)
			transaction_exhaust(
			    &session->transaction, session->asking.known);
		return false;
	}
	policy_tag(&session->asking.known->decision, dialling.target.policy);
	if (session->redials >= TRANSACTION_REDIALS_MAX ||
	    session_dial(session, &session->other, &dialling) == -1) {
		defer(session);
		return false;
	}
	session->redials++;
	session_goto(session, SESSION_REDIAL);
	return true;
}

/* Does the other connection serve those let through before, too? */
static bool
serves_all(struct session *session)
{
	const struct recipient *recipient;
	struct verdict verdict;
	size_t i;

	for (i = 0; i < session->transaction.recipient_count; i++) {
		recipient = &session->transaction.recipients[i];
		session_judge_leg(session, &verdict, session->other,
		    &recipient->known->decision, recipient->what);
		if (recipient->is_accepted && !verdict.passes)
			return false;
	}
	return true;
}

static void
replace_server(struct session *session)
{
	server_leg_retire(session->server, false);
	session->server = session->other;
	session->other = NULL;
	session->has_tls_fault = false;
	session_note_server(session);
}

static int
replay_line(struct session *session, const char *line)
{
	session->replays_due++;
	return session_send(session, REPLY_FOR_REPLAY, 0,
	    session_config(session)->timeouts.reply, line, strlen(line));
}

/* MAIL and the accepted recipients again, unseen by the client. */
static void
replay(struct session *session)
{
	struct transaction *transaction = &session->transaction;
	size_t i;

	session->replays_due = 0;
	if (transaction->accepted == 0) {
		/* Nothing that the old server took is worth repeating. */
		if (transaction->mail != MAIL_REFUSED)
			transaction->mail = MAIL_HELD;
		session_let_through(session);
		return;
	}
	session_goto(session, SESSION_REPLAY);
	if (replay_line(session, transaction->mail_line) == -1)
		return;
	for (i = 0; i < transaction->recipient_count; i++)
		if (transaction->recipients[i].is_accepted &&
		    replay_line(session, transaction->recipients[i].line) == -1)
			return;
}

void
session_on_replay(struct session *session, const struct reply *reply)
{
	if (reply->code / 100 != 2) {
		session_end(session, "replay refused", 421, "4.3.0",
		    "the server took these recipients once and refuses them "
		    "now: %d",
		    reply->code);
		return;
	}
	if (--session->replays_due == 0)
		session_let_through(session);
}

static void
retire_other(struct session *session, bool is_abrupt)
{
	server_leg_retire(session->other, is_abrupt);
	session->other = NULL;
}

/*
 * The other connection is the one, but cannot take this one's place as it is.
 * What is observed passes by the one there is, and would have been sent apart
 * where the other proves it.
 */
static void
cannot_replace(struct session *session, const struct verdict *verdict)
{
	retire_other(session, false);
	if (!session->asking.verdict.passes)
		session_send_apart(session);
	else if (verdict->would_refuse)
		session_let_through(session);
	else
		session_let_through_apart(session);
}

/* MAIL and all recipients go out at once: no more than there is room. */
static bool
has_room(struct session *session)
{
	return session->transaction.accepted + 3 <=
	       server_leg_room(session->other);
}

static bool
shows_the_same(struct session *session)
{
	return session->is_helo ||
	       ehlo_covers(server_leg_ehlo(session->other), &session->shown);
}

/*
 * Not the one.  The record is of the connection that was judged last, unless
 * the recipient goes by the other one after all.
 */
static void
reject_other(struct session *session, const struct verdict *verdict)
{
	session_drop_tls(session, session->other);
	session_note_leg(session, session->other);
	retire_other(session, false);
	session->asking.verdict = *verdict;
	if (!session_redial(session))
		session_conclude(session);
}

/*
 * The other connection is up: is it the one?  Where all is observed, one that
 * is not proved is still better than none with TLS.
 */
static void
on_other_up(struct session *session)
{
	struct asking *asking = &session->asking;
	struct verdict verdict;
	bool is_clear = conn_tls(server_leg_conn(session->server)) == NULL;

	session_judge_leg(session, &verdict, session->other,
	    &asking->known->decision, asking->what);
	if (!verdict.passes || (verdict.would_refuse && !is_clear)) {
		reject_other(session, &verdict);
		return;
	}
	if (!serves_all(session) || !has_room(session)) {
		cannot_replace(session, &verdict);
		return;
	}
	if (!shows_the_same(session)) {
		if (asking->verdict.passes) {
			cannot_replace(session, &verdict);
			return;
		}
		session_end(session, "other capabilities", 421, "4.3.0",
		    "the server offers less under the name %s than without "
		    "it; try again",
		    server_leg_sni(session->other));
		return;
	}
	asking->verdict = verdict;
	replace_server(session);
	replay(session);
}

/* The other connection failed; what is observed keeps its first verdict. */
static void __attribute__((format(printf, 2, 3)))
blame_other(struct session *session, const char *fmt, ...)
{
	struct verdict *verdict = &session->asking.verdict;
	va_list ap;

	defer(session);
	if (verdict->passes)
		return;
	va_start(ap, fmt);
	vsnprintf(verdict->text, sizeof(verdict->text), fmt, ap);
	va_end(ap);
}

void
session_on_other(
    struct session *session, enum server_event event, const struct reply *reply)
{
	const struct server_fault *fault;
	struct asking *asking = &session->asking;
	bool has_word;

	switch (event) {
	case SERVER_UP:
		on_other_up(session);
		return;
	case SERVER_SAID_NO:
		blame_other(session,
		    "%s: the server refused EHLO on a second connection: %d",
		    asking->what, reply->code);
		break;
	case SERVER_GONE:
		fault = server_leg_fault(session->other);
		has_word = fault->word != RESULT_NONE;
		blame_other(session,
		    "%s: second connection with the name %s: %s%s%s",
		    asking->what, server_leg_sni(session->other),
		    has_word ? result_word_text(fault->word) : "",
		    has_word ? ": " : "", fault->text);
		if (has_word)
			asking->verdict.word = fault->word;
		break;
	case SERVER_GREETED_US:
	case SERVER_ANSWERED:
	case SERVER_UNASKED:
	case SERVER_CAN_WRITE:
		return;
	}
	retire_other(session, true);
	if (!session_redial(session))
		session_conclude(session);
}
