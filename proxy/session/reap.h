/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_REAP_H
#define POSTERN_REAP_H

/*
 * What has ended but may still be on the call stack: freed when the turn of
 * the event loop is over, never earlier.
 */

struct event_base;
struct reaper;

/* NULL: ENOMEM. */
struct reaper *reaper_new(struct event_base *);
/* Frees what is still due, then itself. */
void reaper_free(struct reaper *);

/*
 * reap_later calls fn(what) once after the running handlers have returned.
 * Cannot fail: the links are set aside when the thing is made.
 */
struct reap_link {
	struct reap_link *next; /* private, as are the others */
	void (*fn)(void *);
	void *what;
};
void
reap_later(struct reaper *, struct reap_link *, void (*fn)(void *), void *what);

#endif
