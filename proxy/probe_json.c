/* SPDX-License-Identifier: ISC */
/*
 * A result as one JSON object.  Keys are always there; what there is none of
 * is null or an empty list.  Where memory is short a value becomes null, and
 * the whole is not printed.
 */

#include <jansson.h>
#include <string.h>

#include "certs/date.h"
#include "certs/describe.h"
#include "proxy/probe.h"

#define HEX_MAX (2 * TLSA_DATA_MAX + 1)

/* Both take value over; without it, or room for it, *failed becomes true. */

static void
set(json_t *object, const char *key, json_t *value, bool *failed)
{
	if (json_object_set_new(object, key, value) == -1)
		*failed = true;
}

static void
append(json_t *array, json_t *value, bool *failed)
{
	if (json_array_append_new(array, value) == -1)
		*failed = true;
}

/* "" is null. */
static json_t *
text(const char *text)
{
	return text == NULL || text[0] == '\0' ? json_null()
	                                       : json_string(text);
}

static json_t *
hex(const uint8_t *data, size_t len)
{
	char out[HEX_MAX];
	size_t i;

	out[0] = '\0';
	for (i = 0; i < len && 2 * i + 3 <= sizeof(out); i++)
		snprintf(out + 2 * i, 3, "%02x", data[i]);
	return json_string(out);
}

static json_t *
date(int64_t when)
{
	char out[DATE_TEXT_MAX];
	char *space;

	/* RFC 3339 */
	date_text(when, out);
	if ((space = strchr(out, ' ')) != NULL)
		*space = 'T';
	return json_string(out);
}

static json_t *
word(enum result_word word)
{
	return word == RESULT_NONE ? json_null()
	                           : json_string(result_word_text(word));
}

static const char *
status_text(enum dns_status status)
{
	switch (status) {
	case DNS_FOUND:
		return "found";
	case DNS_NODATA:
		return "none";
	case DNS_NXDOMAIN:
		return "no-such-name";
	case DNS_BOGUS:
	case DNS_FAILED:
		return "unknown";
	}
	return "unknown";
}

static const char *
dnssec_text(enum dns_status status, bool is_secure)
{
	switch (status) {
	case DNS_FOUND:
	case DNS_NODATA:
	case DNS_NXDOMAIN:
		return is_secure ? "secure" : "insecure";
	case DNS_BOGUS:
		return "bogus";
	case DNS_FAILED:
		return "failed";
	}
	return "failed";
}

static void
set_lookup(json_t *object, enum dns_status status, bool is_secure,
    const char *why, bool *failed)
{
	set(object, "status", json_string(status_text(status)), failed);
	set(object, "dnssec", json_string(dnssec_text(status, is_secure)),
	    failed);
	set(object, "why", text(why), failed);
}

static json_t *
mx_json(const struct mx_facts *mx, bool *failed)
{
	json_t *object = json_object();

	set_lookup(object, mx->status, mx->is_secure, mx->why, failed);
	set(object, "null", json_boolean(mx->is_null), failed);
	set(object, "implicit", json_boolean(mx->status == DNS_NODATA), failed);
	set(object, "canonical", text(mx->canonical), failed);
	return object;
}

static json_t *
sts_json(const struct mta_sts_facts *sts, bool *failed)
{
	static const char *const statuses[] = {
	    [MTA_STS_ABSENT] = "none",
	    [MTA_STS_FOUND] = "found",
	    [MTA_STS_UNKNOWN] = "unknown",
	};
	const struct sts_policy *policy = sts->policy;
	json_t *object = json_object(), *patterns = json_array();
	size_t i;

	for (i = 0; policy != NULL && i < policy->mx_count; i++)
		append(patterns, json_string(policy->mx[i]), failed);
	set(object, "status", json_string(statuses[sts->status]), failed);
	set(object, "mode",
	    policy != NULL ? json_string(sts_mode_text(policy->mode))
			   : json_null(),
	    failed);
	set(object, "id", text(sts->id), failed);
	set(object, "expires",
	    policy != NULL ? date(sts->expires) : json_null(), failed);
	set(object, "max_age",
	    policy != NULL ? json_integer(policy->max_age) : json_null(),
	    failed);
	set(object, "mx", patterns, failed);
	set(object, "result", word(sts->word), failed);
	set(object, "why", text(sts->why), failed);
	return object;
}

static json_t *
tlsa_json(const struct mx_host *host, bool *failed)
{
	static const char *const statuses[] = {
	    [MX_TLSA_NOT_ASKED] = "not-asked",
	    [MX_TLSA_NONE] = "none",
	    [MX_TLSA_FOUND] = "found",
	    [MX_TLSA_UNKNOWN] = "unknown",
	};
	json_t *object = json_object(), *records = json_array(), *one;
	const struct tlsa *record;
	size_t i;

	for (i = 0; i < host->record_count; i++) {
		record = &host->records[i];
		one = json_object();
		set(one, "usage", json_integer(record->usage), failed);
		set(one, "selector", json_integer(record->selector), failed);
		set(one, "matching", json_integer(record->matching), failed);
		set(one, "data", hex(record->data, record->len), failed);
		set(one, "usable", json_boolean(tlsa_is_usable(record)),
		    failed);
		append(records, one, failed);
	}
	set(object, "status", json_string(statuses[host->tlsa]), failed);
	set(object, "bogus", json_boolean(host->tlsa_is_bogus), failed);
	set(object, "why", text(host->tlsa_why), failed);
	set(object, "base", text(host->base), failed);
	set(object, "records", records, failed);
	return object;
}

