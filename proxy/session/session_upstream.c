/* SPDX-License-Identifier: ISC */
/*
 * A session's dealings with its server: by which rule the whole connection is
 * judged, dialling, the ways round a handshake that failed, and what each of
 * the server's replies is to the client.
 */

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "certs/chain.h"
#include "netfilter/origin.h"
#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/config.h"
#include "proxy/policy/dns_name.h"
#include "proxy/session/hints.h"
#include "proxy/session/policy_client.h"
#include "proxy/session/policy_tag.h"
#include "proxy/session/session_state.h"
#include "proxy/session/settings.h"
#include "proxy/tls/conn.h"

static void on_server(void *, struct server_leg *, enum server_event,
    struct server_ref, const struct reply *);

/* The server failed while the client could still be told so. */
static void
on_server_gone(struct session *session)
{
	struct server_fault fault = *server_leg_fault(session->server);
	char peer[ADDRESS_TEXT_MAX], status[12];

	snprintf(status, sizeof(status), "4.%s", fault.status);
	session_peer(session, peer);
	if (session->state == SESSION_QUIT) {
		session_answer(session, session->current, 221, "2.0.0", "Bye");
		session_close(session, "quit");
	} else if (fault.word != RESULT_NONE)
		session_end(session, "server failed", 421, status, "%s: %s: %s",
		    peer, result_word_text(fault.word), fault.text);
	else if (session->state == SESSION_FINAL)
		session_end(session, "server failed", 421, status,
		    "%s: %s: it did not say whether it has the message", peer,
		    fault.text);
	else
		session_end(session, "server failed", 421, status, "%s: %s",
		    peer, fault.text);
}

/* May some recipient of this connection be reached without TLS? */
static bool
may_be_clear(const struct session *session)
{
	if (session->rule != NULL && session_config(session)->enforce)
		return session->rule->decision.level == LEVEL_NONE ||
		       session->rule->decision.is_observed;
	return settings_allows_clear(session->settings, clock_wall());
}

/*
 * TLS failed before anything was shown to the client.  The name in the
 * server's greeting may be the SNI it wants; where clear text may be allowed
 * for someone, the session goes on without TLS and each recipient decides.
 */
static bool
try_another_way_up(struct session *session)
{
	const struct server_fault *fault = server_leg_fault(session->server);
	struct session_dialling dialling = {.allows_clear = false};
	struct server_leg *leg = NULL;

	if (session->is_up || session->state != SESSION_HELLO ||
	    (!fault->is_handshake && !fault->is_starttls))
		return false;
	if (!session->has_tls_fault) {
		session->tls_fault = *fault;
		session->has_tls_fault = true;
	}
	dialling.allows_clear = may_be_clear(session);
	if (fault->is_handshake && !session->tried_bare &&
	    session->rule == NULL &&
	    server_leg_sni(session->server)[0] != '\0') {
		/* A hint that was no help. */
		session->tried_bare = true;
		hints_drop(session->context->hints, &session->server_address);
	} else if (fault->is_handshake && !session->tried_greeting_name &&
		   session->greeting_name[0] != '\0' &&
		   strcmp(session->greeting_name,
		       server_leg_sni(session->server)) != 0) {
		session->tried_greeting_name = true;
		dialling.target.sni = session->greeting_name;
	} else if (!session->tried_clear && dialling.allows_clear) {
		session->tried_clear = true;
		dialling.is_clear = true;
	} else
		return false;
	if (session_dial(session, &leg, &dialling) == -1)
		return false;
	server_leg_retire(session->server, true);
	session->server = leg;
	return true;
}

