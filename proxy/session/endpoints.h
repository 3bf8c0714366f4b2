/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_ENDPOINTS_H
#define POSTERN_ENDPOINTS_H

/*
 * The local ends of this relay's own upstream connections: a client with one
 * of these addresses is postern itself, sent back to it by some route.
 */

#include <stdbool.h>
#include <sys/tree.h>

#include "proxy/base/address.h"

struct endpoint {
	RB_ENTRY(endpoint) node; /* private, as is the rest */
	struct address	   address;
};
RB_HEAD(endpoints, endpoint);

void	endpoints_init(struct endpoints *);
/* endpoint is the caller's and stays in place until it is removed. */
void	endpoints_put(struct endpoints *, struct endpoint *,
	    const struct address *);
/* Fine for one that was never put. */
void	endpoints_remove(struct endpoints *, struct endpoint *);
bool	endpoints_has(struct endpoints *, const struct address *);

#endif
