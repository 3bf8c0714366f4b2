/* SPDX-License-Identifier: ISC */
/*
 * Start and stop, signals and the watchdog.  At the start the rules come
 * before the listeners and those before the children, so that the road is
 * closed before anything opens.  At the stop the relays drain first and
 * postern-policy after them, since they still ask it; the rules stay, unless
 * told otherwise, and that is closed.
 */

#include "proxy/parent.h"

#include <sys/wait.h>

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/cmd.h"
#include "proxy/cmd_options.h"
#include "proxy/parent_state.h"
#include "proxy/process.h"
#include "proxy/state_directory.h"
#include "proxy/title.h"

#define PING_SECONDS   10 /* where the service manager asks for nothing */
#define WATCHDOG_PARTS 4 /* pings in the time that it gives */
#define HURRY_SECONDS  2 /* for a child to end after a second SIGTERM */

void
parent_begin_log(const struct config *config)
{
	log_init("postern", config->log.to, config->log.format);
	log_set_verbose(config->log.verbose);
}

static const char *
title_word(const struct parent *parent, bool serves)
{
	switch (parent->phase) {
	case PHASE_STARTING:
		return TITLE_STARTING;
	case PHASE_RUNNING:
		return serves ? TITLE_READY : TITLE_DOWN;
	case PHASE_STOPPING:
		return TITLE_STOPPING;
	}
	return TITLE_DOWN;
}

void
parent_tell_status(const struct parent *parent)
{
	char text[NOTIFY_TEXT_MAX];
	unsigned long long sessions = 0;
	const char *gate = "";
	size_t i, serving = 0;
	bool has_policy, has_gate = true;

	for (i = 0; i < parent->plan.relay_count; i++) {
		sessions += process_sessions(parent->relays[i]);
		if (process_state(parent->relays[i]) == PROCESS_IS_SERVING)
			serving++;
	}
	has_policy = process_state(parent->policy) == PROCESS_IS_SERVING;
	if (parent->gate != NULL) {
		has_gate = process_state(parent->gate) == PROCESS_IS_SERVING;
		gate = has_gate ? ", gate up" : ", gate down";
	}
	snprintf(text, sizeof(text),
	    "%zu of %zu relays, policy %s%s, %llu sessions, settings %u%s%s",
	    serving, parent->plan.relay_count, has_policy ? "up" : "down", gate,
	    sessions, parent->now.number,
	    parent->trouble[0] == '\0' ? "" : "; not reloaded: ",
	    parent->trouble);
	notify_status(&parent->notify, "%s: %s",
	    parent->phase == PHASE_STOPPING ? "stopping" : "running", text);
	title_set(
	    title_word(parent, serving > 0 && has_policy && has_gate), text);
}

/* Stop. */

/*
 * The gate goes last but one: while relays end their sessions it still sees
 * what comes.  Behind it nobody would read the queue, and what came would be
 * dropped; without the queue it is refused at once.
 */
static void
stop_gate(struct parent *parent)
{
	char error[RULES_ERROR_MAX];

	if (parent->has_left_gate)
		return;
	parent->has_left_gate = true;
	if (parent->plan.manages_rules && parent->now.config->keep_rules &&
	    rules_apply_without_gate(parent->now.config, error) == -1)
		log_warnx("rules: %s: connections to the ports are dropped, "
			  "not refused, until postern starts",
		    error);
	process_drain(parent->gate, GRACE_SECONDS);
}

static bool
is_down(const struct process *process)
{
	return process == NULL || process_state(process) == PROCESS_IS_DOWN;
}

void
parent_go_on_stopping(struct parent *parent)
{
	for (size_t i = 0; i < parent->plan.relay_count; i++) {
		if (process_state(parent->relays[i]) != PROCESS_IS_DOWN)
			return;
	}
	if (parent->gate != NULL)
		stop_gate(parent);
	if (process_state(parent->policy) != PROCESS_IS_DRAINING)
		process_drain(parent->policy, GRACE_SECONDS);
	if (is_down(parent->policy) && is_down(parent->gate) &&
	    parent->next_policy == NULL && parent->old_policy == NULL)
		event_base_loopbreak(parent->base);
}

