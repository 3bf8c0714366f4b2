/* SPDX-License-Identifier: ISC */
/*
 * The server's capabilities.  One function tells what a line of the reply
 * offers, and both the reading of it and the client's copy go by its word:
 * nothing is shown that was not understood.
 */

#include "proxy/smtp/ehlo.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "proxy/base/buf.h"
#include "proxy/smtp/reply.h"

static const char *const keywords[EHLO_BIT_COUNT] = {
#define X(name, keyword, shown) [EHLO_BIT_##name] = (keyword),
    EHLO_CAPABILITIES(X)
#undef X
};

#define X(name, keyword, shown) | ((shown) ? EHLO_##name : 0)
static const uint32_t shown_to_client = 0 EHLO_CAPABILITIES(X);
#undef X

/* RFC 5321 4.5.3.1.5, for the text of a line behind its code. */
#define TEXT_MAX (512 - 4 - 2)

static struct slice
reply_slice(const struct reply *reply, size_t i)
{
	struct slice text;

	text.text = reply_text_line(reply, i, &text.len);
	return text;
}

static bool
is_printable(struct slice text)
{
	size_t i;

	for (i = 0; i < text.len; i++)
		if (text.text[i] < ' ' || text.text[i] > '~')
			return false;
	return true;
}

/*
 * What a line of the reply offers, with what follows the keyword in value;
 * EHLO_BIT_COUNT where it is nothing known.
 */
static enum ehlo_bit
recognise(struct slice text, struct slice *value)
{
	enum ehlo_bit bit;
	struct slice keyword;
	uint64_t size;

	if (!is_printable(text) || text.len > TEXT_MAX || text.len == 0 ||
	    text.text[0] == ' ')
		return EHLO_BIT_COUNT;
	/* Older than RFC 2554, and still sent beside the form that is not. */
	if (slice_has_prefix(text, "AUTH=")) {
		slice_skip(&text, strlen("AUTH="));
		*value = text;
		return EHLO_BIT_AUTH;
	}
	keyword = slice_word(&text);
	for (bit = 0; bit < EHLO_BIT_COUNT; bit++)
		if (slice_is(keyword, keywords[bit]))
			break;
	*value = text;
	if (bit != EHLO_BIT_SIZE || text.len == 0)
		return bit;
	*value = slice_word(&text);
	return slice_number(*value, &size) && text.len == 0 ? bit
	                                                    : EHLO_BIT_COUNT;
}

/* Is word among the words of a list? */
static bool
has_word(const char *list, struct slice word)
{
	struct slice rest = {list, strlen(list)}, next;

	while ((next = slice_word(&rest)).len > 0)
		if (slice_equal(next, word))
			return true;
	return false;
}

static void
add_mechanisms(struct ehlo *ehlo, struct slice words)
{
	struct slice word;
	size_t len = strlen(ehlo->auth), i;

	while ((word = slice_word(&words)).len > 0) {
		if (!command_is_mechanism(word) || has_word(ehlo->auth, word) ||
		    len + 1 + word.len >= sizeof(ehlo->auth))
			continue;
		if (len > 0)
			ehlo->auth[len++] = ' ';
		for (i = 0; i < word.len; i++)
			ehlo->auth[len++] = toupper(
			    (unsigned char)word.text[i]);
		ehlo->auth[len] = '\0';
	}
}

static void
add_capability(struct ehlo *ehlo, enum ehlo_bit bit, struct slice value)
{
	if (bit == EHLO_BIT_AUTH) {
		add_mechanisms(ehlo, value);
		if (ehlo->auth[0] == '\0')
			return;
	}
	if (bit == EHLO_BIT_SIZE && !(ehlo->capabilities & EHLO_SIZE))
		slice_number(value, &ehlo->size_limit);
	ehlo->capabilities |= UINT32_C(1) << bit;
}

void
ehlo_parse(const struct reply *reply, struct ehlo *ehlo)
{
	enum ehlo_bit bit;
	struct slice value;
	size_t i;

	*ehlo = (struct ehlo){0};
	/* The first line is the server's name and greeting. */
	for (i = 1; i < reply->line_count; i++) {
		bit = recognise(reply_slice(reply, i), &value);
		if (bit < EHLO_BIT_COUNT)
			add_capability(ehlo, bit, value);
	}
}

static int
put_line(struct buf *out, bool is_last, struct slice text)
{
	return buf_addf(out, "250%c%.*s\r\n", is_last ? ' ' : '-',
	    (int)text.len, text.text);
}

