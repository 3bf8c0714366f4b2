/* SPDX-License-Identifier: ISC */
/*
 * RFC 5280 path validation by X509_verify_cert, given one path and no choice,
 * and what it leaves out or does differently from version to version.
 */

#include "certs/path_check.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "certs/cert.h"
#include "certs/name.h"
#include "certs/path.h"
#include "certs/store.h"

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
has_too_many_names(const struct path *path, size_t *spent)
{
	size_t below = 0, subtrees;

	for (size_t i = 0; i < path->len; i++) {
		const CBS *constraints = &path->certs[i]->constraints;

		subtrees = name_constraints_count(
		    CBS_data(constraints), CBS_len(constraints));
		if (subtrees > 0 &&
		    below > (VERIFY_NAMES_MAX - *spent) / subtrees)
			return true;
		*spent += below * subtrees;
		below += count_names(path->certs[i]);
	}
	return false;
}

static const char *
constraints_fault(const struct path *path, size_t *by)
{
	const CBS *names = &path->certs[0]->names;
	const char *fault;

	for (size_t i = 1; i < path->len; i++) {
		const CBS *constraints = &path->certs[i]->constraints;

		fault = name_constraints_fault(CBS_data(constraints),
		    CBS_len(constraints), CBS_data(names), CBS_len(names));
		if (fault != NULL) {
			*by = i;
			return fault;
		}
	}
	return NULL;
}

const char *
path_rule_broken(const struct path *path, size_t *names_spent, size_t *at)
{
	*at = 0;
	if (is_too_long(path, at))
		return "does not allow so long a path below it";
	if (has_too_many_names(path, names_spent))
		return "has too many names to hold against name constraints";
	return constraints_fault(path, at);
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
    const struct verify_request *request, struct stack_st_X509 *between,
    struct stack_st_X509 *anchors, bool is_current)
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
	/* set0_trusted_stack, by the name that older versions know. */
	X509_STORE_CTX_trusted_stack(context, anchors);
	param = X509_STORE_CTX_get0_param(context);
	X509_VERIFY_PARAM_set_time(param, request->at);
	if (!anchor->is_self_signed &&
	    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN) != 1)
		return false;
	if (!is_current)
		X509_STORE_CTX_set_verify_cb(context, pass_over_dates);
	if (X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_SERVER) != 1)
		return false;
	return X509_STORE_CTX_set_trust(context, X509_TRUST_SSL_SERVER) == 1;
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
 * X509_verify_cert's result of 1 is success; all others are not, the negative
 * ones of older versions included (CVE-2021-4044).
 */
int
path_validate(const struct path *path, const struct verify_request *request,
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
	if (X509_verify_cert(context) == 1)
		error = X509_V_OK;
	else if ((error = X509_STORE_CTX_get_error(context)) == X509_V_OK)
		error = X509_V_ERR_UNSPECIFIED;
	*depth = (size_t)X509_STORE_CTX_get_error_depth(context);
	if (error != X509_V_ERR_OUT_OF_MEM && !is_verified_path(context, path))
		error = X509_V_ERR_APPLICATION_VERIFICATION;
out:
	X509_STORE_CTX_free(context);
	sk_X509_free(anchors);
	sk_X509_free(between);
	return error;
}
