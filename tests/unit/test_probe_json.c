/* SPDX-License-Identifier: ISC */
/* A probe's result as JSON: what programs may count on. */

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "probe_fixture.h"

static json_t *
load(struct probe_result *result)
{
	char *text = probe_fixture_print(probe_print_json, result);
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(json);
	assert_int_equal(text[strlen(text) - 1], '\n');
	free(text);
	return json;
}

static void
expect(const json_t *object, const char *key, const char *wanted)
{
	const char *value = json_string_value(json_object_get(object, key));

	assert_non_null(json_object_get(object, key));
	if (wanted == NULL)
		assert_true(json_is_null(json_object_get(object, key)));
	else
		assert_string_equal(value, wanted);
}

static void
expect_number(const json_t *object, const char *key, int wanted)
{
	assert_true(json_is_integer(json_object_get(object, key)));
	assert_int_equal(
	    json_integer_value(json_object_get(object, key)), wanted);
}

static void
expect_bool(const json_t *object, const char *key, bool wanted)
{
	assert_true(json_is_boolean(json_object_get(object, key)));
	assert_int_equal(json_is_true(json_object_get(object, key)), wanted);
}

static const json_t *
in_list(const json_t *object, const char *key, size_t i, size_t count)
{
	const json_t *list = json_object_get(object, key);

	assert_int_equal(json_array_size(list), count);
	return json_array_get(list, i);
}

static void
test_domain(void **state)
{
	json_t *json = load(probe_fixture_mixed());
	const json_t *sts = json_object_get(json, "mta_sts");
	const json_t *mx = json_object_get(json, "mx");

	(void)state;
	expect(json, "domain", "example.org");
	expect(json, "time", "2026-11-26T00:00:00Z");
	expect_bool(json, "proved", false);
	expect_number(json, "not_tried", 0);
	expect_number(json, "hosts_not_tried", 0);
	expect(mx, "status", "found");
	expect(mx, "dnssec", "secure");
	expect(mx, "why", NULL);
	expect(mx, "canonical", NULL);
	expect_bool(mx, "null", false);
	expect_bool(mx, "implicit", false);
	expect(sts, "status", "found");
	expect(sts, "mode", "enforce");
	expect(sts, "id", "20240101");
	expect(sts, "expires", "2026-12-24T00:00:00Z");
	expect_number(sts, "max_age", 604800);
	expect(sts, "result", NULL);
	assert_string_equal(
	    json_string_value(in_list(sts, "mx", 1, 2)), "*.example.net");
	json_decref(json);
}

static void
test_host(void **state)
{
	json_t *json = load(probe_fixture_mixed());
	const json_t *host = in_list(json, "hosts", 0, 2), *tlsa, *record;

	(void)state;
	expect(host, "name", "mx1.example.org");
	expect_number(host, "preference", 10);
	expect_bool(host, "is_mx", true);
	expect_bool(host, "proved", true);
	expect_bool(host, "mta_sts_match", true);
	expect(json_object_get(host, "ipv6"), "status", "none");
	tlsa = json_object_get(host, "tlsa");
	expect(tlsa, "status", "found");
	expect(tlsa, "base", "mx1.example.org");
	record = in_list(tlsa, "records", 0, 2);
	expect_number(record, "usage", 3);
	expect_number(record, "selector", 1);
	expect_number(record, "matching", 1);
	expect_bool(record, "usable", true);
	expect(record, "data",
	    "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1");
	expect_bool(in_list(tlsa, "records", 1, 2), "usable", false);
	host = in_list(json, "hosts", 1, 2);
	expect_bool(host, "proved", false);
	expect_bool(host, "mta_sts_match", false);
	expect(json_object_get(host, "tlsa"), "status", "none");
	json_decref(json);
}

