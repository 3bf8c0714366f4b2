/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_PARENT_STATE_H
#define POSTERN_PARENT_STATE_H

/*
 * What the parent's own files share, and nobody else includes: parent.c
 * starts, watches and stops; parent_children.c gives each child what it needs
 * and hears of its life; parent_reload.c changes the settings over.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netfilter/rules.h"
#include "netfilter/rules_watch.h"
#include "proxy/config.h"
#include "proxy/generation.h"
#include "proxy/notify.h"
#include "proxy/plan.h"

struct event;
struct event_base;
struct process;

#define PARENT_EVENTS 5 /* four signals and the watchdog's tick */
#define GRACE_SECONDS 5 /* for a child to end, past what it was given */

enum phase {
	PHASE_STARTING, /* until everything has served once */
	PHASE_RUNNING,
	PHASE_STOPPING,
};

struct parent {
	const struct parent_options *options; /* borrowed */
	struct event_base *base;
	struct event *events[PARENT_EVENTS];
	size_t event_count;
	struct notify notify;
	struct plan plan;
	enum phase phase;
	struct generation now;
	struct process *relays[CONFIG_WORKERS_MAX];
	struct process *policy;
	struct process *gate; /* NULL: there is none */
	struct generation next; /* a reload under way */
	struct process *next_policy; /* NULL: none is */
	struct process *old_policy; /* on its way out after one */
	struct event *reload_limit;
	struct rules_watch rules_watch;
	struct event *rules_event; /* NULL: nobody watches over them */
	bool has_lost_rules; /* and could not put them back yet */
	uint64_t bridge; /* as the rules know it; see bridge_print */
	bool awaits_bridge; /* the rules are closed until it is there */
	bool has_left_gate; /* a stop has taken the queue away */
	bool wants_reload; /* another, when this one is through */
	char trouble[CONFIG_ERROR_MAX]; /* why the last one failed, or "" */
};

/* parent.c */
void parent_begin_log(const struct config *);
/* Tells the service manager how things stand. */
void parent_tell_status(const struct parent *);
/* Takes the next step of a stop, now that a child has ended. */
void parent_go_on_stopping(struct parent *);

/* parent_rules.c */
int parent_apply_rules(
    struct parent *, const struct config *, char error[RULES_ERROR_MAX]);
/* At each tick: a bridge that came or changed, rules that could not be had. */
void parent_look_after_rules(struct parent *);
void parent_watch_rules(struct parent *);
void parent_unwatch_rules(struct parent *);

/* parent_children.c */
void parent_start_children(struct parent *);
void parent_free_children(struct parent *);
struct process *parent_new_policy(struct parent *);
/* Sends the settings in force to every relay that runs, and to the gate. */
void parent_send_settings(struct parent *);
/* Gives each relay a fresh channel to the policy process; 0, or -1 errno. */
int parent_connect_relays(struct parent *);

/* parent_reload.c */
void parent_init_reload(struct parent *);
void parent_clear_reload(struct parent *);
/* Reloads now, or as soon as what is under way is through. */
void parent_reload(struct parent *);
/* The next policy process serves; it has ended before it did. */
void parent_change_over(struct parent *);
void parent_fail_reload(struct parent *);

#endif
