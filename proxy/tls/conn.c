/* SPDX-License-Identifier: ISC */
/*
 * Knows sockets and libevent, and hides them; TLS is conn_tls.c's.  The owner
 * decides what bytes mean.
 */

#include "proxy/tls/conn.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/address.h"
#include "proxy/base/clock.h"
#include "proxy/tls/conn_state.h"

#define DISCARDS_PER_EVENT 16
#define READS_PER_EVENT    4 /* then other connections get their turn */

static void on_readable(evutil_socket_t, short, void *);
static void on_writable(evutil_socket_t, short, void *);
static void on_timer(evutil_socket_t, short, void *);

struct conn *
conn_new(struct event_base *base, int fd,
    void (*handler)(void *, struct conn *, enum conn_event), void *arg)
{
	struct conn *conn;
	int on = 1;

	if ((conn = calloc(1, sizeof(*conn))) == NULL)
		return NULL;
	conn->fd = fd;
	conn->state = CONN_STATE_OPEN;
	conn->base = base;
	conn->handler = handler;
	conn->arg = arg;
	conn->deadline = conn->armed = -1;
	conn->read_size = CONN_READ_SIZE;
	buf_init(&conn->in, CONN_INPUT_MAX);
	buf_init(&conn->out, CONN_OUTPUT_MAX);
	event_assign(
	    &conn->readable, base, fd, EV_READ | EV_PERSIST, on_readable, conn);
	event_assign(&conn->writable, base, fd, EV_WRITE, on_writable, conn);
	evtimer_assign(&conn->timer, base, on_timer, conn);
	gather_init(&conn->gather, base, fd, &conn->readable);
	/* A reply must not wait for the acknowledgement of the one before. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	/* Urgent data stays in line: no byte may hide beside the stream. */
	(void)setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
	if (event_add(&conn->readable, NULL) == -1) {
		free(conn);
		errno = ENOMEM;
		return NULL;
	}
	return conn;
}

static void
stop_events(struct conn *conn)
{
	event_del(&conn->readable);
	event_del(&conn->writable);
	event_del(&conn->timer);
	gather_stop(&conn->gather);
	conn->armed = -1;
}

void
conn_free(struct conn *conn)
{
	if (conn == NULL)
		return;
	stop_events(conn);
	conn_tls_clear(conn);
	close(conn->fd);
	buf_clear(&conn->in);
	buf_clear(&conn->out);
	free(conn);
}

void
conn_fail(struct conn *conn, const char *text)
{
	bool is_finishing = conn->state == CONN_STATE_FINISHING;

	if (conn->state == CONN_STATE_DEAD)
		return;
	conn->state = CONN_STATE_DEAD;
	stop_events(conn);
	snprintf(conn->error, sizeof(conn->error), "%s", text);
	conn->handler(conn->arg, conn, is_finishing ? CONN_DONE : CONN_FAILED);
}

void
conn_update_reading(struct conn *conn)
{
	bool wants;

	wants = conn->state == CONN_STATE_HANDSHAKE ||
	        conn->state == CONN_STATE_FINISHING ||
	        (conn->state == CONN_STATE_OPEN && !conn->is_eof &&
		    buf_len(&conn->in) < CONN_INPUT_MAX / 2);
	if (!wants)
		event_del(&conn->readable);
	else if (!event_pending(&conn->readable, EV_READ, NULL)) {
		if (event_add(&conn->readable, NULL) == -1)
			conn_fail(conn, "out of memory");
		/* TLS may hold bytes that no poll will announce. */
		else if (conn_tls_pending(conn))
			event_active(&conn->readable, EV_READ, 0);
		else
			gather_resume(&conn->gather);
	}
}

void
conn_want_write(struct conn *conn)
{
	if (event_add(&conn->writable, NULL) == -1)
		conn_fail(conn, "out of memory");
}

void
conn_connect(struct conn *conn, const struct address *to)
{
	struct sockaddr_storage storage;
	socklen_t len;

	len = address_to_sockaddr(to, &storage);
	conn->state = CONN_STATE_CONNECTING;
	event_del(&conn->readable);
	/* An immediate failure is kept by the socket until on_writable asks. */
	if (connect(conn->fd, (struct sockaddr *)&storage, len) == -1 &&
	    errno != EINPROGRESS)
		snprintf(
		    conn->error, sizeof(conn->error), "%s", strerror(errno));
	conn_want_write(conn);
	if (conn->error[0] != '\0')
		event_active(&conn->writable, EV_WRITE, 0);
}

