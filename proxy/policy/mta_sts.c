/* SPDX-License-Identifier: ISC */
/*
 * A question's way: the TXT record first, at most once in its TTL; where no
 * policy is at hand, what other gateways know of it; then the fetch, of one
 * that the record tells of and is not at hand.  All who ask meanwhile wait for
 * the same.
 *
 * A policy at hand holds until it expires, whatever becomes of the record, the
 * fetch or a clock: only so can nobody turn it off who sits on the path (RFC
 * 8461 10.2).  For the same reason a fetch that this machine could not even
 * begin is not taken for a domain without policy.
 */

#include "proxy/policy/mta_sts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/policy/dns.h"
#include "proxy/policy/shared.h"
#include "proxy/policy/state.h"
#include "proxy/policy/sts_entry.h"
#include "proxy/policy/sts_fetch.h"
#include "proxy/policy/sts_refresh.h"

struct sts_waiter {
	TAILQ_ENTRY(sts_waiter) entry;
	void (*done)(void *, const struct mta_sts_facts *);
	void *arg;
};

struct mta_sts {
	struct dns *dns; /* borrowed, as are the next two */
	struct state *state;
	struct shared *shared;
	struct sts_fetcher *fetcher; /* owned, as are the next two */
	struct sts_table *table;
	struct sts_refresh *refresh;
	size_t waiter_count;
};

/* Answers. */

/*
 * Where the policy has expired here, it has on the disk as well, whatever the
 * wall clock makes of that.
 */
static void
check(struct mta_sts *sts, struct sts_entry *entry)
{
	if (sts_table_check(sts->table, entry) && sts->state != NULL)
		state_drop_policy(sts->state, entry->domain, entry->expires);
}

/*
 * All who wait are told.  The entry may be gone when this returns, as may any
 * that a callback asks for.
 */
static void
tell_waiters(struct mta_sts *sts, struct sts_entry *entry)
{
	struct sts_waiters waiters = TAILQ_HEAD_INITIALIZER(waiters);
	struct mta_sts_facts facts;
	struct sts_policy policy;
	struct sts_waiter *waiter;

	check(sts, entry);
	sts_entry_tell(entry, &facts, &policy);
	TAILQ_CONCAT(&waiters, &entry->waiters, entry);
	if (entry->phase == STS_PHASE_IDLE) {
		if (entry->is_refresh)
			sts_refresh_end(sts->refresh);
		entry->is_refresh = false;
		sts_table_release(sts->table, entry);
	}
	while ((waiter = TAILQ_FIRST(&waiters)) != NULL) {
		TAILQ_REMOVE(&waiters, waiter, entry);
		sts->waiter_count--;
		waiter->done(waiter->arg, &facts);
		free(waiter);
	}
}

/* Fetching. */

/* 0, or -1 with the sts_entry_blame in the entry. */
static int
take_fetched(struct mta_sts *sts, struct sts_entry *entry,
    const struct sts_fetched *fetched)
{
	struct state_policy row = {
	    .len = fetched->len,
	    .text = fetched->text,
	    .fetched = clock_wall(),
	};
	struct sts_policy policy;
	const char *why;

	if (fetched->word != RESULT_NONE) {
		sts_entry_blame(entry, fetched->word, "%s", fetched->why);
		entry->is_local = fetched->is_local;
		return -1;
	}
	if (sts_policy_parse(&policy, row.text, row.len, &why) == -1) {
		sts_entry_blame(entry, RESULT_STS_POLICY_INVALID,
		    "https://mta-sts.%.80s/.well-known/mta-sts.txt is no "
		    "policy: %s (RFC 8461 3.2)",
		    entry->domain, why);
		return -1;
	}
	strlcpy(row.domain, entry->domain, sizeof(row.domain));
	strlcpy(row.id, sts_entry_wanted_id(entry), sizeof(row.id));
	row.expires = row.fetched + sts_table_life(policy.max_age);
	if (sts_table_put(sts->table, entry, &row, &policy) == -1) {
		sts_entry_blame(
		    entry, RESULT_STS_POLICY_FETCH_ERROR, "out of memory");
		entry->is_local = true;
		return -1;
	}
	/* What was understood is what others get to see. */
	row.text = entry->text;
	row.len = entry->len;
	if (sts->state != NULL)
		state_put_policy(sts->state, &row);
	if (sts->shared != NULL)
		shared_put(sts->shared, &row);
	return 0;
}

static void
on_fetched(void *arg, const struct sts_fetched *fetched)
{
	struct sts_entry *entry = arg;
	struct mta_sts *sts = entry->sts;

	sts_entry_forgive(entry);
	entry->phase = STS_PHASE_IDLE;
	check(sts, entry);
	if (take_fetched(sts, entry, fetched) == 0)
		entry->back_off = 0;
	else if (!entry->is_local)
		sts_entry_note_failure(entry);
	sts_entry_settle(entry);
	tell_waiters(sts, entry);
}

