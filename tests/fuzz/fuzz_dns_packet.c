/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as a DNS answer.  What comes out must be within its bounds, and no
 * name may be anything but a host's.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "proxy/policy/dns_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(const struct dns_answer *answer)
{
	size_t i;

	if (answer->count > DNS_RECORDS_MAX || answer->is_secure ||
	    answer->ttl > INT32_MAX)
		abort();
	if (answer->status != DNS_FOUND && answer->count > 0)
		abort();
	if (answer->byte_count > DNS_BYTES_MAX)
		abort();
	for (i = 0; i < answer->count; i++)
		if (answer->records[i].offset + answer->records[i].len >
		    answer->byte_count)
			abort();
	for (i = 0; i < answer->count; i++)
		if (answer->records[i].name[0] != '\0' &&
		    !dns_name_is_host(answer->records[i].name))
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const enum dns_type types[] = {
	    DNS_A, DNS_MX, DNS_AAAA, DNS_CNAME, DNS_TLSA, DNS_TXT};
	static struct dns_answer answer;
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		dns_packet_parse(data, len, types[i], &answer);
		check(&answer);
	}
	return 0;
}
