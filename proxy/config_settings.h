/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_CONFIG_SETTINGS_H
#define POSTERN_CONFIG_SETTINGS_H

/*
 * Which settings there are: a row each, that says how the value is written
 * and where it is kept.  The file's reader and the encoder for the children
 * both walk these tables, so that neither can forget a setting.
 */

#include <stddef.h>
#include <stdint.h>

#include "proxy/config.h"
#include "proxy/config_value.h"

enum setting_type {
	SETTING_BOOL, /* bool; with words: the second one is true */
	SETTING_WORD, /* an enum: the index among words */
	SETTING_PORT, /* uint16_t */
	SETTING_NUMBER, /* uint32_t */
	SETTING_SECONDS, /* uint32_t */
	SETTING_UNTIL, /* int64_t */
	SETTING_STRING, /* char *, owned; may be NULL */
	SETTING_STRINGS, /* char **, owned, and a count */
	SETTING_PORTS, /* an array of uint16_t, and a count */
	SETTING_ADDRESSES, /* an array of struct address, and a count */
	SETTING_PINS, /* uint8_t (*)[32], owned, and a count */
};

struct setting {
	const char *path; /* "section.name", or "name"; NULL: the end */
	enum setting_type type;
	size_t offset;
	size_t count_offset; /* lists: of their size_t */
	uint32_t min; /* numbers: the smallest */
	uint32_t max; /* the largest; lists: most elements */
	const char *const *words;
	value_check *check; /* strings, and strings of a list */
};

/* Rows of one table, its end not counted. */
#define SETTINGS_MAX 64

extern const struct setting settings_config[]; /* of struct config */
extern const struct setting settings_server[]; /* of struct rule */
extern const struct setting settings_domain[]; /* a part of the former */
extern const struct setting settings_client[]; /* of struct admission_rule */
extern const struct setting settings_destination[]; /* a part of it */

extern const char *const settings_mode_words[];
extern const char *const settings_level_words[];
extern const char *const settings_verdict_words[];

#endif
