/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_LINE_H
#define POSTERN_LINE_H

/*
 * Cuts a stream of SMTP commands into lines.  CRLF and nothing else ends a
 * line; what a laxer reader would take for a line end is an error here, so
 * that both ends of the proxy always see the same lines.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of a line, its CRLF included. */
#define LINE_COMMAND_MAX 2048 /* RFC 5321 4.5.3.1.4: 512 and extensions */
#define LINE_AUTH_MAX    12288 /* RFC 4954 section 4 */
#define LINE_REPLY_MAX   2048 /* RFC 5321 4.5.3.1.5: 512; servers exceed it */

enum line_result {
	LINE_READY,
	LINE_MORE, /* no CRLF yet */
	LINE_BARE_CR,
	LINE_BARE_LF,
	LINE_NUL,
	LINE_TOO_LONG,
};

/* "ready", "more", "bare CR" and so on, for logs. */
const char *line_result_text(enum line_result);

struct line {
	const uint8_t *text; /* borrowed from the data */
	size_t len; /* without its CRLF */
	size_t used; /* bytes to consume, CRLF included */
};

/*
 * line_next looks for the first line in data, of at most max bytes with its
 * CRLF.  The answer does not depend on how much of what follows is there
 * already.  On LINE_READY all of the line is set; on LINE_MORE used is zero:
 * come back with more bytes behind the same ones.  On an error the text is
 * NULL and used counts bytes to drop before line_skip is asked for the rest.
 * A client that sends bare CR, bare LF or NUL is best hung up on: what it
 * takes for its next line is anyone's guess.
 */
enum line_result
line_next(const uint8_t *data, size_t len, size_t max, struct line *);

/*
 * line_skip drops the rest of a line that was refused.  Sets *used to the
 * bytes to consume and returns true when they end in CRLF: the next line
 * starts behind them.  A CR at the end of data is left to the next call.
 */
bool line_skip(const uint8_t *data, size_t len, size_t *used);

#endif
