/* SPDX-License-Identifier: ISC */
/*
 * The supervision of one child.  Whatever a child says that it may not say
 * costs that child its life and nobody else anything.  Its end is only ever
 * learnt from waitpid(2): a closed channel or a missed ping leads to SIGKILL,
 * and the rest follows from there, so that there is one way down and a child
 * is never restarted beside its old self.
 */

#include "proxy/process.h"

#include <sys/wait.h>

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/clock.h"
#include "proxy/base/ipc.h"
#include "proxy/base/log.h"
#include "proxy/process_message.h"
#include "proxy/spawn.h"

struct process {
	char name[PROCESS_NAME_MAX];
	struct event_base *base; /* borrowed */
	const struct spawn *spawn; /* borrowed */
	const struct process_hooks *hooks; /* borrowed */
	void *arg; /* borrowed */
	enum process_state state;
	bool is_wanted; /* to be restarted when it ends */
	pid_t pid; /* 0: down */
	struct ipc_channel *control; /* owned; NULL: none */
	struct event *timer; /* owned: restart, or the last wait */
	int64_t started_ms;
	int64_t backoff_ms;
	uint32_t ping_id;
	bool is_ping_open;
	uint32_t sessions;
	char why[128]; /* why it was killed; "": it was not */
};

static void kill_child(struct process *, const char *why);

static int
on_ready(void *arg, struct ipc_channel *control, struct ipc_reader *reader)
{
	struct process *process = arg;

	(void)control;
	if (ipc_end(reader) == -1)
		return -1;
	if (process->state != PROCESS_IS_STARTING)
		return 0; /* it was told to drain meanwhile */
	process->state = PROCESS_IS_SERVING;
	process->hooks->ready(process->arg, process);
	return 0;
}

static int
on_pong(void *arg, struct ipc_channel *control, struct ipc_reader *reader)
{
	struct process *process = arg;

	(void)control;
	if (ipc_end(reader) == -1 || !process->is_ping_open ||
	    reader->id != process->ping_id)
		return -1;
	process->is_ping_open = false;
	return 0;
}

static int
on_status(void *arg, struct ipc_channel *control, struct ipc_reader *reader)
{
	struct process *process = arg;
	uint32_t sessions = ipc_get_u32(reader);

	(void)control;
	if (ipc_end(reader) == -1)
		return -1;
	process->sessions = sessions;
	return 0;
}

static int
on_drained(void *arg, struct ipc_channel *control, struct ipc_reader *reader)
{
	struct process *process = arg;

	(void)control;
	if (ipc_end(reader) == -1 || process->state != PROCESS_IS_DRAINING)
		return -1;
	log_debug("%s: drained", process->name);
	return 0;
}

static int
on_want_gate(void *arg, struct ipc_channel *control, struct ipc_reader *reader)
{
	struct process *process = arg;

	(void)control;
	if (ipc_end(reader) == -1 || process->hooks->wants_gate == NULL)
		return -1;
	process->hooks->wants_gate(process->arg, process);
	return 0;
}

static const struct ipc_row rows[] = {
    {PROCESS_READY, true, "READY", on_ready},
    {PROCESS_PONG, false, "PONG", on_pong},
    {PROCESS_DRAINED, true, "DRAINED", on_drained},
    {PROCESS_STATUS, false, "STATUS", on_status},
    {PROCESS_WANT_GATE, false, "WANT_GATE", on_want_gate},
    {0, false, NULL, NULL},
};

/*
 * Most often the child is just ending, and its status says why.  The signal
 * changes nothing about that status, but ends a child that lives on without
 * its channel.
 */
static void
on_closed(void *arg, struct ipc_channel *control, const char *why)
{
	struct process *process = arg;

	(void)control;
	if (process->state == PROCESS_IS_DRAINING) {
		ipc_channel_free(process->control);
		process->control = NULL;
	} else
		kill_child(process, why);
}

/* The timer runs while the child is down, to restart, or draining, to kill. */
static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct process *process = arg;

	(void)fd;
	(void)what;
	if (process->state == PROCESS_IS_DOWN)
		process_start(process);
	else
		kill_child(process, "did not end in time");
}

static void
set_timer(struct process *process, int64_t ms)
{
	struct timeval wait = {
	    .tv_sec = ms / 1000,
	    .tv_usec = ms % 1000 * 1000,
	};

	if (evtimer_add(process->timer, &wait) == -1)
		fatalx("%s: no timer", process->name);
}

struct process *
process_new(struct event_base *base, const char *name, const struct spawn *spec,
    const struct process_hooks *hooks, void *arg)
{
	struct process *process;

	if ((process = calloc(1, sizeof(*process))) == NULL)
		return NULL;
	if ((process->timer = evtimer_new(base, on_timer, process)) == NULL) {
		free(process);
		errno = ENOMEM;
		return NULL;
	}
	strlcpy(process->name, name, sizeof(process->name));
	process->base = base;
	process->spawn = spec;
	process->hooks = hooks;
	process->arg = arg;
	return process;
}

void
process_free(struct process *process)
{
	if (process == NULL)
		return;
	if (process->state != PROCESS_IS_DOWN)
		fatalx("%s: freed while it runs", process->name);
	event_free(process->timer);
	free(process);
}

