/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_ENDPOINTS_H
#define POSTERN_ENDPOINTS_H

/*
 * This relay's own upstream connections, by their two ends: an intercepted
 * connection with the same ends may be postern itself, sent back to it by
 * some route.  It need not be: where the client's address is kept, the client
 * may by chance use the very port that its upstream connection has here.  So
 * a match only counts: each connection knows behind how many matches in a row
 * it was made, and what chance does once it does not do ENDPOINT_DEPTH_MAX
 * times over.
 */

#include <sys/tree.h>

#include "proxy/base/address.h"

#define ENDPOINT_DEPTH_MAX 3

struct endpoint {
	RB_ENTRY(endpoint) node; /* private, as is the rest */
	struct address local;
	struct address remote;
	unsigned depth;
};
RB_HEAD(endpoints, endpoint);

void endpoints_init(struct endpoints *);
/*
 * endpoint is the caller's and stays in place until it is removed.  depth is
 * that of the connection which it carries on.
 */
void endpoints_put(struct endpoints *, struct endpoint *,
    const struct address *local, const struct address *remote, unsigned depth);
/* Fine for one that was never put. */
void endpoints_remove(struct endpoints *, struct endpoint *);
/*
 * The depth of an intercepted connection: 0 for one that is certainly not our
 * own, from ENDPOINT_DEPTH_MAX on for one that is.
 */
unsigned endpoints_depth(struct endpoints *, const struct address *client,
    const struct address *server);

#endif
