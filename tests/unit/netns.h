/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_TEST_NETNS_H
#define POSTERN_TEST_NETNS_H

/*
 * For tests of what only a kernel can show: a network namespace of the test's
 * own, which goes when it ends, and datagrams within it.  On one CPU what is
 * sent arrives in order, so that a datagram to the witness tells that those
 * before it have arrived or never will.
 */

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <net/if.h>
#include <netinet/in.h>

#include <linux/netlink.h>

#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "netfilter/nft.h"

#define NETNS_PORT    2525 /* what the tests' rules are about */
#define NETNS_WITNESS 2526 /* and what they leave alone */
#define NETNS_WAIT_MS 10000
#define NETNS_BYTES   (64 << 20) /* that may wait */

static int netns_sender, netns_receiver, netns_witness;

static inline struct sockaddr_in
netns_address(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static inline int
netns_socket(uint16_t port)
{
	const struct sockaddr_in sin = netns_address(port);
	const int bytes = NETNS_BYTES;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) ==
		-1 ||
	    bind(fd, (const struct sockaddr *)&sin, sizeof(sin)) == -1)
		fail_msg("no socket for port %u", port);
	return fd;
}

/* False where this process may not: the tests are then skipped. */
static inline bool
netns_enter(void)
{
	const int bytes = NETNS_BYTES;
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	cpu_set_t one;

	if (unshare(CLONE_NEWNET) == -1)
		return false;
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	/* What waits in a queue counts as not sent yet. */
	netns_sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(setsockopt(netns_sender, SOL_SOCKET, SO_SNDBUFFORCE,
			     &bytes, sizeof(bytes)),
	    0);
	assert_int_equal(ioctl(netns_sender, SIOCSIFFLAGS, &lo), 0);
	netns_receiver = netns_socket(NETNS_PORT);
	netns_witness = netns_socket(NETNS_WITNESS);
	return true;
}

static inline void
netns_rules(const char *text)
{
	char error[NFT_ERROR_MAX];

	if (nft_run(text, error) == -1)
		fail_msg("%s", error);
}

/* What a queue has no room for is refused here already. */
static inline void
netns_send(uint16_t port, const void *data, size_t len)
{
	const struct sockaddr_in sin = netns_address(port);

	(void)sendto(netns_sender, data, len, 0, (const struct sockaddr *)&sin,
	    sizeof(sin));
}

static inline bool
netns_wait(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	return poll(&pfd, 1, NETNS_WAIT_MS) == 1;
}

/* The first bytes of all datagrams that came, NUL-ended. */
static inline size_t
netns_received(char *out, size_t size)
{
	size_t len = 0;
	char byte;

	netns_send(NETNS_WITNESS, "w", 1);
	assert_true(netns_wait(netns_witness));
	assert_int_equal(recv(netns_witness, &byte, 1, 0), 1);
	while (
	    len < size - 1 && recv(netns_receiver, &byte, 1, MSG_DONTWAIT) == 1)
		out[len++] = byte;
	out[len] = '\0';
	return len;
}

static inline void
netns_assert_received(const char *expected)
{
	char got[8192];

	netns_received(got, sizeof(got));
	assert_string_equal(got, expected);
}

/* A message of another process's to a netlink socket of ours. */
static inline void
netns_forge(int fd, const void *data, size_t len)
{
	struct sockaddr_nl to = {0};
	socklen_t to_len = sizeof(to);
	int from;

	assert_int_equal(getsockname(fd, (struct sockaddr *)&to, &to_len), 0);
	from = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	assert_int_not_equal(from, -1);
	assert_int_equal(
	    sendto(from, data, len, 0, (struct sockaddr *)&to, sizeof(to)),
	    (ssize_t)len);
	close(from);
}

#endif
