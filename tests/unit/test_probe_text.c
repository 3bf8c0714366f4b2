/* SPDX-License-Identifier: ISC */
/* A probe's result for a terminal, to the letter. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "probe_fixture.h"
#include "proxy/probe_text.h"

static void
expect(struct probe_result *result, const char *wanted)
{
	char *text = probe_fixture_print(probe_print_text, result);

	assert_string_equal(text, wanted);
	free(text);
}

static void
test_mixed(void **state)
{
	(void)state;
	expect(probe_fixture_mixed(),
	    "example.org: 2 MX hosts, signed (DNSSEC)\n"
	    "  MTA-STS: enforce, id 20240101, until 2026-12-24 00:00:00Z\n"
	    "     mx: mx1.example.org, *.example.net\n"
	    "  10 mx1.example.org (named by the MTA-STS policy)\n"
	    "     IPv6 addresses: none, signed\n"
	    "     TLSA: signed, of mx1.example.org\n"
	    "       3 1 1 "
	    "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1\n"
	    "       1 0 1 "
	    "b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2\n"
	    "           (not usable for SMTP)\n"
	    "     192.0.2.1 (signed)\n"
	    "       TLSv1.3, X25519, TLS_AES_128_GCM_SHA256, SNI "
	    "mx1.example.org\n"
	    "       certificate for mx1.example.org; until 2027-01-01 "
	    "00:00:00Z; issued by\n"
	    "           \"CN=Lab CA\"\n"
	    "       its key, as for TLSA 3 1 1:\n"
	    "         "
	    "d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0\n"
	    "       with \"CN=Lab CA\"; until 2027-01-01 00:00:00Z; issued by "
	    "\"CN=Lab CA\"\n"
	    "       proved by dane: TLSA 3 1 1 a1a1\n"
	    "  20 mx2.example.org (NOT named by the MTA-STS policy)\n"
	    "     IPv6 addresses: none, signed\n"
	    "     TLSA: none\n"
	    "     192.0.2.2 (signed)\n"
	    "       TLSv1.3, X25519, TLS_AES_128_GCM_SHA256, SNI "
	    "mx2.example.org\n"
	    "       certificate for mx2.example.org; until 2027-01-01 "
	    "00:00:00Z; issued by\n"
	    "           \"CN=Lab CA\"\n"
	    "       its key, as for TLSA 3 1 1:\n"
	    "         "
	    "d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0\n"
	    "       with \"CN=Lab CA\"; until 2027-01-01 00:00:00Z; issued by "
	    "\"CN=Lab CA\"\n"
	    "       NOT PROVED by mta-sts: certificate-host-mismatch: "
	    "certificate is for\n"
	    "           other.example, not for mx2.example.org\n"
	    "       so the sender gets 451 4.7.5\n"
	    "example.org: 1 of 2 hosts proved; mail may be refused\n");
}

/* Nothing signed, and neither host as it should be. */
static struct probe_result *
faulty(void)
{
	struct probe_result *result = probe_fixture();
	struct mx_host *hosts = result->facts->mx.hosts;
	struct mta_sts_facts *sts = &result->facts->sts;
	struct probe_server *server;

	result->facts->mx.is_secure = false;
	strlcpy(
	    result->facts->mx.canonical, "real.example.org", DECISION_NAME_MAX);
	sts->word = RESULT_STS_WEBPKI_INVALID;
	strlcpy(sts->why, "the certificate has expired", sizeof(sts->why));
	hosts[0].tlsa = MX_TLSA_NOT_ASKED;
	hosts[0].ipv4.is_secure = false;
	hosts[0].ipv6.status = DNS_BOGUS;
	strlcpy(hosts[0].ipv6.why, "signature expired", DNS_WHY_MAX);
	server = probe_fixture_server(result, &hosts[0], "192.0.2.1");
	strlcpy(server->tries[server->try_count++], "mx1.example.org",
	    DECISION_NAME_MAX);
	probe_fixture_verdict(server, PROBE_NO_SERVER, EVIDENCE_NONE,
	    RESULT_NONE, 421, "4.4.1", "no connection: Connection refused");
	hosts[1].tlsa = MX_TLSA_UNKNOWN;
	strlcpy(hosts[1].tlsa_why, "SERVFAIL", sizeof(hosts[1].tlsa_why));
	hosts[1].ipv4.status = DNS_FAILED;
	strlcpy(hosts[1].ipv4.why, "timed out", DNS_WHY_MAX);
	return result;
}

