/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_RULES_LIVE_H
#define POSTERN_RULES_LIVE_H

/*
 * The table that is in the kernel now, beside the one that a configuration
 * would put there.  Nothing is changed.
 */

#include "netfilter/rules.h"

enum rules_difference {
	RULES_MISSING, /* wanted, and not there */
	RULES_CHANGED, /* there, and not as wanted */
	RULES_STRANGE, /* there, and not wanted */
};

/* What is told of one part of the table: "chain forward"; borrowed. */
typedef void (*rules_each)(void *arg, enum rules_difference, const char *part);

/*
 * rules_difference_each compares two tables as rules_dump writes them, chain by
 * chain and set by set, and calls each (NULL: nobody) for those that differ.
 * What stands outside of them, such as the table's flags, is the part "table".
 * Returns how many, or -1 (ENOMEM).
 */
int rules_difference_each(
    const char *wanted, const char *live, rules_each, void *arg);

enum rules_live {
	RULES_LIVE_SAME,
	RULES_LIVE_DIFFERS, /* each was called */
	RULES_LIVE_NONE, /* there is no table of postern's */
	RULES_LIVE_UNCOMPARED, /* it is there, but see error */
	RULES_LIVE_UNKNOWN, /* it cannot be read: see error */
};

/* rules_apply, or another that puts a table in place as it does. */
typedef int (*rules_applying)(
    const struct config *, char error[RULES_ERROR_MAX]);

/*
 * rules_live compares the live table with what apply would load, by calling
 * that in a network namespace of its own, which is gone afterwards,
 * so that the kernel's own form is the same for both.  own_connections must not
 * be AUTO.  Reading needs CAP_NET_ADMIN, comparing a new network namespace.
 */
enum rules_live rules_live(const struct config *, rules_applying apply,
    rules_each, void *arg, char error[RULES_ERROR_MAX]);

#endif
