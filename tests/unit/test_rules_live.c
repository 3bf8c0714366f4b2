/* SPDX-License-Identifier: ISC */
/*
 * Two tables as rules_dump writes them.  That the kernel's own is read is the
 * business of tests/e2e/test_doctor.py.
 */

#include "netfilter/rules_live.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CHAIN_A                                                                \
	"\tchain a {\n"                                                        \
	"\t\t4=0001 5=0002 \n"                                                 \
	"\t\tpayload:1=0001 reject:1=0002 \n"                                  \
	"\t}\n"
#define CHAIN_B                                                                \
	"\tchain b {\n"                                                        \
	"\t}\n"
#define SET_C                                                                  \
	"\tset c {\n"                                                          \
	"\t\t3=0007 \n"                                                        \
	"\t}\n"
#define TABLE(parts) "table inet postern {\n" parts "}\n"

static char told[512];

static void
on_difference(void *arg, enum rules_difference difference, const char *part)
{
	static const char *const words[] = {
	    [RULES_MISSING] = "-",
	    [RULES_CHANGED] = "!",
	    [RULES_STRANGE] = "+",
	};

	assert_ptr_equal(arg, told);
	strlcat(told, words[difference], sizeof(told));
	strlcat(told, part, sizeof(told));
	strlcat(told, ";", sizeof(told));
}

static void
expect(const char *wanted, const char *live, int count, const char *text)
{
	told[0] = '\0';
	assert_int_equal(
	    rules_difference_each(wanted, live, on_difference, told), count);
	assert_string_equal(told, text);
	assert_int_equal(
	    rules_difference_each(wanted, live, NULL, NULL), count);
}

static void
test_same(void **state)
{
	(void)state;
	expect(TABLE(CHAIN_A "\n" CHAIN_B), TABLE(CHAIN_A "\n" CHAIN_B), 0, "");
	expect("", "", 0, "");
	expect(TABLE(""), TABLE(""), 0, "");
	/* Neither blank lines nor the order of chains means anything. */
	expect(TABLE(CHAIN_A CHAIN_B), TABLE(CHAIN_B "\n" CHAIN_A), 0, "");
}

static void
test_differences(void **state)
{
	(void)state;
	expect(TABLE(CHAIN_A CHAIN_B), TABLE(CHAIN_A), 1, "-chain b;");
	expect(TABLE(CHAIN_A), TABLE(CHAIN_A CHAIN_B SET_C), 2,
	    "+chain b;+set c;");
	expect(TABLE(CHAIN_A CHAIN_B), "", 2, "-chain a;-chain b;");
	expect(TABLE(CHAIN_A),
	    TABLE("\tchain a {\n"
		  "\t\t4=0001 5=0002 \n"
		  "\t}\n"),
	    1, "!chain a;");
	expect(TABLE(CHAIN_A), TABLE("\t2=0001 \n" CHAIN_A), 1, "!table;");
	expect(
	    TABLE(CHAIN_A), TABLE("\tset a {\n\t}\n"), 2, "-chain a;+set a;");
}

/* A rule that was moved is another rule. */
static void
test_order_of_rules(void **state)
{
	(void)state;
	expect(TABLE("\tchain a {\n\t\tone\n\t\ttwo\n\t}\n"),
	    TABLE("\tchain a {\n\t\ttwo\n\t\tone\n\t}\n"), 1, "!chain a;");
	expect(TABLE("\tchain a {\n\t\tone\n\t}\n"),
	    TABLE("\tchain a {\n\t\tone\n\t\tone\n\t}\n"), 1, "!chain a;");
}

/* Wherever a listing is cut, it is read to its end and no further. */
static void
test_cut(void **state)
{
	static const char text[] = TABLE(CHAIN_A CHAIN_B SET_C);
	char cut[sizeof(text)], *exact;
	size_t len;

	(void)state;
	for (len = 0; len < sizeof(text); len++) {
		memcpy(cut, text, len);
		cut[len] = '\0';
		exact = strdup(cut);
		assert_non_null(exact);
		assert_int_equal(
		    rules_difference_each(exact, exact, NULL, NULL), 0);
		assert_true(
		    rules_difference_each(text, exact, NULL, NULL) >= 0);
		free(exact);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_same),
	    cmocka_unit_test(test_differences),
	    cmocka_unit_test(test_order_of_rules),
	    cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
