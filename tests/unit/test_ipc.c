/* SPDX-License-Identifier: ISC */
/*
 * Messages there and back, and a peer that breaks every rule: after each of
 * these the channel is told closed once, and not one descriptor is left over.
 */

#include "proxy/base/ipc.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#define HEADER_LEN  8
#define PAYLOAD_MAX (IPC_MESSAGE_MAX - HEADER_LEN)
#define FD_EVERY    64 /* messages of the slow peer with a descriptor */

enum type {
	PLAIN = 1,
	ONCE,
	BAD,
	FREES,
	TAKES_FD,
	LEAVES_FD,
	REPLIES,
	ANYTHING,
};

/* What the channel under test did. */
static struct {
	struct event_base *base;
	struct ipc_channel *channel;
	int peer; /* the other end, a bare socket */
	unsigned plain, once, closed;
	bool frees_when_closed;
	char why[64];
	uint32_t last_id;
	struct event *killer; /* frees the channel; NULL: not in this test */
	int fd; /* taken, or -1 */
	int before; /* descriptors open when the test began */
} t;

static int
open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

static int
on_plain(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	assert_ptr_equal(arg, &t);
	assert_ptr_equal(channel, t.channel);
	/* In order, none twice: ids count up in these tests. */
	if (t.plain > 0)
		assert_int_equal(reader->id, t.last_id + 1);
	t.last_id = reader->id;
	t.plain++;
	return ipc_end(reader);
}

static int
on_once(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	(void)arg;
	(void)channel;
	t.once++;
	return ipc_end(reader);
}

static int
on_bad(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	(void)arg;
	(void)channel;
	(void)reader;
	if (t.killer != NULL)
		event_active(t.killer, EV_TIMEOUT, 0);
	return -1;
}

static void
on_killer(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	(void)arg;
	ipc_channel_free(t.channel);
	t.channel = NULL;
}

static int
on_frees(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	(void)arg;
	ipc_channel_free(channel);
	t.channel = NULL;
	/* The message outlives the channel until the handler returns. */
	ipc_get_u8(reader);
	return -1;
}

static int
on_takes_fd(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	(void)arg;
	(void)channel;
	t.fd = ipc_get_fd(reader);
	return ipc_end(reader);
}

static int
on_leaves_fd(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	(void)arg;
	(void)channel;
	assert_int_equal(ipc_end(reader), -1);
	return 0;
}

static int
on_replies(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	struct ipc_message reply;
	unsigned closed = t.closed;

	(void)arg;
	ipc_compose(&reply, PLAIN, reader->id);
	/* Whatever comes of it, closed is not called from here. */
	while (ipc_send(channel, &reply) == 0)
		continue;
	assert_int_equal(errno, EPIPE);
	assert_int_equal(t.closed, closed);
	return 0;
}

static const struct ipc_row rows[] = {
    {PLAIN, false, "PLAIN", on_plain},
    {ONCE, true, "ONCE", on_once},
    {BAD, false, "BAD", on_bad},
    {FREES, false, "FREES", on_frees},
    {TAKES_FD, false, "TAKES_FD", on_takes_fd},
    {LEAVES_FD, false, "LEAVES_FD", on_leaves_fd},
    {REPLIES, false, "REPLIES", on_replies},
    {0, false, NULL, NULL},
};

static void
on_closed(void *arg, struct ipc_channel *channel, const char *why)
{
	assert_ptr_equal(arg, &t);
	assert_ptr_equal(channel, t.channel);
	t.closed++;
	strlcpy(t.why, why, sizeof(t.why));
	if (t.frees_when_closed) {
		ipc_channel_free(channel);
		t.channel = NULL;
	}
}

static int
setup(void **state)
{
	int fds[2];

	(void)state;
	memset(&t, 0, sizeof(t));
	t.fd = -1;
	t.frees_when_closed = true;
	t.before = open_fds();
	t.base = event_base_new();
	if (t.base == NULL || ipc_pair(fds) == -1)
		return -1;
	t.peer = fds[1];
	t.channel = ipc_channel_new(
	    t.base, fds[0], "peer", rows, on_closed, &t);
	return t.channel == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	ipc_channel_free(t.channel);
	if (t.peer != -1)
		close(t.peer);
	if (t.fd != -1)
		close(t.fd);
	event_base_free(t.base);
	return open_fds() == t.before ? 0 : -1;
}

