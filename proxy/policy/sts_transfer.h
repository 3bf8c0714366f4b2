/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_STS_TRANSFER_H
#define POSTERN_STS_TRANSFER_H

/*
 * One MTA-STS policy file over HTTPS as RFC 8461 3.3 has it, in the caller's
 * event loop.  How many at once, and which next, is for sts_fetch.c.
 */

#include <stdbool.h>
#include <stddef.h>

#include "proxy/policy/decision.h"

#define STS_HEADERS_MAX 65536 /* bytes of an answer's header lines */
#define STS_WHY_MAX     256
#define STS_ERROR_MAX   256

struct config;
struct dns;
struct event_base;
struct sts_transfers;

enum sts_reach {
	STS_REACH_UNTRIED, /* no address of the host was known */
	STS_REACH_NOBODY, /* none of its addresses took a connection */
	STS_REACH_HOST,
};

struct sts_fetched {
	/*
	 * RESULT_NONE: text is the file, of len bytes, never over
	 * STS_BYTES_MAX.  Else RESULT_STS_POLICY_FETCH_ERROR or
	 * RESULT_STS_WEBPKI_INVALID, and why says what failed, with the URL, in
	 * printable ASCII.
	 */
	enum result_word word;
	/* The failure is this machine's, and says nothing of the domain. */
	bool is_local;
	enum sts_reach reach;
	const char *text;
	size_t len;
	char why[STS_WHY_MAX];
};

/*
 * sts_transfers_new readies libcurl and a copy of config's default trust file,
 * which HTTPS servers are judged by, so that it needs no file any more once
 * the process is locked in.  base and dns are borrowed.  NULL with a message.
 */
struct sts_transfers *sts_transfers_new(struct event_base *, struct dns *,
    const struct config *, char error[STS_ERROR_MAX]);
/* sts_transfers_free ends one that has no open transfer; NULL is fine. */
void sts_transfers_free(struct sts_transfers *);

/*
 * sts_transfer_start asks for https://mta-sts.DOMAIN/.well-known/mta-sts.txt.
 * Returns 0, and done will be called exactly once, from the event loop and
 * never before this returns, within config's mta_sts.timeout, with a result
 * that is valid until done returns; or -1 with errno EINVAL (no such host can
 * be), EAGAIN (the DNS's own maxima) or ENOMEM.
 */
int sts_transfer_start(struct sts_transfers *, const char *domain,
    void (*done)(void *arg, const struct sts_fetched *), void *arg);

#endif
