/* SPDX-License-Identifier: ISC */
/*
 * libunbound behind dns.h.  It calls back from inside ub_resolve_event where
 * it has the answer at hand; here every answer is put aside first and handed
 * over from the event loop, so that callers see one order of events.
 *
 * A question whose deadline has passed is answered at once and then forgotten
 * rather than cancelled: ub_cancel frees what libunbound's own event code goes
 * on using.  It counts against DNS_QUERIES_MAX until libunbound is done.
 */

#include "proxy/policy/dns.h"

#include <event2/event.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unbound-event.h>
#include <unbound.h>
#include <unistd.h>

#include "proxy/base/log.h"

#define CLASS_IN	1
#define TRIAL_ZONE	"postern.invalid."
#define RCODE_NAME	3
#define FORWARD_TEXT	(ADDRESS_TEXT_MAX + sizeof("@65535"))

/* What ub_resolve_event's callback says in `sec`. */
#define SECURITY_BOGUS	1
#define SECURITY_SECURE 2

struct dns_query {
	LIST_ENTRY(dns_query) entry;
	struct dns *dns;	    /* borrowed */
	struct event *timer;	    /* owned; the deadline, or the hand-over */
	struct dns_answer *answer;  /* owned; NULL: none yet, or no memory */
	enum dns_type type;
	bool is_answered;	    /* libunbound is done with it */
	bool is_forgotten;	    /* the caller is */
	void (*done)(void *, const struct dns_answer *);
	void *arg;
};

struct dns {
	struct event_base *base; /* borrowed */
	struct ub_ctx *unbound;	 /* owned */
	LIST_HEAD(, dns_query) queries;
	size_t query_count;
	struct timeval timeout;
};

/*
 * The bounds on memory, sockets and time, and what a mail gateway needs
 * different from a resolver for people.
 */
static const struct {
	const char *name;
	const char *value;
} options[] = {
	{ "module-config:", "validator iterator" },
	{ "msg-cache-size:", "16m" },
	{ "rrset-cache-size:", "32m" },
	{ "key-cache-size:", "8m" },
	{ "neg-cache-size:", "2m" },
	{ "cache-max-ttl:", "3600" },
	{ "cache-max-negative-ttl:", "300" },
	/* A zone or a resolver that was mended is noticed soon. */
	{ "val-bogus-ttl:", "30" },
	{ "infra-host-ttl:", "60" },
	{ "infra-keep-probing:", "yes" },
	{ "infra-cache-max-rtt:", "4000" },
	{ "outbound-msg-retry:", "3" },
	/* Sockets for as many servers that do not answer, and then some. */
	{ "outgoing-range:", "512" },
	{ "outgoing-num-tcp:", "64" },
	{ "edns-buffer-size:", "1232" },
	{ "qname-minimisation:", "yes" },
	{ "harden-glue:", "yes" },
	{ "harden-dnssec-stripped:", "yes" },
	{ "harden-below-nxdomain:", "yes" },
	/* No denial of a name that was not asked for. */
	{ "aggressive-nsec:", "no" },
	{ "harden-algo-downgrade:", "no" }, /* RFC 6840 5.11 */
	/* A root, zones and servers at private addresses work. */
	{ "unblock-lan-zones:", "yes" },
	{ "do-not-query-localhost:", "no" },
};

static void
query_free(struct dns_query *query)
{
	LIST_REMOVE(query, entry);
	query->dns->query_count--;
	if (query->timer != NULL)
		event_free(query->timer);
	free(query->answer);
	free(query);
}

static void
read_answer(struct dns_query *query, int rcode, const uint8_t *packet,
    size_t len, int security, const char *why_bogus)
{
	struct dns_answer *answer = query->answer;

	if (security == SECURITY_BOGUS) {
		dns_answer_fail(answer, "%s",
		    why_bogus != NULL ? why_bogus : "validation failure");
		answer->status = DNS_BOGUS;
	} else if (rcode != 0) {
		dns_answer_fail(answer, rcode == 2 ? "SERVFAIL" :
						     "response code %d",
		    rcode);
	} else if (dns_packet_parse(packet, len, query->type, answer) == 0 &&
	    answer->status != DNS_FAILED) {
		answer->is_secure = security == SECURITY_SECURE;
	}
}

/* libunbound's answer; maybe from inside ub_resolve_event. */
static void
on_answer(void *arg, int rcode, void *packet, int len, int security,
    char *why_bogus, int was_ratelimited)
{
	struct dns_query *query = arg;

	(void)was_ratelimited;
	if (query->is_forgotten) {
		query_free(query);
		return;
	}
	query->is_answered = true;
	query->answer = malloc(sizeof(*query->answer));
	if (query->answer != NULL)
		read_answer(query, rcode, packet, (size_t)len, security,
		    why_bogus);
	event_active(query->timer, EV_TIMEOUT, 0);
}

/* Either the answer is there, or the deadline is. */
static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct dns_query *query = arg;
	struct dns_answer none;

	(void)fd;
	(void)what;
	if (query->answer != NULL) {
		query->done(query->arg, query->answer);
	} else {
		if (query->is_answered)
			dns_answer_fail(&none, "out of memory");
		else
			dns_answer_fail(&none, "timed out");
		query->done(query->arg, &none);
	}
	if (query->is_answered)
		query_free(query);
	else
		query->is_forgotten = true;
}

