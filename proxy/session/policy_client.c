/* SPDX-License-Identifier: ISC */
/*
 * Knows which question an answer belongs to and how long an answer is good.
 * What a decision means is for the verdict.
 */

#include "proxy/session/policy_client.h"

#include <sys/queue.h>
#include <sys/tree.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/clock.h"
#include "proxy/base/ipc.h"
#include "proxy/base/ipc_address.h"
#include "proxy/base/log.h"
#include "proxy/session/verdict.h"

/* What was asked: one form for the cache and for questions. */
struct subject {
	uint16_t type; /* enum policy_message */
	struct address server;
	struct address literal;
	char domain[DECISION_NAME_MAX];
};

struct entry {
	RB_ENTRY(entry) node;
	TAILQ_ENTRY(entry) age;
	struct subject subject;
	struct known *known;
};
RB_HEAD(entry_tree, entry);

struct question {
	RB_ENTRY(question) node;
	uint32_t id;
	struct ipc_channel *channel; /* where it was asked */
	uint64_t era; /* of the cache when it was asked */
	struct subject subject;
	void (*done)(void *, struct known *);
	void *arg;
};
RB_HEAD(question_tree, question);

struct policy_client {
	struct event_base *base;
	void (*lost)(void *); /* NULL: nobody asks */
	void *arg;
	struct known *failed; /* the answer to what nobody will answer */
	struct ipc_channel *channel; /* the newest; NULL: none now */
	struct ipc_channel *previous; /* still answering old questions */
	int was_attached;
	uint32_t next_id;
	uint64_t era;
	struct question_tree questions;
	size_t question_count;
	struct entry_tree entries;
	TAILQ_HEAD(entry_list, entry) ages; /* oldest first */
	size_t entry_count;
};

static int on_answer(void *, struct ipc_channel *, struct ipc_reader *);

/* All that postern-policy may send. */
static const struct ipc_row rows[] = {
    {POLICY_ANSWER, false, "ANSWER", on_answer},
    {0, false, NULL, NULL},
};

static int
entry_compare(struct entry *a, struct entry *b)
{
	const struct subject *x = &a->subject, *y = &b->subject;
	int order;

	if ((order = (int)x->type - (int)y->type) != 0 ||
	    (order = address_compare(&x->server, &y->server)) != 0 ||
	    (order = address_compare(&x->literal, &y->literal)) != 0)
		return order;
	return strcmp(x->domain, y->domain);
}

static int
question_compare(struct question *a, struct question *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}

RB_PROTOTYPE(entry_tree, entry, node, entry_compare)
RB_GENERATE(entry_tree, entry, node, entry_compare)
RB_PROTOTYPE(question_tree, question, node, question_compare)
RB_GENERATE(question_tree, question, node, question_compare)

struct known *
known_ref(struct known *known)
{
	known->refs++;
	return known;
}

bool
known_is_good(const struct known *known)
{
	return known->expires > clock_monotonic_ms() &&
	       (known->decision.until == 0 ||
		   known->decision.until > clock_wall());
}

void
known_unref(struct known *known)
{
	if (known != NULL && --known->refs == 0)
		free(known);
}

struct known *
policy_temporary(const char *status, const char *text)
{
	struct known *known;

	if ((known = calloc(1, sizeof(*known))) == NULL)
		return NULL;
	known->refs = 1;
	known->decision.kind = DECISION_TEMPORARY;
	known->decision.word = RESULT_NONE;
	strlcpy(known->decision.status, status, sizeof(known->decision.status));
	strlcpy(known->decision.text, text, sizeof(known->decision.text));
	return known;
}

struct policy_client *
policy_client_new(struct event_base *base, void (*lost)(void *), void *arg)
{
	struct policy_client *client;

	if ((client = calloc(1, sizeof(*client))) == NULL)
		return NULL;
	/* Made now, since it may be wanted when there is no memory. */
	client->failed = policy_temporary("3.0",
	    "postern-policy ended before it could answer; it is restarted");
	if (client->failed == NULL) {
		free(client);
		return NULL;
	}
	client->base = base;
	client->lost = lost;
	client->arg = arg;
	RB_INIT(&client->questions);
	RB_INIT(&client->entries);
	TAILQ_INIT(&client->ages);
	return client;
}

static void
entry_drop(struct policy_client *client, struct entry *entry)
{
	RB_REMOVE(entry_tree, &client->entries, entry);
	TAILQ_REMOVE(&client->ages, entry, age);
	client->entry_count--;
	known_unref(entry->known);
	free(entry);
}

