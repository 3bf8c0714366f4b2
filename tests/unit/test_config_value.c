/* SPDX-License-Identifier: ISC */
/* Single values: what each may be, and what it comes to. */

#include "proxy/config_value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define LABEL63                                                                \
	"a23456789012345678901234567890123456789012345678901234567890123"
/* 253 bytes of three labels of 63 and one of 61. */
#define NAME253                                                                \
	LABEL63 "." LABEL63 "." LABEL63                                        \
		".b2345678901234567890123456789012345678901234567890123"       \
		"45678901"

/* A string, and what it becomes, or what is said of it. */
struct row {
	const char *in, *out, *why;
};

static void
assert_rows(value_check *check, const struct row *rows, size_t count)
{
	char out[CONFIG_TEXT_MAX];
	const char *why;

	for (; count > 0; count--, rows++) {
		memset(out, 'x', sizeof(out));
		why = check(rows->in, out);
		if (rows->why == NULL) {
			if (why != NULL)
				fail_msg("'%s' %s", rows->in, why);
			assert_string_equal(out, rows->out);
		} else {
			if (why == NULL)
				fail_msg("'%s' passed", rows->in);
			if (strstr(why, rows->why) == NULL)
				fail_msg("'%s' %s", rows->in, why);
		}
	}
}

static void
test_host(void **state)
{
	static const struct row rows[] = {
	    {"mx.example.org", "mx.example.org", NULL},
	    {"MX.Example.ORG.", "mx.example.org", NULL},
	    {"localhost", "localhost", NULL},
	    {"xn--bcher-kva.example", "xn--bcher-kva.example", NULL},
	    {"_mx.9.a-b.example", "_mx.9.a-b.example", NULL},
	    {NAME253, NAME253, NULL},
	    {NAME253 ".", NAME253, NULL},
	    {NAME253 "9", NULL, "not a host name"},
	    {LABEL63 "4.example", NULL, "not a host name"},
	    {"", NULL, "not a host name"},
	    {".", NULL, "not a"},
	    {"a..b", NULL, "not a host name"},
	    {".a", NULL, "not a host name"},
	    {"a..", NULL, "not a host name"},
	    {"a b", NULL, "not a host name"},
	    {"a\nb", NULL, "not a host name"},
	    {"a/b", NULL, "not a host name"},
	    {"a@example.org", NULL, "not a host name"},
	    {"*.example.org", NULL, "without a wildcard"},
	    {"b\xc3\xbc"
	     "cher.example",
		NULL, "xn--"},
	    {"192.0.2.1", NULL, "not a valid address"},
	    {"192.0.2.300", NULL, "not a valid address"},
	    {"mx.25", NULL, "not a host name"},
	};

	(void)state;
	assert_rows(value_host, rows, COUNT(rows));
}

static void
test_domain(void **state)
{
	static const struct row rows[] = {
	    {"Example.org", "example.org", NULL},
	    {"*.Example.org.", "*.example.org", NULL},
	    {"*.org", "*.org", NULL},
	    {"*", NULL, "wildcard"},
	    {"*.", NULL, "not a host name"},
	    {"*.*.org", NULL, "wildcard"},
	    {"a.*.org", NULL, "wildcard"},
	    {"*a.org", NULL, "wildcard"},
	    {"*." NAME253, NULL, "not a domain"},
	    {"[192.0.2.1]", NULL, "not a host name"},
	    {"*.b\xc3\xbc.example", NULL, "xn--"},
	};

	(void)state;
	assert_rows(value_domain, rows, COUNT(rows));
}

static void
test_match(void **state)
{
	static const struct row rows[] = {
	    {"192.0.2.1", "192.0.2.1", NULL},
	    {"192.0.2.1/32", "192.0.2.1", NULL},
	    {"192.0.2.0/24", "192.0.2.0/24", NULL},
	    {"0.0.0.0/0", "0.0.0.0/0", NULL},
	    {"2001:DB8:0::1", "2001:db8::1", NULL},
	    {"2001:db8::/32", "2001:db8::/32", NULL},
	    {"::ffff:192.0.2.0/120", "192.0.2.0/24", NULL},
	    {"SMTP.example.net", "smtp.example.net", NULL},
	    {"192.0.2.1/24", NULL, "prefix"},
	    {"192.0.2.0/33", NULL, "prefix"},
	    {"192.0.2.0/", NULL, "prefix"},
	    {"example.org/24", NULL, "prefix"},
	    {"192.0.2", NULL, "not a valid address"},
	    {"192.0.2.1:25", NULL, "not a valid address"},
	    {"*.example.net", NULL, "wildcard"},
	    {"", NULL, "not a host name"},
	};

	(void)state;
	assert_rows(value_match, rows, COUNT(rows));
}

