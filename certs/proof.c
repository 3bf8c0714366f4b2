/* SPDX-License-Identifier: ISC */
/*
 * Tries paths within the bounds of verify.h until one holds.  path.c proposes
 * them, cert.c has judged their certificates one by one, path_check.c judges
 * each as a whole.
 */

#include "certs/proof.h"

#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "certs/date.h"
#include "certs/path_check.h"
#include "certs/store.h"

#define LABEL_MAX 128 /* "intermediate \"CN=...\"" */

void
proof_clear(struct proof *proof)
{
	for (size_t i = 0; i < proof->count; i++)
		cert_clear(&proof->certs[i]);
}

/* What stands behind the leaf may be unreadable, and then helps nobody. */
int
proof_init(struct proof *proof, const struct chain *chain,
    const struct verify_request *request, struct verify_report *report)
{
	memset(proof, 0, sizeof(*proof));
	proof->request = request;
	proof->work = request->spent != NULL ? *request->spent : 0;
	proof->report = report;
	for (size_t i = 0; i < chain_count(chain); i++) {
		if (cert_init(&proof->certs[proof->count],
			chain_buffer(chain, i)) == 0)
			proof->count++;
		else if (i == 0)
			return -1;
		else if (proof->unread == 0)
			proof->unread = i + 1;
	}
	return 0;
}

/* tell is kept unless something more telling comes, or came. */
__attribute__((format(printf, 4, 5))) static void
tell(struct proof *proof, enum telling telling, enum verify_result result,
    const char *format, ...)
{
	va_list arguments;

	if (telling <= proof->told)
		return;
	proof->told = telling;
	proof->report->result = result;
	va_start(arguments, format);
	vsnprintf(proof->report->text, VERIFY_TEXT_MAX, format, arguments);
	va_end(arguments);
}

static const char *
label(const struct path *path, size_t i, char out[LABEL_MAX])
{
	char name[CERT_NAME_MAX];

	if (i == 0)
		snprintf(out, LABEL_MAX, "certificate");
	else
		snprintf(out, LABEL_MAX, "%s \"%s\"",
		    i == path->len - 1 ? "trust anchor" : "intermediate",
		    cert_subject_text(path->certs[i], name));
	return out;
}

static bool
breaks_rule(struct proof *proof, const struct path *path)
{
	char who[LABEL_MAX];
	const char *fault;
	size_t at;

	for (size_t i = 0; i < path->len; i++) {
		fault = cert_fault(path->certs[i], i == 0, i == path->len - 1);
		if (fault == NULL)
			continue;
		tell(proof, TELLING_FORBIDDEN, VERIFY_FAILURE, "%s %s",
		    label(path, i, who), fault);
		return true;
	}
	fault = path_rule_broken(path, &proof->names, &at);
	if (fault == NULL)
		return false;
	tell(proof, TELLING_FORBIDDEN, VERIFY_FAILURE, "%s %s",
	    label(path, at, who), fault);
	return true;
}

static void
tell_invalid(
    struct proof *proof, const struct path *path, int error, size_t depth)
{
	char who[LABEL_MAX], by[LABEL_MAX];

	switch (error) {
	case X509_V_ERR_OUT_OF_MEM:
		tell(proof, TELLING_BROKEN, VERIFY_FAILURE, "out of memory");
		return;
	case X509_V_ERR_APPLICATION_VERIFICATION:
		return; /* told of the shorter way */
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		if (depth + 1 >= path->len)
			break; /* not so: an anchor's is not looked at */
		path_reject(
		    &proof->search, path->certs[depth], path->certs[depth + 1]);
		tell(proof, TELLING_SIGNATURE, VERIFY_NOT_TRUSTED,
		    "the signature of the %s is not by %s",
		    label(path, depth, who), label(path, depth + 1, by));
		return;
	case X509_V_ERR_PERMITTED_VIOLATION:
	case X509_V_ERR_EXCLUDED_VIOLATION:
		tell(proof, TELLING_FORBIDDEN, VERIFY_FAILURE,
		    "%s has a name that the name constraints above it do not "
		    "allow",
		    label(path, depth < path->len ? depth : 0, who));
		return;
	}
	tell(proof, TELLING_FORBIDDEN, VERIFY_FAILURE, "%s: %s",
	    label(path, depth < path->len ? depth : 0, who),
	    X509_verify_cert_error_string(error));
}

