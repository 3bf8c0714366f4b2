/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_CHILD_H
#define POSTERN_CHILD_H

/*
 * The side that every child of `postern run` has in common: the control
 * channel to the parent (proxy/process_message.h), the watchdog's answers, and
 * the end of the process when the parent has gone.
 */

#include <stdbool.h>
#include <stdint.h>

struct child;
struct event_base;

/*
 * What the parent may ask.  A handler that returns -1 says that the message
 * was unusable; the process then ends, since its parent is not what it should
 * be.  A NULL handler is a message that this kind of child never gets.
 */
struct child_handlers {
	/* fd is borrowed: the configuration, for config_from_fd. */
	int (*config)(void *arg, uint32_t generation, int fd);
	/* fd is the handler's own from now on: a socket to accept on. */
	int (*listener)(void *arg, int fd);
	/* fd likewise: a relay's channel to the policy process. */
	int (*policy)(void *arg, int fd);
	/* fd likewise: a relay's channel to the gate. */
	int (*gate)(void *arg, int fd);
	/* fd likewise: the policy process's, or the gate's, to a relay. */
	int (*relay)(void *arg, int fd);
	/* is_now: end at once; else finish what is in flight first. */
	void (*drain)(void *arg, bool is_now);
};

/*
 * child_start names the process in the log, takes up the control channel and
 * sets what every child wants: no SIGPIPE, no core dump, no tracing by others
 * of its user.  handlers and arg are borrowed for the process's life.  Ends
 * the process where it was not started by `postern run`.
 */
struct child *child_start(struct event_base *, const char *program,
    const struct child_handlers *, void *arg);

/* child_ready tells the parent, once, that it serves. */
void child_ready(struct child *);

/*
 * child_status tells the parent how many sessions are open.  To be called at
 * each change; no more than one message a second comes of it.
 */
void child_status(struct child *, uint32_t sessions);

/* child_want_gate asks the parent, a relay's, for a new channel to the gate. */
void child_want_gate(struct child *);

/* child_drained tells the parent that nothing is left, and exits 0. */
void child_drained(struct child *) __attribute__((noreturn));

#endif
