/* SPDX-License-Identifier: ISC */
/* Addresses: which pass, what is found in them, and which never do. */

#include "proxy/smtp/path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define A10  "aaaaaaaaaa"
#define A63  A10 A10 A10 A10 A10 A10 "aaa"
#define A255 A63 A63 A63 A63 "aaa"

static bool
equal(struct slice slice, const char *text)
{
	return slice.len == strlen(text) &&
	       (slice.len == 0 || memcmp(slice.text, text, slice.len) == 0);
}

static void
test_good(void **state)
{
	static const struct {
		const char *text, *local, *domain;
		enum domain_kind kind;
	} rows[] = {
	    {"<a@b>", "a", "b", DOMAIN_NAME},
	    {"<A.b+c@Example.ORG>", "A.b+c", "Example.ORG", DOMAIN_NAME},
	    {"<a@example.org.>", "a", "example.org.", DOMAIN_NAME},
	    {"<a@_dmarc.a_b.example>", "a", "_dmarc.a_b.example", DOMAIN_NAME},
	    {"<a@xn--bcher-kva.example>", "a", "xn--bcher-kva.example",
		DOMAIN_NAME},
	    {"<!#$%&'*+-/=?^_`{|}~@b.c>", "!#$%&'*+-/=?^_`{|}~", "b.c",
		DOMAIN_NAME},
	    {"<a%b.example@c.example>", "a%b.example", "c.example",
		DOMAIN_NAME},
	    {"<b!a@c.example>", "b!a", "c.example", DOMAIN_NAME},
	    {"<..a..b.@c>", "..a..b.", "c", DOMAIN_NAME},
	    {"<\"\"@c>", "\"\"", "c", DOMAIN_NAME},
	    {"<\"a@b\"@c>", "\"a@b\"", "c", DOMAIN_NAME},
	    {"<\"a b>,<\"@c>", "\"a b>,<\"", "c", DOMAIN_NAME},
	    {"<\"a\\\"@evil\\\\\"@c>", "\"a\\\"@evil\\\\\"", "c", DOMAIN_NAME},
	    {"<@r:a@b>", "a", "b", DOMAIN_NAME},
	    {"<@r.example,@s.example:a@b>", "a", "b", DOMAIN_NAME},
	    {"<a@[192.0.2.1]>", "a", "192.0.2.1", DOMAIN_LITERAL},
	    {"<a@[IPv6:2001:db8::1]>", "a", "IPv6:2001:db8::1", DOMAIN_LITERAL},
	    {"<j\xc3\xbcrgen@b\xc3\xbc"
	     "cher.example>",
		"j\xc3\xbcrgen",
		"b\xc3\xbc"
		"cher.example",
		DOMAIN_NAME},
	    {"<a@" A63 "." A63 ">", "a", A63 "." A63, DOMAIN_NAME},
	    {"<" A255 "@b>", A255, "b", DOMAIN_NAME},
	    {"<a@" A63 "." A63 "." A63 "." A63 ">", "a",
		A63 "." A63 "." A63 "." A63, DOMAIN_NAME},
	    {"<a@[" A255 "]>", "a", A255, DOMAIN_LITERAL},
	    /* how long a label is that is not ASCII, IDNA tells */
	    {"<a@\xc3\xbc" A63 ">", "a", "\xc3\xbc" A63, DOMAIN_NAME},
	};
	struct path path;
	struct slice rest;
	size_t i;
	int is_sender;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (is_sender = 0; is_sender <= 1; is_sender++) {
			rest = (struct slice){
			    rows[i].text, strlen(rows[i].text)};
			assert_null(path_parse(&rest, is_sender, &path));
			assert_int_equal(rest.len, 0);
			assert_true(equal(path.raw, rows[i].text));
			assert_true(equal(path.local, rows[i].local));
			assert_true(equal(path.domain, rows[i].domain));
			assert_int_equal(path.domain_kind, rows[i].kind);
			assert_false(path.is_null);
			assert_false(path.is_postmaster);
			assert_int_equal(path.needs_utf8,
			    strstr(rows[i].text, "\xc3") != NULL);
		}
}

static void
test_special(void **state)
{
	static const struct {
		const char *text;
		bool is_sender;
		bool is_null, is_postmaster;
	} rows[] = {
	    {"<>", true, true, false},
	    {"<Postmaster>", false, false, true},
	    {"<pOSTMASTER>", false, false, true},
	    {"<root>", true, false, false},
	    {"<postmaster>", true, false, false},
	};
	struct path path;
	struct slice rest;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rest = (struct slice){rows[i].text, strlen(rows[i].text)};
		assert_null(path_parse(&rest, rows[i].is_sender, &path));
		assert_true(equal(path.raw, rows[i].text));
		assert_int_equal(path.domain_kind, DOMAIN_NONE);
		assert_int_equal(path.is_null, rows[i].is_null);
		assert_int_equal(path.is_postmaster, rows[i].is_postmaster);
	}
}

