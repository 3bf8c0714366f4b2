/* SPDX-License-Identifier: ISC */
/*
 * A result for a terminal of 80 columns: what is known of the domain, its
 * hosts, their addresses below them, and what it comes to.
 */

#include "proxy/probe_text.h"

#include <string.h>

#include "certs/date.h"

/* What the MX lookup came to, behind the domain's name. */
static void
put_domain(FILE *out, const struct probe_result *result)
{
	const struct mx_facts *mx = &result->facts->mx;
	const char *domain = result->request->domain;
	const char *is_signed = mx->is_secure ? "signed (DNSSEC)"
	                                      : "not signed";

	switch (mx->status) {
	case DNS_FOUND:
		if (mx->is_null)
			probe_text_put(out, COLUMN_DOMAIN,
			    "%s: takes no mail (null MX), %s", domain,
			    is_signed);
		else
			probe_text_put(out, COLUMN_DOMAIN,
			    "%s: %zu MX host%s, %s", domain,
			    mx->host_count + mx->more,
			    mx->host_count == 1 ? "" : "s", is_signed);
		break;
	case DNS_NODATA:
		probe_text_put(out, COLUMN_DOMAIN,
		    "%s: no MX records, so mail goes to the name itself, %s",
		    domain, is_signed);
		break;
	case DNS_NXDOMAIN:
		probe_text_put(out, COLUMN_DOMAIN,
		    "%s: there is no such domain, %s", domain, is_signed);
		break;
	case DNS_BOGUS:
		probe_text_put(out, COLUMN_DOMAIN,
		    "%s: MX records not believed, by DNSSEC: %s", domain,
		    mx->why);
		break;
	case DNS_FAILED:
		probe_text_put(out, COLUMN_DOMAIN,
		    "%s: MX records cannot be looked up: %s", domain, mx->why);
		break;
	}
	if (mx->canonical[0] != '\0' && strcmp(mx->canonical, domain) != 0)
		probe_text_put(out, COLUMN_HOST, "alias of %s", mx->canonical);
}

static void
put_policy(FILE *out, const struct mta_sts_facts *sts)
{
	char patterns[PROBE_LINE_MAX], date[DATE_TEXT_MAX];
	size_t i, used = 0;

	probe_text_put(out, COLUMN_HOST, "MTA-STS: %s, id %s, until %s",
	    sts_mode_text(sts->policy->mode), sts->id,
	    date_text(sts->expires, date));
	patterns[0] = '\0';
	for (i = 0; i < sts->policy->mx_count && used < sizeof(patterns); i++)
		used += (size_t)snprintf(patterns + used,
		    sizeof(patterns) - used, "%s%s", i == 0 ? "" : ", ",
		    sts->policy->mx[i]);
	if (patterns[0] != '\0')
		probe_text_put(out, COLUMN_OF_HOST, "mx: %s", patterns);
	if (sts->why[0] != '\0')
		probe_text_put(out, COLUMN_OF_HOST,
		    "it could not be refreshed: %s: %s",
		    result_word_text(sts->word), sts->why);
}

static void
put_sts(FILE *out, const struct mta_sts_facts *sts)
{
	const char *word = sts->word == RESULT_NONE
	                       ? ""
	                       : result_word_text(sts->word);

	switch (sts->status) {
	case MTA_STS_FOUND:
		put_policy(out, sts);
		return;
	case MTA_STS_ABSENT:
		if (sts->why[0] == '\0')
			probe_text_put(out, COLUMN_HOST, "MTA-STS: none");
		else
			probe_text_put(out, COLUMN_HOST,
			    "MTA-STS: none: %s%s%s", word,
			    word[0] != '\0' ? ": " : "", sts->why);
		return;
	case MTA_STS_UNKNOWN:
		probe_text_put(
		    out, COLUMN_HOST, "MTA-STS: unknown: %s", sts->why);
		return;
	}
}

/* A host's addresses of one family, where they are not just there. */
static void
put_family(FILE *out, const char *family, const struct mx_addresses *addresses)
{
	switch (addresses->status) {
	case DNS_FOUND:
		return;
	case DNS_NODATA:
	case DNS_NXDOMAIN:
		probe_text_put(out, COLUMN_OF_HOST, "%s: none, %s", family,
		    probe_text_signed(addresses->is_secure));
		return;
	case DNS_BOGUS:
		probe_text_put(out, COLUMN_OF_HOST,
		    "%s: not believed, by DNSSEC: %s", family, addresses->why);
		return;
	case DNS_FAILED:
		probe_text_put(out, COLUMN_OF_HOST,
		    "%s: cannot be looked up: %s", family, addresses->why);
		return;
	}
}

static void
put_records(FILE *out, const struct mx_host *host)
{
	char text[2 * 64 + 1];
	size_t i;

	for (i = 0; i < host->record_count; i++) {
		const struct tlsa *record = &host->records[i];

		probe_text_put(out, COLUMN_OF_ADDRESS, "%u %u %u %s%s%s",
		    record->usage, record->selector, record->matching,
		    probe_text_hex(
			record->data, record->len, text, sizeof(text)),
		    record->len > 64 ? "..." : "",
		    tlsa_is_usable(record) ? "" : " (not usable for SMTP)");
	}
}

