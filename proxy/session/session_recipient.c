/* SPDX-License-Identifier: ISC */
/*
 * Who is let through: RCPT's domain to a decision, the decision and the
 * certificate to a verdict, and, where only the SNI was wrong, another
 * connection that takes the place of this one without the client noticing.
 */

#include <stdlib.h>
#include <string.h>

#include "proxy/base/clock.h"
#include "proxy/config.h"
#include "proxy/session/hints.h"
#include "proxy/session/policy_client.h"
#include "proxy/session/policy_tag.h"
#include "proxy/session/session_state.h"
#include "proxy/session/settings.h"
#include "proxy/smtp/domain.h"
#include "proxy/tls/conn.h"

void
session_asking_clear(struct session *session)
{
	struct asking *asking = &session->asking;

	policy_cancel(session->context->policy, asking->question);
	free(asking->line);
	free(asking->mailbox);
	known_unref(asking->known);
	memset(asking, 0, sizeof(*asking));
}

static void
judge(struct session *session, struct verdict *verdict, struct server_leg *leg,
    const struct decision *decision, const char *what)
{
	const struct verdict_terms terms = {
	    .on_refusal = session_config(session)->on_refusal,
	    .enforces = session_config(session)->enforce,
	};
	struct far_end far;

	session_far_end(session, leg, &far);
	verdict_judge(verdict, decision, what, &far,
	    settings_store(session->settings, decision->trust), &terms,
	    session->context->verdicts, clock_wall());
}

static void
refuse(struct session *session)
{
	struct asking *asking = &session->asking;
	struct verdict *verdict = &asking->verdict;

	session->refused++;
	if (verdict->code / 100 == 4)
		session->transaction.has_temporary = true;
	session_record_verdict(session, verdict, asking->what);
	session_answer(session, asking->answer, verdict->code, verdict->status,
	    "%s (postern)", verdict->text);
	session_asking_clear(session);
	session_goto(session, SESSION_READY);
}

/*
 * A second domain that this connection cannot serve, after a first that it
 * does: the client is to send it apart (RFC 5321 4.5.3.1.10).
 */
static void
send_apart(struct session *session)
{
	struct asking *asking = &session->asking;

	asking->verdict.code = 452;
	strlcpy(
	    asking->verdict.status, "4.5.3", sizeof(asking->verdict.status));
	snprintf(asking->verdict.text, sizeof(asking->verdict.text),
	    "%s: cannot share a transaction with the recipients before it: "
	    "send it in another",
	    asking->what);
	refuse(session);
}

/* What the next connection to this server had better ask for. */
static void
keep_hint(struct session *session)
{
	const struct asking *asking = &session->asking;
	uint8_t policy[TLS_POLICY_LEN];

	if (asking->verdict.name[0] == '\0' ||
	    asking->known->decision.has_address)
		return;
	policy_tag(&asking->known->decision, policy);
	hints_put(session->context->hints, &session->server_address,
	    asking->verdict.name, policy);
}

/* What enforcement would have refused is told to who keeps count of it. */
static void
tell_observed(struct session *session)
{
	const struct asking *asking = &session->asking;

	session->would_refuse++;
	policy_tell_observed(
	    session->context->policy, asking->what, &asking->verdict);
}

/* Passed: MAIL, once, and RCPT go out together. */
static void
let_through(struct session *session)
{
	struct transaction *transaction = &session->transaction;
	struct asking *asking = &session->asking;
	uint32_t timeout = session_config(session)->timeouts.reply;

	if (transaction_add(transaction, asking->line, asking->len,
		asking->known, asking->what) == -1) {
		session_answer(session, asking->answer, 452, "4.5.3",
		    "too many recipients in one transaction");
		session_asking_clear(session);
		session_goto(session, SESSION_READY);
		return;
	}
	session_record_verdict(session, &asking->verdict, asking->what);
	if (asking->verdict.would_refuse)
		tell_observed(session);
	keep_hint(session);
	session_goto(session, SESSION_READY);
	if (transaction->mail == MAIL_HELD) {
		transaction->mail = MAIL_SENT;
		if (session_send(session, REPLY_FOR_MAIL, 0, timeout,
			transaction->mail_line,
			strlen(transaction->mail_line)) == -1)
			return;
	}
	if (session_send(session, REPLY_FOR_RCPT, asking->answer, timeout,
		asking->line, asking->len) == 0)
		session_asking_clear(session);
}

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
 * A session that was resumed has the certificate of the day it was made; the
 * server may have a new one since.  True where that is yet to be looked at.
 */
