/* SPDX-License-Identifier: ISC */
/*
 * The parent's and a relay's part in one: the control channel starts and ends
 * the program, one channel carries the questions of a relay, and another those
 * for facts, whose answers come in parts.
 */

#include "proxy/probe_policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/ipc.h"
#include "proxy/config.h"
#include "proxy/process_message.h"
#include "proxy/session/policy_client.h"
#include "proxy/spawn.h"

struct fact_question {
	struct facts *facts; /* owned; NULL: the place is free */
	uint32_t id;
	void (*done)(void *, struct facts *);
	void *arg;
};

struct probe_policy {
	struct event_base *base; /* borrowed */
	struct ipc_channel *control; /* owned, as are the next two */
	struct ipc_channel *channel; /* NULL: it has ended */
	struct policy_client *client;
	uint32_t last_id;
	struct fact_question questions[PROBE_QUESTIONS_MAX];
};

static void
answer(struct fact_question *question, bool is_failed)
{
	struct facts *facts = question->facts;

	question->facts = NULL;
	if (is_failed) {
		facts_free(facts);
		facts = NULL;
	}
	question->done(question->arg, facts);
}

static int
take_part(struct probe_policy *policy, struct ipc_reader *reader,
    int (*take)(struct facts *, struct ipc_reader *))
{
	struct fact_question *question = NULL;
	size_t i;

	for (i = 0; i < PROBE_QUESTIONS_MAX; i++)
		if (policy->questions[i].facts != NULL &&
		    policy->questions[i].id == reader->id)
			question = &policy->questions[i];
	if (question == NULL || take(question->facts, reader) == -1 ||
	    ipc_end(reader) == -1)
		return -1;
	if (facts_are_complete(question->facts))
		answer(question, false);
	return 0;
}

static int
on_head(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	(void)channel;
	return take_part(arg, reader, facts_take_head);
}

static int
on_host(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	(void)channel;
	return take_part(arg, reader, facts_take_host);
}

static int
on_sts(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	(void)channel;
	return take_part(arg, reader, facts_take_sts);
}

static const struct ipc_row facts_rows[] = {
    {POLICY_FACTS_HEAD, false, "FACTS_HEAD", on_head},
    {POLICY_FACTS_HOST, false, "FACTS_HOST", on_host},
    {POLICY_FACTS_STS, false, "FACTS_STS", on_sts},
    {0, false, NULL, NULL},
};

static void
on_channel_closed(void *arg, struct ipc_channel *channel, const char *why)
{
	struct probe_policy *policy = arg;
	size_t i;

	(void)why;
	ipc_channel_free(channel);
	policy->channel = NULL;
	for (i = 0; i < PROBE_QUESTIONS_MAX; i++)
		if (policy->questions[i].facts != NULL)
			answer(&policy->questions[i], true);
}

/* What it says of its own state is of no interest here. */
static int
on_control(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	(void)arg;
	(void)channel;
	return ipc_end(reader);
}

static const struct ipc_row control_rows[] = {
    {PROCESS_READY, true, "READY", on_control},
    {PROCESS_DRAINED, true, "DRAINED", on_control},
    {0, false, NULL, NULL},
};

/* The other channels close with it, and answer what is open. */
static void
on_control_closed(void *arg, struct ipc_channel *channel, const char *why)
{
	struct probe_policy *policy = arg;

	(void)why;
	ipc_channel_free(channel);
	policy->control = NULL;
}

static int
send_fd(struct probe_policy *policy, uint16_t type, int fd)
{
	struct ipc_message message;

	ipc_compose(&message, type, 0);
	if (type == PROCESS_CONFIG)
		ipc_put_u32(&message, 0);
	ipc_put_fd(&message, fd);
	return ipc_send(policy->control, &message);
}

/* Our end of a channel as a relay has it, or -1. */
static int
open_channel(struct probe_policy *policy)
{
	int fds[2], saved;

	if (ipc_pair(fds) == -1)
		return -1;
	if (send_fd(policy, PROCESS_RELAY, fds[0]) == -1) {
		saved = errno;
		close(fds[1]);
		fds[1] = -1;
		errno = saved;
	}
	saved = errno;
	close(fds[0]);
	errno = saved;
	return fds[1];
}

static int
send_config(struct probe_policy *policy, const struct config *config)
{
	int fd, ret, saved;

	if ((fd = config_to_fd(config)) == -1)
		return -1;
	ret = send_fd(policy, PROCESS_CONFIG, fd);
	saved = errno;
	close(fd);
	errno = saved;
	return ret;
}

static int
open_channels(struct probe_policy *policy)
{
	int fd;

	if ((fd = open_channel(policy)) == -1 ||
	    policy_client_attach(policy->client, fd) == -1 ||
	    (fd = open_channel(policy)) == -1)
		return -1;
	policy->channel = ipc_channel_new(policy->base, fd, "postern-policy",
	    facts_rows, on_channel_closed, policy);
	if (policy->channel != NULL)
		return 0;
	close(fd);
	return -1;
}

struct probe_policy *
probe_policy_start(struct event_base *base, const struct spawn *program,
    const struct config *config)
{
	struct probe_policy *policy;
	int fd = -1, saved;

	if ((policy = calloc(1, sizeof(*policy))) == NULL)
		return NULL;
	policy->base = base;
	if ((policy->client = policy_client_new(base, NULL, NULL)) == NULL ||
	    spawn(program, &fd) == -1)
		goto fail;
	policy->control = ipc_channel_new(base, fd, "postern-policy",
	    control_rows, on_control_closed, policy);
	if (policy->control == NULL)
		goto fail;
	fd = -1; /* the channel's now */
	if (send_config(policy, config) == 0 && open_channels(policy) == 0)
		return policy;
fail:
	saved = errno;
	if (fd != -1)
		close(fd);
	probe_policy_free(policy);
	errno = saved;
	return NULL;
}

void
probe_policy_stop(struct probe_policy *policy)
{
	struct ipc_message message;
	size_t i;

	if (policy == NULL)
		return;
	/* Without its channels it has nothing left to do, and says so. */
	if (policy->control != NULL) {
		ipc_compose(&message, PROCESS_DRAIN, 0);
		(void)ipc_send(policy->control, &message);
	}
	for (i = 0; i < PROBE_QUESTIONS_MAX; i++) {
		facts_free(policy->questions[i].facts);
		policy->questions[i].facts = NULL;
	}
	ipc_channel_free(policy->channel);
	policy->channel = NULL;
	policy_client_free(policy->client);
	policy->client = NULL;
}

void
probe_policy_free(struct probe_policy *policy)
{
	if (policy == NULL)
		return;
	probe_policy_stop(policy);
	ipc_channel_free(policy->control);
	free(policy);
}

struct policy_client *
probe_policy_client(struct probe_policy *policy)
{
	return policy->client;
}

int
probe_policy_ask(struct probe_policy *policy, const char *domain,
    void (*done)(void *, struct facts *), void *arg)
{
	struct fact_question *question = policy->questions;
	struct ipc_message message;

	while (question->facts != NULL)
		if (++question == policy->questions + PROBE_QUESTIONS_MAX) {
			errno = EAGAIN;
			return -1;
		}
	if (policy->channel == NULL) {
		errno = EPIPE;
		return -1;
	}
	question->id = ++policy->last_id;
	question->done = done;
	question->arg = arg;
	ipc_compose(&message, POLICY_ASK_FACTS, question->id);
	ipc_put_str(&message, domain);
	if (ipc_send(policy->channel, &message) == -1)
		return -1;
	question->facts = facts_new();
	return question->facts != NULL ? 0 : -1;
}
