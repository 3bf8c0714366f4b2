/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_ROUTE_H
#define POSTERN_ROUTE_H

/*
 * The policy routing that TPROXY needs: packets that arrive with postern's
 * mark are delivered to this host, whatever their destination.  Everything
 * that is put in place carries ROUTE_PROTOCOL, and nothing else is touched.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ROUTE_PROTOCOL 125 /* as in ip-route(8)'s "proto" */
#define ROUTE_WANTED   4 /* rules and routes of one family */

/* Nobody's: 192.0.0.8 is the dummy address of RFC 7600. */
#define ROUTE_HOP_IPV4 "192.0.0.8"
#define ROUTE_HOP_IPV6 "fe80::25"
/* All's: from a unicast address, somebody could make the bridge learn it. */
#define ROUTE_HOP_MAC                                                          \
	{                                                                      \
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff                             \
	}
#define ROUTE_HOP_MAC_TEXT "ff:ff:ff:ff:ff:ff"

struct route_settings {
	uint32_t mark;
	uint32_t table; /* on a bridge, the next one too */
	uint32_t priority; /* of the first of three rules */
	const char
	    *bridge; /* NULL: none, what postern sends is routed as all */
};

/*
 * route_apply puts the rules and the routes of both families in place; what
 * postern left there under other settings goes.  A family that the host does
 * without is named in *absent ("IPv6") and skipped, else *absent is NULL.
 * Returns 0, or -1 with errno set and *what (static) saying what was being
 * done.
 */
int route_apply(
    const struct route_settings *, const char **absent, const char **what);

/* route_remove takes away whatever carries ROUTE_PROTOCOL; as route_apply. */
int route_remove(const char **what);

/* What of it is in place for one family. */
struct route_state {
	bool is_absent; /* the host does without the family */
	size_t others; /* of postern's, left there under other settings */
	size_t missing_count;
	struct {
		bool is_route;
		uint32_t number; /* the rule's priority, the route's table */
	} missing[ROUTE_WANTED];
};

/* route_look changes nothing; as route_apply otherwise. */
int route_look(sa_family_t, const struct route_settings *, struct route_state *,
    const char **what);

#endif
