/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_RULES_H
#define POSTERN_RULES_H

/*
 * The table `inet postern`: what is intercepted, and what is refused because
 * it should have been.  Closed is a property of these rules: with no process
 * of postern alive, nothing to its ports leaves.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "proxy/config.h"

#define RULES_ERROR_MAX 512

/*
 * rules_own decides how postern's own connections are told apart in local
 * mode: own_connections as it stands, and for CONFIG_OWN_AUTO the mark where
 * this process holds CAP_NET_RAW (which a relay needs to set it), else the
 * user id.  Never returns CONFIG_OWN_AUTO.
 */
enum config_own rules_own(const struct config *);

/*
 * rules_text writes the transaction that puts the whole table in place, in
 * nft's language.  own (not AUTO) and uid are used in local mode only.
 * Returns the text (free it), or NULL with the reason in error.
 */
char *rules_text(const struct config *, enum config_own own, uid_t uid,
    char error[RULES_ERROR_MAX]);

/*
 * rules_text_here is rules_text for this host: rules_own, and the id of the
 * configuration's user.  It is what rules_apply loads.
 */
char *rules_text_here(const struct config *, char error[RULES_ERROR_MAX]);

/*
 * rules_apply loads the table in one transaction, then the routing that
 * gateway mode needs (in local mode it removes what a gateway left).  Applying
 * twice is applying once.  Needs CAP_NET_ADMIN.  Returns 0, or -1 with the
 * reason in error; error says so where the table is in place and the routing
 * is not, and the host is then closed.  On success error is empty, or tells of
 * an address family that stays closed because the host does without it.
 */
int rules_apply(const struct config *, char error[RULES_ERROR_MAX]);

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
