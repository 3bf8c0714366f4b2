/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_TEST_PROBE_FIXTURE_H
#define POSTERN_TEST_PROBE_FIXTURE_H

/* Results of a probe, as if it had been run, and how they are shown. */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certs/describe.h"
#include "proxy/probe.h"

static const struct probe_request probe_request = {.domain = "example.org"};

/* 2026-11-26 00:00:00Z */
#define PROBE_NOW INT64_C(1795651200)
#define PROBE_DAY INT64_C(86400)

/* A domain with two hosts, of which nothing more is known. */
static inline struct probe_result *
probe_fixture(void)
{
	struct probe_result *result = calloc(1, sizeof(*result));
	struct facts *facts = facts_new();
	struct mx_host *host;

	assert(result != NULL && facts != NULL);
	result->request = &probe_request;
	result->at = PROBE_NOW;
	result->facts = facts;
	facts->has_head = facts->has_sts = true;
	facts->mx.status = DNS_FOUND;
	facts->mx.is_secure = true;
	facts->mx.host_count = facts->host_count = 2;
	facts->mx.hosts = calloc(2, sizeof(*facts->mx.hosts));
	assert(facts->mx.hosts != NULL);
	for (size_t i = 0; i < 2; i++) {
		host = &facts->mx.hosts[i];
		snprintf(
		    host->name, sizeof(host->name), "mx%zu.example.org", i + 1);
		host->preference = (uint16_t)(10 * (i + 1));
		host->ipv4.status = DNS_FOUND;
		host->ipv4.is_secure = true;
		host->ipv6.status = DNS_NODATA;
		host->ipv6.is_secure = true;
		host->tlsa = MX_TLSA_NONE;
		result->hosts[result->host_count++] = host;
	}
	facts->sts.status = MTA_STS_ABSENT;
	return result;
}

static inline void
probe_fixture_policy(struct probe_result *result)
{
	struct facts *facts = result->facts;

	facts->sts.status = MTA_STS_FOUND;
	facts->sts.policy = &facts->policy;
	strlcpy(facts->sts.id, "20240101", sizeof(facts->sts.id));
	facts->sts.expires = PROBE_NOW + 28 * PROBE_DAY;
	facts->policy.mode = STS_ENFORCE;
	facts->policy.max_age = 604800;
	facts->policy.mx_count = 2;
	strlcpy(facts->policy.mx[0], "mx1.example.org", STS_PATTERN_MAX);
	strlcpy(facts->policy.mx[1], "*.example.net", STS_PATTERN_MAX);
}

/* Two records for the first host, the second of no use. */
static inline void
probe_fixture_tlsa(struct probe_result *result)
{
	struct mx_host *host = &result->facts->mx.hosts[0];

	host->tlsa = MX_TLSA_FOUND;
	strlcpy(host->base, host->name, sizeof(host->base));
	host->bytes = malloc(64);
	assert(host->bytes != NULL);
	memset(host->bytes, 0xa1, 32);
	memset(host->bytes + 32, 0xb2, 32);
	host->record_count = 2;
	host->records[0] = (struct tlsa){3, 1, 1, 32, host->bytes};
	host->records[1] = (struct tlsa){1, 0, 1, 32, host->bytes + 32};
}

static inline struct probe_server *
probe_fixture_server(
    struct probe_result *result, const struct mx_host *host, const char *ip)
{
	struct probe_server *server = &result->servers[result->server_count++];

	assert(address_from_text(&server->address, ip) == 0);
	server->host = host;
	return server;
}

/* TLS was up, with a certificate and that of its issuer. */
static inline void
probe_fixture_tls(struct probe_server *server)
{
	const char *name = server->host != NULL ? server->host->name
	                                        : "mx.example.net";
	struct description *certs = calloc(2, sizeof(*certs));

	assert(certs != NULL);
	strlcpy(server->greeting, "220 hello", sizeof(server->greeting));
	strlcpy(server->tries[server->try_count++], name, DECISION_NAME_MAX);
	strlcpy(server->version, "TLSv1.3", sizeof(server->version));
	strlcpy(
	    server->cipher, "TLS_AES_128_GCM_SHA256", sizeof(server->cipher));
	strlcpy(server->group, "X25519", sizeof(server->group));
	strlcpy(server->sni, name, sizeof(server->sni));
	server->certs = certs;
	server->cert_count = 2;
	for (size_t i = 0; i < 2; i++) {
		certs[i].is_readable = certs[i].has_key = true;
		memset(certs[i].sha256, 0xc0 + (int)i, 32);
		memset(certs[i].spki_sha256, 0xd0 + (int)i, 32);
		certs[i].from = PROBE_NOW - PROBE_DAY;
		certs[i].until = PROBE_NOW + 36 * PROBE_DAY;
		strlcpy(certs[i].issuer, "CN=Lab CA", DESCRIBE_TEXT_MAX);
		strlcpy(certs[i].subject, i == 0 ? "" : "CN=Lab CA",
		    DESCRIBE_TEXT_MAX);
	}
	certs[0].name_count = 1;
	strlcpy(certs[0].names[0], name, DESCRIBE_NAME_MAX);
}

static inline void
probe_fixture_verdict(struct probe_server *server, enum probe_outcome outcome,
    enum evidence evidence, enum result_word word, int code, const char *status,
    const char *text)
{
	struct verdict *verdict = &server->verdict;

	server->outcome = outcome;
	verdict->passes = outcome == PROBE_PROVED || outcome == PROBE_EXCEPTION;
	verdict->evidence = evidence;
	verdict->word = word;
	verdict->code = code;
	strlcpy(verdict->status, status, sizeof(verdict->status));
	strlcpy(verdict->text, text, sizeof(verdict->text));
}

/* One host proved by DANE, the other refused by MTA-STS. */
static inline struct probe_result *
probe_fixture_mixed(void)
{
	struct probe_result *result = probe_fixture();
	struct probe_server *server;

	probe_fixture_policy(result);
	probe_fixture_tlsa(result);
	server = probe_fixture_server(result, result->hosts[0], "192.0.2.1");
	probe_fixture_tls(server);
	probe_fixture_verdict(server, PROBE_PROVED, EVIDENCE_DANE, RESULT_NONE,
	    0, "", "proved by dane: TLSA 3 1 1 a1a1");
	strlcpy(server->verdict.name, "mx1.example.org", DECISION_NAME_MAX);
	server = probe_fixture_server(result, result->hosts[1], "192.0.2.2");
	probe_fixture_tls(server);
	probe_fixture_verdict(server, PROBE_REFUSED, EVIDENCE_MTA_STS,
	    RESULT_CERTIFICATE_HOST_MISMATCH, 451, "4.7.5",
	    "example.org: mx2.example.org[192.0.2.2] not proved by mta-sts: "
	    "certificate-host-mismatch: certificate is for other.example, not "
	    "for mx2.example.org");
	return result;
}

/* What a function prints, to be freed. */
static inline char *
probe_fixture_print(int (*print)(FILE *, const struct probe_result *),
    struct probe_result *result)
{
	char *text = NULL;
	size_t len;
	FILE *fp = open_memstream(&text, &len);

	assert(fp != NULL && print(fp, result) == 0);
	fclose(fp);
	probe_result_free(result);
	return text;
}

#endif
