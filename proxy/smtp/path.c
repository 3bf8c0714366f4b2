/* SPDX-License-Identifier: ISC */
/*
 * Addresses.  The rule behind this file: whoever reads the same bytes later,
 * the server included, must find the same domain in them, so anything that
 * could be read in two ways (two addresses, a second @, words beside a quoted
 * string) is refused.
 */

#include "proxy/smtp/path.h"

#include <ctype.h>
#include <string.h>

/* The next byte, or NUL, which no line holds, at the end. */
static unsigned char
peek(const struct slice *rest)
{
	return rest->len > 0 ? (unsigned char)rest->text[0] : '\0';
}

static bool
skip_byte(struct slice *rest, char c)
{
	if (peek(rest) != (unsigned char)c)
		return false;
	slice_skip(rest, 1);
	return true;
}

/* What rest has lost since it was start. */
static struct slice
taken(struct slice start, const struct slice *rest)
{
	start.len -= rest->len;
	return start;
}

static bool
is_utf8(unsigned char c)
{
	return c >= 0x80;
}

static bool
is_name_byte(unsigned char c)
{
	return isalnum(c) || c == '-' || c == '_' || c == '.' || is_utf8(c);
}

/* RFC 5322 3.2.3 and RFC 6531 3.3; the dot of a dot-string too. */
static bool
is_atom_byte(unsigned char c)
{
	return isalnum(c) || is_utf8(c) ||
	       (c != '\0' && strchr(".!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool
is_literal_byte(unsigned char c)
{
	return c > ' ' && c < 0x7f && c != '[' && c != ']' && c != '\\';
}

static struct slice
take_while(struct slice *rest, bool (*is_part)(unsigned char))
{
	struct slice start = *rest;

	while (rest->len > 0 && is_part(peek(rest)))
		slice_skip(rest, 1);
	return taken(start, rest);
}

static const char *
check_label(struct slice label)
{
	bool is_ascii = true;
	size_t i;

	if (label.len == 0)
		return "empty label in the domain";
	if (label.text[0] == '-' || label.text[label.len - 1] == '-')
		return "domain label with a hyphen at its end";
	for (i = 0; i < label.len; i++) {
		if (!is_name_byte(label.text[i]))
			return "character that no domain has";
		if (is_utf8(label.text[i]))
			is_ascii = false;
	}
	return is_ascii && label.len > LABEL_MAX ? "domain label too long"
	                                         : NULL;
}

static bool
is_label_byte(unsigned char c)
{
	return c != '.';
}

const char *
path_check_name(struct slice name)
{
	const char *reason;

	if (name.len > DOMAIN_MAX)
		return "domain too long";
	do {
		reason = check_label(take_while(&name, is_label_byte));
		if (reason != NULL)
			return reason;
	} while (skip_byte(&name, '.') && name.len > 0);
	return NULL;
}

static const char *
take_name(struct slice *rest, struct slice *name)
{
	*name = take_while(rest, is_name_byte);
	return path_check_name(*name);
}

static const char *
take_literal(struct slice *rest, struct slice *literal)
{
	*literal = take_while(rest, is_literal_byte);
	if (literal->len == 0 || literal->len > DOMAIN_MAX ||
	    !skip_byte(rest, ']'))
		return "malformed address literal";
	return NULL;
}

/* RFC 5321 4.1.2: A-d-l and its colon; servers ignore it, and so do we. */
static const char *
skip_route(struct slice *rest)
{
	const char *reason;
	struct slice name;

	do {
		if (!skip_byte(rest, '@'))
			return "malformed source route";
		if ((reason = take_name(rest, &name)) != NULL)
			return reason;
	} while (skip_byte(rest, ','));
	return skip_byte(rest, ':') ? NULL : "malformed source route";
}

/* Behind the opening quote; RFC 5321's Quoted-string. */
static const char *
skip_quoted(struct slice *rest)
{
	while (rest->len > 0) {
		if (skip_byte(rest, '"'))
			return NULL;
		if (skip_byte(rest, '\\') &&
		    (rest->len == 0 || is_utf8(peek(rest))))
			return "malformed escape in the local part";
		slice_skip(rest, 1);
	}
	return "quote without an end in the local part";
}

static const char *
take_local(struct slice *rest, struct slice *local)
{
	struct slice start = *rest;
	const char *reason;

	if (skip_byte(rest, '"')) {
		if ((reason = skip_quoted(rest)) != NULL)
			return reason;
	} else
		take_while(rest, is_atom_byte);
	*local = taken(start, rest);
	if (local->len == 0)
		return "address without a local part";
	return local->len > LOCAL_PART_MAX ? "local part too long" : NULL;
}

static const char *
take_domain(struct slice *rest, struct path *path)
{
	if (skip_byte(rest, '[')) {
		path->domain_kind = DOMAIN_LITERAL;
		return take_literal(rest, &path->domain);
	}
	path->domain_kind = DOMAIN_NAME;
	return take_name(rest, &path->domain);
}

/* What stands between the brackets. */
static const char *
take_mailbox(struct slice *rest, bool is_sender, struct path *path)
{
	bool has_route = peek(rest) == '@';
	const char *reason;

	if (has_route && (reason = skip_route(rest)) != NULL)
		return reason;
	if ((reason = take_local(rest, &path->local)) != NULL)
		return reason;
	if (skip_byte(rest, '@'))
		return take_domain(rest, path);
	if (is_sender)
		return NULL;
	path->is_postmaster = !has_route && slice_is(path->local, "postmaster");
	return path->is_postmaster ? NULL : "recipient without a domain";
}

static bool
has_utf8(struct slice slice)
{
	for (; slice.len > 0; slice_skip(&slice, 1))
		if (is_utf8(peek(&slice)))
			return true;
	return false;
}

const char *
path_parse(struct slice *rest, bool is_sender, struct path *path)
{
	struct slice start = *rest;
	const char *reason;

	*path = (struct path){0};
	if (!skip_byte(rest, '<'))
		return "address without angle brackets";
	path->is_null = is_sender && peek(rest) == '>';
	if (!path->is_null &&
	    (reason = take_mailbox(rest, is_sender, path)) != NULL)
		return reason;
	if (!skip_byte(rest, '>'))
		return peek(rest) == '@'
		           ? "more than one @ in the address"
		           : "address without its closing bracket";
	path->raw = taken(start, rest);
	path->needs_utf8 = has_utf8(path->raw);
	return NULL;
}
