/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_COMMAND_H
#define POSTERN_COMMAND_H

/*
 * Reads one SMTP command (RFC 5321, with the parameters of its extensions)
 * out of a line.  Nothing is copied: every slice is borrowed from the line
 * and lives as long as that.  It judges syntax only; whether the command may
 * be given now, and what its parameters mean, is the session's business.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/smtp/line.h"
#include "proxy/smtp/path.h"
#include "proxy/smtp/slice.h"

#define COMMAND_VERBS(X)                                                       \
	X(EHLO)                                                                \
	X(HELO)                                                                \
	X(MAIL)                                                                \
	X(RCPT)                                                                \
	X(DATA)                                                                \
	X(BDAT)                                                                \
	X(RSET)                                                                \
	X(NOOP)                                                                \
	X(QUIT)                                                                \
	X(VRFY)                                                                \
	X(EXPN)                                                                \
	X(HELP)                                                                \
	X(AUTH)                                                                \
	X(STARTTLS)                                                            \
	X(UNKNOWN)

enum verb {
#define X(name) VERB_##name,
	COMMAND_VERBS(X)
#undef X
};

/* "EHLO"; "UNKNOWN" for the last. */
const char *verb_text(enum verb);

#define PARAMETERS_MAX 32 /* of one MAIL or RCPT */

/* KEY or KEY=value behind the path. */
struct parameter {
	struct slice key;
	struct slice value;
	bool has_value;
};

struct command {
	enum verb verb;
	const char *args; /* all that follows the verb, trimmed */
	size_t args_len;

	struct slice name; /* EHLO, HELO: who the client says it is */

	struct path path; /* MAIL, RCPT */
	struct parameter parameters[PARAMETERS_MAX];
	size_t parameter_count;
	bool has_size; /* MAIL: SIZE=size was there */
	uint64_t size;

	uint64_t chunk_size; /* BDAT */
	bool is_last;

	struct slice mechanism; /* AUTH */
	struct slice initial; /* base64 or "=" */
	bool has_initial;

	/* Where the result is not COMMAND_OK: how to refuse it. */
	int code; /* 500, 501, 553 */
	const char *status; /* enhanced, static: "5.5.4" */
	const char *reason; /* static */
};

enum command_result {
	COMMAND_OK, /* VERB_UNKNOWN is one: args hold the rest */
	COMMAND_SYNTAX, /* not a command, or arguments that do not fit it */
	COMMAND_ADDRESS, /* MAIL, RCPT: the path is malformed */
};

/*
 * command_parse reads a line that line_next found ready.  A line with control
 * characters or invalid UTF-8 is refused whatever it says, so none of them is
 * ever in a slice; beyond ASCII, only an address, a parameter's value and the
 * arguments of VRFY, EXPN, HELP, NOOP and unknown verbs may go.
 *
 * More is let through than RFC 5321 writes where senders in the field need
 * it: verbs in any case, spaces behind the colon of FROM and TO and at the
 * end, underscores and one final dot in a domain, dots anywhere in a local
 * part (some carriers gave such addresses out), MAIL FROM an address without
 * a domain (the server judges it; DOMAIN_NONE).  Every RCPT that passes names
 * exactly one mailbox in one domain, or the postmaster.
 *
 * On failure code, status and reason are set, and verb where it was known;
 * the rest is not to be used.  A BDAT that does not parse leaves its chunk's
 * length unknown: only the end of the session is safe then.
 */
enum command_result command_parse(const struct line *, struct command *);

/*
 * command_parameter finds a parameter of MAIL or RCPT without regard to case;
 * NULL where it is not there.
 */
const struct parameter *
command_parameter(const struct command *, const char *key);

/*
 * command_is_mechanism tells whether a slice may be the name of a SASL
 * mechanism (RFC 4422 3.1; lower case passes), command_is_base64 whether all
 * of it, an empty one included, is base64's alphabet and its padding.
 */
bool command_is_mechanism(struct slice);
bool command_is_base64(struct slice);

#endif
