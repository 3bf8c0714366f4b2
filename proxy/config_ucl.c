/* SPDX-License-Identifier: ISC */
/*
 * The reader of UCL: one pass, recursive in braces and brackets only, whose
 * depth is bounded.  Every error ends it; the first one is kept.
 */

#include "proxy/config_ucl.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/log.h"

#define EXCERPT_MAX 32 /* bytes of the text that a message quotes */

struct parser {
	const char *at;
	const char *end;
	unsigned int line;
	unsigned int depth;
	unsigned int error_line; /* 0: no error yet */
	char *error;
};

static int value_read(struct parser *, struct ucl_node *);

static int __attribute__((format(printf, 3, 4)))
fail(struct parser *p, unsigned int line, const char *format, ...)
{
	va_list ap;

	if (p->error_line != 0)
		return -1;
	p->error_line = line;
	va_start(ap, format);
	vsnprintf(p->error, UCL_ERROR_MAX, format, ap);
	va_end(ap);
	return -1;
}

/* Fails, with a word of the text, escaped and cut, behind what is wrong. */
static int
fail_word(struct parser *p, unsigned int line, const char *what,
    const char *word, size_t len)
{
	char text[EXCERPT_MAX * 4 + 1];

	log_escape(
	    text, sizeof(text), word, len < EXCERPT_MAX ? len : EXCERPT_MAX);
	return fail(p, line, "%s '%s'", what, text);
}

/* Fails; `what` ends in "before", and what stands here is the rest. */
static int
fail_here(struct parser *p, const char *what)
{
	size_t len = 0, left = (size_t)(p->end - p->at);

	if (left == 0 || *p->at == '\n')
		return fail(p, p->line, "%s the end of the line", what);
	while (len < left && (unsigned char)p->at[len] > ' ' &&
	       strchr(";,{}[]", p->at[len]) == NULL)
		len++;
	return fail_word(p, p->line, what, p->at, len > 0 ? len : 1);
}

static bool
starts(const struct parser *p, const char *text)
{
	size_t len = strlen(text);

	return (size_t)(p->end - p->at) >= len && memcmp(p->at, text, len) == 0;
}

static bool
at_char(const struct parser *p, char c)
{
	return p->at < p->end && *p->at == c;
}

static struct ucl_node *
node_add(struct parser *p, struct ucl_node *parent, unsigned int line)
{
	struct ucl_node *node;

	if ((node = calloc(1, sizeof(*node))) == NULL) {
		fail(p, line, "out of memory");
		return NULL;
	}
	node->line = line;
	if (parent->last == NULL)
		parent->first = node;
	else
		parent->last->next = node;
	parent->last = node;
	return node;
}

void
ucl_node_free(struct ucl_node *node)
{
	struct ucl_node *next;

	for (; node != NULL; node = next) {
		next = node->next;
		ucl_node_free(node->first);
		free(node->key);
		free(node->text);
		free(node);
	}
}

size_t
ucl_node_count(const struct ucl_node *node)
{
	size_t count = 0;

	for (; node != NULL; node = node->next)
		count++;
	return count;
}

/* Comments nest, as UCL has it. */
static int
comment_skip(struct parser *p)
{
	unsigned int from = p->line, depth = 0;

	do {
		if (p->at == p->end)
			return fail(p, from, "comment is not closed");
		if (starts(p, "/*")) {
			depth++;
			p->at++;
		} else if (starts(p, "*/")) {
			depth--;
			p->at++;
		} else if (*p->at == '\n')
			p->line++;
		p->at++;
	} while (depth > 0);
	return 0;
}

/* Passes over blanks and comments, and over line ends where they may be. */
static int
space_skip(struct parser *p, bool lines)
{
	while (p->at < p->end) {
		if (starts(p, "/*")) {
			if (comment_skip(p) == -1)
				return -1;
		} else if (*p->at == '#') {
			while (p->at < p->end && *p->at != '\n')
				p->at++;
		} else if (*p->at == '\n' && lines) {
			p->line++;
			p->at++;
		} else if (*p->at == ' ' || *p->at == '\t' || *p->at == '\r')
			p->at++;
		else
			break;
	}
	return 0;
}

