/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_WIRE_H
#define POSTERN_WIRE_H

/*
 * What lies under TLS: BoringSSL writes to a buffer, so that several records
 * leave in one call when the buffer's owner sends it; and it reads from what
 * one call took from the socket, since it asks for each record's head and
 * body by itself.
 */

#include <stdbool.h>

#include "proxy/base/buf.h"

struct bio_st;

#define WIRE_READ_SIZE 16384 /* bytes asked of the kernel at once */

struct wire {
	int fd; /* borrowed */
	struct buf *out; /* borrowed */
	struct buf in; /* read, and not yet asked for */
	bool is_drained; /* the socket had no more than what was last read */
};

/* out takes what is written; fd and out outlive the wire. */
void wire_init(struct wire *, int fd, struct buf *out);
void wire_clear(struct wire *);

/*
 * wire_bio makes the BIO for both directions; wire is borrowed and must stay
 * in place for its life.  NULL: out of memory.
 */
struct bio_st *wire_bio(struct wire *);

#endif
