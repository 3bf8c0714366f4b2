/* SPDX-License-Identifier: ISC */
/* TLSA records: their two forms, and which of them count. */

#include "proxy/policy/tlsa.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/mutate.h"

static uint8_t data[TLSA_DATA_MAX + 1]; /* and one that stays as it is */

static void
test_rdata(void **state)
{
	static uint8_t rdata[TLSA_RDATA_HEAD + TLSA_DATA_MAX + 1] = {
	    3, 1, 255, 0xab, 0xcd};
	struct tlsa tlsa;

	(void)state;
	assert_int_equal(tlsa_from_rdata(&tlsa, rdata, 5), 0);
	assert_int_equal(tlsa.usage, 3);
	assert_int_equal(tlsa.selector, 1);
	assert_int_equal(tlsa.matching, 255);
	assert_int_equal(tlsa.len, 2);
	assert_ptr_equal(tlsa.data, rdata + 3);
	/* One without data is a record, and of no use. */
	assert_int_equal(tlsa_from_rdata(&tlsa, rdata, 3), 0);
	assert_int_equal(tlsa.len, 0);
	assert_false(tlsa_is_usable(&tlsa));
	for (size_t len = 0; len < 3; len++)
		assert_int_equal(tlsa_from_rdata(&tlsa, rdata, len), -1);
	assert_int_equal(tlsa_from_rdata(&tlsa, rdata, sizeof(rdata) - 1), 0);
	assert_int_equal(tlsa.len, TLSA_DATA_MAX);
	assert_int_equal(tlsa_from_rdata(&tlsa, rdata, sizeof(rdata)), -1);
}

static void
test_text(void **state)
{
	static const struct {
		const char *text;
		uint8_t usage, selector, matching;
		const char *out; /* NULL: refused */
	} rows[] = {
	    {"3 1 1 0123456789abcdef", 3, 1, 1, "3 1 1 0123456789abcdef"},
	    {"2 0 2 ABCDEF", 2, 0, 2, "2 0 2 abcdef"},
	    {"255 254 253 00", 255, 254, 253, "255 254 253 00"},
	    {"003 01 000 ff", 3, 1, 0, "3 1 0 ff"},
	    {" 3\t1  1 \t01 23\t45 ", 3, 1, 1, "3 1 1 012345"},
	    {"3 1 1 0 1 2 3", 3, 1, 1, "3 1 1 0123"},
	    {"", 0, 0, 0, NULL},
	    {"3", 0, 0, 0, NULL},
	    {"3 1", 0, 0, 0, NULL},
	    {"3 1 1", 0, 0, 0, NULL},
	    {"3 1 1 ", 0, 0, 0, NULL},
	    {"3 1 1 0", 0, 0, 0, NULL},
	    {"3 1 1 012", 0, 0, 0, NULL},
	    {"3 1 1 0g", 0, 0, 0, NULL},
	    {"3 1 1 g0", 0, 0, 0, NULL},
	    {"3 1 1 0G", 0, 0, 0, NULL},
	    {"3 1 1 0/", 0, 0, 0, NULL},
	    {"3 1 1 0:", 0, 0, 0, NULL},
	    {"3 1 1 0@", 0, 0, 0, NULL},
	    {"3 1 1 0`", 0, 0, 0, NULL},
	    {"3 1 1 0x01", 0, 0, 0, NULL},
	    {"3 1 1 01\n", 0, 0, 0, NULL},
	    {"256 1 1 01", 0, 0, 0, NULL},
	    {"3 999 1 01", 0, 0, 0, NULL},
	    {"3 1 256 01", 0, 0, 0, NULL},
	    {"0003 1 1 01", 0, 0, 0, NULL},
	    {"-3 1 1 01", 0, 0, 0, NULL},
	    {"+3 1 1 01", 0, 0, 0, NULL},
	    {"3,1,1,01", 0, 0, 0, NULL},
	    {"a 1 1 01", 0, 0, 0, NULL},
	    {"3 1 1a 01", 0, 0, 0, NULL},
	    {"3 1 01", 0, 0, 0, NULL},
	};
	char out[TLSA_TEXT_MAX];
	struct tlsa tlsa;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if ((tlsa_from_text(&tlsa, rows[i].text, data) == 0) !=
		    (rows[i].out != NULL))
			fail_msg("\"%s\"", rows[i].text);
		if (rows[i].out == NULL)
			continue;
		assert_ptr_equal(tlsa.data, data);
		assert_int_equal(tlsa.usage, rows[i].usage);
		assert_int_equal(tlsa.selector, rows[i].selector);
		assert_int_equal(tlsa.matching, rows[i].matching);
		assert_string_equal(tlsa_text(&tlsa, out), rows[i].out);
	}
}

