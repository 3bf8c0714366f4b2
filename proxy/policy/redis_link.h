/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_REDIS_LINK_H
#define POSTERN_REDIS_LINK_H

/*
 * One connection to a Redis or Valkey, from connect to its end.  Commands go
 * out in order and replies come back in that order; what is no reply, or too
 * long a one, ends the connection.  How long anything may take is the
 * caller's business.
 */

#include <stdbool.h>
#include <stddef.h>

#define REDIS_LINK_REPLY_MAX  (80U << 10) /* bytes of one reply */
#define REDIS_LINK_OUTPUT_MAX (1U << 20) /* of commands not yet sent */
#define REDIS_LINK_WORDS_MAX  8 /* of one command */
#define REDIS_LINK_WHY_MAX    256

struct address;
struct event_base;
struct redis_link;
struct redis_url;

enum redis_reply_kind {
	REDIS_TEXT,
	REDIS_NOTHING, /* no such key */
	REDIS_DONE, /* "+OK" and the like */
	REDIS_REFUSED, /* text is the error */
	REDIS_OTHER, /* nothing that was asked for */
};

struct redis_answer {
	enum redis_reply_kind kind;
	size_t len;
	char text[]; /* NUL-ended, and NULs may be in it */
};

/* Called from the event loop, with the arg of redis_link_new. */
struct redis_link_hooks {
	/* It is connected and let in, and takes commands. */
	void (*up)(void *arg);
	/* To the oldest command without one; valid until this returns. */
	void (*answer)(void *arg, const struct redis_answer *);
	/*
	 * It is over, and to be freed, here or later; why is printable.
	 * may_try_next: another address may do better.
	 */
	void (*down)(void *arg, const char *why, bool may_try_next);
};

/* A word of a command, of any bytes. */
struct redis_word {
	const char *text;
	size_t len;
};

/*
 * redis_link_new begins to connect; the address has a port, and url is used
 * for user, password and database.  hooks, url and arg are borrowed for its
 * life.  NULL with errno set.
 */
struct redis_link *redis_link_new(struct event_base *, const struct address *,
    const struct redis_url *, const struct redis_link_hooks *, void *arg);
void redis_link_free(struct redis_link *);

/* 0, and an answer or down follows; or -1: nothing was sent. */
int
redis_link_send(struct redis_link *, const struct redis_word *, size_t count);

#endif
