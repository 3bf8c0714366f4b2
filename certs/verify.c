/* SPDX-License-Identifier: ISC */
/*
 * The verdict on a chain.  path.c proposes paths, cert.c has judged their
 * certificates one by one, X509_verify_cert does RFC 5280 path validation on
 * each path as a whole; here stand the rules between them, the names, the
 * bounds, and the choice of what to tell.
 */

#include "certs/verify.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "certs/cert.h"
#include "certs/chain.h"
#include "certs/date.h"
#include "certs/name.h"
#include "certs/path.h"
#include "certs/store.h"
#include "proxy/base/log.h"

#define LABEL_MAX 128 /* "intermediate \"CN=...\"" */

/* Reasons not to be trusted, the less telling before the more telling. */
enum telling {
	TELLING_NOTHING,
	TELLING_NO_PATH,
	TELLING_SIGNATURE, /* a path that names alone made */
	TELLING_GAVE_UP,
	TELLING_FORBIDDEN, /* a path that breaks a rule */
	TELLING_OUTDATED,  /* a path that was good, or will be */
	TELLING_BROKEN,	   /* no verdict can be had */
};

struct proof {
	const struct verify_request *request;
	struct verify_report	    *report;
	struct path_search	     search;
	struct cert		     certs[CHAIN_CERTS_MAX]; /* leaf first */
	size_t			     count;
	size_t			     unread; /* of the chain, from 1; 0: none */
	size_t			     paths; /* spent of VERIFY_PATHS_MAX */
	size_t			     work;
	size_t			     names;
	enum telling		     told;
	bool			     is_proved;
};

const char *
verify_result_word(enum verify_result result)
{
	switch (result) {
	case VERIFY_PROVED:
		return "";
	case VERIFY_HOST_MISMATCH:
		return "certificate-host-mismatch";
	case VERIFY_EXPIRED:
		return "certificate-expired";
	case VERIFY_NOT_TRUSTED:
		return "certificate-not-trusted";
	case VERIFY_FAILURE:
		return "validation-failure";
	}
	return "validation-failure";
}

__attribute__((format(printf, 3, 0))) static enum verify_result
set_report(struct verify_report *report, enum verify_result result,
    const char *format, va_list arguments)
{
	report->result = result;
	vsnprintf(report->text, sizeof(report->text), format, arguments);
	return result;
}

/* refuse is the last word. */
__attribute__((format(printf, 3, 4))) static enum verify_result
refuse(struct verify_report *report, enum verify_result result,
    const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	set_report(report, result, format, arguments);
	va_end(arguments);
	return result;
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
	va_start(arguments, format);
	set_report(proof->report, result, format, arguments);
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

/*
 * RFC 5280 6.1.4 (l) and (m): certificates that an authority issued to itself
 * do not count.  The anchor's own limit is kept as well.
 */
static bool
is_too_long(const struct path *path, size_t *by)
{
	long below = 0;

	for (size_t i = 1; i < path->len; i++) {
		const struct cert *cert = path->certs[i];

		if (cert->path_length != -1 && below > cert->path_length) {
			*by = i;
			return true;
		}
		if (!cert->is_self_issued)
			below++;
	}
	return false;
}

static size_t
count_names(const struct cert *cert)
{
	int subject;

	subject = X509_NAME_entry_count(X509_get_subject_name(cert->x509));
	return 1 + (size_t)subject +
	    name_list_count(CBS_data(&cert->names), CBS_len(&cert->names));
}

/*
 * Every name below is compared with every subtree: what that costs grows with
 * the product, and is bounded for the whole chain (CVE-2018-16875).
 */
static bool
has_too_many_names(struct proof *proof, const struct path *path)
{
	size_t below = 0, subtrees;

	for (size_t i = 0; i < path->len; i++) {
		const CBS *constraints = &path->certs[i]->constraints;

		subtrees = name_constraints_count(CBS_data(constraints),
		    CBS_len(constraints));
		if (subtrees > 0 &&
		    below > (VERIFY_NAMES_MAX - proof->names) / subtrees)
			return true;
		proof->names += below * subtrees;
		below += count_names(path->certs[i]);
	}
	return false;
}

static bool
excludes_wildcard(const struct path *path, size_t *by)
{
	const CBS *names = &path->certs[0]->names;

	for (size_t i = 1; i < path->len; i++) {
		const CBS *constraints = &path->certs[i]->constraints;

		if (name_constraints_exclude_wildcard(CBS_data(constraints),
			CBS_len(constraints), CBS_data(names),
			CBS_len(names))) {
			*by = i;
			return true;
		}
	}
	return false;
}

static bool
breaks_rule(struct proof *proof, const struct path *path)
{
	char who[LABEL_MAX];
	const char *fault;
	size_t by;

	for (size_t i = 0; i < path->len; i++) {
		fault = cert_fault(path->certs[i], i == 0, i == path->len - 1);
		if (fault == NULL)
			continue;
		tell(proof, TELLING_FORBIDDEN, VERIFY_FAILURE, "%s %s",
		    label(path, i, who), fault);
		return true;
	}
	if (is_too_long(path, &by)) {
		tell(proof, TELLING_FORBIDDEN, VERIFY_FAILURE,
		    "%s does not allow so long a path below it",
		    label(path, by, who));
		return true;
	}
	if (has_too_many_names(proof, path)) {
		tell(proof, TELLING_FORBIDDEN, VERIFY_FAILURE,
		    "too many names to hold against name constraints");
		return true;
	}
	if (excludes_wildcard(path, &by)) {
		tell(proof, TELLING_FORBIDDEN, VERIFY_FAILURE,
		    "%s excludes names that the certificate's wildcard covers",
		    label(path, by, who));
		return true;
	}
	return false;
}

/*
 * For paths that are out of date, where nothing is proved any more: is the
 * date all that is wrong?
 */
static int
pass_over_dates(int ok, X509_STORE_CTX *context)
{
	switch (X509_STORE_CTX_get_error(context)) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return 1;
	}
	return ok;
}

