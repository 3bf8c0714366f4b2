/* SPDX-License-Identifier: ISC */
/* Any bytes as an IP packet: what comes out lies within what went in. */

#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>

#include "netfilter/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct packet packet, cut;
	size_t headers;

	if (!packet_parse(data, len, &packet))
		return 0;
	headers = (size_t)(packet.payload - data);
	if (headers > len || packet.payload_len > len - headers ||
	    address_ip_len(&packet.source) == 0 ||
	    address_ip_len(&packet.target) == 0)
		abort();
	if (packet.protocol != IPPROTO_TCP &&
	    (packet.protocol != IPPROTO_UDP || packet.tcp_flags != 0))
		abort();
	/* All headers must be here, and nothing more than they. */
	if (packet_parse(data, headers - 1, &cut) ||
	    !packet_parse(data, headers, &cut) ||
	    !address_equal(&cut.target, &packet.target) ||
	    cut.payload != packet.payload || cut.payload_len != 0)
		abort();
	return 0;
}
