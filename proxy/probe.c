/* SPDX-License-Identifier: ISC */
/*
 * The order of a probe: the facts, then every address of the hosts that they
 * name, some at once, then the end of the connections.
 */

#include "proxy/probe.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "proxy/base/clock.h"
#include "proxy/config.h"
#include "proxy/confine.h"
#include "proxy/plan.h"
#include "proxy/policy/dns_name.h"
#include "proxy/probe_policy.h"
#include "proxy/probe_server.h"
#include "proxy/session/endpoints.h"
#include "proxy/session/policy_client.h"
#include "proxy/session/reap.h"
#include "proxy/session/settings.h"
#include "proxy/tls/client.h"

struct probe {
	const struct probe_request *request; /* borrowed */
	struct probe_context context;
	struct endpoints endpoints;
	struct spawn program; /* path owned */
	struct probe_policy *policy;
	struct event *deadline; /* of all of it */
	char hello[DECISION_NAME_MAX];
	struct probe_result *result;
	bool has_begun; /* to try addresses */
	size_t started; /* of result->servers */
	size_t ended;
	char *error; /* borrowed; of PROBE_ERROR_MAX bytes */
	bool is_failed;
};

static void
probe_fail(struct probe *probe, const char *why)
{
	if (!probe->is_failed)
		strlcpy(probe->error, why, PROBE_ERROR_MAX);
	probe->is_failed = true;
	event_base_loopbreak(probe->context.base);
}

/* Every address, a bounded number of them at a time. */

static void try_next(struct probe *);

static void
on_tried(void *arg)
{
	struct probe *probe = arg;

	probe->ended++;
	try_next(probe);
}

static void
try_next(struct probe *probe)
{
	struct probe_result *result = probe->result;

	while (probe->started < result->server_count &&
	       probe->started - probe->ended < PROBE_DIALS_MAX)
		probe_dial_start(&probe->context,
		    &result->servers[probe->started++], on_tried, probe);
	if (probe->ended == result->server_count)
		event_base_loopbreak(probe->context.base);
}

static void
add_server(struct probe_result *result, const struct mx_host *host,
    const struct address *address)
{
	struct probe_server *server;

	if (result->server_count == PROBE_SERVERS_MAX) {
		result->left_out++;
		return;
	}
	server = &result->servers[result->server_count++];
	server->address = *address;
	server->address.port = CONFIG_SMTP_PORT;
	server->host = host;
}

static void
add_addresses(struct probe_result *result, const struct mx_host *host,
    const struct mx_addresses *addresses, sa_family_t family)
{
	const struct address *only = &result->request->address;
	bool is_any = only->family == AF_UNSPEC;
	size_t i;

	if (!probe_wants_family(result->request, family))
		return;
	for (i = 0; i < addresses->count; i++)
		if (is_any || address_ip_equal(only, &addresses->list[i]))
			add_server(result, host, &addresses->list[i]);
	if (is_any)
		result->left_out += addresses->more;
}

/*
 * Where one address is asked for, the hosts that do not have it do not count,
 * unless they are asked for by name.
 */
static void
add_host(struct probe_result *result, const struct mx_host *host)
{
	const struct probe_request *request = result->request;
	size_t before = result->server_count;

	if (result->host_count == DECISION_NAMES_MAX)
		return;
	add_addresses(result, host, &host->ipv4, AF_INET);
	add_addresses(result, host, &host->ipv6, AF_INET6);
	if (request->address.family == AF_UNSPEC || request->mx != NULL ||
	    result->server_count > before)
		result->hosts[result->host_count++] = host;
}

static void
add_all(struct probe_result *result, const struct facts *facts)
{
	const struct probe_request *request = result->request;
	size_t i;

	for (i = 0; i < facts->mx.host_count; i++)
		if (request->mx == NULL ||
		    strcmp(request->mx, facts->mx.hosts[i].name) == 0)
			add_host(result, &facts->mx.hosts[i]);
}

/* What is to be tried is known. */
static void
try_all(struct probe *probe)
{
	struct probe_result *result = probe->result;

	add_all(result, result->facts);
	if (result->stranger != NULL)
		add_all(result, result->stranger);
	if (result->server_count == 0 &&
	    probe->request->address.family != AF_UNSPEC)
		add_server(result, NULL, &probe->request->address);
	if (probe->request->mx == NULL &&
	    probe->request->address.family == AF_UNSPEC)
		result->hosts_left_out = result->facts->mx.more;
	probe->has_begun = true;
	try_next(probe);
}

static void
on_stranger(void *arg, struct facts *facts)
{
	struct probe *probe = arg;

	if (facts == NULL) {
		probe_fail(probe, "postern-policy ended before it answered");
		return;
	}
	probe->result->stranger = facts;
	try_all(probe);
}

static bool
has_host(const struct facts *facts, const char *name)
{
	size_t i;

	for (i = 0; i < facts->mx.host_count; i++)
		if (strcmp(facts->mx.hosts[i].name, name) == 0)
			return true;
	return false;
}

