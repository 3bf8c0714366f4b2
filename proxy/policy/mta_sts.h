/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_MTA_STS_H
#define POSTERN_MTA_STS_H

/*
 * The MTA-STS policies of recipients' domains (RFC 8461): found by the DNS,
 * fetched over HTTPS, kept until they expire.  What a policy says is told
 * here; what follows from it for a server is for decide.c.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/policy/decision.h"
#include "proxy/policy/sts_policy.h"
#include "proxy/policy/sts_table.h"

struct config;
struct dns;
struct event_base;
struct mta_sts;
struct shared;
struct state;

#define MTA_STS_ERROR_MAX   256
#define MTA_STS_WHY_MAX     STS_TABLE_WHY_MAX
#define MTA_STS_WAITERS_MAX 16384 /* questions open at once */
/*
 * Seconds.  A TXT record's answer counts for its TTL, within these bounds; one
 * that failed, for less.
 */
#define MTA_STS_CHECK_MIN    30
#define MTA_STS_CHECK_MAX    3600
#define MTA_STS_CHECK_FAILED 10
/* A policy that could not be fetched is tried again after this, then twice. */
#define MTA_STS_RETRY_MIN       60
#define MTA_STS_RETRY_MAX       3600
#define MTA_STS_TTL_MAX         3600 /* of an answer */
#define MTA_STS_TTL_FAULT       60 /* of one with a fault in it */
#define MTA_STS_TTL_UNCONFIRMED 10 /* of one by other gateways' word only */
/* How far ahead another gateway's clock may be. */
#define MTA_STS_SKEW 60

enum mta_sts_status {
	/*
	 * The domain has no policy that could be had: no TXT record, not
	 * exactly one valid one, or one whose policy cannot be fetched while
	 * none is cached, when RFC 8461 3.3 goes on as without; word and why
	 * then say what failed.
	 */
	MTA_STS_ABSENT,
	MTA_STS_FOUND, /* an unexpired policy */
	/*
	 * Neither found nor excluded: the TXT lookup failed, or this machine
	 * could not do the fetch.
	 */
	MTA_STS_UNKNOWN,
};

struct mta_sts_facts {
	enum mta_sts_status status;
	const struct sts_policy *policy; /* FOUND: borrowed; else NULL */
	char id[STS_ID_MAX + 1]; /* FOUND */
	int64_t expires; /* FOUND: wall time, seconds */
	/*
	 * FOUND: the TXT record was looked at, and tells of no other policy;
	 * and the policy came from the domain, not only from other gateways.
	 * Where this is false, nothing may be refused for good by the policy
	 * (RFC 8461 5.1).
	 */
	bool is_fresh;
	/*
	 * What went wrong last, "" where nothing did; with FOUND too, where a
	 * refresh failed.  Printable ASCII.
	 */
	enum result_word word;
	char why[MTA_STS_WHY_MAX];
	uint32_t ttl; /* seconds this answer may be kept */
};

/*
 * mta_sts_new begins with what state keeps; base, dns, config, state and shared
 * are borrowed for its life.  state may be NULL: nothing outlives the process;
 * shared too: nothing is shared.  The trust file that HTTPS servers are judged
 * by is config's default one.  To be called before the process locks itself
 * in.  base may be NULL: no timer then calls mta_sts_refresh.  NULL with a
 * message.
 */
struct mta_sts *
mta_sts_new(struct event_base *, struct dns *, const struct config *,
    struct state *, struct shared *, char error[MTA_STS_ERROR_MAX]);
/* mta_sts_free ends one that has no open question; NULL is fine. */
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

/*
 * mta_sts_refresh begins to fetch anew what it is time for, a few at once; a
 * timer calls it every STS_REFRESH_TICK seconds.
 */
void mta_sts_refresh(struct mta_sts *);
/*
 * mta_sts_prepare looks the domain's record up, since it may be asked for soon;
 * what it tells of is fetched when that comes true.
 */
void mta_sts_prepare(struct mta_sts *, const char *domain);

#endif
