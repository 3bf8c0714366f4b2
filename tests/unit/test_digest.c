/* SPDX-License-Identifier: ISC */
/* A hash over parts: the parts count, and where each of them ends. */

#include "certs/digest.h"

#include <openssl/sha.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void
digest_of(const char *const *parts, size_t count, uint8_t out[DIGEST_LEN])
{
	struct digest digest;

	digest_begin(&digest);
	for (size_t i = 0; i < count; i++)
		digest_add(&digest, parts[i], strlen(parts[i]));
	digest_end(&digest, out);
}

static void
test_parts_count(void **state)
{
	static const struct {
		size_t count;
		const char *parts[3];
	} rows[] = {
	    {0, {NULL}},
	    {1, {""}},
	    {2, {"", ""}},
	    {1, {"abc"}},
	    {2, {"a", "bc"}},
	    {2, {"ab", "c"}},
	    {2, {"c", "ab"}},
	    {2, {"abc", ""}},
	    {2, {"", "abc"}},
	    {3, {"a", "b", "c"}},
	    {1, {"abd"}},
	};
	enum {
		COUNT = sizeof(rows) / sizeof(rows[0])
	};
	uint8_t out[COUNT][DIGEST_LEN];

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		digest_of(rows[i].parts, rows[i].count, out[i]);
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(out[i], out[j], DIGEST_LEN);
	}
}

/* The same parts have the same hash, wherever they lie. */
static void
test_is_sha256(void **state)
{
	struct {
		uint64_t len;
		char text[8];
	} framed = {8, "abcdefg"};
	uint8_t out[DIGEST_LEN], wanted[DIGEST_LEN];
	struct digest digest;

	(void)state;
	digest_begin(&digest);
	digest_add(&digest, "abcdefg", 8);
	digest_end(&digest, out);
	SHA256((const uint8_t *)&framed, sizeof(framed), wanted);
	assert_memory_equal(out, wanted, DIGEST_LEN);
	/* Nothing at all may be given as nothing. */
	framed.len = 0;
	digest_begin(&digest);
	digest_add(&digest, NULL, 0);
	digest_end(&digest, out);
	SHA256((const uint8_t *)&framed.len, sizeof(framed.len), wanted);
	assert_memory_equal(out, wanted, DIGEST_LEN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parts_count),
	    cmocka_unit_test(test_is_sha256),
	};

	return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
