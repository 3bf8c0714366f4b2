/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_MTA_STS_H
#define POSTERN_MTA_STS_H

/*
 * The MTA-STS policies of recipients' domains (RFC 8461): found by the DNS,
 * fetched over HTTPS, kept until they expire.  What a policy says is told
 * here; what follows from it for a server is for decide.c.
 */

#include <stddef.h>
#include <stdint.h>

#include "proxy/policy/decision.h"
#include "proxy/policy/dns_packet.h"
#include "proxy/policy/sts_policy.h"

struct config;
struct dns;
struct event_base;
struct mta_sts;
struct state;

#define MTA_STS_ERROR_MAX 256

enum mta_sts_status {
	/*
	 * The domain has no policy that could be had: no TXT record, not
	 * exactly one valid one, or one whose policy cannot be fetched while
	 * none is cached, when RFC 8461 3.3 goes on as without; word and why
	 * then say what failed.
	 */
	MTA_STS_ABSENT,
	MTA_STS_FOUND, /* an unexpired policy */
	/* Neither found nor excluded: the TXT lookup failed. */
	MTA_STS_UNKNOWN,
};

struct mta_sts_facts {
	enum mta_sts_status status;
	const struct sts_policy *policy; /* FOUND: borrowed; else NULL */
	char id[STS_ID_MAX + 1]; /* FOUND */
	int64_t expires; /* FOUND: wall time, seconds */
	/*
	 * What went wrong last, "" where nothing did; with FOUND too, where a
	 * refresh failed.  Printable ASCII.
	 */
	enum result_word word;
	char why[DNS_WHY_MAX];
	uint32_t ttl; /* seconds this answer may be kept */
};

/*
 * mta_sts_new begins with what state keeps; base, dns, config and state are
 * borrowed for its life.  state may be NULL: nothing outlives the process.
 * The trust file that HTTPS servers are judged by is config's default one.
 * To be called before the process locks itself in.  NULL with a message.
 */
struct mta_sts *mta_sts_new(struct event_base *, struct dns *,
    const struct config *, struct state *, char error[MTA_STS_ERROR_MAX]);
void mta_sts_free(struct mta_sts *);

/*
 * mta_sts_ask returns 0, and done will be called exactly once, from the event
 * loop, perhaps before this returns, with facts valid until done returns; or
 * -1 with errno EAGAIN or ENOMEM, and done will not be called.  domain is the
 * recipient's own (dns_name_is_host).  Many who ask for the same domain at
 * once cause one fetch.
 */
int mta_sts_ask(struct mta_sts *, const char *domain,
    void (*done)(void *arg, const struct mta_sts_facts *), void *arg);

#endif
