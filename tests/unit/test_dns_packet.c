/* SPDX-License-Identifier: ISC */
/* DNS answers, good and hostile. */

#include "proxy/policy/dns_packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dns_wire.h"

static int
parse(
    const struct packet *packet, enum dns_type type, struct dns_answer *answer)
{
	/* On the heap and of that very size, so that ASan sees an overrun. */
	uint8_t *copy = malloc(packet->len > 0 ? packet->len : 1);
	int ret;

	assert_non_null(copy);
	memcpy(copy, packet->data, packet->len);
	ret = dns_packet_parse(copy, packet->len, type, answer);
	free(copy);
	return ret;
}

static struct packet packet;
static struct dns_answer answer;

static void
put_bytes(struct packet *to, const char *owner, unsigned int type,
    const void *bytes, size_t len)
{
	static struct packet rdata;

	rdata.len = 0;
	put(&rdata, bytes, len);
	put_rr(to, owner, type, 60, &rdata);
}

static void
test_mx(void **state)
{
	(void)state;
	begin(&packet, 0, "example.org", DNS_MX, 3, 0);
	put_mx(&packet, "example.org", 300, 20, "B.mx.example.org");
	put_mx(&packet, "EXAMPLE.org", 200, 10, "c.example.net");
	put_mx(&packet, "example.org", 300, 10, "a_1.example.net");
	assert_int_equal(parse(&packet, DNS_MX, &answer), 0);
	assert_int_equal(answer.status, DNS_FOUND);
	assert_int_equal(answer.count, 3);
	assert_string_equal(answer.records[0].name, "a_1.example.net");
	assert_string_equal(answer.records[1].name, "c.example.net");
	assert_string_equal(answer.records[2].name, "b.mx.example.org");
	assert_int_equal(answer.records[2].preference, 20);
	assert_int_equal(answer.ttl, 200);
	assert_false(answer.is_secure);
}

static void
test_null_mx(void **state)
{
	(void)state;
	begin(&packet, 0, "example.org", DNS_MX, 1, 0);
	put_mx(&packet, "example.org", 300, 0, "");
	assert_int_equal(parse(&packet, DNS_MX, &answer), 0);
	assert_int_equal(answer.status, DNS_FOUND);
	assert_int_equal(answer.count, 1);
	assert_string_equal(answer.records[0].name, "");
}

static void
test_addresses(void **state)
{
	char text[ADDRESS_TEXT_MAX];

	(void)state;
	begin(&packet, 0, "mx.example.org", DNS_A, 2, 0);
	put_address(&packet, "mx.example.org", 60, "192.0.2.1");
	put_address(&packet, "mx.example.org", 60, "192.0.2.2");
	assert_int_equal(parse(&packet, DNS_A, &answer), 0);
	assert_int_equal(answer.count, 2);
	assert_string_equal(
	    address_ip_text(&answer.records[1].address, text), "192.0.2.2");

	begin(&packet, 0, "mx.example.org", DNS_AAAA, 1, 0);
	put_address(&packet, "mx.example.org", 60, "2001:db8::1");
	assert_int_equal(parse(&packet, DNS_AAAA, &answer), 0);
	assert_string_equal(
	    address_ip_text(&answer.records[0].address, text), "2001:db8::1");
}

static void
assert_bytes(size_t i, const char *text)
{
	assert_int_equal(answer.records[i].len, strlen(text));
	assert_memory_equal(
	    answer.bytes + answer.records[i].offset, text, strlen(text));
}

