/* SPDX-License-Identifier: ISC */
/*
 * Addresses and prefixes as values: in from sockets and text, out to sockets
 * and text, compared.  Nothing here looks a name up.
 */

#include "proxy/base/address.h"

#include <netinet/in.h>
#include <arpa/inet.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAPPED_BITS     96 /* of ::ffff:0:0/96 */
#define IPV6_CLIENT_LEN 8 /* bytes of an address that tell clients apart */

size_t
address_ip_len(const struct address *address)
{
	switch (address->family) {
	case AF_INET:
		return 4;
	case AF_INET6:
		return 16;
	}
	return 0;
}

static void
set_ipv4(struct address *address, const void *ip)
{
	memset(address, 0, sizeof(*address));
	address->family = AF_INET;
	memcpy(address->ip, ip, 4);
}

/* One host has one form, or a rule for it could be missed by the other. */
static void
set_ipv6(struct address *address, const struct in6_addr *ip)
{
	if (IN6_IS_ADDR_V4MAPPED(ip)) {
		set_ipv4(address, ip->s6_addr + MAPPED_BITS / 8);
		return;
	}
	memset(address, 0, sizeof(*address));
	address->family = AF_INET6;
	memcpy(address->ip, ip->s6_addr, 16);
}

int
address_from_sockaddr(struct address *address, const struct sockaddr *sa)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	switch (sa->sa_family) {
	case AF_INET:
		memcpy(&in, sa, sizeof(in));
		set_ipv4(address, &in.sin_addr);
		address->port = ntohs(in.sin_port);
		return 0;
	case AF_INET6:
		memcpy(&in6, sa, sizeof(in6));
		set_ipv6(address, &in6.sin6_addr);
		address->port = ntohs(in6.sin6_port);
		if (address->family == AF_INET6)
			address->scope = in6.sin6_scope_id;
		return 0;
	}
	memset(address, 0, sizeof(*address));
	errno = EAFNOSUPPORT;
	return -1;
}

socklen_t
address_to_sockaddr(
    const struct address *address, struct sockaddr_storage *storage)
{
	struct sockaddr_in *in = (struct sockaddr_in *)storage;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)storage;

	memset(storage, 0, sizeof(*storage));
	storage->ss_family = address->family;
	switch (address->family) {
	case AF_INET:
		in->sin_port = htons(address->port);
		memcpy(&in->sin_addr, address->ip, 4);
		return sizeof(*in);
	case AF_INET6:
		in6->sin6_port = htons(address->port);
		in6->sin6_scope_id = address->scope;
		memcpy(&in6->sin6_addr, address->ip, 16);
		return sizeof(*in6);
	}
	return 0;
}

static int
ipv4_from_text(struct address *address, const char *text)
{
	struct in_addr ip;

	if (inet_pton(AF_INET, text, &ip) != 1) {
		errno = EINVAL;
		return -1;
	}
	set_ipv4(address, &ip);
	return 0;
}

static int
ipv6_from_text(struct address *address, const char *text)
{
	struct in6_addr ip;

	if (inet_pton(AF_INET6, text, &ip) != 1) {
		errno = EINVAL;
		return -1;
	}
	set_ipv6(address, &ip);
	return 0;
}

int
address_from_text(struct address *address, const char *text)
{
	char inner[ADDRESS_TEXT_MAX];
	size_t len = strlen(text);

	memset(address, 0, sizeof(*address));
	if (strchr(text, ':') == NULL)
		return ipv4_from_text(address, text);
	if (text[0] != '[')
		return ipv6_from_text(address, text);
	if (text[len - 1] != ']' || len - 2 >= sizeof(inner)) {
		errno = EINVAL;
		return -1;
	}
	memcpy(inner, text + 1, len - 2);
	inner[len - 2] = '\0';
	return ipv6_from_text(address, inner);
}

int
address_from_literal(struct address *address, const char *literal, size_t len)
{
	static const char tag[] = "IPv6:";
	const size_t tag_len = sizeof(tag) - 1;
	char text[ADDRESS_TEXT_MAX];

	memset(address, 0, sizeof(*address));
	if (len >= sizeof(text) || memchr(literal, '\0', len) != NULL) {
		errno = EINVAL;
		return -1;
	}
	memcpy(text, literal, len);
	text[len] = '\0';
	if (strncasecmp(text, tag, tag_len) == 0)
		return ipv6_from_text(address, text + tag_len);
	return ipv4_from_text(address, text);
}

