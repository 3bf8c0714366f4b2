/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_DNS_NAME_H
#define POSTERN_DNS_NAME_H

/*
 * Which texts may name a mail host or a mail domain.  Everything that comes
 * out of a DNS answer passes here before it reaches a log, an SMTP reply or a
 * TLS handshake.
 */

#include <stdbool.h>

#define DNS_NAME_MAX 256 /* a name as text, NUL included */

/*
 * dns_name_is_host says whether name is one that a mail host or domain can
 * have: labels of 1 to 63 of a-z, 0-9, '-' and '_', at most 253 bytes, lower
 * case, no dot at the end, and a last label that is not a number, so that no
 * address passes for a name.  An underscore is no host name's letter, but
 * there are MX hosts with one, and it can do no harm.
 */
bool dns_name_is_host(const char *name);

/*
 * dns_name_party returns the end of a name that one party has most likely
 * registered: its last two labels, or three below what looks like a country's
 * registry (co.uk).  It is a guess, to have bounds hit who fills them; nothing
 * is decided by it.
 */
const char *dns_name_party(const char *name);

#endif
