/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_STREAM_H
#define POSTERN_STREAM_H

/*
 * Message bytes on their way from client to server: straight from one
 * connection's input to the other's socket, no faster than the server takes
 * them.
 */

#include <stdint.h>

#include "proxy/smtp/data.h"

struct conn;

enum stream_result {
	STREAM_STARVED, /* needs more from the client */
	STREAM_BLOCKED, /* the server takes no more now */
	STREAM_END, /* all of it has been handed to the server's socket */
	STREAM_BARE_CR, /* the message is refused; see data.h */
	STREAM_BARE_LF,
};

struct stream {
	enum {
		STREAM_DATA,
		STREAM_CHUNK
	} kind;
	struct data_scanner scanner; /* DATA */
	uint64_t remaining; /* CHUNK: bytes still to come */
	uint64_t scanned; /* DATA: input known to be good */
	int is_ended; /* DATA: scanned ends in the end */
};

void stream_init_data(struct stream *);
void stream_init_chunk(struct stream *, uint64_t size);

/*
 * stream_run moves what can be moved.  server NULL throws the bytes away (a
 * chunk that nobody will get).  Bytes are taken from the client's input only
 * once the server's socket has them.
 */
enum stream_result
stream_run(struct stream *, struct conn *client, struct conn *server);

#endif