/* The value of len hexadecimal digits, or -1. */
static int
hex_read(const char *text, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	int value = 0;
	const char *digit;

	for (; len > 0; len--, text++) {
		if (*text == '\0' ||
		    (digit = strchr(digits, tolower((unsigned char)*text))) ==
			NULL)
			return -1;
		value = value * 16 + (int)(digit - digits);
	}
	return value;
}

/* One \u escape as UTF-8; no NUL, and nothing beyond the basic plane. */
static char *
unicode_write(char *out, int code)
{
	if (code <= 0 || (code >= 0xd800 && code < 0xe000))
		return NULL;
	if (code < 0x80)
		*out++ = (char)code;
	else if (code < 0x800) {
		*out++ = (char)(0xc0 | code >> 6);
		*out++ = (char)(0x80 | (code & 0x3f));
	} else {
		*out++ = (char)(0xe0 | code >> 12);
		*out++ = (char)(0x80 | (code >> 6 & 0x3f));
		*out++ = (char)(0x80 | (code & 0x3f));
	}
	return out;
}

/*
 * Undoes the escapes of a double-quoted string, all of JSON's.  out has room
 * for as many bytes as the text has.  False: one of them is unknown.
 */
static bool
escapes_undo(const char *text, size_t len, char *out)
{
	static const char names[] = "\"\\/bfnrt";
	static const char bytes[] = "\"\\/\b\f\n\r\t";
	const char *end = text + len, *name;

	while (text < end) {
		if (*text != '\\') {
			*out++ = *text++;
			continue;
		}
		text++; /* string_read made sure that something follows */
		if (*text == 'u' && end - text > 4) {
			if ((out = unicode_write(out, hex_read(text + 1, 4))) ==
			    NULL)
				return false;
			text += 5;
			continue;
		}
		if ((name = strchr(names, *text)) == NULL)
			return false;
		*out++ = bytes[name - names];
		text++;
	}
	*out = '\0';
	return true;
}

/* In single quotes a backslash is itself, but for that of \'. */
static void
single_undo(const char *text, size_t len, char *out)
{
	const char *end = text + len;

	while (text < end) {
		if (*text == '\\') {
			if (text[1] != '\'')
				*out++ = '\\';
			text++; /* string_read made sure of it */
		}
		*out++ = *text++;
	}
	*out = '\0';
}

/*
 * A string in the quotes that stand at the reader's place.  A backslash and
 * the byte behind it are a pair that cannot end it, whatever they mean.
 */
static char *
string_read(struct parser *p)
{
	const char quote = *p->at++, *from = p->at;
	size_t len;
	char *out;

	while (p->at < p->end && *p->at != quote && *p->at != '\n') {
		if (*p->at == '\\' && p->at + 1 < p->end && p->at[1] != '\n')
			p->at++;
		p->at++;
	}
	if (!at_char(p, quote)) {
		fail(p, p->line, "string is not closed");
		return NULL;
	}
	len = (size_t)(p->at++ - from);
	if ((out = malloc(len + 1)) == NULL) {
		fail(p, p->line, "out of memory");
		return NULL;
	}
	if (quote == '\'')
		single_undo(from, len, out);
	else if (!escapes_undo(from, len, out)) {
		fail(p, p->line, "string has a bad escape");
		free(out);
		return NULL;
	}
	return out;
}

/* Where the document that ends in this word ends, or NULL. */
static const char *
document_end(const struct parser *p, const char *word, size_t len)
{
	const char *line = p->at, *next, *stop;

	for (; line < p->end; line = next) {
		next = memchr(line, '\n', (size_t)(p->end - line));
		stop = next == NULL ? p->end : next;
		next = next == NULL ? p->end : next + 1;
		if (stop > line && stop[-1] == '\r')
			stop--;
		if ((size_t)(stop - line) == len &&
		    memcmp(line, word, len) == 0)
			return line;
	}
	return NULL;
}

