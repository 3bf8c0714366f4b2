/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_WIRE_H
#define POSTERN_WIRE_H

/*
 * What lies under TLS: BoringSSL reads from a socket but writes to a buffer,
 * so that several records leave in one call, when the buffer's owner sends it.
 */

struct bio_st;
struct buf;

struct wire {
	int fd; /* borrowed */
	struct buf *out; /* borrowed */
};

/*
 * wire_bio makes the BIO for both directions; wire is borrowed and must stay
 * in place for its life.  NULL: out of memory.
 */
struct bio_st *wire_bio(struct wire *);

#endif
