/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_DNS_PACKET_H
#define POSTERN_DNS_PACKET_H

/*
 * A DNS answer: the message of RFC 1035 section 4 on one side, a plain value
 * on the other.  Pure: bytes in, records out.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/address.h"
#include "proxy/policy/dns_name.h"

#define DNS_RECORDS_MAX  64 /* records kept of one answer */
#define DNS_PACKET_RRS   512 /* records of all kinds looked at in one packet */
#define DNS_ALIASES_MAX  12 /* CNAME records followed */
#define DNS_TTL_NEGATIVE 60 /* seconds, where no SOA record says */
#define DNS_WHY_MAX      160
#define DNS_BYTES_MAX    16384 /* of TLSA and TXT records in one answer */

enum dns_type {
	DNS_A = 1,
	DNS_CNAME = 5,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_TLSA = 52,
};

enum dns_status {
	DNS_FOUND, /* there are records of that type */
	DNS_NODATA, /* the name exists, without any of that type */
	DNS_NXDOMAIN, /* the name does not exist */
	DNS_BOGUS, /* DNSSEC shows that the answer is not the owner's */
	DNS_FAILED, /* no answer that tells: SERVFAIL, timeout and the like */
};

struct dns_record {
	struct address address; /* A, AAAA; port 0 */
	uint16_t preference; /* MX */
	/* MX, CNAME: a name that dns_name_is_host, or "". */
	char name[DNS_NAME_MAX];
	/* TLSA: the RDATA; TXT: the strings, joined.  In the answer's bytes. */
	size_t offset;
	size_t len;
};

struct dns_answer {
	enum dns_status status;
	bool is_secure; /* proved by DNSSEC; never with BOGUS, FAILED */
	uint32_t ttl; /* seconds, of the shortest-lived record used */
	size_t count; /* MX: best preference first, then by name */
	struct dns_record records[DNS_RECORDS_MAX];
	size_t bad_count; /* MX records whose host no host can be named */
	size_t more; /* good records beyond DNS_RECORDS_MAX */
	/*
	 * Whether CNAMEs led from the name that was asked for to the one that
	 * has the records, or that has none; that name, "" where it is none
	 * that a host can have.
	 */
	bool is_alias;
	char canonical[DNS_NAME_MAX];
	size_t byte_count;
	uint8_t bytes[DNS_BYTES_MAX];
	char why[DNS_WHY_MAX]; /* BOGUS and FAILED; not yet escaped */
};

/*
 * dns_packet_parse finds the records of type that answer the packet's own
 * question, through CNAMEs, and fills answer; is_secure is left false.  An
 * answer that RFC 7505 calls a null MX is FOUND with one record whose name is
 * "".  Returns 0, or -1 where the packet breaks the format or a bound above:
 * answer is then DNS_FAILED and says why.
 */
int dns_packet_parse(const uint8_t *packet, size_t len, enum dns_type type,
    struct dns_answer *answer);

/*
 * dns_packet_question tells what a packet answers: the type as it is, which
 * may be none of enum dns_type, and the name, which dns_name_is_host.  Returns
 * false where the packet is no answer to one question of class IN, or where
 * its name is none that a host can have.
 */
bool dns_packet_question(
    const uint8_t *packet, size_t len, uint16_t *type, char name[DNS_NAME_MAX]);

/*
 * dns_answer_fail makes answer a DNS_FAILED one, why printf-style, with ttl 0.
 */
void dns_answer_fail(struct dns_answer *, const char *why, ...)
    __attribute__((format(printf, 2, 3)));

#endif
