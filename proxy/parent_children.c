/* SPDX-License-Identifier: ISC */
/*
 * What each child is given, and what its life means for the others.
 *
 * The parent keeps no listener open.  Each relay gets sockets of its own in
 * the SO_REUSEPORT group, opened anew at each start: when a relay dies they
 * close with it, and the kernel leads new connections to the living relays,
 * or answers with RST where none is left, instead of holding them for nobody.
 */

#include <sys/socket.h>

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "netfilter/origin.h"
#include "proxy/base/ipc.h"
#include "proxy/base/log.h"
#include "proxy/parent_state.h"
#include "proxy/process.h"
#include "proxy/process_message.h"

static void
send_fd(struct process *process, uint16_t type, int fd)
{
	struct ipc_message message;

	ipc_compose(&message, type, 0);
	ipc_put_fd(&message, fd);
	process_send(process, &message);
}

static void
send_settings(struct process *process, uint32_t number, int fd)
{
	struct ipc_message message;

	ipc_compose(&message, PROCESS_CONFIG, 0);
	ipc_put_u32(&message, number);
	ipc_put_fd(&message, fd);
	process_send(process, &message);
}

void
parent_send_settings(struct parent *parent)
{
	for (size_t i = 0; i < parent->plan.relay_count; i++)
		send_settings(parent->relays[i], parent->now.number,
		    parent->now.relay_fd);
	if (parent->gate != NULL)
		send_settings(
		    parent->gate, parent->now.number, parent->now.relay_fd);
}

/* A fresh channel between a relay and another child, if both run. */
static int
connect_relay(struct process *relay, struct process *other, uint16_t type)
{
	int fds[2];

	if (!process_is_running(relay) || other == NULL ||
	    !process_is_running(other))
		return 0;
	if (ipc_pair(fds) == -1)
		return -1;
	send_fd(other, PROCESS_RELAY, fds[0]);
	send_fd(relay, type, fds[1]);
	close(fds[0]);
	close(fds[1]);
	return 0;
}

int
parent_connect_relays(struct parent *parent)
{
	for (size_t i = 0; i < parent->plan.relay_count; i++) {
		if (connect_relay(parent->relays[i], parent->policy,
			PROCESS_POLICY) == -1)
			return -1;
	}
	return 0;
}

/* A host may do without one of the families, but not without both. */
static int
send_listeners(struct parent *parent, struct process *relay)
{
	static const sa_family_t families[] = {AF_INET, AF_INET6};
	const struct config *config = parent->now.config;
	bool has_one = false;

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		int fd = origin_listen(families[i], config->listen_port,
		    config->mode != CONFIG_LOCAL,
		    config->mode == CONFIG_BRIDGE ? config->mark : 0);

		if (fd == -1) {
			if (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL)
				return -1;
			continue;
		}
		has_one = true;
		send_fd(relay, PROCESS_LISTENER, fd);
		close(fd);
	}
	return has_one ? 0 : -1;
}

static int
on_relay_started(void *arg, struct process *relay)
{
	struct parent *parent = arg;

	send_settings(relay, parent->now.number, parent->now.relay_fd);
	if (send_listeners(parent, relay) == -1) {
		/* Most likely the port is another's; nothing here mends it. */
		if (parent->phase == PHASE_STARTING)
			fatal("cannot listen on port %u (another program "
			      "has it? listen_port chooses another)",
			    parent->now.config->listen_port);
		return -1;
	}
	if (connect_relay(relay, parent->gate, PROCESS_GATE) == -1)
		return -1;
	return connect_relay(relay, parent->policy, PROCESS_POLICY);
}

/* What cannot be had now comes with the gate's next start. */
static void
on_relay_wants_gate(void *arg, struct process *relay)
{
	struct parent *parent = arg;

	if (connect_relay(relay, parent->gate, PROCESS_GATE) == -1)
		log_warn("%s: no channel to the gate", process_name(relay));
}

static int
on_gate_started(void *arg, struct process *gate)
{
	struct parent *parent = arg;

	send_settings(gate, parent->now.number, parent->now.relay_fd);
	for (size_t i = 0; i < parent->plan.relay_count; i++) {
		if (connect_relay(parent->relays[i], gate, PROCESS_GATE) == -1)
			return -1;
	}
	return 0;
}

