/* SPDX-License-Identifier: ISC */
/*
 * Packets, good and hostile.  Beside the parser stands a second one, which
 * walks headers as the kernel does for its own rules: where the two differ, a
 * packet would be judged as one thing and led on as another.
 */

#include "netfilter/packet.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mutate.h"

#define IPV6_MOBILITY 135

struct bytes {
	uint8_t data[4096];
	size_t len;
};

static struct bytes b;
static struct packet packet;

static void
put(const void *data, size_t len)
{
	assert_true(len <= sizeof(b.data) - b.len);
	memcpy(b.data + b.len, data, len);
	b.len += len;
}

static void
put_u16(size_t at, size_t value)
{
	b.data[at] = (uint8_t)(value >> 8);
	b.data[at + 1] = (uint8_t)value;
}

/* With len bytes behind it that are yet to be put. */
static void
begin_ipv4(uint8_t protocol, size_t options, size_t len)
{
	static const uint8_t addresses[] = {192, 0, 2, 1, 198, 51, 100, 25};

	memset(&b, 0, sizeof(b));
	b.data[0] = (uint8_t)(0x45 + options / 4);
	put_u16(2, 20 + options + len);
	b.data[8] = 64;
	b.data[9] = protocol;
	memcpy(b.data + 12, addresses, sizeof(addresses));
	memset(b.data + 20, 1, options);
	b.len = 20 + options;
}

static void
begin_ipv6(uint8_t next, size_t len)
{
	static const uint8_t net[] = {0x20, 1, 0xd, 0xb8};

	memset(&b, 0, sizeof(b));
	b.data[0] = 0x60;
	put_u16(4, len);
	b.data[6] = next;
	b.data[7] = 64;
	memcpy(b.data + 8, net, sizeof(net));
	b.data[23] = 1;
	memcpy(b.data + 24, net, sizeof(net));
	b.data[39] = 25;
	b.len = 40;
}

static void
put_tcp(uint8_t flags)
{
	const uint8_t tcp[20] = {
	    0xc0, 0, 0, 25, 1, 2, 3, 4, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff};

	put(tcp, sizeof(tcp));
}

static void
put_udp(size_t len)
{
	const uint8_t udp[8] = {
	    0, 53, 0xc0, 0, (uint8_t)(len >> 8), (uint8_t)len};

	put(udp, sizeof(udp));
}

/* An extension header of so many bytes. */
static void
put_extension(uint8_t kind, uint8_t next, size_t len)
{
	uint8_t header[256] = {next};

	if (kind == IPPROTO_AH)
		header[1] = (uint8_t)(len / 4 - 2);
	else if (kind != IPPROTO_FRAGMENT)
		header[1] = (uint8_t)(len / 8 - 1);
	put(header, len);
}

/* On the heap and of that very size, so that ASan sees an overrun. */
static bool
parse(void)
{
	static uint8_t *copy;

	free(copy); /* the payload is in it */
	copy = malloc(b.len > 0 ? b.len : 1);
	assert_non_null(copy);
	memcpy(copy, b.data, b.len);
	memset(&packet, 0xa5, sizeof(packet));
	return packet_parse(copy, b.len, &packet);
}

static void
assert_address(const struct address *address, const char *text, uint16_t port)
{
	struct address expected;

	assert_int_equal(address_from_text(&expected, text), 0);
	expected.port = port;
	assert_memory_equal(address, &expected, sizeof(expected));
}

static void
assert_payload(const char *payload, bool is_whole)
{
	assert_int_equal(packet.payload_len, strlen(payload));
	assert_memory_equal(packet.payload, payload, strlen(payload));
	assert_int_equal(packet.is_whole, is_whole);
}

static void
test_ipv4_tcp(void **state)
{
	(void)state;
	begin_ipv4(IPPROTO_TCP, 0, 20 + 5);
	put_tcp(PACKET_SYN);
	put("hello", 5);
	assert_true(parse());
	assert_address(&packet.source, "192.0.2.1", 0xc000);
	assert_address(&packet.target, "198.51.100.25", 25);
	assert_int_equal(packet.protocol, IPPROTO_TCP);
	assert_int_equal(packet.tcp_flags, PACKET_SYN);
	assert_payload("hello", true);
}

