/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_PROCESS_H
#define POSTERN_PROCESS_H

/*
 * One supervised child: started, watched, restarted with back-off, drained.
 * It knows the life of a process (process_message.h), not what it is for: the
 * owner's hooks give it its settings, sockets and channels.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct event_base;
struct ipc_message;
struct process;
struct spawn;

#define PROCESS_NAME_MAX 32

/* Restarts wait this long, doubled each time, until one lived long enough. */
#define PROCESS_BACKOFF_MIN_MS 1000
#define PROCESS_BACKOFF_MAX_MS 30000
#define PROCESS_LIVED_LONG_MS  60000

enum process_state {
	PROCESS_IS_DOWN, /* never started, waiting to be, or ended */
	PROCESS_IS_STARTING, /* running, not READY yet */
	PROCESS_IS_SERVING,
	PROCESS_IS_DRAINING,
	PROCESS_IS_KILLED, /* but not reaped yet */
};

struct process_hooks {
	/*
	 * It runs: send CONFIG and what else it needs.  -1, with errno set,
	 * where that cannot be had; it is then killed and restarted later.
	 */
	int (*started)(void *arg, struct process *);
	void (*ready)(void *arg, struct process *);
	/*
	 * It has ended and was reaped.  will_restart: by itself, after the
	 * back-off.  The process may be freed here.
	 */
	void (*ended)(void *arg, struct process *, bool will_restart);
	/* A relay wants a channel to the gate; NULL: no child of this kind. */
	void (*wants_gate)(void *arg, struct process *);
};

/*
 * process_new makes a process that is down.  spawn, hooks and arg are
 * borrowed.  NULL with errno set where there is no memory.
 */
struct process *process_new(struct event_base *, const char *name,
    const struct spawn *, const struct process_hooks *, void *arg);
/* process_free forgets a process that is down; NULL is fine. */
void process_free(struct process *);

/*
 * process_start runs it, and from now on restarts it whenever it ends, until
 * process_drain or process_kill.
 */
void process_start(struct process *);

/*
 * process_send sends to it.  Where the message cannot be sent the child is
 * of no use any more: it is killed, and restarted as after any other end.
 * Nothing is sent to a process that is down or killed.
 */
void process_send(struct process *, const struct ipc_message *);

/*
 * process_drain asks it to finish and end within so many seconds, after which
 * it is killed.  A second call says at once, and sets the time anew.  It is
 * not restarted.
 */
void process_drain(struct process *, uint32_t seconds);
/* process_kill ends it without asking; it is not restarted. */
void process_kill(struct process *);
/* process_restart likewise, but it is: it has become unusable, why says how. */
void process_restart(struct process *, const char *why);

/*
 * process_ping looks whether the last ping was answered and sends the next.
 * Where it was not, the child is stuck: it is killed, to be restarted, and
 * false is returned.
 */
bool process_ping(struct process *);

/*
 * process_reap is told that a child ended, with the status of waitpid(2), and
 * returns whether it was this one.
 */
bool process_reap(struct process *, pid_t, int status);

enum process_state process_state(const struct process *);
/* Whether it has a control channel: starting, serving or draining. */
bool process_is_running(const struct process *);
const char *process_name(const struct process *);
/* Open sessions as it last said; 0 where it does not run. */
uint32_t process_sessions(const struct process *);

/*
 * process_backoff says how long to wait before the next restart, given the
 * wait before the last one (0: none yet) and how long the process lived.
 */
int64_t process_backoff(int64_t previous_ms, int64_t lived_ms);

#endif