/* The first time sessions may finish; the second time they may not. */
static void
on_stop(evutil_socket_t fd, short what, void *arg)
{
	struct parent *parent = arg;
	bool is_again = parent->phase == PHASE_STOPPING;
	uint32_t seconds = is_again ? HURRY_SECONDS
	                            : parent->now.config->timeouts.drain +
	                                  GRACE_SECONDS;

	(void)fd;
	(void)what;
	log_info("stopping%s", is_again ? " at once" : "");
	parent->phase = PHASE_STOPPING;
	notify_stopping(&parent->notify, seconds + GRACE_SECONDS);
	for (size_t i = 0; i < parent->plan.relay_count; i++)
		process_drain(parent->relays[i], seconds);
	if (parent->next_policy != NULL)
		process_kill(parent->next_policy);
	parent_tell_status(parent);
	parent_go_on_stopping(parent);
}

/* Signals and the watchdog. */

static bool
reap(struct process *process, pid_t pid, int status)
{
	return process != NULL && process_reap(process, pid, status);
}

/*
 * Whatever ended is reaped, ours or not: as the first process of a container,
 * postern is also where orphans end up.
 */
static void
on_child(evutil_socket_t fd, short what, void *arg)
{
	struct parent *parent = arg;
	pid_t pid;
	int status;

	(void)fd;
	(void)what;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (reap(parent->policy, pid, status) ||
		    reap(parent->gate, pid, status) ||
		    reap(parent->next_policy, pid, status) ||
		    reap(parent->old_policy, pid, status))
			continue;
		for (size_t i = 0; i < parent->plan.relay_count; i++) {
			if (reap(parent->relays[i], pid, status))
				break;
		}
	}
}

static void
on_reload(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	parent_reload(arg);
}

static bool
ping(struct process *process)
{
	return process == NULL || process_ping(process);
}

/* A stuck child is killed here, and until it is gone all is not well. */
static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct parent *parent = arg;
	bool is_well;

	(void)fd;
	(void)what;
	is_well = ping(parent->policy);
	is_well = ping(parent->gate) && is_well;
	is_well = ping(parent->next_policy) && is_well;
	is_well = ping(parent->old_policy) && is_well;
	for (size_t i = 0; i < parent->plan.relay_count; i++)
		is_well = ping(parent->relays[i]) && is_well;
	if (is_well)
		notify_watchdog(&parent->notify);
	parent_look_after_rules(parent);
	parent_tell_status(parent); /* the number of sessions */
}

static void
watch(struct parent *parent, int signo, short what, event_callback_fn callback,
    const struct timeval *interval)
{
	struct event *event;

	event = event_new(
	    parent->base, signo, what | EV_PERSIST, callback, parent);
	if (event == NULL || event_add(event, interval) == -1)
		fatalx("no event");
	parent->events[parent->event_count++] = event;
}

static void
watch_all(struct parent *parent)
{
	struct timeval interval = {.tv_sec = PING_SECONDS};
	uint64_t usec = parent->notify.watchdog_usec / WATCHDOG_PARTS;

	if (usec != 0) {
		interval.tv_sec = (time_t)(usec / 1000000);
		interval.tv_usec = (suseconds_t)(usec % 1000000);
	}
	signal(SIGPIPE, SIG_IGN);
	watch(parent, SIGCHLD, EV_SIGNAL, on_child, NULL);
	watch(parent, SIGHUP, EV_SIGNAL, on_reload, NULL);
	watch(parent, SIGINT, EV_SIGNAL, on_stop, NULL);
	watch(parent, SIGTERM, EV_SIGNAL, on_stop, NULL);
	watch(parent, -1, 0, on_tick, &interval);
}

