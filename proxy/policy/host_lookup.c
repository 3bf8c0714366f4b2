/* SPDX-License-Identifier: ISC */
/*
 * Two questions, and one answer when both are in.  One family that fails does
 * no harm where the other has an address.
 */

#include "proxy/policy/host_lookup.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/policy/dns.h"

/* Lives until the last answer is in, and frees itself then. */
struct host_lookup {
	struct host_addresses ipv4;
	struct host_addresses found; /* IPv6, then all */
	size_t pending;
	void (*done)(void *, const struct host_addresses *);
	void *arg;
};

static void
finish(struct host_lookup *lookup)
{
	struct host_addresses *found = &lookup->found;
	size_t i;

	for (i = 0; i < lookup->ipv4.count; i++)
		found->addresses[found->count++] = lookup->ipv4.addresses[i];
	if (found->why[0] == '\0')
		strlcpy(found->why, lookup->ipv4.why, sizeof(found->why));
	if (found->count > 0)
		found->why[0] = '\0';
	lookup->done(lookup->arg, found);
	free(lookup);
}

static void
take(struct host_lookup *lookup, struct host_addresses *found,
    const struct dns_answer *answer)
{
	size_t i;

	for (i = 0; i < answer->count && i < HOST_ADDRESSES_MAX; i++)
		found->addresses[found->count++] = answer->records[i].address;
	if (answer->status == DNS_BOGUS || answer->status == DNS_FAILED)
		strlcpy(found->why, answer->why, sizeof(found->why));
	if (--lookup->pending == 0)
		finish(lookup);
}

static void
on_ipv4(void *arg, const struct dns_answer *answer)
{
	struct host_lookup *lookup = arg;

	take(lookup, &lookup->ipv4, answer);
}

static void
on_ipv6(void *arg, const struct dns_answer *answer)
{
	struct host_lookup *lookup = arg;

	take(lookup, &lookup->found, answer);
}

int
host_lookup_start(struct dns *dns, const char *host,
    void (*done)(void *, const struct host_addresses *), void *arg)
{
	struct host_lookup *lookup;

	if ((lookup = calloc(1, sizeof(*lookup))) == NULL)
		return -1;
	lookup->done = done;
	lookup->arg = arg;
	if (dns_ask(dns, host, DNS_AAAA, on_ipv6, lookup) == -1) {
		free(lookup);
		return -1;
	}
	lookup->pending++;
	if (dns_ask(dns, host, DNS_A, on_ipv4, lookup) == 0)
		lookup->pending++;
	else
		strlcpy(lookup->ipv4.why, "too many DNS questions at once",
		    sizeof(lookup->ipv4.why));
	return 0;
}
