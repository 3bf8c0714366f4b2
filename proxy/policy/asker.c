/* SPDX-License-Identifier: ISC */
/*
 * The stages of a question: server blocks first, which may have to wait for
 * the addresses of the hosts they name; then the recipient's domain, which may
 * have to wait for its mail hosts, and for its MTA-STS policy.  Each wait ends
 * by a deadline, the DNS's or that of an HTTPS fetch.
 */

#include "proxy/policy/asker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/config.h"
#include "proxy/policy/blocks.h"
#include "proxy/policy/decide.h"
#include "proxy/policy/dns.h"
#include "proxy/policy/facts_ask.h"
#include "proxy/policy/mta_sts.h"
#include "proxy/policy/mx_lookup.h"
#include "proxy/policy/server_names.h"
#include "proxy/policy/shared.h"

struct ask {
	TAILQ_ENTRY(ask) entry;
	struct asker *asker; /* borrowed */
	struct question question;
	bool waits_for_servers; /* else: for facts of the domain */
	struct mx_facts *mx; /* owned; NULL: not known yet */
	void (*answer)(void *, uint32_t, const struct decision *);
	void *arg; /* borrowed */
};

TAILQ_HEAD(ask_list, ask);

struct asker {
	struct blocks *blocks; /* owned, as are all behind it */
	struct dns *dns;
	struct server_names *names;
	struct shared *shared; /* NULL: nothing is shared */
	struct mta_sts *sts;
	struct facts_asker *facts;
	struct ask_list open;
};

static void
finish(struct ask *ask, const struct decision *decision)
{
	struct asker *asker = ask->asker;

	TAILQ_REMOVE(&asker->open, ask, entry);
	if (ask->answer != NULL)
		ask->answer(ask->arg, ask->question.id, decision);
	mx_facts_free(ask->mx);
	free(ask);
}

/* The facts cannot be had: too many are being looked for. */
static void
give_up(struct ask *ask, const char *why)
{
	struct decision decision;

	decide_failed(ask->asker->blocks, ask->question.domain, clock_wall(),
	    &decision, why);
	finish(ask, &decision);
}

static void
on_sts(void *arg, const struct mta_sts_facts *sts)
{
	struct ask *ask = arg;
	struct decision decision;

	if (decide_domain(ask->asker->blocks, ask->question.domain, ask->mx,
		sts, clock_wall(), &decision) == DECIDE_DONE)
		finish(ask, &decision);
	else
		give_up(ask, "no decision by all that is known");
}

static void
on_mx(void *arg, struct mx_facts *mx)
{
	struct ask *ask = arg;
	struct asker *asker = ask->asker;
	struct decision decision;

	ask->mx = mx;
	if (decide_domain(asker->blocks, ask->question.domain, mx, NULL,
		clock_wall(), &decision) == DECIDE_DONE)
		finish(ask, &decision);
	else if (mta_sts_ask(asker->sts, ask->question.domain, on_sts, ask) ==
		 -1)
		give_up(ask, "too many MTA-STS policies asked for at once");
}

static void
judge_domain(struct ask *ask)
{
	struct asker *asker = ask->asker;
	struct decision decision;

	if (decide_domain(asker->blocks, ask->question.domain, NULL, NULL,
		clock_wall(), &decision) == DECIDE_DONE) {
		finish(ask, &decision);
		return;
	}
	/* Most likely wanted next, and on its way by then. */
	mta_sts_prepare(asker->sts, ask->question.domain);
	if (mx_lookup_start(asker->dns, ask->question.domain,
		&ask->question.destination, on_mx, ask) == -1)
		give_up(ask, "too many DNS questions at once");
}

/* No server block speaks for the destination. */
static void
judge_recipient(struct ask *ask)
{
	struct decision decision;

	if (ask->question.kind == POLICY_ASK_DOMAIN) {
		judge_domain(ask);
	} else {
		decide_literal(&ask->question.literal, &decision);
		finish(ask, &decision);
	}
}

