/* SPDX-License-Identifier: ISC */
/*
 * Lays the configuration file, and the command line's settings after it, over
 * the defaults, by the tables of config_settings.c; then the blocks, the
 * trust files, and what can only be judged of the whole.  The first error
 * ends it.
 */

#include "proxy/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/config.h"
#include "proxy/config_settings.h"
#include "proxy/config_ucl.h"
#include "proxy/config_value.h"

#define ORIGIN_MAX  (CONFIG_TEXT_MAX + 16) /* "file:line" */
#define WORD_MAX    64 /* bytes of the operator's text that a message quotes */
#define SECTION_MAX 32

/* The file, then the command line. */
enum {
	FROM_FILE,
	FROM_COMMAND_LINE,
	SOURCES
};

/* Where something was written. */
struct place {
	const char *source; /* borrowed; NULL: nowhere, the default holds */
	unsigned int line; /* 0: lines say nothing here */
};

struct load {
	struct config *config;
	char *error;
	const char *file; /* borrowed: the file's name for messages */
	const char *source; /* borrowed: of what is being read now */
	size_t trust_bytes;
	struct place set[SETTINGS_MAX]; /* by row of settings_config */
};

static const char command_line[] = "command line";

static const char *
origin_text(const struct place *place, char out[ORIGIN_MAX])
{
	if (place->line == 0)
		snprintf(out, ORIGIN_MAX, "%s", place->source);
	else
		snprintf(out, ORIGIN_MAX, "%s:%u", place->source, place->line);
	return out;
}

static void
fail_va(struct load *load, const struct place *place, const char *format,
    va_list ap)
{
	char origin[ORIGIN_MAX];
	size_t len;

	snprintf(
	    load->error, CONFIG_ERROR_MAX, "%s: ", origin_text(place, origin));
	len = strlen(load->error);
	vsnprintf(load->error + len, CONFIG_ERROR_MAX - len, format, ap);
}

static int __attribute__((format(printf, 3, 4))) fail_place(
    struct load *load, const struct place *place, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fail_va(load, place, format, ap);
	va_end(ap);
	return -1;
}

/* The place of a line in the source that is being read. */
static struct place
place_here(const struct load *load, unsigned int line)
{
	return (struct place){
	    load->source, load->source == command_line ? 0 : line};
}

static int __attribute__((format(printf, 3, 4)))
fail(struct load *load, unsigned int line, const char *format, ...)
{
	struct place place = place_here(load, line);
	va_list ap;

	va_start(ap, format);
	fail_va(load, &place, format, ap);
	va_end(ap);
	return -1;
}

static int
fail_value(struct load *load, const struct setting *row,
    const struct ucl_node *node, const char *why)
{
	char text[WORD_MAX * 4 + 1];
	size_t len = strlen(node->text);

	log_escape(
	    text, sizeof(text), node->text, len < WORD_MAX ? len : WORD_MAX);
	return fail(load, node->line, "%s: '%s' %s", row->path, text, why);
}

/* Single values */