/* <<WORD, lines, WORD.  The line end before the last WORD is not a part. */
static char *
document_read(struct parser *p)
{
	const char *word = p->at += 2, *stop;
	unsigned int line = p->line;
	size_t len, text_len;
	char *out;

	while (p->at < p->end && isupper((unsigned char)*p->at))
		p->at++;
	len = (size_t)(p->at - word);
	if (at_char(p, '\r'))
		p->at++;
	if (len == 0 || !at_char(p, '\n')) {
		fail(p, line, "<< wants a word in capitals and a line end");
		return NULL;
	}
	p->at++;
	p->line++;
	if ((stop = document_end(p, word, len)) == NULL) {
		fail_word(p, line, "no line ends the document <<", word, len);
		return NULL;
	}
	text_len = (size_t)(stop - p->at);
	if ((out = strndup(p->at, text_len)) == NULL) {
		fail(p, line, "out of memory");
		return NULL;
	}
	for (; p->at < stop; p->at++)
		p->line += *p->at == '\n';
	p->at += len;
	if (text_len > 0)
		out[--text_len] = '\0';
	if (text_len > 0 && out[text_len - 1] == '\r')
		out[--text_len] = '\0';
	return out;
}

/* A word that ends before blanks, controls and the listed bytes. */
static char *
word_read(struct parser *p, const char *stops)
{
	const char *from = p->at;
	char *out;

	while (p->at < p->end && (unsigned char)*p->at > ' ' &&
	       *p->at != 0x7f && strchr(stops, *p->at) == NULL)
		p->at++;
	if (p->at == from) {
		fail_here(p, "a word is missing before");
		return NULL;
	}
	if ((out = strndup(from, (size_t)(p->at - from))) == NULL)
		fail(p, p->line, "out of memory");
	return out;
}

#define KEY_STOPS   ";,{}[]\"'#=:"
#define VALUE_STOPS ";,{}[]\"'#"

static char *
key_read(struct parser *p)
{
	if (at_char(p, '"') || at_char(p, '\''))
		return string_read(p);
	if (at_char(p, '.')) {
		fail_here(p, "no macros and includes here; a setting is"
			     " expected before");
		return NULL;
	}
	return word_read(p, KEY_STOPS);
}

/* A string, a document or a word. */
static int
scalar_read(struct parser *p, struct ucl_node *node)
{
	if (at_char(p, '"') || at_char(p, '\'')) {
		node->type = UCL_STRING;
		node->text = string_read(p);
	} else if (starts(p, "<<")) {
		node->type = UCL_STRING;
		node->text = document_read(p);
	} else {
		node->type = UCL_WORD;
		node->text = word_read(p, VALUE_STOPS);
	}
	return node->text == NULL ? -1 : 0;
}

/* What was read must be over: a second word on the line is a mistake. */
static int
end_expect(struct parser *p)
{
	if (space_skip(p, false) == -1)
		return -1;
	if (p->at == p->end || strchr(";,\n}]", *p->at) != NULL)
		return 0;
	return fail_here(p, "';' or a new line is missing before");
}

/*
 * After `key word`: where a brace follows, be it on a later line, the word was
 * a name and the key holds an object of that name; else it was the value.
 */
static int
name_or_value(struct parser *p, struct ucl_node *node)
{
	const char *at;
	unsigned int line;
	struct ucl_node *inner;

	if (scalar_read(p, node) == -1)
		return -1;
	at = p->at;
	line = p->line;
	if (space_skip(p, true) == -1)
		return -1;
	if (!at_char(p, '{')) {
		p->at = at;
		p->line = line;
		return end_expect(p);
	}
	if ((inner = node_add(p, node, node->line)) == NULL)
		return -1;
	inner->key = node->text;
	node->text = NULL;
	node->type = UCL_OBJECT;
	return value_read(p, inner);
}

