/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_PARENT_H
#define POSTERN_PARENT_H

/*
 * `postern run`: the one process that keeps root, for as long as the gate
 * stands.  It puts the rules in place, opens the listeners, starts and
 * restarts postern-policy and the postern-relays, reloads and drains them.
 * It reads no byte that came from the network.
 */

#include <stdbool.h>

struct options;

struct parent_options {
	const struct options *options; /* file and settings; read at reload */
	bool is_foreground; /* log to stderr, whatever is set */
	bool without_rules; /* somebody else manages them */
};

/* parent_run returns the exit code of the program (cmd.h). */
int parent_run(const struct parent_options *);

#endif
