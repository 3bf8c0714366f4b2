/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_SERVER_QUEUE_H
#define POSTERN_SERVER_QUEUE_H

/*
 * The commands given to a server and not yet answered, in their order: which
 * of them may go now, and which one the next reply is to (RFC 2920).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/buf.h"
#include "proxy/session/server_leg.h"

struct pending {
	struct server_ref ref;
	uint32_t timeout_s;
	size_t held; /* bytes of it in the held buffer; 0: sent */
};

struct server_queue {
	struct pending ring[SERVER_PENDING_MAX];
	size_t first;
	size_t count;
	size_t sent; /* of count: on their way */
	struct buf held;
};

void server_queue_init(struct server_queue *);
void server_queue_clear(struct server_queue *);

/*
 * server_queue_add takes a command, its line copied.  0, or -1 with errno
 * ENOBUFS or ENOMEM and the queue as it was.
 */
int server_queue_add(struct server_queue *, struct server_ref,
    uint32_t timeout_s, const char *line, size_t len);
/*
 * server_queue_expect takes a reply as due to what was not a command line.
 * Nothing may be held then: EPROTO.
 */
int server_queue_expect(
    struct server_queue *, struct server_ref, uint32_t timeout_s);

/*
 * server_queue_next returns the line that may be sent now, valid until
 * server_queue_sent takes it off; NULL: none, or not before a reply.
 */
const void *
server_queue_next(const struct server_queue *, bool pipelines, size_t *len);
void server_queue_sent(struct server_queue *);

/*
 * server_queue_answered takes off the oldest command, which a reply has come
 * to; false where none was sent: that reply is to nothing.
 */
bool server_queue_answered(struct server_queue *, struct server_ref *);

/* Is some reply due? */
bool server_queue_awaits(const struct server_queue *);
/* How long the oldest reply due may take. */
uint32_t server_queue_timeout(const struct server_queue *);

#endif
