/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_PEM_H
#define POSTERN_PEM_H

/*
 * The CERTIFICATE blocks of a text (RFC 7468).  Everything else in it, keys
 * and comments, is passed over unread.
 */

#include <stddef.h>
#include <stdint.h>

struct pem {
	const char *text; /* borrowed; private, as is the rest */
	size_t len;
};

enum pem_result {
	PEM_BLOCK, /* one more certificate */
	PEM_BAD, /* a block that is damaged or has no end; go on if you like */
	PEM_END, /* no more blocks */
	PEM_ERROR, /* out of memory */
};

/* pem_init starts at the front of text, which must outlive the reader. */
void pem_init(struct pem *, const char *text, size_t len);
/*
 * pem_next decodes the next block.  With PEM_BLOCK *der is the caller's to
 * free, else NULL.
 */
enum pem_result pem_next(struct pem *, uint8_t **der, size_t *der_len);

#endif
