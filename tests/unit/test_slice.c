/* SPDX-License-Identifier: ISC */
/* Slices: comparing, splitting, counting. */

#include "proxy/smtp/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct slice
slice(const char *text)
{
	return (struct slice){text, strlen(text)};
}

static void
test_is(void **state)
{
	(void)state;
	assert_true(slice_is(slice("size"), "SIZE"));
	assert_false(slice_is(slice("size"), "SIZ"));
	assert_false(slice_is(slice("siz"), "SIZE"));
	assert_true(slice_is((struct slice){NULL, 0}, ""));
	assert_true(slice_has_prefix(slice("From:<>"), "FROM:"));
	assert_false(slice_has_prefix(slice("FROM"), "FROM:"));
	assert_false(slice_has_prefix((struct slice){NULL, 0}, "F"));
}

static void
test_word(void **state)
{
	struct slice rest = slice("  one two   three ");

	(void)state;
	assert_true(slice_is(slice_word(&rest), "one"));
	assert_true(slice_is(rest, "two   three"));
	assert_true(slice_is(slice_word(&rest), "two"));
	assert_true(slice_is(slice_word(&rest), "three"));
	assert_int_equal(rest.len, 0);
	assert_int_equal(slice_word(&rest).len, 0);
	rest = slice("   ");
	assert_int_equal(slice_word(&rest).len, 0);
}

static void
test_number(void **state)
{
	static const struct {
		const char *text;
		bool is_number;
		uint64_t want;
	} rows[] = {
	    {"0", true, 0},
	    {"00042", true, 42},
	    {"4294967296", true, UINT64_C(4294967296)},
	    {"18446744073709551615", true, UINT64_MAX},
	    {"00000000000000000000018446744073709551615", true, UINT64_MAX},
	    {"18446744073709551616", false, 0},
	    {"18446744073709551620", false, 0},
	    {"184467440737095516150", false, 0},
	    {"99999999999999999999", false, 0},
	    {"", false, 0},
	    {"-1", false, 0},
	    {"+1", false, 0},
	    {"1 ", false, 0},
	    {" 1", false, 0},
	    {"0x10", false, 0},
	    {"1e3", false, 0},
	    {"1.0", false, 0},
	};
	uint64_t number;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(slice_number(slice(rows[i].text), &number),
		    rows[i].is_number);
		if (rows[i].is_number)
			assert_true(number == rows[i].want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_is),
	    cmocka_unit_test(test_word),
	    cmocka_unit_test(test_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