static void
on_connected(struct conn *conn)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (conn->error[0] == '\0') {
		if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len) ==
		    -1)
			error = errno;
		if (error != 0)
			snprintf(conn->error, sizeof(conn->error), "%s",
			    strerror(error));
	}
	if (conn->error[0] != '\0') {
		char text[CONN_ERROR_MAX];

		strlcpy(text, conn->error, sizeof(text));
		conn_fail(conn, text);
		return;
	}
	conn->state = CONN_STATE_OPEN;
	conn_update_reading(conn);
	conn->handler(conn->arg, conn, CONN_CONNECTED);
}

/*
 * The peer takes no more.  What it said last may lie unread, and may be the
 * very reason: it is told first, and the failure then.
 */
static void
break_off(struct conn *conn)
{
	conn->broken = errno;
	event_active(&conn->readable, EV_READ, 0);
}

/* One send; 0 where it blocked (and the write event is set) or failed. */
static size_t
send_some(struct conn *conn, const uint8_t *data, size_t len)
{
	ssize_t n;

	if (conn->broken != 0 && conn->state == CONN_STATE_OPEN)
		return 0;
	if ((n = send(conn->fd, data, len, MSG_NOSIGNAL)) >= 0)
		return (size_t)n;
	if (errno == EAGAIN || errno == EINTR)
		conn_want_write(conn);
	else if (conn->state == CONN_STATE_OPEN)
		break_off(conn);
	else
		conn_fail(conn, strerror(errno));
	return 0;
}

int
conn_send_out(struct conn *conn)
{
	size_t n;

	while (buf_len(&conn->out) > 0) {
		n = send_some(conn, buf_data(&conn->out), buf_len(&conn->out));
		if (n == 0)
			break;
		buf_consume(&conn->out, n);
	}
	return conn->state == CONN_STATE_DEAD ? -1 : 0;
}

static enum got
read_plain(struct conn *conn, uint8_t *to, size_t size, size_t *len)
{
	ssize_t n;

	if ((n = recv(conn->fd, to, size, 0)) > 0) {
		*len = (size_t)n;
		return GOT_BYTES;
	}
	if (n == 0)
		return GOT_END;
	if (errno == EAGAIN || errno == EINTR)
		return GOT_NOTHING;
	conn_fail(conn, strerror(errno));
	return GOT_FAILURE;
}

static enum got
read_some(struct conn *conn, bool *is_drained)
{
	size_t len = 0, size = conn->read_size;
	uint8_t *to;
	enum got got;

	if (size > buf_room(&conn->in))
		size = buf_room(&conn->in);
	if ((to = buf_reserve(&conn->in, size)) == NULL) {
		conn_fail(conn, "out of memory");
		return GOT_FAILURE;
	}
	got = conn->ssl != NULL ? conn_read_tls(conn, to, size, &len)
	                        : read_plain(conn, to, size, &len);
	if (got != GOT_FAILURE)
		buf_commit(&conn->in, len);
	*is_drained = conn->ssl != NULL ? conn_tls_is_drained(conn)
	                                : len < size;
	/* Bulk is read in large pieces; dialogue needs no such room. */
	conn->read_size = gather_is_on(&conn->gather) || len == size
	                      ? CONN_READ_MAX
	                      : CONN_READ_SIZE;
	conn->bytes_in += len;
	/* TLS may have had something to say of its own (RFC 8446 4.6.3). */
	if (got != GOT_FAILURE && conn_send_out(conn) == -1)
		return GOT_FAILURE;
	return got;
}

