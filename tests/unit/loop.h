/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_TEST_LOOP_H
#define POSTERN_TEST_LOOP_H

/*
 * For tests of what runs on connections: a pair of sockets, one end of it a
 * struct conn, and the loop run until nothing is left to do.
 */

#include <sys/socket.h>

#include <event2/event.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/tls/conn.h"

struct peer {
	struct conn *conn;
	int fd; /* the far end, non-blocking */
	enum conn_event last;
	int events[CONN_DONE + 1];
};

static void
peer_event(void *arg, struct conn *conn, enum conn_event event)
{
	struct peer *peer = arg;

	(void)conn;
	peer->last = event;
	peer->events[event]++;
}

static inline void
peer_open(struct peer *peer, struct event_base *base)
{
	int fds[2];

	memset(peer, 0, sizeof(*peer));
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	peer->fd = fds[1];
	peer->conn = conn_new(base, fds[0], peer_event, peer);
	assert_non_null(peer->conn);
}

static inline void
peer_close(struct peer *peer)
{
	conn_free(peer->conn);
	if (peer->fd != -1)
		close(peer->fd);
}

static inline void
peer_send(struct peer *peer, const void *data, size_t len)
{
	assert_int_equal(write(peer->fd, data, len), (ssize_t)len);
}

/* All that the connection has written, NUL-ended. */
static inline size_t
peer_read(struct peer *peer, char *out, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size - 1 &&
	       (n = read(peer->fd, out + len, size - 1 - len)) > 0)
		len += (size_t)n;
	out[len] = '\0';
	return len;
}

/* Every event that is there now. */
static inline void
loop_run(struct event_base *base)
{
	int i;

	for (i = 0; i < 50; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

#endif
