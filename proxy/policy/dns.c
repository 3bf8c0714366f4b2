/* SPDX-License-Identifier: ISC */
/*
 * libunbound behind dns.h.  A lookup is a name and type in libunbound's hands;
 * whoever asks for the same while it runs waits for the same answer, each with
 * a deadline of its own.
 *
 * libunbound calls back from inside ub_resolve_event where it has the answer
 * at hand; here every answer is put aside first and handed over from the event
 * loop, so that callers see one order of events.  A lookup that nobody waits
 * for any more is left to end by itself rather than cancelled: ub_cancel frees
 * what libunbound's own event code goes on using.  It counts against
 * DNS_LOOKUPS_MAX until then.
 */

#include "proxy/policy/dns.h"

#include <event2/event.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/tree.h>
#include <unbound-event.h>
#include <unbound.h>
#include <unistd.h>

#include "proxy/base/log.h"

#define CLASS_IN     1
#define FORWARD_TEXT (ADDRESS_TEXT_MAX + sizeof("@65535"))

/* What ub_resolve_event's callback says in `sec`. */
#define SECURITY_BOGUS  1
#define SECURITY_SECURE 2

/* One who asked. */
struct waiter {
	TAILQ_ENTRY(waiter) entry;
	struct lookup *lookup; /* borrowed */
	struct event *timer; /* owned; the deadline */
	void (*done)(void *, const struct dns_answer *);
	void *arg;
};

TAILQ_HEAD(waiter_list, waiter);

struct lookup {
	RB_ENTRY(lookup) entry;
	struct dns *dns; /* borrowed */
	char name[DNS_NAME_MAX];
	enum dns_type type;
	struct waiter_list waiters;
	struct event *ready; /* owned; hands the answer over */
	struct dns_answer *answer; /* owned; NULL: none yet, or no memory */
};

RB_HEAD(lookup_tree, lookup);

struct dns {
	struct event_base *base; /* borrowed */
	struct ub_ctx *unbound; /* owned */
	struct lookup_tree lookups;
	size_t lookup_count;
	size_t waiter_count;
	struct timeval timeout;
};

static int
lookup_compare(const struct lookup *a, const struct lookup *b)
{
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	return strcmp(a->name, b->name);
}

RB_PROTOTYPE(lookup_tree, lookup, entry, lookup_compare)
RB_GENERATE(lookup_tree, lookup, entry, lookup_compare)

/*
 * The bounds on memory, sockets and time, and what a mail gateway needs
 * different from a resolver for people.
 */
static const struct {
	const char *name;
	const char *value;
} options[] = {
    {"module-config:", "validator iterator"},
    {"msg-cache-size:", "16m"},
    {"rrset-cache-size:", "32m"},
    {"key-cache-size:", "8m"},
    {"neg-cache-size:", "2m"},
    {"cache-max-ttl:", "3600"},
    {"cache-max-negative-ttl:", "300"},
    /* A zone or a resolver that was mended is noticed soon. */
    {"val-bogus-ttl:", "30"},
    {"infra-host-ttl:", "60"},
    /* What leads to dead servers is given up soon after its deadline. */
    {"infra-cache-max-rtt:", "4000"},
    {"outgoing-num-tcp:", "64"},
    {"edns-buffer-size:", "1232"},
    {"qname-minimisation:", "yes"},
    {"harden-glue:", "yes"},
    {"harden-dnssec-stripped:", "yes"},
    {"harden-below-nxdomain:", "yes"},
    /* No denial of a name that was not asked for. */
    {"aggressive-nsec:", "no"},
    {"harden-algo-downgrade:", "no"}, /* RFC 6840 5.11 */
    /* A root, zones and servers at private addresses work. */
    {"unblock-lan-zones:", "yes"},
    {"do-not-query-localhost:", "no"},
};

static void
waiter_free(struct waiter *waiter)
{
	TAILQ_REMOVE(&waiter->lookup->waiters, waiter, entry);
	waiter->lookup->dns->waiter_count--;
	if (waiter->timer != NULL)
		event_free(waiter->timer);
	free(waiter);
}

/* Whoever asks from now on starts another one. */
static void
lookup_withdraw(struct lookup *lookup)
{
	RB_REMOVE(lookup_tree, &lookup->dns->lookups, lookup);
	lookup->dns->lookup_count--;
}

static void
lookup_free(struct lookup *lookup)
{
	struct waiter *waiter, *next;

	TAILQ_FOREACH_SAFE (waiter, &lookup->waiters, entry, next)
		waiter_free(waiter);
	if (lookup->ready != NULL)
		event_free(lookup->ready);
	free(lookup->answer);
	free(lookup);
}