static void
test_tlsa(void **state)
{
	static uint8_t large[DNS_BYTES_MAX / 2];
	const char *name = "_25._tcp.mx.a.example";

	(void)state;
	begin(&packet, 0, name, DNS_TLSA, 2, 0);
	put_bytes(&packet, name, DNS_TLSA, "\3\1\1abc", 6);
	put_bytes(&packet, name, DNS_TLSA, "\2\1\2", 3);
	assert_int_equal(parse(&packet, DNS_TLSA, &answer), 0);
	assert_int_equal(answer.count, 2);
	assert_bytes(0, "\3\1\1abc");
	assert_bytes(1, "\2\1\2");

	/* All that there is room for, and one byte more. */
	begin(&packet, 0, name, DNS_TLSA, 2, 0);
	put_bytes(&packet, name, DNS_TLSA, large, sizeof(large));
	put_bytes(&packet, name, DNS_TLSA, large, sizeof(large));
	assert_int_equal(parse(&packet, DNS_TLSA, &answer), 0);
	assert_int_equal(answer.byte_count, DNS_BYTES_MAX);
	begin(&packet, 0, name, DNS_TLSA, 3, 0);
	put_bytes(&packet, name, DNS_TLSA, large, sizeof(large));
	put_bytes(&packet, name, DNS_TLSA, large, sizeof(large));
	put_bytes(&packet, name, DNS_TLSA, large, 1);
	assert_int_equal(parse(&packet, DNS_TLSA, &answer), -1);
	assert_int_equal(answer.status, DNS_FAILED);
}

static void
test_txt(void **state)
{
	const char *name = "_mta-sts.a.example";

	(void)state;
	begin(&packet, 0, name, DNS_TXT, 2, 0);
	put_bytes(&packet, name, DNS_TXT, "\3v=S\0\5TSv1;", 11);
	put_bytes(&packet, name, DNS_TXT, "\1\0", 2);
	assert_int_equal(parse(&packet, DNS_TXT, &answer), 0);
	assert_int_equal(answer.count, 2);
	assert_bytes(0, "v=STSv1;");
	assert_int_equal(answer.records[1].len, 1);

	/* A string that ends behind its record, and no string at all. */
	begin(&packet, 0, name, DNS_TXT, 1, 0);
	put_bytes(&packet, name, DNS_TXT, "\4v=S", 4);
	assert_int_equal(parse(&packet, DNS_TXT, &answer), -1);
	begin(&packet, 0, name, DNS_TXT, 1, 0);
	put_bytes(&packet, name, DNS_TXT, "", 0);
	assert_int_equal(parse(&packet, DNS_TXT, &answer), -1);
}

/* The end of an alias is told, and the alias itself where it is asked for. */
static void
test_canonical(void **state)
{
	(void)state;
	begin(&packet, 0, "a.example", DNS_A, 3, 0);
	put_alias(&packet, "a.example", 60, "B.example");
	put_alias(&packet, "b.example", 60, "c.example");
	put_address(&packet, "c.example", 60, "192.0.2.1");
	assert_int_equal(parse(&packet, DNS_A, &answer), 0);
	assert_true(answer.is_alias);
	assert_string_equal(answer.canonical, "c.example");

	begin(&packet, 0, "a.example", DNS_A, 1, 0);
	put_address(&packet, "a.example", 60, "192.0.2.1");
	assert_int_equal(parse(&packet, DNS_A, &answer), 0);
	assert_false(answer.is_alias);
	assert_string_equal(answer.canonical, "a.example");

	/* It is told of a name without such records, too. */
	begin(&packet, 0, "a.example", DNS_A, 1, 0);
	put_alias(&packet, "a.example", 60, "b.example");
	assert_int_equal(parse(&packet, DNS_A, &answer), 0);
	assert_int_equal(answer.status, DNS_NODATA);
	assert_true(answer.is_alias);
	assert_string_equal(answer.canonical, "b.example");

	/* One that no host can have names none. */
	begin(&packet, 0, "a.example", DNS_A, 2, 0);
	put_alias(&packet, "a.example", 60, "b c.example");
	put_address(&packet, "b c.example", 60, "192.0.2.1");
	assert_int_equal(parse(&packet, DNS_A, &answer), 0);
	assert_true(answer.is_alias);
	assert_string_equal(answer.canonical, "");

	begin(&packet, 0, "a.example", DNS_CNAME, 1, 0);
	put_alias(&packet, "a.example", 60, "b.example");
	assert_int_equal(parse(&packet, DNS_CNAME, &answer), 0);
	assert_int_equal(answer.status, DNS_FOUND);
	assert_false(answer.is_alias);
	assert_string_equal(answer.records[0].name, "b.example");
}

