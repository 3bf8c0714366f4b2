/* SPDX-License-Identifier: ISC */
/*
 * Decision, connections, verdict.  The SNI candidates of the decision are
 * tried in their order, and none at all last, which is how a relay that has
 * learnt nothing of a server begins; the first that is proved counts, else the
 * first of all.
 */

#include "proxy/probe_server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "certs/chain.h"
#include "certs/describe.h"
#include "netfilter/origin.h"
#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/config.h"
#include "proxy/session/policy_client.h"
#include "proxy/session/settings.h"
#include "proxy/tls/conn.h"

struct probe_dial {
	LIST_ENTRY(probe_dial) entry;
	const struct probe_context *context; /* borrowed */
	struct probe_server *server; /* borrowed */
	struct question *question; /* NULL: it is answered */
	struct server_leg *leg; /* NULL: none now */
	struct known *known; /* reference */
	bool has_result; /* server tells of an earlier connection */
	void (*done)(void *);
	void *arg;
};

static void
finish(struct probe_dial *dial)
{
	void (*done)(void *) = dial->done;
	void *arg = dial->arg;

	LIST_REMOVE(dial, entry);
	known_unref(dial->known);
	free(dial);
	done(arg);
}

/*
 * Without TLS, and nothing that a verdict could be about: what the sender
 * gets is code, with a status where it is our own.
 */
static void
fail(struct probe_dial *dial, int code, const char *status, const char *text)
{
	struct verdict *verdict = &dial->server->verdict;

	if (dial->has_result)
		return;
	dial->has_result = true;
	dial->server->outcome = PROBE_NO_SERVER;
	memset(verdict, 0, sizeof(*verdict));
	verdict->code = code;
	if (status != NULL)
		snprintf(
		    verdict->status, sizeof(verdict->status), "4.%s", status);
	log_escape(verdict->text, sizeof(verdict->text), text, strlen(text));
}

/* Refused, or it would be if it were not only observed. */
static bool
is_refusal(const struct verdict *verdict)
{
	return !verdict->passes || verdict->would_refuse;
}

/* Short of memory, they are not told. */
static void
keep_chain(struct probe_server *server, const struct chain *chain)
{
	size_t i, count = chain_count(chain);

	server->certs_left_out = 0;
	if (count > PROBE_CERTS_MAX) {
		server->certs_left_out = count - PROBE_CERTS_MAX;
		count = PROBE_CERTS_MAX;
	}
	free(server->certs);
	server->certs = calloc(count, sizeof(*server->certs));
	server->cert_count = server->certs != NULL ? count : 0;
	for (i = 0; i < server->cert_count; i++)
		describe_cert(chain, i, &server->certs[i]);
}

/* What this connection came to; an earlier one's result stands unless this
 * one is proved. */
static void
keep(struct probe_dial *dial, const struct conn_tls *tls,
    const struct verdict *verdict)
{
	struct probe_server *server = dial->server;

	if (dial->has_result && is_refusal(verdict))
		return;
	dial->has_result = true;
	server->verdict = *verdict;
	server->outcome = is_refusal(verdict)     ? PROBE_REFUSED
	                  : verdict->is_exception ? PROBE_EXCEPTION
	                                          : PROBE_PROVED;
	if (tls == NULL)
		return;
	strlcpy(server->version, tls->version, sizeof(server->version));
	strlcpy(server->cipher, tls->cipher, sizeof(server->cipher));
	strlcpy(server->group, tls->group, sizeof(server->group));
	strlcpy(server->sni, tls->sni, sizeof(server->sni));
	keep_chain(server, tls->chain);
}

/*
 * Judges what the leg has shown.  Its fault may quote the server, and is
 * escaped before it becomes part of a text.
 */
static void
judge(struct probe_dial *dial, const struct conn_tls *tls,
    const struct server_fault *fault, struct verdict *verdict)
{
	const struct decision *decision = &dial->known->decision;
	const struct settings *settings = dial->context->settings;
	const struct verdict_terms terms = {
	    .on_refusal = settings->config->on_refusal,
	    .enforces = settings->config->enforce,
	};
	char text[SERVER_TEXT_MAX];
	struct far_end far = {.address = dial->server->address};

	if (tls != NULL)
		far.chain = tls->chain;
	else {
		far.fault_word = fault->word;
		far.fault_is_weak = fault->is_weak;
		far.fault_text = log_escape(
		    text, sizeof(text), fault->text, strlen(fault->text));
	}
	verdict_judge(verdict, decision, dial->context->domain, &far,
	    settings_store(settings, decision->trust), &terms, NULL,
	    clock_wall());
}