static void
read_answer(struct lookup *lookup, int rcode, const uint8_t *packet, size_t len,
    int security, const char *why_bogus)
{
	struct dns_answer *answer = lookup->answer;

	if (security == SECURITY_BOGUS) {
		dns_answer_fail(answer, "%s",
		    why_bogus != NULL ? why_bogus : "validation failure");
		answer->status = DNS_BOGUS;
	} else if (rcode != 0) {
		dns_answer_fail(answer,
		    rcode == 2 ? "SERVFAIL" : "response code %d", rcode);
	} else if (dns_packet_parse(packet, len, lookup->type, answer) == 0 &&
		   answer->status != DNS_FAILED) {
		answer->is_secure = security == SECURITY_SECURE;
	}
}

/* libunbound's answer; maybe from inside ub_resolve_event. */
static void
on_answer(void *arg, int rcode, void *packet, int len, int security,
    char *why_bogus, int was_ratelimited)
{
	struct lookup *lookup = arg;

	(void)was_ratelimited;
	lookup->answer = malloc(sizeof(*lookup->answer));
	if (lookup->answer != NULL)
		read_answer(
		    lookup, rcode, packet, (size_t)len, security, why_bogus);
	event_active(lookup->ready, EV_TIMEOUT, 0);
}

/* The end of a lookup. */
static void
on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct lookup *lookup = arg;
	struct waiter *waiter;
	struct dns_answer none;
	const struct dns_answer *answer = lookup->answer;

	(void)fd;
	(void)what;
	if (answer == NULL) {
		dns_answer_fail(&none, "out of memory");
		answer = &none;
	}
	lookup_withdraw(lookup);
	TAILQ_FOREACH (waiter, &lookup->waiters, entry)
		waiter->done(waiter->arg, answer);
	lookup_free(lookup);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct waiter *waiter = arg;
	struct dns_answer none;
	void (*done)(void *, const struct dns_answer *) = waiter->done;

	(void)fd;
	(void)what;
	arg = waiter->arg;
	waiter_free(waiter);
	dns_answer_fail(&none, "timed out");
	done(arg, &none);
}

static struct lookup *
lookup_start(struct dns *dns, const struct lookup *key)
{
	struct lookup *lookup;
	char absolute[DNS_NAME_MAX + 1];
	int err;

	if (dns->lookup_count >= DNS_LOOKUPS_MAX) {
		errno = EAGAIN;
		return NULL;
	}
	if ((lookup = calloc(1, sizeof(*lookup))) == NULL)
		return NULL;
	*lookup = *key;
	lookup->dns = dns;
	TAILQ_INIT(&lookup->waiters);
	RB_INSERT(lookup_tree, &dns->lookups, lookup);
	dns->lookup_count++;
	lookup->ready = event_new(dns->base, -1, 0, on_ready, lookup);
	if (lookup->ready == NULL)
		goto fail;
	snprintf(absolute, sizeof(absolute), "%s.", lookup->name);
	err = ub_resolve_event(dns->unbound, absolute, (int)lookup->type,
	    CLASS_IN, lookup, on_answer, NULL);
	if (err == 0)
		return lookup;
	log_warnx("libunbound: %s", ub_strerror(err));
fail:
	lookup_withdraw(lookup);
	lookup_free(lookup);
	errno = ENOMEM;
	return NULL;
}

static int
wait_for(struct lookup *lookup, void (*done)(void *, const struct dns_answer *),
    void *arg)
{
	struct dns *dns = lookup->dns;
	struct waiter *waiter;

	if ((waiter = calloc(1, sizeof(*waiter))) == NULL)
		return -1;
	waiter->lookup = lookup;
	waiter->done = done;
	waiter->arg = arg;
	TAILQ_INSERT_TAIL(&lookup->waiters, waiter, entry);
	dns->waiter_count++;
	waiter->timer = evtimer_new(dns->base, on_deadline, waiter);
	if (waiter->timer == NULL ||
	    evtimer_add(waiter->timer, &dns->timeout) == -1) {
		waiter_free(waiter);
		errno = ENOMEM;
		return -1;
	}
	return 0;
}