static json_t *
family_json(const struct mx_addresses *addresses, bool *failed)
{
	json_t *object = json_object();

	set_lookup(object, addresses->status, addresses->is_secure,
	    addresses->why, failed);
	set(object, "left_out", json_integer(addresses->more), failed);
	return object;
}

static json_t *
cert_json(const struct description *cert, bool *failed)
{
	json_t *object = json_object(), *names = json_array();
	size_t n;

	for (n = 0; n < cert->name_count; n++)
		append(names, json_string(cert->names[n]), failed);
	set(object, "subject", text(cert->subject), failed);
	set(object, "issuer", text(cert->issuer), failed);
	set(object, "names", names, failed);
	set(object, "names_left_out",
	    json_integer((json_int_t)cert->names_left_out), failed);
	set(object, "not_before",
	    cert->is_readable ? date(cert->from) : json_null(), failed);
	set(object, "not_after",
	    cert->is_readable ? date(cert->until) : json_null(), failed);
	set(object, "sha256", hex(cert->sha256, sizeof(cert->sha256)), failed);
	set(object, "spki_sha256",
	    cert->has_key ? hex(cert->spki_sha256, sizeof(cert->spki_sha256))
			  : json_null(),
	    failed);
	return object;
}

static json_t *
tls_json(const struct probe_server *server, bool *failed)
{
	json_t *object, *chain;
	size_t i;

	if (server->version[0] == '\0')
		return json_null();
	object = json_object();
	chain = json_array();
	for (i = 0; i < server->cert_count; i++)
		append(chain, cert_json(&server->certs[i], failed), failed);
	set(object, "version", text(server->version), failed);
	set(object, "cipher", text(server->cipher), failed);
	set(object, "group", text(server->group), failed);
	set(object, "sni", text(server->sni), failed);
	set(object, "chain", chain, failed);
	set(object, "chain_left_out",
	    json_integer((json_int_t)server->certs_left_out), failed);
	return object;
}

static json_t *
server_json(const struct probe_server *server, bool *failed)
{
	const struct verdict *verdict = &server->verdict;
	json_t *object = json_object(), *tries = json_array();
	char ip[ADDRESS_TEXT_MAX];
	size_t i;

	for (i = 0; i < server->try_count; i++)
		append(tries, text(server->tries[i]), failed);
	set(object, "address",
	    json_string(address_ip_text(&server->address, ip)), failed);
	set(object, "outcome", json_string(probe_outcome_text(server->outcome)),
	    failed);
	set(object, "evidence",
	    verdict->evidence == EVIDENCE_NONE
		? json_null()
		: json_string(evidence_text(verdict->evidence)),
	    failed);
	set(object, "result", word(verdict->word), failed);
	set(object, "name", text(verdict->name), failed);
	set(object, "text", text(verdict->text), failed);
	set(object, "note", text(verdict->note), failed);
	set(object, "code",
	    verdict->code != 0 ? json_integer(verdict->code) : json_null(),
	    failed);
	set(object, "status", text(verdict->status), failed);
	set(object, "observed", json_boolean(verdict->would_refuse), failed);
	set(object, "greeting", text(server->greeting), failed);
	set(object, "sni_tried", tries, failed);
	set(object, "tls", tls_json(server, failed), failed);
	return object;
}

static json_t *
servers_json(
    const struct probe_result *result, const struct mx_host *host, bool *failed)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < result->server_count; i++)
		if (result->servers[i].host == host)
			append(array, server_json(&result->servers[i], failed),
			    failed);
	return array;
}

static json_t *
host_json(
    const struct probe_result *result, const struct mx_host *host, bool *failed)
{
	const struct mta_sts_facts *sts = &result->facts->sts;
	json_t *object = json_object();

	set(object, "name", json_string(host->name), failed);
	set(object, "preference",
	    result->is_stranger ? json_null() : json_integer(host->preference),
	    failed);
	set(object, "is_mx", json_boolean(!result->is_stranger), failed);
	set(object, "ipv4", family_json(&host->ipv4, failed), failed);
	set(object, "ipv6", family_json(&host->ipv6, failed), failed);
	set(object, "tlsa", tlsa_json(host, failed), failed);
	set(object, "mta_sts_match",
	    sts->policy == NULL
		? json_null()
		: json_boolean(sts_policy_has(sts->policy, host->name)),
	    failed);
	set(object, "proved", json_boolean(probe_host_is_proved(result, host)),
	    failed);
	set(object, "addresses", servers_json(result, host, failed), failed);
	return object;
}

static json_t *
result_json(const struct probe_result *result, bool *failed)
{
	json_t *object = json_object(), *hosts = json_array();
	size_t i;

	for (i = 0; i < result->host_count; i++)
		append(
		    hosts, host_json(result, result->hosts[i], failed), failed);
	set(object, "domain", json_string(result->request->domain), failed);
	set(object, "time", date(result->at), failed);
	set(object, "mx", mx_json(&result->facts->mx, failed), failed);
	set(object, "mta_sts", sts_json(&result->facts->sts, failed), failed);
	set(object, "hosts", hosts, failed);
	set(object, "other_addresses", servers_json(result, NULL, failed),
	    failed);
	set(object, "not_tried", json_integer((json_int_t)result->left_out),
	    failed);
	set(object, "hosts_not_tried",
	    json_integer((json_int_t)result->hosts_left_out), failed);
	set(object, "proved", json_boolean(probe_is_proved(result)), failed);
	return object;
}

int
probe_print_json(FILE *out, const struct probe_result *result)
{
	bool failed = false;
	json_t *json = result_json(result, &failed);

	if (!failed)
		failed = json_dumpf(json, out, JSON_INDENT(2)) == -1 ||
		         fputc('\n', out) == EOF || fflush(out) == EOF;
	json_decref(json);
	return failed ? -1 : 0;
}
