/* SPDX-License-Identifier: ISC */
/*
 * The rules for as long as postern runs: put in place, and put back where
 * somebody else takes them away or changes them.  `postern rules` may do
 * either, since who calls it knows what it is for.
 */

#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "netfilter/bridge.h"
#include "netfilter/rules.h"
#include "proxy/base/log.h"
#include "proxy/parent_state.h"

/* Before they are there, so that no change of them is missed. */
static void
open_watch(struct parent *parent)
{
	if (parent->rules_watch.fd == -1 &&
	    rules_watch_open(&parent->rules_watch) == -1)
		log_warn("rules: cannot watch over them");
}

int
parent_apply_rules(struct parent *parent, const struct config *config,
    char error[RULES_ERROR_MAX])
{
	int r;

	if (!parent->plan.manages_rules)
		return 0;
	open_watch(parent);
	/* First: what changes meanwhile is found at the next tick. */
	if (config->mode == CONFIG_BRIDGE)
		parent->bridge = bridge_print(config->bridge);
	if ((r = rules_apply(config, error)) == -1)
		return -1;
	if (error[0] != '\0' && !(r == 1 && parent->awaits_bridge))
		log_warnx("rules: %s", error);
	parent->awaits_bridge = r == 1;
	parent->has_lost_rules = false;
	return 0;
}

static void
apply_again(struct parent *parent, const char *why)
{
	char error[RULES_ERROR_MAX];

	if (parent_apply_rules(parent, parent->now.config, error) == -1) {
		parent->has_lost_rules = true; /* again at the next tick */
		log_errx("rules: not put in place whole: %s", error);
	} else if (!parent->awaits_bridge)
		log_info("rules: %s: in place", why);
}

/* It may be another now, or have other ports or another MAC. */
static bool
has_bridge_changed(const struct parent *parent)
{
	const struct config *config = parent->now.config;

	return config->mode == CONFIG_BRIDGE &&
	       bridge_print(config->bridge) != parent->bridge;
}

void
parent_look_after_rules(struct parent *parent)
{
	if (!parent->plan.manages_rules || parent->phase == PHASE_STOPPING)
		return;
	if (parent->has_lost_rules)
		apply_again(parent, "put back");
	else if (parent->awaits_bridge)
		apply_again(parent, "the bridge is there");
	else if (has_bridge_changed(parent))
		apply_again(parent, "the bridge has changed");
}

/* A stop has rules of its own, and may take them away. */
static void
on_change(evutil_socket_t fd, short what, void *arg)
{
	struct parent *parent = arg;
	char who[RULES_WATCH_NAME_MAX], safe[4 * RULES_WATCH_NAME_MAX];

	(void)fd;
	(void)what;
	if (!rules_watch_read(&parent->rules_watch, who) ||
	    parent->phase == PHASE_STOPPING)
		return;
	log_escape(safe, sizeof(safe), who, strlen(who));
	log_warnx("rules: a process \"%s\" took them away or changed them "
		  "(flush ruleset?): putting them back; what was sent "
		  "meanwhile may have gone past postern",
	    safe[0] == '\0' ? "?" : safe);
	apply_again(parent, "put back");
}

void
parent_watch_rules(struct parent *parent)
{
	if (parent->rules_watch.fd == -1)
		return;
	parent->rules_event = event_new(parent->base, parent->rules_watch.fd,
	    EV_READ | EV_PERSIST, on_change, parent);
	if (parent->rules_event == NULL ||
	    event_add(parent->rules_event, NULL) == -1)
		fatalx("no event");
}

void
parent_unwatch_rules(struct parent *parent)
{
	if (parent->rules_event != NULL)
		event_free(parent->rules_event);
	parent->rules_event = NULL;
	rules_watch_close(&parent->rules_watch);
}
