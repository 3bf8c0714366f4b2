/* SPDX-License-Identifier: ISC */
/*
 * One packet, one message (ipc_message.c).  This file owns the socket, the
 * queue for a slow peer and the life of every descriptor that passes; what
 * messages mean is the handlers' business.
 */

#include "proxy/base/ipc.h"

#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "proxy/base/ipc_header.h"
#include "proxy/base/log.h"

#define PEER_MAX  64 /* characters of a peer's name in the log */
#define BATCH_MAX 64 /* messages a turn, so that others get theirs */

/* A message that waits for room in the socket. */
struct waiting {
	STAILQ_ENTRY(waiting) link;
	size_t fd_count;
	int fds[IPC_FDS_MAX]; /* owned */
	size_t len;
	uint8_t packet[];
};
STAILQ_HEAD(waiting_queue, waiting);

struct ipc_channel {
	int fd; /* owned */
	bool keeps_spare;
	int spare; /* owned; -1: none now */
	char peer[PEER_MAX];
	const struct ipc_row *rows; /* borrowed */
	bool *is_used; /* owned; of each row, for `once` */
	void (*closed)(void *, struct ipc_channel *, const char *);
	void *arg; /* borrowed */
	struct event *readable; /* owned, as are the next two */
	struct event *writable;
	struct event *failed; /* calls closed, from the loop */
	const char *why; /* static; not NULL: the channel has failed */
	bool is_in_handler;
	bool is_freed; /* in a handler: memory goes when it returns */
	struct waiting_queue queue;
	size_t queue_len;
};

static void
close_fds(const int *fds, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (fds[i] != -1)
			close(fds[i]);
}

/* The queue. */

static void
queue_pop(struct ipc_channel *channel)
{
	struct waiting *waiting = STAILQ_FIRST(&channel->queue);

	STAILQ_REMOVE_HEAD(&channel->queue, link);
	channel->queue_len--;
	close_fds(waiting->fds, waiting->fd_count);
	free(waiting);
}

static void
queue_clear(struct ipc_channel *channel)
{
	while (!STAILQ_EMPTY(&channel->queue))
		queue_pop(channel);
}

/*
 * The channel is of no more use.  Its owner learns it from the loop, where no
 * caller up the stack can still hold the channel.
 */
static void
fail(struct ipc_channel *channel, const char *why)
{
	if (channel->why != NULL)
		return;
	channel->why = why;
	event_del(channel->readable);
	event_del(channel->writable);
	queue_clear(channel);
	event_active(channel->failed, EV_TIMEOUT, 0);
}

static void
on_failed(evutil_socket_t fd, short events, void *arg)
{
	struct ipc_channel *channel = arg;

	(void)fd;
	(void)events;
	channel->closed(channel->arg, channel, channel->why);
}

/* Sending. */

static int
transmit(int fd, struct iovec *iov, size_t iov_count, const int *fds,
    size_t fd_count)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof(int) * IPC_FDS_MAX)];
	} control;
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = iov_count};
	struct cmsghdr *cmsg;
	ssize_t n;

	if (fd_count > 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * fd_count);
	}
	do
		n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n == -1 && errno == EINTR);
	return n == -1 ? -1 : 0;
}

static int
transmit_waiting(int fd, struct waiting *waiting)
{
	struct iovec iov = {waiting->packet, waiting->len};

	return transmit(fd, &iov, 1, waiting->fds, waiting->fd_count);
}

static void
on_writable(evutil_socket_t fd, short events, void *arg)
{
	struct ipc_channel *channel = arg;
	struct waiting *waiting;
	int i;

	(void)events;
	for (i = 0; i < BATCH_MAX; i++) {
		if ((waiting = STAILQ_FIRST(&channel->queue)) == NULL)
			return;
		if (transmit_waiting(fd, waiting) == -1)
			break;
		queue_pop(channel);
	}
	if (i < BATCH_MAX && (errno == EPIPE || errno == ECONNRESET)) {
		/* The peer's last words are read before its end is told. */
		queue_clear(channel);
		return;
	}
	if ((i < BATCH_MAX && errno != EAGAIN) ||
	    (!STAILQ_EMPTY(&channel->queue) &&
		event_add(channel->writable, NULL) == -1)) {
		log_warn("%s: a message could not be sent", channel->peer);
		fail(channel, "a message could not be sent");
	}
}