/* Runs the loop until it has nothing to do. */
static void
turn(void)
{
	int i;

	/* A message may leave work for the next turn. */
	for (i = 0; i < 4; i++)
		event_base_loop(t.base, EVLOOP_NONBLOCK);
}

/* A packet from the peer, byte for byte, with descriptors. */
static void
peer_sends(const void *packet, size_t len, size_t fd_count)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof(int) * 16)];
	} control;
	struct iovec iov = {(void *)packet, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *cmsg;
	size_t i;

	assert_true(fd_count <= 16);
	memset(&control, 0, sizeof(control));
	if (fd_count > 0) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		for (i = 0; i < fd_count; i++)
			((int *)(void *)CMSG_DATA(cmsg))[i] = STDIN_FILENO;
	}
	assert_int_equal(sendmsg(t.peer, &msg, 0), len);
}

static void
peer_sends_message(enum type type, uint32_t id, size_t fd_count)
{
	const uint8_t packet[HEADER_LEN] = {0, (uint8_t)type, 0, HEADER_LEN,
	    (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8),
	    (uint8_t)id};

	peer_sends(packet, sizeof(packet), fd_count);
}

static void
assert_closed(const char *why)
{
	char c;

	turn();
	assert_int_equal(t.closed, 1);
	assert_string_equal(t.why, why);
	/* The peer sees it too: the end, or that it was not heard out. */
	if (t.frees_when_closed && t.peer != -1 &&
	    recv(t.peer, &c, 1, MSG_DONTWAIT) != 0)
		assert_int_equal(errno, ECONNRESET);
}

/* Encoding and decoding. */

static void
fill(struct ipc_message *message)
{
	ipc_compose(message, 7, 8);
	ipc_put_u8(message, 0xfe);
	ipc_put_u16(message, 0xfedc);
	ipc_put_u32(message, 0xfedcba98);
	ipc_put_u64(message, 0xfedcba9876543210);
	ipc_put_mem(message, "a\0b", 3);
	ipc_put_mem(message, NULL, 0);
	ipc_put_str(message, "text");
	ipc_put_str(message, "");
}

static struct ipc_reader
reader_of(const struct ipc_message *message, size_t len)
{
	struct ipc_reader reader = {.type = message->type,
	    .id = message->id,
	    .data = message->data,
	    .len = len};

	return reader;
}

static void
test_fields(void **state)
{
	struct ipc_message message;
	struct ipc_reader reader;
	const void *mem;
	char text[5];
	size_t len;

	(void)state;
	fill(&message);
	assert_false(message.is_bad);
	reader = reader_of(&message, message.len);
	assert_int_equal(ipc_get_u8(&reader), 0xfe);
	assert_int_equal(ipc_get_u16(&reader), 0xfedc);
	assert_int_equal(ipc_get_u32(&reader), 0xfedcba98);
	assert_true(ipc_get_u64(&reader) == 0xfedcba9876543210);
	mem = ipc_get_mem(&reader, &len);
	assert_int_equal(len, 3);
	assert_memory_equal(mem, "a\0b", 3);
	assert_non_null(ipc_get_mem(&reader, &len));
	assert_int_equal(len, 0);
	ipc_get_str(&reader, text, sizeof(text));
	assert_string_equal(text, "text");
	assert_int_equal(ipc_end(&reader), -1); /* one field is left */
	ipc_get_str(&reader, text, sizeof(text));
	assert_string_equal(text, "");
	assert_int_equal(ipc_end(&reader), 0);
}

/* Cut anywhere, it is an error, and what cannot be read is zero or "". */
static void
test_cut_anywhere(void **state)
{
	struct ipc_message message;
	struct ipc_reader reader;
	uint8_t *copy;
	char text[16];
	size_t cut, len;

	(void)state;
	fill(&message);
	for (cut = 0; cut < message.len; cut++) {
		/* On the heap, so that a sanitizer sees a byte too far. */
		copy = malloc(cut + 1);
		assert_non_null(copy);
		memmove(copy + 1, message.data, cut);
		reader = reader_of(&message, cut);
		reader.data = copy + 1;
		ipc_get_u8(&reader);
		ipc_get_u16(&reader);
		ipc_get_u32(&reader);
		assert_true(ipc_get_u64(&reader) == 0 || cut >= 15);
		ipc_get_mem(&reader, &len);
		assert_int_equal(len, cut >= 20 ? 3 : 0);
		ipc_get_mem(&reader, &len);
		ipc_get_str(&reader, text, sizeof(text));
		assert_string_equal(text, cut >= 28 ? "text" : "");
		ipc_get_str(&reader, text, sizeof(text));
		assert_string_equal(text, "");
		assert_int_equal(ipc_end(&reader), -1);
		free(copy);
	}
}

