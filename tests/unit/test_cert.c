/* SPDX-License-Identifier: ISC */
/* One certificate: what it says, and what is against it in which place. */

#include "certs/cert.h"

#include <openssl/mem.h>
#include <openssl/pool.h>
#include <openssl/sha.h>

#include "tests/unit/parsed.h"

#define NOT_A_CA  "is not a CA certificate"
#define A_CA      "is a CA certificate, not a server's"
#define SHA1      "is signed with SHA-1"
#define SHORT_RSA "has an RSA key shorter than 2048 bits"

/* Of the last that was sent: as a leaf, as an issuer, as an anchor. */
static void
test_faults(void **state)
{
	static const struct {
		const char *title;
		const char *as_leaf, *as_issuer, *as_anchor;
	} rows[] = {
	    {"good", A_CA, NULL, NULL},
	    {"good_direct", NULL, NOT_A_CA, NOT_A_CA},
	    {"self_signed_sha1_trusted", SHA1, SHA1, NOT_A_CA},
	    {"sha1_ca", SHA1, SHA1, NULL},
	    {"sha1_leaf", SHA1, SHA1, NOT_A_CA},
	    {"md5_leaf", "is signed with MD5", "is signed with MD5", NOT_A_CA},
	    {"rsa_2048_ca", A_CA, NULL, NULL},
	    {"rsa_1024_ca", SHORT_RSA, SHORT_RSA, SHORT_RSA},
	    {"p224_ca", "has a key on a curve that is not accepted",
		"has a key on a curve that is not accepted",
		"has a key on a curve that is not accepted"},
	    {"explicit_ca", "has explicit curve parameters",
		"has explicit curve parameters",
		"has explicit curve parameters"},
	    {"ca_no_sign", A_CA, "may not sign certificates (key usage)",
		"may not sign certificates (key usage)"},
	    {"ca_v1", "is not of version 3", "is not of version 3",
		"is not of version 3"},
	};
	struct parsed *parsed;
	const struct cert *cert;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *wanted[] = {
		    rows[i].as_leaf, rows[i].as_issuer, rows[i].as_anchor};

		parsed = parse(rows[i].title);
		cert = &parsed->sent[parsed->count - 1];
		for (int as = 0; as < 3; as++) {
			const char *fault = cert_fault(cert, as == 0, as == 2);

			if (wanted[as] == NULL && fault == NULL)
				continue;
			if (wanted[as] == NULL || fault == NULL ||
			    strcmp(wanted[as], fault) != 0)
				fail_msg("%s as %d: %s", rows[i].title, as,
				    fault == NULL ? "fine" : fault);
		}
		parsed_free(parsed);
	}
}

/* An anchor's signature is nobody's business, be it the leaf itself. */
static void
test_trusted_leaf(void **state)
{
	struct parsed *parsed = parse("self_signed_sha1_trusted");

	(void)state;
	assert_null(cert_fault(&parsed->anchor, true, true));
	assert_string_equal(cert_fault(&parsed->anchor, true, false), SHA1);
	parsed_free(parsed);
}

static void
test_facts(void **state)
{
	char name[CERT_NAME_MAX];
	struct parsed *parsed = parse("length_kept");
	const struct cert *leaf = &parsed->sent[0], *ca = &parsed->sent[1];

	(void)state;
	assert_int_equal(leaf->from, CASE_AT - 30 * CASE_DAY);
	assert_int_equal(leaf->until, CASE_AT + 60 * CASE_DAY - 1);
	assert_int_equal(leaf->path_length, -1);
	assert_int_equal(ca->path_length, 0);
	assert_int_equal(parsed->anchor.path_length, -1);
	assert_false(ca->is_self_issued || ca->is_self_signed);
	assert_true(parsed->anchor.is_self_issued);
	assert_true(parsed->anchor.is_self_signed);
	assert_true(CBS_len(&leaf->names) > 0);
	assert_int_equal(CBS_len(&ca->names), 0);
	assert_int_equal(CBS_len(&ca->constraints), 0);
	assert_string_equal(cert_subject_text(ca, name), "CN=None Below");
	assert_string_equal(cert_issuer_text(ca, name), "CN=Lab Root");
	assert_string_equal(cert_subject_text(leaf, name), "");
	parsed_free(parsed);
	parsed = parse("limit_excluded");
	assert_true(CBS_len(&parsed->sent[1].constraints) > 0);
	parsed_free(parsed);
}

