/* SPDX-License-Identifier: ISC */
/*
 * Knows how many bytes may go; copies none of them.
 */

#include "proxy/session/stream.h"

#include <string.h>

#include "proxy/tls/conn.h"

void
stream_init_data(struct stream *stream)
{
	memset(stream, 0, sizeof(*stream));
	stream->kind = STREAM_DATA;
	data_scan_init(&stream->scanner);
}

void
stream_init_chunk(struct stream *stream, uint64_t size)
{
	memset(stream, 0, sizeof(*stream));
	stream->kind = STREAM_CHUNK;
	stream->remaining = size;
}

/* Hands n bytes of the client's input over; how many were taken. */
static size_t
move(struct conn *client, struct conn *server, const uint8_t *data, size_t n)
{
	size_t moved = server != NULL ? conn_write_now(server, data, n) : n;

	conn_consume(client, moved);
	return moved;
}

static enum stream_result
run_chunk(struct stream *stream, struct conn *client, struct conn *server)
{
	const uint8_t *data;
	size_t len, n;

	while (stream->remaining > 0) {
		data = conn_input(client, &len);
		if (len == 0)
			return STREAM_STARVED;
		n = len < stream->remaining ? len : (size_t)stream->remaining;
		len = move(client, server, data, n);
		stream->remaining -= len;
		if (len < n)
			return STREAM_BLOCKED;
	}
	return STREAM_END;
}

/*
 * Input is scanned once: what was found good and did not go is offered again
 * as it is.  Bytes behind it wait, so that an offence never shares a write
 * with what came before it in the same scan.
 */
static enum stream_result
run_data(struct stream *stream, struct conn *client, struct conn *server)
{
	const uint8_t *data;
	size_t len, used;

	for (;;) {
		data = conn_input(client, &len);
		if (stream->scanned == 0) {
			if (stream->is_ended)
				return STREAM_END;
			switch (data_scan(&stream->scanner, data, len, &used)) {
			case DATA_MORE:
				break;
			case DATA_END:
				stream->is_ended = 1;
				break;
			case DATA_BARE_CR:
				return STREAM_BARE_CR;
			case DATA_BARE_LF:
				return STREAM_BARE_LF;
			}
			stream->scanned = used;
			if (used == 0)
				return STREAM_STARVED;
		}
		used = move(client, server, data, (size_t)stream->scanned);
		stream->scanned -= used;
		if (stream->scanned > 0)
			return STREAM_BLOCKED;
	}
}

enum stream_result
stream_run(struct stream *stream, struct conn *client, struct conn *server)
{
	return stream->kind == STREAM_DATA ? run_data(stream, client, server)
	                                   : run_chunk(stream, client, server);
}
