/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_DECIDE_H
#define POSTERN_DECIDE_H

/*
 * Which far ends may receive mail for a destination, a domain or an address
 * literal.  Pure functions of the operator's blocks, what the DNS said, and
 * the time: no lookups, no clock.  A function that lacks what the DNS says
 * answers DECIDE_ASK, and is called again with it.
 *
 * The order is: server blocks by address (longest prefix first), server blocks
 * by host name, domain blocks (the very name, then the longest "*."); then for
 * each MX host its TLSA records (DANE), the domain's MTA-STS policy, the MX
 * records.  The first that applies decides; a failure in it is never papered
 * over by a later one.
 *
 * A block that asks for proof without saying all of it is completed so:
 *	server	names; else the host name that matched; else, with pins alone,
 *		any certificate with such a key; else the address itself
 *	domain	names; else, with pins alone, any certificate with such a key;
 *		else the names of the domain's MX hosts, judged by the block's
 *		pins and trust file; a block without any of these says only
 *		that the domain is judged as if no exception covered it
 * AUTH is never allowed by a block that does not ask for proof.  At level
 * observe all is decided as at verify, and the decision says so.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/address.h"
#include "proxy/policy/decision.h"
#include "proxy/policy/decision_make.h"
#include "proxy/policy/dns_packet.h"
#include "proxy/policy/tlsa.h"

struct blocks;
struct mta_sts_facts;

#define MX_WHY_MAX       (DECISION_NAME_MAX + DNS_WHY_MAX + 64)
#define MX_ADDRESSES_MAX 16 /* of one host and family that are kept */
#define MX_TLSA_MAX      32 /* TLSA records of one host that are kept */

enum decide {
	DECIDE_DONE,
	DECIDE_ASK, /* the DNS facts are needed */
};

/* What is known of one host of blocks->hosts, in D's address family. */
struct host_fact {
	bool is_known; /* else: could not be looked up */
	const struct address *addresses; /* borrowed */
	size_t count;
	uint32_t ttl; /* until it is looked up again */
};

/* The addresses of an MX host in one family. */
struct mx_addresses {
	enum dns_status status;
	bool is_secure; /* DNSSEC proves all of it, aliases included */
	bool is_alias;
	char canonical[DECISION_NAME_MAX]; /* where CNAMEs led; may be "" */
	size_t count; /* of those kept */
	uint16_t more; /* that are not kept */
	struct address list[MX_ADDRESSES_MAX];
	char why[DNS_WHY_MAX]; /* BOGUS, FAILED */
};

enum mx_tlsa {
	MX_TLSA_UNKNOWN, /* the lookup failed: tlsa_why */
	MX_TLSA_NOT_ASKED, /* MX or address records are not signed */
	MX_TLSA_NONE, /* it is denied, or there but not signed */
	MX_TLSA_FOUND, /* signed records; whether usable or not */
};

struct mx_host {
	char name[DECISION_NAME_MAX];
	uint16_t preference;
	bool has_destination; /* its addresses include D */
	struct mx_addresses ipv4;
	struct mx_addresses ipv6;
	enum mx_tlsa tlsa;
	bool tlsa_is_bogus; /* UNKNOWN: by DNSSEC */
	char tlsa_why[MX_WHY_MAX]; /* UNKNOWN */
	/* FOUND: the TLSA base domain (RFC 7672 2.2.3), and its records. */
	char base[DECISION_NAME_MAX];
	size_t record_count;
	struct tlsa records[MX_TLSA_MAX]; /* data in bytes */
	uint8_t *bytes; /* owned */
};

/* What is known of a domain's mail hosts. */
struct mx_facts {
	enum dns_status status; /* of the MX lookup */
	bool is_secure; /* DNSSEC proves that answer */
	bool is_null; /* RFC 7505: takes no mail */
	char why[DNS_WHY_MAX]; /* BOGUS, FAILED */
	uint32_t ttl; /* the shortest of all answers used */
	bool has_unknown; /* some host's addresses are not known */
	/*
	 * What the domain's CNAMEs lead to, where DNSSEC proves them; else "".
	 */
	char canonical[DECISION_NAME_MAX];
	/* Best preference first; an implicit MX is a host as well. */
	size_t host_count; /* at most DECISION_NAMES_MAX */
	uint16_t more; /* hosts that are not kept */
	struct mx_host *hosts; /* owned */
};

/*
 * decide_server answers for everything that is sent to destination; facts has
 * a row for each of blocks->hosts, or is NULL where they were not looked at.
 * DECISION_NO_RULE where no server block speaks for it.
 */
enum decide
decide_server(const struct blocks *, const struct address *destination,
    const struct host_fact *facts, int64_t now, struct decision *);

/*
 * decide_domain answers for a recipient's domain.  Either of the facts may be
 * NULL, not known yet; MTA-STS's are not always needed.
 */
enum decide decide_domain(const struct blocks *, const char *domain,
    const struct mx_facts *, const struct mta_sts_facts *, int64_t now,
    struct decision *);

/* decide_failed answers in its place where the facts cannot be had. */
void decide_failed(const struct blocks *, const char *domain, int64_t now,
    struct decision *, const char *why);

/* decide_literal answers for a recipient at an address literal. */
void decide_literal(const struct address *literal, struct decision *);

#endif
