/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_ROUTE_H
#define POSTERN_ROUTE_H

/*
 * The policy routing that TPROXY needs: packets that arrive with postern's
 * mark are delivered to this host, whatever their destination.  Everything
 * that is put in place carries ROUTE_PROTOCOL, and nothing else is touched.
 */

#include <stddef.h>
#include <stdint.h>

#define ROUTE_PROTOCOL 125 /* as in ip-route(8)'s "proto" */

/*
 * route_apply puts the rules (priorities from route_priority on, three of
 * them) and the route of both families in place; what postern left there
 * under other settings goes.  A family that the host does without is named in
 * *absent ("IPv6") and skipped, else *absent is NULL.  Returns 0, or -1 with
 * errno set and *what (static) saying what was being done.
 */
int route_apply(uint32_t mark, uint32_t table, uint32_t priority,
    const char **absent, const char **what);

/* route_remove takes away whatever carries ROUTE_PROTOCOL; as route_apply. */
int route_remove(const char **what);

#endif
