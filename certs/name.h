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
 * name_list_each calls each with every DNS name and address of the list, as
 * such a text and valid until it returns.
 */
void name_list_each(const uint8_t *der, size_t len,
    void (*each)(void *arg, const char *name), void *arg);

/*
 * Name constraints (RFC 5280 4.2.1.10).  X509_verify_cert holds every name
 * against them, but as bytes: it does not know that a dot at the end is no
 * part of a DNS name (name_matches above does), and older ones forget that a
 * wildcard covers a name which is excluded.  So excluded DNS names are looked
 * at here as well; name_constraints_fault returns NULL, or what the
 * constraints do: "excludes a name of the certificate".  One that is no DNS
 * name may mean anything, and excludes all.  Permitted names are safe with
 * X509_verify_cert: what it cannot match is not permitted.
 *
 * name_list_count counts the names of a list, name_constraints_count the
 * subtrees of a nameConstraints value.
 */
size_t name_list_count(const uint8_t *der, size_t len);
size_t name_constraints_count(const uint8_t *der, size_t len);
const char *name_constraints_fault(const uint8_t *constraints,
    size_t constraints_len, const uint8_t *names, size_t names_len);

#endif
