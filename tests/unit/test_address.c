/* SPDX-License-Identifier: ISC */
/* Addresses and prefixes: in, out, and which equals which. */

#include "proxy/base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct address
parse(const char *text)
{
	struct address address;

	assert_int_equal(address_from_text(&address, text), 0);
	return address;
}

static void
test_text(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
	    {"192.0.2.1", "192.0.2.1"},
	    {"0.0.0.0", "0.0.0.0"},
	    {"2001:db8::1", "2001:db8::1"},
	    {"[2001:DB8:0::1]", "2001:db8::1"},
	    {"::", "::"},
	    {"[::1]", "::1"},
	    /* the same host, so the same value */
	    {"::ffff:192.0.2.1", "192.0.2.1"},
	    {"[::ffff:c000:201]", "192.0.2.1"},
	};
	struct address address;
	char out[ADDRESS_TEXT_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		address = parse(rows[i].in);
		assert_int_equal(address.port, 0);
		assert_string_equal(
		    address_ip_text(&address, out), rows[i].out);
	}
}

static void
test_bad_text(void **state)
{
	static const char *const rows[] = {
	    "",
	    " ",
	    ":",
	    "[",
	    "[]",
	    "[:",
	    ":]",
	    "[::1",
	    "::1]",
	    "[[::1]]",
	    "192.0.2",
	    "192.0.2.256",
	    "192.0.2.1 ",
	    " 192.0.2.1",
	    "192.0.2.01",
	    "0x7f.1",
	    "3221225985",
	    "[192.0.2.1]",
	    "192.0.2.1:25",
	    "[::1]:25",
	    "fe80::1%lo",
	    "1::2::3",
	    "example.org",
	    "2001:db8:0000000000000000000000000000000000000000000000000::1",
	    "[2001:db8:0000000000000000000000000000000000000000000000000::1]",
	};
	struct address address;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		errno = 0;
		if (address_from_text(&address, rows[i]) != -1)
			fail_msg("taken: \"%s\"", rows[i]);
		assert_int_equal(errno, EINVAL);
		assert_int_equal(address.family, AF_UNSPEC);
	}
}

static void
test_literal(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: refused */
	} rows[] = {
	    {"192.0.2.1", "192.0.2.1"},
	    {"IPv6:2001:db8::1", "2001:db8::1"},
	    {"ipv6:2001:db8::1", "2001:db8::1"},
	    {"IPv6:::1", "::1"},
	    {"IPv6:::ffff:192.0.2.1", "192.0.2.1"},
	    {"2001:db8::1", NULL},
	    {"IPv6:192.0.2.1", NULL},
	    {"IPv6:[2001:db8::1]", NULL},
	    {"IPv6:", NULL},
	    {"IPv6", NULL},
	    {"IPv7:2001:db8::1", NULL},
	    {"[192.0.2.1]", NULL},
	    {"", NULL},
	};
	struct address address;
	char out[ADDRESS_TEXT_MAX];
	char bounded[64];
	size_t i, len;
	int ret;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		/* What follows the given length is not looked at. */
		len = strlen(rows[i].in);
		memset(bounded, '9', sizeof(bounded));
		memcpy(bounded, rows[i].in, len);
		ret = address_from_literal(&address, bounded, len);
		if (ret != (rows[i].out == NULL ? -1 : 0))
			fail_msg("\"%s\": %d", rows[i].in, ret);
		if (ret == 0)
			assert_string_equal(
			    address_ip_text(&address, out), rows[i].out);
	}
	assert_int_equal(
	    address_from_literal(&address, "192.0.2.1\0x", 11), -1);
	memset(bounded, '1', sizeof(bounded));
	assert_int_equal(
	    address_from_literal(&address, bounded, sizeof(bounded)), -1);
}

static void
test_sockaddr(void **state)
{
	struct sockaddr_storage storage;
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
	    .sin6_port = htons(25),
	    .sin6_scope_id = 7};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(587)};
	struct sockaddr un = {.sa_family = AF_UNIX};
	struct address address;
	char out[ADDRESS_TEXT_MAX];

	(void)state;
	inet_pton(AF_INET, "192.0.2.1", &in.sin_addr);
	assert_int_equal(
	    address_from_sockaddr(&address, (struct sockaddr *)&in), 0);
	assert_string_equal(address_text(&address, out), "192.0.2.1:587");
	assert_int_equal(address_to_sockaddr(&address, &storage), sizeof(in));
	assert_memory_equal(&storage, &in, sizeof(in));

	inet_pton(AF_INET6, "fe80::1", &in6.sin6_addr);
	assert_int_equal(
	    address_from_sockaddr(&address, (struct sockaddr *)&in6), 0);
	assert_string_equal(address_text(&address, out), "[fe80::1%7]:25");
	assert_int_equal(address_to_sockaddr(&address, &storage), sizeof(in6));
	assert_memory_equal(&storage, &in6, sizeof(in6));

	inet_pton(AF_INET6, "::ffff:192.0.2.1", &in6.sin6_addr);
	assert_int_equal(
	    address_from_sockaddr(&address, (struct sockaddr *)&in6), 0);
	assert_int_equal(address.scope, 0);
	assert_string_equal(address_text(&address, out), "192.0.2.1:25");

	errno = 0;
	assert_int_equal(address_from_sockaddr(&address, &un), -1);
	assert_int_equal(errno, EAFNOSUPPORT);
	assert_int_equal(address.family, AF_UNSPEC);
	assert_int_equal(address_to_sockaddr(&address, &storage), 0);
	assert_string_equal(address_ip_text(&address, out), "none");
}

