/* SPDX-License-Identifier: ISC */
/*
 * Readers of single values: names, addresses, numbers, times, pins.  They
 * know nothing of settings, files or lines.
 */

#include "proxy/config_value.h"

#include <ctype.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "proxy/policy/dns_name.h"
#include "proxy/policy/redis_url.h"

#define HOST_MAX       253 /* RFC 1035 2.3.4, as text without the last dot */
#define BLOCK_NAME_MAX 63
#define DNS_PORT       53
#define NEAR_WORD_MAX  32 /* longer words are not guessed at */
#define NEAR_EDITS     2

#define ALPHA "abcdefghijklmnopqrstuvwxyz"
#define DIGIT "0123456789"

static bool
is_digits(const char *text)
{
	return *text != '\0' && text[strspn(text, DIGIT)] == '\0';
}

const char *
value_host(const char *text, char out[CONFIG_TEXT_MAX])
{
	size_t len = strlen(text), i;

	if (len > 1 && text[len - 1] == '.')
		len--;
	if (len > HOST_MAX)
		return "is not a host name";
	for (i = 0; i < len; i++) {
		if ((unsigned char)text[i] > 0x7e)
			return "is not ASCII: write its xn-- form";
		out[i] = (char)tolower((unsigned char)text[i]);
	}
	out[len] = '\0';
	if (strchr(out, '*') != NULL)
		return "must be one host name, without a wildcard";
	if (dns_name_is_host(out))
		return NULL;
	/* No top level is a number: it was meant to be an address. */
	if (len > 0 && strspn(out, "0123456789.:") == len)
		return "is not a valid address";
	return "is not a host name";
}

const char *
value_domain(const char *text, char out[CONFIG_TEXT_MAX])
{
	char host[CONFIG_TEXT_MAX];
	const char *why;

	if (strncmp(text, "*.", 2) != 0)
		return value_host(text, out);
	if ((why = value_host(text + 2, host)) != NULL)
		return why;
	/* Nothing below it could be a name. */
	if (strlen(host) + 2 > HOST_MAX)
		return "is not a domain";
	strlcpy(out, "*.", CONFIG_TEXT_MAX);
	strlcat(out, host, CONFIG_TEXT_MAX);
	return NULL;
}

const char *
value_prefix(const char *text, char out[CONFIG_TEXT_MAX])
{
	struct prefix prefix;
	char ip[ADDRESS_TEXT_MAX];

	if (prefix_from_text(&prefix, text) == -1)
		return "is not an address prefix (or has bits set past its"
		       " length)";
	address_ip_text(&prefix.address, ip);
	if (prefix.length == address_ip_len(&prefix.address) * 8)
		strlcpy(out, ip, CONFIG_TEXT_MAX);
	else
		snprintf(out, CONFIG_TEXT_MAX, "%s/%u", ip, prefix.length);
	return NULL;
}

const char *
value_match(const char *text, char out[CONFIG_TEXT_MAX])
{
	const char *why = value_prefix(text, out);

	if (why != NULL && strchr(text, '/') == NULL)
		return value_host(text, out);
	return why;
}

const char *
value_interface(const char *text, char out[CONFIG_TEXT_MAX])
{
	size_t len = strlen(text), i;

	if (len == 0 || len >= IF_NAMESIZE || strcmp(text, ".") == 0 ||
	    strcmp(text, "..") == 0)
		return "is not an interface name";
	for (i = 0; i < len; i++) {
		if (!isalnum((unsigned char)text[i]) &&
		    strchr("._-", text[i]) == NULL)
			return "is not an interface name";
	}
	strlcpy(out, text, CONFIG_TEXT_MAX);
	return NULL;
}

const char *
value_path(const char *text, char out[CONFIG_TEXT_MAX])
{
	const char *c;

	if (text[0] != '/')
		return "is not an absolute path";
	for (c = text; *c != '\0'; c++) {
		if (iscntrl((unsigned char)*c))
			return "has control characters";
	}
	strlcpy(out, text, CONFIG_TEXT_MAX);
	return NULL;
}

const char *
value_state(const char *text, char out[CONFIG_TEXT_MAX])
{
	struct redis_url url;
	const char *fault;

	if ((fault = redis_url_parse(text, &url)) == NULL)
		strlcpy(out, text, CONFIG_TEXT_MAX);
	explicit_bzero(&url, sizeof(url));
	return fault;
}

const char *
value_user(const char *text, char out[CONFIG_TEXT_MAX])
{
	size_t len = strlen(text);

	if (len == 0 || len > 31 || text[0] == '-' || is_digits(text) ||
	    strspn(text, ALPHA DIGIT "_-.") != len)
		return "is not a user's name";
	if (strcmp(text, "root") == 0)
		return "must be a user of its own";
	strlcpy(out, text, CONFIG_TEXT_MAX);
	return NULL;
}

