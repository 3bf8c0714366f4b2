/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_SETTINGS_H
#define POSTERN_SETTINGS_H

/*
 * A configuration with its trust files parsed: immutable and counted, so that
 * a session keeps what it began with through a reload.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "certs/store.h"

struct config;

struct settings {
	size_t refs;
	uint32_t generation;
	struct config *config; /* owned */
	struct store **stores; /* owned; as config->trusts */
};

/*
 * settings_new takes config over in any case.  NULL with a message in error
 * where a trust file holds nothing usable.
 */
struct settings *
settings_new(struct config *, uint32_t generation, char error[STORE_ERROR_MAX]);
struct settings *settings_ref(struct settings *);
void settings_unref(struct settings *);

/* The store of a trust file's path ("" is the default); NULL: unknown here. */
const struct store *settings_store(const struct settings *, const char *path);

/*
 * May some recipient be reached without TLS at this time?  Then a server
 * without it is not refused before that recipient could have been named.
 */
bool settings_allows_clear(const struct settings *, int64_t now);

#endif
