/* SPDX-License-Identifier: ISC */
/*
 * A child's end of the control channel.  It knows the order in which the
 * parent speaks and who owns each descriptor; what the messages mean for mail
 * is the handlers' business.  A failure here is always between postern's own
 * programs, and ends this one: the parent starts another.
 */

#include "proxy/base/child.h"

#include <sys/prctl.h>
#include <sys/stat.h>

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>

#include "proxy/base/ipc.h"
#include "proxy/base/log.h"
#include "proxy/process_message.h"

struct child {
	struct ipc_channel *control; /* owned */
	const struct child_handlers *handlers; /* borrowed */
	void *arg; /* borrowed */
	bool has_config;
	bool is_draining;
	struct event *status_pause; /* owned */
	uint32_t sessions;
	uint32_t sessions_told;
};

static int
on_config(void *arg, struct ipc_channel *control, struct ipc_reader *reader)
{
	struct child *child = arg;
	uint32_t generation = ipc_get_u32(reader);
	int fd = ipc_get_fd(reader);
	int ret = -1;

	(void)control;
	if (ipc_end(reader) == 0)
		ret = child->handlers->config(child->arg, generation, fd);
	if (fd != -1)
		close(fd);
	child->has_config = true;
	return ret;
}

/* The messages that do nothing but hand over a descriptor. */
static int
take_fd(
    struct child *child, struct ipc_reader *reader, int (*handler)(void *, int))
{
	int fd = ipc_get_fd(reader);

	if (ipc_end(reader) == 0 && handler != NULL && child->has_config)
		return handler(child->arg, fd);
	if (fd != -1)
		close(fd);
	return -1;
}

static int
on_listener(void *arg, struct ipc_channel *control, struct ipc_reader *reader)
{
	struct child *child = arg;

	(void)control;
	return take_fd(child, reader, child->handlers->listener);
}

static int
on_policy(void *arg, struct ipc_channel *control, struct ipc_reader *reader)
{
	struct child *child = arg;

	(void)control;
	return take_fd(child, reader, child->handlers->policy);
}

static int
on_relay(void *arg, struct ipc_channel *control, struct ipc_reader *reader)
{
	struct child *child = arg;

	(void)control;
	return take_fd(child, reader, child->handlers->relay);
}

static int
on_gate(void *arg, struct ipc_channel *control, struct ipc_reader *reader)
{
	struct child *child = arg;

	(void)control;
	return take_fd(child, reader, child->handlers->gate);
}

static int
on_drain(void *arg, struct ipc_channel *control, struct ipc_reader *reader)
{
	struct child *child = arg;
	bool is_now = child->is_draining;

	(void)control;
	if (ipc_end(reader) == -1)
		return -1;
	child->is_draining = true;
	child->handlers->drain(child->arg, is_now);
	return 0;
}

static void
tell(struct child *child, struct ipc_message *message)
{
	if (ipc_send(child->control, message) == -1)
		fatal("cannot speak to the parent");
}

static int
on_ping(void *arg, struct ipc_channel *control, struct ipc_reader *reader)
{
	struct child *child = arg;
	struct ipc_message pong;

	(void)control;
	if (ipc_end(reader) == -1)
		return -1;
	ipc_compose(&pong, PROCESS_PONG, reader->id);
	tell(child, &pong);
	return 0;
}

static const struct ipc_row rows[] = {
    {PROCESS_CONFIG, false, "CONFIG", on_config},
    {PROCESS_LISTENER, false, "LISTENER", on_listener},
    {PROCESS_POLICY, false, "POLICY", on_policy},
    {PROCESS_RELAY, false, "RELAY", on_relay},
    {PROCESS_GATE, false, "GATE", on_gate},
    {PROCESS_PING, false, "PING", on_ping},
    {PROCESS_DRAIN, false, "DRAIN", on_drain},
    {0, false, NULL, NULL},
};

/* Without a parent nobody would restart, reload or stop this process. */
static void
on_closed(void *arg, struct ipc_channel *control, const char *why)
{
	(void)arg;
	(void)control;
	log_info("the parent has gone (%s)", why);
	exit(1);
}

static void
tell_status(struct child *child)
{
	static const struct timeval pause = {.tv_sec = 1};
	struct ipc_message message;

	ipc_compose(&message, PROCESS_STATUS, 0);
	ipc_put_u32(&message, child->sessions);
	tell(child, &message);
	child->sessions_told = child->sessions;
	evtimer_add(child->status_pause, &pause);
}

static void
on_status_pause(evutil_socket_t fd, short what, void *arg)
{
	struct child *child = arg;

	(void)fd;
	(void)what;
	if (child->sessions != child->sessions_told)
		tell_status(child);
}

struct child *
child_start(struct event_base *base, const char *program,
    const struct child_handlers *handlers, void *arg)
{
	struct child *child;
	struct stat st;

	log_init(program, LOG_TO_AUTO, LOG_FORMAT_TEXT);
	if (fstat(PROCESS_CONTROL_FD, &st) == -1 || !S_ISSOCK(st.st_mode))
		fatalx("this program is started by `postern run` only");
	signal(SIGPIPE, SIG_IGN);
#ifndef POSTERN_SANITIZE /* its leak check traces the process */
	if (prctl(PR_SET_DUMPABLE, 0) == -1)
		fatal("PR_SET_DUMPABLE");
#endif
	if ((child = calloc(1, sizeof(*child))) == NULL)
		fatal("control channel");
	child->handlers = handlers;
	child->arg = arg;
	child->control = ipc_channel_new(
	    base, PROCESS_CONTROL_FD, "parent", rows, on_closed, child);
	child->status_pause = evtimer_new(base, on_status_pause, child);
	if (child->control == NULL || child->status_pause == NULL)
		fatal("control channel");
	/* To lose this channel is to end, with every session. */
	ipc_channel_keep_spare(child->control);
	return child;
}

void
child_ready(struct child *child)
{
	struct ipc_message message;

	ipc_compose(&message, PROCESS_READY, 0);
	tell(child, &message);
}

void
child_status(struct child *child, uint32_t sessions)
{
	child->sessions = sessions;
	if (!evtimer_pending(child->status_pause, NULL))
		tell_status(child);
}

void
child_want_gate(struct child *child)
{
	struct ipc_message message;

	ipc_compose(&message, PROCESS_WANT_GATE, 0);
	tell(child, &message);
}

void
child_drained(struct child *child)
{
	struct ipc_message message;

	ipc_compose(&message, PROCESS_DRAINED, 0);
	tell(child, &message);
	exit(0);
}