static void
put_tlsa(FILE *out, const struct mx_host *host)
{
	switch (host->tlsa) {
	case MX_TLSA_NOT_ASKED:
		probe_text_put(out, COLUMN_OF_HOST,
		    "TLSA: of no use, since not all before it is signed");
		return;
	case MX_TLSA_NONE:
		probe_text_put(out, COLUMN_OF_HOST, "TLSA: none");
		return;
	case MX_TLSA_FOUND:
		probe_text_put(
		    out, COLUMN_OF_HOST, "TLSA: signed, of %s", host->base);
		put_records(out, host);
		return;
	case MX_TLSA_UNKNOWN:
		probe_text_put(out, COLUMN_OF_HOST, "TLSA: %s: %s",
		    host->tlsa_is_bogus ? "not believed, by DNSSEC"
					: "cannot be looked up",
		    host->tlsa_why);
		return;
	}
}

static void
put_servers(
    FILE *out, const struct probe_result *result, const struct mx_host *host)
{
	size_t i;

	for (i = 0; i < result->server_count; i++)
		if (result->servers[i].host == host)
			probe_text_server(out, result, &result->servers[i]);
}

static void
put_host(
    FILE *out, const struct probe_result *result, const struct mx_host *host)
{
	const struct mta_sts_facts *sts = &result->facts->sts;
	const char *match = "";

	if (sts->status == MTA_STS_FOUND)
		match = sts_policy_has(sts->policy, host->name)
		            ? " (named by the MTA-STS policy)"
		            : " (NOT named by the MTA-STS policy)";
	if (result->is_stranger)
		probe_text_put(out, COLUMN_HOST,
		    "%s, which is no MX host of %s%s", host->name,
		    result->request->domain, match);
	else
		probe_text_put(out, COLUMN_HOST, "%u %s%s", host->preference,
		    host->name, match);
	put_family(out, "IPv4 addresses", &host->ipv4);
	put_family(out, "IPv6 addresses", &host->ipv6);
	put_tlsa(out, host);
	put_servers(out, result, host);
}

/* What follows for mail where there is no address to try. */
static const char *
without_servers(const struct probe_result *result)
{
	enum dns_status status = result->facts->mx.status;
	size_t i;

	if (status == DNS_BOGUS || status == DNS_FAILED)
		return "mail is deferred";
	for (i = 0; i < result->host_count; i++)
		if (!probe_host_is_known(result, result->hosts[i]))
			return "mail is deferred";
	return result->hosts_left_out > 0 ? "the rest is not known"
	                                  : "there is nowhere to send mail";
}

/* What follows for mail from what is not proved. */
static const char *
consequence(const struct probe_result *result)
{
	bool is_all = result->left_out == 0 && result->hosts_left_out == 0;
	const struct probe_server *server;
	size_t i, refused = 0, passing = 0;

	if (result->server_count == 0)
		return without_servers(result);
	for (i = 0; i < result->server_count; i++) {
		server = &result->servers[i];
		if (server->outcome == PROBE_NO_SERVER ||
		    (server->outcome == PROBE_REFUSED &&
			!server->verdict.would_refuse))
			refused++;
		else if (server->outcome == PROBE_REFUSED ||
			 server->outcome == PROBE_EXCEPTION)
			passing++;
	}
	if (refused == result->server_count && is_all)
		return "mail is refused";
	if (refused > 0)
		return "mail may be refused";
	return passing > 0 ? "mail passes without proof"
	                   : "the rest is not known";
}

static void
put_summary(FILE *out, const struct probe_result *result)
{
	const char *domain = result->request->domain;

	if (probe_is_proved(result)) {
		probe_text_put(out, COLUMN_DOMAIN, "%s: proved", domain);
		return;
	}
	if (result->hosts_left_out > 0)
		probe_text_put(out, COLUMN_DOMAIN,
		    "%zu more MX host%s not looked at", result->hosts_left_out,
		    result->hosts_left_out == 1 ? " was" : "s were");
	if (result->left_out > 0)
		probe_text_put(out, COLUMN_DOMAIN,
		    "%zu more address%s not tried", result->left_out,
		    result->left_out == 1 ? " was" : "es were");
	if (result->host_count > 0)
		probe_text_put(out, COLUMN_DOMAIN,
		    "%s: %zu of %zu hosts proved; %s", domain,
		    probe_count_proved(result),
		    result->host_count + result->hosts_left_out,
		    consequence(result));
	else
		probe_text_put(out, COLUMN_DOMAIN, "%s: NOT PROVED; %s", domain,
		    consequence(result));
}

int
probe_print_text(FILE *out, const struct probe_result *result)
{
	size_t i;

	put_domain(out, result);
	put_sts(out, &result->facts->sts);
	for (i = 0; i < result->host_count; i++)
		put_host(out, result, result->hosts[i]);
	if (result->is_stranger && result->host_count == 0)
		probe_text_put(out, COLUMN_HOST,
		    "%s: is no MX host of %s, and its addresses are not known; "
		    "say which with --address",
		    result->request->mx, result->request->domain);
	if (result->server_count > 0 &&
	    result->servers[result->server_count - 1].host == NULL)
		probe_text_put(out, COLUMN_HOST, "an address of no MX host");
	put_servers(out, result, NULL);
	put_summary(out, result);
	return ferror(out) || fflush(out) == EOF ? -1 : 0;
}