/* Other owners, types and classes in the answer section say nothing. */
static void
test_strangers(void **state)
{
	(void)state;
	begin(&packet, 0, "a.example", DNS_A, 3, 0);
	put_address(&packet, "b.example", 1, "192.0.2.1");
	put_address(&packet, "a.example", 1, "2001:db8::1");
	put_address(&packet, "a.example", 1, "192.0.2.2");
	packet.data[packet.len - 4 - 2 - 4 - 1] = 3; /* class CHAOS */
	assert_int_equal(parse(&packet, DNS_A, &answer), 0);
	assert_int_equal(answer.status, DNS_NODATA);
	assert_int_equal(answer.count, 0);
	assert_int_equal(answer.ttl, DNS_TTL_NEGATIVE);
}

static void
test_aliases(void **state)
{
	(void)state;
	begin(&packet, 0, "a.example", DNS_A, 3, 0);
	put_address(&packet, "c.example", 300, "192.0.2.1");
	put_alias(&packet, "b.example", 20, "C.example");
	put_alias(&packet, "a.example", 300, "b.example");
	assert_int_equal(parse(&packet, DNS_A, &answer), 0);
	assert_int_equal(answer.status, DNS_FOUND);
	assert_int_equal(answer.count, 1);
	assert_int_equal(answer.ttl, 20);

	/* An alias that leads nowhere here. */
	begin(&packet, 0, "a.example", DNS_A, 1, 1);
	put_alias(&packet, "a.example", 300, "b.example");
	put_soa(&packet, "example", 30);
	assert_int_equal(parse(&packet, DNS_A, &answer), 0);
	assert_int_equal(answer.status, DNS_NODATA);
	assert_int_equal(answer.ttl, 30);

	/* One that leads to itself. */
	begin(&packet, 0, "a.example", DNS_A, 2, 0);
	put_alias(&packet, "a.example", 300, "b.example");
	put_alias(&packet, "b.example", 300, "a.example");
	assert_int_equal(parse(&packet, DNS_A, &answer), -1);
	assert_int_equal(answer.status, DNS_FAILED);
}

static void
test_negative(void **state)
{
	(void)state;
	begin(&packet, 3, "a.example", DNS_MX, 0, 1);
	put_soa(&packet, "example", 120);
	assert_int_equal(parse(&packet, DNS_MX, &answer), 0);
	assert_int_equal(answer.status, DNS_NXDOMAIN);
	assert_int_equal(answer.ttl, 120);

	/* No domain and yet an answer: neither can be believed. */
	begin(&packet, 3, "a.example", DNS_A, 1, 0);
	put_address(&packet, "a.example", 60, "192.0.2.1");
	assert_int_equal(parse(&packet, DNS_A, &answer), -1);

	begin(&packet, 2, "a.example", DNS_MX, 0, 0);
	assert_int_equal(parse(&packet, DNS_MX, &answer), 0);
	assert_int_equal(answer.status, DNS_FAILED);
	assert_string_equal(answer.why, "SERVFAIL");
	begin(&packet, 9, "a.example", DNS_MX, 0, 0);
	assert_int_equal(parse(&packet, DNS_MX, &answer), 0);
	assert_int_equal(answer.status, DNS_FAILED);
	assert_string_equal(answer.why, "response code 9");
}

/* THREATS 39: no such byte comes further than this. */
static void
test_bad_hosts(void **state)
{
	static const char *const hosts[] = {
	    "a b.example",
	    "a\r\n.example",
	    "a\1.example",
	    "a\x1b]0;.example",
	    "a\xff.example",
	    "a\\.example",
	    "a@b.example",
	    "192.0.2.1",
	    "1",
	    "*.example",
	};
	size_t i, count = sizeof(hosts) / sizeof(hosts[0]);

	(void)state;
	begin(&packet, 0, "example.org", DNS_MX, (unsigned int)count + 1, 0);
	for (i = 0; i < count; i++)
		put_mx(&packet, "example.org", 60, 1, hosts[i]);
	put_mx(&packet, "example.org", 60, 9, "good.example");
	assert_int_equal(parse(&packet, DNS_MX, &answer), 0);
	assert_int_equal(answer.count, 1);
	assert_string_equal(answer.records[0].name, "good.example");
	assert_int_equal(answer.bad_count, count);

	/* A dot inside a label must not become one between two. */
	begin(&packet, 0, "example.org", DNS_MX, 1, 0);
	put_mx(&packet, "example.org", 60, 1, "a-b.example");
	*(uint8_t *)memchr(packet.data + 40, '-', packet.len - 40) = '.';
	assert_int_equal(parse(&packet, DNS_MX, &answer), 0);
	assert_int_equal(answer.count, 0);
	assert_int_equal(answer.bad_count, 1);
}