static bool
is_stale(struct session *session)
{
	const struct conn_tls *tls = conn_tls(server_leg_conn(session->server));

	if (tls == NULL || !tls->is_resumed || session->asking.tried_fresh)
		return false;
	tls_client_drop(
	    session->context->tls, server_leg_target(session->server));
	return true;
}

/*
 * What to dial with instead: the same SNI without resumption, or another SNI;
 * false: there is nothing left to try.
 */
static bool
choose_target(struct session *session, struct tls_target *target)
{
	struct asking *asking = &session->asking;

	if (is_stale(session)) {
		asking->tried_fresh = true;
		target->is_fresh = true;
		target->sni = server_leg_sni(session->server);
		if (target->sni[0] == '\0')
			target->sni = NULL;
		return true;
	}
	target->sni = next_sni(session);
	return target->sni != NULL;
}

/* Dials again with another SNI; false: there is no other to try. */
static bool
redial(struct session *session)
{
	struct session_dialling dialling = {.allows_clear = false};

	if (session->is_authenticated ||
	    session->redials >= TRANSACTION_REDIALS_MAX ||
	    !choose_target(session, &dialling.target))
		return false;
	policy_tag(&session->asking.known->decision, dialling.target.policy);
	session->redials++;
	if (session_dial(session, &session->other, &dialling) == -1)
		return false;
	session_goto(session, SESSION_REDIAL);
	return true;
}

/* No other connection can do better: refuses, or lets pass what is observed. */
static void
conclude(struct session *session)
{
	if (session->asking.verdict.passes)
		let_through(session);
	else
		refuse(session);
}

