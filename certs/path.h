/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_PATH_H
#define POSTERN_PATH_H

/*
 * The paths by which a leaf may lead to a trust anchor: through the
 * certificates that were sent, in whatever order, by names and key
 * identifiers.  Whether a path holds is for the caller to try.  Private to
 * certs.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "certs/verify.h"

#define PATH_STEPS_MAX 2048 /* certificates added to some path, in all */

struct cert;
struct store;

struct path {
	const struct cert *certs[VERIFY_DEPTH_MAX]; /* leaf to anchor */
	size_t len;
};

enum path_answer {
	PATH_NEXT,
	PATH_STOP
};

/* Signatures that failed, so that no other path goes that way again. */
struct path_edge {
	const struct cert *cert;
	const struct cert *issuer;
};

struct path_search {
	/* Set by the caller, who owns what they point to. */
	const struct cert *leaf;
	const struct cert *sent; /* the others; sent_count of them */
	size_t sent_count;
	const struct store *trust;
	int64_t at;
	/* Also take certificates that have a fault or are out of date. */
	bool takes_faulty;
	enum path_answer (*try)(void *arg, const struct path *);
	void *arg;
	/* Zero at the start. */
	struct path path;
	struct path dead_end; /* the longest path without an issuer */
	size_t steps;
	bool has_given_up; /* at PATH_STEPS_MAX */
	struct path_edge bad[VERIFY_WORK_MAX];
	size_t bad_count;
};

/*
 * path_search calls try with each path, anchors first at every step, so that
 * short ones come early; until it answers PATH_STOP, no path is left, or
 * PATH_STEPS_MAX is reached.
 */
void path_search(struct path_search *);
/* path_reject: that signature is not good.  May be called within try. */
void path_reject(
    struct path_search *, const struct cert *, const struct cert *issuer);

#endif
