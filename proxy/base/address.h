/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_ADDRESS_H
#define POSTERN_ADDRESS_H

/*
 * An IPv4 or IPv6 address with a port, and a prefix of addresses.  IPv4-mapped
 * IPv6 addresses are turned into IPv4 wherever one enters.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDRESS_TEXT_MAX 64 /* "[v6%scope]:port" and its NUL fit */

struct address {
	sa_family_t family; /* AF_INET or AF_INET6; AF_UNSPEC: none */
	uint16_t port; /* host byte order */
	uint32_t scope; /* interface index of a link-local address */
	uint8_t ip[16]; /* 4 or 16 bytes used, the rest zero */
};

struct prefix {
	struct address address; /* port 0, bits past length are zero */
	uint8_t length;
};

/* Bytes of ip in use: 4, 16, or 0. */
size_t address_ip_len(const struct address *);

/* address_from_sockaddr returns 0, or -1 (EAFNOSUPPORT). */
int address_from_sockaddr(struct address *, const struct sockaddr *);
/* address_to_sockaddr fills storage and returns its length. */
socklen_t
address_to_sockaddr(const struct address *, struct sockaddr_storage *);

/*
 * address_from_text reads "192.0.2.1", "2001:db8::1" or "[2001:db8::1]", with
 * no port (port is set to 0).  Returns 0, or -1 (EINVAL).
 */
int address_from_text(struct address *, const char *);
/* As RFC 5321 4.1.3 writes literals: "192.0.2.1" or "IPv6:2001:db8::1". */
int address_from_literal(struct address *, const char *, size_t len);

/* The address alone, without port; written to out and returned. */
const char *address_ip_text(const struct address *, char out[ADDRESS_TEXT_MAX]);
/* "192.0.2.1:25", "[2001:db8::1]:25". */
const char *address_text(const struct address *, char out[ADDRESS_TEXT_MAX]);

/*
 * address_client returns who is counted as one client: the address without its
 * port, but for IPv6 its network of 64 bits, since whoever has one address of
 * it has all of them (RFC 6177).
 */
struct address address_client(const struct address *);

/*
 * address_equal compares all of it; address_ip_equal neither ports nor
 * scopes, since a rule's text has none.
 */
/* An order for trees: negative, 0 or positive; ports count, scopes do not. */
int address_compare(const struct address *, const struct address *);
bool address_equal(const struct address *, const struct address *);
bool address_ip_equal(const struct address *, const struct address *);

/*
 * prefix_from_text reads "192.0.2.0/24" or a bare address; 0, or -1 (EINVAL),
 * also where bits past the length are set: "192.0.2.7/24" is unclear.
 */
int prefix_from_text(struct prefix *, const char *);
bool prefix_contains(const struct prefix *, const struct address *);

#endif
