/* SPDX-License-Identifier: ISC */
/*
 * Sockets at the two ends of an interception.  The listener stands on the
 * loopback address in both modes: REDIRECT rewrites the destination to it, and
 * TPROXY finds it there without rewriting anything.  An accepted socket whose
 * own address is a loopback one was therefore dialled by hand.  This module
 * knows the socket options; the rules that lead packets here are rules.c's.
 */

#include "netfilter/origin.h"

#include <sys/socket.h>
#include <sys/types.h>

#include <netinet/in.h>

#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int
tcp_socket(sa_family_t family)
{
	return socket(
	    family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
}

static int
set_on(int fd, int level, int option)
{
	int on = 1;

	return setsockopt(fd, level, option, &on, sizeof(on));
}

static int
set_transparent(int fd, sa_family_t family)
{
	if (family == AF_INET6)
		return set_on(fd, IPPROTO_IPV6, IPV6_TRANSPARENT);
	return set_on(fd, IPPROTO_IP, IP_TRANSPARENT);
}

static int
set_mark(int fd, uint32_t mark)
{
	return setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark));
}

static int
close_failed(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
	return -1;
}

static socklen_t
loopback(struct sockaddr_storage *ss, sa_family_t family, uint16_t port)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof(*ss));
	ss->ss_family = family;
	if (family == AF_INET6) {
		sin6->sin6_addr = in6addr_loopback;
		sin6->sin6_port = htons(port);
		return sizeof(*sin6);
	}
	sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sin->sin_port = htons(port);
	return sizeof(*sin);
}

int
origin_listen(
    sa_family_t family, uint16_t port, bool is_transparent, uint32_t mark)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int fd;

	if (family != AF_INET && family != AF_INET6) {
		errno = EAFNOSUPPORT;
		return -1;
	}
	len = loopback(&ss, family, port);
	if ((fd = tcp_socket(family)) == -1)
		return -1;
	if ((family == AF_INET6 &&
		set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY) == -1) ||
	    set_on(fd, SOL_SOCKET, SO_REUSEADDR) == -1 ||
	    set_on(fd, SOL_SOCKET, SO_REUSEPORT) == -1 ||
	    (is_transparent && set_transparent(fd, family) == -1) ||
	    (mark != 0 && set_mark(fd, mark) == -1) ||
	    bind(fd, (struct sockaddr *)&ss, len) == -1 ||
	    listen(fd, ORIGIN_BACKLOG) == -1)
		return close_failed(fd);
	return fd;
}

static bool
is_loopback(const struct address *address)
{
	if (address->family == AF_INET)
		return address->ip[0] == IN_LOOPBACKNET;
	return memcmp(address->ip, &in6addr_loopback, 16) == 0;
}

/*
 * Where nothing was redirected, conntrack has no entry, or one whose original
 * destination is the listener; without conntrack nothing can have been.
 */
static int
original_of(int fd, sa_family_t family, struct address *dst)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int r;

	memset(&ss, 0, sizeof(ss));
	if (family == AF_INET6)
		r = getsockopt(
		    fd, IPPROTO_IPV6, IP6T_SO_ORIGINAL_DST, &ss, &len);
	else
		r = getsockopt(fd, IPPROTO_IP, SO_ORIGINAL_DST, &ss, &len);
	if (r == 0)
		return address_from_sockaddr(dst, (struct sockaddr *)&ss);
	if (errno == ENOENT || errno == ENOPROTOOPT)
		errno = EDESTADDRREQ;
	return -1;
}

int
origin_of(int fd, bool is_redirected, struct address *dst)
{
	struct sockaddr_storage ss;
	struct address own, found;
	socklen_t len = sizeof(ss);

	memset(dst, 0, sizeof(*dst));
	dst->family = AF_UNSPEC;
	memset(&ss, 0, sizeof(ss));
	if (getsockname(fd, (struct sockaddr *)&ss, &len) == -1 ||
	    address_from_sockaddr(&own, (struct sockaddr *)&ss) == -1)
		return -1;
	found = own;
	if (is_redirected && original_of(fd, own.family, &found) == -1)
		return -1;
	if (is_loopback(&found) ||
	    (is_redirected && address_equal(&found, &own))) {
		errno = EDESTADDRREQ;
		return -1;
	}
	*dst = found;
	return 0;
}

/*
 * The port is left to connect(2): taken at bind(2), one address could have
 * but some 28,000 connections in all, to however many servers.
 */
static int
bind_source(int fd, const struct address *source)
{
	struct address address = *source;
	struct sockaddr_storage ss;
	socklen_t len;

	address.port = 0;
	len = address_to_sockaddr(&address, &ss);
	if (set_transparent(fd, address.family) == -1 ||
	    set_on(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT) == -1)
		return -1;
	return bind(fd, (struct sockaddr *)&ss, len);
}

int
origin_dial_socket(
    const struct address *dst, const struct address *source, uint32_t mark)
{
	int fd;

	if (source != NULL && source->family != dst->family) {
		errno = EAFNOSUPPORT;
		return -1;
	}
	if ((fd = tcp_socket(dst->family)) == -1)
		return -1;
	if ((mark != 0 && set_mark(fd, mark) == -1) ||
	    (source != NULL && bind_source(fd, source) == -1))
		return close_failed(fd);
	return fd;
}
