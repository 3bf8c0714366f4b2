/* SPDX-License-Identifier: ISC */
/*
 * Three stages, each with its questions all at once: the MX records; each
 * host's addresses in both families, since a family that is bogus leaves DANE
 * to the other; the TLSA records of the hosts that are in question.  A host
 * whose addresses cannot be told is taken as one without the destination, and
 * the facts say that there was one.
 */

#include "proxy/policy/mx_lookup.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/policy/decide.h"
#include "proxy/policy/dns.h"
#include "proxy/policy/tlsa_lookup.h"

struct mx_lookup;

/* One question for addresses: of which host, in which family. */
struct address_lookup {
	struct mx_lookup *lookup; /* borrowed */
	struct mx_host *host; /* likewise */
	bool is_ipv6;
};

/* Lives until the last answer is in, and frees itself then. */
struct mx_lookup {
	struct dns *dns; /* borrowed */
	char domain[DNS_NAME_MAX];
	struct address destination;
	struct mx_facts *facts; /* owned until done */
	struct address_lookup *addresses; /* owned; two for each host */
	size_t pending; /* questions of this stage without an answer yet */
	void (*done)(void *, struct mx_facts *);
	void *arg;
};

void
mx_facts_free(struct mx_facts *facts)
{
	size_t i;

	if (facts == NULL)
		return;
	for (i = 0; i < facts->host_count; i++)
		free(facts->hosts[i].bytes);
	free(facts->hosts);
	free(facts);
}

static void
finish(struct mx_lookup *lookup)
{
	lookup->done(lookup->arg, lookup->facts);
	free(lookup->addresses);
	free(lookup);
}

static void
note_ttl(struct mx_lookup *lookup, uint32_t ttl)
{
	if (ttl < lookup->facts->ttl)
		lookup->facts->ttl = ttl;
}

/* The third stage: TLSA records. */

static void
on_tlsa(void *arg, uint32_t ttl)
{
	struct mx_lookup *lookup = arg;

	note_ttl(lookup, ttl);
	if (--lookup->pending == 0)
		finish(lookup);
}

/*
 * Of the hosts that D is, or of all where it is none.  Where the MX records
 * are not signed, whoever forged them chose the hosts, and DANE says nothing
 * of the domain (RFC 7672 2.2.1).
 */
static void
ask_tlsa(struct mx_lookup *lookup)
{
	const struct address *destination = &lookup->destination;
	struct mx_facts *facts = lookup->facts;
	bool has_destination = false;
	size_t i;

	for (i = 0; i < facts->host_count; i++)
		has_destination |= facts->hosts[i].has_destination;
	lookup->pending = 1; /* this loop itself */
	for (i = 0; i < facts->host_count; i++) {
		if (!facts->is_secure ||
		    (has_destination && !facts->hosts[i].has_destination)) {
			facts->hosts[i].tlsa = MX_TLSA_NOT_ASKED;
			continue;
		}
		lookup->pending++;
		tlsa_lookup_start(lookup->dns, &facts->hosts[i],
		    destination->port, destination->family == AF_INET6, on_tlsa,
		    lookup);
	}
	on_tlsa(lookup, UINT32_MAX);
}

/* The second: addresses. */

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
keep_addresses(struct mx_addresses *addresses, const struct dns_answer *answer)
{
	size_t i;

	addresses->status = answer->status;
	addresses->is_secure = answer->is_secure;
	addresses->is_alias = answer->is_alias;
	strlcpy(addresses->canonical, answer->canonical,
	    sizeof(addresses->canonical));
	strlcpy(addresses->why, answer->why, sizeof(addresses->why));
	for (i = 0; i < answer->count && i < MX_ADDRESSES_MAX; i++)
		addresses->list[i] = answer->records[i].address;
	addresses->count = i;
	addresses->more = (uint16_t)(answer->count - i + answer->more);
}

/* The family that the connection is in; without one, IPv4. */
static bool
is_own_family(const struct mx_lookup *lookup, bool is_ipv6)
{
	return (lookup->destination.family == AF_INET6) == is_ipv6;
}

static void
address_done(struct mx_lookup *lookup)
{
	if (--lookup->pending == 0)
		ask_tlsa(lookup);
}

static void
on_addresses(void *arg, const struct dns_answer *answer)
{
	struct address_lookup *question = arg;
	struct mx_lookup *lookup = question->lookup;
	struct mx_host *host = question->host;

	keep_addresses(question->is_ipv6 ? &host->ipv6 : &host->ipv4, answer);
	if (is_own_family(lookup, question->is_ipv6)) {
		if (answer->status == DNS_BOGUS ||
		    answer->status == DNS_FAILED) {
			lookup->facts->has_unknown = true;
		} else {
			host->has_destination = has_address(
			    answer, &lookup->destination);
			note_ttl(lookup, answer->ttl);
		}
	}
	address_done(lookup);
}

static void
ask_family(
    struct mx_lookup *lookup, struct address_lookup *question, bool is_ipv6)
{
	struct mx_host *host = question->host;
	struct mx_addresses *addresses = is_ipv6 ? &host->ipv6 : &host->ipv4;