static void
test_errors_stick(void **state)
{
	struct ipc_message message;
	struct ipc_reader reader;
	char text[5];

	(void)state;
	ipc_compose(&message, 1, 1);
	ipc_put_str(&message, "12345");
	ipc_put_u8(&message, 9);
	reader = reader_of(&message, message.len);
	ipc_get_str(&reader, text, sizeof(text)); /* too long by one */
	assert_string_equal(text, "");
	assert_int_equal(ipc_get_u8(&reader), 0);
	assert_int_equal(ipc_end(&reader), -1);

	ipc_compose(&message, 1, 1);
	ipc_put_mem(&message, "a\0b", 3);
	reader = reader_of(&message, message.len);
	ipc_get_str(&reader, text, sizeof(text)); /* holds a NUL */
	assert_string_equal(text, "");
	assert_int_equal(ipc_end(&reader), -1);

	reader = reader_of(&message, message.len);
	assert_int_equal(ipc_get_fd(&reader), -1); /* there is none */
	assert_int_equal(ipc_get_u8(&reader), 0);
	assert_int_equal(ipc_end(&reader), -1);
}

/* What is out of range is an error, and yields zero or "" itself. */
static void
test_ranges(void **state)
{
	static const char *const unprintable[] = {
	    "\x1f", "a\x7f", "\x80", "a\n"};
	struct ipc_message message;
	struct ipc_reader reader;
	char text[8];
	size_t i;

	(void)state;
	ipc_compose(&message, 1, 1);
	ipc_put_u8(&message, 7);
	ipc_put_u8(&message, 1);
	ipc_put_u8(&message, 0);
	ipc_put_str(&message, "a ~\"\\");
	reader = reader_of(&message, message.len);
	assert_int_equal(ipc_get_upto(&reader, 7), 7);
	assert_true(ipc_get_bool(&reader));
	assert_false(ipc_get_bool(&reader));
	ipc_get_text(&reader, text, sizeof(text));
	assert_string_equal(text, "a ~\"\\");
	assert_int_equal(ipc_end(&reader), 0);

	reader = reader_of(&message, message.len);
	assert_int_equal(ipc_get_upto(&reader, 6), 0);
	assert_true(reader.is_bad);
	reader = reader_of(&message, message.len);
	assert_false(ipc_get_bool(&reader));
	assert_true(reader.is_bad);
	for (i = 0; i < sizeof(unprintable) / sizeof(unprintable[0]); i++) {
		ipc_compose(&message, 1, 1);
		ipc_put_str(&message, unprintable[i]);
		reader = reader_of(&message, message.len);
		ipc_get_text(&reader, text, sizeof(text));
		assert_string_equal(text, "");
		assert_int_equal(ipc_end(&reader), -1);
	}
}

static void
test_overflow(void **state)
{
	static uint8_t block[UINT16_MAX + 1];
	struct ipc_message message;
	int i;

	(void)state;
	ipc_compose(&message, PLAIN, 1);
	ipc_put_mem(&message, block, PAYLOAD_MAX - 2);
	assert_false(message.is_bad);
	assert_int_equal(ipc_send(t.channel, &message), 0);
	ipc_put_u8(&message, 1);
	assert_true(message.is_bad);
	errno = 0;
	assert_int_equal(ipc_send(t.channel, &message), -1);
	assert_int_equal(errno, EMSGSIZE);

	ipc_compose(&message, PLAIN, 1);
	ipc_put_mem(&message, block, PAYLOAD_MAX - 1);
	assert_true(message.is_bad);
	ipc_compose(&message, PLAIN, 1);
	ipc_put_mem(&message, block, sizeof(block)); /* its length wraps */
	assert_true(message.is_bad);

	ipc_compose(&message, PLAIN, 1);
	for (i = 0; i < IPC_FDS_MAX; i++)
		ipc_put_fd(&message, STDIN_FILENO);
	assert_false(message.is_bad);
	ipc_put_fd(&message, STDIN_FILENO);
	assert_true(message.is_bad);
	ipc_compose(&message, PLAIN, 1);
	ipc_put_fd(&message, -1);
	assert_true(message.is_bad);
}

