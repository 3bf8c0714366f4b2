/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_PATH_H
#define POSTERN_PATH_H

/*
 * The address of MAIL FROM or RCPT TO (RFC 5321 4.1.2, RFC 6531).  Its parts
 * are borrowed slices; quotes, escapes and case stay as they came.
 */

#include <stdbool.h>
#include <stddef.h>

#include "proxy/smtp/slice.h"

/*
 * RFC 5321 4.5.3.1.1 asks for 64; senders that encode a recipient or a hash
 * into the bounce address (VERP, BATV, SRS) go beyond it.
 */
#define LOCAL_PART_MAX 255
#define DOMAIN_MAX     255 /* RFC 5321 4.5.3.1.2 */
#define LABEL_MAX      63 /* RFC 1035 2.3.4 */

enum domain_kind {
	DOMAIN_NONE,
	DOMAIN_NAME,
	DOMAIN_LITERAL,
};

struct path {
	struct slice raw; /* as it came, from "<" to ">" */
	struct slice local; /* quoted where it came quoted */
	enum domain_kind domain_kind;
	struct slice domain; /* a literal without its brackets */
	bool is_null; /* MAIL FROM:<> */
	bool is_postmaster; /* RCPT TO:<Postmaster>, without a domain */
	bool needs_utf8; /* not all of it is ASCII: SMTPUTF8 */
};

/*
 * path_parse takes a path off the front of rest, which holds no control
 * characters and valid UTF-8 only.  A sender may be null, and may come without
 * a domain; a recipient without one must be the postmaster.  A source route is
 * skipped over: it is in raw alone.  Returns NULL, or a static reason.
 */
const char *path_parse(struct slice *rest, bool is_sender, struct path *);

/*
 * path_check_name judges a domain name without regard to its dot at the end:
 * labels of letters, digits, hyphens inside, underscores, and UTF-8 (then its
 * length is for IDNA to judge).  Returns NULL, or a static reason.
 */
const char *path_check_name(struct slice);

#endif