void
session_judge(struct session *session)
{
	struct asking *asking = &session->asking;
	struct verdict *verdict = &asking->verdict;
	const struct decision *decision = &asking->known->decision;

	judge(session, verdict, session->server, decision, asking->what);
	if ((verdict->passes && !verdict->would_refuse) ||
	    !verdict->is_identity || decision->level != LEVEL_VERIFY ||
	    decision->is_server) {
		conclude(session);
		return;
	}
	if (transaction_binds(&session->transaction, asking->known)) {
		if (verdict->passes)
			let_through(session);
		else
			send_apart(session);
		return;
	}
	/* Replies still due belong to the connection that is to go. */
	if (server_leg_pending(session->server) > 0) {
		session_goto(session, SESSION_SETTLE);
		return;
	}
	if (!redial(session))
		conclude(session);
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
		judge(session, &verdict, session->other,
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
		let_through(session);
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
		let_through(session);
}

/* The other connection is up: is it the one? */
static void
on_other_up(struct session *session)
{
	struct asking *asking = &session->asking;
	struct verdict verdict;
	bool shows_the_same;

	judge(session, &verdict, session->other, &asking->known->decision,
	    asking->what);
	if (!verdict.passes || verdict.would_refuse) {
		server_leg_retire(session->other, false);
		session->other = NULL;
		asking->verdict = verdict;
		if (!redial(session))
			conclude(session);
		return;
	}
	/* MAIL and all of them go out at once: no more than there is room. */
	if (!serves_all(session) || session->transaction.accepted + 3 >
					server_leg_room(session->other)) {
		server_leg_retire(session->other, false);
		session->other = NULL;
		send_apart(session);
		return;
	}
	shows_the_same = session->is_helo ||
	                 ehlo_covers(
			     server_leg_ehlo(session->other), &session->shown);
	asking->verdict = verdict;
	replace_server(session);
	if (!shows_the_same)
		session_end(session, "other capabilities", 421, "4.3.0",
		    "the server offers less under the name %s than without "
		    "it; try again",
		    server_leg_sni(session->server));
	else
		replay(session);
}

void
session_on_other(
    struct session *session, enum server_event event, const struct reply *reply)
{
	const struct server_fault *fault;
	struct asking *asking = &session->asking;

	switch (event) {
	case SERVER_UP:
		on_other_up(session);
		return;
	case SERVER_SAID_NO:
		snprintf(asking->verdict.text, sizeof(asking->verdict.text),
		    "%s: the server refused EHLO on a second connection: %d",
		    asking->what, reply->code);
		break;
	case SERVER_GONE:
		fault = server_leg_fault(session->other);
		snprintf(asking->verdict.text, sizeof(asking->verdict.text),
		    "%s: second connection with the name %s: %s%s%s",
		    asking->what, server_leg_sni(session->other),
		    result_word_text(fault->word),
		    fault->word != RESULT_NONE ? ": " : "", fault->text);
		if (fault->word != RESULT_NONE)
			asking->verdict.word = fault->word;
		break;
	case SERVER_GREETED_US:
	case SERVER_ANSWERED:
	case SERVER_UNASKED:
	case SERVER_CAN_WRITE:
		return;
	}
	server_leg_retire(session->other, true);
	session->other = NULL;
	if (!redial(session))
		conclude(session);
}

static void
take_decision(struct session *session, struct known *known)
{
	session->asking.known = known_ref(known);
	session_judge(session);
}

static void
on_decision(void *arg, struct known *known)
{
	struct session *session = arg;

	session->asking.question = NULL;
	take_decision(session, known);
	session_run(session);
}

/* Which decision covers this recipient; asks for it where it is not at hand. */
static void
ask(struct session *session, const struct path *path)
{
	struct policy_client *policy = session->context->policy;
	struct asking *asking = &session->asking;
	struct address literal;
	struct known *known = NULL;

	session_goto(session, SESSION_DECISION);
	if (session->rule != NULL)
		known = known_ref(session->rule);
	else if (path->domain_kind == DOMAIN_NAME)
		known = policy_ask_domain(policy, &session->server_address,
		    asking->what, on_decision, session, &asking->question);
	else if (path->domain_kind == DOMAIN_LITERAL &&
		 address_from_literal(
		     &literal, path->domain.text, path->domain.len) == 0)
		known = policy_ask_literal(policy, &session->server_address,
		    &literal, on_decision, session, &asking->question);
	if (known != NULL) {
		take_decision(session, known);
		known_unref(known);
	} else if (asking->question == NULL) {
		session_answer(
		    session, asking->answer, 451, "4.3.0", "out of memory");
		session_asking_clear(session);
		session_goto(session, SESSION_READY);
	}
}

/* What the recipient's destination is called; false: it has none. */
static bool
name_destination(struct session *session, const struct path *path)
{
	struct asking *asking = &session->asking;
	struct address literal;
	char text[ADDRESS_TEXT_MAX];

	switch (path->domain_kind) {
	case DOMAIN_NAME:
		return command_domain_ascii(path, asking->what) == 0;
	case DOMAIN_LITERAL:
		if (address_from_literal(
			&literal, path->domain.text, path->domain.len) == -1)
			return false;
		snprintf(asking->what, sizeof(asking->what), "[%s]",
		    address_ip_text(&literal, text));
		return true;
	case DOMAIN_NONE:
		/* <Postmaster> of the server itself (RFC 5321 4.5.1). */
		strlcpy(asking->what, "postmaster", sizeof(asking->what));
		return session->rule != NULL;
	}
	return false;
}

void
session_rcpt(struct session *session, const struct command *command,
    const struct line *line)
{
	const struct path *path = &command->path;
	struct asking *asking = &session->asking;

	if (session->transaction.mail == MAIL_REFUSED) {
		session_answer_raw(session, session->current,
		    session->transaction.refusal,
		    session->transaction.refusal_len);
		return;
	}
	asking->answer = session->current;
	if (!name_destination(session, path)) {
		session_answer(session, session->current, 553, "5.1.3",
		    "the recipient has no domain that mail could be proved "
		    "for (postern)");
		session_asking_clear(session);
		return;
	}
	asking->len = line->used;
	asking->line = strndup((const char *)line->text, line->used);
	asking->mailbox = strndup(path->local.text, path->local.len);
	if (asking->line == NULL || asking->mailbox == NULL) {
		session_answer(
		    session, session->current, 451, "4.3.0", "out of memory");
		session_asking_clear(session);
		return;
	}
	ask(session, path);
}

void
session_judge_server(struct session *session, struct verdict *verdict,
    const struct decision *decision, const struct far_end *far)
{
	const struct verdict_terms terms = {
	    .on_refusal = CONFIG_DEFER,
	    .enforces = session_config(session)->enforce,
	};
	char peer[ADDRESS_TEXT_MAX];

	verdict_judge(verdict, decision, session_peer(session, peer), far,
	    settings_store(session->settings, decision->trust), &terms,
	    session->context->verdicts, clock_wall());
}

bool
session_prove_rule(struct session *session)
{
	struct verdict verdict;
	struct far_end far;
	char peer[ADDRESS_TEXT_MAX];

	session_far_end(session, session->server, &far);
	session_judge_server(session, &verdict, &session->rule->decision, &far);
	session->is_proved_by_rule = verdict.passes && !verdict.is_exception;
	if (verdict.passes)
		return true;
	(void)is_stale(session); /* the next connection sees it anew */
	session_record_verdict(session, &verdict, session_peer(session, peer));
	session->refused++;
	session_end(session, "server not proved", 421, verdict.status, "%s",
	    verdict.text);
	return false;
}
