/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_CONN_H
#define POSTERN_CONN_H

/*
 * One connection: a non-blocking socket, plain at first, TLS in place later,
 * with bounded buffers and one deadline.  Its owner gets events and never
 * sees EAGAIN, WANT_READ or errno of a read.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct address;
struct chain;
struct conn;
struct event_base;
struct tls_client;
struct tls_target;

#define CONN_INPUT_MAX     131072 /* bytes read and not yet consumed */
#define CONN_OUTPUT_MAX    131072 /* bytes waiting to be written */
#define CONN_READ_SIZE     16384 /* bytes asked of the kernel at once, */
#define CONN_READ_MAX      131072 /* growing to this while they all come */
#define CONN_LINGER_MS     15000 /* for a silent peer to read our last words */
#define CONN_LINGER_MAX_MS 180000 /* for one that still sends */
#define CONN_ERROR_MAX     192

enum conn_event {
	CONN_CONNECTED, /* conn_connect has succeeded */
	CONN_TLS_UP, /* conn_start_tls has succeeded */
	CONN_INPUT, /* bytes arrived */
	CONN_EOF, /* the peer will send no more; it may still read */
	CONN_WRITABLE, /* after conn_write_now was refused: try again */
	CONN_TIMEOUT, /* the deadline has passed (and is cleared) */
	CONN_FAILED, /* dead; conn_error says of what */
	CONN_DONE, /* conn_finish has come to its end */
};

/* conn_new takes fd over on success only; NULL with errno set. */
struct conn *conn_new(struct event_base *, int fd,
    void (*handler)(void *arg, struct conn *, enum conn_event), void *arg);
/*
 * conn_free closes the socket at once.  Not to be called from the handler:
 * an owner marks what is to go and frees it when the turn ends.
 */
void conn_free(struct conn *);

/* CONN_CONNECTED or CONN_FAILED follows, never before this returns. */
void conn_connect(struct conn *, const struct address *);

/*
 * conn_start_tls begins a client handshake on a connection that was plain
 * until now; CONN_TLS_UP or CONN_FAILED follows.  Refuses with EPROTO while
 * unread plaintext is buffered, so nothing sent before TLS can be read as if
 * it came after.  The target is copied.  Returns 0, or -1 with errno set and
 * the connection unchanged.
 */
int
conn_start_tls(struct conn *, struct tls_client *, const struct tls_target *);
/* Our own end, once conn_connect was called.  0, or -1 with errno set. */
int conn_local_address(const struct conn *, struct address *);

/* The bytes read and not yet consumed; valid until the next call on conn. */
const uint8_t *conn_input(const struct conn *, size_t *len);
void conn_consume(struct conn *, size_t);
/* Has everything the peer sent been read, up to its end? */
bool conn_is_eof(const struct conn *);

/*
 * conn_write queues bytes; nothing is sent before conn_flush.  -1 (ENOBUFS,
 * ENOMEM) leaves the queue as it was.
 */
int conn_write(struct conn *, const void *, size_t);
int conn_flush(struct conn *);
/* CONN_WRITABLE will follow when the queue, if there is one, is gone. */
void conn_want_writable(struct conn *);
size_t conn_queued(const struct conn *);
/*
 * conn_write_now takes bytes straight from the caller's memory, as fast as the
 * peer takes them and no faster: the bulk path.  They go behind the queue.
 * Returns how many bytes were taken; fewer than len means that CONN_WRITABLE
 * will follow, and the rest may be offered again then.  A failure arrives as
 * CONN_FAILED, with fewer returned here.
 */
size_t conn_write_now(struct conn *, const void *, size_t len);

/* In ms from now; negative clears it. */
void conn_set_deadline(struct conn *, int64_t ms);

/*
 * conn_finish sends what is queued, ends our direction (close_notify, FIN),
 * and throws away what the peer still sends until it closes or CONN_LINGER_MS
 * passes in silence, so that a reset cannot overtake our last words.  CONN_DONE
 * follows; no other event does.
 */
void conn_finish(struct conn *);
/* Ends the connection with a reset; no event follows. */
void conn_abort(struct conn *);

/* Of a CONN_FAILED; printable, for people. */
const char *conn_error(const struct conn *);
/* Did TLS fail since the peer has nothing that is strong enough? */
bool conn_is_weak(const struct conn *);

/* What TLS came to; strings are static or live as long as the connection. */
struct conn_tls {
	const char *version; /* "TLSv1.3" */
	const char *cipher;
	const char *group; /* "" where it is not known */
	const char *sni; /* "" for none */
	bool is_resumed;
	struct chain *chain; /* borrowed */
};
/* NULL while TLS is not up. */
const struct conn_tls *conn_tls(const struct conn *);

uint64_t conn_bytes_in(const struct conn *);
uint64_t conn_bytes_out(const struct conn *);

#endif