static void
test_ipv4_options(void **state)
{
	(void)state;
	begin_ipv4(IPPROTO_TCP, 40, 20);
	put_tcp(PACKET_SYN);
	assert_true(parse());
	assert_int_equal(packet.target.port, 25);
	assert_payload("", true);
}

static void
test_ipv6_tcp(void **state)
{
	(void)state;
	begin_ipv6(IPPROTO_TCP, 20 + 2);
	put_tcp(PACKET_SYN | PACKET_ACK);
	put("hi", 2);
	assert_true(parse());
	assert_address(&packet.source, "2001:db8::1", 0xc000);
	assert_address(&packet.target, "2001:db8::19", 25);
	assert_int_equal(packet.tcp_flags, PACKET_SYN | PACKET_ACK);
	assert_payload("hi", true);
}

static void
test_udp(void **state)
{
	(void)state;
	begin_ipv4(IPPROTO_UDP, 0, 8 + 3);
	put_udp(8 + 3);
	put("dns", 3);
	assert_true(parse());
	assert_int_equal(packet.protocol, IPPROTO_UDP);
	assert_int_equal(packet.source.port, 53);
	assert_int_equal(packet.tcp_flags, 0);
	assert_payload("dns", true);
	begin_ipv6(IPPROTO_UDP, 8 + 3);
	put_udp(8 + 3);
	put("dns", 3);
	assert_true(parse());
	assert_payload("dns", true);
}

/* One host has one form, or a rule for it could be missed by the other. */
static void
test_mapped_addresses_are_ipv4(void **state)
{
	static const uint8_t mapped[] = {
	    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3};

	(void)state;
	begin_ipv6(IPPROTO_TCP, 20);
	put_tcp(PACKET_SYN);
	memcpy(b.data + 24, mapped, sizeof(mapped));
	assert_true(parse());
	assert_address(&packet.source, "2001:db8::1", 0xc000);
	assert_address(&packet.target, "10.1.2.3", 25);
	memcpy(b.data + 8, mapped, sizeof(mapped));
	assert_true(parse());
	assert_address(&packet.source, "10.1.2.3", 0xc000);
}

/* What was sent ends where the IP header says. */
static void
test_trailer_is_not_payload(void **state)
{
	(void)state;
	begin_ipv4(IPPROTO_TCP, 0, 20 + 2);
	put_tcp(PACKET_ACK);
	put("hi-and-a-trailer", 16);
	assert_true(parse());
	assert_payload("hi", true);
	begin_ipv6(IPPROTO_UDP, 8 + 2 + 3);
	put_udp(8 + 2);
	put("hi-and-a-trailer", 16);
	assert_true(parse());
	assert_payload("hi", true);
}

/* What is cut off behind the headers is told; before their end it is an end. */
static void
test_cut_everywhere(void **state)
{
	size_t headers;
	int family;

	(void)state;
	for (family = 4; family <= 6; family += 2) {
		if (family == 4)
			begin_ipv4(IPPROTO_TCP, 8, 20 + 4);
		else {
			begin_ipv6(IPPROTO_DSTOPTS, 16 + 20 + 4);
			put_extension(IPPROTO_DSTOPTS, IPPROTO_TCP, 16);
		}
		put_tcp(PACKET_SYN);
		headers = b.len;
		put("data", 4);
		assert_true(parse());
		assert_payload("data", true);
		while (b.len-- > headers) {
			assert_true(parse());
			assert_int_equal(packet.payload_len, b.len - headers);
			assert_false(packet.is_whole);
		}
		for (b.len = headers; b.len-- > 0;)
			assert_false(parse());
	}
}