static void on_leg(void *, struct server_leg *, enum server_event,
    struct server_ref, const struct reply *);

/* Connects with this SNI; "": none. */
static int
connect_with(struct probe_dial *dial, const char *sni)
{
	const struct probe_context *context = dial->context;
	struct probe_server *server = dial->server;
	const struct server_leg_options options = {
	    .base = context->base,
	    .tls = context->tls,
	    .reaper = context->reaper,
	    .endpoints = context->endpoints,
	    .target.address = server->address,
	    .target.sni = sni[0] != '\0' ? sni : NULL,
	    .target.is_fresh = true, /* what the server shows now */
	    .allows_clear = dial->known->decision.kind == DECISION_LEVEL &&
	                    dial->known->decision.level == LEVEL_NONE,
	    .timeouts = &context->settings->config->timeouts,
	    .handler = on_leg,
	    .arg = dial,
	    .log_id = "probe",
	};
	int fd, saved;

	strlcpy(server->tries[server->try_count++], sni, DECISION_NAME_MAX);
	if ((fd = origin_dial_socket(&server->address, NULL, 0)) == -1)
		return -1;
	if ((dial->leg = server_leg_new(&options, fd)) != NULL)
		return 0;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* The candidate after those tried; NULL: there is no other. */
static const char *
next_sni(const struct probe_dial *dial)
{
	const struct decision *decision = &dial->known->decision;
	size_t tried = dial->server->try_count;
	bool may_retry = decision->kind == DECISION_LEVEL &&
	                 decision->level == LEVEL_VERIFY &&
	                 !decision->is_server;

	if (tried == PROBE_TRIES_MAX || (tried > 0 && !may_retry))
		return NULL;
	if (tried < decision->sni_count && tried < PROBE_TRIES_MAX - 1)
		return decision->names[tried];
	/* None, unless that was the last already. */
	return tried == 0 || dial->server->tries[tried - 1][0] != '\0' ? ""
	                                                               : NULL;
}

/* Goes on with another connection, or ends. */
static void
go_on(struct probe_dial *dial)
{
	const char *sni;

	while ((sni = next_sni(dial)) != NULL) {
		if (connect_with(dial, sni) == 0)
			return;
		fail(dial, 421, "4.1", strerror(errno));
	}
	finish(dial);
}

static void
retire(struct probe_dial *dial)
{
	server_leg_retire(dial->leg, false);
	dial->leg = NULL;
}

static void
on_up(struct probe_dial *dial)
{
	const struct conn_tls *tls = conn_tls(server_leg_conn(dial->leg));
	struct verdict verdict;

	judge(dial, tls, server_leg_fault(dial->leg), &verdict);
	keep(dial, tls, &verdict);
	retire(dial);
	if (is_refusal(&verdict) && verdict.is_identity)
		go_on(dial);
	else
		finish(dial);
}

/*
 * Without TLS a server is refused before any recipient is named, unless one
 * could do without; then with 4xx, whatever on_refusal is.
 */
static bool
is_said_early(const struct probe_dial *dial, const struct verdict *verdict)
{
	return dial->known->decision.kind == DECISION_LEVEL &&
	       !verdict->passes && verdict->status[0] == '4' &&
	       !settings_allows_clear(dial->context->settings, clock_wall());
}

/*
 * What has to do with TLS is for a verdict; so is a refusal that no server
 * could change.
 */
static void
on_gone(struct probe_dial *dial)
{
	const struct server_fault *fault = server_leg_fault(dial->leg);
	bool may_help = fault->is_handshake;
	struct verdict verdict;

	if (fault->word != RESULT_NONE ||
	    dial->known->decision.kind != DECISION_LEVEL) {
		judge(dial, NULL, fault, &verdict);
		if (is_said_early(dial, &verdict))
			verdict.code = 421;
		keep(dial, NULL, &verdict);
		may_help = may_help && is_refusal(&verdict);
	} else
		fail(dial, 421, fault->status, fault->text);
	retire(dial);
	if (may_help)
		go_on(dial);
	else
		finish(dial);
}

static void
say_hello(struct probe_dial *dial)
{
	struct address local;
	char ip[ADDRESS_TEXT_MAX], literal[ADDRESS_TEXT_MAX + 8];

	if (dial->context->hello != NULL) {
		server_leg_hello(dial->leg, dial->context->hello, false);
		return;
	}
	if (conn_local_address(server_leg_conn(dial->leg), &local) == -1)
		strlcpy(literal, "localhost", sizeof(literal));
	else
		snprintf(literal, sizeof(literal), "[%s%s]",
		    local.family == AF_INET6 ? "IPv6:" : "",
		    address_ip_text(&local, ip));
	server_leg_hello(dial->leg, literal, false);
}

/* "554 go away", as far as it fits. */
static void
keep_reply(char *out, size_t size, const struct reply *reply)
{
	char raw[SERVER_TEXT_MAX];
	const char *text;
	size_t len;

	if ((text = reply_text_line(reply, 0, &len)) == NULL)
		text = "", len = 0;
	snprintf(raw, sizeof(raw), "%d %.*s", reply->code,
	    (int)(len > sizeof(raw) ? sizeof(raw) : len), text);
	log_escape(out, size, raw, strlen(raw));
}

static void
refuse_reply(
    struct probe_dial *dial, const char *what, const struct reply *reply)
{
	char text[SERVER_TEXT_MAX], said[SERVER_TEXT_MAX - 64];

	keep_reply(said, sizeof(said), reply);
	snprintf(text, sizeof(text), "%s: %s", what, said);
	fail(dial, reply->code, NULL, text);
	retire(dial);
	finish(dial);
}

static void
on_leg(void *arg, struct server_leg *leg, enum server_event event,
    struct server_ref ref, const struct reply *reply)
{
	struct probe_dial *dial = arg;

	(void)leg;
	(void)ref;
	switch (event) {
	case SERVER_GREETED_US:
		keep_reply(dial->server->greeting,
		    sizeof(dial->server->greeting), reply);
		if (reply->code == 220)
			say_hello(dial);
		else
			refuse_reply(dial, "it greets with a refusal", reply);
		return;
	case SERVER_UP:
		on_up(dial);
		return;
	case SERVER_SAID_NO:
		refuse_reply(dial, "it refuses EHLO", reply);
		return;
	case SERVER_GONE:
		on_gone(dial);
		return;
	case SERVER_ANSWERED:
	case SERVER_UNASKED:
	case SERVER_CAN_WRITE:
		return;
	}
}

static void
take_decision(struct probe_dial *dial, struct known *known)
{
	dial->known = known_ref(known);
	go_on(dial);
}

static void
on_decision(void *arg, struct known *known)
{
	struct probe_dial *dial = arg;

	dial->question = NULL;
	take_decision(dial, known);
}

void
probe_dial_start(struct probe_context *context, struct probe_server *server,
    void (*done)(void *), void *arg)
{
	struct probe_dial *dial;
	struct known *known;

	if ((dial = calloc(1, sizeof(*dial))) == NULL)
		goto fail;
	dial->context = context;
	dial->server = server;
	dial->done = done;
	dial->arg = arg;
	LIST_INSERT_HEAD(&context->dials, dial, entry);
	known = policy_ask_domain(context->policy, &server->address,
	    context->domain, on_decision, dial, &dial->question);
	if (known != NULL) {
		take_decision(dial, known);
		known_unref(known);
		return;
	}
	if (dial->question != NULL)
		return;
	LIST_REMOVE(dial, entry);
	free(dial);
fail:
	server->outcome = PROBE_NO_SERVER;
	strlcpy(server->verdict.text, "out of memory",
	    sizeof(server->verdict.text));
	done(arg);
}

void
probe_dial_unfinished(
    const struct probe_context *context, struct probe_server *server)
{
	server->outcome = PROBE_UNFINISHED;
	snprintf(server->verdict.text, sizeof(server->verdict.text),
	    "not done within the %" PRIu32 " s for all of it (see --limit)",
	    context->limit);
}

void
probe_dial_stop_all(struct probe_context *context)
{
	struct probe_dial *dial, *next;

	for (dial = LIST_FIRST(&context->dials); dial != NULL; dial = next) {
		next = LIST_NEXT(dial, entry);
		if (dial->question != NULL)
			policy_cancel(context->policy, dial->question);
		if (dial->leg != NULL)
			retire(dial);
		if (!dial->has_result)
			probe_dial_unfinished(context, dial->server);
		finish(dial);
	}
}
