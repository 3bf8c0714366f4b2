/* SPDX-License-Identifier: ISC */
/*
 * A tree by both ends.
 */

#include "proxy/session/endpoints.h"

static int
compare(struct endpoint *a, struct endpoint *b)
{
	int order;

	if ((order = address_compare(&a->local, &b->local)) != 0)
		return order;
	return address_compare(&a->remote, &b->remote);
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
    const struct address *local, const struct address *remote, unsigned depth)
{
	endpoint->local = *local;
	endpoint->remote = *remote;
	endpoint->depth = depth;
	if (RB_INSERT(endpoints, endpoints, endpoint) != NULL)
		endpoint->local.family = 0; /* taken: not ours to remove */
}

void
endpoints_remove(struct endpoints *endpoints, struct endpoint *endpoint)
{
	if (endpoint->local.family != 0)
		RB_REMOVE(endpoints, endpoints, endpoint);
	endpoint->local.family = 0;
}

unsigned
endpoints_depth(struct endpoints *endpoints, const struct address *client,
    const struct address *server)
{
	struct endpoint key = {.local = *client, .remote = *server}, *endpoint;

	endpoint = RB_FIND(endpoints, endpoints, &key);
	return endpoint != NULL ? endpoint->depth + 1 : 0;
}