int
dns_ask(struct dns *dns, const char *name, enum dns_type type,
    void (*done)(void *, const struct dns_answer *), void *arg)
{
	struct lookup key = {.type = type}, *lookup;

	if (!dns_name_is_host(name)) {
		errno = EINVAL;
		return -1;
	}
	if (dns->waiter_count >= DNS_WAITERS_MAX) {
		errno = EAGAIN;
		return -1;
	}
	strlcpy(key.name, name, sizeof(key.name));
	lookup = RB_FIND(lookup_tree, &dns->lookups, &key);
	if (lookup == NULL && (lookup = lookup_start(dns, &key)) == NULL)
		return -1;
	return wait_for(lookup, done, arg);
}

static int
set_forward(struct dns *dns, const struct dns_settings *settings)
{
	char ip[ADDRESS_TEXT_MAX], text[FORWARD_TEXT];
	size_t i;
	int err;

	for (i = 0; i < settings->forward_count; i++) {
		address_ip_text(&settings->forward[i], ip);
		snprintf(
		    text, sizeof(text), "%s@%u", ip, settings->forward[i].port);
		if ((err = ub_ctx_set_fwd(dns->unbound, text)) != 0)
			return err;
	}
	return 0;
}

static int
set_option(struct dns *dns, const char *name, const char *value,
    char error[DNS_ERROR_MAX])
{
	int err;

	if ((err = ub_ctx_set_option(dns->unbound, name, value)) == 0)
		return 0;
	snprintf(error, DNS_ERROR_MAX, "libunbound: %s %s: %s", name, value,
	    ub_strerror(err));
	return -1;
}

/*
 * A socket for each question to a server that does not answer, as far as the
 * process may have them, so that the next question needs not wait for one.
 */
static int
set_sockets(struct dns *dns, char error[DNS_ERROR_MAX])
{
	struct rlimit limit;
	char text[16];
	rlim_t sockets = DNS_SOCKETS_MAX;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	    limit.rlim_cur / 2 < sockets)
		sockets = limit.rlim_cur / 2;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)sockets);
	return set_option(dns, "outgoing-range:", text, error);
}

static int
set_options(struct dns *dns, bool forwards, char error[DNS_ERROR_MAX])
{
	size_t i;

	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (set_option(dns, options[i].name, options[i].value, error) ==
		    -1)
			return -1;
	/* A resolver may need long; of a zone's servers one is soon found. */
	if (!forwards &&
	    set_option(dns, "outbound-msg-retry:", "3", error) == -1)
		return -1;
	return set_sockets(dns, error);
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
 * Then its built-in answers go, so that private roots and zones work.
 */
static int
try_out(struct dns *dns)
{
	static const char *const built_in[] = {
	    "localhost.", "home.arpa.", "onion.", "test.", "invalid."};
	size_t i;
	int err;

	err = ub_resolve_event(
	    dns->unbound, "invalid.", DNS_A, CLASS_IN, NULL, on_trial, NULL);
	for (i = 0; err == 0 && i < sizeof(built_in) / sizeof(built_in[0]); i++)
		err = ub_ctx_zone_remove(dns->unbound, built_in[i]);
	return err;
}

/* libunbound says of a file that it cannot read no more than "failed". */
static int
check_file(const char *key, const char *path, char error[DNS_ERROR_MAX])
{
	if (access(path, R_OK) == 0)
		return 0;
	snprintf(
	    error, DNS_ERROR_MAX, "%s: %s: %s", key, path, strerror(errno));
	return -1;
}

static int
configure(struct dns *dns, const struct dns_settings *settings,
    char error[DNS_ERROR_MAX])
{
	int err;

	if (check_file("dns.trust_anchor", settings->trust_anchor, error) == -1)
		return -1;
	if (settings->root_hints != NULL &&
	    check_file("dns.root_hints", settings->root_hints, error) == -1)
		return -1;
	if (set_options(dns, settings->forward_count > 0, error) == -1)
		return -1;
	if ((err = set_forward(dns, settings)) != 0) {
		snprintf(
		    error, DNS_ERROR_MAX, "dns.forward: %s", ub_strerror(err));
		return -1;
	}
	if (settings->root_hints != NULL &&
	    (err = ub_ctx_set_option(
		 dns->unbound, "root-hints:", settings->root_hints)) != 0) {
		snprintf(error, DNS_ERROR_MAX, "dns.root_hints: %s",
		    ub_strerror(err));
		return -1;
	}
	if ((err = ub_ctx_add_ta_file(dns->unbound, settings->trust_anchor)) !=
	    0) {
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
	RB_INIT(&dns->lookups);
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
	if (dns == NULL)
		return;
	ub_ctx_delete(dns->unbound);
	free(dns);
}
