/* SPDX-License-Identifier: ISC */
/*
 * A depth-first search, since a chain may offer several ways up and the first
 * may be a bad one: a cross certificate whose root has expired or is unknown
 * here (RFC 4158).  Its cost is bounded by depth and by steps, whatever a
 * hostile chain looks like.
 */

#include "certs/path.h"

#include "certs/cert.h"
#include "certs/store.h"

static enum path_answer extend(struct path_search *);

void
path_reject(struct path_search *search, const struct cert *cert,
    const struct cert *issuer)
{
	if (search->bad_count == VERIFY_WORK_MAX)
		return;
	search->bad[search->bad_count].cert = cert;
	search->bad[search->bad_count].issuer = issuer;
	search->bad_count++;
}

static bool
is_rejected(const struct path_search *search, const struct cert *cert,
    const struct cert *issuer)
{
	for (size_t i = 0; i < search->bad_count; i++) {
		if (search->bad[i].cert == cert &&
		    search->bad[i].issuer == issuer)
			return true;
	}
	return false;
}

static bool
is_usable(const struct path_search *search, const struct cert *cert,
    bool is_leaf, bool is_anchor)
{
	if (search->takes_faulty)
		return true;
	return cert->from <= search->at && search->at <= cert->until &&
	       cert_fault(cert, is_leaf, is_anchor) == NULL;
}

static bool
is_on_path(const struct path *path, const struct cert *cert)
{
	for (size_t i = 0; i < path->len; i++) {
		if (X509_cmp(path->certs[i]->x509, cert->x509) == 0)
			return true;
	}
	return false;
}

static const struct cert *
last(const struct path *path)
{
	return path->certs[path->len - 1];
}

/* Goes one certificate up; extend says what comes of it. */
static enum path_answer
step(struct path_search *search, const struct cert *issuer, bool is_anchor)
{
	struct path *path = &search->path;
	enum path_answer answer;

	if (search->steps == PATH_STEPS_MAX) {
		search->has_given_up = true;
		return PATH_STOP;
	}
	search->steps++;
	path->certs[path->len++] = issuer;
	if (is_anchor)
		answer = search->try(search->arg, path);
	else
		answer = extend(search);
	path->len--;
	return answer;
}

static bool
is_candidate(
    const struct path_search *search, const struct cert *issuer, bool is_anchor)
{
	const struct cert *cert = last(&search->path);

	/* One that signed itself leads nowhere else. */
	if (issuer->is_self_signed && !is_anchor)
		return false;
	return cert_names_issuer(cert, issuer) &&
	       !is_rejected(search, cert, issuer) &&
	       is_usable(search, issuer, false, is_anchor) &&
	       !is_on_path(&search->path, issuer);
}

/* The candidates that share the key identifier come first. */
static enum path_answer
try_issuers(struct path_search *search, const struct cert *issuers,
    size_t count, bool is_anchor, bool *found)
{
	const struct cert *cert = last(&search->path);

	for (int names_key = 1; names_key >= 0; names_key--) {
		for (size_t i = 0; i < count; i++) {
			if (!is_candidate(search, &issuers[i], is_anchor) ||
			    cert_names_key_of(cert, &issuers[i]) != names_key)
				continue;
			*found = true;
			if (step(search, &issuers[i], is_anchor) == PATH_STOP)
				return PATH_STOP;
		}
	}
	return PATH_NEXT;
}

static enum path_answer
extend(struct path_search *search)
{
	const struct cert *anchors;
	struct path *path = &search->path;
	bool found = false;
	size_t count;

	if (path->len == VERIFY_DEPTH_MAX)
		return PATH_NEXT;
	anchors = store_find(
	    search->trust, X509_get_issuer_name(last(path)->x509), &count);
	if (try_issuers(search, anchors, count, true, &found) == PATH_STOP ||
	    try_issuers(search, search->sent, search->sent_count, false,
		&found) == PATH_STOP)
		return PATH_STOP;
	if (!found && path->len > search->dead_end.len)
		search->dead_end = *path;
	return PATH_NEXT;
}

/* The anchor that is the leaf itself, byte for byte. */
static const struct cert *
find_leaf(const struct path_search *search)
{
	const struct cert *anchors;
	size_t count;

	anchors = store_find(
	    search->trust, X509_get_subject_name(search->leaf->x509), &count);
	for (size_t i = 0; i < count; i++) {
		if (X509_cmp(anchors[i].x509, search->leaf->x509) == 0)
			return &anchors[i];
	}
	return NULL;
}

void
path_search(struct path_search *search)
{
	const struct cert *anchor = find_leaf(search);

	if (anchor != NULL && is_usable(search, anchor, true, true) &&
	    step(search, anchor, true) == PATH_STOP)
		return;
	if (!is_usable(search, search->leaf, true, false))
		return;
	search->path.certs[0] = search->leaf;
	search->path.len = 1;
	/* Nobody but the trust file itself vouches for a self-signed leaf. */
	if (cert_signed_itself(search->leaf))
		search->dead_end = search->path;
	else
		extend(search);
	search->path.len = 0;
}