static void
test_faulty(void **state)
{
	(void)state;
	expect(faulty(),
	    "example.org: 2 MX hosts, not signed\n"
	    "  alias of real.example.org\n"
	    "  MTA-STS: none: sts-webpki-invalid: the certificate has expired\n"
	    "  10 mx1.example.org\n"
	    "     IPv6 addresses: not believed, by DNSSEC: signature expired\n"
	    "     TLSA: of no use, since not all before it is signed\n"
	    "     192.0.2.1 (not signed)\n"
	    "       NOT PROVED: no connection: Connection refused\n"
	    "       so the sender gets 421 4.4.1\n"
	    "  20 mx2.example.org\n"
	    "     IPv4 addresses: cannot be looked up: timed out\n"
	    "     IPv6 addresses: none, signed\n"
	    "     TLSA: cannot be looked up: SERVFAIL\n"
	    "example.org: 0 of 2 hosts proved; mail is refused\n");
}

/* One that only passes, one that is only watched, one of nobody. */
static struct probe_result *
lax(void)
{
	struct probe_result *result = probe_fixture();
	struct probe_server *server;
	size_t i;

	for (i = 0; i < 2; i++) {
		server = probe_fixture_server(result, result->hosts[0],
		    i == 0 ? "192.0.2.1" : "2001:db8::1");
		probe_fixture_tls(server);
		probe_fixture_verdict(server, PROBE_EXCEPTION,
		    EVIDENCE_OPERATOR, RESULT_NONE, 0, "",
		    "TLS to anyone allowed by the operator's rule");
	}
	server = probe_fixture_server(result, result->hosts[1], "192.0.2.2");
	probe_fixture_tls(server);
	server->try_count = 2;
	server->certs_left_out = 3;
	server->certs[1].is_readable = false;
	server->sni[0] = '\0';
	server->group[0] = '\0';
	probe_fixture_verdict(server, PROBE_REFUSED, EVIDENCE_MX_DNSSEC,
	    RESULT_CERTIFICATE_EXPIRED, 451, "4.7.5",
	    "example.org: mx2.example.org[192.0.2.2] not proved by mx+dnssec: "
	    "certificate-expired: since 2026-01-01");
	server->verdict.would_refuse = true;
	strlcpy(server->verdict.note, "mode testing", DECISION_TEXT_MAX);
	server = probe_fixture_server(result, NULL, "192.0.2.3");
	probe_fixture_verdict(server, PROBE_REFUSED, EVIDENCE_MX,
	    RESULT_STARTTLS_NOT_SUPPORTED, 421, "4.7.4",
	    "example.org: [192.0.2.3] must be reached over TLS: "
	    "starttls-not-supported: 502 what?");
	result->left_out = 7;
	return result;
}