/* Start and end. */

/* What is opened later must not pass for standard output. */
static void
open_standard_descriptors(void)
{
	int fd;

	do {
		if ((fd = open("/dev/null", O_RDWR | O_CLOEXEC)) == -1)
			fatal("/dev/null");
	} while (fd <= STDERR_FILENO);
	close(fd);
}

/*
 * A start that failed leaves the road as closed as it can: a machine that
 * boots with a mistake in its configuration has no rules yet.
 */
static void
close_road(const struct parent *parent)
{
	char error[RULES_ERROR_MAX];
	struct config *config;
	bool knows_mode = false;
	bool has_forward, has_own;

	config = options_glean(parent->options->options, &knows_mode);
	if (config == NULL || !config->manage_rules ||
	    parent->options->without_rules || geteuid() != 0) {
		config_free(config);
		return;
	}
	has_forward = !knows_mode || config->mode != CONFIG_LOCAL;
	has_own = !knows_mode || config->mode == CONFIG_LOCAL;
	if (rules_close(config, has_forward, has_own, error) == -1)
		log_errx(
		    "the road may be open: it cannot be closed: %s", error);
	else
		log_warnx("the road stays closed: connections to the ports are "
			  "refused until postern starts; `postern rules "
			  "remove` opens it");
	config_free(config);
}

/* Reads the settings and closes the road. */
static enum cmd_exit
prepare(struct parent *parent)
{
	char error[CONFIG_ERROR_MAX];

	if (generation_load(&parent->now, 1, parent->options, error) == -1) {
		log_errx("%s", error);
		close_road(parent);
		return CMD_USAGE;
	}
	parent_begin_log(parent->now.config);
	log_info("postern " POSTERN_VERSION " starts");
	if (plan_make(&parent->plan, parent->now.config,
		parent->options->without_rules, error) == -1 ||
	    generation_seal(&parent->now, error) == -1 ||
	    parent_apply_rules(parent, parent->now.config, error) == -1) {
		log_errx("%s", error);
		close_road(parent);
		return CMD_FAILED;
	}
	state_directory_make(
	    parent->now.config->state_directory, &parent->plan.policy);
	return CMD_OK;
}

static enum cmd_exit
remove_rules(const struct parent *parent)
{
	char error[RULES_ERROR_MAX];

	if (!parent->plan.manages_rules || parent->now.config->keep_rules)
		return CMD_OK;
	if (rules_remove(error) == -1) {
		log_errx("rules: %s", error);
		return CMD_FAILED;
	}
	return CMD_OK;
}

static void
clear(struct parent *parent)
{
	parent_free_children(parent);
	parent_clear_reload(parent);
	parent_unwatch_rules(parent);
	while (parent->event_count > 0)
		event_free(parent->events[--parent->event_count]);
	if (parent->base != NULL)
		event_base_free(parent->base);
	generation_clear(&parent->now);
	plan_clear(&parent->plan);
	notify_close(&parent->notify);
}

int
parent_run(const struct parent_options *options)
{
	struct parent parent = {
	    .options = options,
	    .now.fd = -1,
	    .now.relay_fd = -1,
	    .next.fd = -1,
	    .next.relay_fd = -1,
	    .rules_watch.fd = -1,
	};
	enum cmd_exit code;

	open_standard_descriptors();
	notify_open(&parent.notify);
	if ((code = prepare(&parent)) != CMD_OK)
		goto out;
	if ((parent.base = event_base_new()) == NULL)
		fatalx("no event loop");
	watch_all(&parent);
	parent_init_reload(&parent);
	parent_watch_rules(&parent);
	parent_start_children(&parent);
	if (event_base_dispatch(parent.base) == -1)
		fatalx("event loop");
	parent_unwatch_rules(&parent);
	code = remove_rules(&parent);
	log_info("stopped");
out:
	clear(&parent);
	return code;
}