int64_t
process_backoff(int64_t previous_ms, int64_t lived_ms)
{
	if (previous_ms == 0 || lived_ms >= PROCESS_LIVED_LONG_MS)
		return PROCESS_BACKOFF_MIN_MS;
	if (previous_ms >= PROCESS_BACKOFF_MAX_MS / 2)
		return PROCESS_BACKOFF_MAX_MS;
	return previous_ms * 2;
}

static void
restart_later(struct process *process, int64_t lived_ms)
{
	process->backoff_ms = process_backoff(process->backoff_ms, lived_ms);
	set_timer(process, process->backoff_ms);
}

/* Ends the child; that it has ended is for process_reap to find. */
static void
kill_child(struct process *process, const char *why)
{
	if (process->pid == 0 || process->state == PROCESS_IS_KILLED)
		return;
	process->state = PROCESS_IS_KILLED;
	strlcpy(process->why, why, sizeof(process->why));
	evtimer_del(process->timer);
	process->sessions = 0;
	/* First of all: at the end of its channel it would end by itself. */
	if (kill(process->pid, SIGKILL) == -1)
		log_warn("%s[%d]: kill", process->name, (int)process->pid);
	ipc_channel_free(process->control);
	process->control = NULL;
}

static int
run(struct process *process)
{
	int fd;

	if ((process->pid = spawn(process->spawn, &fd)) == -1) {
		process->pid = 0;
		return -1;
	}
	process->state = PROCESS_IS_STARTING;
	process->started_ms = clock_monotonic_ms();
	process->is_ping_open = false;
	process->why[0] = '\0';
	process->control = ipc_channel_new(
	    process->base, fd, process->name, rows, on_closed, process);
	if (process->control == NULL)
		close(fd);
	return 0;
}

void
process_start(struct process *process)
{
	process->is_wanted = true;
	evtimer_del(process->timer);
	if (run(process) == -1) {
		log_warn("%s: cannot start", process->name);
		restart_later(process, 0);
		return;
	}
	log_info("%s[%d]: started", process->name, (int)process->pid);
	if (process->control == NULL ||
	    process->hooks->started(process->arg, process) == -1)
		kill_child(process, strerror(errno));
}

void
process_send(struct process *process, const struct ipc_message *message)
{
	if (process->control != NULL &&
	    ipc_send(process->control, message) == -1)
		kill_child(process, strerror(errno));
}

void
process_drain(struct process *process, uint32_t seconds)
{
	struct ipc_message message;

	process->is_wanted = false;
	if (process->state == PROCESS_IS_DOWN) {
		evtimer_del(process->timer);
		return;
	}
	if (process->state == PROCESS_IS_KILLED)
		return;
	process->state = PROCESS_IS_DRAINING;
	set_timer(process, (int64_t)seconds * 1000);
	ipc_compose(&message, PROCESS_DRAIN, 0);
	process_send(process, &message);
}

void
process_kill(struct process *process)
{
	process->is_wanted = false;
	evtimer_del(process->timer);
	kill_child(process, "not wanted any more");
}

void
process_restart(struct process *process, const char *why)
{
	kill_child(process, why);
}

bool
process_ping(struct process *process)
{
	struct ipc_message message;

	if (process->control == NULL)
		return process->state != PROCESS_IS_KILLED;
	if (process->is_ping_open) {
		kill_child(process, "stuck: it did not answer a ping");
		return false;
	}
	process->is_ping_open = true;
	ipc_compose(&message, PROCESS_PING, ++process->ping_id);
	process_send(process, &message);
	return true;
}

static void
log_end(const struct process *process, pid_t pid, int status)
{
	const char *because = process->why[0] == '\0' ? "" : "; ";

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && *because == '\0')
		log_info("%s[%d]: ended", process->name, (int)pid);
	else if (WIFEXITED(status))
		log_warnx("%s[%d]: ended with status %d%s%s", process->name,
		    (int)pid, WEXITSTATUS(status), because, process->why);
	else if (WTERMSIG(status) == SIGSYS)
		log_warnx("%s[%d]: killed by its sandbox: it made a system "
			  "call that is not allowed to it",
		    process->name, (int)pid);
	else
		log_warnx("%s[%d]: killed by signal %d (%s)%s%s", process->name,
		    (int)pid, WTERMSIG(status), strsignal(WTERMSIG(status)),
		    because, process->why);
}

bool
process_reap(struct process *process, pid_t pid, int status)
{
	if (process->pid == 0 || process->pid != pid)
		return false;
	log_end(process, pid, status);
	process->state = PROCESS_IS_DOWN;
	process->pid = 0;
	process->sessions = 0;
	evtimer_del(process->timer);
	ipc_channel_free(process->control);
	process->control = NULL;
	if (process->is_wanted) {
		restart_later(
		    process, clock_monotonic_ms() - process->started_ms);
		log_info("%s: restart in %d s", process->name,
		    (int)(process->backoff_ms / 1000));
	}
	process->hooks->ended(process->arg, process, process->is_wanted);
	return true;
}

enum process_state
process_state(const struct process *process)
{
	return process->state;
}

bool
process_is_running(const struct process *process)
{
	return process->control != NULL;
}

const char *
process_name(const struct process *process)
{
	return process->name;
}

uint32_t
process_sessions(const struct process *process)
{
	return process->sessions;
}