int
dns_ask(struct dns *dns, const char *name, enum dns_type type,
    void (*done)(void *, const struct dns_answer *), void *arg)
{
	struct dns_query *query;
	char absolute[DNS_NAME_MAX + 1];
	int err;

	if (!dns_name_is_host(name)) {
		errno = EINVAL;
		return -1;
	}
	if (dns->query_count >= DNS_QUERIES_MAX) {
		errno = EAGAIN;
		return -1;
	}
	if ((query = calloc(1, sizeof(*query))) == NULL)
		return -1;
	query->dns = dns;
	query->type = type;
	query->done = done;
	query->arg = arg;
	LIST_INSERT_HEAD(&dns->queries, query, entry);
	dns->query_count++;
	query->timer = evtimer_new(dns->base, on_timer, query);
	if (query->timer == NULL ||
	    evtimer_add(query->timer, &dns->timeout) == -1)
		goto fail;
	snprintf(absolute, sizeof(absolute), "%s.", name);
	err = ub_resolve_event(dns->unbound, absolute, type, CLASS_IN, query,
	    on_answer, NULL);
	if (err == 0)
		return 0;
	log_warnx("libunbound: %s", ub_strerror(err));
fail:
	query_free(query);
	errno = ENOMEM;
	return -1;
}

static int
set_forward(struct dns *dns, const struct dns_settings *settings)
{
	char ip[ADDRESS_TEXT_MAX], text[FORWARD_TEXT];
	size_t i;
	int err;

	for (i = 0; i < settings->forward_count; i++) {
		address_ip_text(&settings->forward[i], ip);
		snprintf(text, sizeof(text), "%s@%u", ip,
		    settings->forward[i].port);
		if ((err = ub_ctx_set_fwd(dns->unbound, text)) != 0)
			return err;
	}
	return 0;
}

static int
set_options(struct dns *dns, char error[DNS_ERROR_MAX])
{
	size_t i;
	int err;

	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		err = ub_ctx_set_option(dns->unbound, options[i].name,
		    options[i].value);
		if (err == 0)
			continue;
		snprintf(error, DNS_ERROR_MAX, "libunbound: %s %s: %s",
		    options[i].name, options[i].value, ub_strerror(err));
		return -1;
	}
	return 0;
}

static void
on_trial(void *arg, int rcode, void *packet, int len, int security,
    char *why_bogus, int was_ratelimited)
{
	(void)arg;
	(void)rcode;
	(void)packet;
	(void)len;
	(void)security;
	(void)why_bogus;
	(void)was_ratelimited;
}

/*
 * libunbound reads its files when the first question comes: here that is one
 * which it answers itself, at once, while files can be read and mistakes told.
 */
static int
try_out(struct dns *dns)
{
	int err;

	if ((err = ub_ctx_zone_add(dns->unbound, TRIAL_ZONE, "static")) != 0 ||
	    (err = ub_resolve_event(dns->unbound, TRIAL_ZONE, DNS_A, CLASS_IN,
		 NULL, on_trial, NULL)) != 0)
		return err;
	return ub_ctx_zone_remove(dns->unbound, TRIAL_ZONE);
}

/* libunbound says of a file that it cannot read no more than "failed". */
static int
check_file(const char *key, const char *path, char error[DNS_ERROR_MAX])
{
	if (access(path, R_OK) == 0)
		return 0;
	snprintf(error, DNS_ERROR_MAX, "%s: %s: %s", key, path,
	    strerror(errno));
	return -1;
}

static int
configure(struct dns *dns, const struct dns_settings *settings,
    char error[DNS_ERROR_MAX])
{
	int err;

	if (check_file("dns.trust_anchor", settings->trust_anchor, error) ==
	    -1)
		return -1;
	if (settings->root_hints != NULL &&
	    check_file("dns.root_hints", settings->root_hints, error) == -1)
		return -1;
	if (set_options(dns, error) == -1)
		return -1;
	if ((err = set_forward(dns, settings)) != 0) {
		snprintf(error, DNS_ERROR_MAX, "dns.forward: %s",
		    ub_strerror(err));
		return -1;
	}
	if (settings->root_hints != NULL &&
	    (err = ub_ctx_set_option(dns->unbound, "root-hints:",
		 settings->root_hints)) != 0) {
		snprintf(error, DNS_ERROR_MAX, "dns.root_hints: %s",
		    ub_strerror(err));
		return -1;
	}
	if ((err = ub_ctx_add_ta_file(dns->unbound,
		 settings->trust_anchor)) != 0) {
		snprintf(error, DNS_ERROR_MAX, "dns.trust_anchor: %s",
		    ub_strerror(err));
		return -1;
	}
	if ((err = try_out(dns)) != 0) {
		snprintf(error, DNS_ERROR_MAX,
		    "cannot use dns.trust_anchor or dns.root_hints: %s",
		    ub_strerror(err));
		return -1;
	}
	return 0;
}

struct dns *
dns_new(struct event_base *base, const struct dns_settings *settings,
    char error[DNS_ERROR_MAX])
{
	struct dns *dns;

	if ((dns = calloc(1, sizeof(*dns))) == NULL)
		goto nomem;
	LIST_INIT(&dns->queries);
	dns->base = base;
	dns->timeout.tv_sec = settings->timeout;
	if ((dns->unbound = ub_ctx_create_event(base)) == NULL)
		goto nomem;
	if (configure(dns, settings, error) == -1) {
		dns_free(dns);
		return NULL;
	}
	return dns;
nomem:
	free(dns);
	snprintf(error, DNS_ERROR_MAX, "libunbound: out of memory");
	return NULL;
}

void
dns_free(struct dns *dns)
{
	struct dns_query *query, *next;

	if (dns == NULL)
		return;
	/* Ending, libunbound may call back for what is open. */
	LIST_FOREACH(query, &dns->queries, entry)
		query->is_forgotten = true;
	ub_ctx_delete(dns->unbound);
	LIST_FOREACH_SAFE(query, &dns->queries, entry, next)
		query_free(query);
	free(dns);
}
