/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_REDIS_URL_H
#define POSTERN_REDIS_URL_H

/*
 * Where a Redis or Valkey is, and how to be let in:
 * redis://[[USER]:PASSWORD@]HOST[:PORT][/DB].  Pure.
 */

#include <stddef.h>
#include <stdint.h>

#define REDIS_URL_MAX      1024 /* of the text, NUL included */
#define REDIS_HOST_MAX     256
#define REDIS_USER_MAX     128
#define REDIS_PASSWORD_MAX 512
#define REDIS_PORT         6379
#define REDIS_DB_MAX       65535

struct redis_url {
	/*
	 * A name in lower case without a dot at the end, or an address without
	 * brackets.
	 */
	char host[REDIS_HOST_MAX];
	uint16_t port;
	uint32_t db;
	char user[REDIS_USER_MAX]; /* "": the default user */
	char password[REDIS_PASSWORD_MAX]; /* "": none is given */
};

/*
 * redis_url_parse returns NULL, or a static text that continues "'TEXT' " and
 * the value cleared.  USER and PASSWORD may have bytes as %XX; the value then
 * holds a secret, which the caller clears.
 */
const char *redis_url_parse(const char *text, struct redis_url *);

/*
 * redis_url_mask copies a text that was meant to be such a URL, with *** for
 * what may be a password.  Returns out.
 */
const char *redis_url_mask(const char *text, char out[REDIS_URL_MAX]);

#endif