/* What a channel takes. */

static void
test_wire_format(void **state)
{
	static const uint8_t wanted[] = {
	    0x01, 0x02, 0x00, 0x0b, 0x03, 0x04, 0x05, 0x06, 0x00, 0x01, 'x'};
	uint8_t packet[64];
	struct ipc_message message;

	(void)state;
	ipc_compose(&message, 0x0102, 0x03040506);
	ipc_put_str(&message, "x");
	assert_int_equal(ipc_send(t.channel, &message), 0);
	assert_int_equal(
	    recv(t.peer, packet, sizeof(packet), 0), sizeof(wanted));
	assert_memory_equal(packet, wanted, sizeof(wanted));
}

static void
test_dispatch(void **state)
{
	(void)state;
	peer_sends_message(PLAIN, 0xfffffffe, 0);
	peer_sends_message(PLAIN, 0xffffffff, 0);
	peer_sends_message(ONCE, 0, 0);
	turn();
	assert_int_equal(t.plain, 2);
	assert_int_equal(t.once, 1);
	assert_int_equal(t.last_id, 0xffffffff);
	assert_int_equal(t.closed, 0);
}

static void
test_once_twice(void **state)
{
	(void)state;
	peer_sends_message(ONCE, 0, 0);
	peer_sends_message(ONCE, 0, 0);
	assert_closed("a message that is not allowed");
	assert_int_equal(t.once, 1);
}

static void
test_not_in_table(void **state)
{
	(void)state;
	peer_sends_message(ANYTHING, 0, 2);
	peer_sends_message(PLAIN, 0, 0); /* too late */
	assert_closed("a message that is not allowed");
	assert_int_equal(t.plain, 0);
}

/* The row that ends the table is no message. */
static void
test_type_zero(void **state)
{
	static const uint8_t packet[] = {0, 0, 0, 8, 0, 0, 0, 0};

	(void)state;
	peer_sends(packet, sizeof(packet), 0);
	assert_closed("a message that is not allowed");
}

static void
test_bad_message(void **state)
{
	(void)state;
	peer_sends_message(BAD, 0, 3);
	assert_closed("a bad message");
}

static void
test_left_over_field(void **state)
{
	static const uint8_t packet[] = {0, PLAIN, 0, 9, 0, 0, 0, 0, 0};

	(void)state;
	peer_sends(packet, sizeof(packet), 0);
	assert_closed("a bad message");
}