/* The server's first line, fit to be shown, in out. */
static struct slice
greeting(const struct reply *reply, char out[TEXT_MAX])
{
	struct slice text = reply_slice(reply, 0);
	size_t i;

	if (text.len > TEXT_MAX)
		text.len = TEXT_MAX;
	for (i = 0; i < text.len; i++)
		out[i] = text.text[i] >= ' ' && text.text[i] <= '~'
		             ? text.text[i]
		             : '?';
	return (struct slice){out, text.len};
}

int
ehlo_format(const struct ehlo *ehlo, const struct reply *reply, bool with_auth,
    struct buf *out)
{
	struct slice lines[1 + EHLO_BIT_COUNT], text, value;
	char first[TEXT_MAX], auth[sizeof("AUTH ") + EHLO_AUTH_MAX];
	uint32_t todo = ehlo->capabilities & shown_to_client;
	enum ehlo_bit bit;
	size_t count = 0, i;

	if (!with_auth)
		todo &= ~(uint32_t)EHLO_AUTH;
	lines[count++] = greeting(reply, first);
	for (i = 1; i < reply->line_count; i++) {
		text = reply_slice(reply, i);
		bit = recognise(text, &value);
		if (bit == EHLO_BIT_COUNT || !(todo & UINT32_C(1) << bit))
			continue;
		todo &= ~(UINT32_C(1) << bit);
		if (bit == EHLO_BIT_AUTH) {
			text.text = auth;
			text.len = snprintf(
			    auth, sizeof(auth), "AUTH %s", ehlo->auth);
		}
		lines[count++] = text;
	}
	for (i = 0; i < count; i++)
		if (put_line(out, i + 1 == count, lines[i]) == -1)
			return -1;
	return 0;
}

/* A parameter, or one of its values, and what must have been offered. */
static const struct {
	enum verb verb;
	const char *key;
	const char *value; /* NULL: any, or none */
	uint32_t any_of;
} parameters[] = {
    {VERB_MAIL, "SIZE", NULL, EHLO_SIZE},
    {VERB_MAIL, "BODY", "7BIT", EHLO_8BITMIME | EHLO_BINARYMIME},
    {VERB_MAIL, "BODY", "8BITMIME", EHLO_8BITMIME},
    {VERB_MAIL, "BODY", "BINARYMIME", EHLO_BINARYMIME},
    {VERB_MAIL, "SMTPUTF8", NULL, EHLO_SMTPUTF8},
    {VERB_MAIL, "RET", NULL, EHLO_DSN},
    {VERB_MAIL, "ENVID", NULL, EHLO_DSN},
    {VERB_RCPT, "NOTIFY", NULL, EHLO_DSN},
    {VERB_RCPT, "ORCPT", NULL, EHLO_DSN},
    {VERB_MAIL, "BY", NULL, EHLO_DELIVERBY},
    {VERB_MAIL, "MT-PRIORITY", NULL, EHLO_MT_PRIORITY},
    {VERB_MAIL, "HOLDFOR", NULL, EHLO_FUTURERELEASE},
    {VERB_MAIL, "HOLDUNTIL", NULL, EHLO_FUTURERELEASE},
    {VERB_MAIL, "AUTH", NULL, EHLO_AUTH},
};

bool
ehlo_allows_parameter(
    const struct ehlo *ehlo, enum verb verb, const struct parameter *parameter)
{
	size_t i;

	for (i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++)
		if (parameters[i].verb == verb &&
		    slice_is(parameter->key, parameters[i].key) &&
		    (parameters[i].value == NULL ||
			slice_is(parameter->value, parameters[i].value)))
			return (ehlo->capabilities & parameters[i].any_of) != 0;
	return false;
}

bool
ehlo_covers(const struct ehlo *now, const struct ehlo *before)
{
	struct slice mechanisms = {before->auth, strlen(before->auth)}, word;

	if (before->capabilities & shown_to_client & ~now->capabilities)
		return false;
	if (before->capabilities & EHLO_SIZE && now->size_limit != 0 &&
	    (before->size_limit == 0 || now->size_limit < before->size_limit))
		return false;
	if (!(before->capabilities & EHLO_AUTH))
		return true;
	while ((word = slice_word(&mechanisms)).len > 0)
		if (!has_word(now->auth, word))
			return false;
	return true;
}