/* The context borrows what the stacks hold; the stacks are the caller's. */
static bool
context_set(X509_STORE_CTX *context, const struct path *path,
    const struct verify_request *request, STACK_OF(X509) *between,
    STACK_OF(X509) *anchors, bool is_current)
{
	const struct cert *anchor = path->certs[path->len - 1];
	X509_VERIFY_PARAM *param;

	for (size_t i = 1; i < path->len - 1; i++) {
		if (sk_X509_push(between, path->certs[i]->x509) == 0)
			return false;
	}
	if (sk_X509_push(anchors, anchor->x509) == 0 ||
	    X509_STORE_CTX_init(context, store_x509(request->trust),
		path->certs[0]->x509, between) != 1)
		return false;
	X509_STORE_CTX_trusted_stack(context, anchors);
	param = X509_STORE_CTX_get0_param(context);
	X509_VERIFY_PARAM_set_time(param, request->at);
	if (!anchor->is_self_signed &&
	    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN) != 1)
		return false;
	if (!is_current)
		X509_STORE_CTX_set_verify_cb(context, pass_over_dates);
	return X509_STORE_CTX_set_purpose(context,
		   X509_PURPOSE_SSL_SERVER) == 1 &&
	    X509_STORE_CTX_set_trust(context, X509_TRUST_SSL_SERVER) == 1;
}

/* Whether the context's chain is the path, and not some other that fits. */
static bool
is_verified_path(X509_STORE_CTX *context, const struct path *path)
{
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(context);

	if (sk_X509_num(chain) != path->len)
		return false;
	for (size_t i = 0; i < path->len; i++) {
		if (sk_X509_value(chain, i) != path->certs[i]->x509)
			return false;
	}
	return true;
}

/*
 * X509_V_OK, or what X509_verify_cert found, with the depth it found it at.
 * It reports what it is by its result: 1 is success, everything else is not
 * (CVE-2021-4044).
 */
static int
validate(const struct path *path, const struct verify_request *request,
    bool is_current, size_t *depth)
{
	STACK_OF(X509) *between = sk_X509_new_null();
	STACK_OF(X509) *anchors = sk_X509_new_null();
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	int error = X509_V_ERR_OUT_OF_MEM;

	*depth = 0;
	if (between == NULL || anchors == NULL || context == NULL ||
	    !context_set(context, path, request, between, anchors, is_current))
		goto out;
	if (X509_verify_cert(context) == 1) {
		error = X509_V_ERR_UNSPECIFIED;
		if (is_verified_path(context, path))
			error = X509_V_OK;
	} else {
		error = X509_STORE_CTX_get_error(context);
		*depth = (size_t)X509_STORE_CTX_get_error_depth(context);
		if (error == X509_V_OK)
			error = X509_V_ERR_UNSPECIFIED;
	}
out:
	X509_STORE_CTX_free(context);
	sk_X509_free(anchors);
	sk_X509_free(between);
	return error;
}

