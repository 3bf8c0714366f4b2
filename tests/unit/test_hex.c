/* SPDX-License-Identifier: ISC */
/* Every byte there is, as a hexadecimal digit. */

#include "proxy/base/hex.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void
test_every_byte(void **state)
{
	static const char lower[] = "0123456789abcdef";
	static const char upper[] = "0123456789ABCDEF";
	const char *in_lower, *in_upper;
	int c, want;

	(void)state;
	for (c = CHAR_MIN; c <= CHAR_MAX; c++) {
		in_lower = c != 0 ? strchr(lower, c) : NULL;
		in_upper = c != 0 ? strchr(upper, c) : NULL;
		want = in_lower != NULL   ? (int)(in_lower - lower)
		       : in_upper != NULL ? (int)(in_upper - upper)
		                          : -1;
		assert_int_equal(hex_digit((char)c), want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_byte),
	};

	return cmocka_run_group_tests_name("hex", tests, NULL, NULL);
}