static void
test_lax(void **state)
{
	(void)state;
	expect(lax(),
	    "example.org: 2 MX hosts, signed (DNSSEC)\n"
	    "  MTA-STS: none\n"
	    "  10 mx1.example.org\n"
	    "     IPv6 addresses: none, signed\n"
	    "     TLSA: none\n"
	    "     192.0.2.1 (signed)\n"
	    "       TLSv1.3, X25519, TLS_AES_128_GCM_SHA256, SNI "
	    "mx1.example.org\n"
	    "       certificate for mx1.example.org; until 2027-01-01 "
	    "00:00:00Z; issued by\n"
	    "           \"CN=Lab CA\"\n"
	    "       its key, as for TLSA 3 1 1:\n"
	    "         "
	    "d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0\n"
	    "       with \"CN=Lab CA\"; until 2027-01-01 00:00:00Z; issued by "
	    "\"CN=Lab CA\"\n"
	    "       NOT PROVED, but may pass: TLS to anyone allowed by the "
	    "operator's rule\n"
	    "     2001:db8::1 (signed)\n"
	    "       TLSv1.3, X25519, TLS_AES_128_GCM_SHA256, SNI "
	    "mx1.example.org\n"
	    "       the same certificates as 192.0.2.1\n"
	    "       NOT PROVED, but may pass: TLS to anyone allowed by the "
	    "operator's rule\n"
	    "  20 mx2.example.org\n"
	    "     IPv6 addresses: none, signed\n"
	    "     TLSA: none\n"
	    "     192.0.2.2 (signed)\n"
	    "       TLSv1.3, TLS_AES_128_GCM_SHA256, SNI none\n"
	    "       tried with SNI mx2.example.org, none\n"
	    "       certificate for mx2.example.org; until 2027-01-01 "
	    "00:00:00Z; issued by\n"
	    "           \"CN=Lab CA\"\n"
	    "       its key, as for TLSA 3 1 1:\n"
	    "         "
	    "d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0\n"
	    "       with one that cannot be read\n"
	    "       and 3 more\n"
	    "       note: mode testing\n"
	    "       NOT PROVED by mx+dnssec: certificate-expired: since "
	    "2026-01-01\n"
	    "       which is only told: mail passes\n"
	    "  an address of no MX host\n"
	    "     192.0.2.3\n"
	    "       NOT PROVED by mx: starttls-not-supported: 502 what?\n"
	    "       so the sender gets 421 4.7.4\n"
	    "7 more addresses were not tried\n"
	    "example.org: 0 of 2 hosts proved; mail may be refused\n");
}

/* All that was tried is proved, but that was not all. */
static struct probe_result *
partial(void)
{
	struct probe_result *result = probe_fixture();
	struct mx_facts *mx = &result->facts->mx;
	size_t i;

	for (i = 0; i < 2; i++)
		probe_fixture_verdict(
		    probe_fixture_server(result, result->hosts[i], "192.0.2.1"),
		    PROBE_PROVED, EVIDENCE_MX, RESULT_NONE, 0, "",
		    "proved by mx: \"CN=Lab CA\"");
	mx->hosts[0].ipv6.status = DNS_FAILED;
	strlcpy(mx->hosts[0].ipv6.why, "SERVFAIL", DNS_WHY_MAX);
	return result;
}

static struct probe_result *
unfinished(void)
{
	struct probe_result *result = partial();

	probe_fixture_verdict(&result->servers[1], PROBE_UNFINISHED,
	    EVIDENCE_NONE, RESULT_NONE, 0, "",
	    "not done within the 120 s for all of it (see --limit)");
	result->facts->mx.more = result->hosts_left_out = 1;
	result->facts->mx.hosts[1].ipv4.more = 1;
	result->left_out = 1;
	return result;
}

static struct probe_result *
partly_refused(void)
{
	struct probe_result *result = unfinished();
	size_t i;

	for (i = 0; i < 2; i++)
		probe_fixture_verdict(&result->servers[i], PROBE_NO_SERVER,
		    EVIDENCE_NONE, RESULT_NONE, 421, "4.4.1", "no connection");
	result->hosts_left_out = 2;
	return result;
}

static struct probe_result *
unknown(void)
{
	struct probe_result *result = partial();

	result->server_count = 0;
	return result;
}