static void
test_versions(void **state)
{
	int version;

	(void)state;
	for (version = 0; version < 16; version++) {
		begin_ipv4(IPPROTO_TCP, 0, 40);
		put_tcp(PACKET_SYN);
		put_tcp(PACKET_SYN);
		b.data[0] = (uint8_t)(version << 4 | 5);
		/* As IPv6 it is of no protocol that we know. */
		assert_int_equal(parse(), version == 4);
	}
}

/* Lengths in the IPv4 header that the packet does not bear out. */
static void
test_ipv4_lengths(void **state)
{
	size_t ihl, total;

	(void)state;
	for (ihl = 0; ihl < 16; ihl++) {
		begin_ipv4(IPPROTO_TCP, 0, 20);
		put_tcp(PACKET_SYN);
		b.data[0] = (uint8_t)(0x40 | ihl);
		assert_int_equal(parse(), ihl == 5);
	}
	for (total = 0; total <= UINT16_MAX; total++) {
		begin_ipv4(IPPROTO_TCP, 0, 20);
		put_tcp(PACKET_SYN);
		put_u16(2, total);
		assert_int_equal(parse(), total >= 40);
		if (total >= 40)
			assert_payload("", total == 40);
	}
}

static void
test_ipv4_fragments(void **state)
{
	int bit;

	(void)state;
	for (bit = 0; bit < 16; bit++) {
		begin_ipv4(IPPROTO_TCP, 0, 20);
		put_tcp(PACKET_SYN);
		put_u16(6, (size_t)1 << bit);
		/* Reserved and "do not fragment" say nothing of the sort. */
		assert_int_equal(parse(), bit >= 14);
	}
}

/* Jumbograms (a length of 0) among them. */
static void
test_ipv6_payload_length(void **state)
{
	size_t len;

	(void)state;
	for (len = 0; len <= UINT16_MAX; len++) {
		begin_ipv6(IPPROTO_TCP, 0);
		put_tcp(PACKET_SYN);
		put_u16(4, len);
		assert_int_equal(parse(), len >= 20);
		if (len >= 20)
			assert_payload("", len == 20);
	}
	begin_ipv6(IPPROTO_HOPOPTS, 0);
	put("\x06\0\xc2\x04\0\1\0\0", 8);
	put_tcp(PACKET_SYN);
	assert_false(parse());
}

static void
test_extension_headers(void **state)
{
	static const uint8_t kinds[] = {IPPROTO_HOPOPTS, IPPROTO_ROUTING,
	    IPPROTO_DSTOPTS, IPPROTO_AH, IPPROTO_FRAGMENT};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(kinds); i++) {
		begin_ipv6(kinds[i], 8 + 20);
		put_extension(kinds[i], IPPROTO_TCP, 8);
		put_tcp(PACKET_SYN);
		assert_true(parse());
		assert_int_equal(packet.target.port, 25);
		b.data[41]++; /* longer by a unit, which the TCP header lacks */
		assert_int_equal(parse(), kinds[i] == IPPROTO_FRAGMENT);
	}
	/* AH counts in units of its own, and is none of IPv4's business. */
	begin_ipv6(IPPROTO_AH, 24 + 20);
	put_extension(IPPROTO_AH, IPPROTO_TCP, 24);
	put_tcp(PACKET_SYN);
	assert_true(parse());
	assert_int_equal(packet.target.port, 25);
	begin_ipv4(IPPROTO_AH, 0, 24 + 20);
	put_extension(IPPROTO_AH, IPPROTO_TCP, 24);
	put_tcp(PACKET_SYN);
	assert_false(parse());
}

static void
test_too_many_headers(void **state)
{
	size_t count, i;

	(void)state;
	for (count = 0; count <= 40; count++) {
		begin_ipv6(
		    count > 0 ? IPPROTO_DSTOPTS : IPPROTO_TCP, count * 8 + 20);
		for (i = 1; i <= count; i++)
			put_extension(IPPROTO_DSTOPTS,
			    i < count ? IPPROTO_DSTOPTS : IPPROTO_TCP, 8);
		put_tcp(PACKET_SYN);
		assert_int_equal(parse(), count <= PACKET_HEADERS_MAX);
	}
}

