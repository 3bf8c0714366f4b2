/* SPDX-License-Identifier: ISC */
/*
 * A short list of names to ask at, one after the other, until one has signed
 * records.  What is denied, be it without a signature, or there without one,
 * is none; every other failure is told as such, since whoever can make lookups
 * fail could else turn DANE off.
 */

#include "proxy/policy/tlsa_lookup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/policy/decide.h"
#include "proxy/policy/dns.h"

#define TOO_MANY  "too many DNS questions at once"
#define BASES_MAX 2 /* where the aliases led, and the host's own name */

struct tlsa_lookup {
	struct dns *dns; /* borrowed */
	struct mx_host *host; /* borrowed */
	uint16_t port;
	const char *bases[BASES_MAX]; /* of the host; in their order */
	size_t base_count;
	size_t base; /* that is being asked at */
	/* What is being asked for: "_25._tcp.mx.example", or an alias. */
	char name[DNS_NAME_MAX + sizeof("_65535._tcp.")];
	uint32_t ttl;
	void (*done)(void *, uint32_t);
	void *arg;
};

static void
finish(struct tlsa_lookup *lookup, enum mx_tlsa tlsa)
{
	lookup->host->tlsa = tlsa;
	lookup->done(lookup->arg, lookup->ttl);
	free(lookup);
}

static void
fail(struct mx_host *host, bool is_bogus, const char *name, const char *why)
{
	host->tlsa = MX_TLSA_UNKNOWN;
	host->tlsa_is_bogus = is_bogus;
	snprintf(host->tlsa_why, sizeof(host->tlsa_why), "%s of %s: %s",
	    is_bogus ? "bogus records" : "lookup", name, why);
}

static void
finish_failed(struct tlsa_lookup *lookup, const struct dns_answer *answer)
{
	fail(lookup->host, answer->status == DNS_BOGUS, lookup->name,
	    answer->why);
	finish(lookup, MX_TLSA_UNKNOWN);
}

static void
note_ttl(struct tlsa_lookup *lookup, const struct dns_answer *answer)
{
	if (answer->ttl < lookup->ttl)
		lookup->ttl = answer->ttl;
}

/* A record that is too long to be one proves nothing, as if it were not. */
static void
keep_records(struct tlsa_lookup *lookup, const struct dns_answer *answer)
{
	struct mx_host *host = lookup->host;
	const struct dns_record *record;
	size_t i;

	if ((host->bytes = malloc(answer->byte_count + 1)) == NULL) {
		fail(host, false, lookup->name, "out of memory");
		finish(lookup, MX_TLSA_UNKNOWN);
		return;
	}
	memcpy(host->bytes, answer->bytes, answer->byte_count);
	for (i = 0; i < answer->count && host->record_count < MX_TLSA_MAX;
	     i++) {
		record = &answer->records[i];
		if (tlsa_from_rdata(&host->records[host->record_count],
			host->bytes + record->offset, record->len) == 0)
			host->record_count++;
	}
	strlcpy(host->base, lookup->bases[lookup->base], sizeof(host->base));
	finish(lookup, MX_TLSA_FOUND);
}

static void ask(struct tlsa_lookup *);

static void
ask_next(struct tlsa_lookup *lookup)
{
	if (++lookup->base < lookup->base_count)
		ask(lookup);
	else
		finish(lookup, MX_TLSA_NONE);
}

static void
on_records(void *arg, const struct dns_answer *answer)
{
	struct tlsa_lookup *lookup = arg;

	note_ttl(lookup, answer);
	switch (answer->status) {
	case DNS_FOUND:
		if (answer->is_secure)
			keep_records(lookup, answer);
		else
			ask_next(lookup);
		return;
	case DNS_NODATA:
	case DNS_NXDOMAIN:
		ask_next(lookup);
		return;
	case DNS_BOGUS:
	case DNS_FAILED:
		finish_failed(lookup, answer);
		return;
	}
}

