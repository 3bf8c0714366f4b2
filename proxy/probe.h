/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_PROBE_H
#define POSTERN_PROBE_H

/*
 * What would happen to mail for a domain now: its MX hosts and the evidence
 * for them, a handshake with each of their addresses, and the verdict on it.
 * It is found by the code that relays and judges mail, and shown as text or
 * JSON.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "proxy/base/address.h"
#include "proxy/policy/decision.h"
#include "proxy/policy/facts.h"
#include "proxy/session/server_leg.h"
#include "proxy/session/verdict.h"

#define PROBE_SERVERS_MAX     128 /* addresses tried of one domain */
#define PROBE_DIALS_MAX       16 /* at once */
#define PROBE_CERTS_MAX       8 /* of one chain that are told */
#define PROBE_TRIES_MAX       6 /* connections to one address */
#define PROBE_CONNECT_SECONDS 10
#define PROBE_TIMEOUT_SECONDS 30 /* for each other step of a dialogue */
#define PROBE_TIMEOUT_MAX     3600
#define PROBE_LIMIT_SECONDS   120 /* for all of it, if not told otherwise */
#define PROBE_LIMIT_STEPS     4 /* or as many timeouts, if that is longer */
#define PROBE_LIMIT_MAX       (PROBE_LIMIT_STEPS * PROBE_TIMEOUT_MAX)
#define PROBE_LINGER_SECONDS  2 /* for servers to end the connections */
#define PROBE_ERROR_MAX       512 /* as PLAN_ERROR_MAX */
#define PROBE_TEXT_MAX        64

struct config;
struct description;

struct probe_request {
	const char *domain; /* A-labels, lower case, no dot at the end */
	const char *mx; /* this host only; NULL: all */
	struct address address; /* this one only; AF_UNSPEC: all */
	sa_family_t family; /* of addresses; AF_UNSPEC: both */
	uint32_t timeout; /* seconds for each step of a dialogue */
	uint32_t limit; /* seconds for all of it */
};

enum probe_outcome {
	PROBE_PROVED,
	PROBE_EXCEPTION, /* may pass unproved, by the operator's rule */
	PROBE_REFUSED,
	PROBE_NO_SERVER, /* no connection, or no SMTP: the sender is told 421 */
	PROBE_UNFINISHED, /* the request's limit came first */
};
/* "proved", "exception", "refused", "no-server", "unfinished". */
const char *probe_outcome_text(enum probe_outcome);

/* One address that was tried. */
struct probe_server {
	struct address address;
	/* Whose it is; borrowed.  NULL: no MX host's of the domain. */
	const struct mx_host *host;
	char greeting[SERVER_TEXT_MAX]; /* its first line; "": none came */
	/* The SNI of each connection that was made, "" for none. */
	size_t try_count;
	char tries[PROBE_TRIES_MAX][DECISION_NAME_MAX];
	/* Of the connection that the verdict is on; "": TLS did not come up. */
	char version[PROBE_TEXT_MAX];
	char cipher[PROBE_TEXT_MAX];
	char group[PROBE_TEXT_MAX];
	char sni[DECISION_NAME_MAX];
	size_t cert_count; /* of the chain that was shown, and told here */
	size_t certs_left_out;
	struct description *certs; /* owned; leaf first */
	enum probe_outcome outcome;
	/* Of NO_SERVER and UNFINISHED only its text means anything. */
	struct verdict verdict;
};

/* Texts in it are printable ASCII. */
struct probe_result {
	const struct probe_request *request; /* borrowed */
	int64_t at; /* wall time, seconds */
	struct facts *facts; /* owned */
	/*
	 * The request's mx, where it is none of the domain's MX hosts, and
	 * what is known of it (NULL: nothing).
	 */
	bool is_stranger;
	struct facts *stranger; /* owned */
	/* The hosts that count, best preference first; of facts, stranger. */
	size_t host_count;
	const struct mx_host *hosts[DECISION_NAMES_MAX];
	size_t server_count; /* host by host */
	struct probe_server servers[PROBE_SERVERS_MAX];
	/* What a bound here, in the facts or in the DNS left out. */
	size_t left_out; /* addresses */
	size_t hosts_left_out;
};

/*
 * probe_run looks everything up and tries it, which takes a while.  It takes
 * config over; request stays the caller's and must outlive the result.  As
 * root it gives that up for config's user.  From then on the process is in a
 * relay's jail: it can print the result, and little else.  NULL with a message
 * for the operator in error.
 */
struct probe_result *probe_run(
    const struct probe_request *, struct config *, char error[PROBE_ERROR_MAX]);
void probe_result_free(struct probe_result *);

/* Whether it asks for addresses of this family. */
bool probe_wants_family(const struct probe_request *, sa_family_t);
/* Whether all lookups of addresses that are asked for told something. */
bool probe_host_is_known(const struct probe_result *, const struct mx_host *);
/*
 * Proved at each of its addresses that are asked for; these must be known, and
 * there must be one.
 */
bool probe_host_is_proved(const struct probe_result *, const struct mx_host *);
/*
 * Each host that counts is proved, and so is each address beside them; nothing
 * was left out.
 */
bool probe_is_proved(const struct probe_result *);
size_t probe_count_proved(const struct probe_result *); /* hosts */

/* probe_text.c, probe_json.c; -1 where it cannot be written. */
int probe_print_text(FILE *, const struct probe_result *);
int probe_print_json(FILE *, const struct probe_result *);

#endif
