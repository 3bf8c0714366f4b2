/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_ROUTE_QUERY_H
#define POSTERN_ROUTE_QUERY_H

/* Where the kernel would send a packet that came in, as ip-route(8)'s `get`. */

#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/address.h"

/*
 * route_query asks for a packet that comes in by the interface of this index,
 * with this mark.  Returns 0, with *is_local where it would be delivered to
 * this host, else by which interface it would leave (*leaves, 0: none); or -1
 * with errno set, where the kernel has no route or drops it: EXDEV, EINVAL
 * (the source is none that may come in there), ENETUNREACH.
 */
int route_query(const struct address *source, const struct address *destination,
    unsigned int interface, uint32_t mark, bool *is_local,
    unsigned int *leaves);

#endif