/* RFC 6946: all of it in one piece is whole; the rest is put together first. */
static void
test_ipv6_fragments(void **state)
{
	int bit;

	(void)state;
	for (bit = 0; bit < 16; bit++) {
		begin_ipv6(IPPROTO_FRAGMENT, 8 + 20);
		put_extension(IPPROTO_FRAGMENT, IPPROTO_TCP, 8);
		put_tcp(PACKET_SYN);
		put_u16(42, (size_t)1 << bit);
		/* Two bits are reserved. */
		assert_int_equal(parse(), bit == 1 || bit == 2);
	}
}

static void
test_other_protocols(void **state)
{
	int protocol;

	(void)state;
	for (protocol = 0; protocol < 256; protocol++) {
		if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP)
			continue;
		begin_ipv4((uint8_t)protocol, 0, 20);
		put_tcp(PACKET_SYN);
		assert_false(parse());
		begin_ipv6((uint8_t)protocol, 20);
		put_tcp(PACKET_SYN);
		b.data[40] =
		    IPPROTO_NONE; /* whatever it is, it leads nowhere */
		assert_false(parse());
	}
	begin_ipv6(IPV6_MOBILITY, 8 + 20);
	put_extension(IPPROTO_DSTOPTS, IPPROTO_TCP, 8);
	put_tcp(PACKET_SYN);
	assert_false(parse());
}

static void
test_tcp_offset(void **state)
{
	size_t words;

	(void)state;
	for (words = 0; words < 16; words++) {
		begin_ipv4(IPPROTO_TCP, 0, 20 + 8);
		put_tcp(PACKET_SYN);
		put("12345678", 8);
		b.data[32] = (uint8_t)(words << 4);
		assert_int_equal(parse(), words >= 5 && words <= 7);
		if (words >= 5 && words <= 7)
			assert_payload(&"12345678"[(words - 5) * 4], true);
	}
}

static void
test_udp_length(void **state)
{
	size_t len;

	(void)state;
	for (len = 0; len <= UINT16_MAX; len++) {
		begin_ipv4(IPPROTO_UDP, 0, 8 + 4);
		put_udp(len);
		put("abcd", 4);
		assert_int_equal(parse(), len >= 8 && len <= 12);
		if (len >= 8 && len <= 12) {
			assert_int_equal(packet.payload_len, len - 8);
			assert_true(packet.is_whole);
		}
	}
	/* A length that was sent, of which some is not here. */
	begin_ipv4(IPPROTO_UDP, 0, 8 + 400);
	put_udp(8 + 400);
	put("abcd", 4);
	assert_true(parse());
	assert_payload("abcd", false);
}

static void
test_flags(void **state)
{
	int flags;

	(void)state;
	for (flags = 0; flags < 256; flags++) {
		begin_ipv6(IPPROTO_TCP, 20);
		put_tcp((uint8_t)flags);
		assert_true(parse());
		assert_int_equal(packet.tcp_flags, flags);
	}
}

/*
 * The kernel's walk (ipv6_find_hdr): which protocol's header it finds, and
 * where.  -1: none.
 */
static int
find_ipv6(const uint8_t *data, size_t len, size_t *at)
{
	int kind, next = data[6];
	size_t size;

	for (*at = 40;; *at += size) {
		kind = next;
		if (kind != IPPROTO_HOPOPTS && kind != IPPROTO_ROUTING &&
		    kind != IPPROTO_FRAGMENT && kind != IPPROTO_AH &&
		    kind != IPPROTO_DSTOPTS)
			return kind;
		if (*at + 4 > len)
			return -1;
		next = data[*at];
		size = ((size_t)data[*at + 1] + 1) * 8;
		if (kind == IPPROTO_AH)
			size = ((size_t)data[*at + 1] + 2) * 4;
		if (kind == IPPROTO_FRAGMENT)
			size = 8;
		if (kind == IPPROTO_FRAGMENT &&
		    ((data[*at + 2] << 8 | data[*at + 3]) & ~7) != 0)
			return -1;
	}
}

