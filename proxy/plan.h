/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_PLAN_H
#define POSTERN_PLAN_H

/*
 * What a configuration asks of this machine before anything is started: which
 * programs, how many, under which user and with what they may keep.
 */

#include <stdbool.h>
#include <stddef.h>

#include "proxy/config.h"
#include "proxy/spawn.h"

#define PLAN_ERROR_MAX 512

struct plan {
	struct spawn relay; /* path owned */
	struct spawn policy; /* path owned */
	struct spawn gate; /* path owned; NULL: there is no gate */
	size_t relay_count;
	bool manages_rules;
};

/*
 * plan_make works it out for a configuration of which neither
 * own_connections nor gate.admission is AUTO.  Says in the log what an
 * unprivileged start goes without.  Returns 0, or -1 with the reason in error.
 */
int plan_make(struct plan *, const struct config *, bool without_rules,
    char error[PLAN_ERROR_MAX]);
void plan_clear(struct plan *);

/*
 * plan_policy works out how a postern-policy is started that serves nothing
 * but this process; path is the caller's to free.  For root there is the
 * configured user, else nobody.  Returns as plan_make.
 */
int
plan_policy(struct spawn *, const struct config *, char error[PLAN_ERROR_MAX]);

/* plan_relay_files says how many descriptors a relay may come to need. */
unsigned int plan_relay_files(const struct config *);

/*
 * plan_keep_fixed copies into next what only a restart may change (what the
 * rules, the open sockets and the running processes were built with), and
 * names in the log each setting that would have differed.
 */
void plan_keep_fixed(const struct config *now, struct config *next);

#endif