void
policy_client_forget(struct policy_client *client)
{
	struct entry *entry;

	client->era++;
	while ((entry = TAILQ_FIRST(&client->ages)) != NULL)
		entry_drop(client, entry);
}

static void
question_drop(struct policy_client *client, struct question *question)
{
	RB_REMOVE(question_tree, &client->questions, question);
	client->question_count--;
	free(question);
}

void
policy_client_free(struct policy_client *client)
{
	struct question *question;

	if (client == NULL)
		return;
	while ((question = RB_MIN(question_tree, &client->questions)) != NULL)
		question_drop(client, question);
	policy_client_forget(client);
	ipc_channel_free(client->channel);
	ipc_channel_free(client->previous);
	known_unref(client->failed);
	free(client);
}

int
policy_client_is_attached(const struct policy_client *client)
{
	return client->was_attached;
}

/* Remembers an answer for as long as it is good; failing to is no harm. */
static void
remember(struct policy_client *client, const struct subject *subject,
    struct known *known)
{
	struct entry *entry, *old;

	if (known->decision.ttl == 0 ||
	    (entry = calloc(1, sizeof(*entry))) == NULL)
		return;
	entry->subject = *subject;
	entry->known = known_ref(known);
	if ((old = RB_FIND(entry_tree, &client->entries, entry)) != NULL)
		entry_drop(client, old);
	if (client->entry_count >= POLICY_CACHE_MAX)
		entry_drop(client, TAILQ_FIRST(&client->ages));
	RB_INSERT(entry_tree, &client->entries, entry);
	TAILQ_INSERT_TAIL(&client->ages, entry, age);
	client->entry_count++;
}

static struct known *
recall(struct policy_client *client, const struct subject *subject)
{
	struct entry key, *entry;

	key.subject = *subject;
	if ((entry = RB_FIND(entry_tree, &client->entries, &key)) == NULL)
		return NULL;
	if (!known_is_good(entry->known)) {
		entry_drop(client, entry);
		return NULL;
	}
	return known_ref(entry->known);
}

static void
answer(struct policy_client *client, struct question *question,
    struct known *known)
{
	void (*done)(void *, struct known *) = question->done;
	void *arg = question->arg;

	question_drop(client, question);
	done(arg, known);
}

/*
 * The old process goes once its last relay closes the channel: which is as
 * soon as nothing asked there is open.
 */
static void
release_previous(struct policy_client *client)
{
	struct question *question;

	if (client->previous == NULL)
		return;
	RB_FOREACH (question, question_tree, &client->questions)
		if (question->channel == client->previous)
			return;
	ipc_channel_free(client->previous);
	client->previous = NULL;
}

static int
on_answer(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	struct policy_client *client = arg;
	struct question key, *question;
	struct known *known;
	int ret = -1;

	if ((known = calloc(1, sizeof(*known))) == NULL)
		return -1;
	known->refs = 1;
	if (decision_get(reader, &known->decision) == -1 ||
	    ipc_end(reader) == -1)
		goto out;
	ret = 0;
	/* A moment at least, so that who asks again gets to use it. */
	known->expires = clock_monotonic_ms() +
	                 ((int64_t)known->decision.ttl + 1) * 1000;
	key.id = reader->id;
	question = RB_FIND(question_tree, &client->questions, &key);
	/* A question that was cancelled meanwhile is still answered. */
	if (question == NULL || question->channel != channel)
		goto out;
	known->era = question->era;
	if (question->era == client->era)
		remember(client, &question->subject, known);
	answer(client, question, known);
	release_previous(client);
out:
	known_unref(known);
	return ret;
}

/* Every question asked on a channel that has gone fails now. */
static void
fail_questions(struct policy_client *client, struct ipc_channel *channel)
{
	struct question *question, *next;

	for (question = RB_MIN(question_tree, &client->questions);
	     question != NULL; question = next) {
		next = RB_NEXT(question_tree, &client->questions, question);
		if (question->channel != channel)
			continue;
		/* done() may ask or cancel others: begin again after it. */
		answer(client, question, client->failed);
		next = RB_MIN(question_tree, &client->questions);
	}
}

static void
on_closed(void *arg, struct ipc_channel *channel, const char *why)
{
	struct policy_client *client = arg;
	bool is_newest = client->channel == channel;

	log_debug("channel to postern-policy closed: %s", why);
	if (is_newest)
		client->channel = NULL;
	else
		client->previous = NULL;
	fail_questions(client, channel);
	ipc_channel_free(channel);
	if (is_newest && client->lost != NULL)
		client->lost(client->arg);
}

