/* SPDX-License-Identifier: ISC */
/*
 * The DNS and MTA-STS, by what a postern-policy of our own finds: with the
 * configuration's resolvers together, and with each of them alone, so that one
 * among them that strips signatures is named.
 */

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/confine.h"
#include "proxy/doctor.h"
#include "proxy/doctor_facts.h"
#include "proxy/plan.h"
#include "proxy/probe_policy.h"

#define LINGER_SECONDS 2 /* for a postern-policy to end */
#define PARTIES_MAX    (CONFIG_FORWARD_MAX + 1)
#define QUESTIONS_MAX  (PARTIES_MAX + 3)

struct question {
	struct asking *asking; /* borrowed */
	const char *name;
	enum doctor_facts kind;
	char whom[ADDRESS_TEXT_MAX]; /* this resolver alone; "": all */
	bool is_answered;
	struct facts *facts; /* owned; NULL: postern-policy has ended */
};

struct asking {
	struct doctor *doctor; /* borrowed */
	struct event_base *base; /* owned, as all below */
	struct event *deadline;
	struct spawn program;
	struct probe_policy *parties[PARTIES_MAX];
	size_t party_count;
	struct question questions[QUESTIONS_MAX];
	size_t count;
	size_t open;
};

static void
on_facts(void *arg, struct facts *facts)
{
	struct question *question = arg;

	question->facts = facts;
	question->is_answered = true;
	if (--question->asking->open == 0)
		event_base_loopbreak(question->asking->base);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct asking *asking = arg;

	(void)fd;
	(void)what;
	event_base_loopbreak(asking->base);
}

/* A postern-policy that asks these resolvers; its number, or -1. */
static int
start_party(struct asking *asking, const struct config *config)
{
	struct probe_policy *policy;

	policy = probe_policy_start(asking->base, &asking->program, config);
	if (policy == NULL)
		return -1;
	asking->parties[asking->party_count] = policy;
	return (int)asking->party_count++;
}

static void
put_question(struct asking *asking, int party, enum doctor_facts kind,
    const char *name, const char *whom)
{
	struct question *question = &asking->questions[asking->count];

	if (name == NULL)
		return;
	*question = (struct question){
	    .asking = asking, .name = name, .kind = kind};
	strlcpy(question->whom, whom, sizeof(question->whom));
	if (probe_policy_ask(
		asking->parties[party], name, on_facts, question) == -1)
		question->is_answered = true; /* it has ended */
	else
		asking->open++;
	asking->count++;
}

/* Nothing that is learnt here is kept or shared. */
static int
fit(struct config *config)
{
	free(config->state);
	config->state = NULL;
	free(config->state_directory);
	config->state_directory = strdup("");
	config->log.to = LOG_TO_STDERR;
	config->log.format = LOG_FORMAT_TEXT;
	return config->state_directory == NULL ? -1 : 0;
}

/* Each resolver by itself; one alone is asked by the main party. */
static int
start_each(struct asking *asking, struct config *config)
{
	struct address all[CONFIG_FORWARD_MAX];
	size_t count = config->dns.forward_count, i;
	char whom[ADDRESS_TEXT_MAX];
	int party = 0;

	if (count < 2)
		return 0;
	memcpy(all, config->dns.forward, sizeof(all));
	config->dns.forward_count = 1;
	for (i = 0; i < count && party != -1; i++) {
		config->dns.forward[0] = all[i];
		if ((party = start_party(asking, config)) != -1)
			put_question(asking, party, DOCTOR_FACTS_RESOLVER,
			    DOCTOR_SIGNED_NAME, address_text(&all[i], whom));
	}
	memcpy(config->dns.forward, all, sizeof(all));
	config->dns.forward_count = count;
	return party == -1 ? -1 : 0;
}

static int
start_all(struct asking *asking, const struct doctor_names *names,
    char error[PLAN_ERROR_MAX])
{
	struct config *config = asking->doctor->config;
	char whom[ADDRESS_TEXT_MAX] = "";
	int party;

	if (plan_policy(&asking->program, config, error) == -1)
		return -1;
	if (config->dns.forward_count == 1)
		address_text(&config->dns.forward[0], whom);
	if (fit(config) == -1 || (asking->base = event_base_new()) == NULL ||
	    (asking->deadline = evtimer_new(
		 asking->base, on_deadline, asking)) == NULL ||
	    (party = start_party(asking, config)) == -1) {
		snprintf(error, PLAN_ERROR_MAX,
		    "postern-policy cannot be started: %s", strerror(errno));
		return -1;
	}
	put_question(
	    asking, party, DOCTOR_FACTS_SECURE, DOCTOR_SIGNED_NAME, whom);
	put_question(asking, party, DOCTOR_FACTS_BOGUS, names->bogus, "");
	put_question(asking, party, DOCTOR_FACTS_DANE, names->dane, "");
	put_question(asking, party, DOCTOR_FACTS_MTA_STS, names->mta_sts, "");
	if (start_each(asking, config) == 0)
		return confine(&asking->program, error);
	snprintf(error, PLAN_ERROR_MAX, "postern-policy cannot be started: %s",
	    strerror(errno));
	return -1;
}

static void
judge_all(struct asking *asking, uint32_t limit)
{
	const struct question *question;
	size_t i;

	for (i = 0; i < asking->count; i++) {
		question = &asking->questions[i];
		if (!question->is_answered)
			doctor_facts_late(asking->doctor->report,
			    question->kind, question->name, question->whom,
			    limit);
		else
			doctor_facts_judge(asking->doctor->report,
			    question->kind, question->name, question->whom,
			    question->facts);
	}
}

/* What was told to end is given a moment, and ends with this process then. */
static void
linger(struct asking *asking)
{
	const struct timeval limit = {.tv_sec = LINGER_SECONDS};

	if (asking->deadline == NULL ||
	    evtimer_add(asking->deadline, &limit) == -1)
		return;
	while (
	    evtimer_pending(asking->deadline, NULL) &&
	    event_base_get_num_events(asking->base, EVENT_BASE_COUNT_ADDED) > 1)
		event_base_loop(asking->base, EVLOOP_ONCE);
}

static void
tear_down(struct asking *asking)
{
	size_t i;

	for (i = 0; i < asking->party_count; i++)
		probe_policy_stop(asking->parties[i]);
	linger(asking);
	for (i = 0; i < asking->party_count; i++)
		probe_policy_free(asking->parties[i]);
	for (i = 0; i < asking->count; i++)
		facts_free(asking->questions[i].facts);
	if (asking->deadline != NULL)
		event_free(asking->deadline);
	if (asking->base != NULL)
		event_base_free(asking->base);
	free(asking->program.path);
}

void
doctor_check_dns(struct doctor *doctor, const struct doctor_names *names)
{
	const struct timeval limit = {.tv_sec = names->limit};
	struct asking asking = {.doctor = doctor};
	char error[PLAN_ERROR_MAX] = "";

	signal(SIGPIPE, SIG_IGN);
	if (start_all(&asking, names, error) == -1) {
		report_fail(doctor->report, DOCTOR_CHECK_DNS, "%s", error);
		report_remedy(doctor->report,
		    "see whether `postern probe` of any domain tells more");
	} else if (evtimer_add(asking.deadline, &limit) == 0) {
		if (asking.open > 0)
			event_base_dispatch(asking.base);
		judge_all(&asking, names->limit);
	}
	tear_down(&asking);
}
