/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_RULES_QUEUE_H
#define POSTERN_RULES_QUEUE_H

/*
 * How the first packet of a connection gets to postern-gate on this kernel:
 * by nft's own `queue`, or, where that was not built in (CONFIG_NFT_QUEUE), by
 * the xtables target NFQUEUE, for which nft's language has no words.
 */

#include <stdbool.h>

#include "netfilter/rules.h"
#include "proxy/config.h"

/*
 * rules_queue_find asks the kernel which of the two it has, and changes
 * nothing.  Without CAP_NET_ADMIN it cannot ask, and says RULES_QUEUE_NFT.
 */
enum rules_queue rules_queue_find(void);

/* rules_log_find likewise: has it nft's `log group`? */
bool rules_log_find(void);

/*
 * rules_queue_insert puts the target NFQUEUE at the head of the chain `ask` of
 * the table `inet postern`, which is in place.  Returns 0, or -1 with the
 * reason in error.
 */
int rules_queue_insert(const struct config *, char error[RULES_ERROR_MAX]);

#endif