int
policy_client_attach(struct policy_client *client, int fd)
{
	struct ipc_channel *channel, *oldest;

	channel = ipc_channel_new(
	    client->base, fd, "postern-policy", rows, on_closed, client);
	if (channel == NULL) {
		close(fd);
		return -1;
	}
	if ((oldest = client->previous) != NULL) {
		client->previous = NULL;
		fail_questions(client, oldest);
		ipc_channel_free(oldest);
	}
	client->previous = client->channel;
	client->channel = channel;
	client->was_attached = 1;
	/* What the one before still says is by rules that are no more. */
	policy_client_forget(client);
	release_previous(client);
	return 0;
}

static struct known *
ask(struct policy_client *client, const struct subject *subject,
    void (*done)(void *, struct known *), void *arg,
    struct question **questionp)
{
	struct ipc_message message;
	struct question *question;
	struct known *known;

	*questionp = NULL;
	if ((known = recall(client, subject)) != NULL)
		return known;
	if (client->channel == NULL)
		return policy_temporary(
		    "3.0", "postern-policy is not running; it is restarted");
	if (client->question_count >= POLICY_QUESTIONS_MAX)
		return policy_temporary("3.2", "too many open questions");
	if ((question = calloc(1, sizeof(*question))) == NULL)
		return NULL;
	question->id = ++client->next_id;
	question->channel = client->channel;
	question->era = client->era;
	question->subject = *subject;
	question->done = done;
	question->arg = arg;
	ipc_compose(&message, subject->type, question->id);
	ipc_put_address(&message, &subject->server);
	if (subject->type == POLICY_ASK_DOMAIN)
		ipc_put_str(&message, subject->domain);
	else if (subject->type == POLICY_ASK_LITERAL)
		ipc_put_address(&message, &subject->literal);
	if (ipc_send(client->channel, &message) == -1 ||
	    RB_INSERT(question_tree, &client->questions, question) != NULL) {
		bool is_gone = errno == EPIPE || errno == ECONNRESET;

		free(question);
		return is_gone ? policy_temporary("3.0",
				     "postern-policy has just ended; it is "
				     "restarted")
		               : policy_temporary(
				     "3.2", "postern-policy is too busy");
	}
	client->question_count++;
	*questionp = question;
	return NULL;
}

struct known *
policy_ask_server(struct policy_client *client, const struct address *server,
    void (*done)(void *, struct known *), void *arg, struct question **question)
{
	struct subject subject;

	memset(&subject, 0, sizeof(subject));
	subject.type = POLICY_ASK_SERVER;
	subject.server = *server;
	return ask(client, &subject, done, arg, question);
}

struct known *
policy_ask_domain(struct policy_client *client, const struct address *server,
    const char *domain, void (*done)(void *, struct known *), void *arg,
    struct question **question)
{
	struct subject subject;

	memset(&subject, 0, sizeof(subject));
	subject.type = POLICY_ASK_DOMAIN;
	subject.server = *server;
	strlcpy(subject.domain, domain, sizeof(subject.domain));
	return ask(client, &subject, done, arg, question);
}

struct known *
policy_ask_literal(struct policy_client *client, const struct address *server,
    const struct address *literal, void (*done)(void *, struct known *),
    void *arg, struct question **question)
{
	struct subject subject;

	memset(&subject, 0, sizeof(subject));
	subject.type = POLICY_ASK_LITERAL;
	subject.server = *server;
	subject.literal = *literal;
	return ask(client, &subject, done, arg, question);
}

void
policy_tell_observed(struct policy_client *client, const char *what,
    const struct verdict *verdict)
{
	struct ipc_message message;
	char domain[DECISION_NAME_MAX], why[DECISION_TEXT_MAX];

	if (client->channel == NULL)
		return;
	/* What is too long to keep is cut, not refused. */
	strlcpy(domain, what, sizeof(domain));
	strlcpy(why, verdict->text, sizeof(why));
	ipc_compose(&message, POLICY_OBSERVED, 0);
	ipc_put_str(&message, domain);
	ipc_put_str(&message, verdict->peer);
	ipc_put_u8(&message, (uint8_t)verdict->evidence);
	ipc_put_u8(&message, (uint8_t)verdict->word);
	ipc_put_str(&message, why);
	(void)ipc_send(client->channel, &message);
}

bool
policy_holds(const struct policy_client *client, const struct known *known)
{
	return known->era == client->era && known_is_good(known);
}

void
policy_cancel(struct policy_client *client, struct question *question)
{
	if (question != NULL)
		question_drop(client, question);
}
