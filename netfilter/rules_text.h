/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_RULES_TEXT_H
#define POSTERN_RULES_TEXT_H

/*
 * The table `inet postern` in nft's language, for a configuration on a host.
 * Pure.
 */

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "netfilter/rules.h"
#include "proxy/config.h"

/*
 * Transactions begin alike: `add` makes the table where there is none, so
 * that `delete` cannot fail.
 */
#define RULES_CLEAR                                                            \
	"add table inet postern\n"                                             \
	"delete table inet postern\n"

/* What the table depends on, beside the configuration. */
struct bridge;
struct rules_host {
	enum config_own own; /* local mode: not AUTO */
	uid_t uid; /* local mode: of the configuration's user */
	enum rules_queue queue; /* not in local mode */
	bool has_log; /* likewise: DNS answers are watched */
	const struct bridge *bridge; /* bridge mode; NULL: not there yet */
};

/*
 * rules_text writes the transaction that puts the whole table in place.
 * Returns the text (free it), or NULL with the reason in error.
 */
char *rules_text(const struct config *, const struct rules_host *,
    char error[RULES_ERROR_MAX]);

/*
 * rules_text_closed writes the one that refuses the ports to whatever is
 * forwarded, to this host's own programs, or to both.  NULL with errno set.
 */
char *rules_text_closed(const struct config *, bool forwarded, bool own);
/* Likewise for what a bridge carries between others. */
char *rules_text_closed_bridge(const struct config *);

/*
 * rules_write_seized writes where what is to be seized comes in: the clients'
 * interfaces, or the bridge that their ports belong to.
 */
void rules_write_seized(FILE *, const struct config *);

/* rules_fail writes why, printf-style, and returns -1. */
int rules_fail(char error[RULES_ERROR_MAX], const char *why, ...)
    __attribute__((format(printf, 2, 3)));

/* "{ 25, 2525 }" and "{ \"lan0\" }", for those that write parts of it. */
void rules_write_ports(FILE *, const struct config *);
void rules_write_interfaces(FILE *, char *const *names, size_t count);

#endif
