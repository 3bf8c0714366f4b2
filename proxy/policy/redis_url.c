/* SPDX-License-Identifier: ISC */
/*
 * Strict where a mistake could send a password to another host: the authority
 * ends at the first '/', '?' or '#' (RFC 3986 3.2), and what userinfo may not
 * hold as it is must be written as %XX.
 */

#include "proxy/policy/redis_url.h"

#include <ctype.h>
#include <string.h>

#include "proxy/base/address.h"
#include "proxy/base/hex.h"

#define SCHEME "redis://"
#define MASK   "***"

static const char not_one[] =
    "is not redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]";

/* One byte of userinfo; how many characters it took, 0: it is none. */
static size_t
decode_byte(const char *text, size_t len, char *out)
{
	int high, low;

	*out = text[0];
	if (text[0] != '%')
		return text[0] > ' ' && text[0] != 0x7f;
	if (len < 3 || (high = hex_digit(text[1])) == -1 ||
	    (low = hex_digit(text[2])) == -1)
		return 0;
	*out = (char)(high << 4 | low);
	return *out == '\0' ? 0 : 3;
}

static const char *
decode(const char *text, size_t len, char *out, size_t size)
{
	size_t at, count, used = 0;

	for (at = 0; at < len; at += count) {
		if (used == size - 1)
			return "has too long a user or password";
		count = decode_byte(text + at, len - at, &out[used++]);
		if (count == 0)
			return "has a character in its user or password that "
			       "must be written as %XX, or a wrong %XX";
	}
	out[used] = '\0';
	return NULL;
}

static const char *
read_userinfo(const char *text, size_t len, struct redis_url *url)
{
	const char *colon = memchr(text, ':', len), *fault;
	size_t user_len;

	if (colon == NULL)
		return "has a user and no password: it is [USER]:PASSWORD@";
	user_len = (size_t)(colon - text);
	if ((fault = decode(text, user_len, url->user, sizeof(url->user))) !=
		NULL ||
	    (fault = decode(colon + 1, len - user_len - 1, url->password,
		 sizeof(url->password))) != NULL)
		return fault;
	return url->password[0] == '\0' ? "has an empty password" : NULL;
}

/* Decimal digits to the end of the text, of a number up to max. */
static int
read_number(const char *text, size_t len, uint32_t max, uint32_t *out)
{
	uint32_t number = 0;

	if (len == 0 || len > 9)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		number = number * 10 + (uint32_t)(text[i] - '0');
	}
	*out = number;
	return number <= max ? 0 : -1;
}

/* A last label of digits would be an address that is none. */
static int
read_name(const char *text, size_t len, char out[REDIS_HOST_MAX])
{
	size_t label = 0, digits = 0, i;

	if (len > 0 && text[len - 1] == '.')
		len--;
	if (len == 0 || len > 253)
		return -1;
	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		out[i] = (char)tolower(c);
		if (c == '.') {
			if (label == 0)
				return -1;
			label = digits = 0;
			continue;
		}
		if (c > 0x7f || (!isalnum(c) && c != '-' && c != '_') ||
		    ++label > 63)
			return -1;
		digits += isdigit(c) != 0;
	}
	out[len] = '\0';
	return label == 0 || digits == label ? -1 : 0;
}

static int
read_host(const char *text, size_t len, char out[REDIS_HOST_MAX])
{
	struct address address;
	char ip[ADDRESS_TEXT_MAX];
	int is_bracketed = len > 0 && text[0] == '[';

	if (len < sizeof(ip)) {
		memcpy(ip, text, len);
		ip[len] = '\0';
		if (address_from_text(&address, ip) == 0 &&
		    is_bracketed == (memchr(text, ':', len) != NULL)) {
			address_ip_text(&address, ip);
			strlcpy(out, ip, REDIS_HOST_MAX);
			return 0;
		}
	}
	return is_bracketed ? -1 : read_name(text, len, out);
}

static const char *
read_host_and_port(const char *text, size_t len, struct redis_url *url)
{
	const char *end = text + len, *colon;
	uint32_t port = REDIS_PORT;

	colon = len > 0 && text[0] == '[' ? memchr(text, ']', len) : text;
	colon = colon == NULL ? NULL
	                      : memchr(colon, ':', (size_t)(end - colon));
	if (colon == NULL)
		colon = end;
	if (read_host(text, (size_t)(colon - text), url->host) == -1)
		return "has no valid host: a name, an IPv4 address, or an "
		       "IPv6 address in brackets";
	if (colon < end && (read_number(colon + 1, (size_t)(end - colon) - 1,
				UINT16_MAX, &port) == -1 ||
			       port == 0))
		return "has a port that is not 1 to 65535";
	url->port = (uint16_t)port;
	return NULL;
}

static const char *
parse(const char *text, struct redis_url *url)
{
	const char *authority, *at, *fault, *rest;
	size_t len;

	if (strncmp(text, "rediss://", strlen("rediss://")) == 0)
		return "asks for TLS, which there is none of here: use "
		       "redis:// in a network of its own, or a tunnel";
	if (strncmp(text, SCHEME, strlen(SCHEME)) != 0)
		return not_one;
	if (strlen(text) >= REDIS_URL_MAX)
		return "is too long";
	authority = text + strlen(SCHEME);
	len = strcspn(authority, "/?#");
	rest = authority + len;
	if (strchr(rest, '@') != NULL)
		return "has a character in its user or password that must be "
		       "written as %XX";
	for (at = rest; at > authority && at[-1] != '@'; at--)
		continue;
	if (at > authority) {
		fault = read_userinfo(
		    authority, (size_t)(at - authority) - 1, url);
		if (fault != NULL)
			return fault;
	}
	if ((fault = read_host_and_port(at, (size_t)(rest - at), url)) != NULL)
		return fault;
	if (rest[0] == '\0' || strcmp(rest, "/") == 0)
		return NULL;
	if (rest[0] != '/' || read_number(rest + 1, strlen(rest + 1),
				  REDIS_DB_MAX, &url->db) == -1)
		return "has a database that is not 0 to 65535";
	return NULL;
}

const char *
redis_url_parse(const char *text, struct redis_url *url)
{
	const char *fault;

	memset(url, 0, sizeof(*url));
	if ((fault = parse(text, url)) != NULL)
		explicit_bzero(url, sizeof(*url));
	return fault;
}

/* Also where the text is wrong: what stands before the last '@' is hidden. */
const char *
redis_url_mask(const char *text, char out[REDIS_URL_MAX])
{
	const char *at = strrchr(text, '@');
	size_t scheme = strspn(text, "abcdefghijklmnopqrstuvwxyz");

	if (at == NULL) {
		strlcpy(out, text, REDIS_URL_MAX);
		return out;
	}
	out[0] = '\0';
	if (strncmp(text + scheme, "://", 3) == 0 && scheme < REDIS_URL_MAX - 4)
		strlcpy(out, text, scheme + 4);
	strlcat(out, MASK, REDIS_URL_MAX);
	strlcat(out, at, REDIS_URL_MAX);
	return out;
}
