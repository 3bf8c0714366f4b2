/* SPDX-License-Identifier: ISC */
/*
 * Reads settings by their tables: each value as its type wants it, and each
 * mistake as a message that has its place and the offending word.
 */

#include "proxy/config_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/log.h"
#include "proxy/config_value.h"
#include "proxy/policy/redis_url.h"

#define WORD_MAX    64 /* bytes of the operator's text that a message quotes */
#define SECTION_MAX 32

static int
fail_value(struct load *load, const struct setting *row,
    const struct ucl_node *node, const char *why)
{
	char text[WORD_MAX * 4 + 1], masked[REDIS_URL_MAX];
	const char *word = node->text;
	size_t len;

	if (row->check == value_state) /* it may have a password */
		word = redis_url_mask(word, masked);
	len = strlen(word);
	log_escape(text, sizeof(text), word, len < WORD_MAX ? len : WORD_MAX);
	return load_fail(load, node->line, "%s: '%s' %s", row->path, text, why);
}

/* Single values */

/* A value that is no list and no section; where bare, without quotes. */
static int
want_scalar(struct load *load, const struct setting *row,
    const struct ucl_node *node, bool bare)
{
	if (node->type == UCL_OBJECT || node->type == UCL_ARRAY)
		return load_fail(
		    load, node->line, "%s: one value is expected", row->path);
	if (bare && node->type == UCL_STRING)
		return fail_value(
		    load, row, node, "must be written without quotes");
	return 0;
}

static int
read_number(struct load *load, const struct setting *row,
    const struct ucl_node *node, uint32_t max, uint32_t *out)
{
	const char *why;
	char range[64];
	uint64_t value;

	if (want_scalar(load, row, node, true) == -1)
		return -1;
	if (row->type == SETTING_SECONDS)
		why = value_seconds(node->text, &value);
	else
		why = value_number(node->text, &value);
	if (why != NULL)
		return fail_value(load, row, node, why);
	if (value < row->min || value > max) {
		snprintf(range, sizeof(range), "must be from %u to %u",
		    row->min, max);
		return fail_value(load, row, node, range);
	}
	*out = (uint32_t)value;
	return 0;
}

static int
read_word(struct load *load, const struct setting *row,
    const struct ucl_node *node, uint32_t *out)
{
	char why[128] = "must be ";
	uint32_t i;

	if (want_scalar(load, row, node, false) == -1)
		return -1;
	for (i = 0; row->words[i] != NULL; i++) {
		if (strcmp(node->text, row->words[i]) == 0) {
			*out = i;
			return 0;
		}
		if (i > 0)
			strlcat(why, row->words[i + 1] == NULL ? " or " : ", ",
			    sizeof(why));
		strlcat(why, row->words[i], sizeof(why));
	}
	return fail_value(load, row, node, why);
}

static int
read_bool(struct load *load, const struct setting *row,
    const struct ucl_node *node, bool *out)
{
	const char *why;
	uint32_t word = 0;

	if (row->words != NULL) {
		if (read_word(load, row, node, &word) == -1)
			return -1;
		*out = word == 1;
		return 0;
	}
	if (want_scalar(load, row, node, true) == -1)
		return -1;
	if ((why = value_bool(node->text, out)) != NULL)
		return fail_value(load, row, node, why);
	return 0;
}

/* A checked string in its canonical form, owned by *out, which is freed. */
static int
read_string(struct load *load, const struct setting *row,
    const struct ucl_node *node, char **out)
{
	char text[CONFIG_TEXT_MAX];
	const char *why;

	if (want_scalar(load, row, node, false) == -1)
		return -1;
	if (strlen(node->text) >= sizeof(text))
		return fail_value(load, row, node, "is too long");
	if ((why = row->check(node->text, text)) != NULL)
		return fail_value(load, row, node, why);
	free(*out);
	if ((*out = strdup(text)) == NULL)
		return load_fail(load, node->line, "out of memory");
	return 0;
}

static int
read_until(struct load *load, const struct setting *row,
    const struct ucl_node *node, int64_t *out)
{
	const char *why;

	if (want_scalar(load, row, node, false) == -1)
		return -1;
	if ((why = value_until(node->text, out)) != NULL)
		return fail_value(load, row, node, why);
	return 0;
}

