/* SPDX-License-Identifier: ISC */
/*
 * Two tables as nft lists them, and rulesets in its JSON.  That the kernel's
 * own is read is the business of tests/e2e/test_doctor.py.
 */

#include "netfilter/rules_live.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CHAIN_A                                                                \
	"\tchain a {\n"                                                        \
	"\t\ttype filter hook forward priority -300; policy accept;\n"         \
	"\t\ttcp dport 25 reject with tcp reset\n"                             \
	"\t}\n"
#define CHAIN_B                                                                \
	"\tchain b {\n"                                                        \
	"\t}\n"
#define SET_C                                                                  \
	"\tset c {\n"                                                          \
	"\t\ttype ipv4_addr\n"                                                 \
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
		  "\t\ttype filter hook forward priority -300; policy "
		  "accept;\n"
		  "\t}\n"),
	    1, "!chain a;");
	expect(
	    TABLE(CHAIN_A), TABLE("\tflags dormant\n\n" CHAIN_A), 1, "!table;");
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

static void
on_bypass(void *arg, const char *kind, const char *name)
{
	assert_ptr_equal(arg, told);
	strlcat(told, kind, sizeof(told));
	strlcat(told, ":", sizeof(told));
	strlcat(told, name, sizeof(told));
	strlcat(told, ";", sizeof(told));
}

static int
bypass(const char *json)
{
	told[0] = '\0';
	return rules_bypass_read(json, on_bypass, told);
}

static void
test_bypass(void **state)
{
	(void)state;
	assert_int_equal(
	    bypass("{\"nftables\": ["
		   "{\"metainfo\": {\"json_schema_version\": 1}},"
		   "{\"table\": {\"family\": \"inet\", \"name\": \"fw\"}},"
		   "{\"flowtable\": {\"family\": \"inet\", \"name\": \"ft\","
		   " \"table\": \"fw\", \"handle\": 2, \"hook\": \"ingress\","
		   " \"prio\": 0, \"dev\": \"lan0\"}},"
		   "{\"rule\": {\"family\": \"inet\", \"table\": \"fw\","
		   " \"chain\": \"forward\", \"expr\": [{\"accept\": null}]}},"
		   "{\"rule\": {\"family\": \"netdev\", \"table\": \"t\","
		   " \"chain\": \"c\", \"expr\": [{\"match\": {}},"
		   " {\"fwd\": {\"dev\": \"wan0\"}}]}}]}"),
	    0);
	assert_string_equal(told, "flowtable:inet fw ft;fwd:netdev t c;");
}

static void
test_bypass_of_nothing(void **state)
{
	(void)state;
	assert_int_equal(bypass("{\"nftables\": []}"), 0);
	assert_string_equal(told, "");
	assert_int_equal(bypass("{\"nftables\": [{\"flowtable\": {}}]}"), 0);
	assert_string_equal(told, "flowtable:  ;");
	assert_int_equal(bypass("{\"nftables\": {}}"), -1);
	assert_int_equal(bypass("{}"), -1);
	assert_int_equal(bypass("[]"), -1);
	assert_int_equal(bypass(""), -1);
	assert_int_equal(bypass("{\"nftables\": ["), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_same),
	    cmocka_unit_test(test_differences),
	    cmocka_unit_test(test_order_of_rules),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_bypass),
	    cmocka_unit_test(test_bypass_of_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
