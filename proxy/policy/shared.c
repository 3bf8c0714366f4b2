/* SPDX-License-Identifier: ISC */
/*
 * Questions, and the way to where they are answered: the host's addresses, a
 * link to the first that takes one, and what to do without.
 *
 *	idle -> resolving -> connecting -> up
 *
 * A link that ends while nobody waits leads back to idle, since servers close
 * connections that are not used.  Whatever else fails leads to a rest, and
 * from there to resolving again.
 *
 * Questions have one deadline, and are answered in order: when the oldest one
 * has passed it, the link is no good.
 */

#include "proxy/policy/shared.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/policy/redis_host.h"
#include "proxy/policy/redis_link.h"
#include "proxy/policy/redis_url.h"
#include "proxy/policy/shared_call.h"
#include "proxy/policy/shared_value.h"

enum phase {
	IDLE,
	RESOLVING,
	CONNECTING,
	UP,
	RESTING
};

struct shared {
	struct event_base *base; /* borrowed */
	struct dns *dns; /* borrowed */
	struct redis_url url;
	char where[REDIS_HOST_MAX + 16]; /* for messages */
	enum phase phase;
	struct redis_lookup *lookup; /* while resolving; owned */
	struct redis_host host;
	size_t first, tried; /* of its addresses */
	struct redis_link *link; /* owned */
	struct event *timer; /* owned; of the phase */
	struct event *soon; /* owned; for the refused */
	struct shared_calls waiting; /* for the link */
	struct shared_calls sent;
	struct shared_calls refused; /* to be answered in the next turn */
	size_t count; /* of all three */
	size_t offer_count; /* of those that wait */
	unsigned int failures; /* since something was answered */
	bool is_away; /* and that was told */
	bool has_complained; /* of an answer of this link */
};

/* Calls. */

static void
set_timer(struct shared *shared, int64_t at)
{
	int64_t ms = at - clock_monotonic_ms();
	struct timeval interval = {.tv_sec = 0};

	if (ms > 0) {
		interval.tv_sec = (time_t)(ms / 1000);
		interval.tv_usec = (suseconds_t)(ms % 1000 * 1000);
	}
	evtimer_add(shared->timer, &interval);
}

/* While up: until the oldest call is too old. */
static void
watch_oldest(struct shared *shared)
{
	const struct shared_call *oldest = TAILQ_FIRST(&shared->sent);

	if (oldest == NULL)
		evtimer_del(shared->timer);
	else
		set_timer(shared, oldest->asked + SHARED_TIMEOUT_MS);
}

/* The call is on no list any more. */
static void
finish(struct shared *shared, struct shared_call *call,
    const struct state_policy *policy)
{
	shared->count--;
	if (call->done != NULL)
		call->done(call->arg, policy);
	shared_call_free(call);
}

static void
on_soon(evutil_socket_t fd, short what, void *arg)
{
	struct shared *shared = arg;
	struct shared_calls now = TAILQ_HEAD_INITIALIZER(now);
	struct shared_call *call;

	(void)fd;
	(void)what;
	/* Those whom done asks for have the turn after this. */
	TAILQ_CONCAT(&now, &shared->refused, entry);
	while ((call = TAILQ_FIRST(&now)) != NULL) {
		TAILQ_REMOVE(&now, call, entry);
		finish(shared, call, NULL);
	}
}

static void
refuse_all(struct shared *shared)
{
	TAILQ_CONCAT(&shared->refused, &shared->sent, entry);
	TAILQ_CONCAT(&shared->refused, &shared->waiting, entry);
	shared->offer_count = 0;
	event_active(shared->soon, EV_TIMEOUT, 0);
}

/* The way there. */

static void
drop_link(struct shared *shared)
{
	redis_link_free(shared->link);
	shared->link = NULL;
}

/* Twice as long each time. */
static int64_t
rest_ms(unsigned int failures)
{
	int64_t ms = SHARED_RETRY_MS;

	while (--failures > 0 && ms < SHARED_RETRY_MAX_MS)
		ms *= 2;
	return ms < SHARED_RETRY_MAX_MS ? ms : SHARED_RETRY_MAX_MS;
}

static void
fail(struct shared *shared, const char *why)
{
	if (!shared->is_away)
		log_warnx("policies are not shared now: the Redis at %s: %s; "
			  "it is tried again and again (see that it runs and "
			  "can be reached, and that `state` is right)",
		    shared->where, why);
	else
		log_debug("the Redis at %s: %s", shared->where, why);
	shared->is_away = true;
	drop_link(shared);
	redis_host_forget(shared->lookup);
	shared->lookup = NULL;
	shared->phase = RESTING;
	set_timer(shared, clock_monotonic_ms() + rest_ms(++shared->failures));
	refuse_all(shared);
}