/* Lists.  Each element is read into its own place of an array. */

static int
read_port_element(struct load *load, const struct setting *row,
    const struct ucl_node *node, uint16_t *list, size_t i)
{
	uint32_t port = 0;
	size_t j;

	if (read_number(load, row, node, UINT16_MAX, &port) == -1)
		return -1;
	if (port == 0)
		return fail_value(load, row, node, "is not a port");
	list[i] = (uint16_t)port;
	for (j = 0; j < i; j++) {
		if (list[j] == list[i])
			return fail_value(load, row, node, "is given twice");
	}
	return 0;
}

static int
read_string_element(struct load *load, const struct setting *row,
    const struct ucl_node *node, char **list, size_t i)
{
	size_t j;

	if (read_string(load, row, node, &list[i]) == -1)
		return -1;
	for (j = 0; j < i; j++) {
		/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
		if (strcmp(list[j], list[i]) == 0) /* each was read */
			return fail_value(load, row, node, "is given twice");
	}
	return 0;
}

static int
read_address_element(struct load *load, const struct setting *row,
    const struct ucl_node *node, struct address *out)
{
	const char *why;

	if (want_scalar(load, row, node, false) == -1)
		return -1;
	if ((why = value_server(node->text, out)) != NULL)
		return fail_value(load, row, node, why);
	return 0;
}

static int
read_pin_element(struct load *load, const struct setting *row,
    const struct ucl_node *node, uint8_t out[32])
{
	const char *why;

	if (want_scalar(load, row, node, false) == -1)
		return -1;
	if ((why = value_pin(node->text, out)) != NULL)
		return fail_value(load, row, node, why);
	return 0;
}

/*
 * Prepares a list for `want` elements, what an earlier source put there being
 * freed: the command line's list takes the place of the file's.
 */
static int
list_renew(const struct setting *row, void *at, size_t *count, size_t want)
{
	char **strings;
	uint8_t(*pins)[32];
	size_t i;

	if (row->type == SETTING_STRINGS) {
		strings = *(char ***)at;
		for (i = 0; i < *count; i++)
			free(strings[i]);
		free(strings);
		strings = calloc(want, sizeof(*strings));
		*(char ***)at = strings;
		*count = strings == NULL ? 0 : want;
		return strings == NULL ? -1 : 0;
	}
	if (row->type == SETTING_PINS) {
		free(*(uint8_t(**)[32])at);
		pins = calloc(want, sizeof(*pins));
		*(uint8_t(**)[32])at = pins;
		*count = pins == NULL ? 0 : want;
		return pins == NULL ? -1 : 0;
	}
	*count = want;
	return 0;
}

static int
read_element(struct load *load, const struct setting *row,
    const struct ucl_node *node, void *at, size_t i)
{
	if (row->type == SETTING_PORTS)
		return read_port_element(load, row, node, at, i);
	if (row->type == SETTING_STRINGS)
		return read_string_element(load, row, node, *(char ***)at, i);
	if (row->type == SETTING_ADDRESSES)
		return read_address_element(
		    load, row, node, (struct address *)at + i);
	return read_pin_element(load, row, node, (*(uint8_t(**)[32])at)[i]);
}

static int
read_list(struct load *load, const struct setting *row,
    const struct ucl_node *node, void *at, size_t *count)
{
	const struct ucl_node *element;
	size_t want, i = 0;

	if (node->type != UCL_ARRAY)
		return load_fail(load, node->line,
		    "%s: a list is expected: [...]", row->path);
	if ((want = ucl_node_count(node->first)) == 0)
		return load_fail(
		    load, node->line, "%s: the list is empty", row->path);
	if (want > row->max)
		return load_fail(load, node->line, "%s: more than %u values",
		    row->path, row->max);
	if (list_renew(row, at, count, want) == -1)
		return load_fail(load, node->line, "out of memory");
	for (element = node->first; element != NULL; element = element->next) {
		if (read_element(load, row, element, at, i++) == -1)
			return -1;
	}
	return 0;
}