int
session_dial(struct session *session, struct server_leg **legp,
    const struct session_dialling *dialling)
{
	const struct config *config = session_config(session);
	struct server_leg_options options = {
	    .base = session->context->base,
	    .tls = session->context->tls,
	    .reaper = session->context->reaper,
	    .endpoints = session->context->endpoints,
	    .depth = session->depth,
	    .target = dialling->target,
	    .hello = session->hello,
	    .use_helo = session->is_helo,
	    .is_clear = dialling->is_clear,
	    .allows_clear = dialling->allows_clear,
	    .timeouts = &config->timeouts,
	    .handler = on_server,
	    .arg = session,
	    .log_id = session->id,
	};
	bool keeps_source = config->mode != CONFIG_LOCAL &&
	                    config->keep_source_address;
	int fd;

	*legp = NULL;
	options.target.address = session->server_address;
	fd = origin_dial_socket(&session->server_address,
	    keeps_source ? &session->client_address : NULL,
	    session->context->mark);
	if (fd == -1) {
		log_warn("%s: cannot make a socket to reach %s", session->id,
		    session_peer(session, (char[ADDRESS_TEXT_MAX]){0}));
		return -1;
	}
	if ((*legp = server_leg_new(&options, fd)) == NULL) {
		close(fd);
		return -1;
	}
	return 0;
}

int
session_send(struct session *session, enum reply_for kind, uint32_t id,
    uint32_t timeout_s, const char *line, size_t len)
{
	struct server_ref ref = {.kind = (int)kind, .id = id};

	if (session->server != NULL &&
	    server_leg_command(session->server, ref, timeout_s, line, len) == 0)
		return 0;
	session_end(session, "out of memory", 421, "4.3.0",
	    "cannot pass a command on: out of memory");
	return -1;
}

void
session_far_end(
    const struct session *session, struct server_leg *leg, struct far_end *far)
{
	const struct conn_tls *tls = conn_tls(server_leg_conn(leg));
	const struct server_fault *fault = server_leg_fault(leg);

	memset(far, 0, sizeof(*far));
	far->address = session->server_address;
	if (tls != NULL) {
		far->chain = tls->chain;
		return;
	}
	if (session->has_tls_fault)
		fault = &session->tls_fault;
	far->fault_word = fault->word;
	far->fault_is_weak = fault->is_weak;
	far->fault_text = fault->text;
}

/* A name that may be asked for by SNI (RFC 6066 3): a host's, no address. */
static bool
is_sni(const char *name)
{
	const char *last = strrchr(name, '.');

	return last != NULL && isalpha((unsigned char)last[1]) &&
	       dns_name_is_host(name) && name[0] != '-' &&
	       name[strlen(name) - 1] != '-' && strstr(name, ".-") == NULL &&
	       strstr(name, "-.") == NULL;
}

/* What the server calls itself in its greeting: a guess for SNI. */
static void
keep_greeting_name(struct session *session, const struct reply *reply)
{
	const char *text;
	size_t len, i;

	if ((text = reply_text_line(reply, 0, &len)) == NULL)
		return;
	for (i = 0; i < len && text[i] != ' '; i++) {
		if (i == sizeof(session->greeting_name) - 1)
			break; /* too long for a name */
		session->greeting_name[i] = (char)tolower(
		    (unsigned char)text[i]);
	}
	session->greeting_name[i] = '\0';
	if (i > DNS_NAME_MAX - 3 || !is_sni(session->greeting_name))
		session->greeting_name[0] = '\0';
}

/*
 * The greeting goes to the client as it came, so that its own loop test sees
 * the server's name.
 */
static void
on_greeting(struct session *session, const struct reply *reply)
{
	session_answer_raw(session, answers_owe(&session->answers),
	    buf_data(&reply->text), buf_len(&reply->text));
	if (reply->code != 220) {
		session_close(session, "refused by the server's greeting");
		return;
	}
	keep_greeting_name(session, reply);
	session_goto(session, SESSION_READY);
}

static void
on_answered(
    struct session *session, struct server_ref ref, const struct reply *reply)
{
	struct transaction *transaction = &session->transaction;
	struct recipient *recipient;
	bool is_positive = reply->code / 100 == 2;
	size_t i;

