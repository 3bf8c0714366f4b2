/* SPDX-License-Identifier: ISC */
/*
 * A and AAAA records are asked for at once; neither may take all the places.
 * A question to the DNS cannot be taken back, so a lookup that was forgotten
 * lives until its answers are there.
 */

#include "proxy/policy/redis_host.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/log.h"
#include "proxy/policy/dns.h"

static const enum dns_type types[] = {DNS_A, DNS_AAAA};

#define TYPE_COUNT (sizeof(types) / sizeof(types[0]))

struct redis_lookup {
	struct redis_host host;
	uint16_t port;
	size_t open; /* questions without an answer */
	void (*done)(void *, const struct redis_host *); /* NULL: forgotten */
	void *arg;
};

static void
add(struct redis_host *host, const struct address *address, uint16_t port)
{
	if (host->count == REDIS_ADDRESSES_MAX)
		return;
	host->addresses[host->count] = *address;
	host->addresses[host->count++].port = port;
}

bool
redis_host_know(struct redis_host *host, const char *name, uint16_t port)
{
	static const char *const loopback[] = {"127.0.0.1", "::1"};
	struct address address;

	memset(host, 0, sizeof(*host));
	if (address_from_text(&address, name) == 0) {
		add(host, &address, port);
		return true;
	}
	if (strcmp(name, "localhost") != 0)
		return false;
	for (size_t i = 0; i < sizeof(loopback) / sizeof(loopback[0]); i++)
		if (address_from_text(&address, loopback[i]) == 0)
			add(host, &address, port);
	return true;
}

static void
on_records(void *arg, const struct dns_answer *answer)
{
	struct redis_lookup *lookup = arg;
	struct redis_host *host = &lookup->host;
	size_t i, max = REDIS_ADDRESSES_MAX / TYPE_COUNT;

	for (i = 0; answer->status == DNS_FOUND && i < answer->count && i < max;
	     i++)
		add(host, &answer->records[i].address, lookup->port);
	if (answer->status == DNS_FAILED || answer->status == DNS_BOGUS)
		log_escape(host->why, sizeof(host->why), answer->why,
		    strlen(answer->why));
	if (--lookup->open > 0)
		return;
	if (host->why[0] == '\0')
		strlcpy(host->why, "the DNS has no address of it",
		    sizeof(host->why));
	if (lookup->done != NULL)
		lookup->done(lookup->arg, host);
	free(lookup);
}

struct redis_lookup *
redis_host_find(struct dns *dns, const char *name, uint16_t port,
    void (*done)(void *, const struct redis_host *), void *arg)
{
	struct redis_lookup *lookup;

	if ((lookup = calloc(1, sizeof(*lookup))) == NULL)
		return NULL;
	lookup->port = port;
	lookup->done = done;
	lookup->arg = arg;
	for (size_t i = 0; i < TYPE_COUNT; i++) {
		if (dns_ask(dns, name, types[i], on_records, lookup) == 0)
			lookup->open++;
	}
	if (lookup->open > 0)
		return lookup;
	free(lookup);
	return NULL;
}

void
redis_host_forget(struct redis_lookup *lookup)
{
	if (lookup != NULL)
		lookup->done = NULL;
}
