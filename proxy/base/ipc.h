/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_IPC_H
#define POSTERN_IPC_H

/*
 * Messages between postern's own processes over SOCK_SEQPACKET pairs: a type,
 * an id, fields in a fixed order, and at most IPC_FDS_MAX descriptors.  One
 * packet is one message.  A peer that breaks the format loses its channel and
 * nothing else.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;

#define IPC_MESSAGE_MAX 32768 /* bytes of one message, header included */
#define IPC_FDS_MAX     4
#define IPC_QUEUE_MAX   4096 /* messages waiting for a slow peer */

/* Encoding.  Errors stick: ipc_send refuses a message that overflowed. */
struct ipc_message {
	uint16_t type;
	uint32_t id;
	size_t len;
	bool is_bad;
	int fds[IPC_FDS_MAX]; /* borrowed until sent */
	size_t fd_count;
	uint8_t data[IPC_MESSAGE_MAX];
};

void ipc_compose(struct ipc_message *, uint16_t type, uint32_t id);
void ipc_put_u8(struct ipc_message *, uint8_t);
void ipc_put_u16(struct ipc_message *, uint16_t);
void ipc_put_u32(struct ipc_message *, uint32_t);
void ipc_put_u64(struct ipc_message *, uint64_t);
void ipc_put_mem(struct ipc_message *, const void *, size_t);
void ipc_put_str(struct ipc_message *, const char *);
void ipc_put_fd(struct ipc_message *, int fd);

/*
 * Decoding, in the order of encoding.  Errors stick: after the first, every
 * get yields zero or "", and ipc_end returns -1.  ipc_end also fails where
 * bytes or descriptors are left over, so a reader accepts exactly what a
 * writer meant.  ipc_get_str copies into out and fails where it does not fit
 * or holds a NUL; ipc_get_text fails as well where it is not printable ASCII,
 * ipc_get_upto where a byte is over max, ipc_get_bool where it is not 0 or 1;
 * ipc_get_fd hands the descriptor over to the caller, or -1.
 */
struct ipc_reader {
	uint16_t type;
	uint32_t id;
	const uint8_t *data;
	size_t len;
	size_t pos;
	bool is_bad;
	int fds[IPC_FDS_MAX];
	size_t fd_count;
	size_t fd_pos;
};

uint8_t ipc_get_u8(struct ipc_reader *);
uint8_t ipc_get_upto(struct ipc_reader *, uint8_t max);
bool ipc_get_bool(struct ipc_reader *);
uint16_t ipc_get_u16(struct ipc_reader *);
uint32_t ipc_get_u32(struct ipc_reader *);
uint64_t ipc_get_u64(struct ipc_reader *);
/* Borrowed from the message; valid until the handler returns. */
const void *ipc_get_mem(struct ipc_reader *, size_t *len);
void ipc_get_str(struct ipc_reader *, char *out, size_t size);
void ipc_get_text(struct ipc_reader *, char *out, size_t size);
int ipc_get_fd(struct ipc_reader *);
int ipc_end(const struct ipc_reader *);

/*
 * What a peer may send: a table ended by a row whose handler is NULL.  A
 * handler returns 0, or -1 where the message was bad: the channel then closes.
 * A `once` row is accepted once in the life of the channel.
 */
struct ipc_channel;
struct ipc_row {
	uint16_t type;
	bool once;
	const char *name; /* for the log */
	int (*handler)(void *arg, struct ipc_channel *, struct ipc_reader *);
};

/*
 * ipc_channel_new watches fd (which it owns from now on, made non-blocking).
 * rows is borrowed and must outlive the channel.  closed is called once when
 * the peer has gone or broke the rules (why says which); the channel may be
 * freed in it.  Returns NULL with errno set (fd then stays the caller's).
 */
struct ipc_channel *ipc_channel_new(struct event_base *, int fd,
    const char *peer, const struct ipc_row *rows,
    void (*closed)(void *arg, struct ipc_channel *, const char *why),
    void *arg);
/* May be called from inside a handler. */
void ipc_channel_free(struct ipc_channel *);
/*
 * ipc_channel_keep_spare holds a descriptor back, so that a message with one
 * can still be received when the process has no other left.
 */
void ipc_channel_keep_spare(struct ipc_channel *);

/*
 * ipc_send queues a message and its descriptors (duplicated where it must
 * wait, so that the caller may close its own at once).  Returns 0, or -1 with
 * errno ENOBUFS (queue full), EMSGSIZE (bad message), or of sendmsg.
 */
int ipc_send(struct ipc_channel *, const struct ipc_message *);

/* A SOCK_SEQPACKET pair, close-on-exec, for a channel; 0, or -1 with errno. */
int ipc_pair(int fds[2]);

#endif