/* Settings by their tables */

static int
read_port(struct load *load, const struct setting *row,
    const struct ucl_node *node, uint16_t *out)
{
	uint32_t port = 0;

	if (read_number(load, row, node, row->max, &port) == -1)
		return -1;
	*out = (uint16_t)port;
	return 0;
}

int
load_value(struct load *load, const struct setting *row,
    const struct ucl_node *node, void *base)
{
	void *at = (uint8_t *)base + row->offset;
	size_t *count = (size_t *)(void *)((uint8_t *)base + row->count_offset);

	switch (row->type) {
	case SETTING_BOOL:
		return read_bool(load, row, node, at);
	case SETTING_WORD:
		return read_word(load, row, node, at);
	case SETTING_PORT:
		return read_port(load, row, node, at);
	case SETTING_NUMBER:
	case SETTING_SECONDS:
		return read_number(load, row, node, row->max, at);
	case SETTING_UNTIL:
		return read_until(load, row, node, at);
	case SETTING_STRING:
		return read_string(load, row, node, at);
	case SETTING_STRINGS:
	case SETTING_PORTS:
	case SETTING_ADDRESSES:
	case SETTING_PINS:
		return read_list(load, row, node, at, count);
	}
	return -1;
}

/* The part of the path behind "section."; NULL: it is of another section. */
static const char *
path_in(const char *path, const char *section)
{
	size_t len = strlen(section);

	if (len == 0)
		return path;
	if (strncmp(path, section, len) != 0 || path[len] != '.')
		return NULL;
	return path + len + 1;
}

static const struct setting *
row_find(const struct setting *table, const char *section, const char *key)
{
	const struct setting *row;
	const char *name;

	for (row = table; row->path != NULL; row++) {
		name = path_in(row->path, section);
		if (name != NULL && strcmp(name, key) == 0)
			return row;
	}
	return NULL;
}

bool
load_is_section(const char *key)
{
	const struct setting *row;

	for (row = settings_config; row->path != NULL; row++) {
		if (path_in(row->path, key) != NULL && key[0] != '\0')
			return true;
	}
	return false;
}

/*
 * Fails over a key that is none, with the nearest one that could have been
 * meant: of this section, or at the top a section or a block.
 */
static int
fail_unknown(struct load *load, const struct setting *table,
    const char *section, const struct ucl_node *node)
{
	const char *words[SETTINGS_MAX + 5], *name, *nearest;
	char sections[SETTINGS_MAX][SECTION_MAX];
	char key[WORD_MAX * 4 + 1];
	size_t n = 0, i, len;

	for (i = 0; table[i].path != NULL; i++) {
		if ((name = path_in(table[i].path, section)) == NULL)
			continue;
		strlcpy(sections[i], name, sizeof(sections[i]));
		sections[i][strcspn(sections[i], ".")] = '\0';
		words[n++] = sections[i];
	}
	if (table == settings_config && section[0] == '\0') {
		words[n++] = "server";
		words[n++] = "domain";
		words[n++] = "client";
		words[n++] = "destination";
	}
	words[n] = NULL;
	len = strlen(node->key);
	log_escape(
	    key, sizeof(key), node->key, len < WORD_MAX ? len : WORD_MAX);
	nearest = value_nearest(node->key, words);
	return load_fail(load, node->line, "unknown setting '%s%s%s'%s%s%s",
	    section, section[0] == '\0' ? "" : ".", key,
	    nearest == NULL ? "" : " (did you mean '",
	    nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?)");
}

int
load_setting(struct load *load, const struct setting *table,
    const char *section, const struct ucl_node *node, void *base,
    struct place set[SETTINGS_MAX])
{
	const struct setting *row;
	struct place *place;
	char origin[PLACE_TEXT_MAX];

	if ((row = row_find(table, section, node->key)) == NULL)
		return fail_unknown(load, table, section, node);
	place = &set[row - table];
	if (place->source == load->source)
		return load_fail(load, node->line, "%s is set already (%s)",
		    row->path, place_text(place, origin));
	*place = load_place(load, node->line);
	return load_value(load, row, node, base);
}
