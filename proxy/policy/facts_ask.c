/* SPDX-License-Identifier: ISC */
/*
 * Two lookups side by side, the mail hosts and the MTA-STS policy; each sends
 * its parts when it is done.
 */

#include "proxy/policy/facts_ask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "proxy/base/ipc.h"
#include "proxy/config.h"
#include "proxy/policy/dns_name.h"
#include "proxy/policy/facts.h"
#include "proxy/policy/mx_lookup.h"

static const char busy[] = "too many DNS questions at once";
static const char no_host[] = "is no name that mail could be sent to";

struct fact_ask {
	LIST_ENTRY(fact_ask) entry;
	uint32_t id;
	unsigned pending; /* lookups that have not ended */
	void (*send)(void *, const struct ipc_message *); /* NULL: forgotten */
	void *arg; /* borrowed */
};

LIST_HEAD(fact_ask_list, fact_ask);

struct facts_asker {
	struct dns *dns; /* borrowed */
	struct mta_sts *sts; /* borrowed */
	struct fact_ask_list open;
};

struct facts_asker *
facts_asker_new(struct dns *dns, struct mta_sts *sts)
{
	struct facts_asker *asker;

	if ((asker = calloc(1, sizeof(*asker))) == NULL)
		return NULL;
	LIST_INIT(&asker->open);
	asker->dns = dns;
	asker->sts = sts;
	return asker;
}

void
facts_asker_free(struct facts_asker *asker)
{
	free(asker);
}

static void
send_part(struct fact_ask *ask, const struct ipc_message *message)
{
	if (ask->send != NULL)
		ask->send(ask->arg, message);
}

static void
end_lookup(struct fact_ask *ask)
{
	if (--ask->pending > 0)
		return;
	LIST_REMOVE(ask, entry);
	free(ask);
}

static void
send_mx(struct fact_ask *ask, const struct mx_facts *facts)
{
	struct ipc_message message;
	size_t i;

	ipc_compose(&message, POLICY_FACTS_HEAD, ask->id);
	facts_put_head(&message, facts);
	send_part(ask, &message);
	for (i = 0; i < facts->host_count; i++) {
		ipc_compose(&message, POLICY_FACTS_HOST, ask->id);
		facts_put_host(&message, &facts->hosts[i]);
		send_part(ask, &message);
	}
}

static void
on_mx(void *arg, struct mx_facts *facts)
{
	struct fact_ask *ask = arg;

	send_mx(ask, facts);
	mx_facts_free(facts);
	end_lookup(ask);
}

static void
send_sts(struct fact_ask *ask, const struct mta_sts_facts *facts)
{
	struct ipc_message message;

	ipc_compose(&message, POLICY_FACTS_STS, ask->id);
	facts_put_sts(&message, facts);
	send_part(ask, &message);
}

static void
on_sts(void *arg, const struct mta_sts_facts *facts)
{
	struct fact_ask *ask = arg;

	send_sts(ask, facts);
	end_lookup(ask);
}

static void
fail_mx(struct fact_ask *ask, const char *why)
{
	struct mx_facts facts = {.status = DNS_FAILED};

	strlcpy(facts.why, why, sizeof(facts.why));
	send_mx(ask, &facts);
}

static void
fail_sts(struct fact_ask *ask, const char *why)
{
	struct mta_sts_facts facts = {.status = MTA_STS_UNKNOWN};

	strlcpy(facts.why, why, sizeof(facts.why));
	send_sts(ask, &facts);
}

static size_t
count_open(const struct facts_asker *asker, const void *arg)
{
	const struct fact_ask *ask;
	size_t count = 0;

	LIST_FOREACH (ask, &asker->open, entry)
		if (ask->send != NULL && ask->arg == arg)
			count++;
	return count;
}

static void
look_up_hosts(
    struct facts_asker *asker, struct fact_ask *ask, const char *domain)
{
	/* No host has it, so that all of them are looked at alike. */
	const struct address nowhere = {
	    .family = AF_UNSPEC,
	    .port = CONFIG_SMTP_PORT,
	};

	ask->pending++;
	if (mx_lookup_start(asker->dns, domain, &nowhere, on_mx, ask) == 0)
		return;
	ask->pending--;
	fail_mx(ask, busy);
}

/* The answer may come at once. */
static void
look_up_policy(
    struct facts_asker *asker, struct fact_ask *ask, const char *domain)
{
	ask->pending++;
	if (mta_sts_ask(asker->sts, domain, on_sts, ask) == 0)
		return;
	ask->pending--;
	fail_sts(ask, busy);
}

static void
look_up(struct facts_asker *asker, struct fact_ask *ask, const char *domain)
{
	ask->pending = 1; /* this function itself */
	if (dns_name_is_host(domain)) {
		look_up_hosts(asker, ask, domain);
		look_up_policy(asker, ask, domain);
	} else {
		fail_mx(ask, no_host);
		fail_sts(ask, no_host);
	}
	end_lookup(ask);
}

int
facts_ask(struct facts_asker *asker, uint32_t id, const char *domain,
    void (*send)(void *, const struct ipc_message *), void *arg)
{
	struct fact_ask *ask;

	if (count_open(asker, arg) >= FACTS_OPEN_MAX) {
		errno = EAGAIN;
		return -1;
	}
	if ((ask = calloc(1, sizeof(*ask))) == NULL)
		return -1;
	ask->id = id;
	ask->send = send;
	ask->arg = arg;
	LIST_INSERT_HEAD(&asker->open, ask, entry);
	look_up(asker, ask, domain);
	return 0;
}

void
facts_forget(struct facts_asker *asker, const void *arg)
{
	struct fact_ask *ask;

	LIST_FOREACH (ask, &asker->open, entry)
		if (ask->arg == arg)
			ask->send = NULL;
}