const char *
value_label(const char *text, char out[CONFIG_TEXT_MAX])
{
	const char *c;

	if (text[0] == '\0' || strlen(text) > BLOCK_NAME_MAX)
		return "is not a name of 1 to 63 characters";
	for (c = text; *c != '\0'; c++) {
		if (*c < ' ' || *c > '~')
			return "is not printable ASCII";
	}
	strlcpy(out, text, CONFIG_TEXT_MAX);
	return NULL;
}

const char *
value_bool(const char *text, bool *out)
{
	static const char *const yes[] = {"true", "yes", "on"};
	static const char *const no[] = {"false", "no", "off"};
	size_t i;

	for (i = 0; i < 3; i++) {
		if (strcasecmp(text, yes[i]) == 0 ||
		    strcasecmp(text, no[i]) == 0) {
			*out = strcasecmp(text, yes[i]) == 0;
			return NULL;
		}
	}
	return "must be true or false";
}

/* Digits up to the first byte that is none; *end is set to it. */
static bool
read_digits(
    const char *text, unsigned int base, uint64_t *out, const char **end)
{
	const char *c;
	uint64_t value = 0;
	int digit;

	for (c = text;; c++) {
		digit = isdigit((unsigned char)*c)    ? *c - '0'
		        : isxdigit((unsigned char)*c) ? tolower(*c) - 'a' + 10
		                                      : 99;
		if (digit >= (int)base)
			break;
		/* Long past every bound there is, and far from wrapping. */
		if (value < UINT64_MAX / 64)
			value = value * base + (unsigned int)digit;
	}
	*out = value;
	*end = c;
	return c > text;
}

const char *
value_number(const char *text, uint64_t *out)
{
	unsigned int base = 10;
	const char *end;

	if (strncasecmp(text, "0x", 2) == 0) {
		base = 16;
		text += 2;
	}
	if (!read_digits(text, base, out, &end) || *end != '\0')
		return "is not a number";
	return NULL;
}

const char *
value_mark(const char *text, char out[CONFIG_TEXT_MAX])
{
	uint64_t value, mask = UINT32_MAX;
	const char *slash = strchr(text, '/');
	char first[CONFIG_TEXT_MAX];

	if (slash != NULL && value_number(slash + 1, &mask) != NULL)
		return "is not a packet mark: VALUE or VALUE/MASK";
	strlcpy(first, text, sizeof(first));
	first[strcspn(first, "/")] = '\0';
	if (value_number(first, &value) != NULL)
		return "is not a packet mark: VALUE or VALUE/MASK";
	if (value > UINT32_MAX || mask > UINT32_MAX || mask == 0 ||
	    (value & ~mask) != 0)
		return "is a packet mark that no packet has";
	snprintf(out, CONFIG_TEXT_MAX, "0x%llx/0x%llx",
	    (unsigned long long)value, (unsigned long long)mask);
	return NULL;
}

void
value_mark_parts(const char *text, uint32_t *value, uint32_t *mask)
{
	char *end;

	*value = (uint32_t)strtoul(text, &end, 0);
	*mask = *end == '/' ? (uint32_t)strtoul(end + 1, NULL, 0) : UINT32_MAX;
}

const char *
value_seconds(const char *text, uint64_t *out)
{
	static const struct {
		const char *suffix;
		uint32_t seconds;
	} units[] = {{"", 1}, {"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400},
	    {"w", 7 * 86400}};
	const char *end;
	uint64_t value;
	size_t i;

	if (!read_digits(text, 10, &value, &end))
		return "is not a number of seconds";
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcasecmp(end, units[i].suffix) != 0)
			continue;
		/* A week of all that fits is past every bound, too. */
		if (value > UINT32_MAX)
			value = UINT32_MAX;
		*out = value * units[i].seconds;
		return NULL;
	}
	return "is not a number of seconds (or of s, min, h, d, w)";
}

const char *
value_server(const char *text, struct address *out)
{
	const char *port = NULL;
	char ip[ADDRESS_TEXT_MAX];
	uint64_t number = DNS_PORT;
	size_t len = strlen(text);

	if (text[0] == '[') {
		if ((port = strchr(text, ']')) != NULL)
			len = (size_t)(++port - text);
	} else if ((port = strchr(text, ':')) != NULL) {
		/* A second colon: IPv6 without brackets, hence no port. */
		if (strchr(port + 1, ':') != NULL)
			port = NULL;
		else
			len = (size_t)(port - text);
	}
	if (len >= sizeof(ip))
		return "is not an address";
	memcpy(ip, text, len);
	ip[len] = '\0';
	if (address_from_text(out, ip) == -1)
		return "is not an address";
	if (port != NULL && *port != '\0' &&
	    (*port != ':' || !is_digits(port + 1) ||
		value_number(port + 1, &number) != NULL || number == 0 ||
		number > UINT16_MAX))
		return "has a bad port";
	out->port = (uint16_t)number;
	return NULL;
}