/* The narrowest validity of the path, and the first that is out of it. */
static bool
is_current(struct proof *proof, const struct path *path, size_t *first)
{
	struct verify_report *report = proof->report;
	int64_t at = proof->request->at;
	bool current = true;

	report->from = INT64_MIN;
	report->until = INT64_MAX;
	for (size_t i = path->len; i-- > 0;) {
		const struct cert *cert = path->certs[i];

		if (report->from < cert->from)
			report->from = cert->from;
		if (report->until > cert->until)
			report->until = cert->until;
		if (at < cert->from || at > cert->until) {
			current = false;
			*first = i;
		}
	}
	return current;
}

static void
tell_outdated(struct proof *proof, const struct path *path, size_t i)
{
	const struct cert *cert = path->certs[i];
	char who[LABEL_MAX], date[DATE_TEXT_MAX];

	if (proof->request->at < cert->from)
		tell(proof, TELLING_OUTDATED, VERIFY_EXPIRED,
		    "%s is not valid before %s", label(path, i, who),
		    date_text(cert->from, date));
	else
		tell(proof, TELLING_OUTDATED, VERIFY_EXPIRED,
		    "%s expired on %s", label(path, i, who),
		    date_text(cert->until + 1, date));
}

static void
tell_proved(struct verify_report *report, const struct path *path)
{
	char name[CERT_NAME_MAX];
	size_t used = 0;

	report->text[0] = '\0';
	for (size_t i = 1; i < path->len && used < VERIFY_TEXT_MAX; i++)
		used += (size_t)snprintf(report->text + used,
		    VERIFY_TEXT_MAX - used, "%s\"%s\"", i == 1 ? "" : " < ",
		    cert_subject_text(path->certs[i], name));
	if (path->len == 1)
		snprintf(
		    report->text, VERIFY_TEXT_MAX, "itself in the trust file");
}

/* Signature checks are what a chain costs. */
static void
spend(struct proof *proof, size_t checks)
{
	proof->work += checks;
	if (proof->request->spent != NULL)
		*proof->request->spent = proof->work;
}

/*
 * One path more.  An anchor alone has no signature to check.  In the second
 * search nothing is proved: a path without fault was tried in the first.
 */
static enum path_answer
try_path(void *arg, const struct path *path)
{
	struct proof *proof = arg;
	size_t outdated = 0, depth = 0;
	bool current;
	int error = X509_V_OK;

	if (proof->paths == VERIFY_PATHS_MAX ||
	    proof->work + path->len - 1 > VERIFY_WORK_MAX) {
		tell(proof, TELLING_GAVE_UP, VERIFY_FAILURE,
		    "gave up after %zu paths", proof->paths);
		return PATH_STOP;
	}
	proof->paths++;
	if (breaks_rule(proof, path))
		return PATH_NEXT;
	current = is_current(proof, path, &outdated);
	if (current && proof->search.takes_faulty)
		return PATH_NEXT;
	if (path->len > 1) {
		spend(proof, path->len - 1);
		error = path_validate(path, proof->request, current, &depth);
	}
	if (error != X509_V_OK) {
		tell_invalid(proof, path, error, depth);
		return PATH_NEXT;
	}
	if (!current) {
		tell_outdated(proof, path, outdated);
		return PATH_NEXT;
	}
	tell_proved(proof->report, path);
	proof->anchor = path->certs[path->len - 1];
	proof->is_proved = true;
	return PATH_STOP;
}

