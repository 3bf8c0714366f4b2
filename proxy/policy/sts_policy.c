/* SPDX-License-Identifier: ISC */
/*
 * The two grammars of RFC 8461, read strictly.  A text that breaks them is no
 * policy, and mail then goes on as without one: so what the grammars leave
 * open is taken, and of what they forbid whatever can be left out without
 * making the policy a weaker one: empty lines, empty values of fields that
 * postern does not know, and mx lines that match no host.
 */

#include "proxy/policy/sts_policy.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proxy/policy/dns_name.h"
#include "proxy/smtp/slice.h"

#define VERSION         "STSv1"
#define FIELD_NAME_MAX  32
#define AGE_DIGITS_MAX  10
#define WILDCARD        "*."
#define WILDCARD_LENGTH 2

/* What has been seen of a policy file. */
struct reading {
	struct sts_policy *policy;
	bool has_version;
	bool has_mode;
	bool has_max_age;
	bool has_bad_mx;
};

const char *
sts_mode_text(enum sts_mode mode)
{
	switch (mode) {
	case STS_NONE:
		return "none";
	case STS_TESTING:
		return "testing";
	case STS_ENFORCE:
		return "enforce";
	}
	return "unknown";
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t';
}

static void
skip_space(struct slice *rest)
{
	while (rest->len > 0 && is_space(rest->text[0]))
		slice_skip(rest, 1);
}

static void
drop_space_at_end(struct slice *slice)
{
	while (slice->len > 0 && is_space(slice->text[slice->len - 1]))
		slice->len--;
}

/* The literals of both grammars mind the case. */
static bool
is_text(struct slice slice, const char *text)
{
	return slice.len == strlen(text) &&
	       memcmp(slice.text, text, slice.len) == 0;
}

static bool
skip_text(struct slice *rest, const char *text)
{
	size_t len = strlen(text);

	if (rest->len < len || memcmp(rest->text, text, len) != 0)
		return false;
	slice_skip(rest, len);
	return true;
}

static bool
is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z');
}

/* Up to the first of that byte, which is skipped; all where there is none. */
static struct slice
take_until(struct slice *rest, char end, bool *has_end)
{
	struct slice taken = *rest;
	const char *at = NULL;

	if (rest->len > 0)
		at = memchr(rest->text, end, rest->len);
	*has_end = at != NULL;
	if (at != NULL)
		taken.len = (size_t)(at - rest->text);
	slice_skip(rest, taken.len + (at != NULL));
	return taken;
}

static bool
is_field_name(struct slice name)
{
	size_t i;

	if (name.len == 0 || name.len > FIELD_NAME_MAX ||
	    !is_alnum(name.text[0]))
		return false;
	for (i = 1; i < name.len; i++)
		if (!is_alnum(name.text[i]) && name.text[i] != '_' &&
		    name.text[i] != '-' && name.text[i] != '.')
			return false;
	return true;
}

/* The TXT record: RFC 8461 3.1. */

static bool
is_id(struct slice value)
{
	size_t i;

	for (i = 0; i < value.len; i++)
		if (!is_alnum(value.text[i]))
			return false;
	return value.len >= 1 && value.len <= STS_ID_MAX;
}

/*
 * Printable, without '=', ';' and spaces; ';' cannot be in one here.  It may be
 * empty, which an id may not.
 */
static bool
is_extension_value(struct slice value)
{
	size_t i;

	for (i = 0; i < value.len; i++)
		if (value.text[i] <= ' ' || value.text[i] > '~' ||
		    value.text[i] == '=')
			return false;
	return true;
}

/* One field; the first id is the one that counts. */
static int
read_txt_field(struct slice field, char id[STS_ID_MAX + 1])
{
	struct slice name;
	bool has_equals;

	name = take_until(&field, '=', &has_equals);
	if (!has_equals || !is_field_name(name) || !is_extension_value(field))
		return -1;
	if (!is_text(name, "id") || id[0] != '\0')
		return 0;
	if (!is_id(field))
		return -1;
	memcpy(id, field.text, field.len);
	id[field.len] = '\0';
	return 0;
}

