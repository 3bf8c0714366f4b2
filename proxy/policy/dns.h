/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_DNS_H
#define POSTERN_DNS_H

/*
 * Questions to the DNS, validated with DNSSEC by libunbound, in the caller's
 * event loop.  Each has a deadline of its own, so that a slow or dead server
 * holds up nothing but the questions that lead to it.  /etc/resolv.conf and
 * /etc/hosts are not read, and no name is answered from a built-in table.
 */

#include <stddef.h>
#include <stdint.h>

#include "proxy/policy/dns_packet.h"

#define DNS_ERROR_MAX   256
#define DNS_LOOKUPS_MAX 4096 /* in libunbound's hands at once */
#define DNS_WAITERS_MAX 65536 /* questions open at once */
#define DNS_SOCKETS_MAX 2048 /* of libunbound's, for UDP */

struct dns;
struct event_base;

struct dns_settings {
	const struct address *forward; /* resolvers with port; none: recurse */
	size_t forward_count;
	const char *root_hints; /* path; NULL: built in */
	const char *trust_anchor; /* path; DS and DNSKEY records */
	uint32_t timeout; /* seconds for one question */
};

/*
 * dns_new sets a resolver up and reads the files that settings name; settings
 * itself is not kept.  NULL, with a message in error, where it cannot serve.
 */
struct dns *dns_new(struct event_base *, const struct dns_settings *,
    char error[DNS_ERROR_MAX]);
/* dns_free ends one that has no open question; NULL is fine. */
void dns_free(struct dns *);

/*
 * dns_ask looks name up, which must be a name that dns_name_is_host.  Returns
 * 0, and done will be called exactly once, from the event loop and never
 * before dns_ask returned, with an answer that is valid until done returns.
 * Or -1 with errno set, and done will not be called: EINVAL (no such name can
 * be), EAGAIN (one of the above maxima reached), ENOMEM.
 */
int dns_ask(struct dns *, const char *name, enum dns_type type,
    void (*done)(void *arg, const struct dns_answer *), void *arg);

#endif