/* As much as data holds, and not a byte more. */
static void
test_text_longest(void **state)
{
	static char text[16 + 2 * TLSA_DATA_MAX];
	struct tlsa tlsa;

	(void)state;
	memset(text, 0, sizeof(text));
	mutate_put(text, "3 1 0 ");
	memset(text + 6, 'a', 2 * (size_t)TLSA_DATA_MAX);
	assert_int_equal(tlsa_from_text(&tlsa, text, data), 0);
	assert_int_equal(tlsa.len, TLSA_DATA_MAX);
	assert_int_equal(data[TLSA_DATA_MAX - 1], 0xaa);
	mutate_put(text + strlen(text), "aa");
	assert_int_equal(tlsa_from_text(&tlsa, text, data), -1);
	assert_int_equal(data[TLSA_DATA_MAX], 0);
}

/* A SHA-256 is told whole; what does not fit is cut where it says so. */
static void
test_text_cut(void **state)
{
	static const uint8_t bytes[TLSA_DATA_MAX];
	struct tlsa tlsa = {.data = bytes};
	char out[TLSA_TEXT_MAX];
	static const uint8_t heads[] = {3, 255};

	(void)state;
	for (size_t i = 0; i < sizeof(heads); i++) {
		size_t head = heads[i] == 3 ? 6 : 12;

		tlsa.usage = tlsa.selector = tlsa.matching = heads[i];
		for (tlsa.len = 0; tlsa.len < 80; tlsa.len++) {
			bool fits = head + (size_t)2 * tlsa.len < TLSA_TEXT_MAX;

			memset(out, 'x', sizeof(out));
			assert_ptr_equal(tlsa_text(&tlsa, out), out);
			assert_true(strnlen(out, sizeof(out)) < sizeof(out));
			if ((strstr(out, "...") == NULL) != fits ||
			    (fits &&
				strlen(out) != head + (size_t)2 * tlsa.len) ||
			    (!fits && strlen(out) < sizeof(out) - 3))
				fail_msg("%u bytes: %s", tlsa.len, out);
		}
	}
	tlsa.len = TLSA_DATA_MAX;
	assert_string_equal(tlsa_text(&tlsa, out) + strlen(out) - 5, "00...");
}

static void
try_text(const uint8_t *text, size_t len)
{
	char copy[128], out[TLSA_TEXT_MAX], again[TLSA_TEXT_MAX];
	uint8_t small[TLSA_DATA_MAX];
	struct tlsa tlsa;

	assert_true(len < sizeof(copy));
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (tlsa_from_text(&tlsa, copy, data) == -1)
		return;
	assert_true(tlsa.len > 0 && 2 * (size_t)tlsa.len <= len);
	tlsa_text(&tlsa, out);
	assert_int_equal(tlsa_from_text(&tlsa, out, small), 0);
	assert_string_equal(tlsa_text(&tlsa, again), out);
}

static void
try_rdata(const uint8_t *rdata, size_t len)
{
	struct tlsa tlsa;

	if (tlsa_from_rdata(&tlsa, rdata, len) == -1) {
		assert_true(len < TLSA_RDATA_HEAD);
		return;
	}
	assert_true(tlsa.data + tlsa.len == rdata + len);
	assert_true((tlsa_fault(&tlsa) == NULL) == tlsa_is_usable(&tlsa));
}

static void
test_mutated(void **state)
{
	static const char text[] =
	    "2 1 1 0123456789abcdef0123456789ABCDEF 01234567";
	static const uint8_t rdata[TLSA_RDATA_HEAD + 64] = {3, 1, 2};

	(void)state;
	mutate(text, strlen(text), try_text);
	mutate(rdata, sizeof(rdata), try_rdata);
}

static void
test_usable(void **state)
{
	static const uint8_t bytes[100];
	size_t usable = 0;
	struct tlsa tlsa = {.data = bytes};

	(void)state;
	for (unsigned int head = 0; head < 1 << 24; head++) {
		/* All of one octet at a time is plenty. */
		if (head % 256 > 3 && (head >> 8) % 256 > 3)
			continue;
		tlsa.usage = (uint8_t)(head >> 16);
		tlsa.selector = (uint8_t)(head >> 8);
		tlsa.matching = (uint8_t)head;
		for (tlsa.len = 0; tlsa.len <= sizeof(bytes); tlsa.len += 32)
			usable += tlsa_is_usable(&tlsa);
	}
	/* 2 usages and selectors; 3 lengths of all data and 1 of a digest. */
	assert_int_equal(usable, 2 * 2 * (3 + 1 + 1));
	tlsa.usage = TLSA_DANE_EE;
	tlsa.selector = TLSA_SPKI;
	for (tlsa.len = 0; tlsa.len <= sizeof(bytes); tlsa.len++) {
		tlsa.matching = TLSA_FULL;
		assert_int_equal(tlsa_is_usable(&tlsa), tlsa.len > 0);
		tlsa.matching = TLSA_SHA256;
		assert_int_equal(tlsa_is_usable(&tlsa), tlsa.len == 32);
		tlsa.matching = TLSA_SHA512;
		assert_int_equal(tlsa_is_usable(&tlsa), tlsa.len == 64);
		tlsa.matching = 3;
		assert_false(tlsa_is_usable(&tlsa));
	}
}