static void
test_names_of_the_system(void **state)
{
	static const struct row interfaces[] = {
	    {"lan0", "lan0", NULL},
	    {"eth0.100", "eth0.100", NULL},
	    {"br-lan_1", "br-lan_1", NULL},
	    {"abcdefghijklmno", "abcdefghijklmno", NULL},
	    {"abcdefghijklmnop", NULL, "interface"},
	    {"", NULL, "interface"},
	    {".", NULL, "interface"},
	    {"..", NULL, "interface"},
	    {"a b", NULL, "interface"},
	    {"a\"b", NULL, "interface"},
	    {"a;b", NULL, "interface"},
	    {"a*", NULL, "interface"},
	    {"a\nb", NULL, "interface"},
	    {"\xc3\xa4", NULL, "interface"},
	};
	static const struct row users[] = {
	    {"postern", "postern", NULL},
	    {"_postern-2", "_postern-2", NULL},
	    {"", NULL, "user"},
	    {"-p", NULL, "user"},
	    {"1000", NULL, "user"},
	    {"Post", NULL, "user"},
	    {"a b", NULL, "user"},
	    {"root", NULL, "of its own"},
	    {"a2345678901234567890123456789012", NULL, "user"},
	};
	static const struct row paths[] = {
	    {"/etc/a b.pem", "/etc/a b.pem", NULL},
	    {"", NULL, "absolute"},
	    {"ca.pem", NULL, "absolute"},
	    {"/a\nb", NULL, "control"},
	    {"/a\x7f", NULL, "control"},
	};
	static const struct row labels[] = {
	    {"smart host", "smart host", NULL},
	    {LABEL63, LABEL63, NULL},
	    {LABEL63 "4", NULL, "1 to 63"},
	    {"", NULL, "1 to 63"},
	    {"a\tb", NULL, "printable"},
	    {"\xc3\xa4", NULL, "printable"},
	};

	(void)state;
	assert_rows(value_interface, interfaces, COUNT(interfaces));
	assert_rows(value_user, users, COUNT(users));
	assert_rows(value_path, paths, COUNT(paths));
	assert_rows(value_label, labels, COUNT(labels));
}

static void
test_bool(void **state)
{
	static const struct {
		const char *in;
		bool out;
	} rows[] = {{"true", true}, {"Yes", true}, {"on", true},
	    {"false", false}, {"no", false}, {"OFF", false}};
	static const char *const bad[] = {"", "1", "0", "tru", "truee"};
	bool out;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		out = !rows[i].out;
		assert_null(value_bool(rows[i].in, &out));
		assert_int_equal(out, rows[i].out);
	}
	for (i = 0; i < COUNT(bad); i++)
		assert_non_null(value_bool(bad[i], &out));
}

static void
test_number(void **state)
{
	static const struct {
		const char *in;
		uint64_t out;
	} rows[] = {{"0", 0}, {"25", 25}, {"007", 7}, {"0x100", 256},
	    {"0XfF", 255}, {"4294967296", 4294967296}};
	static const char *const bad[] = {"", "0x", "-1", "+1", " 1", "1 ",
	    "1.5", "1k", "0xg", "ff", "x1", "1e3", "99999999999999999999x"};
	uint64_t out;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		assert_null(value_number(rows[i].in, &out));
		assert_int_equal(out, rows[i].out);
	}
	for (i = 0; i < COUNT(bad); i++)
		assert_non_null(value_number(bad[i], &out));
	/* What would wrap must not come out small. */
	assert_null(value_number("18446744073709551617", &out));
	assert_true(out > UINT32_MAX);
	assert_null(value_number("0x10000000000000001", &out));
	assert_true(out > UINT32_MAX);
}

static void
test_prefix(void **state)
{
	static const struct row rows[] = {
	    {"192.0.2.1", "192.0.2.1", NULL},
	    {"192.0.2.1/32", "192.0.2.1", NULL},
	    {"192.0.2.0/24", "192.0.2.0/24", NULL},
	    {"0.0.0.0/0", "0.0.0.0/0", NULL},
	    {"2001:DB8:0::/32", "2001:db8::/32", NULL},
	    {"::/0", "::/0", NULL},
	    {"2001:db8::1/128", "2001:db8::1", NULL},
	    {"::ffff:192.0.2.0/120", "192.0.2.0/24", NULL},
	    {"192.0.2.1/24", NULL, "bits set"},
	    {"::ffff:192.0.2.0/95", NULL, "not an address"},
	    {"192.0.2.0/33", NULL, "not an address"},
	    {"2001:db8::/129", NULL, "not an address"},
	    {"192.0.2.0/", NULL, "not an address"},
	    {"192.0.2.0/ 24", NULL, "not an address"},
	    {"192.0.2.0/24 }", NULL, "not an address"},
	    {"192.0.2", NULL, "not an address"},
	    {"fe80::1%lo", NULL, "not an address"},
	    {"mx.example.org", NULL, "not an address"},
	    {"", NULL, "not an address"},
	};

	(void)state;
	assert_rows(value_prefix, rows, COUNT(rows));
}

