/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_PROBE_SERVER_H
#define POSTERN_PROBE_SERVER_H

/*
 * One address: the decision for it, asked as a relay asks, a handshake as a
 * relay makes it, with another SNI where that may help, and the verdict.
 */

#include <sys/queue.h>

#include "proxy/probe.h"

struct endpoints;
struct event_base;
struct policy_client;
struct reaper;
struct settings;
struct tls_client;

struct probe_dial;
LIST_HEAD(probe_dial_list, probe_dial);

/* What all of them share; outlives them. */
struct probe_context {
	struct event_base *base;
	struct policy_client *policy;
	struct tls_client *tls;
	struct reaper *reaper;
	struct endpoints *endpoints;
	struct settings *settings;
	const char *domain;
	uint32_t limit; /* seconds for all of it, to be told */
	const char *hello; /* our name; NULL: the address we come from */
	struct probe_dial_list dials; /* those that go on; begins empty */
};

/*
 * probe_dial_start tries server->address and fills in the rest of server;
 * done is called once, perhaps before this returns, when that is over.
 */
void probe_dial_start(struct probe_context *, struct probe_server *,
    void (*done)(void *arg), void *arg);
/*
 * probe_dial_stop_all ends those that go on, calling done for each: what an
 * earlier connection came to stands, and the others are UNFINISHED.  done must
 * not start any.
 */
void probe_dial_stop_all(struct probe_context *);
/* For an address that was never tried, too. */
void probe_dial_unfinished(const struct probe_context *, struct probe_server *);

#endif
