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

void
session_judge_leg(struct session *session, struct verdict *verdict,
    struct server_leg *leg, const struct decision *decision, const char *what)
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

void
session_send_apart(struct session *session)
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

void
session_let_through_apart(struct session *session)
{
	struct verdict *verdict = &session->asking.verdict;

	/* Enforced, it would have been sent apart, and not refused. */
	verdict->would_refuse = false;
	strlcpy(verdict->note,
	    "enforced, this recipient would be sent in a transaction of its "
	    "own",
	    sizeof(verdict->note));
	session_let_through(session);
}

void
session_let_through(struct session *session)
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
	session_note_server(session); /* another may have been looked at */
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

void
session_conclude(struct session *session)
{
	if (session->asking.verdict.passes)
		session_let_through(session);
	else
		refuse(session);
}

void
session_judge(struct session *session)
{
	struct asking *asking = &session->asking;
	struct verdict *verdict = &asking->verdict;
	const struct decision *decision = &asking->known->decision;

	session_judge_leg(
	    session, verdict, session->server, decision, asking->what);
	if ((verdict->passes && !verdict->would_refuse) ||
	    !verdict->is_identity || decision->level != LEVEL_VERIFY ||
	    decision->is_server) {
		session_conclude(session);
		return;
	}
	if (transaction_binds(&session->transaction, asking->known)) {
		if (verdict->passes)
			session_let_through_apart(session);
		else
			session_send_apart(session);
		return;
	}
	/* Replies still due belong to the connection that is to go. */
	if (server_leg_pending(session->server) > 0) {
		session_goto(session, SESSION_SETTLE);
		return;
	}
	session_drop_tls(session, session->server);
	if (!session_redial(session))
		session_conclude(session);
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
	session_drop_tls(session, session->server);
	session_record_verdict(session, &verdict, session_peer(session, peer));
	session->refused++;
	session_end(session, "server not proved", 421, verdict.status, "%s",
	    verdict.text);
	return false;
}
