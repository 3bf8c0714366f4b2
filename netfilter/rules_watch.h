/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_RULES_WATCH_H
#define POSTERN_RULES_WATCH_H

/*
 * Whether somebody else changes postern's tables: `flush ruleset`, with which
 * files for nft(8) begin, takes them away together with what was meant.
 */

#include <stdbool.h>

#define RULES_WATCH_NAME_MAX 32

struct rules_watch {
	int fd; /* to be watched for reading; -1: closed */
	bool has_touched; /* ours, in the transaction that is being told */
};

/*
 * rules_watch_open listens to what the kernel tells of nftables.  0, or -1
 * with errno set.
 */
int rules_watch_open(struct rules_watch *);
void rules_watch_close(struct rules_watch *);

/*
 * rules_watch_read reads what there is and returns whether a process that is
 * not called postern has changed a table of postern's, or may have.  name is
 * then who it was, as ps(1) shows it, or "".
 */
bool rules_watch_read(struct rules_watch *, char name[RULES_WATCH_NAME_MAX]);

#endif