/* A value that is no list and no section; where bare, without quotes. */
static int
want_scalar(struct load *load, const struct setting *row,
    const struct ucl_node *node, bool bare)
{
	if (node->type == UCL_OBJECT || node->type == UCL_ARRAY)
		return fail(
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
	uint32_t word;

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
		return fail(load, node->line, "out of memory");
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
		if (strcmp(list[j], list[i]) == 0)
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

static size_t
count_nodes(const struct ucl_node *node)
{
	size_t count = 0;

	for (; node != NULL; node = node->next)
		count++;
	return count;
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
		return fail(load, node->line, "%s: a list is expected: [...]",
		    row->path);
	if ((want = count_nodes(node->first)) == 0)
		return fail(
		    load, node->line, "%s: the list is empty", row->path);
	if (want > row->max)
		return fail(load, node->line, "%s: more than %u values",
		    row->path, row->max);
	if (list_renew(row, at, count, want) == -1)
		return fail(load, node->line, "out of memory");
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
	uint32_t port;

	if (read_number(load, row, node, row->max, &port) == -1)
		return -1;
	*out = (uint16_t)port;
	return 0;
}

static int
read_setting(struct load *load, const struct setting *row,
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

static bool
is_section(const char *key)
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
	const char *words[SETTINGS_MAX + 3], *name, *nearest;
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
	}
	words[n] = NULL;
	len = strlen(node->key);
	log_escape(
	    key, sizeof(key), node->key, len < WORD_MAX ? len : WORD_MAX);
	nearest = value_nearest(node->key, words);
	return fail(load, node->line, "unknown setting '%s%s%s'%s%s%s", section,
	    section[0] == '\0' ? "" : ".", key,
	    nearest == NULL ? "" : " (did you mean '",
	    nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?)");
}

/*
 * One setting of a table, that must not have been set before by the same
 * source; set holds where each row was.
 */
static int
set_setting(struct load *load, const struct setting *table, const char *section,
    const struct ucl_node *node, void *base, struct place set[SETTINGS_MAX])
{
	const struct setting *row;
	struct place *place;
	char origin[ORIGIN_MAX];

	if ((row = row_find(table, section, node->key)) == NULL)
		return fail_unknown(load, table, section, node);
	place = &set[row - table];
	if (place->source == load->source)
		return fail(load, node->line, "%s is set already (%s)",
		    row->path, origin_text(place, origin));
	*place = place_here(load, node->line);
	return read_setting(load, row, node, base);
}

static bool
is_block(const struct ucl_node *node)
{
	return strcmp(node->key, "server") == 0 ||
	       strcmp(node->key, "domain") == 0;
}

static int
set_section(struct load *load, const struct ucl_node *section)
{
	const struct ucl_node *node;

	if (section->type != UCL_OBJECT)
		return fail(load, section->line,
		    "%s: a section is expected:"
		    " %s {...}",
		    section->key, section->key);
	for (node = section->first; node != NULL; node = node->next) {
		if (set_setting(load, settings_config, section->key, node,
			load->config, load->set) == -1)
			return -1;
	}
	return 0;
}

static int
set_all(struct load *load, const struct ucl_node *top)
{
	const struct ucl_node *node;
	int ret;

	for (node = top->first; node != NULL; node = node->next) {
		if (is_block(node))
			continue;
		if (is_section(node->key))
			ret = set_section(load, node);
		else
			ret = set_setting(load, settings_config, "", node,
			    load->config, load->set);
		if (ret == -1)
			return -1;
	}
	return 0;
}

/* Where a setting was written; "FILE" without a line for a default. */
static struct place
place_of(const struct load *load, const char *path)
{
	size_t i;

	for (i = 0; settings_config[i].path != NULL; i++) {
		if (strcmp(settings_config[i].path, path) == 0 &&
		    load->set[i].source != NULL)
			return load->set[i];
	}
	return (struct place){load->file, 0};
}

/* Files */

/*
 * Reads a whole file of at most max bytes; a NUL is added.  NULL with errno
 * set, EFBIG past the maximum.
 */
static char *
file_read(const char *path, size_t max, size_t *len)
{
	char *data, *fitting;
	ssize_t n;
	int fd, saved;

	*len = 0;
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return NULL;
	if ((data = malloc(max + 1)) == NULL)
		goto bad;
	while ((n = read(fd, data + *len, max + 1 - *len)) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			goto bad;
		*len += (size_t)n;
		if (*len > max) {
			errno = EFBIG;
			goto bad;
		}
	}
	close(fd);
	data[*len] = '\0';
	fitting = realloc(data, *len + 1);
	return fitting == NULL ? data : fitting;
bad:
	saved = errno;
	free(data);
	close(fd);
	errno = saved;
	return NULL;
}

static bool
has_certificate(const char *pem, size_t len)
{
	static const char plain[] = "-----BEGIN CERTIFICATE-----";
	static const char trusted[] = "-----BEGIN TRUSTED CERTIFICATE-----";

	return memmem(pem, len, plain, sizeof(plain) - 1) != NULL ||
	       memmem(pem, len, trusted, sizeof(trusted) - 1) != NULL;
}

/* Reads a trust file, unless it was read already, into the next free place. */
static int
trust_add(struct load *load, const char *path, const struct place *place)
{
	struct config *config = load->config;
	struct config_trust *trust = &config->trusts[config->trust_count];

	if (config_trust_get(config, path) != NULL)
		return 0;
	if (config->trust_count == CONFIG_TRUST_MAX)
		return fail_place(
		    load, place, "more than %d trust files", CONFIG_TRUST_MAX);
	trust->pem = file_read(path, CONFIG_TRUST_BYTES_MAX, &trust->len);
	if (trust->pem == NULL)
		return fail_place(
		    load, place, "trust: '%s': %s", path, strerror(errno));
	if ((trust->path = strdup(path)) == NULL) {
		free(trust->pem);
		return fail_place(load, place, "out of memory");
	}
	config->trust_count++;
	load->trust_bytes += trust->len;
	if (load->trust_bytes > CONFIG_TRUST_ALL_MAX)
		return fail_place(load, place,
		    "trust files hold more than"
		    " %d bytes together",
		    CONFIG_TRUST_ALL_MAX);
	if (!has_certificate(trust->pem, trust->len))
		return fail_place(
		    load, place, "trust: '%s' has no certificate in PEM", path);
	return 0;
}

/* A file that postern-policy will open: mistyped, it is said here. */
static int
want_readable(struct load *load, const char *setting, const char *path)
{
	struct place place = place_of(load, setting);

	if (path != NULL && access(path, R_OK) == -1)
		return fail_place(load, &place, "%s: '%s': %s", setting, path,
		    strerror(errno));
	return 0;
}

static int
load_files(struct load *load)
{
	struct config *config = load->config;
	struct place place = place_of(load, "trust");

	config->trusts = calloc(CONFIG_TRUST_MAX, sizeof(*config->trusts));
	if (config->trusts == NULL)
		return fail_place(load, &place, "out of memory");
	if (trust_add(load, config->trust, &place) == -1 ||
	    want_readable(load, "dns.root_hints", config->dns.root_hints) == -1)
		return -1;
	return want_readable(
	    load, "dns.trust_anchor", config->dns.trust_anchor);
}

/* Blocks */

/* A kind of block: its key, its label's check, its settings. */
struct kind {
	const char *key;
	value_check *check;
	const struct setting *table;
};

static const struct kind server_kind = {"server", value_label, settings_server};
static const struct kind domain_kind = {
    "domain", value_domain, settings_domain};

/*
 * A level below verify is an exception: what would prove the far end has no
 * use beside it, and nothing but an exception ends.
 */
static int
check_level(
    struct load *load, const struct rule *rule, const struct ucl_node *block)
{
	const char *unused = NULL;

	if (rule->level == LEVEL_VERIFY) {
		if (rule->until != 0)
			return fail(load, block->line,
			    "until: only a level of encrypt or none ends");
		return 0;
	}
	if (rule->name_count > 0)
		unused = "names";
	else if (rule->pin_count > 0)
		unused = "pins";
	else if (rule->trust != NULL)
		unused = "trust";
	else if (rule->auth)
		unused = "auth";
	if (unused != NULL)
		return fail(load, block->line, "%s: of no use at level = %s",
		    unused, settings_level_words[rule->level]);
	return 0;
}

static int
read_block(struct load *load, const struct kind *kind,
    const struct ucl_node *block, struct rule *rule)
{
	/* The label is judged as a setting of the block's name would be. */
	const struct setting label = {
	    .path = kind->key, .type = SETTING_STRING, .check = kind->check};
	const struct ucl_node name = {
	    .type = UCL_STRING, .text = block->key, .line = block->line};
	struct place set[SETTINGS_MAX] = {0}, place;
	const struct ucl_node *node;
	char origin[ORIGIN_MAX];

	place = place_here(load, block->line);
	if ((rule->origin = strdup(origin_text(&place, origin))) == NULL)
		return fail_place(load, &place, "out of memory");
	if (read_string(load, &label, &name, &rule->name) == -1)
		return -1;
	for (node = block->first; node != NULL; node = node->next) {
		if (set_setting(load, kind->table, "", node, rule, set) == -1)
			return -1;
		if (strcmp(node->key, "trust") == 0) {
			place = place_here(load, node->line);
			if (trust_add(load, rule->trust, &place) == -1)
				return -1;
		}
	}
	if (kind == &server_kind && rule->match_count == 0)
		return fail(load, block->line, "match: missing in server '%s'",
		    rule->name);
	return check_level(load, rule, block);
}

/* Blocks of a kind in one source, the count of them added to *count. */
static int
read_blocks(struct load *load, const struct kind *kind,
    const struct ucl_node *top, struct rule *rules, size_t *count)
{
	const struct ucl_node *node, *block;

	for (node = top->first; node != NULL; node = node->next) {
		if (strcmp(node->key, kind->key) != 0)
			continue;
		block = node->first;
		if (node->type != UCL_OBJECT || block == NULL ||
		    block->type != UCL_OBJECT)
			return fail(load, node->line,
			    "%s: a named block is expected: %s \"NAME\" {...}",
			    kind->key, kind->key);
		for (; block != NULL; block = block->next) {
			if (block->type != UCL_OBJECT)
				return fail(load, block->line,
				    "%s: '%s' stands outside a named block",
				    kind->key, block->key);
			if (read_block(load, kind, block, &rules[(*count)++]) ==
			    -1)
				return -1;
		}
	}
	return 0;
}

static size_t
count_blocks(const struct ucl_node *top, const char *key)
{
	const struct ucl_node *node;
	size_t count = 0;

	for (node = top->first; node != NULL; node = node->next) {
		if (strcmp(node->key, key) == 0)
			count += count_nodes(node->first);
	}
	return count;
}

/* What must be told apart, and the block that it stands in. */
struct claim {
	const char *text;
	const struct rule *rule;
};

/* Equal texts come to stand side by side, in the blocks' order. */
static int
claim_compare(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int order = strcmp(x->text, y->text);

	if (order != 0)
		return order;
	return (x->rule > y->rule) - (x->rule < y->rule);
}

static int
check_claims(
    struct load *load, struct claim *claims, size_t count, const char *what)
{
	const struct claim *claim;
	struct place place;

	qsort(claims, count, sizeof(*claims), claim_compare);
	for (claim = claims + 1; claim < claims + count; claim++) {
		if (strcmp(claim[-1].text, claim->text) != 0)
			continue;
		place = (struct place){claim->rule->origin, 0};
		return fail_place(load, &place, "%s '%s' is there already (%s)",
		    what, claim->text, claim[-1].rule->origin);
	}
	return 0;
}

/* No label twice, and no destination in two server blocks. */
static int
check_unique(struct load *load, const struct kind *kind,
    const struct rule *rules, size_t count)
{
	struct place place = {load->file, 0};
	struct claim *claims;
	size_t total = count, i, j, n;
	int ret = -1;

	for (i = 0; i < count; i++)
		total += rules[i].match_count;
	/* Never of no size, for which NULL would be no error. */
	if ((claims = calloc(total + 1, sizeof(*claims))) == NULL)
		return fail_place(load, &place, "out of memory");
	for (n = 0; n < count; n++)
		claims[n] = (struct claim){rules[n].name, &rules[n]};
	if (check_claims(load, claims, n, kind->key) == -1)
		goto out;
	for (n = 0, i = 0; i < count; i++) {
		for (j = 0; j < rules[i].match_count; j++)
			claims[n++] = (struct claim){
			    rules[i].matches[j], &rules[i]};
	}
	ret = check_claims(load, claims, n, "match");
out:
	free(claims);
	return ret;
}

static int
load_blocks(struct load *load, const struct kind *kind,
    struct ucl_node *const tops[SOURCES], struct rule **rules, size_t *count)
{
	struct place place = {load->file, 0};
	size_t want = 0;
	int i;

	for (i = 0; i < SOURCES; i++)
		want += count_blocks(tops[i], kind->key);
	if (want > CONFIG_RULES_MAX)
		return fail_place(load, &place, "more than %d %s blocks",
		    CONFIG_RULES_MAX, kind->key);
	if (want > 0 && (*rules = calloc(want, sizeof(**rules))) == NULL)
		return fail_place(load, &place, "out of memory");
	for (i = 0; i < SOURCES; i++) {
		load->source = i == FROM_FILE ? load->file : command_line;
		if (read_blocks(load, kind, tops[i], *rules, count) == -1)
			return -1;
	}
	return check_unique(load, kind, *rules, *count);
}

/* The whole */

static int
check_interfaces(struct load *load)
{
	const struct config *config = load->config;
	struct place place;

	if (config->mode == CONFIG_GATEWAY && config->interface_count == 0) {
		place = place_of(load, "mode");
		return fail_place(load, &place,
		    "a gateway wants the interfaces that its clients are"
		    " behind: give interfaces, or -i IFACE");
	}
	if (config->mode == CONFIG_LOCAL && config->interface_count > 0) {
		place = place_of(load, "interfaces");
		return fail_place(
		    load, &place, "interfaces: only for mode = gateway");
	}
	return 0;
}

static int
check_numbers(struct load *load)
{
	const struct config *config = load->config;
	struct place place;
	size_t i;

	for (i = 0; i < config->port_count; i++) {
		if (config->ports[i] != config->listen_port)
			continue;
		place = place_of(load, "listen_port");
		return fail_place(load, &place,
		    "listen_port: %u is one of the ports to intercept",
		    config->listen_port);
	}
	if ((config->mark & (config->mark - 1)) != 0) {
		place = place_of(load, "mark");
		return fail_place(load, &place,
		    "mark: 0x%x is not one bit alone", config->mark);
	}
	/* 253 to 255 are the kernel's own: default, main and local. */
	if (config->route_table >= 253 && config->route_table <= 255) {
		place = place_of(load, "route_table");
		return fail_place(load, &place,
		    "route_table: %u is one of the system's own",
		    config->route_table);
	}
	return 0;
}

static void
warn_ended(const struct rule *rules, size_t count, const char *kind)
{
	const struct rule *rule;

	for (rule = rules; rule < rules + count; rule++) {
		if (rule->until != 0 && rule->until <= clock_wall())
			log_warnx("%s: the exception of %s '%s' has ended",
			    rule->origin, kind, rule->name);
	}
}

/* Sources */

/*
 * The file's text.  Where none was asked for and there is none, the empty
 * one: every setting has a default.
 */
static char *
file_text(const char *path, size_t *len, char error[CONFIG_ERROR_MAX])
{
	const char *name = path == NULL ? CONFIG_PATH : path;
	char *text;

	if (strlen(name) >= CONFIG_TEXT_MAX) {
		snprintf(error, CONFIG_ERROR_MAX, "the path is too long");
		return NULL;
	}
	if ((text = file_read(name, CONFIG_FILE_BYTES_MAX, len)) != NULL)
		return text;
	if (path == NULL && errno == ENOENT)
		return strdup("");
	snprintf(error, CONFIG_ERROR_MAX, "%s: %s", name, strerror(errno));
	return NULL;
}

static struct ucl_node *
parse(struct load *load, const char *text, size_t len)
{
	struct ucl_node *top;
	unsigned int line;
	char why[UCL_ERROR_MAX];

	if ((top = ucl_parse(text, len, &line, why)) == NULL)
		fail(load, line, "%s", why);
	return top;
}

static int
load_all(struct load *load, struct ucl_node *const tops[SOURCES])
{
	struct config *config = load->config;

	load->source = load->file;
	if (set_all(load, tops[FROM_FILE]) == -1)
		return -1;
	load->source = command_line;
	if (set_all(load, tops[FROM_COMMAND_LINE]) == -1 ||
	    check_interfaces(load) == -1 || check_numbers(load) == -1 ||
	    load_files(load) == -1 ||
	    load_blocks(load, &server_kind, tops, &config->servers,
		&config->server_count) == -1 ||
	    load_blocks(load, &domain_kind, tops, &config->domains,
		&config->domain_count) == -1)
		return -1;
	warn_ended(config->servers, config->server_count, "server");
	warn_ended(config->domains, config->domain_count, "domain");
	return 0;
}

struct config *
config_load(
    const char *path, const char *overrides, char error[CONFIG_ERROR_MAX])
{
	struct load load = {.error = error};
	struct ucl_node *tops[SOURCES] = {NULL};
	char *text = NULL;
	size_t len;
	int ret = -1;

	if (overrides == NULL)
		overrides = "";
	load.file = path == NULL ? CONFIG_PATH : path;
	if ((text = file_text(path, &len, error)) == NULL)
		goto out;
	load.source = load.file;
	if ((tops[FROM_FILE] = parse(&load, text, len)) == NULL)
		goto out;
	load.source = command_line;
	tops[FROM_COMMAND_LINE] = parse(&load, overrides, strlen(overrides));
	if (tops[FROM_COMMAND_LINE] == NULL)
		goto out;
	if ((load.config = config_new()) == NULL) {
		strlcpy(error, "out of memory", CONFIG_ERROR_MAX);
		goto out;
	}
	ret = load_all(&load, tops);
out:
	free(text);
	ucl_node_free(tops[FROM_FILE]);
	ucl_node_free(tops[FROM_COMMAND_LINE]);
	if (ret == -1) {
		config_free(load.config);
		return NULL;
	}
	return load.config;
}
