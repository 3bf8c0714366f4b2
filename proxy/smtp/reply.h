/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_REPLY_H
#define POSTERN_REPLY_H

/*
 * A server's reply, put together from bytes as they come, strictly by RFC
 * 5321 4.2 and kept exactly as it came; and replies of our own, which are
 * well formed whatever goes into them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/buf.h"
#include "proxy/smtp/line.h"

#define REPLY_BYTES_MAX    65536 /* of a whole reply */
#define REPLY_LINES_MAX    256
#define REPLY_ENHANCED_MAX 10 /* "5.123.123" and a NUL */
#define REPLY_FORMAT_MAX   4096 /* room that reply_format can ask for */

enum reply_result {
	REPLY_READY,
	REPLY_MORE,
	REPLY_BAD,
};

struct reply {
	int code; /* 200 to 599 */
	size_t line_count;
	struct buf text; /* owned: the lines as they came, CRLF included */
	const char *reason; /* REPLY_BAD: static, what was wrong */

	/* Private. */
	enum reply_result result;
	size_t column; /* of the next byte in its line */
	int line_code;
	bool is_last_line;
	bool has_cr;
};

/*
 * reply_init makes an empty reply.  reply_clear frees what it holds and makes
 * it ready for the next one.
 */
void reply_init(struct reply *);
void reply_clear(struct reply *);

/*
 * reply_feed takes bytes up to the end of the reply and sets *used to how
 * many it took; what is behind a finished reply is left alone.  REPLY_READY
 * and REPLY_BAD stay until reply_clear.  On REPLY_BAD (reason says why, lack
 * of memory included) nothing of it is kept and the stream is out of step: end
 * the session.
 */
enum reply_result
reply_feed(struct reply *, const uint8_t *data, size_t len, size_t *used);

/*
 * reply_text_line returns the text of line i (from 0) behind its code, without
 * CRLF; NULL where there is no such line.  Not NUL-ended; valid until the
 * reply is fed or cleared.
 */
const char *reply_text_line(const struct reply *, size_t i, size_t *len);

/*
 * reply_enhanced writes the enhanced status code (RFC 3463) of the last line
 * to out.  Returns false, and an empty string, where there is none or its
 * class is not the reply's: it says nothing then.
 */
bool reply_enhanced(const struct reply *, char out[REPLY_ENHANCED_MAX]);

/*
 * reply_format writes a reply of our own: lines of at most 512 bytes, each
 * with the code and, where it is not NULL, the enhanced status code.  What is
 * not printable ASCII is escaped as log_escape does.  A text that does not fit
 * size (REPLY_FORMAT_MAX always suffices for 512 bytes of it) is cut, never
 * the reply's form.  Returns the length without the NUL at the end.
 */
size_t reply_format(char *out, size_t size, int code, const char *enhanced,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

#endif