static int
fetch(struct mta_sts *sts, struct sts_entry *entry)
{
	if (sts_fetch(sts->fetcher, entry->domain, on_fetched, entry) == 0) {
		entry->phase = STS_PHASE_FETCH;
		return 0;
	}
	sts_entry_blame(entry, RESULT_STS_POLICY_FETCH_ERROR,
	    "the policy of %.100s is not fetched: %s", entry->domain,
	    errno == EAGAIN ? "too many fetches at once" : strerror(errno));
	/* A host that cannot be named is nobody's fault here. */
	entry->is_local = errno != EINVAL;
	if (!entry->is_local)
		sts_entry_note_failure(entry);
	return -1;
}

/* What is at hand will do for now; a fresh one will do for longer. */
static void
conclude(struct mta_sts *sts, struct sts_entry *entry)
{
	entry->phase = STS_PHASE_IDLE;
	sts_entry_settle(entry);
	if (entry->text != NULL && sts_table_is_stale(entry) &&
	    !sts_entry_backs_off(entry) && fetch(sts, entry) == 0)
		entry->is_background = true;
	tell_waiters(sts, entry);
}

static void
fetch_if_wanted(struct mta_sts *sts, struct sts_entry *entry)
{
	entry->is_background = false;
	if (entry->txt_id[0] == '\0' || sts_entry_has_wanted(entry) ||
	    sts_entry_backs_off(entry) || fetch(sts, entry) == -1)
		conclude(sts, entry);
}

/* What other gateways know. */

static bool
take_kept(struct mta_sts *sts, struct sts_entry *entry,
    const struct state_policy *row)
{
	struct sts_policy policy;

	return sts_entry_believes(entry, row, &policy) &&
	       sts_table_put(sts->table, entry, row, &policy) == 0;
}

/*
 * Other gateways' word can only make mail safer: a policy that would not be
 * enforced is left to the fetch.  What is taken holds at once, and is fetched
 * behind everybody's back; until that has come, it is kept in memory only.
 */
static void
take_shared(struct mta_sts *sts, struct sts_entry *entry,
    const struct state_policy *row)
{
	struct sts_policy policy;

	if (row->fetched <= clock_wall() + MTA_STS_SKEW &&
	    sts_entry_believes(entry, row, &policy) &&
	    policy.mode == STS_ENFORCE &&
	    sts_table_put(sts->table, entry, row, &policy) == 0)
		entry->is_unconfirmed = true;
}

static void
on_shared(void *arg, const struct state_policy *row)
{
	struct sts_entry *entry = arg;
	struct mta_sts *sts = entry->sts;

	check(sts, entry);
	if (row != NULL)
		take_shared(sts, entry, row);
	fetch_if_wanted(sts, entry);
}

/* Where a policy from the domain itself is at hand, only that is asked. */
static void
ask_shared(struct mta_sts *sts, struct sts_entry *entry)
{
	bool is_own = entry->text != NULL && !entry->is_unconfirmed;

	entry->phase = STS_PHASE_SHARED;
	if (is_own || sts_entry_has_wanted(entry) || sts->shared == NULL ||
	    shared_get(sts->shared, entry->domain, on_shared, entry) == -1)
		fetch_if_wanted(sts, entry);
}

/* The record. */

static void
on_txt(void *arg, const struct dns_answer *answer)
{
	struct sts_entry *entry = arg;
	struct sts_fault {
		enum result_word word;
		char why[STS_TABLE_WHY_MAX];
	} before = {.word = entry->word};

	/* What went wrong with a fetch stands until it is tried again. */
	strlcpy(before.why, entry->why, sizeof(before.why));
	sts_entry_forgive(entry);
	check(entry->sts, entry);
	sts_entry_read_answer(entry, answer);
	if (entry->why[0] == '\0' && sts_entry_backs_off(entry))
		sts_entry_blame(entry, before.word, "%s", before.why);
	if (entry->is_prepared) {
		entry->phase = STS_PHASE_IDLE;
		sts_table_release(entry->sts->table, entry);
	} else {
		ask_shared(entry->sts, entry);
	}
}

static bool
take_again(void *arg, const struct state_policy *row)
{
	struct sts_entry *entry = arg;

	return take_kept(entry->sts, entry, row);
}

/*
 * What memory had no room for may still be on the disk, or have come there
 * from a process that a reload replaces: only then is there no policy.
 */
static void
recall(struct mta_sts *sts, struct sts_entry *entry)
{
	entry->sts = sts;
	if (entry->text == NULL && sts->state != NULL)
		state_get_policy(
		    sts->state, entry->domain, clock_wall(), take_again, entry);
}

/* 0; 1: there can be no such record; -1 as dns_ask. */
static int
ask_txt(struct mta_sts *sts, struct sts_entry *entry)
{
	char name[DNS_NAME_MAX];

	recall(sts, entry);
	if ((size_t)snprintf(name, sizeof(name), STS_RECORD_PREFIX "%s",
		entry->domain) >= sizeof(name) ||
	    !dns_name_is_host(name))
		return 1;
	if (dns_ask(sts->dns, name, DNS_TXT, on_txt, entry) == -1)
		return -1;
	entry->phase = STS_PHASE_DNS;
	entry->sts = sts;
	sts_table_hold(sts->table, entry);
	return 0;
}

