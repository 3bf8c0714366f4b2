/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_TEST_DNS_WIRE_H
#define POSTERN_TEST_DNS_WIRE_H

/*
 * DNS messages built by hand, so that a test can say what no library would
 * let out.
 */

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/policy/dns_packet.h"

#define TYPE_SOA 6

struct packet {
	uint8_t data[65535];
	size_t len;
};

static inline void
put(struct packet *packet, const void *data, size_t len)
{
	assert_true(len <= sizeof(packet->data) - packet->len);
	memcpy(packet->data + packet->len, data, len);
	packet->len += len;
}

static inline void
put_u16(struct packet *packet, unsigned int value)
{
	const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};

	put(packet, bytes, sizeof(bytes));
}

static inline void
put_u32(struct packet *packet, uint32_t value)
{
	put_u16(packet, value >> 16);
	put_u16(packet, value & 0xffff);
}

/* "" is the root; a label "\1" of the text becomes a NUL byte. */
static inline void
put_name(struct packet *packet, const char *name)
{
	size_t len, i;
	uint8_t byte;

	while (*name != '\0') {
		len = strcspn(name, ".");
		byte = (uint8_t)len;
		put(packet, &byte, 1);
		for (i = 0; i < len; i++) {
			byte = name[i] == '\1' ? 0 : (uint8_t)name[i];
			put(packet, &byte, 1);
		}
		name += len;
		name += *name == '.';
	}
	put(packet, "", 1);
}

static inline void
begin(struct packet *packet, unsigned int rcode, const char *name,
    unsigned int type, unsigned int answers, unsigned int authorities)
{
	packet->len = 0;
	put_u16(packet, 0x1234);
	put_u16(packet, 0x8180 | rcode);
	put_u16(packet, 1);
	put_u16(packet, answers);
	put_u16(packet, authorities);
	put_u16(packet, 0);
	put_name(packet, name);
	put_u16(packet, type);
	put_u16(packet, 1);
}

static inline void
put_rr(struct packet *packet, const char *owner, unsigned int type,
    uint32_t ttl, const struct packet *rdata)
{
	put_name(packet, owner);
	put_u16(packet, type);
	put_u16(packet, 1);
	put_u32(packet, ttl);
	put_u16(packet, (unsigned int)rdata->len);
	put(packet, rdata->data, rdata->len);
}

static inline void
put_mx(struct packet *packet, const char *owner, uint32_t ttl,
    unsigned int preference, const char *host)
{
	static struct packet rdata;

	rdata.len = 0;
	put_u16(&rdata, preference);
	put_name(&rdata, host);
	put_rr(packet, owner, DNS_MX, ttl, &rdata);
}

static inline void
put_alias(
    struct packet *packet, const char *owner, uint32_t ttl, const char *target)
{
	static struct packet rdata;

	rdata.len = 0;
	put_name(&rdata, target);
	put_rr(packet, owner, DNS_CNAME, ttl, &rdata);
}

static inline void
put_address(
    struct packet *packet, const char *owner, uint32_t ttl, const char *text)
{
	static struct packet rdata;
	uint8_t ip[16];
	int family = strchr(text, ':') == NULL ? AF_INET : AF_INET6;

	assert_int_equal(inet_pton(family, text, ip), 1);
	rdata.len = 0;
	put(&rdata, ip, family == AF_INET ? 4 : 16);
	put_rr(
	    packet, owner, family == AF_INET ? DNS_A : DNS_AAAA, ttl, &rdata);
}

static inline void
put_soa(struct packet *packet, const char *owner, uint32_t ttl)
{
	static struct packet rdata;
	int i;

	rdata.len = 0;
	put_name(&rdata, "ns");
	put_name(&rdata, "hostmaster");
	for (i = 0; i < 5; i++)
		put_u32(&rdata, 7);
	put_rr(packet, owner, TYPE_SOA, ttl, &rdata);
}

#endif