	question->lookup = lookup;
	question->is_ipv6 = is_ipv6;
	if (dns_ask(lookup->dns, host->name, is_ipv6 ? DNS_AAAA : DNS_A,
		on_addresses, question) == 0) {
		lookup->pending++;
		return;
	}
	addresses->status = DNS_FAILED;
	strlcpy(addresses->why, "too many DNS questions at once",
	    sizeof(addresses->why));
	if (is_own_family(lookup, is_ipv6))
		lookup->facts->has_unknown = true;
}

/*
 * The other family is for DANE to fall back on, and nobody waits for it where
 * DANE is out of the question; without a destination, both are wanted.
 */
static bool
is_wanted(const struct mx_lookup *lookup, bool is_ipv6)
{
	return lookup->facts->is_secure || is_own_family(lookup, is_ipv6) ||
	       lookup->destination.family == AF_UNSPEC;
}

static void
ask_addresses(struct mx_lookup *lookup)
{
	struct mx_facts *facts = lookup->facts;
	size_t i;

	lookup->pending = 1; /* this loop itself */
	for (i = 0; i < facts->host_count; i++) {
		lookup->addresses[2 * i].host = &facts->hosts[i];
		lookup->addresses[2 * i + 1].host = &facts->hosts[i];
		if (is_wanted(lookup, false))
			ask_family(lookup, &lookup->addresses[2 * i], false);
		if (is_wanted(lookup, true))
			ask_family(lookup, &lookup->addresses[2 * i + 1], true);
	}
	address_done(lookup);
}

/* The first: MX records. */

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
add_host(struct mx_facts *facts, const char *name, uint16_t preference)
{
	struct mx_host *host;

	if (has_host(facts, name))
		return;
	if (facts->host_count == DECISION_NAMES_MAX) {
		facts->more++;
		return;
	}
	host = &facts->hosts[facts->host_count++];
	strlcpy(host->name, name, sizeof(host->name));
	host->preference = preference;
	/* Until they are asked for, if they are. */
	host->ipv4.status = host->ipv6.status = DNS_NODATA;
}

/*
 * RFC 7505: the root as only host means no mail.  Beside other hosts it means
 * nothing, as does a host that no host can be named.
 */
static void
read_hosts(struct mx_lookup *lookup, const struct dns_answer *answer)
{
	struct mx_facts *facts = lookup->facts;
	size_t i;

	if (answer->status == DNS_NODATA) {
		add_host(facts, lookup->domain, 0);
		return;
	}
	facts->more = (uint16_t)answer->more;
	for (i = 0; i < answer->count; i++)
		if (answer->records[i].name[0] != '\0')
			add_host(facts, answer->records[i].name,
			    answer->records[i].preference);
	facts->is_null = facts->host_count == 0 && answer->count > 0 &&
	                 answer->bad_count == 0;
}

/* Room for as many hosts as the answer can name; false: ENOMEM. */
static bool
make_room(struct mx_lookup *lookup, const struct dns_answer *answer)
{
	size_t count = answer->count + 1; /* the implicit MX */

	if (count > DECISION_NAMES_MAX)
		count = DECISION_NAMES_MAX;
	lookup->facts->hosts = calloc(count, sizeof(*lookup->facts->hosts));
	lookup->addresses = calloc(2 * count, sizeof(*lookup->addresses));
	if (lookup->facts->hosts != NULL && lookup->addresses != NULL)
		return true;
	lookup->facts->status = DNS_FAILED;
	strlcpy(
	    lookup->facts->why, "out of memory", sizeof(lookup->facts->why));
	return false;
}

static void
on_mx(void *arg, const struct dns_answer *answer)
{
	struct mx_lookup *lookup = arg;
	struct mx_facts *facts = lookup->facts;

	facts->status = answer->status;
	facts->is_secure = answer->is_secure;
	facts->ttl = answer->ttl;
	if (answer->is_secure && answer->is_alias)
		strlcpy(facts->canonical, answer->canonical,
		    sizeof(facts->canonical));
	strlcpy(facts->why, answer->why, sizeof(facts->why));
	if ((answer->status == DNS_FOUND || answer->status == DNS_NODATA) &&
	    make_room(lookup, answer)) {
		read_hosts(lookup, answer);
		ask_addresses(lookup);
	} else {
		finish(lookup);
	}
}

int
mx_lookup_start(struct dns *dns, const char *domain,
    const struct address *destination, void (*done)(void *, struct mx_facts *),
    void *arg)
{
	struct mx_lookup *lookup;

	if ((lookup = calloc(1, sizeof(*lookup))) == NULL ||
	    (lookup->facts = calloc(1, sizeof(*lookup->facts))) == NULL) {
		free(lookup);
		return -1;
	}
	lookup->dns = dns;
	strlcpy(lookup->domain, domain, sizeof(lookup->domain));
	lookup->destination = *destination;
	lookup->done = done;
	lookup->arg = arg;
	if (dns_ask(dns, domain, DNS_MX, on_mx, lookup) == -1) {
		free(lookup->facts);
		free(lookup);
		return -1;
	}
	return 0;
}
