/* SPDX-License-Identifier: ISC */
/*
 * postern-policy: the process that asks the DNS and fetches MTA-STS policies.
 * It holds no key, no mail and no privilege.  Its jail allows sockets, since it
 * is a resolver, and no file but the state that is open already: the trust
 * anchor, the root hints and the configuration are read before the door
 * closes.  It serves one configuration for its whole life; a reload
 * starts another process and drains this one.
 */

#include <event2/event.h>

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "proxy/base/address.h"
#include "proxy/base/child.h"
#include "proxy/base/clock.h"
#include "proxy/base/ipc.h"
#include "proxy/base/ipc_address.h"
#include "proxy/base/log.h"
#include "proxy/base/sandbox.h"
#include "proxy/config.h"
#include "proxy/policy/asker.h"
#include "proxy/policy/decide.h"
#include "proxy/policy/decision.h"
#include "proxy/policy/facts.h"
#include "proxy/policy/facts_ask.h"
#include "proxy/policy/state.h"

/*
 * A recipient's domain comes from a client and may be longer than any real
 * one; that is the recipient's fault, not the relay's.
 */
#define DOMAIN_TEXT_MAX 1024

/*
 * Questions of one relay open at once: should the answers to all of them come
 * in one turn of the loop, the channel has room for them.
 */
#define QUESTIONS_MAX (IPC_QUEUE_MAX / 2)

struct policy;

/* A relay's end of its channel. */
struct relay {
	LIST_ENTRY(relay) entry;
	struct policy *policy; /* borrowed */
	struct ipc_channel *channel; /* owned */
	size_t open; /* questions without an answer yet */
};

LIST_HEAD(relay_list, relay);

struct policy {
	struct event_base *base;
	struct child *child;
	struct config *config;
	struct state *state; /* NULL: nothing outlives the process */
	struct asker *asker;
	struct relay_list relays;
	bool is_draining;
};

static void
relay_free(struct relay *relay)
{
	asker_forget(relay->policy->asker, relay);
	facts_forget(asker_facts(relay->policy->asker), relay);
	LIST_REMOVE(relay, entry);
	ipc_channel_free(relay->channel);
	free(relay);
}

static void
end_if_drained(const struct policy *policy)
{
	if (policy->is_draining && LIST_EMPTY(&policy->relays))
		child_drained(policy->child);
}

/*
 * Every question gets its answer; a relay that cannot take it loses its
 * channel, so that it knows that there will be none.
 */
static void
send_answer(struct relay *relay, uint32_t id, const struct decision *decision)
{
	struct policy *policy = relay->policy;
	struct ipc_message message;

	ipc_compose(&message, POLICY_ANSWER, id);
	decision_put(&message, decision);
	if (ipc_send(relay->channel, &message) == 0)
		return;
	log_warn("a relay does not take its answers");
	relay_free(relay);
	end_if_drained(policy);
}

static void
on_answer(void *arg, uint32_t id, const struct decision *decision)
{
	struct relay *relay = arg;

	relay->open--;
	send_answer(relay, id, decision);
}

static void
ask(struct relay *relay, const struct question *question)
{
	struct decision decision;

	if (relay->open >= QUESTIONS_MAX) {
		decide_temporary(
		    &decision, "4.3", "too many questions at once");
		send_answer(relay, question->id, &decision);
		return;
	}
	relay->open++;
	asker_ask(relay->policy->asker, question, on_answer, relay);
}

/* The part that all questions have: id and destination. */
static int
read_question(struct question *question, enum policy_message kind,
    struct ipc_reader *reader)
{
	memset(question, 0, sizeof(*question));
	question->kind = kind;
	question->id = reader->id;
	if (ipc_get_address(reader, &question->destination) == -1 ||
	    address_ip_len(&question->destination) == 0)
		return -1;
	return 0;
}

static int
on_ask_server(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	struct relay *relay = arg;
	struct question question;

	(void)channel;
	if (read_question(&question, POLICY_ASK_SERVER, reader) == -1 ||
	    ipc_end(reader) == -1)
		return -1;
	ask(relay, &question);
	return 0;
}

static int
on_ask_domain(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	struct relay *relay = arg;
	struct question question;
	char domain[DOMAIN_TEXT_MAX];

	(void)channel;
	if (read_question(&question, POLICY_ASK_DOMAIN, reader) == -1)
		return -1;
	ipc_get_str(reader, domain, sizeof(domain));
	if (ipc_end(reader) == -1)
		return -1;
	if (strlcpy(question.domain, domain, sizeof(question.domain)) >=
	    sizeof(question.domain))
		question.domain[0] = '\0';
	ask(relay, &question);
	return 0;
}

static int
on_ask_literal(
    void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	struct relay *relay = arg;
	struct question question;

	(void)channel;
	if (read_question(&question, POLICY_ASK_LITERAL, reader) == -1 ||
	    ipc_get_address(reader, &question.literal) == -1 ||
	    address_ip_len(&question.literal) == 0 || ipc_end(reader) == -1)
		return -1;
	ask(relay, &question);
	return 0;
}