static void
test_mark(void **state)
{
	static const struct row rows[] = {
	    {"7", "0x7/0xffffffff", NULL},
	    {"010", "0xa/0xffffffff", NULL},
	    {"0x10/0x30", "0x10/0x30", NULL},
	    {"0/1", "0x0/0x1", NULL},
	    {"0", "0x0/0xffffffff", NULL},
	    {"0xffffffff", "0xffffffff/0xffffffff", NULL},
	    {"0x1/0x0", NULL, "no packet has"},
	    {"2/1", NULL, "no packet has"},
	    {"0x100000000", NULL, "no packet has"},
	    {"1/0x100000001", NULL, "no packet has"},
	    {"0000000000000000000000000000000000000001/1", "0x1/0x1", NULL},
	    {"0x00000000000000000000000000000f00000000", NULL, "no packet has"},
	    {"", NULL, "not a packet mark"},
	    {"/", NULL, "not a packet mark"},
	    {"1/", NULL, "not a packet mark"},
	    {"/1", NULL, "not a packet mark"},
	    {"1/1/1", NULL, "not a packet mark"},
	    {"-1", NULL, "not a packet mark"},
	    {" 1", NULL, "not a packet mark"},
	    {"1 accept", NULL, "not a packet mark"},
	};

	(void)state;
	assert_rows(value_mark, rows, COUNT(rows));
}

static void
test_mark_parts(void **state)
{
	uint32_t value, mask;

	(void)state;
	value_mark_parts("0x10/0x30", &value, &mask);
	assert_int_equal(value, 0x10);
	assert_int_equal(mask, 0x30);
	value_mark_parts("0xffffffff/0xffffffff", &value, &mask);
	assert_int_equal(value, UINT32_MAX);
	assert_int_equal(mask, UINT32_MAX);
	value_mark_parts("7", &value, &mask);
	assert_int_equal(value, 7);
	assert_int_equal(mask, UINT32_MAX);
}

static void
test_seconds(void **state)
{
	static const struct {
		const char *in;
		uint64_t out;
	} rows[] = {{"0", 0}, {"30", 30}, {"30s", 30}, {"5min", 300},
	    {"2h", 7200}, {"1d", 86400}, {"1w", 604800}, {"5MIN", 300}};
	static const char *const bad[] = {"", "s", "min", "5m", "5 min", "5ms",
	    "1.5h", "-1", "0x10", "1y", "5minutes"};
	uint64_t out;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		assert_null(value_seconds(rows[i].in, &out));
		assert_int_equal(out, rows[i].out);
	}
	for (i = 0; i < COUNT(bad); i++)
		assert_non_null(value_seconds(bad[i], &out));
	assert_null(value_seconds("30500568904944w", &out));
	assert_true(out > UINT32_MAX);
}

static void
test_server(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
	    {"192.0.2.53", "192.0.2.53:53"},
	    {"192.0.2.53:5353", "192.0.2.53:5353"},
	    {"[2001:db8::53]", "[2001:db8::53]:53"},
	    {"[2001:db8::53]:5353", "[2001:db8::53]:5353"},
	    {"2001:db8::53", "[2001:db8::53]:53"},
	    {"192.0.2.53:65535", "192.0.2.53:65535"},
	};
	static const char *const bad[] = {"", ":", "[", "[]", "[::1", "[::1]53",
	    "[::1]:", "[::1]:0", "192.0.2.53:", "192.0.2.53:0",
	    "192.0.2.53:65536", "192.0.2.53:0x35", "192.0.2.53:-1",
	    "192.0.2.53:5 ", "192.0.2", "192.0.2.0/24", "ns.example",
	    "ns.example:53", ("[" LABEL63 "]:53")};
	struct address out;
	char text[ADDRESS_TEXT_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		assert_null(value_server(rows[i].in, &out));
		assert_string_equal(address_text(&out, text), rows[i].out);
	}
	for (i = 0; i < COUNT(bad); i++) {
		if (value_server(bad[i], &out) == NULL)
			fail_msg("'%s' passed", bad[i]);
	}
}

