/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_NAME_H
#define POSTERN_NAME_H

/*
 * Which names a certificate is for: subjectAltName and nothing else, by the
 * rules of RFC 9525.  All functions are pure and take the DER of the
 * extension's value; a list that is malformed ends where it is.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * name_is_host: a DNS name that may be asked for.  Labels of letters, digits,
 * hyphens and underscores, at most 253 bytes, a dot at the end allowed; never
 * what reads as an IPv4 address.
 */
bool name_is_host(const char *);

/*
 * name_matches compares a dNSName with a host name: the same but for ASCII
 * case and a dot at the end, or "*." before at least two labels, standing for
 * exactly one label.
 */
bool name_matches(const uint8_t *san, size_t len, const char *host);

bool name_list_has_host(const uint8_t *der, size_t len, const char *host);
/* ip_len is 4 or 16; the bytes must be the same. */
bool name_list_has_ip(
    const uint8_t *der, size_t len, const uint8_t *ip, size_t ip_len);

/*
 * name_list_text writes the DNS names and addresses of the list for people:
 * the first few, and how many more there are.  Printable ASCII, cut to size;
 * "" where the list has none.  Returns out.
 */
const char *
name_list_text(const uint8_t *der, size_t len, char *out, size_t size);

/*
 * Name constraints (RFC 5280 4.2.1.10).  The matching itself is left to
 * X509_verify_cert but for what older ones forget: a wildcard name that covers
 * an excluded name.  name_list_count counts the names of a list,
 * name_constraints_count the subtrees of a nameConstraints value.
 */
size_t name_list_count(const uint8_t *der, size_t len);
size_t name_constraints_count(const uint8_t *der, size_t len);
bool name_constraints_exclude_wildcard(const uint8_t *constraints,
    size_t constraints_len, const uint8_t *names, size_t names_len);

#endif
