/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_ANSWERS_H
#define POSTERN_ANSWERS_H

/*
 * The replies owed to a client, in the order of its commands, whoever gives
 * them and whenever: a reply that is known waits for those before it (RFC
 * 2920 3.2).
 */

#include <stddef.h>
#include <stdint.h>

struct conn;

#define ANSWERS_MAX 128 /* commands a client may have unanswered */

struct answer {
	char *text; /* owned; NULL while it is not known */
	size_t len;
};

struct answers {
	struct answer ring[ANSWERS_MAX];
	uint32_t first; /* id of the oldest one owed */
	uint32_t next; /* id of the one after the newest */
};

void answers_init(struct answers *);
void answers_clear(struct answers *);

size_t answers_owed(const struct answers *);
size_t answers_room(const struct answers *);

/* answers_owe makes room for the next command's; there must be room. */
uint32_t answers_owe(struct answers *);

/*
 * answers_give says what answer id is and writes all that are now due to the
 * client (to be flushed by the caller).  An id that is not owed is ignored.
 * -1 with errno set where memory or the connection's queue is at its end: the
 * session must then close, since an answer is lost.
 */
int answers_give(struct answers *, uint32_t id, struct conn *client,
    const char *text, size_t len);

#endif
