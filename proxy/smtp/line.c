/* SPDX-License-Identifier: ISC */
/*
 * The one place that knows what ends an SMTP command line.  It looks at bytes
 * in a buffer of the caller's and keeps nothing between calls.
 */

#include "proxy/smtp/line.h"

#include <string.h>

const char *
line_result_text(enum line_result result)
{
	switch (result) {
	case LINE_READY:
		return "ready";
	case LINE_MORE:
		return "more";
	case LINE_BARE_CR:
		return "bare CR";
	case LINE_BARE_LF:
		return "bare LF";
	case LINE_NUL:
		return "NUL byte";
	case LINE_TOO_LONG:
		return "line too long";
	}
	return "?";
}

/* used stops short of what line_skip must see: a CR that may end the line. */
static enum line_result
offence(struct line *line, enum line_result result, size_t used)
{
	line->used = used;
	return result;
}

enum line_result
line_next(const uint8_t *data, size_t len, size_t max, struct line *line)
{
	size_t end = len < max ? len : max - 1;
	size_t i = 0;

	*line = (struct line){0};
	while (i < end && data[i] != '\r' && data[i] != '\n' && data[i] != '\0')
		i++;
	/* Whatever comes next, its CRLF cannot fit any more. */
	if (i == max - 1)
		return offence(line, LINE_TOO_LONG, i);
	if (i == len)
		return LINE_MORE;
	if (data[i] == '\n')
		return offence(line, LINE_BARE_LF, i + 1);
	if (data[i] == '\0')
		return offence(line, LINE_NUL, i + 1);
	if (i + 1 == len)
		return LINE_MORE;
	if (data[i + 1] != '\n')
		return offence(line, LINE_BARE_CR, i + 1);
	line->text = data;
	line->len = i;
	line->used = i + 2;
	return LINE_READY;
}

bool
line_skip(const uint8_t *data, size_t len, size_t *used)
{
	const uint8_t *cr;
	size_t i = 0;

	while (i < len && (cr = memchr(data + i, '\r', len - i)) != NULL) {
		i = cr - data + 1;
		if (i == len) {
			*used = len - 1;
			return false;
		}
		if (data[i] == '\n') {
			*used = i + 1;
			return true;
		}
	}
	*used = len;
	return false;
}
