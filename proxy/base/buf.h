/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_BUF_H
#define POSTERN_BUF_H

/*
 * A queue of bytes with a maximum: written at the end, consumed at the front.
 * It holds no memory while it is empty, so that an idle session costs none.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *base; /* owned; private, as is all of it */
	size_t start; /* first byte not yet consumed */
	size_t len; /* bytes held */
	size_t cap;
	size_t max; /* never more bytes than this */
};

/* buf_init makes an empty buffer of at most max bytes; cannot fail. */
void buf_init(struct buf *, size_t max);
/* buf_clear frees the memory; the buffer is empty and usable again. */
void buf_clear(struct buf *);

/* buf_data, never NULL, is valid until a call that changes the buffer. */
const uint8_t *buf_data(const struct buf *);
size_t buf_len(const struct buf *);
/* buf_room says how many bytes may still be added. */
size_t buf_room(const struct buf *);

/*
 * buf_add appends.  Returns 0, or -1 with errno ENOBUFS (over the maximum) or
 * ENOMEM and the buffer unchanged.  buf_addf is printf-style likewise.
 */
int buf_add(struct buf *, const void *, size_t);
int
buf_addf(struct buf *, const char *, ...) __attribute__((format(printf, 2, 3)));

/*
 * buf_reserve returns room for want bytes at the end, or NULL with errno as
 * buf_add; buf_commit says how many of them were then written (<= want).
 */
uint8_t *buf_reserve(struct buf *, size_t want);
void buf_commit(struct buf *, size_t);

/* buf_consume drops n bytes (n <= buf_len) from the front. */
void buf_consume(struct buf *, size_t n);

#endif