/*
 * A brace or a bracket may open on a later line than its key; any other value
 * stands on the key's line, so that a forgotten one is told as such and the
 * next key is not taken for it.
 */
static int
statement_read(struct parser *p, struct ucl_node *object)
{
	struct ucl_node *node;
	bool is_assigned;

	if ((node = node_add(p, object, p->line)) == NULL ||
	    (node->key = key_read(p)) == NULL || space_skip(p, true) == -1)
		return -1;
	is_assigned = at_char(p, '=') || at_char(p, ':');
	if (is_assigned) {
		p->at++;
		if (space_skip(p, true) == -1)
			return -1;
	}
	if (at_char(p, '{') || at_char(p, '['))
		return value_read(p, node);
	if (p->line != node->line || p->at == p->end ||
	    strchr(";,}]", *p->at) != NULL)
		return fail_word(p, node->line, "no value is given for",
		    node->key, strlen(node->key));
	return is_assigned ? value_read(p, node) : name_or_value(p, node);
}

/* Statements, or an array's elements, up to the closing byte ('\0': all). */
static int
members_read(struct parser *p, struct ucl_node *node, char closing)
{
	const unsigned int from = p->line;
	struct ucl_node *element;

	for (;;) {
		if (space_skip(p, true) == -1)
			return -1;
		if (p->at == p->end && closing == '\0')
			return 0;
		if (p->at == p->end)
			return fail(
			    p, from, "what opens here lacks its '%c'", closing);
		if (at_char(p, closing)) {
			p->at++;
			return 0;
		}
		if (at_char(p, ',') || at_char(p, ';'))
			p->at++;
		else if (at_char(p, '}') || at_char(p, ']'))
			return fail(p, p->line, "'%c' closes nothing", *p->at);
		else if (node->type == UCL_OBJECT) {
			if (statement_read(p, node) == -1)
				return -1;
		} else if ((element = node_add(p, node, p->line)) == NULL ||
			   value_read(p, element) == -1)
			return -1;
	}
}

/* An object or an array, the reader standing behind its opening byte. */
static int
group_read(struct parser *p, struct ucl_node *node, enum ucl_type type)
{
	int ret;

	if (p->depth == UCL_DEPTH_MAX)
		return fail(p, p->line, "too deep");
	p->depth++;
	node->type = type;
	ret = members_read(p, node, type == UCL_OBJECT ? '}' : ']');
	p->depth--;
	return ret;
}

static int
value_read(struct parser *p, struct ucl_node *node)
{
	if (at_char(p, '{')) {
		p->at++;
		return group_read(p, node, UCL_OBJECT);
	}
	if (at_char(p, '[')) {
		p->at++;
		if (group_read(p, node, UCL_ARRAY) == -1)
			return -1;
	} else if (scalar_read(p, node) == -1)
		return -1;
	return end_expect(p);
}

static int
document_top(struct parser *p, struct ucl_node *top)
{
	if (memchr(p->at, '\0', (size_t)(p->end - p->at)) != NULL)
		return fail(p, 1, "has a NUL byte: not a text file");
	if (starts(p, "\xef\xbb\xbf"))
		p->at += 3;
	if (space_skip(p, true) == -1)
		return -1;
	if (!at_char(p, '{'))
		return members_read(p, top, '\0');
	if (value_read(p, top) == -1 || space_skip(p, true) == -1)
		return -1;
	return p->at == p->end ? 0 : fail_here(p, "the end is expected before");
}

struct ucl_node *
ucl_parse(
    const char *text, size_t len, unsigned int *line, char error[UCL_ERROR_MAX])
{
	struct parser parser = {
	    .at = text,
	    .end = text + len,
	    .line = 1,
	    .error = error,
	};
	struct ucl_node *top;

	if ((top = calloc(1, sizeof(*top))) == NULL) {
		fail(&parser, 1, "out of memory");
	} else if (document_top(&parser, top) == -1) {
		ucl_node_free(top);
		top = NULL;
	}
	*line = parser.error_line;
	return top;
}
