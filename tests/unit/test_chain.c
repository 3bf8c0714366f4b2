/* SPDX-License-Identifier: ISC */
/* Chains: out of PEM and out of TLS's buffers, within their maxima. */

#include "certs/chain.h"

#include <errno.h>
#include <openssl/pool.h>
#include <openssl/sha.h>
#include <stdbool.h>

#include "tests/unit/cases.h"

#define BEGIN "-----BEGIN CERTIFICATE-----\n"
#define END   "-----END CERTIFICATE-----\n"

static void
test_pem(void **state)
{
	const char *text = "leaf:\n" BEGIN "YWE=\n" END BEGIN "YmJi\n" END;
	struct chain *chain;
	const uint8_t *der;
	size_t len;

	(void)state;
	chain = chain_from_pem(text, strlen(text));
	assert_non_null(chain);
	assert_int_equal(chain_count(chain), 2);
	der = chain_der(chain, 0, &len);
	assert_int_equal(len, 2);
	assert_memory_equal(der, "aa", 2);
	der = chain_der(chain, 1, &len);
	assert_int_equal(len, 3);
	assert_memory_equal(der, "bbb", 3);
	assert_ptr_equal(chain_ref(chain), chain);
	chain_free(chain);
	assert_int_equal(chain_count(chain), 2);
	chain_free(chain);
	chain_free(NULL);
}

static void
refuse(const char *text, int error)
{
	errno = 0;
	assert_null(chain_from_pem(text, strlen(text)));
	assert_int_equal(errno, error);
}

static void
test_bad_pem(void **state)
{
	char many[(CHAIN_CERTS_MAX + 1) * 80] = "";
	struct chain *chain;

	(void)state;
	refuse("", EINVAL);
	refuse("no certificate", EINVAL);
	refuse(BEGIN "YWE=\n", EINVAL);
	refuse(BEGIN "YWE=\n" END BEGIN "Y*E=\n" END, EINVAL);
	for (int i = 0; i < CHAIN_CERTS_MAX; i++)
		strlcat(many, BEGIN "YWE=\n" END, sizeof(many));
	chain = chain_from_pem(many, strlen(many));
	assert_non_null(chain);
	assert_int_equal(chain_count(chain), CHAIN_CERTS_MAX);
	chain_free(chain);
	strlcat(many, BEGIN "YWE=\n" END, sizeof(many));
	refuse(many, E2BIG);
}

static STACK_OF(CRYPTO_BUFFER) * make_buffers(size_t count, size_t each)
{
	STACK_OF(CRYPTO_BUFFER) *buffers = sk_CRYPTO_BUFFER_new_null();
	uint8_t *bytes = calloc(1, each + 1);

	assert_non_null(buffers);
	assert_non_null(bytes);
	for (size_t i = 0; i < count; i++)
		assert_true(sk_CRYPTO_BUFFER_push(buffers,
				CRYPTO_BUFFER_new(bytes, each, NULL)) > 0);
	free(bytes);
	return buffers;
}

static void
test_buffers(void **state)
{
	static const struct {
		size_t count, each;
		int error;
	} rows[] = {
	    {1, 10, 0},
	    {CHAIN_CERTS_MAX, 10, 0},
	    {CHAIN_CERTS_MAX + 1, 10, E2BIG},
	    {1, CHAIN_BYTES_MAX, 0},
	    {1, CHAIN_BYTES_MAX + 1, E2BIG},
	    {2, CHAIN_BYTES_MAX / 2, 0},
	    {2, CHAIN_BYTES_MAX / 2 + 1, E2BIG},
	    {0, 0, EINVAL},
	};
	STACK_OF(CRYPTO_BUFFER) * buffers;
	struct chain *chain;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buffers = make_buffers(rows[i].count, rows[i].each);
		errno = 0;
		chain = chain_from_buffers(buffers);
		assert_int_equal(errno, rows[i].error);
		assert_true((chain != NULL) == (rows[i].error == 0));
		if (chain != NULL) {
			assert_int_equal(chain_count(chain), rows[i].count);
			assert_ptr_equal(chain_buffer(chain, 0),
			    sk_CRYPTO_BUFFER_value(buffers, 0));
		}
		/* The chain's references outlive the stack's. */
		sk_CRYPTO_BUFFER_pop_free(buffers, CRYPTO_BUFFER_free);
		if (chain != NULL) {
			size_t len;

			assert_int_equal(chain_der(chain, 0, &len)[0], 0);
			assert_int_equal(len, rows[i].each);
		}
		chain_free(chain);
	}
}

static void
sha256_of(const char *text, bool leaf_only, uint8_t out[32])
{
	struct chain *chain = chain_from_pem(text, strlen(text));

	assert_non_null(chain);
	if (leaf_only)
		chain_leaf_sha256(chain, out);
	else
		chain_sha256(chain, out);
	chain_free(chain);
}

static void
test_sha256(void **state)
{
	/* The same bytes in all, divided otherwise: "ab" "c" and "a" "bc". */
	const char *one = BEGIN "YWI=\n" END BEGIN "Yw==\n" END;
	const char *other = BEGIN "YQ==\n" END BEGIN "YmM=\n" END;
	uint8_t a[32], b[32], direct[32];

	(void)state;
	sha256_of(one, false, a);
	sha256_of(other, false, b);
	assert_memory_not_equal(a, b, 32);
	sha256_of(one, false, b);
	assert_memory_equal(a, b, 32);
	SHA256((const uint8_t *)"ab", 2, direct);
	sha256_of(one, true, a);
	assert_memory_equal(a, direct, 32);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pem),
	    cmocka_unit_test(test_bad_pem),
	    cmocka_unit_test(test_buffers),
	    cmocka_unit_test(test_sha256),
	};

	return cmocka_run_group_tests_name("chain", tests, NULL, NULL);
}