/* What follows the path is left for others. */
static void
test_rest(void **state)
{
	struct slice rest = {"<a@b> SIZE=1", 12};
	struct path path;

	(void)state;
	assert_null(path_parse(&rest, true, &path));
	assert_true(equal(rest, " SIZE=1"));
	assert_true(equal(path.raw, "<a@b>"));
}

static void
test_bad(void **state)
{
	static const char *const both[] = {
	    "",
	    "<",
	    ">",
	    "a@b",
	    "a@b>",
	    "<a@b",
	    "< a@b>",
	    "<a@b >",
	    "<a @b>",
	    "<a@ b>",
	    "<@>",
	    "<@b>",
	    "<a@>",
	    "<a@.>",
	    "<a@.b>",
	    "<a@b..c>",
	    "<a@b..>",
	    "<a@-b>",
	    "<a@b->",
	    "<a@b-.c>",
	    "<a@b.-c>",
	    "<a@b@c>",
	    "<a@b@>",
	    "<a@@b>",
	    "<<a@b>",
	    "<a@b,c@d>",
	    "<a@b;c@d>",
	    "<a,c@d>",
	    "<a@b/c>",
	    "<a@b:25>",
	    "<a@b\"c\">",
	    "<a@b\\.c>",
	    "<a@(b)c>",
	    "<a(b)@c>",
	    "<a:b@c>",
	    "<a[b]@c>",
	    "<a\\b@c>",
	    "<a\"b\"@c>",
	    "<\"a\"b@c>",
	    "<\"a\".b@c>",
	    "<a.\"b\"@c>",
	    "<\"a@c>",
	    "<\"a\\\"@c>",
	    "<\"a\\\xc3\xbc\"@c>",
	    "<\"",
	    "<\"\\",
	    "<@r>",
	    "<@r:>",
	    "<@r:@b>",
	    "<@r,:a@b>",
	    "<@r,s:a@b>",
	    "<@r,@:a@b>",
	    "<@:a@b>",
	    "<@-r:a@b>",
	    "<@r a@b>",
	    "<r:a@b>",
	    "<a@[]>",
	    "<a@[192.0.2.1>",
	    "<a@192.0.2.1]>",
	    "<a@[192.0.2.1]b>",
	    "<a@[192.0.2.1].b>",
	    "<a@[[192.0.2.1]]>",
	    "<a@[192.0.2.1\\]>",
	    "<a@[192.0.2.1 ]>",
	    "<a@[\xc3\xbc]>",
	    "<a@[\x7f]>",
	    "<a@[a" A255 "]>",
	    "<a@a" A63 ">",
	    "<a@b.a" A63 ".c>",
	    "<a@" A63 "." A63 "." A63 "." A63 ".a>",
	    "<a" A255 "@b>",
	};
	static const char *const recipient[] = {
	    "<>",
	    "<a>",
	    "<\"postmaster\">",
	    "<postmaster.>",
	    "<@r:postmaster>",
	    "<postmaste>",
	};
	struct path path;
	struct slice rest;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(both) / sizeof(both[0]); i++) {
		rest = (struct slice){both[i], strlen(both[i])};
		if (path_parse(&rest, true, &path) == NULL)
			fail_msg("sender passed: %s", both[i]);
		rest = (struct slice){both[i], strlen(both[i])};
		if (path_parse(&rest, false, &path) == NULL)
			fail_msg("recipient passed: %s", both[i]);
	}
	for (i = 0; i < sizeof(recipient) / sizeof(recipient[0]); i++) {
		rest = (struct slice){recipient[i], strlen(recipient[i])};
		if (path_parse(&rest, false, &path) == NULL)
			fail_msg("recipient passed: %s", recipient[i]);
	}
}

/* The reason goes to the sender's bounce: it should be the right one. */
static void
test_reason(void **state)
{
	struct slice rest = {"<a@b@c>", 7};
	struct path path;

	(void)state;
	assert_string_equal(
	    path_parse(&rest, false, &path), "more than one @ in the address");
	rest = (struct slice){"<a@b c>", 7};
	assert_string_equal(path_parse(&rest, false, &path),
	    "address without its closing bracket");
}

static void
test_check_name(void **state)
{
	(void)state;
	assert_null(path_check_name((struct slice){"a.b", 3}));
	assert_null(path_check_name((struct slice){"a.b.", 4}));
	assert_non_null(path_check_name((struct slice){"", 0}));
	assert_non_null(path_check_name((struct slice){".", 1}));
	assert_non_null(path_check_name((struct slice){"a b", 3}));
	assert_non_null(path_check_name((struct slice){"a\0b", 3}));
	assert_non_null(path_check_name((struct slice){"a\r\nb", 4}));
	assert_non_null(path_check_name((struct slice){"a@b", 3}));
	assert_non_null(path_check_name((struct slice){"@ab", 3}));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_special),
	    cmocka_unit_test(test_rest),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_reason),
	    cmocka_unit_test(test_check_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