/* SHA-256 of nothing, in both spellings. */
#define EMPTY_HEX_REST                                                         \
	"3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7"             \
	"852b855"
#define EMPTY_HEX    "e" EMPTY_HEX_REST
#define EMPTY_BASE64 "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

static void
test_pin(void **state)
{
	static const char *const rows[] = {EMPTY_HEX, "sha256:" EMPTY_HEX,
	    EMPTY_BASE64, ("SHA256:" EMPTY_BASE64)};
	static const char *const bad[] = {"", "sha256:", "sha1:" EMPTY_HEX,
	    EMPTY_HEX "0", EMPTY_BASE64 "=", ("g" EMPTY_HEX_REST),
	    /* bits behind the last byte */
	    "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
	    "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFUA",
	    "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU="};
	static const uint8_t empty[32] = {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc,
	    0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
	    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b,
	    0x78, 0x52, 0xb8, 0x55};
	uint8_t out[32];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		memset(out, 0, sizeof(out));
		assert_null(value_pin(rows[i], out));
		assert_memory_equal(out, empty, sizeof(out));
	}
	for (i = 0; i < COUNT(bad); i++) {
		if (value_pin(bad[i], out) == NULL)
			fail_msg("'%s' passed", bad[i]);
	}
}

static void
test_until(void **state)
{
	static const struct {
		const char *in;
		int64_t out;
	} rows[] = {
	    /* the day is over when the next one begins */
	    {"2027-01-31", 1801440000},
	    {"2027-01-31T00:00:00Z", 1801353600},
	    {"2027-01-31T23:59:59Z", 1801439999},
	    {"2028-02-29", 1835481600},
	    {"1970-01-01", 86400},
	    {"9999-12-31", 253402300800},
	};
	static const char *const bad[] = {"", "2027", "2027-01", "2027-1-31",
	    "2027-01-31 ", "2027-01-31T", "2027-01-31T12:00Z",
	    "2027-01-31T12:00:00", "2027-01-31T12:00:00+01:00",
	    "2027-01-31T12:00:00Zx", "2027-01-31T24:00:00Z",
	    "2027-01-31T12:60:00Z", "2027-01-31T12:00:60Z",
	    "2027-01-31t12:00:00z", "2027-02-29", "2027-04-31", "2027-00-01",
	    "2027-13-01", "2027-01-00", "2027-01-32", "1969-12-31",
	    "0000-00-00", "31.01.2027", "20270131", "tomorrow!!"};
	int64_t out;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		assert_null(value_until(rows[i].in, &out));
		assert_int_equal(out, rows[i].out);
	}
	for (i = 0; i < COUNT(bad); i++) {
		if (value_until(bad[i], &out) == NULL)
			fail_msg("'%s' passed", bad[i]);
	}
}

static void
test_nearest(void **state)
{
	static const char *const words[] = {
	    "to", "ports", "interfaces", "trust", NULL};
	static const struct {
		const char *in, *out;
	} rows[] = {
	    {"port", "ports"}, /* one left out */
	    {"portss", "ports"}, /* one put in */
	    {"posts", "ports"}, /* one replaced */
	    {"protsx", "ports"}, /* two swapped, one put in */
	    {"tursts", "trust"}, /* likewise */
	    {"intrefcaes", "interfaces"}, /* two pairs swapped */
	    {"intrefcase", NULL}, /* too far */
	    {"xx", NULL},
	    {"", NULL},
	    {"ti", NULL}, /* half of a short word */
	    {"this_word_is_longer_than_any_setting_is", NULL},
	};
	const char *out;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		out = value_nearest(rows[i].in, words);
		if (rows[i].out == NULL && out != NULL)
			fail_msg("'%s' is near '%s'", rows[i].in, out);
		if (rows[i].out != NULL)
			assert_string_equal(out, rows[i].out);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_host),
	    cmocka_unit_test(test_domain),
	    cmocka_unit_test(test_match),
	    cmocka_unit_test(test_names_of_the_system),
	    cmocka_unit_test(test_bool),
	    cmocka_unit_test(test_number),
	    cmocka_unit_test(test_prefix),
	    cmocka_unit_test(test_mark),
	    cmocka_unit_test(test_mark_parts),
	    cmocka_unit_test(test_seconds),
	    cmocka_unit_test(test_server),
	    cmocka_unit_test(test_pin),
	    cmocka_unit_test(test_until),
	    cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
