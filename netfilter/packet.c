/* SPDX-License-Identifier: ISC */
/*
 * The headers of RFC 791, 8200, 9293 and 768.  Every step first makes sure of
 * its bytes by take(), and only then looks at them.
 */

#include "netfilter/packet.h"

#include <netinet/in.h>
#include <string.h>

#define IPV4_HEADER 20
#define IPV6_HEADER 40
#define TCP_HEADER  20
#define UDP_HEADER  8

#define IPV4_FRAGMENT 0x3fff /* more fragments, or an offset */
#define IPV6_FRAGMENT 0xfff9
#define AH_UNIT       4 /* bytes; those of other headers are 8 */

struct bytes {
	const uint8_t *data;
	size_t len; /* that are here */
	size_t total; /* that were sent; at least len */
};

static uint16_t
get_u16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* Steps over a header; NULL where it is not all here. */
static const uint8_t *
take(struct bytes *bytes, size_t len)
{
	const uint8_t *at = bytes->data;

	if (bytes->len < len)
		return NULL;
	bytes->data += len;
	bytes->len -= len;
	bytes->total -= len;
	return at;
}

/* What was sent ends where its header says, whatever is here beyond. */
static void
set_total(struct bytes *bytes, size_t total)
{
	bytes->total = total;
	if (bytes->len > total)
		bytes->len = total;
}

static void
set_ipv4(struct address *address, const uint8_t *ip)
{
	struct sockaddr_in in = {.sin_family = AF_INET};

	memcpy(&in.sin_addr, ip, sizeof(in.sin_addr));
	(void)address_from_sockaddr(address, (struct sockaddr *)&in);
}

/* IPv4-mapped, it is the IPv4 address that a relay would dial. */
static void
set_ipv6(struct address *address, const uint8_t *ip)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	memcpy(&in6.sin6_addr, ip, sizeof(in6.sin6_addr));
	(void)address_from_sockaddr(address, (struct sockaddr *)&in6);
}

static bool
parse_ipv4(struct bytes *bytes, struct packet *packet)
{
	const uint8_t *header = bytes->data;
	size_t len, total;

	if (bytes->len < IPV4_HEADER)
		return false;
	len = (size_t)(header[0] & 15) * 4;
	total = get_u16(header + 2);
	if (len < IPV4_HEADER || total < len ||
	    (get_u16(header + 6) & IPV4_FRAGMENT) != 0)
		return false;
	set_total(bytes, total);
	set_ipv4(&packet->source, header + 12);
	set_ipv4(&packet->target, header + 16);
	packet->protocol = header[9];
	return take(bytes, len) != NULL;
}

/* Steps over one extension header; false: this is none that leads on. */
static bool
skip_extension(struct bytes *bytes, uint8_t *next)
{
	const uint8_t *header = bytes->data;
	size_t len;

	if (bytes->len < 8)
		return false;
	switch (*next) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
		len = ((size_t)header[1] + 1) * 8;
		break;
	case IPPROTO_AH:
		len = ((size_t)header[1] + 2) * AH_UNIT;
		break;
	case IPPROTO_FRAGMENT: /* RFC 6946: a fragment that is all of it */
		if ((get_u16(header + 2) & IPV6_FRAGMENT) != 0)
			return false;
		len = 8;
		break;
	default:
		return false;
	}
	*next = header[0];
	return take(bytes, len) != NULL;
}

static bool
is_last(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

static bool
parse_ipv6(struct bytes *bytes, struct packet *packet)
{
	const uint8_t *header;
	uint8_t next;
	int i;

	if ((header = take(bytes, IPV6_HEADER)) == NULL)
		return false;
	set_total(bytes, get_u16(header + 4));
	set_ipv6(&packet->source, header + 8);
	set_ipv6(&packet->target, header + 24);
	next = header[6];
	for (i = 0; i < PACKET_HEADERS_MAX && !is_last(next); i++)
		if (!skip_extension(bytes, &next))
			return false;
	packet->protocol = next;
	return is_last(next);
}

static bool
parse_tcp(struct bytes *bytes, struct packet *packet)
{
	const uint8_t *header = bytes->data;
	size_t len;

	if (bytes->len < TCP_HEADER)
		return false;
	len = (size_t)(header[12] >> 4) * 4;
	packet->tcp_flags = header[13];
	return len >= TCP_HEADER && take(bytes, len) != NULL;
}

static bool
parse_udp(struct bytes *bytes, struct packet *packet)
{
	const uint8_t *header = bytes->data;
	size_t len;

	if (bytes->len < UDP_HEADER)
		return false;
	len = get_u16(header + 4);
	if (len < UDP_HEADER || len > bytes->total)
		return false;
	set_total(bytes, len);
	packet->tcp_flags = 0;
	return take(bytes, UDP_HEADER) != NULL;
}

static bool
parse_transport(struct bytes *bytes, struct packet *packet)
{
	const uint8_t *ports = bytes->data;

	if (bytes->len < 4)
		return false;
	packet->source.port = get_u16(ports);
	packet->target.port = get_u16(ports + 2);
	return packet->protocol == IPPROTO_TCP ? parse_tcp(bytes, packet)
	                                       : parse_udp(bytes, packet);
}

bool
packet_parse(const uint8_t *data, size_t len, struct packet *packet)
{
	struct bytes bytes = {data, len, len};

	if (len == 0)
		return false;
	switch (data[0] >> 4) {
	case 4:
		if (!parse_ipv4(&bytes, packet) || !is_last(packet->protocol))
			return false;
		break;
	case 6:
		if (!parse_ipv6(&bytes, packet))
			return false;
		break;
	default:
		return false;
	}
	if (!parse_transport(&bytes, packet))
		return false;
	packet->payload = bytes.data;
	packet->payload_len = bytes.len;
	packet->is_whole = bytes.len == bytes.total;
	return true;
}