/* -1 where the byte is none of the alphabet. */
static int
base64_digit(char c)
{
	static const char upper[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	const char *at;

	if (c == '\0')
		return -1;
	if ((at = strchr(upper, c)) != NULL)
		return (int)(at - upper);
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (isdigit((unsigned char)c))
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* 32 bytes are 43 digits and one "=", the last digit's low bits zero. */
static bool
pin_base64(const char *text, uint8_t out[32])
{
	uint32_t bits = 0;
	size_t i, n = 0;
	int digit, held = 0;

	if (strlen(text) != 44 || text[43] != '=')
		return false;
	for (i = 0; i < 43; i++) {
		if ((digit = base64_digit(text[i])) == -1)
			return false;
		bits = (bits << 6 | (uint32_t)digit) & 0xffff;
		held += 6;
		if (held >= 8) {
			held -= 8;
			out[n++] = (uint8_t)(bits >> held);
		}
	}
	return (bits & 3) == 0;
}

static bool
pin_hex(const char *text, uint8_t out[32])
{
	const char *end;
	char pair[3] = {0};
	uint64_t byte;
	size_t i;

	if (strlen(text) != 64)
		return false;
	for (i = 0; i < 32; i++) {
		memcpy(pair, text + 2 * i, 2);
		if (!read_digits(pair, 16, &byte, &end) || *end != '\0')
			return false;
		out[i] = (uint8_t)byte;
	}
	return true;
}

const char *
value_pin(const char *text, uint8_t out[32])
{
	if (strncasecmp(text, "sha256:", 7) == 0)
		text += 7;
	if (!pin_hex(text, out) && !pin_base64(text, out))
		return "is not a SHA-256 in hexadecimal or base64";
	return NULL;
}

/* The number in exactly len digits, then the byte `then`; -1 otherwise. */
static int
date_part(const char **text, int len, char then)
{
	int value = 0, i;

	for (i = 0; i < len; i++) {
		if (!isdigit((unsigned char)(*text)[i]))
			return -1;
		value = value * 10 + ((*text)[i] - '0');
	}
	if ((*text)[len] != then)
		return -1;
	*text += len + 1;
	return value;
}

const char *
value_until(const char *text, int64_t *out)
{
	static const char wrong[] =
	    "is not a date (2027-01-31, or 2027-01-31T12:00:00Z)";
	struct tm tm = {0}, back;
	bool has_time = strlen(text) > 10;
	time_t at;

	tm.tm_year = date_part(&text, 4, '-') - 1900;
	tm.tm_mon = tm.tm_year < 70 ? -1 : date_part(&text, 2, '-') - 1;
	if (tm.tm_mon < 0)
		return wrong;
	tm.tm_mday = date_part(&text, 2, has_time ? 'T' : '\0');
	if (tm.tm_mday < 1)
		return wrong;
	if (has_time) {
		if ((tm.tm_hour = date_part(&text, 2, ':')) < 0 ||
		    (tm.tm_min = date_part(&text, 2, ':')) < 0 ||
		    (tm.tm_sec = date_part(&text, 2, 'Z')) < 0 || *text != '\0')
			return wrong;
	}
	/* timegm would take the 31st of February for the 3rd of March. */
	back = tm;
	at = timegm(&back);
	if (back.tm_year != tm.tm_year || back.tm_mon != tm.tm_mon ||
	    back.tm_mday != tm.tm_mday || back.tm_hour != tm.tm_hour ||
	    back.tm_min != tm.tm_min || back.tm_sec != tm.tm_sec)
		return wrong;
	*out = (int64_t)at + (has_time ? 0 : 24 * 60 * 60);
	return NULL;
}

/*
 * How many letters must be put in, left out, replaced or swapped with their
 * neighbour to make one word of the other.
 */
static size_t
edits(const char *a, const char *b)
{
	size_t row[3][NEAR_WORD_MAX + 1];
	size_t alen = strlen(a), blen = strlen(b), i, j, best;
	size_t *above2 = row[0], *above = row[1], *here = row[2], *spare;

	if (alen > NEAR_WORD_MAX || blen > NEAR_WORD_MAX)
		return SIZE_MAX;
	for (j = 0; j <= blen; j++)
		here[j] = j;
	for (i = 1; i <= alen; i++) {
		spare = above2;
		above2 = above;
		above = here;
		here = spare;
		here[0] = i;
		for (j = 1; j <= blen; j++) {
			best = above[j - 1] + (a[i - 1] != b[j - 1]);
			if (above[j] + 1 < best)
				best = above[j] + 1;
			if (here[j - 1] + 1 < best)
				best = here[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && above2[j - 2] + 1 < best)
				best = above2[j - 2] + 1;
			here[j] = best;
		}
	}
	return here[blen];
}

const char *
value_nearest(const char *text, const char *const *words)
{
	const char *nearest = NULL;
	size_t least = NEAR_EDITS + 1, distance;

	for (; *words != NULL; words++) {
		distance = edits(text, *words);
		/* Of a short word, two letters are no likeness. */
		if (distance < least && distance * 2 < strlen(*words)) {
			least = distance;
			nearest = *words;
		}
	}
	return nearest;
}
