/* SPDX-License-Identifier: ISC */
/* Whether one path holds as a whole, and who breaks which rule. */

#include "certs/path_check.h"

#include <openssl/x509.h>

#include "certs/path.h"
#include "certs/verify.h"
#include "tests/unit/parsed.h"

/* The case's chain in its order, and its first anchor. */
static struct path
path_of(const struct parsed *parsed)
{
	struct path path = {.len = 0};

	assert_true(parsed->count < VERIFY_DEPTH_MAX);
	for (size_t i = 0; i < parsed->count; i++)
		path.certs[path.len++] = &parsed->sent[i];
	path.certs[path.len++] = &parsed->anchor;
	return path;
}

/* What is wrong with a case's path, found by X509_verify_cert. */
static void
test_validate(void **state)
{
	static const struct {
		const char *title;
		int error; /* where the dates count */
		int without_dates;
		size_t depth;
	} rows[] = {
	    {"good", X509_V_OK, X509_V_OK, 0},
	    {"good_direct", X509_V_OK, X509_V_OK, 0},
	    {"trusted_intermediate_alone", X509_V_OK, X509_V_OK, 0},
	    {"damaged_leaf", X509_V_ERR_CERT_SIGNATURE_FAILURE,
		X509_V_ERR_CERT_SIGNATURE_FAILURE, 0},
	    {"damaged_ca", X509_V_ERR_CERT_SIGNATURE_FAILURE,
		X509_V_ERR_CERT_SIGNATURE_FAILURE, 1},
	    {"leaf_expired", X509_V_ERR_CERT_HAS_EXPIRED, X509_V_OK, 0},
	    {"leaf_early", X509_V_ERR_CERT_NOT_YET_VALID, X509_V_OK, 0},
	    {"ca_expired", X509_V_ERR_CERT_HAS_EXPIRED, X509_V_OK, 1},
	    {"root_expired", X509_V_ERR_CERT_HAS_EXPIRED, X509_V_OK, 1},
	    {"expired_wrong_key", X509_V_ERR_CERT_SIGNATURE_FAILURE,
		X509_V_ERR_CERT_SIGNATURE_FAILURE, 0},
	    {"limit_not_permitted", X509_V_ERR_PERMITTED_VIOLATION,
		X509_V_ERR_PERMITTED_VIOLATION, 0},
	    {"limit_excluded", X509_V_ERR_EXCLUDED_VIOLATION,
		X509_V_ERR_EXCLUDED_VIOLATION, 0},
	    {"ca_unknown_critical", X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION,
		X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION, 1},
	    {"ca_client", X509_V_ERR_INVALID_PURPOSE,
		X509_V_ERR_INVALID_PURPOSE, 1},
	};
	struct verify_request request = {.at = CASE_AT};
	struct parsed *parsed;
	struct path path;
	size_t depth;
	int error;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		parsed = parse(rows[i].title);
		path = path_of(parsed);
		request.trust = parsed->trust;
		error = path_validate(&path, &request, true, &depth);
		if (error != rows[i].error || depth != rows[i].depth)
			fail_msg("%s: %d at %zu", rows[i].title, error, depth);
		error = path_validate(&path, &request, false, &depth);
		if (error != rows[i].without_dates)
			fail_msg("%s, dates aside: %d", rows[i].title, error);
		parsed_free(parsed);
	}
}

/* The path that is to be judged, and no other that would do as well. */
static void
test_other_way(void **state)
{
	struct parsed *parsed = parse("trusted_intermediate_alone");
	struct verify_request request = {.trust = parsed->trust, .at = CASE_AT};
	struct path path = path_of(parsed);
	size_t depth;

	(void)state;
	path.certs[path.len++] = &parsed->anchor;
	assert_int_equal(path_validate(&path, &request, true, &depth),
	    X509_V_ERR_APPLICATION_VERIFICATION);
	/* What is not the path's is not looked for elsewhere. */
	parsed_free(parsed);
	parsed = parse("good");
	request.trust = parsed->trust;
	path = path_of(parsed);
	path.certs[1] = path.certs[2];
	path.len = 2;
	assert_int_not_equal(
	    path_validate(&path, &request, true, &depth), X509_V_OK);
	parsed_free(parsed);
}

static void
test_lengths(void **state)
{
	static const struct {
		const char *title;
		size_t by; /* 0: none */
	} rows[] = {
	    {"good", 0},
	    {"length_kept", 0},
	    {"length_passed", 2},
	    {"length_self_issued", 0},
	    {"length_self_issued_passed", 3},
	    {"length_root_kept", 0},
	    {"length_root_passed", 2},
	};
	struct parsed *parsed;
	struct path path;
	size_t at, spent;
	const char *fault;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		parsed = parse(rows[i].title);
		path = path_of(parsed);
		spent = 0;
		fault = path_rule_broken(&path, &spent, &at);
		if ((fault != NULL) != (rows[i].by != 0) || at != rows[i].by)
			fail_msg("%s: %s by %zu", rows[i].title,
			    fault == NULL ? "fine" : fault, at);
		assert_int_equal(spent, 0);
		parsed_free(parsed);
	}
}

/*
 * 250 and one names and a certificate in itself, with 200 subtrees: that much
 * is spent, and no more than there is.
 */
static void
test_names_spent(void **state)
{
	enum {
		COST = (251 + 1) * 200
	};
	struct parsed *parsed = parse("limit_many");
	struct path path = path_of(parsed);
	size_t at, spent = 0;

	(void)state;
	assert_null(path_rule_broken(&path, &spent, &at));
	assert_int_equal(spent, COST);
	spent = VERIFY_NAMES_MAX - COST;
	assert_null(path_rule_broken(&path, &spent, &at));
	assert_int_equal(spent, VERIFY_NAMES_MAX);
	spent = VERIFY_NAMES_MAX - COST + 200;
	assert_string_equal(path_rule_broken(&path, &spent, &at),
	    "has too many names to hold against name constraints");
	parsed_free(parsed);
	parsed = parse("limit_explosion");
	path = path_of(parsed);
	spent = 0;
	assert_non_null(path_rule_broken(&path, &spent, &at));
	assert_true(spent <= VERIFY_NAMES_MAX);
	parsed_free(parsed);
}

static void
test_constraints(void **state)
{
	struct parsed *parsed = parse("limit_wildcard_excluded");
	struct path path = path_of(parsed);
	size_t at, spent = 0;

	(void)state;
	assert_string_equal(path_rule_broken(&path, &spent, &at),
	    "excludes a name of the certificate");
	assert_int_equal(at, 1);
	/* The anchor's constraints count as well, the leaf's do not. */
	path.certs[2] = path.certs[1];
	path.certs[1] = &parsed->anchor;
	assert_non_null(path_rule_broken(&path, &spent, &at));
	assert_int_equal(at, 2);
	path.len = 2;
	assert_null(path_rule_broken(&path, &spent, &at));
	parsed_free(parsed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_validate),
	    cmocka_unit_test(test_other_way),
	    cmocka_unit_test(test_lengths),
	    cmocka_unit_test(test_names_spent),
	    cmocka_unit_test(test_constraints),
	};

	return cmocka_run_group_tests_name("path_check", tests, NULL, NULL);
}
