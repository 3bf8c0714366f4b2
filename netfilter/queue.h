/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_QUEUE_H
#define POSTERN_QUEUE_H

/*
 * One of the kernel's packet queues (NFQUEUE).  Packets wait in it until they
 * are given a verdict; where nobody reads, where it is full, and when its
 * reader ends, the kernel drops them.  Never fail-open.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUEUE_LENGTH     4096 /* packets that may wait */
#define QUEUE_BURST      64 /* read and answered at once */
#define QUEUE_COPY_BYTES 512 /* of each packet: its headers */
#define QUEUE_ERROR_MAX  160

struct queue;

struct queue_packet {
	const uint8_t
	    *data; /* from the IP header on; cut at QUEUE_COPY_BYTES */
	size_t len;
	uint32_t mark;
	uint32_t interface; /* index of the one it came in by; 0: none */
};

enum queue_verdict {
	QUEUE_ACCEPT, /* it goes on to the next chain */
	QUEUE_REPEAT, /* it goes through this chain again */
	QUEUE_DROP,
};

struct queue_answer {
	enum queue_verdict verdict;
	bool sets_mark;
	uint32_t mark;
};

/*
 * queue_open binds queue `number`.  Needs CAP_NET_ADMIN, as do the verdicts.
 * NULL with the reason in error.
 */
struct queue *queue_open(uint16_t number, char error[QUEUE_ERROR_MAX]);
void queue_close(struct queue *);
/* To be watched for reading. */
int queue_fd(const struct queue *);

/*
 * queue_serve reads up to QUEUE_BURST packets, asks judge about each in turn
 * and gives the kernel all answers in one message.  Returns how many there
 * were, 0: none now, or -1 with errno set: the queue is of no use any more.
 */
int queue_serve(struct queue *,
    struct queue_answer (*judge)(void *arg, const struct queue_packet *),
    void *arg);

#endif