static void
test_issuers(void **state)
{
	struct parsed *good = parse("good"), *other = parse("other_key_root");
	struct parsed *no_ids = parse("impostor_root");
	const struct cert *leaf = &good->sent[0], *ca = &good->sent[1];

	(void)state;
	assert_true(cert_names_issuer(leaf, ca));
	assert_true(cert_names_key_of(leaf, ca));
	assert_true(cert_names_issuer(ca, &good->anchor));
	assert_false(cert_names_issuer(leaf, &good->anchor));
	assert_false(cert_names_issuer(ca, leaf));
	/* The right name with another key's identifier, or with none. */
	assert_false(cert_names_issuer(ca, &other->anchor));
	assert_false(cert_names_key_of(ca, &other->anchor));
	assert_true(cert_names_issuer(ca, &no_ids->anchor));
	assert_false(cert_names_key_of(ca, &no_ids->anchor));
	parsed_free(good);
	parsed_free(other);
	parsed_free(no_ids);
	/* Whether it may sign is told as its fault. */
	good = parse("ca_no_sign");
	assert_true(cert_names_issuer(&good->sent[0], &good->sent[1]));
	parsed_free(good);
}

static void
test_signed_itself(void **state)
{
	static const struct {
		const char *title;
		size_t at;
		bool did;
	} rows[] = {
	    {"self_signed", 0, true},
	    {"self_signed_plain_trusted", 0, true},
	    {"good", 0, false},
	    {"good", 1, false},
	    {"good_root_sent", 2, true},
	    {"self_issued", 0, false},
	    {"self_issued_no_ids", 0, false},
	    {"rollover", 1, false},
	    {"secp256k1_leaf", 0, false},
	};
	struct parsed *parsed;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		parsed = parse(rows[i].title);
		if (cert_signed_itself(&parsed->sent[rows[i].at]) !=
		    rows[i].did)
			fail_msg("%s", rows[i].title);
		parsed_free(parsed);
	}
}

static void
test_key_hash(void **state)
{
	struct parsed *parsed = parse("good");
	uint8_t hash[32], wanted[32], *spki = NULL, *copy;
	const uint8_t *der;
	size_t der_len;
	int len;

	(void)state;
	len = i2d_X509_PUBKEY(
	    X509_get_X509_PUBKEY(parsed->sent[1].x509), &spki);
	assert_true(len > 0);
	SHA256(spki, (size_t)len, wanted);
	OPENSSL_free(spki);
	der = chain_der(parsed->chain, 1, &der_len);
	assert_int_equal(cert_spki_sha256(der, der_len, hash), 0);
	assert_memory_equal(hash, wanted, sizeof(hash));
	for (size_t cut = 0; cut < der_len; cut++) {
		copy = malloc(cut + 1);
		assert_non_null(copy);
		memcpy(copy, der, cut);
		assert_int_equal(cert_spki_sha256(copy, cut, hash), -1);
		free(copy);
	}
	copy = malloc(der_len + 1);
	assert_non_null(copy);
	memcpy(copy, der, der_len);
	copy[der_len] = 0;
	assert_int_equal(cert_spki_sha256(copy, der_len + 1, hash), -1);
	free(copy);
	parsed_free(parsed);
}

static void
test_unreadable(void **state)
{
	struct parsed *parsed = parse("good");
	CRYPTO_BUFFER *buffer;
	const uint8_t *der;
	struct cert cert;
	size_t len;

	(void)state;
	der = chain_der(parsed->chain, 0, &len);
	for (size_t cut = 0; cut < len; cut += 7) {
		buffer = CRYPTO_BUFFER_new(der, cut, NULL);
		assert_int_equal(cert_init(&cert, buffer), -1);
		assert_null(cert.x509);
		cert_clear(&cert);
		CRYPTO_BUFFER_free(buffer);
	}
	parsed_free(parsed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_faults),
	    cmocka_unit_test(test_trusted_leaf),
	    cmocka_unit_test(test_facts),
	    cmocka_unit_test(test_issuers),
	    cmocka_unit_test(test_signed_itself),
	    cmocka_unit_test(test_key_hash),
	    cmocka_unit_test(test_unreadable),
	};

	return cmocka_run_group_tests_name("cert", tests, NULL, NULL);
}
