/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_EHLO_H
#define POSTERN_EHLO_H

/*
 * What a server can do by its reply to EHLO, what of it the client is shown,
 * and which parameters of MAIL and RCPT that allows.  The list of capabilities
 * is an allow list: postern shows only what it knows how to pass on.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/smtp/command.h"

struct buf;
struct reply;

/* Name, keyword on the wire, is the client shown it? */
#define EHLO_CAPABILITIES(X)                                                   \
	X(PIPELINING, "PIPELINING", true)                                      \
	X(SIZE, "SIZE", true)                                                  \
	X(8BITMIME, "8BITMIME", true)                                          \
	X(SMTPUTF8, "SMTPUTF8", true)                                          \
	X(DSN, "DSN", true)                                                    \
	X(ENHANCEDSTATUSCODES, "ENHANCEDSTATUSCODES", true)                    \
	X(CHUNKING, "CHUNKING", true)                                          \
	X(BINARYMIME, "BINARYMIME", true)                                      \
	X(DELIVERBY, "DELIVERBY", true)                                        \
	X(MT_PRIORITY, "MT-PRIORITY", true)                                    \
	X(FUTURERELEASE, "FUTURERELEASE", true)                                \
	X(LIMITS, "LIMITS", true)                                              \
	X(AUTH, "AUTH", true)                                                  \
	X(REQUIRETLS, "REQUIRETLS", false)                                     \
	X(STARTTLS, "STARTTLS", false)

enum ehlo_bit {
#define X(name, keyword, shown) EHLO_BIT_##name,
	EHLO_CAPABILITIES(X)
#undef X
	EHLO_BIT_COUNT,
};

/* For struct ehlo's capabilities. */
enum ehlo_capability {
#define X(name, keyword, shown) EHLO_##name = 1 << EHLO_BIT_##name,
	EHLO_CAPABILITIES(X)
#undef X
};

#define EHLO_AUTH_MAX 256 /* mechanisms' names; those beyond are left out */

/* A plain value: it outlives the reply it was read from. */
struct ehlo {
	uint32_t capabilities; /* EHLO_* */
	uint64_t size_limit; /* SIZE; 0: no fixed maximum, or not said */
	char auth[EHLO_AUTH_MAX]; /* "PLAIN LOGIN": upper case, one space */
};

/*
 * ehlo_parse reads a finished reply to EHLO.  A line that is malformed or not
 * printable ASCII offers nothing, and of two lines with one keyword the first
 * counts, but for AUTH: all of its lines do, "AUTH=LOGIN" among them.
 */
void ehlo_parse(const struct reply *, struct ehlo *);

/*
 * ehlo_format appends the client's reply: the server's first line and the
 * lines of what ehlo (read from this very reply) has and a client is shown,
 * as they came.  AUTH only where with_auth is true.  Returns 0, or -1 with
 * errno of buf_add and part of the reply written.
 */
int ehlo_format(
    const struct ehlo *, const struct reply *, bool with_auth, struct buf *out);

/*
 * ehlo_allows_parameter says whether a parameter of MAIL or RCPT belongs to a
 * capability that ehlo has.
 */
bool
ehlo_allows_parameter(const struct ehlo *, enum verb, const struct parameter *);

/*
 * ehlo_covers says whether all that a client was shown of before holds for now
 * as well, so that a connection can take another's place unseen.  Clear a bit
 * of before that the client was not shown (AUTH).
 */
bool ehlo_covers(const struct ehlo *now, const struct ehlo *before);

#endif