/* The end of a conn_finish: what still comes is thrown away. */
static void
discard_input(struct conn *conn)
{
	uint8_t waste[16384];
	ssize_t n = 0;
	int64_t now;
	int i;

	for (i = 0; i < DISCARDS_PER_EVENT; i++) {
		n = recv(conn->fd, waste, sizeof(waste), 0);
		if (n <= 0)
			break;
	}
	if (n > 0) {
		/* It is still at it: it has yet to read what we said. */
		now = clock_monotonic_ms();
		conn->deadline = now + CONN_LINGER_MS < conn->linger_end
		                     ? now + CONN_LINGER_MS
		                     : conn->linger_end;
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		conn_fail(conn, "closed");
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;
	enum got got = GOT_NOTHING;
	uint64_t before = conn->bytes_in;
	bool is_drained = false;
	int i;

	(void)fd;
	(void)what;
	if (conn->state == CONN_STATE_HANDSHAKE) {
		if (!conn_handshake(conn) || conn->state != CONN_STATE_OPEN)
			return;
	}
	if (conn->state == CONN_STATE_FINISHING) {
		discard_input(conn);
		return;
	}
	if (conn->state != CONN_STATE_OPEN)
		return;
	for (i = 0; i < READS_PER_EVENT && !is_drained &&
		    buf_len(&conn->in) < CONN_INPUT_MAX / 2;
	     i++) {
		if ((got = read_some(conn, &is_drained)) != GOT_BYTES)
			break;
	}
	if (got == GOT_FAILURE)
		return;
	gather_took(&conn->gather, (size_t)(conn->bytes_in - before));
	if (got == GOT_END)
		conn->is_eof = true;
	else if (conn_tls_pending(conn) &&
		 buf_len(&conn->in) < CONN_INPUT_MAX / 2)
		event_active(&conn->readable, EV_READ, 0);
	/* Most of it is consumed at once, and reading then just goes on. */
	if (conn->bytes_in > before)
		conn->handler(conn->arg, conn, CONN_INPUT);
	if (conn->broken != 0 && conn->state == CONN_STATE_OPEN)
		conn_fail(conn, strerror(conn->broken));
	if (conn->state == CONN_STATE_OPEN)
		conn_update_reading(conn);
	if (got == GOT_END && conn->state == CONN_STATE_OPEN)
		conn->handler(conn->arg, conn, CONN_EOF);
}

static void
shut(struct conn *conn)
{
	if (conn->is_shut)
		return;
	conn->is_shut = true;
	(void)shutdown(conn->fd, SHUT_WR);
	conn_update_reading(conn);
	event_active(&conn->readable, EV_READ, 0);
}

int
conn_flush(struct conn *conn)
{
	if (conn->state != CONN_STATE_OPEN &&
	    conn->state != CONN_STATE_FINISHING)
		return conn->state == CONN_STATE_DEAD ? -1 : 0;
	if (conn_send_out(conn) == -1)
		return -1;
	if (conn->state == CONN_STATE_FINISHING && buf_len(&conn->out) == 0)
		shut(conn);
	return 0;
}

int
conn_write(struct conn *conn, const void *data, size_t len)
{
	const uint8_t *from = data;
	size_t done, n;

	if (conn->state != CONN_STATE_OPEN) {
		errno = EPIPE;
		return -1;
	}
	if (conn->ssl == NULL) {
		if (buf_add(&conn->out, data, len) == -1)
			return -1;
		conn->bytes_out += len;
		return 0;
	}
	if (buf_room(&conn->out) <
	    len + (len / RECORD_MAX + 1) * RECORD_EXTRA) {
		errno = ENOBUFS;
		return -1;
	}
	for (done = 0; done < len; done += n)
		if ((n = conn_seal(conn, from + done, len - done)) == 0) {
			errno = EPIPE;
			return -1;
		}
	conn->bytes_out += len;
	return 0;
}

size_t
conn_write_now(struct conn *conn, const void *data, size_t len)
{
	const uint8_t *from = data;
	size_t done, n;

	if (conn->state != CONN_STATE_OPEN || conn_send_out(conn) == -1)
		return 0;
	for (done = 0; done < len; done += n) {
		if (conn->ssl != NULL) {
			if ((n = conn_seal(conn, from + done, len - done)) ==
				0 &&
			    conn_send_out(conn) == 0)
				n = conn_seal(conn, from + done, len - done);
		} else
			n = buf_len(&conn->out) == 0
			        ? send_some(conn, from + done, len - done)
			        : 0;
		if (n == 0) {
			conn->wants_writable = true;
			break;
		}
	}
	conn->bytes_out += done;
	(void)conn_send_out(conn);
	return done;
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;

	(void)fd;
	(void)what;
	switch (conn->state) {
	case CONN_STATE_CONNECTING:
		on_connected(conn);
		return;
	case CONN_STATE_HANDSHAKE:
		if (conn_send_out(conn) == 0 && conn_handshake(conn) &&
		    conn_tls_pending(conn))
			event_active(&conn->readable, EV_READ, 0);
		return;
	case CONN_STATE_OPEN:
	case CONN_STATE_FINISHING:
		if (conn_flush(conn) == -1)
			return;
		if (conn->wants_writable && buf_len(&conn->out) == 0) {
			conn->wants_writable = false;
			conn->handler(conn->arg, conn, CONN_WRITABLE);
		}
		return;
	case CONN_STATE_DEAD:
		return;
	}
}

/*
 * Deadlines move with nearly every event; the timer is only moved when it
 * fires and finds that the deadline is later.
 */
static void
arm(struct conn *conn, int64_t now)
{
	int64_t wait = conn->deadline > now ? conn->deadline - now : 0;
	struct timeval tv = {
	    .tv_sec = wait / 1000, .tv_usec = (wait % 1000) * 1000};

	if (evtimer_add(&conn->timer, &tv) == 0)
		conn->armed = now + wait;
}

void
conn_set_deadline(struct conn *conn, int64_t ms)
{
	int64_t now = clock_monotonic_ms();

	if (conn->state == CONN_STATE_DEAD ||
	    conn->state == CONN_STATE_FINISHING)
		return;
	conn->deadline = ms < 0 ? -1 : now + ms;
	if (conn->deadline >= 0 &&
	    (conn->armed == -1 || conn->deadline < conn->armed))
		arm(conn, now);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;
	int64_t now = clock_monotonic_ms();

	(void)fd;
	(void)what;
	conn->armed = -1;
	if (conn->deadline == -1)
		return;
	if (conn->deadline > now) {
		arm(conn, now);
		return;
	}
	conn->deadline = -1;
	if (conn->state == CONN_STATE_FINISHING)
		conn_fail(conn, "lingered");
	else
		conn->handler(conn->arg, conn, CONN_TIMEOUT);
}

void
conn_finish(struct conn *conn)
{
	if (conn->state == CONN_STATE_FINISHING)
		return;
	if (conn->state != CONN_STATE_OPEN) {
		/* Nothing can be said on it any more. */
		stop_events(conn);
		conn->state = CONN_STATE_FINISHING;
		conn->deadline = clock_monotonic_ms();
		arm(conn, conn->deadline);
		return;
	}
	conn_set_deadline(conn, CONN_LINGER_MS);
	conn->linger_end = clock_monotonic_ms() + CONN_LINGER_MAX_MS;
	gather_stop(&conn->gather);
	conn->state = CONN_STATE_FINISHING;
	buf_clear(&conn->in);
	conn_update_reading(conn);
	conn_tls_finish(conn);
	(void)conn_flush(conn);
}

void
conn_abort(struct conn *conn)
{
	struct linger hard = {.l_onoff = 1, .l_linger = 0};

	stop_events(conn);
	conn->state = CONN_STATE_DEAD;
	(void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
}

const uint8_t *
conn_input(const struct conn *conn, size_t *len)
{
	*len = buf_len(&conn->in);
	return buf_data(&conn->in);
}

void
conn_consume(struct conn *conn, size_t n)
{
	/* One that was finished meanwhile has thrown its input away. */
	if (conn->state != CONN_STATE_OPEN)
		return;
	buf_consume(&conn->in, n);
	conn_update_reading(conn);
}

bool
conn_is_eof(const struct conn *conn)
{
	return conn->is_eof;
}

int
conn_local_address(const struct conn *conn, struct address *address)
{
	struct sockaddr_storage storage;
	socklen_t len = sizeof(storage);

	if (getsockname(conn->fd, (struct sockaddr *)&storage, &len) == -1)
		return -1;
	return address_from_sockaddr(address, (struct sockaddr *)&storage);
}

void
conn_want_writable(struct conn *conn)
{
	conn->wants_writable = buf_len(&conn->out) > 0;
}

size_t
conn_queued(const struct conn *conn)
{
	return buf_len(&conn->out);
}

const char *
conn_error(const struct conn *conn)
{
	return conn->error;
}

uint64_t
conn_bytes_in(const struct conn *conn)
{
	return conn->bytes_in;
}

uint64_t
conn_bytes_out(const struct conn *conn)
{
	return conn->bytes_out;
}
