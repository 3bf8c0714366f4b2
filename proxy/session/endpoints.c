/* SPDX-License-Identifier: ISC */
/*
 * A tree by address and port.
 */

#include "proxy/session/endpoints.h"

#include <string.h>

static int
compare(struct endpoint *a, struct endpoint *b)
{
	int order;

	if ((order = (int)a->address.port - (int)b->address.port) != 0 ||
	    (order = (int)a->address.family - (int)b->address.family) != 0)
		return order;
	return memcmp(a->address.ip, b->address.ip, sizeof(a->address.ip));
}

RB_PROTOTYPE(endpoints, endpoint, node, compare)
RB_GENERATE(endpoints, endpoint, node, compare)

void
endpoints_init(struct endpoints *endpoints)
{
	RB_INIT(endpoints);
}

void
endpoints_put(struct endpoints *endpoints, struct endpoint *endpoint,
    const struct address *address)
{
	endpoint->address = *address;
	if (RB_INSERT(endpoints, endpoints, endpoint) != NULL)
		endpoint->address.family = 0; /* taken: not ours to remove */
}

void
endpoints_remove(struct endpoints *endpoints, struct endpoint *endpoint)
{
	if (endpoint->address.family != 0)
		RB_REMOVE(endpoints, endpoints, endpoint);
	endpoint->address.family = 0;
}

bool
endpoints_has(struct endpoints *endpoints, const struct address *address)
{
	struct endpoint key = {.address = *address};

	return RB_FIND(endpoints, endpoints, &key) != NULL;
}
