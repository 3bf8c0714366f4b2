/* SPDX-License-Identifier: ISC */
/*
 * Knows order and room, not what a command is for.
 */

#include "proxy/session/server_queue.h"

#include <errno.h>
#include <string.h>

void
server_queue_init(struct server_queue *queue)
{
	memset(queue, 0, sizeof(*queue));
	buf_init(&queue->held, SERVER_HELD_MAX);
}

void
server_queue_clear(struct server_queue *queue)
{
	buf_clear(&queue->held);
	server_queue_init(queue);
}

static struct pending *
at(struct server_queue *queue, size_t i)
{
	return &queue->ring[(queue->first + i) % SERVER_PENDING_MAX];
}

static void
put(struct server_queue *queue, struct server_ref ref, uint32_t timeout_s,
    size_t held)
{
	*at(queue, queue->count++) = (struct pending){
	    .ref = ref, .timeout_s = timeout_s, .held = held};
}

int
server_queue_add(struct server_queue *queue, struct server_ref ref,
    uint32_t timeout_s, const char *line, size_t len)
{
	if (queue->count == SERVER_PENDING_MAX) {
		errno = ENOBUFS;
		return -1;
	}
	if (buf_add(&queue->held, line, len) == -1)
		return -1;
	put(queue, ref, timeout_s, len);
	return 0;
}

int
server_queue_expect(
    struct server_queue *queue, struct server_ref ref, uint32_t timeout_s)
{
	if (queue->sent != queue->count) {
		errno = EPROTO;
		return -1;
	}
	if (queue->count == SERVER_PENDING_MAX) {
		errno = ENOBUFS;
		return -1;
	}
	put(queue, ref, timeout_s, 0);
	queue->sent++;
	return 0;
}

const void *
server_queue_next(const struct server_queue *queue, bool pipelines, size_t *len)
{
	if (queue->sent == queue->count || (!pipelines && queue->sent > 0))
		return NULL;
	*len =
	    queue->ring[(queue->first + queue->sent) % SERVER_PENDING_MAX].held;
	return buf_data(&queue->held);
}

void
server_queue_sent(struct server_queue *queue)
{
	struct pending *pending = at(queue, queue->sent++);

	buf_consume(&queue->held, pending->held);
	pending->held = 0;
}

bool
server_queue_answered(struct server_queue *queue, struct server_ref *ref)
{
	if (queue->sent == 0)
		return false;
	*ref = at(queue, 0)->ref;
	queue->first = (queue->first + 1) % SERVER_PENDING_MAX;
	queue->count--;
	queue->sent--;
	return true;
}

bool
server_queue_awaits(const struct server_queue *queue)
{
	return queue->sent > 0;
}

uint32_t
server_queue_timeout(const struct server_queue *queue)
{
	return queue->ring[queue->first].timeout_s;
}
