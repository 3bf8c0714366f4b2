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
	const char *type; /* static */
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
fail(struct mx_host *host, bool is_bogus, const char *type, const char *name,
    const char *why)
{
	host->tlsa = MX_TLSA_UNKNOWN;
	host->tlsa_is_bogus = is_bogus;
	snprintf(host->tlsa_why, sizeof(host->tlsa_why),
	    "%s lookup of %s: %s%s", type, name,
	    is_bogus ? "forged or damaged: " : "", why);
}

static void
finish_failed(struct tlsa_lookup *lookup, const struct dns_answer *answer)
{
	fail(lookup->host, answer->status == DNS_BOGUS, lookup->type,
	    lookup->name, answer->why);
	finish(lookup, MX_TLSA_UNKNOWN);
}

static void
note_ttl(struct tlsa_lookup *lookup, const struct dns_answer *answer)
{
	if (answer->ttl < lookup->ttl)
		lookup->ttl = answer->ttl;
}

/* Those of the records that are usable, or those that are not. */
static void
take_records(
    struct mx_host *host, const struct dns_answer *answer, bool is_usable)
{
	const struct dns_record *from;
	struct tlsa record;
	size_t i;

	for (i = 0; i < answer->count && host->record_count < MX_TLSA_MAX;
	     i++) {
		from = &answer->records[i];
		if (tlsa_from_rdata(
			&record, host->bytes + from->offset, from->len) == 0 &&
		    tlsa_is_usable(&record) == is_usable)
			host->records[host->record_count++] = record;
	}
}

/*
 * The usable ones first: nobody vouches for the order of records, and whoever
 * changed it could else have those left out that count.  What is too long or
 * too short to be a record is as if it were not there.
 */
static void
keep_records(struct tlsa_lookup *lookup, const struct dns_answer *answer)
{
	struct mx_host *host = lookup->host;

	if ((host->bytes = malloc(answer->byte_count + 1)) == NULL) {
		fail(host, false, lookup->type, lookup->name, "out of memory");
		finish(lookup, MX_TLSA_UNKNOWN);
		return;
	}
	memcpy(host->bytes, answer->bytes, answer->byte_count);
	take_records(host, answer, true);
	take_records(host, answer, false);
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

	lookup->type = "TLSA";
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
	fail(host, addresses->status == DNS_BOGUS, "address", host->name,
	    addresses->why);
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
	lookup->type = "CNAME";
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
			fail(host, false, "TLSA", host->name, "out of memory");
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
