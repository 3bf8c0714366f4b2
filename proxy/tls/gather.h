/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_GATHER_H
#define POSTERN_GATHER_H

/*
 * Fewer and larger reads while much arrives: the kernel is asked to hold its
 * news back until a piece has come together (SO_RCVLOWAT), and a timer beside
 * it sees to it that no byte waits longer than GATHER_WAIT_MS.  Dialogue never
 * waits: only what comes fast, and goes on coming, is gathered.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event_struct.h>

#define GATHER_PIECE   65536 /* bytes to wait for */
#define GATHER_WAIT_MS 5 /* at most */
#define GATHER_AFTER   262144 /* bytes within GATHER_SPAN_MS begin it, */
#define GATHER_SPAN_MS 1000
#define GATHER_LEAST   16384 /* and fewer than these in a wait end it */

struct gather {
	int fd; /* borrowed */
	struct event *readable; /* borrowed: the owner's */
	struct event timer;
	int64_t span_start; /* monotonic ms */
	size_t span_bytes;
	bool is_on;
	bool has_waited; /* the timer woke the reader */
};

/* readable is the event that reads fd; both outlive the gather. */
void gather_init(
    struct gather *, struct event_base *, int fd, struct event *readable);
/* To be called with the bytes that one event has read, and before it waits. */
void gather_took(struct gather *, size_t);
bool gather_is_on(const struct gather *);
/* To be called when reading goes on after a pause. */
void gather_resume(struct gather *);
void gather_stop(struct gather *);

#endif
