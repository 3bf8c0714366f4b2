/* SPDX-License-Identifier: ISC */
/*
 * One MX question, then one question for each host's addresses of the
 * destination's family, all at once.  A host whose addresses cannot be told is
 * taken as one without the destination, and the facts say that there was one.
 */

#include "proxy/policy/mx_lookup.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/policy/decide.h"
#include "proxy/policy/dns.h"

struct mx_lookup;

struct host_lookup {
	struct mx_lookup *lookup; /* borrowed */
	struct mx_host *host; /* likewise */
};

/* Lives until the last answer is in, and frees itself then. */
struct mx_lookup {
	struct dns *dns; /* borrowed */
	char domain[DNS_NAME_MAX];
	struct address destination;
	struct mx_facts facts;
	char why[DNS_WHY_MAX];
	struct host_lookup hosts[DECISION_NAMES_MAX];
	size_t pending; /* host questions without an answer yet */
	void (*done)(void *, const struct mx_facts *);
	void *arg;
};

static void
finish(struct mx_lookup *lookup)
{
	lookup->done(lookup->arg, &lookup->facts);
	free(lookup->facts.hosts);
	free(lookup);
}

static bool
has_address(const struct dns_answer *answer, const struct address *address)
{
	size_t i;

	for (i = 0; i < answer->count; i++)
		if (address_ip_equal(&answer->records[i].address, address))
			return true;
	return false;
}

static void
on_addresses(void *arg, const struct dns_answer *answer)
{
	struct host_lookup *host = arg;
	struct mx_lookup *lookup = host->lookup;

	switch (answer->status) {
	case DNS_FOUND:
	case DNS_NODATA:
	case DNS_NXDOMAIN:
		host->host->has_destination = has_address(
		    answer, &lookup->destination);
		if (answer->ttl < lookup->facts.ttl)
			lookup->facts.ttl = answer->ttl;
		break;
	case DNS_BOGUS:
	case DNS_FAILED:
		lookup->facts.has_unknown = true;
		break;
	}
	if (--lookup->pending == 0)
		finish(lookup);
}

static bool
has_host(const struct mx_facts *facts, const char *name)
{
	size_t i;

	for (i = 0; i < facts->host_count; i++)
		if (strcmp(facts->hosts[i].name, name) == 0)
			return true;
	return false;
}

static void
add_host(struct mx_facts *facts, const char *name)
{
	if (facts->host_count == DECISION_NAMES_MAX || has_host(facts, name))
		return;
	strlcpy(
	    facts->hosts[facts->host_count++].name, name, DECISION_NAME_MAX);
}

/*
 * RFC 7505: the root as only host means no mail.  Beside other hosts it means
 * nothing, as does a host that no host can be named.
 */
static void
read_hosts(struct mx_lookup *lookup, const struct dns_answer *answer)
{
	struct mx_facts *facts = &lookup->facts;
	size_t i;

	if (answer->status == DNS_NODATA) {
		add_host(facts, lookup->domain);
		return;
	}
	for (i = 0; i < answer->count; i++)
		if (answer->records[i].name[0] != '\0')
			add_host(facts, answer->records[i].name);
	facts->is_null = facts->host_count == 0 && answer->count > 0 &&
	                 answer->bad_count == 0;
}

static void
ask_addresses(struct mx_lookup *lookup)
{
	struct mx_facts *facts = &lookup->facts;
	enum dns_type type;
	size_t i;

	type = lookup->destination.family == AF_INET ? DNS_A : DNS_AAAA;
	for (i = 0; i < facts->host_count; i++) {
		lookup->hosts[i].lookup = lookup;
		lookup->hosts[i].host = &facts->hosts[i];
		if (dns_ask(lookup->dns, facts->hosts[i].name, type,
			on_addresses, &lookup->hosts[i]) == 0)
			lookup->pending++;
		else
			facts->has_unknown = true;
	}
}

static void
on_mx(void *arg, const struct dns_answer *answer)
{
	struct mx_lookup *lookup = arg;
	struct mx_facts *facts = &lookup->facts;

	facts->status = answer->status;
	facts->is_secure = answer->is_secure;
	facts->ttl = answer->ttl;
	strlcpy(lookup->why, answer->why, sizeof(lookup->why));
	facts->why = lookup->why;
	if (answer->status == DNS_FOUND || answer->status == DNS_NODATA) {
		read_hosts(lookup, answer);
		ask_addresses(lookup);
	}
	if (lookup->pending == 0)
		finish(lookup);
}

int
mx_lookup_start(struct dns *dns, const char *domain,
    const struct address *destination,
    void (*done)(void *, const struct mx_facts *), void *arg)
{
	struct mx_lookup *lookup;

	if ((lookup = calloc(1, sizeof(*lookup))) == NULL)
		return -1;
	lookup->facts.hosts = calloc(
	    DECISION_NAMES_MAX, sizeof(*lookup->facts.hosts));
	if (lookup->facts.hosts == NULL) {
		free(lookup);
		return -1;
	}
	lookup->dns = dns;
	strlcpy(lookup->domain, domain, sizeof(lookup->domain));
	lookup->destination = *destination;
	lookup->done = done;
	lookup->arg = arg;
	if (dns_ask(dns, domain, DNS_MX, on_mx, lookup) == -1) {
		free(lookup->facts.hosts);
		free(lookup);
		return -1;
	}
	return 0;
}
