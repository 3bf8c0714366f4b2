/* SPDX-License-Identifier: ISC */
/*
 * Replies, both ways.  A server's is judged byte by byte, so that it makes no
 * difference how it was cut on its way, and no line is looked at before its
 * form is known to be right.  Ours are built here and nowhere else.
 */

#include "proxy/smtp/reply.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proxy/base/log.h"

#define CODE_LEN        3
#define FORMAT_LINE_MAX 512 /* RFC 5321 4.5.3.1.5 */
#define FORMAT_TEXT_MAX 1024

void
reply_init(struct reply *reply)
{
	*reply = (struct reply){.result = REPLY_MORE};
	buf_init(&reply->text, REPLY_BYTES_MAX);
}

void
reply_clear(struct reply *reply)
{
	buf_clear(&reply->text);
	reply_init(reply);
}

/* Nothing is kept of a reply that cannot be told from noise. */
static enum reply_result
bad(struct reply *reply, const char *reason)
{
	buf_clear(&reply->text);
	reply->line_count = 0;
	reply->code = 0;
	reply->reason = reason;
	return REPLY_BAD;
}

static enum reply_result
on_line_end(struct reply *reply)
{
	reply->line_count++;
	if (reply->is_last_line)
		return REPLY_READY;
	if (reply->line_count == REPLY_LINES_MAX)
		return bad(reply, "reply of too many lines");
	reply->column = 0;
	reply->has_cr = false;
	return REPLY_MORE;
}

static enum reply_result
on_code(struct reply *reply, uint8_t c)
{
	if (c < '0' || c > '9')
		return bad(reply, "reply line without a code");
	if (reply->column == 0)
		reply->line_code = 0;
	reply->line_code = reply->line_code * 10 + (c - '0');
	if (++reply->column < CODE_LEN)
		return REPLY_MORE;
	if (reply->line_code < 200 || reply->line_code > 599)
		return bad(reply, "reply code out of range");
	if (reply->line_count > 0 && reply->line_code != reply->code)
		return bad(reply, "reply whose lines differ in code");
	reply->code = reply->line_code;
	/* A line that ends here is a last one: RFC 5321 4.2.1. */
	reply->is_last_line = true;
	return REPLY_MORE;
}

static enum reply_result
on_text(struct reply *reply, uint8_t c)
{
	if (reply->column == CODE_LEN) {
		if (c != ' ' && c != '-')
			return bad(reply, "no space or hyphen after the code");
		reply->is_last_line = c == ' ';
	} else if ((c < ' ' && c != '\t') || c == 0x7f)
		return bad(reply, "control character in reply");
	if (++reply->column > LINE_REPLY_MAX - 2)
		return bad(reply, "reply line too long");
	return REPLY_MORE;
}

static enum reply_result
on_byte(struct reply *reply, uint8_t c)
{
	if (reply->has_cr)
		return c == '\n' ? on_line_end(reply)
		                 : bad(reply, "bare CR in reply");
	if (c == '\n')
		return bad(reply, "bare LF in reply");
	if (reply->column < CODE_LEN)
		return on_code(reply, c);
	if (c != '\r')
		return on_text(reply, c);
	reply->has_cr = true;
	return REPLY_MORE;
}

enum reply_result
reply_feed(struct reply *reply, const uint8_t *data, size_t len, size_t *used)
{
	size_t i = 0;

	while (i < len && reply->result == REPLY_MORE)
		reply->result = on_byte(reply, data[i++]);
	*used = i;
	if (i > 0 && reply->result != REPLY_BAD &&
	    buf_add(&reply->text, data, i) == -1)
		reply->result = bad(reply,
		    errno == ENOBUFS ? "reply too long" : "out of memory");
	return reply->result;
}

const char *
reply_text_line(const struct reply *reply, size_t i, size_t *len)
{
	const char *line, *end, *text;

	*len = 0;
	if (i >= reply->line_count)
		return NULL;
	line = (const char *)buf_data(&reply->text);
	end = line + buf_len(&reply->text);
	/* Every counted line ends in the only LF it has. */
	while (i-- > 0)
		line = (const char *)memchr(line, '\n', end - line) + 1;
	end = (const char *)memchr(line, '\r', end - line);
	/* The separator may be missing: "250" and CRLF. */
	text = end - line > CODE_LEN ? line + CODE_LEN + 1 : end;
	*len = end - text;
	return text;
}

/* A dot and one to three digits; returns what follows them, or NULL. */
static const char *
skip_dot_number(const char *p)
{
	size_t digits;

	if (*p != '.')
		return NULL;
	digits = strspn(p + 1, "0123456789");
	return digits >= 1 && digits <= 3 ? p + 1 + digits : NULL;
}

static bool
is_enhanced(const char *p, int class)
{
	if (class == '3' || *p != class)
		return false;
	return (p = skip_dot_number(p + 1)) != NULL &&
	       (p = skip_dot_number(p)) != NULL && *p == '\0';
}

bool
reply_enhanced(const struct reply *reply, char out[REPLY_ENHANCED_MAX])
{
	const char *text, *space;
	size_t len;

	out[0] = '\0';
	text = reply_text_line(reply, reply->line_count - 1, &len);
	if (reply->result != REPLY_READY || text == NULL)
		return false;
	if ((space = memchr(text, ' ', len)) != NULL)
		len = space - text;
	if (len >= REPLY_ENHANCED_MAX)
		return false;
	memcpy(out, text, len);
	out[len] = '\0';
	if (is_enhanced(out, '0' + reply->code / 100))
		return true;
	out[0] = '\0';
	return false;
}

/* How much of text goes on a line with this room: whole words if it may. */
static size_t
fold(const char *text, size_t room)
{
	size_t len = strlen(text), n;

	if (len <= room)
		return len;
	for (n = room; n > 0; n--)
		if (text[n] == ' ')
			return n;
	return room;
}

/* Lines of prefix and text; size has room for one that is not empty. */
static size_t
put_lines(char *out, size_t size, const char *prefix, const char *text)
{
	size_t overhead = strlen(prefix) + 2, used = 0, room, n, len;
	bool is_last = false;

	while (!is_last) {
		room = size - 1 - used;
		if (room > FORMAT_LINE_MAX)
			room = FORMAT_LINE_MAX;
		n = fold(text, room - overhead);
		len = overhead + n;
		snprintf(out + used, size - used, "%s%.*s\r\n", prefix, (int)n,
		    text);
		text += n;
		if (*text == ' ')
			text++;
		/* What does not fit is cut, so that a last line is there. */
		is_last = *text == '\0' || size - 1 - used - len <= overhead;
		if (!is_last)
			out[used + CODE_LEN] = '-';
		used += len;
	}
	return used;
}

size_t
reply_format(char *out, size_t size, int code, const char *enhanced,
    const char *fmt, ...)
{
	char text[FORMAT_TEXT_MAX], escaped[4 * FORMAT_TEXT_MAX];
	char prefix[CODE_LEN + 1 + REPLY_ENHANCED_MAX + 1];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	log_escape(escaped, sizeof(escaped), text, strlen(text));
	snprintf(prefix, sizeof(prefix), "%03d %s%s", code,
	    enhanced != NULL ? enhanced : "", enhanced != NULL ? " " : "");
	out[0] = '\0';
	if (size <= strlen(prefix) + 2 + 1)
		return 0;
	return put_lines(out, size, prefix, escaped);
}
