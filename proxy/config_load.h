/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_CONFIG_LOAD_H
#define POSTERN_CONFIG_LOAD_H

/*
 * What the parts of config_load share while they fill the settings: where
 * they are in which source, and how they fail.  The first failure ends it, so
 * each of them returns -1 and leaves its message in load->error.
 */

#include <stdbool.h>
#include <stddef.h>

#include "proxy/config.h"
#include "proxy/config_file.h"
#include "proxy/config_settings.h"
#include "proxy/config_ucl.h"

#define LOAD_COMMAND_LINE "command line"
#define PLACE_TEXT_MAX    (CONFIG_TEXT_MAX + 16)

/* The file, then the command line. */
enum load_source {
	LOAD_FILE,
	LOAD_OVERRIDES,
	LOAD_SOURCES
};

/* Where something was written. */
struct place {
	const char *source; /* borrowed; NULL: nowhere, the default holds */
	unsigned int line; /* 0: lines say nothing here */
};

struct load {
	struct config *config; /* borrowed: what is being filled */
	char *error; /* borrowed: CONFIG_ERROR_MAX bytes */
	const char *file; /* borrowed: the file's name for messages */
	const char *source; /* borrowed: of what is being read now */
	bool has_lines; /* of that source */
	size_t trust_bytes;
	struct place set[SETTINGS_MAX]; /* by row of settings_config */
};

/* config_place.c */

/* Selects the source that is read from now on. */
void load_from(struct load *, enum load_source);
/* "file:line", or "file" where there is no line. */
const char *place_text(const struct place *, char out[PLACE_TEXT_MAX]);
/* The place of a line in the source that is being read. */
struct place load_place(const struct load *, unsigned int line);
int load_fail_at(struct load *, const struct place *, const char *, ...)
    __attribute__((format(printf, 3, 4)));
/* In the source that is being read. */
int load_fail(struct load *, unsigned int line, const char *, ...)
    __attribute__((format(printf, 3, 4)));

/* config_read.c: settings by their tables. */

/* Reads a value to where its row says, inside of base. */
int load_value(struct load *, const struct setting *row,
    const struct ucl_node *, void *base);
/*
 * Finds the row of section.key, or of key alone (section ""), and reads it.
 * set holds where each row was set: twice by one source is an error.
 */
int
load_setting(struct load *, const struct setting *table, const char *section,
    const struct ucl_node *, void *base, struct place set[SETTINGS_MAX]);
bool load_is_section(const char *key);

/* config_trust.c: files. */

/*
 * Reads a whole file of at most max bytes; a NUL is added.  NULL with errno
 * set, EFBIG past the maximum.  Pipes will do, so no size is asked for.
 */
char *load_read_file(const char *path, size_t max, size_t *len);
/* Reads a trust file into config->trusts, unless it is there already. */
int load_trust(struct load *, const char *path, const struct place *);

/* config_blocks.c: the server and domain blocks of both sources. */
int load_blocks(struct load *, struct ucl_node *const tops[LOAD_SOURCES]);
/* Is this key's value one of them, or several? */
bool load_is_block(const struct ucl_node *);

#endif