static int
enqueue(struct ipc_channel *channel, const struct ipc_message *message,
    const uint8_t *header)
{
	size_t len = IPC_HEADER_LEN + message->len;
	struct waiting *waiting;
	int saved;

	if (channel->queue_len == IPC_QUEUE_MAX) {
		errno = ENOBUFS;
		return -1;
	}
	if ((waiting = malloc(sizeof(*waiting) + len)) == NULL)
		return -1;
	waiting->fd_count = 0;
	while (waiting->fd_count < message->fd_count) {
		int fd = fcntl(
		    message->fds[waiting->fd_count], F_DUPFD_CLOEXEC, 0);

		if (fd == -1)
			goto out;
		waiting->fds[waiting->fd_count++] = fd;
	}
	if (event_add(channel->writable, NULL) == -1) {
		errno = ENOMEM;
		goto out;
	}
	waiting->len = len;
	memcpy(waiting->packet, header, IPC_HEADER_LEN);
	memcpy(waiting->packet + IPC_HEADER_LEN, message->data, message->len);
	STAILQ_INSERT_TAIL(&channel->queue, waiting, link);
	channel->queue_len++;
	return 0;
out:
	saved = errno;
	close_fds(waiting->fds, waiting->fd_count);
	free(waiting);
	errno = saved;
	return -1;
}

int
ipc_send(struct ipc_channel *channel, const struct ipc_message *message)
{
	uint8_t header[IPC_HEADER_LEN];
	struct iovec iov[2] = {
	    {header, sizeof(header)},
	    {(void *)message->data, message->len},
	};

	if (message->is_bad) {
		errno = EMSGSIZE;
		return -1;
	}
	if (channel->why != NULL) {
		errno = EPIPE;
		return -1;
	}
	ipc_write_header(message, header);
	if (!STAILQ_EMPTY(&channel->queue))
		return enqueue(channel, message, header);
	if (transmit(channel->fd, iov, 2, message->fds, message->fd_count) == 0)
		return 0;
	return errno == EAGAIN ? enqueue(channel, message, header) : -1;
}

/* Receiving. */

/* Takes up every descriptor that came; -1 where there are too many. */
static int
collect_fds(struct msghdr *msg, struct ipc_reader *reader)
{
	struct cmsghdr *cmsg;
	size_t i, count;
	int fd, ret = 0;

	for (cmsg = CMSG_FIRSTHDR(msg); cmsg != NULL;
	     cmsg = CMSG_NXTHDR(msg, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET ||
		    cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < count; i++) {
			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int),
			    sizeof(int));
			if (reader->fd_count < IPC_FDS_MAX) {
				reader->fds[reader->fd_count++] = fd;
			} else {
				close(fd);
				ret = -1;
			}
		}
	}
	return ret;
}

static void
dispatch(struct ipc_channel *channel, struct ipc_reader *reader)
{
	const struct ipc_row *row = channel->rows;
	bool *is_used = channel->is_used;
	int ret;

	for (; row->handler != NULL && row->type != reader->type; row++)
		is_used++;
	if (row->handler == NULL || (row->once && *is_used)) {
		log_warnx("%s: message %u is not allowed", channel->peer,
		    reader->type);
		fail(channel, "a message that is not allowed");
		return;
	}
	*is_used = true;
	channel->is_in_handler = true;
	ret = row->handler(channel->arg, channel, reader);
	channel->is_in_handler = false;
	if (ret == -1 && !channel->is_freed) {
		log_warnx("%s: bad %s message", channel->peer, row->name);
		fail(channel, "a bad message");
	}
}

static void
release_spare(struct ipc_channel *channel)
{
	if (channel->spare != -1)
		close(channel->spare);
	channel->spare = -1;
}

/* Any descriptor will do to keep its place; failing to is tried again. */
static void
take_spare(struct ipc_channel *channel)
{
	if (channel->keeps_spare && channel->spare == -1 && !channel->is_freed)
		channel->spare = fcntl(channel->fd, F_DUPFD_CLOEXEC, 0);
}