static void
test_too_many(void **state)
{
	char host[32];
	unsigned int i;

	(void)state;
	begin(&packet, 0, "example.org", DNS_MX, DNS_RECORDS_MAX + 10, 0);
	for (i = 0; i < DNS_RECORDS_MAX + 10; i++) {
		snprintf(host, sizeof(host), "mx%u.example.org", i);
		put_mx(&packet, "example.org", 60, 1000 - i, host);
	}
	assert_int_equal(parse(&packet, DNS_MX, &answer), 0);
	assert_int_equal(answer.count, DNS_RECORDS_MAX);
	/* The best ones, which came last. */
	assert_int_equal(
	    answer.records[0].preference, 1000 - DNS_RECORDS_MAX - 9);
	assert_int_equal(
	    answer.records[DNS_RECORDS_MAX - 1].preference, 1000 - 10);
	assert_int_equal(answer.more, 10);

	/* And where they come first. */
	begin(&packet, 0, "example.org", DNS_MX, DNS_RECORDS_MAX + 2, 0);
	for (i = 0; i < DNS_RECORDS_MAX + 2; i++) {
		snprintf(host, sizeof(host), "mx%u.example.org", i);
		put_mx(&packet, "example.org", 60, i, host);
	}
	assert_int_equal(parse(&packet, DNS_MX, &answer), 0);
	assert_int_equal(answer.records[DNS_RECORDS_MAX - 1].preference,
	    DNS_RECORDS_MAX - 1);
	assert_int_equal(answer.more, 2);

	begin(&packet, 0, "example.org", DNS_A, DNS_RECORDS_MAX + 1, 0);
	for (i = 0; i < DNS_RECORDS_MAX + 1; i++)
		put_address(&packet, "example.org", 60, "192.0.2.1");
	assert_int_equal(parse(&packet, DNS_A, &answer), 0);
	assert_int_equal(answer.count, DNS_RECORDS_MAX);
	assert_int_equal(answer.more, 1);

	begin(&packet, 0, "example.org", DNS_A, DNS_PACKET_RRS + 1, 0);
	for (i = 0; i < DNS_PACKET_RRS + 1; i++)
		put_address(&packet, "example.org", 60, "192.0.2.1");
	assert_int_equal(parse(&packet, DNS_A, &answer), -1);
}

static void
test_ttl(void **state)
{
	(void)state;
	begin(&packet, 0, "a.example", DNS_A, 1, 0);
	put_address(&packet, "a.example", 0x80000000, "192.0.2.1");
	assert_int_equal(parse(&packet, DNS_A, &answer), 0);
	assert_int_equal(answer.ttl, 0);
}

/* Every shorter packet and every longer one is refused. */
static void
test_cut(void **state)
{
	size_t whole;

	(void)state;
	begin(&packet, 0, "a.example", DNS_MX, 2, 1);
	put_alias(&packet, "a.example", 60, "b.example");
	put_mx(&packet, "b.example", 60, 10, "mx.example");
	put_soa(&packet, "example", 60);
	whole = packet.len;
	assert_int_equal(parse(&packet, DNS_MX, &answer), 0);
	for (packet.len = 0; packet.len < whole; packet.len++) {
		assert_int_equal(parse(&packet, DNS_MX, &answer), -1);
		assert_int_equal(answer.status, DNS_FAILED);
		assert_int_equal(answer.count, 0);
	}
	packet.data[packet.len++] = 0;
	assert_int_equal(parse(&packet, DNS_MX, &answer), -1);
}

