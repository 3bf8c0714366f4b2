/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_RULES_H
#define POSTERN_RULES_H

/*
 * The table `inet postern`: what is intercepted, and what is refused because
 * it should have been.  Closed is a property of these rules: with no process
 * of postern alive, nothing to its ports leaves.
 */

#include <stdbool.h>

#include "proxy/config.h"

#define RULES_ERROR_MAX 512

/* What this kernel has to put packets to a process. */
enum rules_queue {
	RULES_QUEUE_NONE,
	RULES_QUEUE_NFT, /* nft's own statement */
	RULES_QUEUE_XT, /* the xtables target, through nft_compat */
};

/*
 * rules_own decides how postern's own connections are told apart in local
 * mode: own_connections as it stands, and for CONFIG_OWN_AUTO the mark where
 * this process holds CAP_NET_RAW (which a relay needs to set it), else the
 * user id.  Never returns CONFIG_OWN_AUTO.
 */
enum config_own rules_own(const struct config *);

/*
 * rules_have_gate says whether connections are put to postern-gate under this
 * configuration on this host; text tells by what, or why they are not.
 */
bool rules_have_gate(const struct config *, char text[RULES_ERROR_MAX]);

/*
 * rules_text_here returns what rules_apply loads, in nft's language (free it),
 * or NULL with the reason in error.
 */
char *rules_text_here(const struct config *, char error[RULES_ERROR_MAX]);

/*
 * rules_apply loads the table in one transaction, then the routing that
 * gateway mode needs (in local mode it removes what a gateway left).  Applying
 * twice is applying once.  Needs CAP_NET_ADMIN.  Returns 0, or -1 with the
 * reason in error; error says so where the table is in place and the routing
 * is not, and the host is then closed.  On success error is empty, or tells of
 * an address family that stays closed because the host does without it, or why
 * there is no gate.  Returns 1 with the reason in error where the road is
 * closed until it is applied again: the bridge is not there yet.
 */
int rules_apply(const struct config *, char error[RULES_ERROR_MAX]);

/*
 * rules_apply_without_gate is for a stop: with nobody at the queue, what comes
 * would be dropped, and who sent it would wait.  Without the queue it is
 * refused at once.  As rules_apply.
 */
int
rules_apply_without_gate(const struct config *, char error[RULES_ERROR_MAX]);

/*
 * rules_close is for a start that failed before rules_apply: where no table of
 * postern's is in place, one is loaded that refuses the configuration's ports
 * to whatever is forwarded, to this host's own programs, or to both.  Needs
 * CAP_NET_ADMIN.  Returns 0, or -1 with the reason in error.
 */
int rules_close(const struct config *, bool forwarded, bool own,
    char error[RULES_ERROR_MAX]);

/*
 * rules_remove takes away the routing, then the table: the road is open again
 * from then on, and not before.  Nothing to remove is success.  Returns 0, or
 * -1 with the reason in error and the table, if it was there, still in place.
 */
int rules_remove(char error[RULES_ERROR_MAX]);

#endif
