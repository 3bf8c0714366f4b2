/* SPDX-License-Identifier: ISC */
/* Domains as DNS is asked for them: one form, or none. */

#include "proxy/smtp/domain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define A10 "aaaaaaaaaa"
#define A61 A10 A10 A10 A10 A10 A10 "a"
#define A63 A61 "aa"

static int
convert(const char *domain, char out[DOMAIN_ASCII_MAX])
{
	struct path path = {.domain_kind = DOMAIN_NAME};

	path.domain = (struct slice){domain, strlen(domain)};
	memset(out, 'X', DOMAIN_ASCII_MAX);
	return command_domain_ascii(&path, out);
}

static void
test_good(void **state)
{
	static const struct {
		const char *in, *want;
	} rows[] = {
	    {"example.org", "example.org"},
	    {"EXAMPLE.Org.", "example.org"},
	    {"a", "a"},
	    {"a.b", "a.b"},
	    {"1.example", "1.example"},
	    {"1a.1b", "1a.1b"},
	    /* not Punycode, but DNS does not mind */
	    {"xn--99999999.example", "xn--99999999.example"},
	    {"a_b._c.example", "a_b._c.example"},
	    {"B\xc3\xbc"
	     "cher.example",
		"xn--bcher-kva.example"},
	    {"XN--BCHER-KVA.example", "xn--bcher-kva.example"},
	    /* u and a combining diaeresis: NFC makes them one */
	    {"bu\xcc\x88"
	     "cher.example",
		"xn--bcher-kva.example"},
	    /* not "fass": IDNA2008 keeps the sharp s */
	    {"fa\xc3\x9f.example", "xn--fa-hia.example"},
	    /* full-width letters, ideographic full stop */
	    {"\xef\xbd\x85xample\xe3\x80\x82org", "example.org"},
	    {"\xc3\xbc_b.example", "xn--_b-wka.example"},
	    {A63 "." A63 "." A63 "." A61, A63 "." A63 "." A63 "." A61},
	    {A63 "." A63 "." A63 "." A61 ".", A63 "." A63 "." A63 "." A61},
	};
	char out[DOMAIN_ASCII_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(convert(rows[i].in, out), 0);
		assert_string_equal(out, rows[i].want);
	}
}

static void
test_bad(void **state)
{
	static const char *const rows[] = {
	    "",
	    ".",
	    "a..b",
	    "a..",
	    ".a",
	    "a@b",
	    "a b",
	    "a\r\nb",
	    "-a.example",
	    "192.0.2.1",
	    "192.0.2.1.",
	    "example.123",
	    "example.1",
	    "1",
	    A63 "." A63 "." A63 "." A61 "a",
	    "a" A63 ".example",
	    /* a full-width @, a/c in one sign, a full-width space */
	    "a\xef\xbc\xa0"
	    "b",
	    "a\xe2\x84\x80"
	    "b",
	    "a\xe3\x80\x80"
	    "b",
	    /* full-width digits, full stops that follow each other */
	    "\xef\xbc\x91.\xef\xbc\x92",
	    "a.\xe3\x80\x82"
	    "b",
	    "\xc3\xbc.\xe3\x80\x82",
	    /* an unassigned code point, a label that grows too long */
	    "\xcd\xb8.example",
	    "\xc3\xbc" A61 ".example",
	    /* not UTF-8 at all */
	    "\xff.example",
	    "\xc3",
	};
	char out[DOMAIN_ASCII_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (convert(rows[i], out) != -1)
			fail_msg("%zu: %s became %s", i, rows[i], out);
		assert_string_equal(out, "");
	}
}

static void
test_no_name(void **state)
{
	struct path path = {.domain = {"192.0.2.1", 9}};
	char out[DOMAIN_ASCII_MAX];

	(void)state;
	path.domain_kind = DOMAIN_LITERAL;
	assert_int_equal(command_domain_ascii(&path, out), -1);
	path = (struct path){.is_null = true};
	assert_int_equal(command_domain_ascii(&path, out), -1);
	assert_string_equal(out, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_no_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