/* Whatever one byte becomes, nothing is overrun and no bad name comes out. */
static void
test_flipped(void **state)
{
	size_t at, i;
	unsigned int bit;

	(void)state;
	begin(&packet, 0, "a.example", DNS_MX, 2, 0);
	put_alias(&packet, "a.example", 60, "b.example");
	put_mx(&packet, "b.example", 60, 10, "mx.example");
	for (at = 0; at < packet.len; at++) {
		for (bit = 0; bit < 8; bit++) {
			packet.data[at] ^= (uint8_t)(1 << bit);
			parse(&packet, DNS_MX, &answer);
			for (i = 0; i < answer.count; i++)
				assert_true(
				    answer.records[i].name[0] == '\0' ||
				    dns_name_is_host(answer.records[i].name));
			packet.data[at] ^= (uint8_t)(1 << bit);
		}
	}
}

static void
test_wrong_rdata(void **state)
{
	static struct packet rdata;

	(void)state;
	/* An address of three bytes, of five; an MX with bytes behind. */
	rdata.len = 0;
	put(&rdata, "\300\0\2", 3);
	begin(&packet, 0, "a.example", DNS_A, 1, 0);
	put_rr(&packet, "a.example", DNS_A, 60, &rdata);
	assert_int_equal(parse(&packet, DNS_A, &answer), -1);
	put(&rdata, "\1\1", 2);
	begin(&packet, 0, "a.example", DNS_A, 1, 0);
	put_rr(&packet, "a.example", DNS_A, 60, &rdata);
	assert_int_equal(parse(&packet, DNS_A, &answer), -1);

	rdata.len = 0;
	put_u16(&rdata, 10);
	put_name(&rdata, "mx.example");
	put(&rdata, "x", 1);
	begin(&packet, 0, "a.example", DNS_MX, 1, 0);
	put_rr(&packet, "a.example", DNS_MX, 60, &rdata);
	assert_int_equal(parse(&packet, DNS_MX, &answer), -1);

	rdata.len = 2; /* the preference alone */
	begin(&packet, 0, "a.example", DNS_MX, 1, 0);
	put_rr(&packet, "a.example", DNS_MX, 60, &rdata);
	assert_int_equal(parse(&packet, DNS_MX, &answer), -1);
}

static void
test_pointers(void **state)
{
	static struct packet rdata;
	size_t at;

	(void)state;
	/* A good one: owner and host point to the question's name. */
	rdata.len = 0;
	put_u16(&rdata, 10);
	put(&rdata, "\2mx\300\14", 5);
	begin(&packet, 0, "a.example", DNS_MX, 1, 0);
	at = packet.len;
	put_rr(&packet, "", DNS_MX, 60, &rdata);
	memmove(
	    packet.data + at + 2, packet.data + at + 1, packet.len - at - 1);
	packet.len++;
	memcpy(packet.data + at, "\300\14", 2);
	assert_int_equal(parse(&packet, DNS_MX, &answer), 0);
	assert_int_equal(answer.count, 1);
	assert_string_equal(answer.records[0].name, "mx.a.example");

	/* To itself, forward, and to a reserved label type. */
	packet.data[at + 1] = (uint8_t)at;
	assert_int_equal(parse(&packet, DNS_MX, &answer), -1);
	packet.data[at + 1] = (uint8_t)(at + 2);
	assert_int_equal(parse(&packet, DNS_MX, &answer), -1);
	packet.data[at] = 0x80;
	assert_int_equal(parse(&packet, DNS_MX, &answer), -1);
}

/* A name of 255 bytes is one, of 256 is none. */
static void
test_long_names(void **state)
{
	char name[300] = "";
	int i;

	(void)state;
	for (i = 0; i < 3; i++)
		strlcat(name,
		    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuv"
		    "wxyzabcdefghijk.",
		    sizeof(name));
	strlcat(name,
	    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"
	    "abcdefghi",
	    sizeof(name));
	assert_int_equal(strlen(name), 253);
	begin(&packet, 0, "a.example", DNS_MX, 1, 0);
	put_mx(&packet, "a.example", 60, 1, name);
	assert_int_equal(parse(&packet, DNS_MX, &answer), 0);
	assert_string_equal(answer.records[0].name, name);

	strlcat(name, "x", sizeof(name));
	begin(&packet, 0, "a.example", DNS_MX, 1, 0);
	put_mx(&packet, "a.example", 60, 1, name);
	assert_int_equal(parse(&packet, DNS_MX, &answer), -1);
}