static void
tell_invalid(struct proof *proof, const struct path *path, int error,
    size_t depth)
{
	char who[LABEL_MAX], by[LABEL_MAX];

	switch (error) {
	case X509_V_ERR_OUT_OF_MEM:
		tell(proof, TELLING_BROKEN, VERIFY_FAILURE, "out of memory");
		return;
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		if (depth + 1 >= path->len)
			break;
		path_reject(&proof->search, path->certs[depth],
		    path->certs[depth + 1]);
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
		snprintf(report->text, VERIFY_TEXT_MAX,
		    "itself in the trust file");
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
		proof->work += path->len - 1;
		error = validate(path, proof->request, current, &depth);
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

static void
tell_dead_end(struct proof *proof, const struct cert *end, bool is_leaf)
{
	const char *whose = is_leaf ? "certificate" : "last certificate";
	const struct cert *sent;
	char name[CERT_NAME_MAX];
	size_t namesakes;

	cert_issuer_text(end, name);
	store_find(proof->request->trust, X509_get_issuer_name(end->x509),
	    &namesakes);
	sent = find_issuer(end, proof->certs, proof->count);
	if (is_leaf && end->is_self_issued)
		tell(proof, TELLING_NO_PATH, VERIFY_NOT_TRUSTED,
		    "self-signed certificate");
	else if (sent != NULL && sent->is_self_signed)
		tell(proof, TELLING_NO_PATH, VERIFY_NOT_TRUSTED,
		    "no path to a trusted root: the root \"%s\" that was sent "
		    "is not in the trust file",
		    name);
	else if (sent != NULL)
		tell(proof, TELLING_NO_PATH, VERIFY_NOT_TRUSTED,
		    "no path to a trusted root: the certificates that were "
		    "sent go in a circle");
	else if (namesakes > 0)
		tell(proof, TELLING_NO_PATH, VERIFY_NOT_TRUSTED,
		    "no path to a trusted root: issuer \"%s\" of the %s has "
		    "another key than the one in the trust file",
		    name, whose);
	else
		tell(proof, TELLING_NO_PATH, VERIFY_NOT_TRUSTED,
		    "no path to a trusted root: issuer \"%s\" of the %s is "
		    "not in the trust file and was not sent",
		    name, whose);
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
		tell_dead_end(proof, path->certs[path->len - 1],
		    path->len == 1);
	else
		tell(proof, TELLING_NO_PATH, VERIFY_NOT_TRUSTED,
		    "no path of at most %d certificates to a trusted root",
		    VERIFY_DEPTH_MAX);
}

/*
 * A first search takes certificates only that can be on a good path.  What the
 * second finds proves nothing; it only says what is wrong.
 */
static enum verify_result
find_path(struct proof *proof)
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

static void
proof_clear(struct proof *proof)
{
	for (size_t i = 0; i < proof->count; i++)
		cert_clear(&proof->certs[i]);
}

static bool
is_repeated(const struct chain *chain, size_t at)
{
	const uint8_t *der;
	CBS earlier;
	size_t len;

	der = chain_der(chain, at, &len);
	for (size_t i = 0; i < at; i++) {
		CRYPTO_BUFFER_init_CBS(chain_buffer(chain, i), &earlier);
		if (CBS_mem_equal(&earlier, der, len))
			return true;
	}
	return false;
}

/* What stands behind the leaf may be unreadable, and then helps nobody. */
static int
proof_read(struct proof *proof, const struct chain *chain)
{
	for (size_t i = 0; i < chain_count(chain); i++) {
		if (is_repeated(chain, i))
			continue;
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

static bool
has_asked_name(const struct verify_request *request, const CBS *names,
    char matched[VERIFY_NAME_MAX])
{
	const uint8_t *der = CBS_data(names);
	size_t len = CBS_len(names);

	matched[0] = '\0';
	if (request->name_count == 0 && request->ip == NULL)
		return true;
	for (size_t i = 0; i < request->name_count; i++) {
		if (name_list_has_host(der, len, request->names[i])) {
			snprintf(matched, VERIFY_NAME_MAX, "%s",
			    request->names[i]);
			return true;
		}
	}
	return request->ip != NULL &&
	    name_list_has_ip(der, len, request->ip, request->ip_len) &&
	    inet_ntop(request->ip_len == 4 ? AF_INET : AF_INET6, request->ip,
		matched, VERIFY_NAME_MAX) != NULL;
}

static const char *
asked_text(const struct verify_request *request, char out[VERIFY_NAME_MAX])
{
	size_t more = request->name_count;

	if (request->name_count > 0) {
		log_escape(out, VERIFY_NAME_MAX, request->names[0],
		    strlen(request->names[0]));
		more--;
	} else if (inet_ntop(request->ip_len == 4 ? AF_INET : AF_INET6,
		       request->ip, out, VERIFY_NAME_MAX) == NULL)
		out[0] = '\0';
	if (request->name_count > 0 && request->ip != NULL)
		more++;
	if (more > 0)
		snprintf(out + strlen(out), VERIFY_NAME_MAX - strlen(out),
		    " (%zu more)", more);
	return out;
}

static enum verify_result
refuse_names(struct proof *proof)
{
	const CBS *names = &proof->certs[0].names;
	char has[VERIFY_NAME_MAX / 2], asked[VERIFY_NAME_MAX];

	asked_text(proof->request, asked);
	name_list_text(CBS_data(names), CBS_len(names), has, sizeof(has));
	if (has[0] == '\0')
		return refuse(proof->report, VERIFY_HOST_MISMATCH,
		    "certificate has no name in subjectAltName; not for %s",
		    asked);
	return refuse(proof->report, VERIFY_HOST_MISMATCH,
	    "certificate is for %s, not for %s", has, asked);
}

static enum verify_result
check_pin(const struct chain *chain, const struct verify_request *request,
    struct verify_report *report)
{
	char hex[2 * 32 + 1];
	const uint8_t *der;
	uint8_t key[32];
	size_t len;

	der = chain_der(chain, 0, &len);
	if (cert_spki_sha256(der, len, key) == -1)
		return refuse(report, VERIFY_FAILURE,
		    "certificate cannot be read");
	for (size_t i = 0; i < request->pin_count; i++) {
		if (memcmp(key, request->pins[i], sizeof(key)) == 0)
			return report->result = VERIFY_PROVED;
	}
	for (size_t i = 0; i < sizeof(key); i++)
		snprintf(hex + 2 * i, 3, "%02x", key[i]);
	return refuse(report, VERIFY_NOT_TRUSTED,
	    "the certificate's key sha256:%s is not pinned", hex);
}

static enum verify_result
check_pin_alone(const struct chain *chain,
    const struct verify_request *request, struct verify_report *report)
{
	if (request->pin_count == 0)
		return refuse(report, VERIFY_FAILURE,
		    "neither trust nor a pin to prove it by");
	if (check_pin(chain, request, report) != VERIFY_PROVED)
		return report->result;
	snprintf(report->text, sizeof(report->text), "its pinned key");
	report->from = INT64_MIN;
	report->until = INT64_MAX;
	return VERIFY_PROVED;
}

static enum verify_result
check_chain(struct proof *proof, const struct chain *chain)
{
	struct verify_report *report = proof->report;

	if (proof_read(proof, chain) == -1)
		return refuse(report, VERIFY_FAILURE,
		    "certificate cannot be read");
	if (find_path(proof) != VERIFY_PROVED)
		return report->result;
	if (!has_asked_name(proof->request, &proof->certs[0].names,
		report->matched))
		return refuse_names(proof);
	if (proof->request->pin_count > 0)
		return check_pin(chain, proof->request, report);
	return report->result = VERIFY_PROVED;
}

/*
 * BoringSSL's functions do not all tell a lack of memory from another answer,
 * but leave it in the error queue.
 */
static bool
has_run_out_of_memory(void)
{
	uint32_t error;

	while ((error = ERR_get_error()) != 0) {
		if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
			return true;
	}
	return false;
}

enum verify_result
verify_chain(const struct chain *chain, const struct verify_request *request,
    struct verify_report *report)
{
	struct proof proof = {.request = request, .report = report};

	memset(report, 0, sizeof(*report));
	report->result = VERIFY_FAILURE;
	ERR_clear_error();
	if (request->trust == NULL)
		check_pin_alone(chain, request, report);
	else
		check_chain(&proof, chain);
	proof_clear(&proof);
	if (has_run_out_of_memory())
		refuse(report, VERIFY_FAILURE, "out of memory");
	ERR_clear_error();
	if (report->result != VERIFY_PROVED) {
		report->matched[0] = '\0';
		report->from = report->until = 0;
	}
	return report->result;
}

const char *
verify_leaf_names(const struct chain *chain, char out[VERIFY_TEXT_MAX])
{
	struct cert leaf;

	out[0] = '\0';
	if (cert_init(&leaf, chain_buffer(chain, 0)) == 0)
		name_list_text(CBS_data(&leaf.names), CBS_len(&leaf.names),
		    out, VERIFY_TEXT_MAX);
	cert_clear(&leaf);
	ERR_clear_error();
	return out;
}
