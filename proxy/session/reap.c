/* SPDX-License-Identifier: ISC */
/*
 * Knows one event, made active by the first thing of a turn.
 */

#include "proxy/session/reap.h"

#include <stdlib.h>

#include <event2/event.h>

struct reaper {
	struct event *event;
	struct reap_link *first;
};

static void
reap(evutil_socket_t fd, short what, void *arg)
{
	struct reaper *reaper = arg;
	struct reap_link *link, *next;

	(void)fd;
	(void)what;
	link = reaper->first;
	reaper->first = NULL;
	for (; link != NULL; link = next) {
		next = link->next; /* the link may lie in what is freed */
		link->fn(link->what);
	}
}

struct reaper *
reaper_new(struct event_base *base)
{
	struct reaper *reaper;

	if ((reaper = calloc(1, sizeof(*reaper))) == NULL)
		return NULL;
	if ((reaper->event = event_new(base, -1, 0, reap, reaper)) == NULL) {
		free(reaper);
		return NULL;
	}
	return reaper;
}

void
reaper_free(struct reaper *reaper)
{
	if (reaper == NULL)
		return;
	while (reaper->first != NULL)
		reap(-1, 0, reaper);
	event_free(reaper->event);
	free(reaper);
}

void
reap_later(struct reaper *reaper, struct reap_link *link, void (*fn)(void *),
    void *what)
{
	link->fn = fn;
	link->what = what;
	link->next = reaper->first;
	reaper->first = link;
	event_active(reaper->event, 0, 0);
}