int
sts_id_from_txt(const uint8_t *text, size_t len, char id[STS_ID_MAX + 1])
{
	struct slice rest = {(const char *)text, len}, field;
	bool has_delimiter;

	id[0] = '\0';
	if (!skip_text(&rest, "v=" VERSION))
		return 0;
	skip_space(&rest);
	if (!skip_text(&rest, ";"))
		return 0;
	do {
		skip_space(&rest);
		field = take_until(&rest, ';', &has_delimiter);
		/* White space is a delimiter's; at the end there is none. */
		if (has_delimiter)
			drop_space_at_end(&field);
		if (read_txt_field(field, id) == -1)
			goto malformed;
		if (has_delimiter)
			skip_space(&rest);
	} while (rest.len > 0);
	if (id[0] != '\0')
		return 1;
malformed:
	id[0] = '\0';
	return -1;
}

/* The policy file: RFC 8461 3.2. */

/* How many bytes the character at i has, 0 where there is none (RFC 3629). */
static size_t
utf8_len(struct slice value, size_t i)
{
	const uint8_t *at = (const uint8_t *)value.text + i;
	size_t left = value.len - i, len, n;

	if (at[0] < 0x80)
		return at[0] >= ' ' && at[0] != 0x7f;
	if (at[0] < 0xc2 || at[0] > 0xf4)
		return 0;
	len = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
	if (left < len)
		return 0;
	for (n = 1; n < len; n++)
		if ((at[n] & 0xc0) != 0x80)
			return 0;
	/* Longer than need be, a surrogate, past the last one. */
	if ((at[0] == 0xe0 && at[1] < 0xa0) ||
	    (at[0] == 0xed && at[1] > 0x9f) ||
	    (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
		return 0;
	return len;
}

/* No control character, a NUL and a lone CR among them. */
static bool
is_policy_value(struct slice value)
{
	size_t i, n;

	for (i = 0; i < value.len; i += n)
		if ((n = utf8_len(value, i)) == 0)
			return false;
	return true;
}

static const char *
read_version(struct reading *reading, struct slice value)
{
	if (!is_text(value, VERSION))
		return "its version is not " VERSION;
	reading->has_version = true;
	return NULL;
}

static const char *
read_mode(struct reading *reading, struct slice value)
{
	static const enum sts_mode modes[] = {
	    STS_NONE, STS_TESTING, STS_ENFORCE};
	size_t i;

	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (is_text(value, sts_mode_text(modes[i]))) {
			reading->policy->mode = modes[i];
			reading->has_mode = true;
			return NULL;
		}
	return "its mode is none of enforce, testing, none";
}

/*
 * More than the maximum means as long as can be: to take it for no policy
 * would leave the domain without one.
 */
static const char *
read_max_age(struct reading *reading, struct slice value)
{
	uint64_t age;

	if (value.len > AGE_DIGITS_MAX || !slice_number(value, &age))
		return "its max_age is not a number of 1 to 10 digits";
	reading->policy->max_age = age > STS_AGE_MAX ? STS_AGE_MAX
	                                             : (uint32_t)age;
	reading->has_max_age = true;
	return NULL;
}

/* In lower case, as it is kept. */
static bool
is_pattern(const char *text)
{
	if (strncmp(text, WILDCARD, WILDCARD_LENGTH) == 0)
		text += WILDCARD_LENGTH;
	return dns_name_is_host(text);
}

/*
 * A line that can match no host is as good as not there, and of too many the
 * last ones are: fewer hosts pass then, where no policy would let all pass.
 */
static void
read_mx(struct reading *reading, struct slice value)
{
	struct sts_policy *policy = reading->policy;
	char pattern[STS_PATTERN_MAX];
	size_t i;

	for (i = 0; i < value.len && i < sizeof(pattern) - 1; i++)
		pattern[i] = (char)tolower((unsigned char)value.text[i]);
	pattern[i] = '\0';
	if (i < value.len || !is_pattern(pattern))
		reading->has_bad_mx = true;
	else if (policy->mx_count < STS_MX_MAX)
		strlcpy(policy->mx[policy->mx_count++], pattern,
		    sizeof(policy->mx[0]));
}

/* Of fields that are there twice the first one counts, but for mx. */
static const char *
read_field(struct reading *reading, struct slice name, struct slice value)
{
	if (is_text(name, "mx"))
		read_mx(reading, value);
	if (is_text(name, "version") && !reading->has_version)
		return read_version(reading, value);
	if (is_text(name, "mode") && !reading->has_mode)
		return read_mode(reading, value);
	if (is_text(name, "max_age") && !reading->has_max_age)
		return read_max_age(reading, value);
	return NULL;
}

static const char *
read_line(struct reading *reading, struct slice line)
{
	struct slice name;
	bool has_colon;

	drop_space_at_end(&line);
	if (line.len == 0)
		return NULL;
	name = take_until(&line, ':', &has_colon);
	if (!has_colon || !is_field_name(name))
		return "a line is not \"key: value\"";
	skip_space(&line);
	if (!is_policy_value(line))
		return "a value is not clean text";
	return read_field(reading, name, line);
}

static const char *
missing(const struct reading *reading)
{
	if (!reading->has_version)
		return "it has no version";
	if (!reading->has_mode)
		return "it has no mode";
	if (!reading->has_max_age)
		return "it has no max_age";
	if (reading->policy->mx_count == 0 && reading->policy->mode != STS_NONE)
		return reading->has_bad_mx
		           ? "none of its mx lines has a host name, or \"*.\" "
		             "and a name"
		           : "it has no mx line";
	return NULL;
}

int
sts_policy_parse(
    struct sts_policy *policy, const char *text, size_t len, const char **why)
{
	struct reading reading = {.policy = policy};
	struct slice rest = {text, len}, line;
	bool has_end;

	policy->mode = STS_NONE;
	policy->max_age = 0;
	policy->mx_count = 0;
	*why = len > STS_BYTES_MAX ? "it is longer than 65536 bytes" : NULL;
	while (*why == NULL && rest.len > 0) {
		line = take_until(&rest, '\n', &has_end);
		if (has_end && line.len > 0 && line.text[line.len - 1] == '\r')
			line.len--;
		*why = read_line(&reading, line);
	}
	if (*why == NULL)
		*why = missing(&reading);
	return *why == NULL ? 0 : -1;
}

size_t
sts_policy_write(const struct sts_policy *policy, char out[STS_TEXT_MAX])
{
	size_t i, len;

	len = (size_t)snprintf(out, STS_TEXT_MAX,
	    "version: " VERSION "\nmode: %s\nmax_age: %" PRIu32 "\n",
	    sts_mode_text(policy->mode), policy->max_age);
	for (i = 0; i < policy->mx_count; i++)
		len += (size_t)snprintf(out + len, STS_TEXT_MAX - len,
		    "mx: %.*s\n", STS_PATTERN_MAX - 1, policy->mx[i]);
	return len;
}

static bool
matches(const char *pattern, const char *host)
{
	const char *dot;

	if (strncmp(pattern, WILDCARD, WILDCARD_LENGTH) != 0)
		return strcmp(pattern, host) == 0;
	dot = strchr(host, '.');
	return dot != NULL && dot > host &&
	       strcmp(pattern + WILDCARD_LENGTH, dot + 1) == 0;
}

bool
sts_policy_has(const struct sts_policy *policy, const char *host)
{
	size_t i;

	for (i = 0; i < policy->mx_count; i++)
		if (matches(policy->mx[i], host))
			return true;
	return false;
}
