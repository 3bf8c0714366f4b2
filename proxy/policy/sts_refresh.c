/* SPDX-License-Identifier: ISC */
/*
 * Goes through the table, some entries a tick, and remembers by name where it
 * was, since entries come and go.
 */

#include "proxy/policy/sts_refresh.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/clock.h"
#include "proxy/policy/sts_entry.h"
#include "proxy/policy/sts_table.h"

struct sts_refresh {
	struct sts_table *table; /* borrowed, as is arg */
	void (*check)(void *, struct sts_entry *);
	bool (*begin)(void *, struct sts_entry *);
	void *arg;
	struct event *timer; /* owned; NULL without a loop */
	char last[DNS_NAME_MAX]; /* looked at; "": the round begins */
	int64_t rest; /* no round before that; monotonic, ms */
	size_t open;
};

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	sts_refresh_tick(arg);
}

static int
start_timer(struct sts_refresh *refresh, struct event_base *base)
{
	static const struct timeval tick = {.tv_sec = STS_REFRESH_TICK};

	refresh->timer = event_new(base, -1, EV_PERSIST, on_tick, refresh);
	if (refresh->timer == NULL)
		return -1;
	return event_add(refresh->timer, &tick);
}

struct sts_refresh *
sts_refresh_new(struct event_base *base, struct sts_table *table,
    void (*check)(void *, struct sts_entry *),
    bool (*begin)(void *, struct sts_entry *), void *arg)
{
	struct sts_refresh *refresh;

	if ((refresh = calloc(1, sizeof(*refresh))) == NULL)
		return NULL;
	refresh->table = table;
	refresh->check = check;
	refresh->begin = begin;
	refresh->arg = arg;
	if (base != NULL && start_timer(refresh, base) == -1) {
		sts_refresh_free(refresh);
		return NULL;
	}
	return refresh;
}

void
sts_refresh_free(struct sts_refresh *refresh)
{
	if (refresh == NULL)
		return;
	if (refresh->timer != NULL)
		event_free(refresh->timer);
	free(refresh);
}

/* An entry's record counts for a while, and who asks looks at it himself. */
static bool
is_due(const struct sts_entry *entry)
{
	int64_t now = clock_monotonic_ms();

	return entry->text != NULL && entry->phase == STS_PHASE_IDLE &&
	       sts_table_is_stale(entry) && now >= entry->checked &&
	       now - entry->used <= (int64_t)STS_REFRESH_UNUSED_MAX * 1000 &&
	       !sts_entry_backs_off(entry);
}

static void
look(struct sts_refresh *refresh, struct sts_entry *entry)
{
	if (entry->text != NULL && entry->phase == STS_PHASE_IDLE)
		refresh->check(refresh->arg, entry);
	if (is_due(entry) && refresh->begin(refresh->arg, entry))
		refresh->open++;
}

void
sts_refresh_tick(struct sts_refresh *refresh)
{
	struct sts_entry *entry;
	size_t looks;

	if (clock_monotonic_ms() < refresh->rest)
		return;
	for (looks = 0; looks < STS_REFRESH_LOOKS_MAX &&
			refresh->open < STS_REFRESH_OPEN_MAX;
	     looks++) {
		entry = sts_table_after(refresh->table, refresh->last);
		if (entry == NULL) {
			refresh->last[0] = '\0';
			refresh->rest = clock_monotonic_ms() +
			                INT64_C(1000) * STS_REFRESH_ROUND;
			return;
		}
		strlcpy(refresh->last, entry->domain, sizeof(refresh->last));
		look(refresh, entry);
	}
}

void
sts_refresh_end(struct sts_refresh *refresh)
{
	refresh->open--;
}
