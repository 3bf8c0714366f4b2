/* SPDX-License-Identifier: ISC */
/*
 * The queue in front of sts_transfer.c.  Who sends mail to many domains of his
 * own, whose policy hosts take connections and say nothing, may fill neither
 * the places nor the queue: when a place falls free, the zone that has the
 * fewest is next, and within it who came first.
 */

#include "proxy/policy/sts_fetch.h"

#include <sys/queue.h>

#include <errno.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/config.h"
#include "proxy/policy/dns_name.h"

struct fetch {
	TAILQ_ENTRY(fetch) entry;
	struct sts_fetcher *fetcher; /* borrowed */
	char domain[DNS_NAME_MAX];
	const char *zone; /* the end of domain */
	int64_t until; /* how long it waits: monotonic, ms */
	void (*done)(void *, const struct sts_fetched *);
	void *arg;
};

TAILQ_HEAD(fetch_list, fetch);

struct sts_fetcher {
	struct sts_transfers *transfers; /* owned, as is the next */
	struct event *turn;
	uint32_t timeout; /* seconds */
	struct fetch_list waiting; /* in the order they came */
	struct fetch_list open;
	size_t waiting_count;
	size_t open_count;
	size_t unreached; /* zones in a row whose hosts nobody reached */
	char unreached_zone[DNS_NAME_MAX]; /* the last of them */
};

/* Zones. */

/*
 * Under a country's code, what is sold is often a label further down.  Which,
 * is nowhere to be asked: a name that is missing here makes strangers wait for
 * one another, and no worse.
 */
static bool
is_registry(const char *label, size_t len)
{
	static const char *const labels[] = {"ac", "asso", "co", "com", "edu",
	    "go", "gob", "gouv", "gov", "gv", "lg", "ltd", "me", "mil", "ne",
	    "net", "nhs", "nom", "or", "org", "plc", "sch"};
	size_t i;

	for (i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
		if (strlen(labels[i]) == len &&
		    strncmp(label, labels[i], len) == 0)
			return true;
	return false;
}

/* Where the label begins that ends at the NUL or dot at end. */
static const char *
label_before(const char *domain, const char *end)
{
	while (end > domain && end[-1] != '.')
		end--;
	return end;
}

/* The part of a domain that has one owner: its last two labels, or three. */
static const char *
zone_of(const char *domain)
{
	const char *end = domain + strlen(domain), *top, *zone;

	top = label_before(domain, end);
	if (top == domain)
		return domain;
	zone = label_before(domain, top - 1);
	if (zone > domain && end - top == 2 &&
	    is_registry(zone, (size_t)(top - 1 - zone)))
		zone = label_before(domain, zone - 1);
	return zone;
}

static size_t
count_zone(const struct fetch_list *list, const char *zone)
{
	const struct fetch *fetch;
	size_t count = 0;

	TAILQ_FOREACH (fetch, list, entry)
		if (strcmp(fetch->zone, zone) == 0)
			count++;
	return count;
}

/*
 * A packet filter that lets no HTTPS out looks like hosts that are down, and
 * has every domain taken for one without policy.
 */
static void
note_reach(struct sts_fetcher *fetcher, const struct fetch *fetch,
    const struct sts_fetched *fetched)
{
	if (fetched->reach == STS_REACH_HOST)
		fetcher->unreached = 0;
	if (fetched->reach != STS_REACH_NOBODY || fetched->is_local ||
	    (fetcher->unreached > 0 &&
		strcmp(fetcher->unreached_zone, fetch->zone) == 0))
		return;
	strlcpy(fetcher->unreached_zone, fetch->zone,
	    sizeof(fetcher->unreached_zone));
	if (++fetcher->unreached == STS_UNREACHED_MAX)
		log_warnx("MTA-STS: the last %d domains whose policy was to be "
			  "fetched have a web server that could not be "
			  "connected to: is HTTPS (TCP port 443) from this "
			  "machine to the internet blocked?  Domains whose "
			  "policy is not at hand are judged without it; the "
			  "last one: %s",
		    STS_UNREACHED_MAX, fetched->why);
}

/* Turns. */

static void
wake(struct sts_fetcher *fetcher)
{
	event_active(fetcher->turn, EV_TIMEOUT, 0);
}

static void
on_done(void *arg, const struct sts_fetched *fetched)
{
	struct fetch *fetch = arg;
	struct sts_fetcher *fetcher = fetch->fetcher;

	TAILQ_REMOVE(&fetcher->open, fetch, entry);
	fetcher->open_count--;
	note_reach(fetcher, fetch, fetched);
	wake(fetcher);
	fetch->done(fetch->arg, fetched);
	free(fetch);
}

/* One that never had its turn. */
static void __attribute__((format(printf, 3, 4)))
fail(struct fetch *fetch, bool is_local, const char *format, ...)
{
	struct sts_fetched fetched = {
	    .word = RESULT_STS_POLICY_FETCH_ERROR, .is_local = is_local};
	char why[STS_WHY_MAX - 140];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	snprintf(fetched.why, sizeof(fetched.why),
	    "the policy of %.100s is not fetched: %s", fetch->domain, why);
	fetch->done(fetch->arg, &fetched);
	free(fetch);
}

static void
start(struct fetch *fetch)
{
	struct sts_fetcher *fetcher = fetch->fetcher;

	TAILQ_REMOVE(&fetcher->waiting, fetch, entry);
	fetcher->waiting_count--;
	if (sts_transfer_start(
		fetcher->transfers, fetch->domain, on_done, fetch) == 0) {
		TAILQ_INSERT_TAIL(&fetcher->open, fetch, entry);
		fetcher->open_count++;
	} else if (errno == EINVAL) {
		fail(fetch, false, "it has no host whose name is that long");
	} else {
		fail(fetch, true, "%s",
		    errno == EAGAIN ? "too many DNS questions at once"
				    : strerror(errno));
	}
}

/* Who has waited too long. */
static void
expire(struct sts_fetcher *fetcher)
{
	int64_t now = clock_monotonic_ms();
	struct fetch *fetch;

	while ((fetch = TAILQ_FIRST(&fetcher->waiting)) != NULL &&
	       fetch->until <= now) {
		TAILQ_REMOVE(&fetcher->waiting, fetch, entry);
		fetcher->waiting_count--;
		fail(fetch, true,
		    "others were waited for longer than %u seconds "
		    "(mta_sts.timeout)",
		    fetcher->timeout);
	}
}

static struct fetch *
next(const struct sts_fetcher *fetcher)
{
	struct fetch *fetch, *best = NULL;
	size_t count, least = STS_FETCHES_ZONE_MAX;

	if (fetcher->open_count >= STS_FETCHES_MAX)
		return NULL;
	TAILQ_FOREACH (fetch, &fetcher->waiting, entry) {
		/* cppcheck-suppress uninitvar */
		count = count_zone(&fetcher->open, fetch->zone);
		if (count < least) {
			least = count;
			best = fetch;
		}
	}
	return best;
}

/*
 * All wait for as long, so the first is the first to have waited too long.  A
 * callback may ask for more: that is for the next turn.
 */
static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct sts_fetcher *fetcher = arg;
	struct fetch *fetch;
	struct timeval wait;
	int64_t ms;

	(void)fd;
	(void)what;
	expire(fetcher);
	while ((fetch = next(fetcher)) != NULL)
		start(fetch);
	if ((fetch = TAILQ_FIRST(&fetcher->waiting)) == NULL)
		return;
	ms = fetch->until - clock_monotonic_ms();
	wait.tv_sec = ms > 0 ? ms / 1000 : 0;
	wait.tv_usec = ms > 0 ? ms % 1000 * 1000 : 0;
	evtimer_add(fetcher->turn, &wait);
}