const char *
address_ip_text(const struct address *address, char out[ADDRESS_TEXT_MAX])
{
	size_t len;

	if (inet_ntop(address->family, address->ip, out, ADDRESS_TEXT_MAX) ==
	    NULL) {
		strlcpy(out, "none", ADDRESS_TEXT_MAX);
		return out;
	}
	/* A number: names of interfaces cannot be looked up in the jail. */
	if (address->scope != 0) {
		len = strlen(out);
		snprintf(
		    out + len, ADDRESS_TEXT_MAX - len, "%%%u", address->scope);
	}
	return out;
}

const char *
address_text(const struct address *address, char out[ADDRESS_TEXT_MAX])
{
	char ip[ADDRESS_TEXT_MAX];

	address_ip_text(address, ip);
	if (snprintf(out, ADDRESS_TEXT_MAX,
		address->family == AF_INET6 ? "[%s]:%u" : "%s:%u", ip,
		address->port) >= ADDRESS_TEXT_MAX)
		out[ADDRESS_TEXT_MAX - 1] = '\0';
	return out;
}

int
address_compare(const struct address *a, const struct address *b)
{
	int order;

	if ((order = (int)a->port - (int)b->port) != 0 ||
	    (order = (int)a->family - (int)b->family) != 0)
		return order;
	return memcmp(a->ip, b->ip, sizeof(a->ip));
}

struct address
address_client(const struct address *address)
{
	struct address client = *address;

	client.port = 0;
	client.scope = 0;
	if (client.family == AF_INET6)
		memset(client.ip + IPV6_CLIENT_LEN, 0,
		    sizeof(client.ip) - IPV6_CLIENT_LEN);
	return client;
}

bool
address_equal(const struct address *a, const struct address *b)
{
	return address_ip_equal(a, b) && a->port == b->port &&
	       a->scope == b->scope;
}

bool
address_ip_equal(const struct address *a, const struct address *b)
{
	return a->family == b->family &&
	       memcmp(a->ip, b->ip, address_ip_len(a)) == 0;
}

/* The bits of byte i that a prefix of this length covers. */
static uint8_t
mask_at(uint8_t length, size_t i)
{
	if (length >= (i + 1) * 8)
		return 0xff;
	if (length <= i * 8)
		return 0;
	return (uint8_t)(0xff << (8 - length % 8));
}

static int
read_length(const char *text, uint8_t max, uint8_t *length)
{
	const char *error;

	/* strtonum would take a sign or spaces. */
	if (!isdigit((unsigned char)text[0]))
		return -1;
	*length = (uint8_t)strtonum(text, 0, max, &error);
	return error == NULL ? 0 : -1;
}

int
prefix_from_text(struct prefix *prefix, const char *text)
{
	struct prefix read;
	char ip[ADDRESS_TEXT_MAX];
	const char *slash = strchrnul(text, '/');
	size_t ip_len = (size_t)(slash - text), i;
	bool is_ipv6 = memchr(text, ':', ip_len) != NULL;
	uint8_t length = is_ipv6 ? 128 : 32;

	memset(prefix, 0, sizeof(*prefix));
	if (ip_len >= sizeof(ip))
		goto bad;
	memcpy(ip, text, ip_len);
	ip[ip_len] = '\0';
	if (address_from_text(&read.address, ip) == -1)
		goto bad;
	if (*slash == '/' && read_length(slash + 1, length, &length) == -1)
		goto bad;
	if (is_ipv6 && read.address.family == AF_INET) {
		if (length < MAPPED_BITS)
			goto bad;
		length = (uint8_t)(length - MAPPED_BITS);
	}
	/* "192.0.2.7/24" is one host or a network: let the writer say which. */
	for (i = 0; i < address_ip_len(&read.address); i++)
		if ((read.address.ip[i] & ~mask_at(length, i)) != 0)
			goto bad;
	read.length = length;
	*prefix = read;
	return 0;
bad:
	errno = EINVAL;
	return -1;
}

bool
prefix_contains(const struct prefix *prefix, const struct address *address)
{
	size_t i;

	if (prefix->address.family != address->family)
		return false;
	for (i = 0; i < address_ip_len(address); i++)
		if ((address->ip[i] & mask_at(prefix->length, i)) !=
		    prefix->address.ip[i])
			return false;
	return true;
}