/* Returns whether there may be more to read. */
static bool
receive(struct ipc_channel *channel)
{
	uint8_t packet[IPC_MESSAGE_MAX];
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof(int) * IPC_FDS_MAX)];
	} control;
	struct iovec iov = {packet, sizeof(packet)};
	struct msghdr msg = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control)};
	struct ipc_reader reader = {0};
	ssize_t n;
	int fds_ret;

	release_spare(channel);
	n = recvmsg(channel->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n == -1 && errno == EAGAIN)
		return false;
	/* ECONNRESET comes once, before what the peer said last. */
	if (n == -1 && (errno == EINTR || errno == ECONNRESET))
		return true;
	if (n == -1) {
		log_warn("%s: recvmsg", channel->peer);
		fail(channel, "cannot receive");
		return false;
	}
	fds_ret = collect_fds(&msg, &reader);
	if (n == 0)
		fail(channel, "closed by the peer");
	else if (fds_ret == -1 ||
		 (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
		 ipc_read_header(&reader, packet, (size_t)n) == -1) {
		log_warnx(
		    "%s: a truncated or malformed message", channel->peer);
		fail(channel, "a truncated or malformed message");
	} else
		dispatch(channel, &reader);
	close_fds(reader.fds, reader.fd_count);
	return channel->why == NULL && !channel->is_freed;
}

static void
on_readable(evutil_socket_t fd, short events, void *arg)
{
	struct ipc_channel *channel = arg;
	int i;

	(void)fd;
	(void)events;
	for (i = 0; i < BATCH_MAX && receive(channel); i++)
		continue;
	take_spare(channel);
	if (channel->is_freed)
		free(channel);
}

/* The life of a channel. */

static size_t
row_count(const struct ipc_row *rows)
{
	size_t count = 0;

	while (rows[count].handler != NULL)
		count++;
	return count;
}

/* All but the channel's own memory and its descriptor. */
static void
release(struct ipc_channel *channel)
{
	if (channel->readable != NULL)
		event_free(channel->readable);
	if (channel->writable != NULL)
		event_free(channel->writable);
	if (channel->failed != NULL)
		event_free(channel->failed);
	queue_clear(channel);
	free(channel->is_used);
}

struct ipc_channel *
ipc_channel_new(struct event_base *base, int fd, const char *peer,
    const struct ipc_row *rows,
    void (*closed)(void *, struct ipc_channel *, const char *), void *arg)
{
	struct ipc_channel *channel;
	int flags;

	if ((flags = fcntl(fd, F_GETFL)) == -1 ||
	    fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ||
	    (channel = calloc(1, sizeof(*channel))) == NULL)
		return NULL;
	STAILQ_INIT(&channel->queue);
	channel->fd = fd;
	channel->spare = -1;
	strlcpy(channel->peer, peer, sizeof(channel->peer));
	channel->rows = rows;
	channel->closed = closed;
	channel->arg = arg;
	/* One more, so that an empty table is no special case. */
	channel->is_used = calloc(row_count(rows) + 1, sizeof(bool));
	channel->readable = event_new(
	    base, fd, EV_READ | EV_PERSIST, on_readable, channel);
	channel->writable = event_new(base, fd, EV_WRITE, on_writable, channel);
	channel->failed = event_new(base, -1, 0, on_failed, channel);
	if (channel->is_used == NULL || channel->readable == NULL ||
	    channel->writable == NULL || channel->failed == NULL ||
	    event_add(channel->readable, NULL) == -1) {
		release(channel);
		free(channel);
		errno = ENOMEM;
		return NULL;
	}
	return channel;
}

void
ipc_channel_free(struct ipc_channel *channel)
{
	if (channel == NULL)
		return;
	release(channel);
	release_spare(channel);
	close(channel->fd);
	if (channel->is_in_handler)
		channel->is_freed = true;
	else
		free(channel);
}

void
ipc_channel_keep_spare(struct ipc_channel *channel)
{
	channel->keeps_spare = true;
	take_spare(channel);
}

int
ipc_pair(int fds[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds);
}
