/* SPDX-License-Identifier: ISC */
/* DNS answers in passing: which of them leave a hint, and for how long. */

#include "netfilter/dns_watch.h"

#include <stdio.h>
#include <stdlib.h>

#include "dns_wire.h"
#include "mutate.h"

#define NOW 1000000

static struct dns_watch *watch;
static struct packet packet;
static int64_t now_ms;

/* All hints of one message, one "IP NAME SECONDS;" each. */
static char hints[65536];
static size_t hint_count;

static int
setup(void **state)
{
	(void)state;
	now_ms = NOW;
	return (watch = dns_watch_new()) == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	dns_watch_free(watch);
	return 0;
}

static void
on_hint(void *arg, const struct dns_hint *hint)
{
	char text[ADDRESS_TEXT_MAX], line[512];

	assert_ptr_equal(arg, watch);
	assert_true(dns_name_is_host(hint->name));
	assert_int_equal(hint->address.port, 0);
	assert_in_range(hint->seconds, DNS_WATCH_MIN_S, DNS_WATCH_MAX_S);
	snprintf(line, sizeof(line), "%s %s %u;",
	    address_ip_text(&hint->address, text), hint->name, hint->seconds);
	assert_true(strlcat(hints, line, sizeof(hints)) < sizeof(hints));
	hint_count++;
}

static void
watch_bytes(const uint8_t *data, size_t len)
{
	hints[0] = '\0';
	hint_count = 0;
	dns_watch_message(watch, data, len, now_ms, on_hint, watch);
}

/* On the heap and of that very size, so that ASan sees an overrun. */
static void
assert_hints(const char *expected)
{
	uint8_t *copy = malloc(packet.len > 0 ? packet.len : 1);

	assert_non_null(copy);
	memcpy(copy, packet.data, packet.len);
	watch_bytes(copy, packet.len);
	free(copy);
	assert_string_equal(hints, expected);
}

/* An MX answer of one host. */
static void
see_mx(const char *domain, const char *host, uint32_t ttl)
{
	begin(&packet, 0, domain, DNS_MX, 1, 0);
	put_mx(&packet, domain, ttl, 10, host);
	assert_hints("");
}

static void
see_address(const char *host, const char *ip, uint32_t ttl, const char *hint)
{
	begin(
	    &packet, 0, host, strchr(ip, ':') == NULL ? DNS_A : DNS_AAAA, 1, 0);
	put_address(&packet, host, ttl, ip);
	assert_hints(hint);
}

static void
test_mx_then_addresses(void **state)
{
	(void)state;
	see_address("mx.a.example", "192.0.2.1", 600, "");
	see_mx("a.example", "mx.a.example", 600);
	see_address(
	    "mx.a.example", "192.0.2.1", 600, "192.0.2.1 mx.a.example 600;");
	see_address("mx.a.example", "2001:db8::1", 600,
	    "2001:db8::1 mx.a.example 600;");
	see_address("a.example", "192.0.2.2", 600, "");
	see_address("mx2.a.example", "192.0.2.2", 600, "");
	begin(&packet, 0, "mx.a.example", DNS_A, 3, 0);
	put_address(&packet, "mx.a.example", 900, "192.0.2.1");
	put_address(&packet, "mx.a.example", 400, "192.0.2.2");
	put_address(&packet, "other.example", 700, "192.0.2.3");
	assert_hints("192.0.2.1 mx.a.example 400;192.0.2.2 mx.a.example 400;");
}

/* Resolvers ask in letters of either case, to be hard to lie to. */
static void
test_case_is_nothing(void **state)
{
	(void)state;
	see_mx("A.exAMPle", "MX.a.Example", 600);
	see_address(
	    "mX.A.eXAMPLE", "192.0.2.1", 600, "192.0.2.1 mx.a.example 600;");
}

/* What the server is called is what was asked for, not where it led. */
static void
test_aliases(void **state)
{
	(void)state;
	begin(&packet, 0, "a.example", DNS_MX, 2, 0);
	put_alias(&packet, "a.example", 600, "b.example");
	put_mx(&packet, "b.example", 600, 10, "mx.b.example");
	assert_hints("");
	begin(&packet, 0, "mx.b.example", DNS_A, 2, 0);
	put_alias(&packet, "mx.b.example", 600, "host.c.example");
	put_address(&packet, "host.c.example", 600, "192.0.2.1");
	assert_hints("192.0.2.1 mx.b.example 600;");
	see_address("host.c.example", "192.0.2.1", 600, "");
}