/* Questions. */

static bool
is_settled(const struct sts_entry *entry)
{
	return (entry->phase == STS_PHASE_IDLE ||
		   (entry->phase == STS_PHASE_FETCH && entry->is_background)) &&
	       !entry->is_prepared && clock_monotonic_ms() < entry->checked;
}

/* The record was looked up before anybody asked, and counts still. */
static bool
is_at_hand(const struct sts_entry *entry)
{
	return entry->phase == STS_PHASE_IDLE && entry->is_prepared &&
	       clock_monotonic_ms() < entry->checked;
}

static int
wait_for(struct mta_sts *sts, struct sts_entry *entry,
    void (*done)(void *, const struct mta_sts_facts *), void *arg)
{
	struct sts_waiter *waiter;

	if (sts->waiter_count >= MTA_STS_WAITERS_MAX) {
		errno = EAGAIN;
		return -1;
	}
	if ((waiter = calloc(1, sizeof(*waiter))) == NULL)
		return -1;
	waiter->done = done;
	waiter->arg = arg;
	TAILQ_INSERT_TAIL(&entry->waiters, waiter, entry);
	sts->waiter_count++;
	return 0;
}

int
mta_sts_ask(struct mta_sts *sts, const char *domain,
    void (*done)(void *, const struct mta_sts_facts *), void *arg)
{
	struct sts_entry *entry;
	struct sts_policy policy;
	struct mta_sts_facts facts;
	int asked = 1;

	if ((entry = sts_table_get(sts->table, domain)) == NULL)
		return -1;
	check(sts, entry);
	if (is_at_hand(entry)) {
		if (wait_for(sts, entry, done, arg) == -1)
			return -1;
		entry->is_prepared = false;
		sts_table_hold(sts->table, entry);
		ask_shared(sts, entry);
		return 0;
	}
	entry->is_prepared = false;
	if (!is_settled(entry)) {
		if (entry->phase == STS_PHASE_IDLE)
			asked = ask_txt(sts, entry);
		if (entry->phase != STS_PHASE_IDLE)
			return wait_for(sts, entry, done, arg);
		/* The DNS is overrun: what is at hand holds. */
		if (asked == -1 && entry->text == NULL)
			return -1;
		entry->is_unknown = asked == -1;
	}
	sts_entry_tell(entry, &facts, &policy);
	done(arg, &facts);
	return 0;
}

void
mta_sts_prepare(struct mta_sts *sts, const char *domain)
{
	struct sts_entry *entry;

	if ((entry = sts_table_get(sts->table, domain)) == NULL)
		return;
	check(sts, entry);
	if (entry->phase == STS_PHASE_IDLE && !is_settled(entry) &&
	    !is_at_hand(entry))
		entry->is_prepared = ask_txt(sts, entry) == 0;
}

/* With nobody who asks. */

static void
check_unasked(void *arg, struct sts_entry *entry)
{
	check(arg, entry);
}

static bool
refresh(void *arg, struct sts_entry *entry)
{
	entry->is_prepared = false;
	entry->is_refresh = ask_txt(arg, entry) == 0;
	return entry->is_refresh;
}

void
mta_sts_refresh(struct mta_sts *sts)
{
	sts_refresh_tick(sts->refresh);
}

/* Begin and end. */

static bool
take_from_state(void *arg, const struct state_policy *row)
{
	struct mta_sts *sts = arg;
	struct sts_entry *entry;

	if (!dns_name_is_host(row->domain))
		return true;
	if ((entry = sts_table_get(sts->table, row->domain)) == NULL)
		return false;
	take_kept(sts, entry, row);
	return !sts_table_is_full(sts->table);
}

struct mta_sts *
mta_sts_new(struct event_base *base, struct dns *dns,
    const struct config *config, struct state *state, struct shared *shared,
    char error[MTA_STS_ERROR_MAX])
{
	struct mta_sts *sts;

	snprintf(error, MTA_STS_ERROR_MAX, "out of memory");
	if ((sts = calloc(1, sizeof(*sts))) == NULL)
		return NULL;
	sts->dns = dns;
	sts->state = state;
	sts->shared = shared;
	if ((sts->table = sts_table_new()) == NULL)
		goto fail;
	sts->refresh = sts_refresh_new(
	    base, sts->table, check_unasked, refresh, sts);
	if (sts->refresh == NULL)
		goto fail;
	sts->fetcher = sts_fetcher_new(base, dns, config, error);
	if (sts->fetcher == NULL)
		goto fail;
	if (state != NULL)
		state_each_policy(state, clock_wall(), take_from_state, sts);
	return sts;
fail:
	mta_sts_free(sts);
	return NULL;
}

void
mta_sts_free(struct mta_sts *sts)
{
	if (sts == NULL)
		return;
	sts_fetcher_free(sts->fetcher);
	sts_refresh_free(sts->refresh);
	sts_table_free(sts->table);
	free(sts);
}
