/* SPDX-License-Identifier: ISC */
/* What a certificate says, readable or not. */

#include "certs/describe.h"

#include <openssl/sha.h>

#include "certs/cert.h"
#include "certs/chain.h"
#include "tests/unit/cases.h"

static void
test_good(void **state)
{
	struct description leaf, issuer;
	struct chain *chain;
	uint8_t wanted[32];
	const uint8_t *der;
	char *text;
	size_t len;

	(void)state;
	text = case_text("good", "chain", &len);
	chain = chain_from_pem(text, len);
	free(text);
	assert_non_null(chain);
	assert_true(chain_count(chain) >= 2);
	describe_cert(chain, 0, &leaf);
	describe_cert(chain, 1, &issuer);
	assert_true(leaf.is_readable && leaf.has_key);
	assert_true(issuer.is_readable && issuer.has_key);
	assert_string_equal(leaf.issuer, issuer.subject);
	assert_true(leaf.name_count > 0);
	assert_int_equal(leaf.names_left_out, 0);
	assert_true(leaf.from < leaf.until);
	chain_leaf_sha256(chain, wanted);
	assert_memory_equal(leaf.sha256, wanted, 32);
	der = chain_der(chain, 1, &len);
	SHA256(der, len, wanted);
	assert_memory_equal(issuer.sha256, wanted, 32);
	assert_int_equal(cert_spki_sha256(der, len, wanted), 0);
	assert_memory_equal(issuer.spki_sha256, wanted, 32);
	chain_free(chain);
}

static void
test_no_certificate(void **state)
{
	const char *text = "-----BEGIN CERTIFICATE-----\nYWE=\n"
			   "-----END CERTIFICATE-----\n";
	struct chain *chain = chain_from_pem(text, strlen(text));
	struct description description;
	uint8_t wanted[32];

	(void)state;
	assert_non_null(chain);
	memset(&description, 1, sizeof(description));
	describe_cert(chain, 0, &description);
	assert_false(description.is_readable);
	assert_false(description.has_key);
	assert_int_equal(description.name_count, 0);
	assert_string_equal(description.subject, "");
	SHA256((const uint8_t *)"aa", 2, wanted);
	assert_memory_equal(description.sha256, wanted, 32);
	chain_free(chain);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_no_certificate),
	};

	return cmocka_run_group_tests_name("describe", tests, NULL, NULL);
}
