/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_SERVER_NAMES_H
#define POSTERN_SERVER_NAMES_H

/*
 * The addresses of the hosts that server blocks name.  They are looked up when
 * somebody asks and their time to live is over; where that fails, the last
 * good ones stay in use for a day.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct blocks;
struct dns;
struct host_fact;
struct server_names;

#define SERVER_NAMES_LOOKUPS 256 /* at once */
/* Seconds. */
#define SERVER_TTL_MIN   30
#define SERVER_TTL_MAX   3600
#define SERVER_RETRY     30 /* after a failure */
#define SERVER_STALE_MAX 86400 /* last good addresses stay in use */

/*
 * server_names_new borrows all its arguments.  changed is called, from the
 * event loop, each time a lookup has ended.  NULL with errno ENOMEM.
 */
struct server_names *server_names_new(
    struct dns *, const struct blocks *, void (*changed)(void *arg), void *arg);
void server_names_free(struct server_names *);

/*
 * server_names_refresh starts the lookups that are due in that family.  True
 * where the facts may be used now, false where it is worth to wait for
 * `changed` and call again.  A host whose last lookup failed is never waited
 * for.
 */
bool server_names_refresh(struct server_names *, sa_family_t);

/*
 * server_names_facts returns a row for each of blocks->hosts, valid until the
 * next call of any function here.
 */
const struct host_fact *server_names_facts(struct server_names *, sa_family_t);

#endif
