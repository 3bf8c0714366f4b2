/* SPDX-License-Identifier: ISC */
/*
 * Knows how fast a connection's bytes come.
 */

#include "proxy/tls/gather.h"

#include <sys/socket.h>

#include <string.h>

#include <event2/event.h>

#include "proxy/base/clock.h"

static void
set_low_water(const struct gather *gather, int bytes)
{
	/* Where it fails, reads are as small as they were. */
	(void)setsockopt(
	    gather->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
}

static void
wait_on(struct gather *gather)
{
	static const struct timeval wait = {.tv_usec = GATHER_WAIT_MS * 1000L};

	gather->has_waited = false;
	/* Without its timer the end of a message would never be read. */
	if (evtimer_add(&gather->timer, &wait) == -1)
		gather_stop(gather);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct gather *gather = arg;

	(void)fd;
	(void)what;
	/* While the reader pauses, gather_resume waits anew. */
	if (!event_pending(gather->readable, EV_READ, NULL))
		return;
	gather->has_waited = true;
	event_active(gather->readable, EV_READ, 0);
}

void
gather_init(struct gather *gather, struct event_base *base, int fd,
    struct event *readable)
{
	memset(gather, 0, sizeof(*gather));
	gather->fd = fd;
	gather->readable = readable;
	evtimer_assign(&gather->timer, base, on_timer, gather);
}

/* Does as much come as to be worth it? */
static bool
comes_fast(struct gather *gather, size_t n)
{
	int64_t now = clock_monotonic_ms();

	if (now - gather->span_start > GATHER_SPAN_MS) {
		gather->span_start = now;
		gather->span_bytes = 0;
	}
	gather->span_bytes += n;
	return gather->span_bytes >= GATHER_AFTER;
}

void
gather_took(struct gather *gather, size_t n)
{
	if (gather->is_on && gather->has_waited && n < GATHER_LEAST) {
		gather_stop(gather);
		return;
	}
	if (!gather->is_on) {
		if (!comes_fast(gather, n))
			return;
		gather->is_on = true;
		set_low_water(gather, GATHER_PIECE);
	}
	wait_on(gather);
}

bool
gather_is_on(const struct gather *gather)
{
	return gather->is_on;
}

void
gather_resume(struct gather *gather)
{
	if (gather->is_on)
		wait_on(gather);
}

void
gather_stop(struct gather *gather)
{
	event_del(&gather->timer);
	if (!gather->is_on)
		return;
	gather->is_on = false;
	gather->span_bytes = 0;
	set_low_water(gather, 1);
}
