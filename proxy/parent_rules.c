/* SPDX-License-Identifier: ISC */
/*
 * The rules for as long as postern runs: put in place, and put back where
 * somebody else takes them away or changes them.  `postern rules` may do
 * either, since who calls it knows what it is for.
 */

#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "netfilter/rules.h"
#include "proxy/base/log.h"
#include "proxy/parent_state.h"

int
parent_apply_rules(struct parent *parent, const struct config *config,
    char error[RULES_ERROR_MAX])
{
	int r;

	if (!parent->plan.manages_rules)
		return 0;
	if ((r = rules_apply(config, error)) == -1)
		return -1;
	if (error[0] != '\0')
		log_warnx("rules: %s", error);
	parent->awaits_bridge = r == 1;
	return 0;
}

void
parent_look_for_bridge(struct parent *parent)
{
	char error[RULES_ERROR_MAX];
	int r;

	if (!parent->awaits_bridge || parent->phase == PHASE_STOPPING)
		return;
	if ((r = rules_apply(parent->now.config, error)) == 1)
		return;
	if (r == -1)
		log_errx("rules: %s", error);
	else
		log_info("the bridge is there: the rules are in place");
	parent->awaits_bridge = r == -1;
}

static void
put_back(struct parent *parent, const char *who)
{
	char error[RULES_ERROR_MAX];

	log_warnx("rules: a process \"%s\" took them away or changed them "
		  "(flush ruleset?): putting them back; what was sent "
		  "meanwhile may have gone past postern",
	    who[0] == '\0' ? "?" : who);
	if (parent_apply_rules(parent, parent->now.config, error) == -1)
		log_errx("rules: the road may be open: %s", error);
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
	put_back(parent, safe);
}

void
parent_watch_rules(struct parent *parent)
{
	if (!parent->plan.manages_rules)
		return;
	if (rules_watch_open(&parent->rules_watch) == -1) {
		log_warn("rules: cannot watch over them");
		return;
	}
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