static void
test_partial(void **state)
{
	(void)state;
	expect(partial(),
	    "example.org: 2 MX hosts, signed (DNSSEC)\n"
	    "  MTA-STS: none\n"
	    "  10 mx1.example.org\n"
	    "     IPv6 addresses: cannot be looked up: SERVFAIL\n"
	    "     TLSA: none\n"
	    "     192.0.2.1 (signed)\n"
	    "       proved by mx: \"CN=Lab CA\"\n"
	    "  20 mx2.example.org\n"
	    "     IPv6 addresses: none, signed\n"
	    "     TLSA: none\n"
	    "     192.0.2.1 (signed)\n"
	    "       proved by mx: \"CN=Lab CA\"\n"
	    "example.org: 1 of 2 hosts proved; the rest is not known\n");
	expect(unfinished(),
	    "example.org: 3 MX hosts, signed (DNSSEC)\n"
	    "  MTA-STS: none\n"
	    "  10 mx1.example.org\n"
	    "     IPv6 addresses: cannot be looked up: SERVFAIL\n"
	    "     TLSA: none\n"
	    "     192.0.2.1 (signed)\n"
	    "       proved by mx: \"CN=Lab CA\"\n"
	    "  20 mx2.example.org\n"
	    "     IPv6 addresses: none, signed\n"
	    "     TLSA: none\n"
	    "     192.0.2.1 (signed)\n"
	    "       NOT PROVED: not done within the 120 s for all of it (see "
	    "--limit)\n"
	    "1 more MX host was not looked at\n"
	    "1 more address was not tried\n"
	    "example.org: 0 of 3 hosts proved; the rest is not known\n");
	expect(partly_refused(),
	    "example.org: 3 MX hosts, signed (DNSSEC)\n"
	    "  MTA-STS: none\n"
	    "  10 mx1.example.org\n"
	    "     IPv6 addresses: cannot be looked up: SERVFAIL\n"
	    "     TLSA: none\n"
	    "     192.0.2.1 (signed)\n"
	    "       NOT PROVED: no connection\n"
	    "       so the sender gets 421 4.4.1\n"
	    "  20 mx2.example.org\n"
	    "     IPv6 addresses: none, signed\n"
	    "     TLSA: none\n"
	    "     192.0.2.1 (signed)\n"
	    "       NOT PROVED: no connection\n"
	    "       so the sender gets 421 4.4.1\n"
	    "2 more MX hosts were not looked at\n"
	    "1 more address was not tried\n"
	    "example.org: 0 of 4 hosts proved; mail may be refused\n");
	expect(unknown(),
	    "example.org: 2 MX hosts, signed (DNSSEC)\n"
	    "  MTA-STS: none\n"
	    "  10 mx1.example.org\n"
	    "     IPv6 addresses: cannot be looked up: SERVFAIL\n"
	    "     TLSA: none\n"
	    "  20 mx2.example.org\n"
	    "     IPv6 addresses: none, signed\n"
	    "     TLSA: none\n"
	    "example.org: 0 of 2 hosts proved; mail is deferred\n");
}

static struct probe_result *
without_hosts(enum dns_status status, bool is_null)
{
	struct probe_result *result = probe_fixture();
	struct mx_facts *mx = &result->facts->mx;

	result->host_count = 0;
	mx->host_count = result->facts->host_count = 0;
	mx->status = status;
	mx->is_null = is_null;
	if (status == DNS_BOGUS || status == DNS_FAILED)
		strlcpy(mx->why, "for some reason", sizeof(mx->why));
	return result;
}

static struct probe_result *
null_mx(void)
{
	return without_hosts(DNS_FOUND, true);
}

static struct probe_result *
no_domain(void)
{
	return without_hosts(DNS_NXDOMAIN, false);
}

static struct probe_result *
bogus(void)
{
	return without_hosts(DNS_BOGUS, false);
}

static struct probe_result *
failed(void)
{
	struct probe_result *result = without_hosts(DNS_FAILED, false);

	result->facts->sts.status = MTA_STS_UNKNOWN;
	strlcpy(result->facts->sts.why, "timed out", DNS_WHY_MAX);
	return result;
}

static void
test_no_hosts(void **state)
{
	(void)state;
	expect(null_mx(),
	    "example.org: takes no mail (null MX), signed (DNSSEC)\n"
	    "  MTA-STS: none\n"
	    "example.org: NOT PROVED; there is nowhere to send mail\n");
	expect(no_domain(),
	    "example.org: there is no such domain, signed (DNSSEC)\n"
	    "  MTA-STS: none\n"
	    "example.org: NOT PROVED; there is nowhere to send mail\n");
	expect(bogus(),
	    "example.org: MX records not believed, by DNSSEC: for some reason\n"
	    "  MTA-STS: none\n"
	    "example.org: NOT PROVED; mail is deferred\n");
	expect(failed(),
	    "example.org: MX records cannot be looked up: for some reason\n"
	    "  MTA-STS: unknown: timed out\n"
	    "example.org: NOT PROVED; mail is deferred\n");
}

