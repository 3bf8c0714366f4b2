/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_PROOF_H
#define POSTERN_PROOF_H

/*
 * The search for a path that proves a chain's leaf, whatever its names, and
 * for what to tell where there is none.  Private to certs.
 */

#include <stdbool.h>
#include <stddef.h>

#include "certs/cert.h"
#include "certs/chain.h"
#include "certs/path.h"
#include "certs/verify.h"

/* Reasons not to be trusted, the less telling before the more telling. */
enum telling {
	TELLING_NOTHING,
	TELLING_NO_PATH,
	TELLING_SIGNATURE, /* a path that names alone made */
	TELLING_GAVE_UP,
	TELLING_FORBIDDEN, /* a path that breaks a rule */
	TELLING_OUTDATED, /* a path that was good, or will be */
	TELLING_BROKEN, /* no verdict can be had */
};

/*
 * For others: certs, which are those that can be read, told, and after a proof
 * anchor, which belongs to the store.
 */
struct proof {
	const struct verify_request *request;
	struct verify_report *report;
	struct path_search search;
	struct cert certs[CHAIN_CERTS_MAX]; /* leaf first */
	size_t count;
	size_t unread; /* of the chain, from 1; 0: none */
	size_t paths; /* spent of VERIFY_PATHS_MAX */
	size_t work;
	size_t names;
	enum telling told;
	const struct cert *anchor; /* of the path that proves it */
	bool is_proved;
};

/*
 * proof_init parses the chain.  Request and report are borrowed until
 * proof_clear.  Returns 0, or -1 where the leaf cannot be read.
 */
int proof_init(struct proof *, const struct chain *,
    const struct verify_request *, struct verify_report *);
void proof_clear(struct proof *);

/*
 * proof_find_path returns VERIFY_PROVED, with the path and its dates in the
 * report, whose result it leaves to others; or another result, told in the
 * report.
 */
enum verify_result proof_find_path(struct proof *);

#endif