int
sts_fetch(struct sts_fetcher *fetcher, const char *domain,
    void (*done)(void *, const struct sts_fetched *), void *arg)
{
	struct fetch *fetch;

	if (strlen(domain) >= sizeof(fetch->domain)) {
		errno = EINVAL;
		return -1;
	}
	if (fetcher->waiting_count >= STS_QUEUE_MAX ||
	    count_zone(&fetcher->waiting, zone_of(domain)) >=
		STS_QUEUE_ZONE_MAX) {
		errno = EAGAIN;
		return -1;
	}
	if ((fetch = calloc(1, sizeof(*fetch))) == NULL)
		return -1;
	fetch->fetcher = fetcher;
	strlcpy(fetch->domain, domain, sizeof(fetch->domain));
	fetch->zone = zone_of(fetch->domain);
	fetch->until = clock_monotonic_ms() + (int64_t)fetcher->timeout * 1000;
	fetch->done = done;
	fetch->arg = arg;
	TAILQ_INSERT_TAIL(&fetcher->waiting, fetch, entry);
	fetcher->waiting_count++;
	wake(fetcher);
	return 0;
}

struct sts_fetcher *
sts_fetcher_new(struct event_base *base, struct dns *dns,
    const struct config *config, char error[STS_ERROR_MAX])
{
	struct sts_fetcher *fetcher;

	snprintf(error, STS_ERROR_MAX, "out of memory");
	if ((fetcher = calloc(1, sizeof(*fetcher))) == NULL)
		return NULL;
	TAILQ_INIT(&fetcher->waiting);
	TAILQ_INIT(&fetcher->open);
	fetcher->timeout = config->mta_sts.timeout;
	if ((fetcher->turn = evtimer_new(base, on_turn, fetcher)) == NULL)
		goto fail;
	fetcher->transfers = sts_transfers_new(base, dns, config, error);
	if (fetcher->transfers == NULL)
		goto fail;
	return fetcher;
fail:
	sts_fetcher_free(fetcher);
	return NULL;
}

void
sts_fetcher_free(struct sts_fetcher *fetcher)
{
	if (fetcher == NULL)
		return;
	sts_transfers_free(fetcher->transfers);
	if (fetcher->turn != NULL)
		event_free(fetcher->turn);
	free(fetcher);
}