static void
test_wrong_head(void **state)
{
	(void)state;
	begin(&packet, 0, "a.example", DNS_A, 0, 0);
	assert_int_equal(parse(&packet, DNS_A, &answer), 0);
	assert_int_equal(parse(&packet, DNS_MX, &answer), -1);
	packet.data[2] &= 0x7f; /* a query */
	assert_int_equal(parse(&packet, DNS_A, &answer), -1);
	packet.data[2] |= 0x82; /* a truncated answer */
	assert_int_equal(parse(&packet, DNS_A, &answer), -1);
	begin(&packet, 0, "a.example", DNS_A, 0, 0);
	packet.data[5] = 0; /* no question */
	assert_int_equal(parse(&packet, DNS_A, &answer), -1);
}

static bool
question(const struct packet *from, uint16_t *type, char name[DNS_NAME_MAX])
{
	uint8_t *copy = malloc(from->len > 0 ? from->len : 1);
	bool is_good;

	assert_non_null(copy);
	memcpy(copy, from->data, from->len);
	is_good = dns_packet_question(copy, from->len, type, name);
	free(copy);
	return is_good;
}

/* What is behind the question does not matter, all of it must be there. */
static void
test_question(void **state)
{
	char name[DNS_NAME_MAX];
	uint16_t type = 0;
	size_t whole;

	(void)state;
	begin(&packet, 2, "MX.a.Example", 65280, 7, 7);
	assert_true(question(&packet, &type, name));
	assert_int_equal(type, 65280);
	assert_string_equal(name, "mx.a.example");
	for (whole = packet.len--; packet.len > 0; packet.len--)
		assert_false(question(&packet, &type, name));
	packet.len = whole;
	packet.data[packet.len - 1] = 3; /* class CH */
	assert_false(question(&packet, &type, name));
	packet.data[packet.len - 1] = 1;
	packet.data[5] = 2; /* two questions */
	assert_false(question(&packet, &type, name));
	packet.data[5] = 1;
	packet.data[2] |= 2; /* cut short */
	assert_false(question(&packet, &type, name));
	packet.data[2] = 1; /* a question itself */
	assert_false(question(&packet, &type, name));
}

/* Nobody gets to see a name that a host cannot have. */
static void
test_question_of_no_host(void **state)
{
	static const char *const names[] = {"", "a b.example", "a\n.example",
	    "a\1.example", "192.0.2.1", "*.example", "a\x80.example"};
	char name[DNS_NAME_MAX];
	uint16_t type;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		begin(&packet, 0, names[i], DNS_A, 0, 0);
		if (question(&packet, &type, name))
			fail_msg("\"%s\" passed", names[i]);
	}
	begin(&packet, 0, "", DNS_A, 0, 0);
	packet.data[12] = 0xc0; /* a name that points to itself */
	packet.data[13] = 12;
	assert_false(question(&packet, &type, name));
}

static void
test_host_names(void **state)
{
	static const char *const good[] = {
	    "a", "a.b", "a-b.c_d", "1a.2b", "xn--bcher-kva.example", "1.2.x"};
	static const char *const bad[] = {"", ".", "a.", ".a", "a..b", "A.b",
	    "a b", "a\n", "1", "a.1", "192.0.2.1", "a/b", "*.a", "a\x80"};
	char label[65] = "";
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(dns_name_is_host(good[i]));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(dns_name_is_host(bad[i]));
	memset(label, 'x', 63);
	assert_true(dns_name_is_host(label));
	label[63] = 'x';
	assert_false(dns_name_is_host(label));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_mx),
	    cmocka_unit_test(test_null_mx),
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_tlsa),
	    cmocka_unit_test(test_txt),
	    cmocka_unit_test(test_canonical),
	    cmocka_unit_test(test_strangers),
	    cmocka_unit_test(test_aliases),
	    cmocka_unit_test(test_negative),
	    cmocka_unit_test(test_bad_hosts),
	    cmocka_unit_test(test_too_many),
	    cmocka_unit_test(test_ttl),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_flipped),
	    cmocka_unit_test(test_wrong_rdata),
	    cmocka_unit_test(test_pointers),
	    cmocka_unit_test(test_long_names),
	    cmocka_unit_test(test_wrong_head),
	    cmocka_unit_test(test_question),
	    cmocka_unit_test(test_question_of_no_host),
	    cmocka_unit_test(test_host_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
