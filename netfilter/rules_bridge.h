/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_RULES_BRIDGE_H
#define POSTERN_RULES_BRIDGE_H

/*
 * The table `bridge postern`: how frames of the mail ports leave a bridge for
 * this host's own IP, and come back to the wire as if they never had.
 */

#include <stdio.h>

struct bridge;
struct config;

/* In front of a transaction, as RULES_CLEAR. */
#define RULES_CLEAR_BRIDGE                                                     \
	"add table bridge postern\n"                                           \
	"delete table bridge postern\n"

/*
 * rules_bridge_table writes it whole; with bridge NULL the one that carries
 * nothing of the mail ports, for as long as there is no bridge.
 */
void rules_bridge_table(FILE *, const struct config *, const struct bridge *);

#endif
