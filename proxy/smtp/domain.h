/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_DOMAIN_H
#define POSTERN_DOMAIN_H

/*
 * The domain of an address as DNS knows it: A-labels, lower case.  Two
 * spellings of one domain come out the same.
 */

#include "proxy/smtp/path.h"

#define DOMAIN_ASCII_MAX 256 /* the longest name of DNS and a NUL fit */

/*
 * command_domain_ascii writes the path's domain to out: labels of letters,
 * digits, hyphens and underscores with single dots between them, none at the
 * end.  Returns 0, or -1 and an empty string where the path has no domain name
 * (a literal, none at all) or it has no such form: characters that IDNA does
 * not allow, a label or the whole too long for DNS, a last label of digits.
 */
int command_domain_ascii(const struct path *, char out[DOMAIN_ASCII_MAX]);

#endif
