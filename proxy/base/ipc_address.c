/* SPDX-License-Identifier: ISC */
/*
 * Addresses in messages between postern's processes.
 */

#include "proxy/base/ipc_address.h"

#include <string.h>

#include "proxy/base/address.h"
#include "proxy/base/ipc.h"

#define ADDRESS_NONE 0
#define ADDRESS_IPV4 4
#define ADDRESS_IPV6 6

void
ipc_put_address(struct ipc_message *message, const struct address *address)
{
	size_t len = address_ip_len(address);

	ipc_put_u8(message, len == 4    ? ADDRESS_IPV4
			    : len == 16 ? ADDRESS_IPV6
					: ADDRESS_NONE);
	ipc_put_mem(message, address->ip, len);
	ipc_put_u16(message, address->port);
	ipc_put_u32(message, address->scope);
}

int
ipc_get_address(struct ipc_reader *reader, struct address *address)
{
	const void *ip;
	size_t len, want = 0;

	memset(address, 0, sizeof(*address));
	switch (ipc_get_u8(reader)) {
	case ADDRESS_NONE:
		address->family = AF_UNSPEC;
		break;
	case ADDRESS_IPV4:
		address->family = AF_INET;
		want = 4;
		break;
	case ADDRESS_IPV6:
		address->family = AF_INET6;
		want = 16;
		break;
	default:
		reader->is_bad = true;
		return -1;
	}
	ip = ipc_get_mem(reader, &len);
	address->port = ipc_get_u16(reader);
	address->scope = ipc_get_u32(reader);
	if (reader->is_bad || len != want) {
		reader->is_bad = true;
		return -1;
	}
	if (want > 0)
		memcpy(address->ip, ip, want);
	return 0;
}