/* Asked for a host that is none of the domain's. */
static struct probe_result *
stranger(void)
{
	static const struct probe_request request = {
	    .domain = "example.org",
	    .mx = "mx9.example.net",
	};
	struct probe_result *result = probe_fixture();

	result->request = &request;
	result->is_stranger = true;
	result->host_count = 0;
	return result;
}

static struct probe_result *
known_stranger(void)
{
	struct probe_result *result = stranger();
	struct probe_server *server;

	probe_fixture_policy(result);
	result->hosts[0] = &result->facts->mx.hosts[1];
	result->host_count = 1;
	server = probe_fixture_server(result, result->hosts[0], "192.0.2.2");
	probe_fixture_tls(server);
	probe_fixture_verdict(server, PROBE_PROVED, EVIDENCE_MX, RESULT_NONE, 0,
	    "", "proved by mx: \"CN=Lab CA\"");
	return result;
}

static void
test_stranger(void **state)
{
	(void)state;
	expect(stranger(),
	    "example.org: 2 MX hosts, signed (DNSSEC)\n"
	    "  MTA-STS: none\n"
	    "  mx9.example.net: is no MX host of example.org, and its "
	    "addresses are not\n"
	    "      known; say which with --address\n"
	    "example.org: NOT PROVED; there is nowhere to send mail\n");
	expect(known_stranger(),
	    "example.org: 2 MX hosts, signed (DNSSEC)\n"
	    "  MTA-STS: enforce, id 20240101, until 2026-12-24 00:00:00Z\n"
	    "     mx: mx1.example.org, *.example.net\n"
	    "  mx2.example.org, which is no MX host of example.org (NOT named "
	    "by the MTA-STS\n"
	    "      policy)\n"
	    "     IPv6 addresses: none, signed\n"
	    "     TLSA: none\n"
	    "     192.0.2.2 (signed)\n"
	    "       TLSv1.3, X25519, TLS_AES_128_GCM_SHA256, SNI "
	    "mx2.example.org\n"
	    "       certificate for mx2.example.org; until 2027-01-01 "
	    "00:00:00Z; issued by\n"
	    "           \"CN=Lab CA\"\n"
	    "       its key, as for TLSA 3 1 1:\n"
	    "         "
	    "d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0\n"
	    "       with \"CN=Lab CA\"; until 2027-01-01 00:00:00Z; issued by "
	    "\"CN=Lab CA\"\n"
	    "       proved by mx: \"CN=Lab CA\"\n"
	    "example.org: proved\n");
}

/* Lines are broken between words, and words are never broken. */
static void
test_paragraph(void **state)
{
	char long_word[121], *text = NULL;
	FILE *fp;
	size_t len;

	(void)state;
	memset(long_word, 'x', 120);
	long_word[120] = '\0';
	assert_non_null(fp = open_memstream(&text, &len));
	probe_text_put(fp, COLUMN_HOST, "a %s b %.73s c %.72s d", long_word,
	    long_word, long_word);
	fclose(fp);
	long_word[73] = '\0';
	assert_memory_equal(text, "  a\n      xxx", 13);
	assert_non_null(strstr(text, "x\n      b\n      xxx"));
	assert_non_null(strstr(text, "x\n      c\n      xxx"));
	assert_string_equal(text + len - 9, "\n      d\n");
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_mixed),
	    cmocka_unit_test(test_faulty),
	    cmocka_unit_test(test_lax),
	    cmocka_unit_test(test_partial),
	    cmocka_unit_test(test_no_hosts),
	    cmocka_unit_test(test_stranger),
	    cmocka_unit_test(test_paragraph),
	};

	return cmocka_run_group_tests_name("probe_text", tests, NULL, NULL);
}