	switch ((enum reply_for)ref.kind) {
	case REPLY_FOR_MAIL:
		if (is_positive)
			transaction->mail = MAIL_TAKEN;
		else if (transaction_refuse(transaction, buf_data(&reply->text),
			     buf_len(&reply->text)) == -1)
			session_end(session, "out of memory", 421, "4.3.0",
			    "out of memory");
		return;
	case REPLY_FOR_RCPT:
		for (i = 0; i < transaction->recipient_count &&
			    transaction->recipients[i].is_answered;
		     i++)
			;
		if (i == transaction->recipient_count)
			return;
		recipient = &transaction->recipients[i];
		recipient->is_answered = true;
		if (transaction->mail == MAIL_REFUSED) {
			/* The server's word on MAIL, not its 503 to this. */
			session_answer_raw(session, ref.id,
			    transaction->refusal, transaction->refusal_len);
			if (reply->code == 421)
				session_close(session, "ended by the server");
			return;
		}
		recipient->is_accepted = is_positive;
		transaction->accepted += is_positive;
		session->recipients += is_positive;
		if (reply->code / 100 == 4)
			transaction->has_temporary = true;
		break;
	case REPLY_FOR_DATA:
		session_on_data_reply(session, reply);
		return;
	case REPLY_FOR_CHUNK:
		session_on_chunk_reply(session, ref.id, false, reply);
		return;
	case REPLY_FOR_LAST_CHUNK:
		session_on_chunk_reply(session, ref.id, true, reply);
		return;
	case REPLY_FOR_FINAL:
		session_on_final_reply(session, reply);
		return;
	case REPLY_FOR_HELLO:
		session_goto(session, SESSION_READY);
		if (reply->code != 250)
			break; /* and all stays as it was */
		session_take_hello(session);
		server_leg_renew(session->server, reply, session->is_helo);
		session_answer_hello(
		    session, ref.id, server_leg_ehlo(session->server), reply);
		return;
	case REPLY_FOR_AUTH:
		if (reply->code == 334)
			session_goto(session, SESSION_AUTH_LINE);
		else {
			session->is_authenticated |= is_positive;
			session_goto(session, SESSION_READY);
		}
		break;
	case REPLY_FOR_QUIT:
		session_answer_raw(session, ref.id, buf_data(&reply->text),
		    buf_len(&reply->text));
		session_close(session, "quit");
		return;
	case REPLY_FOR_REPLAY:
		session_on_replay(session, reply);
		return;
	case REPLY_FOR_CLIENT:
		break;
	}
	session_answer_raw(
	    session, ref.id, buf_data(&reply->text), buf_len(&reply->text));
	if (reply->code == 421)
		session_close(session, "ended by the server");
}

static void
on_server(void *arg, struct server_leg *leg, enum server_event event,
    struct server_ref ref, const struct reply *reply)
{
	struct session *session = arg;

	if (session->state == SESSION_FINISH || session->state == SESSION_DEAD)
		return;
	if (leg == session->other) {
		if (event == SERVER_ANSWERED)
			on_answered(session, ref, reply);
		else
			session_on_other(session, event, reply);
		session_run(session);
		return;
	}
	switch (event) {
	case SERVER_GREETED_US:
		on_greeting(session, reply);
		break;
	case SERVER_UP:
		session_say_hello(session);
		break;
	case SERVER_SAID_NO:
		session_on_hello_refused(session, reply);
		break;
	case SERVER_ANSWERED:
		on_answered(session, ref, reply);
		break;
	case SERVER_UNASKED:
		session_on_unasked(session, reply);
		break;
	case SERVER_CAN_WRITE:
		break;
	case SERVER_GONE:
		if (!try_another_way_up(session))
			on_server_gone(session);
		break;
	}
	session_run(session);
}