/* A base name may be so long that no TLSA record can be below it. */
static void
ask(struct tlsa_lookup *lookup)
{
	const char *base = lookup->bases[lookup->base];
	struct dns_answer none;

	snprintf(lookup->name, sizeof(lookup->name), "_%u._tcp.%s",
	    lookup->port, base);
	if (!dns_name_is_host(lookup->name)) {
		ask_next(lookup);
		return;
	}
	if (dns_ask(lookup->dns, lookup->name, DNS_TLSA, on_records, lookup) ==
	    0)
		return;
	dns_answer_fail(&none, TOO_MANY);
	finish_failed(lookup, &none);
}

/*
 * The addresses are not signed, but an alias led to them: where the alias
 * itself is, the host's own name may have records (RFC 7672 2.2.2).
 */
static void
on_alias(void *arg, const struct dns_answer *answer)
{
	struct tlsa_lookup *lookup = arg;

	note_ttl(lookup, answer);
	switch (answer->status) {
	case DNS_FOUND:
	case DNS_NODATA:
	case DNS_NXDOMAIN:
		if (answer->status == DNS_FOUND && answer->is_secure)
			ask(lookup);
		else
			finish(lookup, MX_TLSA_NOT_ASKED);
		return;
	case DNS_BOGUS:
	case DNS_FAILED:
		finish_failed(lookup, answer);
		return;
	}
}

static bool
is_known(const struct mx_addresses *addresses)
{
	return addresses->status != DNS_BOGUS &&
	       addresses->status != DNS_FAILED;
}

/*
 * Which family's answer speaks for the host: the connection's own, unless it
 * failed, or there is none in it while there is in the other.
 */
static const struct mx_addresses *
speaking(const struct mx_host *host, bool prefers_ipv6)
{
	const struct mx_addresses *own, *other;

	own = prefers_ipv6 ? &host->ipv6 : &host->ipv4;
	other = prefers_ipv6 ? &host->ipv4 : &host->ipv6;
	if (own->status == DNS_FOUND || !is_known(other))
		return own;
	return other->status == DNS_FOUND || !is_known(own) ? other : own;
}

/* What an address lookup that failed leaves to be told. */
static void
fail_addresses(struct mx_host *host, const struct mx_addresses *addresses)
{
	fail(host, addresses->status == DNS_BOGUS, host->name, addresses->why);
}

static void
begin(struct tlsa_lookup *lookup, const struct mx_addresses *addresses)
{
	const struct mx_host *host = lookup->host;
	struct dns_answer none;

	if (addresses->is_secure && addresses->is_alias &&
	    addresses->canonical[0] != '\0')
		lookup->bases[lookup->base_count++] = addresses->canonical;
	lookup->bases[lookup->base_count++] = host->name;
	strlcpy(lookup->name, host->name, sizeof(lookup->name));
	if (addresses->is_secure) {
		ask(lookup);
	} else if (dns_ask(lookup->dns, host->name, DNS_CNAME, on_alias,
		       lookup) == -1) {
		dns_answer_fail(&none, TOO_MANY);
		finish_failed(lookup, &none);
	}
}

void
tlsa_lookup_start(struct dns *dns, struct mx_host *host, uint16_t port,
    bool prefers_ipv6, void (*done)(void *, uint32_t), void *arg)
{
	const struct mx_addresses *addresses = speaking(host, prefers_ipv6);
	struct tlsa_lookup *lookup = NULL;

	host->tlsa = MX_TLSA_NOT_ASKED;
	if (!is_known(addresses))
		fail_addresses(host, addresses);
	else if (addresses->is_secure || addresses->is_alias) {
		lookup = calloc(1, sizeof(*lookup));
		if (lookup == NULL)
			fail(host, false, host->name, "out of memory");
	}
	if (lookup == NULL) {
		done(arg, UINT32_MAX);
		return;
	}
	lookup->dns = dns;
	lookup->host = host;
	lookup->port = port;
	lookup->ttl = UINT32_MAX;
	lookup->done = done;
	lookup->arg = arg;
	begin(lookup, addresses);
}