static int
on_policy_started(void *arg, struct process *policy)
{
	struct parent *parent = arg;

	if (policy == parent->next_policy) {
		send_settings(policy, parent->next.number, parent->next.fd);
		return 0;
	}
	send_settings(policy, parent->now.number, parent->now.fd);
	return parent_connect_relays(parent);
}

static bool
all_serve(const struct parent *parent)
{
	for (size_t i = 0; i < parent->plan.relay_count; i++) {
		if (process_state(parent->relays[i]) != PROCESS_IS_SERVING)
			return false;
	}
	if (parent->gate != NULL &&
	    process_state(parent->gate) != PROCESS_IS_SERVING)
		return false;
	return process_state(parent->policy) == PROCESS_IS_SERVING;
}

static void
on_ready(void *arg, struct process *process)
{
	struct parent *parent = arg;

	log_info("%s: serving", process_name(process));
	if (process == parent->next_policy) {
		parent_change_over(parent);
		return;
	}
	if (parent->phase == PHASE_STARTING && all_serve(parent)) {
		parent->phase = PHASE_RUNNING;
		log_info("ready");
		notify_ready(&parent->notify);
		if (parent->wants_reload)
			parent_reload(parent);
	}
	parent_tell_status(parent);
}

static void
on_child_ended(void *arg, struct process *process, bool will_restart)
{
	struct parent *parent = arg;

	(void)process;
	(void)will_restart;
	parent_tell_status(parent);
	if (parent->phase == PHASE_STOPPING)
		parent_go_on_stopping(parent);
}

static void
on_policy_ended(void *arg, struct process *policy, bool will_restart)
{
	struct parent *parent = arg;

	(void)will_restart;
	if (policy == parent->next_policy) {
		parent_fail_reload(parent);
	} else if (policy == parent->old_policy) {
		process_free(policy);
		parent->old_policy = NULL;
		if (parent->wants_reload)
			parent_reload(parent);
	}
	parent_tell_status(parent);
	if (parent->phase == PHASE_STOPPING)
		parent_go_on_stopping(parent);
}

static const struct process_hooks relay_hooks = {
    .started = on_relay_started,
    .ready = on_ready,
    .ended = on_child_ended,
    .wants_gate = on_relay_wants_gate,
};

static const struct process_hooks gate_hooks = {
    .started = on_gate_started,
    .ready = on_ready,
    .ended = on_child_ended,
};

static const struct process_hooks policy_hooks = {
    .started = on_policy_started,
    .ready = on_ready,
    .ended = on_policy_ended,
};

struct process *
parent_new_policy(struct parent *parent)
{
	struct process *policy;

	policy = process_new(parent->base, "policy", &parent->plan.policy,
	    &policy_hooks, parent);
	if (policy == NULL)
		fatal("policy");
	return policy;
}

void
parent_start_children(struct parent *parent)
{
	char name[PROCESS_NAME_MAX];

	parent->policy = parent_new_policy(parent);
	for (size_t i = 0; i < parent->plan.relay_count; i++) {
		snprintf(name, sizeof(name), "relay %zu", i + 1);
		parent->relays[i] = process_new(parent->base, name,
		    &parent->plan.relay, &relay_hooks, parent);
		if (parent->relays[i] == NULL)
			fatal("%s", name);
	}
	if (parent->plan.gate.path != NULL &&
	    (parent->gate = process_new(parent->base, "gate",
		 &parent->plan.gate, &gate_hooks, parent)) == NULL)
		fatal("gate");
	process_start(parent->policy);
	for (size_t i = 0; i < parent->plan.relay_count; i++)
		process_start(parent->relays[i]);
	if (parent->gate != NULL)
		process_start(parent->gate);
}

void
parent_free_children(struct parent *parent)
{
	process_free(parent->policy);
	process_free(parent->gate);
	for (size_t i = 0; i < CONFIG_WORKERS_MAX; i++)
		process_free(parent->relays[i]);
}