/* The longest text of all fits, and is not cut. */
static void
test_longest(void **state)
{
	static const char ip[] = "1111:2222:3333:4444:5555:6666:7777:8888";
	struct address address = parse(ip);
	char out[ADDRESS_TEXT_MAX];

	(void)state;
	address.port = 65535;
	address.scope = UINT32_MAX;
	assert_string_equal(address_text(&address, out),
	    "[1111:2222:3333:4444:5555:6666:7777:8888%4294967295]:65535");
}

static void
test_equal(void **state)
{
	struct address a = parse("192.0.2.1"), b = parse("192.0.2.1");
	struct address v6 = parse("c000:201::"); /* the same first bytes */

	(void)state;
	assert_true(address_equal(&a, &b));
	b.port = 25;
	assert_false(address_equal(&a, &b));
	assert_true(address_ip_equal(&a, &b));
	b = parse("192.0.2.2");
	assert_false(address_ip_equal(&a, &b));
	assert_false(address_ip_equal(&a, &v6));
	a = v6;
	assert_true(address_equal(&a, &v6));
	a.scope = 3;
	assert_false(address_equal(&a, &v6));
	assert_true(address_ip_equal(&a, &v6));
	a.ip[15] = 1;
	assert_false(address_ip_equal(&a, &v6));
}

static void
test_prefix(void **state)
{
	static const struct {
		const char *prefix, *address;
		bool contains;
	} rows[] = {
	    {"192.0.2.0/24", "192.0.2.0", true},
	    {"192.0.2.0/24", "192.0.2.255", true},
	    {"192.0.2.0/24", "192.0.3.0", false},
	    {"192.0.2.128/25", "192.0.2.128", true},
	    {"192.0.2.128/25", "192.0.2.127", false},
	    {"192.0.2.4/30", "192.0.2.7", true},
	    {"192.0.2.4/30", "192.0.2.8", false},
	    {"192.0.2.1", "192.0.2.1", true},
	    {"192.0.2.1", "192.0.2.0", false},
	    {"192.0.2.1/32", "192.0.2.1", true},
	    {"0.0.0.0/0", "203.0.113.9", true},
	    {"0.0.0.0/0", "2001:db8::1", false},
	    {"::/0", "2001:db8::1", true},
	    {"::/0", "192.0.2.1", false},
	    {"2001:db8::/33", "2001:db8:7fff::1", true},
	    {"2001:db8::/33", "2001:db8:8000::1", false},
	    {"2001:db8::1", "2001:db8::1", true},
	    {"2001:db8::1", "2001:db8::2", false},
	    {"::ffff:192.0.2.0/120", "192.0.2.9", true},
	    {"::ffff:192.0.2.0/120", "192.0.3.9", false},
	};
	struct prefix prefix;
	struct address address;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(prefix_from_text(&prefix, rows[i].prefix), 0);
		address = parse(rows[i].address);
		address.port = 25;
		if (prefix_contains(&prefix, &address) != rows[i].contains)
			fail_msg("%s %s", rows[i].prefix, rows[i].address);
	}
}

static void
test_bad_prefix(void **state)
{
	static const char *const rows[] = {
	    "",
	    "/",
	    "/24",
	    "192.0.2.0/",
	    "192.0.2.0/33",
	    "192.0.2.0/-1",
	    "10.0.0.0/+8",
	    "10.0.0.0/ 8",
	    "10.0.0.0/8x",
	    "::/129",
	    "192.0.2.0/24/24",
	    "192.0.2.1/24",
	    "2001:db8::1/64",
	    "::ffff:0.0.0.0/80",
	    "192.0.2.0/255.255.255.0",
	    "192.0.2.0/99999999999999999999",
	};
	struct prefix prefix;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		errno = 0;
		if (prefix_from_text(&prefix, rows[i]) != -1)
			fail_msg("taken: \"%s\"", rows[i]);
		assert_int_equal(errno, EINVAL);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_text),
	    cmocka_unit_test(test_bad_text),
	    cmocka_unit_test(test_literal),
	    cmocka_unit_test(test_sockaddr),
	    cmocka_unit_test(test_longest),
	    cmocka_unit_test(test_equal),
	    cmocka_unit_test(test_prefix),
	    cmocka_unit_test(test_bad_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