/* Without MX records a domain is its own host; but not where it is none. */
static void
test_implicit_mx(void **state)
{
	(void)state;
	begin(&packet, 0, "a.example", DNS_MX, 0, 1);
	put_soa(&packet, "example", 600);
	assert_hints("");
	see_address("a.example", "192.0.2.1", 600, "192.0.2.1 a.example 600;");
	begin(&packet, 3, "b.example", DNS_MX, 0, 0);
	assert_hints("");
	see_address("b.example", "192.0.2.1", 600, "");
	begin(&packet, 2, "c.example", DNS_MX, 0, 0);
	assert_hints("");
	see_address("c.example", "192.0.2.1", 600, "");
}

/* The names of no host are nobody's, the root's least of all. */
static void
test_null_mx(void **state)
{
	(void)state;
	see_mx("a.example", "", 600);
	see_address("a.example", "192.0.2.1", 600, "");
	see_address("", "192.0.2.1", 600, "");
	begin(&packet, 0, "", DNS_MX, 0, 0);
	assert_hints("");
	see_address("", "192.0.2.1", 600, "");
	see_address("", "2001:db8::1", 600, "");
}

static void
test_no_answers(void **state)
{
	(void)state;
	see_mx("a.example", "mx.a.example", 600);
	begin(&packet, 0, "mx.a.example", DNS_A, 0, 0);
	assert_hints("");
	begin(&packet, 3, "mx.a.example", DNS_A, 0, 0);
	assert_hints("");
	begin(&packet, 0, "mx.a.example", DNS_A, 1, 0);
	put_address(&packet, "mx.a.example", 600, "192.0.2.1");
	packet.data[2] &= 0x7f; /* a question */
	assert_hints("");
	packet.data[2] |= 0x82; /* cut short */
	assert_hints("");
	begin(&packet, 0, "mx.a.example", DNS_TXT, 1, 0);
	put_address(&packet, "mx.a.example", 600, "192.0.2.1");
	assert_hints("");
	/* An address of the other kind than was asked for. */
	begin(&packet, 0, "mx.a.example", DNS_AAAA, 1, 0);
	put_address(&packet, "mx.a.example", 600, "192.0.2.1");
	assert_hints("");
}

/* A zero would forget before the connection comes; for ever is too long. */
static void
test_how_long(void **state)
{
	static const struct {
		uint32_t ttl, seconds;
	} rows[] = {{0, DNS_WATCH_MIN_S}, {299, 300}, {300, 300}, {301, 301},
	    {86400, 86400}, {86401, DNS_WATCH_MAX_S}, {INT32_MAX, 86400},
	    {UINT32_MAX, DNS_WATCH_MIN_S}};
	char expected[64];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		see_mx("a.example", "mx.a.example", rows[i].ttl);
		now_ms += (int64_t)rows[i].seconds * 1000 - 1;
		snprintf(expected, sizeof(expected),
		    "192.0.2.1 mx.a.example %u;", rows[i].seconds);
		see_address("mx.a.example", "192.0.2.1", rows[i].ttl, expected);
		now_ms++;
		see_address("mx.a.example", "192.0.2.1", rows[i].ttl, "");
	}
}

static void
test_bad_names(void **state)
{
	static const char *const names[] = {"a\nb.example", "a\1b.example",
	    "a b.example", "\x1b[2J.example", "192.0.2.1", "\"x\".example",
	    "\xc3\xa4.example"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		see_mx("a.example", names[i], 600);
		see_address(names[i], "192.0.2.1", 600, "");
		begin(&packet, 0, names[i], DNS_MX, 0, 0);
		assert_hints("");
		see_address(names[i], "192.0.2.1", 600, "");
	}
	/* Beside a good one they do not hinder it. */
	begin(&packet, 0, "a.example", DNS_MX, 2, 0);
	put_mx(&packet, "a.example", 600, 5, "a\nb.example");
	put_mx(&packet, "a.example", 600, 10, "mx.a.example");
	assert_hints("");
	see_address(
	    "mx.a.example", "192.0.2.1", 600, "192.0.2.1 mx.a.example 600;");
}