/* Dials D with the best name known for it. */
static void
dial_first(struct session *session)
{
	const struct decision *rule = session->rule != NULL
	                                  ? &session->rule->decision
	                                  : NULL;
	struct session_dialling dialling = {
	    .target.address = session->server_address,
	    .allows_clear = may_be_clear(session),
	};
	char peer[ADDRESS_TEXT_MAX];

	hints_get(session->context->hints, &dialling.target);
	if (rule != NULL)
		policy_tag(rule, dialling.target.policy);
	if (rule != NULL && rule->sni_count > 0)
		dialling.target.sni = rule->names[0];
	session->tried_bare = dialling.target.sni == NULL;
	session_goto(session, SESSION_GREETING);
	if (session_dial(session, &session->server, &dialling) == -1)
		session_end(session, "cannot dial", 421, "4.4.1",
		    "%s: no connection: %s", session_peer(session, peer),
		    strerror(errno));
}

static void
take_rule(struct session *session, struct known *known)
{
	struct verdict verdict;
	struct far_end far = {.address = session->server_address};

	switch (known->decision.kind) {
	case DECISION_NO_RULE:
		dial_first(session);
		return;
	case DECISION_LEVEL:
		session->rule = known_ref(known);
		dial_first(session);
		return;
	case DECISION_TEMPORARY:
	case DECISION_REFUSE:
		session_judge_server(session, &verdict, &known->decision, &far);
		if (verdict.passes) {
			/* Observed: each recipient's verdict tells it. */
			dial_first(session);
			return;
		}
		session_end(session, "no decision", 421, verdict.status, "%s",
		    verdict.text);
		return;
	}
}

static void
on_server_rule(void *arg, struct known *known)
{
	struct session *session = arg;

	session->question = NULL;
	take_rule(session, known);
	session_run(session);
}

/*
 * The answer to a rule that had its time: the far end is proved by it anew, or
 * the session ends; a rule that is gone leaves each recipient to its domain.
 */
static void
renew_rule(struct session *session, struct known *known)
{
	known_unref(session->rule);
	session->rule = NULL;
	session->is_proved_by_rule = false;
	session_goto(session, SESSION_READY);
	switch (known->decision.kind) {
	case DECISION_NO_RULE:
		return;
	case DECISION_LEVEL:
		session->rule = known_ref(known);
		(void)session_prove_rule(session);
		return;
	case DECISION_TEMPORARY:
	case DECISION_REFUSE:
		if (session_config(session)->enforce)
			session_end(session, "no decision", 421, "4.4.3", "%s",
			    known->decision.text);
		return;
	}
}

static void
on_renewed_rule(void *arg, struct known *known)
{
	struct session *session = arg;

	session->question = NULL;
	renew_rule(session, known);
	session_run(session);
}

bool
session_refresh_rule(struct session *session)
{
	struct known *known;

	if (session->rule == NULL || !session->is_up ||
	    policy_holds(session->context->policy, session->rule))
		return false;
	session_goto(session, SESSION_SERVER_RULE);
	known = policy_ask_server(session->context->policy,
	    &session->server_address, on_renewed_rule, session,
	    &session->question);
	if (known != NULL) {
		renew_rule(session, known);
		known_unref(known);
		return session->state != SESSION_READY;
	}
	if (session->question == NULL)
		session_end(
		    session, "out of memory", 421, "4.3.0", "out of memory");
	return true;
}

void
session_begin(struct session *session)
{
	struct known *known;

	if (session_config(session)->server_count == 0) {
		dial_first(session);
		return;
	}
	session_goto(session, SESSION_SERVER_RULE);
	known = policy_ask_server(session->context->policy,
	    &session->server_address, on_server_rule, session,
	    &session->question);
	if (known != NULL) {
		take_rule(session, known);
		known_unref(known);
	} else if (session->question == NULL)
		session_end(
		    session, "out of memory", 421, "4.3.0", "out of memory");
}