static void
test_malformed(void **state)
{
	static const struct {
		uint8_t packet[16];
		size_t len;
	} cases[] = {
	    {{0}, 1},
	    {{0, PLAIN, 0, 8, 0, 0, 0}, 7},
	    {{0, PLAIN, 0, 7, 0, 0, 0, 0}, 8},
	    {{0, PLAIN, 0, 9, 0, 0, 0, 0}, 8},
	    {{0, PLAIN, 0xff, 0xff, 0, 0, 0, 0}, 8},
	    {{0, PLAIN, 0, 8, 0, 0, 0, 0, 0}, 9},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		peer_sends(cases[i].packet, cases[i].len, IPC_FDS_MAX);
		assert_closed("a truncated or malformed message");
		assert_int_equal(t.plain, 0);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

static void
test_oversize(void **state)
{
	static uint8_t packet[IPC_MESSAGE_MAX + 1];

	(void)state;
	packet[1] = PLAIN;
	packet[2] = IPC_MESSAGE_MAX >> 8;
	peer_sends(packet, sizeof(packet), 1);
	assert_closed("a truncated or malformed message");
	assert_int_equal(t.plain, 0);
}

static void
test_largest(void **state)
{
	static uint8_t packet[IPC_MESSAGE_MAX];

	(void)state;
	packet[1] = LEAVES_FD;
	packet[2] = IPC_MESSAGE_MAX >> 8;
	peer_sends(packet, sizeof(packet), 0);
	turn();
	assert_int_equal(t.closed, 0);
}

/* Descriptors. */

static void
test_takes_fd(void **state)
{
	(void)state;
	peer_sends_message(TAKES_FD, 0, 1);
	turn();
	assert_true(t.fd > STDERR_FILENO);
	assert_int_equal(fcntl(t.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(t.closed, 0);
}

/* One was taken, three were not: those are closed, this one is not. */
static void
test_takes_one_of_four(void **state)
{
	(void)state;
	peer_sends_message(TAKES_FD, 0, 4);
	assert_closed("a bad message");
	assert_int_not_equal(fcntl(t.fd, F_GETFD), -1);
}

static void
test_leaves_fds(void **state)
{
	int before;

	(void)state;
	before = open_fds();
	peer_sends_message(LEAVES_FD, 0, 4);
	turn();
	assert_int_equal(t.closed, 0);
	assert_int_equal(open_fds(), before);
}

static void
test_too_many_fds(void **state)
{
	(void)state;
	peer_sends_message(TAKES_FD, 0, IPC_FDS_MAX + 1);
	assert_closed("a truncated or malformed message");
	assert_int_equal(t.fd, -1);
}

static void
test_frees_in_handler(void **state)
{
	int before = open_fds();

	(void)state;
	peer_sends_message(FREES, 0, 4);
	peer_sends_message(PLAIN, 0, 4);
	turn();
	assert_null(t.channel);
	assert_int_equal(t.plain, 0);
	assert_int_equal(t.closed, 0);
	assert_int_equal(open_fds(), before - 1);
}

/* The end. */

static void
test_peer_closes(void **state)
{
	(void)state;
	peer_sends_message(PLAIN, 1, 0);
	close(t.peer);
	t.peer = -1;
	assert_closed("closed by the peer");
	assert_int_equal(t.plain, 1);
}

/* What it had not read is lost; what it said is not. */
static void
test_peer_closes_unheard(void **state)
{
	struct ipc_message message;

	(void)state;
	ipc_compose(&message, PLAIN, 1);
	assert_int_equal(ipc_send(t.channel, &message), 0);
	peer_sends_message(PLAIN, 1, 0);
	close(t.peer);
	t.peer = -1;
	assert_closed("closed by the peer");
	assert_int_equal(t.plain, 1);
}

/* A closed channel that its owner keeps is quiet, and refuses to send. */
static void
test_kept_after_close(void **state)
{
	struct ipc_message message;

	(void)state;
	t.frees_when_closed = false;
	peer_sends_message(BAD, 0, 0);
	assert_closed("a bad message");
	peer_sends_message(PLAIN, 1, 0);
	ipc_compose(&message, PLAIN, 1);
	errno = 0;
	assert_int_equal(ipc_send(t.channel, &message), -1);
	assert_int_equal(errno, EPIPE);
	turn();
	assert_int_equal(t.closed, 1);
	assert_int_equal(t.plain, 0);
}

/* Its owner lets it go after it failed and before the loop could say so. */
static void
test_freed_before_told(void **state)
{
	(void)state;
	t.killer = event_new(t.base, -1, 0, on_killer, NULL);
	assert_non_null(t.killer);
	peer_sends_message(BAD, 0, 0);
	turn();
	event_free(t.killer);
	assert_null(t.channel);
	assert_int_equal(t.closed, 0);
}

static void
test_send_to_the_dead(void **state)
{
	struct ipc_message message;

	(void)state;
	peer_sends_message(PLAIN, 1, 0);
	close(t.peer);
	t.peer = -1;
	ipc_compose(&message, PLAIN, 1);
	assert_int_equal(ipc_send(t.channel, &message), -1);
	assert_int_equal(t.closed, 0);
	assert_closed("closed by the peer");
	assert_int_equal(t.plain, 1); /* its last words were heard */
}

static void
test_reply_to_the_dead(void **state)
{
	(void)state;
	peer_sends_message(REPLIES, 1, 0);
	close(t.peer);
	t.peer = -1;
	assert_closed("closed by the peer");
}

/* A slow peer. */

/* Sends until the queue is full; how many messages were taken. */
static uint32_t
send_until_full(size_t payload)
{
	static uint8_t block[PAYLOAD_MAX];
	struct ipc_message message;
	uint32_t id;
	int fd, ret;

	for (id = 0;; id++) {
		ipc_compose(&message, PLAIN, id);
		ipc_put_mem(&message, block, payload);
		if (id % FD_EVERY == 0) {
			fd = dup(STDIN_FILENO);
			ipc_put_fd(&message, fd);
		}
		ret = ipc_send(t.channel, &message);
		if (id % FD_EVERY == 0)
			close(fd); /* the channel has its own by now */
		if (ret == -1)
			break;
	}
	assert_int_equal(errno, ENOBUFS);
	return id;
}

/* One message at the peer's end, which must be number id; or there is none. */
static bool
peer_receives(uint32_t id)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control;
	uint8_t packet[IPC_MESSAGE_MAX];
	struct iovec iov = {packet, sizeof(packet)};
	struct msghdr msg = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg;
	int fd;

	if (recvmsg(t.peer, &msg, MSG_DONTWAIT) < HEADER_LEN) {
		assert_int_equal(errno, EAGAIN);
		return false;
	}
	assert_int_equal((uint32_t)packet[4] << 24 | packet[5] << 16 |
			     packet[6] << 8 | packet[7],
	    id);
	cmsg = CMSG_FIRSTHDR(&msg);
	assert_int_equal(cmsg != NULL, id % FD_EVERY == 0);
	if (cmsg != NULL) {
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
		assert_int_equal(close(fd), 0);
	}
	return true;
}

static uint32_t
peer_receives_all(uint32_t count)
{
	uint32_t before;

	do {
		before = count;
		event_base_loop(t.base, EVLOOP_NONBLOCK);
		while (peer_receives(count))
			count++;
	} while (count > before);
	return count;
}

static void
test_slow_peer(void **state)
{
	struct ipc_message message;
	uint32_t sent, received = 0;

	(void)state;
	sent = send_until_full(100);
	assert_true(sent > IPC_QUEUE_MAX);
	assert_int_equal(t.closed, 0);
	/* The socket takes some again, but those that wait go first. */
	while (peer_receives(received))
		received++;
	event_base_loop(t.base, EVLOOP_NONBLOCK);
	while (peer_receives(received))
		received++;
	ipc_compose(&message, PLAIN, sent);
	if (sent % FD_EVERY == 0)
		ipc_put_fd(&message, STDIN_FILENO);
	assert_int_equal(ipc_send(t.channel, &message), 0);
	assert_int_equal(peer_receives_all(received), sent + 1);
	/* And it goes on as before. */
	peer_sends_message(PLAIN, 1, 0);
	turn();
	assert_int_equal(t.plain, 1);
	assert_int_equal(t.closed, 0);
}

static void
test_slow_peer_dies(void **state)
{
	(void)state;
	send_until_full(1000);
	peer_sends_message(PLAIN, 1, 0);
	close(t.peer);
	t.peer = -1;
	assert_closed("closed by the peer");
	assert_int_equal(t.plain, 1);
}

static void
test_freed_with_queue(void **state)
{
	(void)state;
	send_until_full(1000);
	ipc_channel_free(t.channel);
	t.channel = NULL;
}

/* A peer that never stops does not keep others from their turn. */
static void
test_turns_end(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; i < 100; i++)
		peer_sends_message(PLAIN, i, 0);
	event_base_loop(t.base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
	assert_in_range(t.plain, 1, 99);
	turn();
	assert_int_equal(t.plain, 100);
}

static void
test_new_refuses(void **state)
{
	(void)state;
	errno = 0;
	assert_null(ipc_channel_new(t.base, -1, "x", rows, on_closed, &t));
	assert_int_equal(errno, EBADF);
	ipc_channel_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	    TEST(test_fields),
	    TEST(test_cut_anywhere),
	    TEST(test_errors_stick),
	    TEST(test_ranges),
	    TEST(test_overflow),
	    TEST(test_wire_format),
	    TEST(test_dispatch),
	    TEST(test_once_twice),
	    TEST(test_not_in_table),
	    TEST(test_type_zero),
	    TEST(test_bad_message),
	    TEST(test_left_over_field),
	    TEST(test_malformed),
	    TEST(test_oversize),
	    TEST(test_largest),
	    TEST(test_takes_fd),
	    TEST(test_takes_one_of_four),
	    TEST(test_leaves_fds),
	    TEST(test_too_many_fds),
	    TEST(test_frees_in_handler),
	    TEST(test_peer_closes),
	    TEST(test_peer_closes_unheard),
	    TEST(test_kept_after_close),
	    TEST(test_freed_before_told),
	    TEST(test_send_to_the_dead),
	    TEST(test_reply_to_the_dead),
	    TEST(test_slow_peer),
	    TEST(test_slow_peer_dies),
	    TEST(test_freed_with_queue),
	    TEST(test_turns_end),
	    TEST(test_new_refuses),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