static void
test_loops(void **state)
{
	(void)state;
	see_mx("a.example", "mx.a.example", 600);
	/* A question that points to itself, then two that point across. */
	begin(&packet, 0, "", DNS_A, 0, 0);
	packet.data[12] = 0xc0;
	packet.data[13] = 12;
	assert_hints("");
	packet.data[13] = 14;
	packet.data[14] = 0xc0;
	packet.data[15] = 12;
	assert_hints("");
	/* An alias of itself. */
	begin(&packet, 0, "mx.a.example", DNS_A, 1, 0);
	put_alias(&packet, "mx.a.example", 600, "mx.a.example");
	assert_hints("");
	begin(&packet, 0, "mx.a.example", DNS_A, 2, 0);
	put_alias(&packet, "mx.a.example", 600, "b.example");
	put_alias(&packet, "b.example", 600, "mx.a.example");
	assert_hints("");
}

/* Addresses past what is kept of an answer are none, and none of ours. */
static void
test_many_records(void **state)
{
	char ip[32];
	int i;

	(void)state;
	see_mx("a.example", "mx.a.example", 600);
	begin(&packet, 0, "mx.a.example", DNS_A, DNS_PACKET_RRS, 0);
	for (i = 0; i < DNS_PACKET_RRS; i++) {
		snprintf(ip, sizeof(ip), "10.0.%d.%d", i / 256, i % 256);
		put_address(&packet, "mx.a.example", 600, ip);
	}
	watch_bytes(packet.data, packet.len);
	assert_int_equal(hint_count, DNS_WATCH_TOLD_MAX);
	packet.data[6] = (DNS_PACKET_RRS + 1) >> 8;
	packet.data[7] = (DNS_PACKET_RRS + 1) & 0xff;
	put_address(&packet, "mx.a.example", 600, "10.9.9.9");
	assert_hints("");
}

#define HOSTS 256

static size_t
count_remembered(void)
{
	char host[64];
	size_t count = 0;
	int i;

	for (i = 0; i < HOSTS; i++) {
		snprintf(host, sizeof(host), "mx%d.example", i);
		begin(&packet, 0, host, DNS_A, 1, 0);
		put_address(&packet, host, 600, "192.0.2.1");
		watch_bytes(packet.data, packet.len);
		count += hint_count;
	}
	return count;
}

/*
 * One forged answer, as full as they come, costs few of the others' hints; and
 * a flood of them costs no more than hints.
 */
static void
test_flood(void **state)
{
	char host[64];
	size_t before, after;
	int i, j;

	(void)state;
	for (i = 0; i < HOSTS; i++) {
		snprintf(host, sizeof(host), "mx%d.example", i);
		see_mx("a.example", host, 86400);
	}
	before = count_remembered();
	assert_in_range(before, HOSTS * 7 / 8, HOSTS);
	for (i = 0; i < 1000; i++) {
		begin(&packet, 0, "evil.example", DNS_MX, DNS_PACKET_RRS, 0);
		for (j = 0; j < DNS_PACKET_RRS; j++) {
			snprintf(host, sizeof(host), "x%d-%d.example", i, j);
			put_mx(&packet, "evil.example", 86400, 1, host);
		}
		assert_hints("");
		if (i == 0) {
			after = count_remembered();
			assert_in_range(after, before * 7 / 8, before);
		}
	}
	see_mx("a.example", "mx0.example", 600);
	see_address(
	    "mx0.example", "192.0.2.1", 600, "192.0.2.1 mx0.example 600;");
}

static void
test_spoilt(void **state)
{
	(void)state;
	begin(&packet, 0, "a.example", DNS_MX, 2, 1);
	put_alias(&packet, "a.example", 600, "b.example");
	put_mx(&packet, "b.example", 600, 10, "mx.b.example");
	put_soa(&packet, "example", 600);
	mutate(packet.data, packet.len, watch_bytes);
	begin(&packet, 0, "mx.b.example", DNS_AAAA, 2, 0);
	put_alias(&packet, "mx.b.example", 600, "c.example");
	put_address(&packet, "c.example", 600, "2001:db8::1");
	mutate(packet.data, packet.len, watch_bytes);
	see_mx("b.example", "mx.b.example", 600);
	see_address(
	    "mx.b.example", "192.0.2.1", 600, "192.0.2.1 mx.b.example 600;");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_mx_then_addresses),
	    TEST(test_case_is_nothing),
	    TEST(test_aliases),
	    TEST(test_implicit_mx),
	    TEST(test_null_mx),
	    TEST(test_no_answers),
	    TEST(test_how_long),
	    TEST(test_bad_names),
	    TEST(test_loops),
	    TEST(test_many_records),
	    TEST(test_flood),
	    TEST(test_spoilt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