/* 0, or -1: the call is on no list. */
static int
send_call(struct shared *shared, struct shared_call *call)
{
	if (shared_call_send(call, shared->link) == -1)
		return -1;
	TAILQ_INSERT_TAIL(&shared->sent, call, entry);
	watch_oldest(shared);
	return 0;
}

static void
on_up(void *arg)
{
	struct shared *shared = arg;
	struct shared_call *call;

	if (shared->is_away)
		log_info("policies are shared again: the Redis at %s is back",
		    shared->where);
	shared->is_away = false;
	shared->has_complained = false;
	shared->phase = UP;
	watch_oldest(shared);
	shared->offer_count = 0;
	while ((call = TAILQ_FIRST(&shared->waiting)) != NULL) {
		TAILQ_REMOVE(&shared->waiting, call, entry);
		if (send_call(shared, call) == 0)
			continue;
		TAILQ_INSERT_TAIL(&shared->refused, call, entry);
		event_active(shared->soon, EV_TIMEOUT, 0);
	}
}

static void
complain(struct shared *shared, const struct redis_answer *answer)
{
	char text[SHARED_ERROR_MAX];
	size_t len = answer->len < 60 ? answer->len : 60;

	if (shared->has_complained)
		return;
	shared->has_complained = true;
	log_warnx("the Redis at %s refuses what it is asked: %s (its user "
		  "needs GETRANGE and SET for postern:*)",
	    shared->where, log_escape(text, sizeof(text), answer->text, len));
}

static void
on_answer(void *arg, const struct redis_answer *answer)
{
	struct shared *shared = arg;
	struct shared_call *call = TAILQ_FIRST(&shared->sent);
	struct state_policy policy;
	bool is_found = false;

	TAILQ_REMOVE(&shared->sent, call, entry);
	watch_oldest(shared);
	if (answer->kind == REDIS_REFUSED)
		complain(shared, answer);
	else
		shared->failures = 0;
	if (call->done != NULL && answer->kind == REDIS_TEXT &&
	    answer->len > 0) {
		is_found = shared_value_read(&policy, answer->text, answer->len,
			       call->domain, clock_wall()) == 0;
		if (!is_found)
			log_debug("the Redis at %s has no valid policy of %s",
			    shared->where, call->domain);
	}
	finish(shared, call, is_found ? &policy : NULL);
}

static void connect_next(struct shared *, const char *why);

static void
on_down(void *arg, const char *why, bool may_try_next)
{
	struct shared *shared = arg;
	char copy[REDIS_LINK_WHY_MAX];

	strlcpy(copy, why, sizeof(copy));
	if (shared->phase == UP && TAILQ_EMPTY(&shared->sent)) {
		log_debug("the Redis at %s: %s", shared->where, copy);
		drop_link(shared);
		shared->phase = IDLE;
		evtimer_del(shared->timer);
	} else if (may_try_next) {
		drop_link(shared);
		connect_next(shared, copy);
	} else
		fail(shared, copy);
}

static const struct redis_link_hooks hooks = {
    .up = on_up,
    .answer = on_answer,
    .down = on_down,
};

/* why: what the last one said. */
static void
connect_next(struct shared *shared, const char *why)
{
	char copy[REDIS_LINK_WHY_MAX];

	shared->phase = CONNECTING;
	strlcpy(copy, why, sizeof(copy));
	while (shared->tried < shared->host.count) {
		size_t place = shared->first + shared->tried++;

		shared->link = redis_link_new(shared->base,
		    &shared->host.addresses[place % shared->host.count],
		    &shared->url, &hooks, shared);
		if (shared->link != NULL)
			return;
		strlcpy(copy, strerror(errno), sizeof(copy));
	}
	fail(shared, copy);
}

static void
on_found(void *arg, const struct redis_host *host)
{
	struct shared *shared = arg;

	shared->lookup = NULL;
	shared->host = *host;
	connect_next(shared, host->why);
}