static void
try_as_kernel(const uint8_t *data, size_t len)
{
	size_t at = 0;
	int protocol;

	memset(&packet, 0xa5, sizeof(packet));
	if (len == 0 || !packet_parse(data, len, &packet))
		return;
	if (data[0] >> 4 == 4) {
		protocol = data[9];
		at = (size_t)(data[0] & 15) * 4;
		assert_int_equal((data[6] << 8 | data[7]) & 0x3fff, 0);
	} else
		protocol = find_ipv6(data, len, &at);
	assert_int_equal(packet.protocol, protocol);
	assert_int_equal(packet.source.port, data[at] << 8 | data[at + 1]);
	assert_int_equal(packet.target.port, data[at + 2] << 8 | data[at + 3]);
	if (protocol == IPPROTO_TCP)
		assert_int_equal(packet.tcp_flags, data[at + 13]);
	assert_true(packet.payload >= data + at);
	assert_true(packet.payload + packet.payload_len <= data + len);
}

static const uint8_t walked[] = {IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_AH,
    IPPROTO_FRAGMENT, IPPROTO_DSTOPTS};

static void
build_walked(void)
{
	size_t i;

	begin_ipv6(walked[0], 16 * sizeof(walked) - 8 + 20 + 4);
	for (i = 0; i < sizeof(walked); i++)
		put_extension(walked[i],
		    i + 1 < sizeof(walked) ? walked[i + 1] : IPPROTO_TCP,
		    walked[i] == IPPROTO_FRAGMENT ? 8 : 16);
	put_tcp(PACKET_SYN);
	put("data", 4);
}

/* What is taken for TCP is what the kernel's rules take for it. */
static void
test_as_the_kernel_sees_it(void **state)
{
	size_t at, i;
	int byte;

	(void)state;
	build_walked();
	assert_true(parse());
	assert_int_equal(find_ipv6(b.data, b.len, &at), IPPROTO_TCP);
	assert_int_equal(at, 40 + 16 * sizeof(walked) - 8);
	mutate(b.data, b.len, try_as_kernel);
	/* Each byte as each value. */
	for (i = 0; i < b.len; i++)
		for (byte = 0; byte < 256; byte++) {
			build_walked();
			b.data[i] = (uint8_t)byte;
			try_as_kernel(b.data, b.len);
		}
	begin_ipv4(IPPROTO_TCP, 12, 20 + 4);
	put_tcp(PACKET_SYN);
	put("data", 4);
	mutate(b.data, b.len, try_as_kernel);
	begin_ipv4(IPPROTO_UDP, 0, 12);
	put_udp(12);
	put("data", 4);
	mutate(b.data, b.len, try_as_kernel);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ipv4_tcp),
	    cmocka_unit_test(test_ipv4_options),
	    cmocka_unit_test(test_ipv6_tcp),
	    cmocka_unit_test(test_udp),
	    cmocka_unit_test(test_mapped_addresses_are_ipv4),
	    cmocka_unit_test(test_trailer_is_not_payload),
	    cmocka_unit_test(test_cut_everywhere),
	    cmocka_unit_test(test_versions),
	    cmocka_unit_test(test_ipv4_lengths),
	    cmocka_unit_test(test_ipv4_fragments),
	    cmocka_unit_test(test_ipv6_payload_length),
	    cmocka_unit_test(test_extension_headers),
	    cmocka_unit_test(test_too_many_headers),
	    cmocka_unit_test(test_ipv6_fragments),
	    cmocka_unit_test(test_other_protocols),
	    cmocka_unit_test(test_tcp_offset),
	    cmocka_unit_test(test_udp_length),
	    cmocka_unit_test(test_flags),
	    cmocka_unit_test(test_as_the_kernel_sees_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
