/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_CONN_STATE_H
#define POSTERN_CONN_STATE_H

/*
 * The inside of a connection, shared by the files that make it up: conn.c
 * (socket, buffers, deadline, events) and conn_tls.c (the TLS over them).
 */

#include <event2/event.h>
#include <event2/event_struct.h>

#include "proxy/base/buf.h"
#include "proxy/tls/conn.h"
#include "proxy/tls/gather.h"
#include "proxy/tls/wire.h"

struct ssl_st;

#define RECORD_MAX   16384 /* bytes of one TLS record (RFC 8446 5.1) */
#define RECORD_EXTRA 512 /* what a record costs at most beyond them */

enum conn_state {
	CONN_STATE_CONNECTING,
	CONN_STATE_OPEN,
	CONN_STATE_HANDSHAKE,
	CONN_STATE_FINISHING,
	CONN_STATE_DEAD,
};

struct conn {
	int fd;
	enum conn_state state;
	struct event readable;
	struct event writable;
	struct event timer;
	struct gather gather; /* of readable */
	bool is_eof;
	bool wants_writable; /* the owner waits for the queue to go */
	bool is_shut; /* our direction has ended */
	int broken; /* errno: writing failed, reading goes first */
	int64_t deadline; /* monotonic ms; -1: none */
	int64_t linger_end; /* monotonic ms */
	int64_t armed; /* when the timer fires; -1: is not */
	struct event_base *base;
	void (*handler)(void *, struct conn *, enum conn_event);
	void *arg;
	struct buf in;
	struct buf out; /* wire bytes: records, where there is TLS */
	struct wire wire; /* under ssl */
	struct ssl_st *ssl; /* owned; NULL: plain */
	char *sni; /* owned */
	struct conn_tls tls;
	bool has_tls;
	bool is_weak; /* see conn_is_weak */
	uint64_t bytes_in;
	uint64_t bytes_out;
	size_t read_size;
	char error[CONN_ERROR_MAX];
};

enum got {
	GOT_BYTES,
	GOT_NOTHING, /* for now */
	GOT_END,
	GOT_FAILURE, /* conn_fail() has been called */
};

/* conn.c */
/* The one way in which a connection dies; the owner hears of it once. */
void conn_fail(struct conn *, const char *text);
/* Reads only where there is room: back-pressure. */
void conn_update_reading(struct conn *);
/* on_writable follows as soon as the socket takes bytes. */
void conn_want_write(struct conn *);
/* Sends what is queued, as far as it goes; -1: the connection has failed. */
int conn_send_out(struct conn *);

/* conn_tls.c */
/* One step of the handshake; false once the connection has failed. */
bool conn_handshake(struct conn *);
enum got conn_read_tls(struct conn *, uint8_t *to, size_t size, size_t *len);
/* Makes one record of the data; 0 where there is no room or it failed. */
size_t conn_seal(struct conn *, const uint8_t *data, size_t len);
/* Are there bytes, decrypted or not, that no poll will announce? */
bool conn_tls_pending(const struct conn *);
/* Was the socket empty when it was last read, and is all of that used? */
bool conn_tls_is_drained(const struct conn *);
/* Queues close_notify. */
void conn_tls_finish(struct conn *);
void conn_tls_clear(struct conn *);

#endif