static void
start(struct shared *shared)
{
	const struct redis_url *url = &shared->url;

	shared->phase = RESOLVING;
	shared->tried = 0;
	set_timer(shared, clock_monotonic_ms() + SHARED_TIMEOUT_MS);
	if (redis_host_know(&shared->host, url->host, url->port)) {
		connect_next(shared, "");
		return;
	}
	shared->lookup = redis_host_find(
	    shared->dns, url->host, url->port, on_found, shared);
	if (shared->lookup == NULL)
		fail(shared, "its name cannot be looked up now");
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct shared *shared = arg;

	(void)fd;
	(void)what;
	switch (shared->phase) {
	case IDLE:
		break;
	case RESOLVING:
		fail(shared, "its name is not looked up in time");
		break;
	case CONNECTING:
		shared->first++; /* that one took all the time */
		fail(shared, "it does not take a connection in time");
		break;
	case UP:
		fail(shared, "it does not answer in time");
		break;
	case RESTING:
		start(shared);
		break;
	}
}

/* For the rest of the program. */

static int
set_where(struct shared *shared, const char *url, char error[SHARED_ERROR_MAX])
{
	char masked[REDIS_URL_MAX];
	const char *fault;

	if ((fault = redis_url_parse(url, &shared->url)) != NULL) {
		snprintf(error, SHARED_ERROR_MAX, "state: '%.100s' %s",
		    redis_url_mask(url, masked), fault);
		return -1;
	}
	snprintf(shared->where, sizeof(shared->where),
	    strchr(shared->url.host, ':') != NULL ? "[%s]:%u" : "%s:%u",
	    shared->url.host, shared->url.port);
	return 0;
}

struct shared *
shared_new(struct event_base *base, struct dns *dns, const char *url,
    char error[SHARED_ERROR_MAX])
{
	struct shared *shared;

	snprintf(error, SHARED_ERROR_MAX, "out of memory");
	if ((shared = calloc(1, sizeof(*shared))) == NULL)
		return NULL;
	shared->base = base;
	shared->dns = dns;
	TAILQ_INIT(&shared->waiting);
	TAILQ_INIT(&shared->sent);
	TAILQ_INIT(&shared->refused);
	shared->timer = evtimer_new(base, on_timer, shared);
	shared->soon = evtimer_new(base, on_soon, shared);
	if (shared->timer == NULL || shared->soon == NULL ||
	    set_where(shared, url, error) == -1) {
		shared_free(shared);
		return NULL;
	}
	return shared;
}

static void
forget(struct shared_calls *calls)
{
	struct shared_call *call;

	while ((call = TAILQ_FIRST(calls)) != NULL) {
		TAILQ_REMOVE(calls, call, entry);
		shared_call_free(call);
	}
}

void
shared_free(struct shared *shared)
{
	if (shared == NULL)
		return;
	drop_link(shared);
	redis_host_forget(shared->lookup);
	forget(&shared->waiting);
	forget(&shared->sent);
	forget(&shared->refused);
	if (shared->timer != NULL)
		event_free(shared->timer);
	if (shared->soon != NULL)
		event_free(shared->soon);
	freezero(shared, sizeof(*shared));
}

int
shared_get(struct shared *shared, const char *domain,
    void (*done)(void *, const struct state_policy *), void *arg)
{
	struct shared_call *call;

	if (shared->count >= SHARED_WAITERS_MAX) {
		errno = EAGAIN;
		return -1;
	}
	if ((call = shared_call_question(domain)) == NULL)
		return -1;
	shared->count++;
	call->done = done;
	call->arg = arg;
	if (shared->phase == UP && send_call(shared, call) == 0)
		return 0;
	if (shared->phase == UP || shared->is_away) {
		TAILQ_INSERT_TAIL(&shared->refused, call, entry);
		event_active(shared->soon, EV_TIMEOUT, 0);
		return 0;
	}
	TAILQ_INSERT_TAIL(&shared->waiting, call, entry);
	if (shared->phase == IDLE)
		start(shared);
	return 0;
}

void
shared_put(struct shared *shared, const struct state_policy *policy)
{
	bool must_wait = shared->phase != UP;
	struct shared_call *call;

	if (shared->is_away || shared->count >= SHARED_WAITERS_MAX ||
	    (must_wait && shared->offer_count >= SHARED_OFFERS_MAX) ||
	    (call = shared_call_offer(policy)) == NULL)
		return;
	shared->count++;
	if (!must_wait) {
		if (send_call(shared, call) == -1)
			finish(shared, call, NULL);
		return;
	}
	shared->offer_count++;
	TAILQ_INSERT_TAIL(&shared->waiting, call, entry);
	if (shared->phase == IDLE)
		start(shared);
}
