/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_ADMISSION_H
#define POSTERN_ADMISSION_H

/*
 * The client and destination blocks, as a question: what is to become of a
 * connection from here to there?  Pure; limits are the caller's to apply.
 */

#include <stddef.h>
#include <stdint.h>

#include "proxy/base/address.h"
#include "proxy/config.h"

struct admission;

/* A connection's first packet, and what the kernel says of it. */
struct admission_packet {
	struct address source;
	struct address target;
	const char *interface; /* it came in by; "": not known */
	uint32_t mark; /* without postern's own bit */
};

struct admission_word {
	enum config_verdict verdict;
	/* Borrowed from the configuration; NULL: none covers it. */
	const struct admission_rule *client;
	/* The destination block that rejects, else NULL. */
	const struct admission_rule *destination;
};

/*
 * admission_new takes up a configuration, which it borrows.  NULL: ENOMEM.
 */
struct admission *admission_new(const struct config *);
void admission_free(struct admission *);

/*
 * admission_judge: of the client blocks that cover a packet the one with the
 * longest prefix around its source counts, with equal ones that which asks
 * for more (interfaces and marks, then marks, then interfaces), then the first
 * in the file; so do destination blocks by the target.  A destination that is
 * rejected is so for everybody.
 */
struct admission_word
admission_judge(const struct admission *, const struct admission_packet *);

#endif