static void
test_server(void **state)
{
	json_t *json = load(probe_fixture_mixed());
	const json_t *server, *tls, *leaf;

	(void)state;
	server = in_list(in_list(json, "hosts", 0, 2), "addresses", 0, 1);
	expect(server, "address", "192.0.2.1");
	expect(server, "outcome", "proved");
	expect(server, "evidence", "dane");
	expect(server, "result", NULL);
	expect(server, "name", "mx1.example.org");
	expect(server, "code", NULL);
	expect(server, "status", NULL);
	expect(server, "note", NULL);
	expect(server, "greeting", "220 hello");
	expect_bool(server, "observed", false);
	tls = json_object_get(server, "tls");
	expect(tls, "version", "TLSv1.3");
	expect(tls, "cipher", "TLS_AES_128_GCM_SHA256");
	expect(tls, "group", "X25519");
	expect(tls, "sni", "mx1.example.org");
	expect_number(tls, "chain_left_out", 0);
	leaf = in_list(tls, "chain", 0, 2);
	expect(leaf, "subject", NULL);
	expect(leaf, "issuer", "CN=Lab CA");
	expect(leaf, "not_before", "2026-11-25T00:00:00Z");
	expect(leaf, "not_after", "2027-01-01T00:00:00Z");
	expect(leaf, "spki_sha256",
	    "d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0");
	assert_int_equal(json_array_size(json_object_get(leaf, "names")), 1);
	server = in_list(in_list(json, "hosts", 1, 2), "addresses", 0, 1);
	expect(server, "outcome", "refused");
	expect(server, "evidence", "mta-sts");
	expect(server, "result", "certificate-host-mismatch");
	expect_number(server, "code", 451);
	expect(server, "status", "4.7.5");
	json_decref(json);
}

/* What is not there is null, or empty, but the key is. */
static void
test_little(void **state)
{
	struct probe_result *result = probe_fixture();
	struct probe_server *server;
	json_t *json;
	const json_t *sts, *host;

	(void)state;
	result->facts->mx.status = DNS_BOGUS;
	strlcpy(result->facts->mx.why, "signature expired", DNS_WHY_MAX);
	result->facts->sts.status = MTA_STS_UNKNOWN;
	result->facts->mx.hosts[0].tlsa = MX_TLSA_NOT_ASKED;
	server = probe_fixture_server(result, NULL, "2001:db8::1");
	probe_fixture_verdict(server, PROBE_NO_SERVER, EVIDENCE_NONE,
	    RESULT_NONE, 421, "4.4.1", "no connection");
	json = load(result);
	expect(json_object_get(json, "mx"), "dnssec", "bogus");
	expect(json_object_get(json, "mx"), "status", "unknown");
	expect(json_object_get(json, "mx"), "why", "signature expired");
	sts = json_object_get(json, "mta_sts");
	expect(sts, "status", "unknown");
	expect(sts, "mode", NULL);
	expect(sts, "id", NULL);
	expect(sts, "expires", NULL);
	expect(sts, "max_age", NULL);
	assert_int_equal(json_array_size(json_object_get(sts, "mx")), 0);
	host = in_list(json, "hosts", 0, 2);
	expect(host, "mta_sts_match", NULL);
	expect(json_object_get(host, "tlsa"), "status", "not-asked");
	assert_int_equal(
	    json_array_size(json_object_get(host, "addresses")), 0);
	expect_bool(host, "proved", false);
	expect(in_list(json, "other_addresses", 0, 1), "outcome", "no-server");
	expect(in_list(json, "other_addresses", 0, 1), "tls", NULL);
	expect(in_list(json, "other_addresses", 0, 1), "evidence", NULL);
	json_decref(json);
}

static void
test_left_out(void **state)
{
	struct probe_result *result = probe_fixture_mixed();
	json_t *json;
	const json_t *host;

	(void)state;
	result->left_out = 7;
	result->hosts_left_out = 3;
	result->facts->mx.hosts[1].ipv4.more = 7;
	result->servers[1].outcome = PROBE_UNFINISHED;
	json = load(result);
	expect_number(json, "not_tried", 7);
	expect_number(json, "hosts_not_tried", 3);
	host = in_list(json, "hosts", 1, 2);
	expect_number(json_object_get(host, "ipv4"), "left_out", 7);
	expect_number(json_object_get(host, "ipv6"), "left_out", 0);
	expect(in_list(host, "addresses", 0, 1), "outcome", "unfinished");
	json_decref(json);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_domain),
	    cmocka_unit_test(test_host),
	    cmocka_unit_test(test_server),
	    cmocka_unit_test(test_little),
	    cmocka_unit_test(test_left_out),
	};

	return cmocka_run_group_tests_name("probe_json", tests, NULL, NULL);
}