static void
send_facts(void *arg, const struct ipc_message *message)
{
	struct relay *relay = arg;
	struct policy *policy = relay->policy;

	if (ipc_send(relay->channel, message) == 0)
		return;
	log_warn("a probe does not take its answer");
	relay_free(relay);
	end_if_drained(policy);
}

/* One that cannot be answered costs the channel: its peer is to know. */
static int
on_ask_facts(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	struct relay *relay = arg;
	char domain[DECISION_NAME_MAX];
	uint32_t id = reader->id;

	(void)channel;
	ipc_get_str(reader, domain, sizeof(domain));
	if (ipc_end(reader) == -1)
		return -1;
	return facts_ask(
	    asker_facts(relay->policy->asker), id, domain, send_facts, relay);
}

/* What a relay let pass by observation; it gets no answer. */
static int
on_observed(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	struct relay *relay = arg;
	struct state_observed row = {.count = 1};
	enum result_word word;
	enum evidence evidence;

	(void)channel;
	ipc_get_str(reader, row.domain, sizeof(row.domain));
	ipc_get_str(reader, row.server, sizeof(row.server));
	evidence = ipc_get_upto(reader, EVIDENCE_MTA_STS);
	word = ipc_get_upto(reader, RESULT_STS_WEBPKI_INVALID);
	ipc_get_str(reader, row.why, sizeof(row.why));
	if (ipc_end(reader) == -1)
		return -1;
	strlcpy(row.evidence, evidence_text(evidence), sizeof(row.evidence));
	strlcpy(row.word, result_word_text(word), sizeof(row.word));
	row.first = row.last = clock_wall();
	(void)state_add_observed(relay->policy->state, &row);
	return 0;
}

static const struct ipc_row relay_rows[] = {
    {POLICY_ASK_SERVER, false, "ASK_SERVER", on_ask_server},
    {POLICY_ASK_DOMAIN, false, "ASK_DOMAIN", on_ask_domain},
    {POLICY_ASK_LITERAL, false, "ASK_LITERAL", on_ask_literal},
    {POLICY_ASK_FACTS, false, "ASK_FACTS", on_ask_facts},
    {POLICY_OBSERVED, false, "OBSERVED", on_observed},
    {0, false, NULL, NULL},
};

static void
on_relay_closed(void *arg, struct ipc_channel *channel, const char *why)
{
	struct relay *relay = arg;
	struct policy *policy = relay->policy;

	(void)channel;
	log_debug("a relay's channel ends: %s", why);
	relay_free(relay);
	end_if_drained(policy);
}

/* What cannot be kept is no reason not to serve. */
static struct state *
open_state(const struct config *config)
{
	char error[STATE_ERROR_MAX];
	struct state *state;

	if (config->state_directory[0] == '\0')
		return NULL;
	if ((state = state_open(config->state_directory, error)) == NULL)
		log_warnx("%s; until then MTA-STS policies and what is "
			  "observed are forgotten at each restart",
		    error);
	return state;
}

/* What is opened here is all that is ever opened. */
static int
on_config(void *arg, uint32_t generation, int fd)
{
	static const char *const no_paths[] = {NULL};
	struct policy *policy = arg;
	char error[ASKER_ERROR_MAX];
	const char *why;

	if (policy->config != NULL)
		return -1;
	if ((policy->config = config_from_fd(fd)) == NULL)
		fatal("configuration");
	log_init("postern-policy", policy->config->log.to,
	    policy->config->log.format);
	log_set_verbose(policy->config->log.verbose);
	policy->state = open_state(policy->config);
	policy->asker = asker_new(
	    policy->base, policy->config, policy->state, error);
	if (policy->asker == NULL)
		fatalx("%s", error);
	if (sandbox_enter(SANDBOX_POLICY, no_paths, &why) == -1)
		fatal("sandbox: %s", why);
	log_debug("serves configuration %u", generation);
	child_ready(policy->child);
	return 0;
}

static int
on_relay(void *arg, int fd)
{
	struct policy *policy = arg;
	struct relay *relay;

	if ((relay = calloc(1, sizeof(*relay))) == NULL)
		goto fail;
	relay->policy = policy;
	relay->channel = ipc_channel_new(
	    policy->base, fd, "relay", relay_rows, on_relay_closed, relay);
	if (relay->channel == NULL)
		goto fail;
	LIST_INSERT_HEAD(&policy->relays, relay, entry);
	return 0;
fail:
	/* The relay sees its end close, and the parent that it has none. */
	log_warn("a relay's channel");
	free(relay);
	close(fd);
	return 0;
}

static void
on_drain(void *arg, bool is_now)
{
	struct policy *policy = arg;

	if (is_now)
		child_drained(policy->child);
	policy->is_draining = true;
	end_if_drained(policy);
}

static const struct child_handlers handlers = {
    .config = on_config,
    .relay = on_relay,
    .drain = on_drain,
};

int
main(void)
{
	struct policy policy = {.is_draining = false};

	LIST_INIT(&policy.relays);
	if ((policy.base = event_base_new()) == NULL)
		return EXIT_FAILURE;
	policy.child = child_start(
	    policy.base, "postern-policy", &handlers, &policy);
	if (event_base_dispatch(policy.base) == -1)
		fatal("event loop");
	return EXIT_FAILURE;
}
