/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_PATH_CHECK_H
#define POSTERN_PATH_CHECK_H

/*
 * Whether one path holds as a whole.  Its certificates have no fault of their
 * own (cert_fault); their names against the server's are another's matter.
 * Private to certs.
 */

#include <stdbool.h>
#include <stddef.h>

struct path;
struct verify_request;

/*
 * path_rule_broken returns NULL, or what the certificate at `at` does or has
 * that forbids the path: "does not allow so long a path below it".  It costs
 * no signature checks.  Comparisons of names with name constraints, yet to be
 * made, are added to *names_spent, up to VERIFY_NAMES_MAX.
 */
const char *
path_rule_broken(const struct path *, size_t *names_spent, size_t *at);

/*
 * path_validate checks the signatures and the rest of RFC 5280 6.1, at a cost
 * of one signature check for each certificate but the anchor.  Where the path
 * is not current, known to hold a certificate out of date, the dates are
 * passed over.  Returns X509_V_OK, or what is wrong as an X509_V_ERR, and how
 * many certificates above the leaf.  X509_V_ERR_APPLICATION_VERIFICATION says
 * that X509_verify_cert went a shorter way, since by its names the anchor also
 * issued a certificate further down: path_search proposed that way before.
 */
int path_validate(const struct path *, const struct verify_request *,
    bool is_current, size_t *depth);

#endif