static void
on_facts(void *arg, struct facts *facts)
{
	struct probe *probe = arg;
	const char *mx = probe->request->mx;

	if (facts == NULL) {
		probe_fail(probe,
		    "postern-policy ended before it answered; what it said is "
		    "above, or see with -o 'log.verbose = true'");
		return;
	}
	probe->result->facts = facts;
	if (mx == NULL || has_host(facts, mx)) {
		try_all(probe);
		return;
	}
	/*
	 * Its addresses are those of a domain by that name which has no MX
	 * records.
	 */
	probe->result->is_stranger = true;
	if (probe_policy_ask(probe->policy, mx, on_stranger, probe) == -1)
		try_all(probe);
}

/* What was found by then is told. */
static void
give_up(struct probe *probe)
{
	struct probe_result *result = probe->result;

	for (; probe->started < result->server_count; probe->started++) {
		probe_dial_unfinished(
		    &probe->context, &result->servers[probe->started]);
		probe->ended++;
	}
	probe_dial_stop_all(&probe->context);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct probe *probe = arg;

	(void)fd;
	(void)what;
	if (probe->has_begun)
		give_up(probe);
	else
		probe_fail(probe,
		    "DNS and MTA-STS did not answer in time (see --limit)");
}

/* A name that servers may take for one: that of this host, with a domain. */
static void
find_hello(struct probe *probe)
{
	struct utsname name;

	if (uname(&name) == -1 || strchr(name.nodename, '.') == NULL ||
	    !dns_name_is_host(name.nodename) ||
	    strlcpy(probe->hello, name.nodename, sizeof(probe->hello)) >=
		sizeof(probe->hello))
		return;
	probe->context.hello = probe->hello;
}

static int
set_up(struct probe *probe, struct config *config)
{
	struct probe_context *context = &probe->context;
	char why[STORE_ERROR_MAX];

	context->settings = settings_new(config, 0, why);
	if (context->settings == NULL) {
		snprintf(probe->error, PROBE_ERROR_MAX, "trust file: %s", why);
		return -1;
	}
	if (plan_policy(&probe->program, config, probe->error) == -1)
		return -1;
	context->domain = probe->request->domain;
	context->limit = probe->request->limit;
	LIST_INIT(&context->dials);
	context->endpoints = &probe->endpoints;
	endpoints_init(&probe->endpoints);
	find_hello(probe);
	if ((context->base = event_base_new()) == NULL ||
	    (context->reaper = reaper_new(context->base)) == NULL ||
	    (context->tls = tls_client_new()) == NULL ||
	    (probe->deadline = evtimer_new(
		 context->base, on_deadline, probe)) == NULL ||
	    (probe->result = calloc(1, sizeof(*probe->result))) == NULL ||
	    (probe->policy = probe_policy_start(
		 context->base, &probe->program, config)) == NULL) {
		snprintf(probe->error, PROBE_ERROR_MAX,
		    "postern-policy cannot be started: %s", strerror(errno));
		return -1;
	}
	context->policy = probe_policy_client(probe->policy);
	/* As the children of `postern run`, this reads what servers send. */
	return confine(&probe->program, probe->error);
}

static int
find_out(struct probe *probe)
{
	const struct timeval limit = {.tv_sec = probe->request->limit};

	probe->result->request = probe->request;
	probe->result->at = clock_wall();
	if (evtimer_add(probe->deadline, &limit) == -1 ||
	    probe_policy_ask(
		probe->policy, probe->request->domain, on_facts, probe) == -1) {
		snprintf(probe->error, PROBE_ERROR_MAX,
		    "postern-policy cannot be asked: %s", strerror(errno));
		return -1;
	}
	if (event_base_dispatch(probe->context.base) == -1)
		probe_fail(probe, "the event loop failed");
	return probe->is_failed ? -1 : 0;
}

/*
 * Servers and postern-policy are given a moment to end what was ended politely;
 * what is left then ends with this process.
 */
static void
linger(struct probe *probe)
{
	const struct timeval limit = {.tv_sec = PROBE_LINGER_SECONDS};
	struct event_base *base = probe->context.base;

	probe->is_failed = true; /* or not: what is said is said */
	if (evtimer_add(probe->deadline, &limit) == -1)
		return;
	while (evtimer_pending(probe->deadline, NULL) &&
	       event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED) > 1)
		event_base_loop(base, EVLOOP_ONCE);
}

static void
tear_down(struct probe *probe)
{
	struct probe_context *context = &probe->context;

	probe_policy_stop(probe->policy);
	if (probe->deadline != NULL) {
		linger(probe);
		event_free(probe->deadline);
	}
	probe_policy_free(probe->policy);
	reaper_free(context->reaper);
	tls_client_free(context->tls);
	if (context->base != NULL)
		event_base_free(context->base);
	settings_unref(context->settings);
	free(probe->program.path);
}

struct probe_result *
probe_run(const struct probe_request *request, struct config *config,
    char error[PROBE_ERROR_MAX])
{
	struct probe probe = {.request = request, .error = error};
	int ret;

	signal(SIGPIPE, SIG_IGN);
	strlcpy(error, "out of memory", PROBE_ERROR_MAX);
	if ((ret = set_up(&probe, config)) == 0)
		ret = find_out(&probe);
	tear_down(&probe);
	if (ret == -1) {
		probe_result_free(probe.result);
		return NULL;
	}
	return probe.result;
}

void
probe_result_free(struct probe_result *result)
{
	size_t i;

	if (result == NULL)
		return;
	for (i = 0; i < result->server_count; i++)
		free(result->servers[i].certs);
	facts_free(result->facts);
	facts_free(result->stranger);
	free(result);
}