static void
test_fault(void **state)
{
	static const uint8_t bytes[64];
	static const struct {
		struct tlsa tlsa;
		const char *fault;
	} rows[] = {
	    {{0, 1, 1, 32, bytes}, "PKIX-TA(0)"},
	    {{1, 1, 1, 32, bytes}, "PKIX-EE(1)"},
	    {{1, 9, 9, 0, bytes}, "PKIX-EE(1)"},
	    {{4, 1, 1, 32, bytes}, "an unknown usage"},
	    {{3, 2, 1, 32, bytes}, "an unknown selector"},
	    {{3, 1, 3, 32, bytes}, "an unknown matching type"},
	    {{3, 1, 0, 0, bytes}, "no data"},
	    {{3, 1, 1, 31, bytes}, "not the length of a SHA-256"},
	    {{2, 0, 2, 32, bytes}, "not the length of a SHA-512"},
	};
	static const struct tlsa good = {2, 0, 2, 64, bytes};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(tlsa_fault(&rows[i].tlsa), rows[i].fault);
	assert_null(tlsa_fault(&good));
}

/* A set as letters: each is a record, and which are left, in their order. */
static void
test_select(void **state)
{
	static const uint8_t bytes[80];
	static const struct tlsa records[] = {
	    {3, 1, 1, 32, bytes}, /* a */
	    {3, 1, 2, 64, bytes + 1}, /* b */
	    {3, 1, 0, 64, bytes + 2}, /* c */
	    {3, 0, 1, 32, bytes + 3}, /* d */
	    {3, 0, 2, 64, bytes + 4}, /* e */
	    {2, 1, 1, 32, bytes + 5}, /* f */
	    {2, 1, 2, 64, bytes + 6}, /* g */
	    {2, 0, 0, 1, bytes + 7}, /* h */
	    {3, 1, 2, 63, bytes + 8}, /* i: unusable */
	    {1, 1, 1, 32, bytes + 9}, /* j: unusable */
	    {3, 1, 3, 32, bytes + 10}, /* k: unusable */
	};
	static const struct {
		const char *set, *left;
	} rows[] = {
	    {"", ""},
	    {"a", "a"},
	    {"j", ""},
	    {"ijk", ""},
	    {"aa", "aa"},
	    {"ab", "b"},
	    {"ba", "b"},
	    {"abab", "bb"},
	    {"bbaa", "bb"},
	    {"ca", "ca"},
	    {"cb", "cb"},
	    {"bac", "bc"},
	    {"ad", "ad"},
	    {"ae", "ae"},
	    {"dbea", "be"},
	    {"bf", "bf"},
	    {"ag", "ag"},
	    {"fgab", "gb"},
	    {"hab", "hb"},
	    {"ia", "a"},
	    {"ka", "a"},
	    {"aik", "a"},
	    {"jabcdefghijk", "bcegh"},
	    {"kjihgfedcba", "hgecb"},
	};
	struct tlsa set[16];
	char left[17];
	size_t count;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		count = strlen(rows[i].set);
		for (size_t j = 0; j < count; j++)
			set[j] = records[rows[i].set[j] - 'a'];
		count = tlsa_select(set, count);
		for (size_t j = 0; j < count; j++) {
			left[j] = (char)('a' + (set[j].data - bytes));
		}
		left[count] = '\0';
		if (strcmp(left, rows[i].left) != 0)
			fail_msg("%s: %s", rows[i].set, left);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rdata),
	    cmocka_unit_test(test_text),
	    cmocka_unit_test(test_text_longest),
	    cmocka_unit_test(test_text_cut),
	    cmocka_unit_test(test_mutated),
	    cmocka_unit_test(test_usable),
	    cmocka_unit_test(test_fault),
	    cmocka_unit_test(test_select),
	};

	return cmocka_run_group_tests_name("tlsa", tests, NULL, NULL);
}
