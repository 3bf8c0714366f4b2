/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_PACKET_H
#define POSTERN_PACKET_H

/*
 * An IP packet with TCP or UDP in it: bytes in, addresses and ports out.
 * Pure, and it believes no length that the bytes do not bear out.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/address.h"

#define PACKET_HEADERS_MAX 16 /* IPv6 extension headers walked */

#define PACKET_FIN 0x01
#define PACKET_SYN 0x02
#define PACKET_RST 0x04
#define PACKET_ACK 0x10

struct packet {
	struct address source; /* with port */
	struct address target;
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t tcp_flags; /* PACKET_*; UDP: 0 */
	const uint8_t *payload; /* borrowed: what follows the last header */
	size_t payload_len; /* of it that is here */
	bool is_whole; /* and that is all that was sent */
};

/*
 * packet_parse reads a packet from its IP header on; it may have been cut
 * short behind the last header.  Returns false where it is neither IPv4 nor
 * IPv6, not TCP or UDP, a fragment other than a whole packet, or where the
 * bytes do not fit what they say; *packet is then undefined.
 */
bool packet_parse(const uint8_t *data, size_t len, struct packet *);

#endif