static void
judge_server(struct ask *ask)
{
	struct asker *asker = ask->asker;
	const struct address *destination = &ask->question.destination;
	struct decision decision;

	ask->waits_for_servers = false;
	if (decide_server(asker->blocks, destination, NULL, clock_wall(),
		&decision) == DECIDE_ASK) {
		if (!server_names_refresh(asker->names, destination->family)) {
			ask->waits_for_servers = true;
			return;
		}
		decide_server(asker->blocks, destination,
		    server_names_facts(asker->names, destination->family),
		    clock_wall(), &decision);
	}
	if (decision.kind != DECISION_NO_RULE ||
	    ask->question.kind == POLICY_ASK_SERVER)
		finish(ask, &decision);
	else
		judge_recipient(ask);
}

static void
on_names_changed(void *arg)
{
	struct asker *asker = arg;
	struct ask *ask, *next;

	TAILQ_FOREACH_SAFE (ask, &asker->open, entry, next)
		if (ask->waits_for_servers)
			judge_server(ask);
}

void
asker_ask(struct asker *asker, const struct question *question,
    void (*answer)(void *, uint32_t, const struct decision *), void *arg)
{
	struct decision decision;
	struct ask *ask;

	if ((ask = calloc(1, sizeof(*ask))) == NULL) {
		decide_temporary(&decision, STATUS_LOOKUP, "out of memory");
		answer(arg, question->id, &decision);
		return;
	}
	ask->asker = asker;
	ask->question = *question;
	ask->answer = answer;
	ask->arg = arg;
	TAILQ_INSERT_TAIL(&asker->open, ask, entry);
	judge_server(ask);
}

void
asker_forget(struct asker *asker, const void *arg)
{
	struct ask *ask;

	TAILQ_FOREACH (ask, &asker->open, entry)
		if (ask->arg == arg)
			ask->answer = NULL;
}

struct facts_asker *
asker_facts(struct asker *asker)
{
	return asker->facts;
}

static void
asker_free(struct asker *asker)
{
	facts_asker_free(asker->facts);
	mta_sts_free(asker->sts);
	shared_free(asker->shared);
	server_names_free(asker->names);
	dns_free(asker->dns);
	blocks_free(asker->blocks);
	free(asker);
}

struct asker *
asker_new(struct event_base *base, const struct config *config,
    struct state *state, char error[ASKER_ERROR_MAX])
{
	const struct dns_settings settings = {
	    .forward = config->dns.forward,
	    .forward_count = config->dns.forward_count,
	    .root_hints = config->dns.root_hints,
	    .trust_anchor = config->dns.trust_anchor,
	    .timeout = config->dns.timeout,
	};
	struct asker *asker;

	if ((asker = calloc(1, sizeof(*asker))) == NULL) {
		snprintf(error, ASKER_ERROR_MAX, "out of memory");
		return NULL;
	}
	TAILQ_INIT(&asker->open);
	if ((asker->blocks = blocks_new(config, error)) == NULL ||
	    (asker->dns = dns_new(base, &settings, error)) == NULL)
		goto fail;
	asker->names = server_names_new(
	    asker->dns, asker->blocks, on_names_changed, asker);
	if (asker->names == NULL) {
		snprintf(error, ASKER_ERROR_MAX, "out of memory");
		goto fail;
	}
	if (config->state != NULL &&
	    (asker->shared = shared_new(
		 base, asker->dns, config->state, error)) == NULL)
		goto fail;
	asker->sts = mta_sts_new(
	    base, asker->dns, config, state, asker->shared, error);
	if (asker->sts == NULL)
		goto fail;
	asker->facts = facts_asker_new(asker->dns, asker->sts);
	if (asker->facts == NULL) {
		snprintf(error, ASKER_ERROR_MAX, "out of memory");
		goto fail;
	}
	return asker;
fail:
	asker_free(asker);
	return NULL;
}
