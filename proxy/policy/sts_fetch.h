/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_STS_FETCH_H
#define POSTERN_STS_FETCH_H

/*
 * Fetches MTA-STS policy files, each in its turn: so many at once, and of them
 * so few from any one zone that its slow hosts do not stand in the way of the
 * others.  What is in a file is for sts_policy.c; when one is to be fetched,
 * for mta_sts.c.
 */

#include "proxy/policy/sts_transfer.h"

#define STS_FETCHES_MAX      16 /* open at once */
#define STS_FETCHES_ZONE_MAX 4 /* of these, from one zone */
#define STS_QUEUE_MAX        1024 /* that wait for their turn */
#define STS_QUEUE_ZONE_MAX   64 /* of these, from one zone */
#define STS_UNREACHED_MAX    5 /* zones in a row, then the log is told */

struct sts_fetcher;

/* sts_fetcher_new: as sts_transfers_new. */
struct sts_fetcher *sts_fetcher_new(struct event_base *, struct dns *,
    const struct config *, char error[STS_ERROR_MAX]);
/* sts_fetcher_free ends one that has no fetch left; NULL is fine. */
void sts_fetcher_free(struct sts_fetcher *);

/*
 * sts_fetch asks for https://mta-sts.DOMAIN/.well-known/mta-sts.txt.  Returns
 * 0, and done will be called exactly once, from the event loop and never
 * before this returns, with a result that is valid until done returns; or -1
 * with errno EINVAL (no such host can be), EAGAIN (STS_QUEUE_MAX or
 * STS_QUEUE_ZONE_MAX) or ENOMEM.  A fetch waits for its turn no longer than
 * config's mta_sts.timeout, and takes no longer than that again; what has not
 * had its turn by then is a failure of this machine's (is_local).
 */
int sts_fetch(struct sts_fetcher *, const char *domain,
    void (*done)(void *arg, const struct sts_fetched *), void *arg);

#endif
