/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_STS_REFRESH_H
#define POSTERN_STS_REFRESH_H

/*
 * When the policies at hand are looked at though no mail asks for them (RFC
 * 8461 3.3): one of a week whose domain gets mail every eight days would
 * otherwise have lapsed each time, and that mail be as without it.  Slow, since
 * nobody waits for it, and bounded.
 */

#include <stdbool.h>

struct event_base;
struct sts_entry;
struct sts_refresh;
struct sts_table;

#define STS_REFRESH_TICK      10 /* seconds between two looks */
#define STS_REFRESH_LOOKS_MAX 1024 /* entries of the table in one */
#define STS_REFRESH_OPEN_MAX  4 /* refreshes under way */
#define STS_REFRESH_ROUND     300 /* seconds from the table's end to the next */
/* Seconds after which a domain that nobody asks for is left to expire. */
#define STS_REFRESH_UNUSED_MAX INT64_C(3024000) /* 35 days */

/*
 * sts_refresh_new has begin called for entries whose policy is stale; it
 * returns whether a refresh has begun, whose end is then told once by
 * sts_refresh_end.  check is called for each entry with a policy before, and
 * may take it.  base may be NULL: there is no timer then.  table and arg are
 * borrowed.  NULL: ENOMEM.
 */
struct sts_refresh *sts_refresh_new(struct event_base *, struct sts_table *,
    void (*check)(void *arg, struct sts_entry *),
    bool (*begin)(void *arg, struct sts_entry *), void *arg);
/* NULL is fine. */
void sts_refresh_free(struct sts_refresh *);

/* What the timer does. */
void sts_refresh_tick(struct sts_refresh *);
void sts_refresh_end(struct sts_refresh *);

#endif