/* Whether somebody who could have issued end is among count certificates. */
static const struct cert *
find_issuer(const struct cert *end, const struct cert *certs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (cert_names_issuer(end, &certs[i]))
			return &certs[i];
	}
	return NULL;
}

/* What makes an anchor of a certificate: a file, or TLSA records. */
static bool
is_by_file(const struct proof *proof)
{
	return proof->request->tlsa_count == 0;
}

static void
tell_dead_end(struct proof *proof, const struct cert *end, bool is_leaf)
{
	const char *whose = is_leaf ? "certificate" : "last certificate";
	const char *is_no_anchor = is_by_file(proof)
	                               ? "is not in the trust file"
	                               : "matches no TLSA record";
	const struct cert *sent;
	char name[CERT_NAME_MAX];
	size_t namesakes;

	cert_issuer_text(end, name);
	store_find(
	    proof->request->trust, X509_get_issuer_name(end->x509), &namesakes);
	sent = find_issuer(end, &proof->certs[1], proof->count - 1);
	if (is_leaf && cert_signed_itself(end))
		tell(proof, TELLING_NO_PATH, VERIFY_NOT_TRUSTED,
		    "self-signed certificate");
	else if (sent != NULL && sent->is_self_signed)
		tell(proof, TELLING_NO_PATH, VERIFY_NOT_TRUSTED,
		    "no path to a trusted root: the root \"%s\" that was sent "
		    "%s",
		    name, is_no_anchor);
	else if (sent != NULL)
		tell(proof, TELLING_NO_PATH, VERIFY_NOT_TRUSTED,
		    "no path to a trusted root: the certificates that were "
		    "sent go in a circle");
	else if (namesakes > 0)
		tell(proof, TELLING_NO_PATH, VERIFY_NOT_TRUSTED,
		    "no path to a trusted root: issuer \"%s\" of the %s has "
		    "another key than the one %s",
		    name, whose,
		    is_by_file(proof) ? "in the trust file"
				      : "of its TLSA record");
	else
		tell(proof, TELLING_NO_PATH, VERIFY_NOT_TRUSTED,
		    "no path to a trusted root: issuer \"%s\" of the %s %s and "
		    "was not sent",
		    name, whose, is_no_anchor);
}

static void
tell_no_path(struct proof *proof)
{
	const struct path *path = &proof->search.dead_end;

	if (proof->search.has_given_up)
		tell(proof, TELLING_GAVE_UP, VERIFY_FAILURE,
		    "gave up after %d certificates on paths", PATH_STEPS_MAX);
	else if (proof->unread > 0)
		tell(proof, TELLING_NO_PATH, VERIFY_FAILURE,
		    "no path to a trusted root: certificate %zu of the chain "
		    "cannot be read",
		    proof->unread);
	else if (path->len > 0)
		tell_dead_end(
		    proof, path->certs[path->len - 1], path->len == 1);
	else
		tell(proof, TELLING_NO_PATH, VERIFY_NOT_TRUSTED,
		    "no path of at most %d certificates to a trusted root",
		    VERIFY_DEPTH_MAX);
}

/*
 * A first search takes certificates only that can be on a good path.  What the
 * second finds proves nothing; it only says what is wrong.
 */
enum verify_result
proof_find_path(struct proof *proof)
{
	struct path_search *search = &proof->search;

	search->leaf = &proof->certs[0];
	search->sent = &proof->certs[1];
	search->sent_count = proof->count - 1;
	search->trust = proof->request->trust;
	search->at = proof->request->at;
	search->try = try_path;
	search->arg = proof;
	path_search(search);
	if (proof->is_proved)
		return VERIFY_PROVED;
	memset(&search->dead_end, 0, sizeof(search->dead_end));
	search->takes_faulty = true;
	path_search(search);
	tell_no_path(proof);
	return proof->report->result;
}
