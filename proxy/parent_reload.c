/* SPDX-License-Identifier: ISC */
/*
 * Reload: a new postern-policy must serve before the rules and then the relays
 * change over to the new settings, so that whatever fails on the way leaves
 * the old ones whole.  There is one reload at a time; a storm of SIGHUPs
 * during it ends in one more.
 */

#include <event2/event.h>
#include <string.h>

#include "proxy/base/log.h"
#include "proxy/parent_state.h"
#include "proxy/process.h"
#include "proxy/state_directory.h"

#define RELOAD_SECONDS 30 /* for the new postern-policy to serve */

/* trouble: why the old settings stay; "": they do not. */
static void
end_reload(struct parent *parent, const char *trouble)
{
	evtimer_del(parent->reload_limit);
	generation_clear(&parent->next);
	if (parent->phase == PHASE_STOPPING)
		return;
	strlcpy(parent->trouble, trouble, sizeof(parent->trouble));
	if (trouble[0] != '\0')
		log_warnx("not reloaded, the old settings stay: %s", trouble);
	else
		log_info("reloaded: settings %u", parent->now.number);
	notify_ready(&parent->notify);
	parent_tell_status(parent);
	if (parent->wants_reload)
		parent_reload(parent);
}

/* Lets a policy process go that the relays do not ask any more. */
static void
retire(struct parent *parent, struct process *policy)
{
	process_drain(policy, GRACE_SECONDS);
	if (process_state(policy) == PROCESS_IS_DOWN)
		process_free(policy);
	else
		parent->old_policy = policy;
}

void
parent_change_over(struct parent *parent)
{
	char error[RULES_ERROR_MAX];
	struct process *old = parent->policy, *next = parent->next_policy;

	parent->next_policy = NULL;
	if (parent_apply_rules(parent, parent->next.config, error) == -1) {
		retire(parent, next);
		end_reload(parent, error);
		return;
	}
	parent->policy = next;
	generation_clear(&parent->now);
	parent->now = parent->next;
	parent->next = (struct generation){.fd = -1, .relay_fd = -1};
	parent->plan.relay.files = plan_relay_files(parent->now.config);
	parent_begin_log(parent->now.config);
	parent_send_settings(parent);
	if (parent_connect_relays(parent) == -1)
		process_restart(next, "no channel to a relay");
	retire(parent, old);
	end_reload(parent, "");
}

void
parent_fail_reload(struct parent *parent)
{
	process_kill(parent->next_policy); /* it does not start again */
	process_free(parent->next_policy);
	parent->next_policy = NULL;
	end_reload(parent, "the new postern-policy does not serve");
}

static void
on_reload_limit(evutil_socket_t fd, short what, void *arg)
{
	struct parent *parent = arg;

	(void)fd;
	(void)what;
	process_kill(parent->next_policy);
	if (process_state(parent->next_policy) == PROCESS_IS_DOWN)
		parent_fail_reload(parent); /* nothing to wait for */
}

void
parent_init_reload(struct parent *parent)
{
	parent->reload_limit = evtimer_new(
	    parent->base, on_reload_limit, parent);
	if (parent->reload_limit == NULL)
		fatalx("no timer");
}

void
parent_clear_reload(struct parent *parent)
{
	if (parent->reload_limit != NULL)
		event_free(parent->reload_limit);
	generation_clear(&parent->next);
}

void
parent_reload(struct parent *parent)
{
	static const struct timeval limit = {.tv_sec = RELOAD_SECONDS};
	char error[CONFIG_ERROR_MAX];

	if (parent->phase != PHASE_RUNNING || parent->next_policy != NULL ||
	    parent->old_policy != NULL) {
		parent->wants_reload = true;
		return;
	}
	parent->wants_reload = false;
	notify_reloading(&parent->notify);
	if (generation_load(&parent->next, parent->now.number + 1,
		parent->options, error) == -1) {
		end_reload(parent, error);
		return;
	}
	plan_keep_fixed(parent->now.config, parent->next.config);
	if (generation_seal(&parent->next, error) == -1) {
		end_reload(parent, error);
		return;
	}
	state_directory_make(
	    parent->next.config->state_directory, &parent->plan.policy);
	parent->next_policy = parent_new_policy(parent);
	if (evtimer_add(parent->reload_limit, &limit) == -1)
		fatalx("no timer");
	process_start(parent->next_policy);
}
