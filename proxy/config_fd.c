/* SPDX-License-Identifier: ISC */
/*
 * The form in which the parent hands the settings to a child.  It is private
 * to one build: its head holds a fingerprint of the tables of settings, so
 * that a child of another version refuses it.  Numbers travel in the
 * machine's own order.
 */

#include "proxy/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/config_settings.h"

#define MAGIC    "postern settings"
#define NO_BYTES UINT32_MAX /* the length of a string that is not there */

/* Raw bytes of these are written: they must hold no padding. */
_Static_assert(sizeof(struct address) == 24, "struct address has no holes");
_Static_assert(sizeof(enum config_mode) == sizeof(uint32_t), "enums are 32");
_Static_assert(sizeof(enum level) == sizeof(uint32_t), "enums are 32");

/* FNV-1a. */
static uint32_t
form_text(uint32_t hash, const char *text)
{
	for (; *text != '\0'; text++)
		hash = (hash ^ (uint8_t)*text) * 16777619;
	return hash;
}

static uint32_t
form_table(uint32_t hash, const struct setting *row)
{
	char text[128];
	size_t i;

	for (; row->path != NULL; row++) {
		snprintf(text, sizeof(text), ";%s %d %zu %zu", row->path,
		    (int)row->type, row->offset, row->count_offset);
		hash = form_text(hash, text);
		for (i = 0; row->words != NULL && row->words[i] != NULL; i++)
			hash = form_text(hash, row->words[i]);
	}
	return hash;
}

/* What tells this version's form from every other's. */
static uint32_t
form(void)
{
	uint32_t hash = form_text(2166136261, POSTERN_VERSION);

	hash = form_table(form_table(hash, settings_config), settings_server);
	return form_table(hash, settings_client);
}

/* Writing.  A FILE keeps its error until it is closed. */

static void
put_u32(FILE *fp, uint32_t value)
{
	fwrite(&value, sizeof(value), 1, fp);
}

static void
put_bytes(FILE *fp, const void *data, size_t len)
{
	if (data == NULL) {
		put_u32(fp, NO_BYTES);
		return;
	}
	put_u32(fp, (uint32_t)len);
	fwrite(data, 1, len, fp);
}

static void
put_string(FILE *fp, const char *text)
{
	put_bytes(fp, text, text == NULL ? 0 : strlen(text));
}

static void
put_setting(FILE *fp, const struct setting *row, const void *base)
{
	const uint8_t *at = (const uint8_t *)base + row->offset;
	const size_t *count;
	size_t i;

	count = (const size_t *)((const uint8_t *)base + row->count_offset);
	switch (row->type) {
	case SETTING_BOOL:
		put_u32(fp, *(const bool *)at);
		return;
	case SETTING_PORT:
		put_u32(fp, *(const uint16_t *)at);
		return;
	case SETTING_WORD:
	case SETTING_NUMBER:
	case SETTING_SECONDS:
		put_u32(fp, *(const uint32_t *)at);
		return;
	case SETTING_UNTIL:
		fwrite(at, sizeof(int64_t), 1, fp);
		return;
	case SETTING_STRING:
		put_string(fp, *(char *const *)at);
		return;
	case SETTING_STRINGS:
		put_u32(fp, (uint32_t)*count);
		for (i = 0; i < *count; i++)
			put_string(fp, (*(char *const *const *)at)[i]);
		return;
	case SETTING_PORTS:
		put_u32(fp, (uint32_t)*count);
		fwrite(at, sizeof(uint16_t), *count, fp);
		return;
	case SETTING_ADDRESSES:
		put_u32(fp, (uint32_t)*count);
		fwrite(at, sizeof(struct address), *count, fp);
		return;
	case SETTING_PINS:
		put_u32(fp, (uint32_t)*count);
		if (*count > 0)
			fwrite(*(uint8_t(*const *)[32])at, 32, *count, fp);
		return;
	}
}

static void
put_settings(FILE *fp, const struct setting *row, const void *base)
{
	for (; row->path != NULL; row++)
		put_setting(fp, row, base);
}

static void
put_rules(FILE *fp, const struct rule *rules, size_t count)
{
	size_t i;

	put_u32(fp, (uint32_t)count);
	for (i = 0; i < count; i++) {
		put_string(fp, rules[i].name);
		put_string(fp, rules[i].origin);
		put_settings(fp, settings_server, &rules[i]);
	}
}

static void
put_admission(FILE *fp, const struct admission_rule *rules, size_t count)
{
	size_t i;

	put_u32(fp, (uint32_t)count);
	for (i = 0; i < count; i++) {
		put_string(fp, rules[i].name);
		put_string(fp, rules[i].origin);
		put_settings(fp, settings_client, &rules[i]);
	}
}

static int
write_all(const struct config *config, int fd)
{
	FILE *fp;
	size_t i;

	if ((fp = fdopen(fd, "w")) == NULL) {
		close(fd);
		return -1;
	}
	fwrite(MAGIC, sizeof(MAGIC), 1, fp);
	put_u32(fp, form());
	put_settings(fp, settings_config, config);
	put_rules(fp, config->servers, config->server_count);
	put_rules(fp, config->domains, config->domain_count);
	put_admission(fp, config->clients, config->client_count);
	put_admission(fp, config->destinations, config->destination_count);
	put_u32(fp, (uint32_t)config->trust_count);
	for (i = 0; i < config->trust_count; i++) {
		put_string(fp, config->trusts[i].path);
		put_bytes(fp, config->trusts[i].pem, config->trusts[i].len);
	}
	if (ferror(fp) != 0 || fflush(fp) == EOF) {
		fclose(fp);
		errno = EIO;
		return -1;
	}
	return fclose(fp) == EOF ? -1 : 0;
}

int
config_to_fd(const struct config *config)
{
	const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW |
	                  F_SEAL_WRITE;
	int fd, copy, saved;

	fd = memfd_create("postern-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd == -1)
		return -1;
	if ((copy = fcntl(fd, F_DUPFD_CLOEXEC, 0)) == -1 ||
	    write_all(config, copy) == -1 ||
	    fcntl(fd, F_ADD_SEALS, seals) == -1) {
		saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

/* Reading.  The first error stays, and every get then yields nothing. */

struct reader {
	const uint8_t *data;
	size_t left;
	int error; /* errno; 0: none yet */
};

static void
reader_fail(struct reader *reader, int error)
{
	if (reader->error == 0)
		reader->error = error;
	reader->left = 0;
}

static bool
get_raw(struct reader *reader, void *out, size_t len)
{
	if (reader->left < len) {
		reader_fail(reader, EPROTO);
		return false;
	}
	if (len > 0)
		memcpy(out, reader->data, len);
	reader->data += len;
	reader->left -= len;
	return true;
}

/* A number from min to max; anything else is an error and yields min. */
static uint32_t
get_u32(struct reader *reader, uint32_t min, uint32_t max)
{
	uint32_t value;

	if (!get_raw(reader, &value, sizeof(value)))
		return min;
	if (value < min || value > max) {
		reader_fail(reader, EPROTO);
		return min;
	}
	return value;
}

/* Replaces *out by a NUL-ended copy, or by NULL where there was none. */
static size_t
get_bytes(struct reader *reader, size_t max, char **out)
{
	uint32_t len = get_u32(reader, 0, UINT32_MAX);

	free(*out);
	*out = NULL;
	if (len == NO_BYTES || reader->error != 0)
		return 0;
	if (len > max || len > reader->left) {
		reader_fail(reader, EPROTO);
		return 0;
	}
	if ((*out = malloc((size_t)len + 1)) == NULL) {
		reader_fail(reader, ENOMEM);
		return 0;
	}
	get_raw(reader, *out, len);
	(*out)[len] = '\0';
	return len;
}

static void
get_string(struct reader *reader, size_t max, char **out)
{
	size_t len = get_bytes(reader, max, out);

	if (*out != NULL && strlen(*out) != len)
		reader_fail(reader, EPROTO);
}

/* A string that cannot be absent. */
static void
must_get_string(struct reader *reader, size_t max, char **out)
{
	get_string(reader, max, out);
	if (*out == NULL)
		reader_fail(reader, EPROTO);
}

/*
 * Memory for a list whose length the peer chose: no element takes less than
 * one byte on the wire, so a length past what is left is a lie.
 */
static void *
get_list(struct reader *reader, uint32_t max, size_t size, size_t *count)
{
	uint32_t want = get_u32(reader, 0, max);
	void *list = NULL;

	*count = 0;
	if (want > reader->left)
		reader_fail(reader, EPROTO);
	else if (want > 0 && (list = calloc(want, size)) == NULL)
		reader_fail(reader, ENOMEM);
	else
		*count = want;
	return list;
}

static void
get_strings(struct reader *reader, uint32_t max, char ***out, size_t *count)
{
	size_t i;

	*out = get_list(reader, max, sizeof(**out), count);
	for (i = 0; i < *count; i++)
		must_get_string(reader, CONFIG_TEXT_MAX - 1, &(*out)[i]);
}

static uint32_t
word_count(const char *const *words)
{
	uint32_t count = 0;

	while (words[count] != NULL)
		count++;
	return count;
}

static void
get_addresses(struct reader *reader, struct address *out, size_t count)
{
	size_t i;

	get_raw(reader, out, count * sizeof(*out));
	for (i = 0; i < count; i++) {
		if (address_ip_len(&out[i]) == 0)
			reader_fail(reader, EPROTO);
	}
}

static void
get_setting(struct reader *reader, const struct setting *row, void *base)
{
	uint8_t *at = (uint8_t *)base + row->offset;
	size_t *count = (size_t *)((uint8_t *)base + row->count_offset);
	uint8_t(**pins)[32];

	switch (row->type) {
	case SETTING_BOOL:
		*(bool *)at = get_u32(reader, 0, 1) == 1;
		return;
	case SETTING_WORD:
		*(uint32_t *)at = get_u32(
		    reader, 0, word_count(row->words) - 1);
		return;
	case SETTING_PORT:
		*(uint16_t *)at = (uint16_t)get_u32(reader, row->min, row->max);
		return;
	case SETTING_NUMBER:
	case SETTING_SECONDS:
		*(uint32_t *)at = get_u32(reader, row->min, row->max);
		return;
	case SETTING_UNTIL:
		get_raw(reader, at, sizeof(int64_t));
		return;
	case SETTING_STRING:
		get_string(reader, CONFIG_TEXT_MAX - 1, (char **)at);
		return;
	case SETTING_STRINGS:
		get_strings(reader, row->max, (char ***)at, count);
		return;
	case SETTING_PORTS:
		*count = get_u32(reader, 1, row->max);
		get_raw(reader, at, *count * sizeof(uint16_t));
		return;
	case SETTING_ADDRESSES:
		*count = get_u32(reader, 0, row->max);
		get_addresses(reader, (struct address *)at, *count);
		return;
	case SETTING_PINS:
		pins = (uint8_t(**)[32])at;
		*pins = get_list(reader, row->max, sizeof(**pins), count);
		get_raw(reader, *pins, *count * sizeof(**pins));
		return;
	}
}

static void
get_settings(struct reader *reader, const struct setting *row, void *base)
{
	for (; row->path != NULL; row++)
		get_setting(reader, row, base);
}

static void
get_rules(struct reader *reader, struct rule **out, size_t *count)
{
	size_t i;

	*out = get_list(reader, CONFIG_RULES_MAX, sizeof(**out), count);
	for (i = 0; i < *count; i++) {
		must_get_string(reader, CONFIG_TEXT_MAX - 1, &(*out)[i].name);
		must_get_string(
		    reader, CONFIG_TEXT_MAX + 16, &(*out)[i].origin);
		get_settings(reader, settings_server, &(*out)[i]);
	}
}

static void
get_admission(struct reader *reader, struct admission_rule **out, size_t *count)
{
	size_t i;

	*out = get_list(reader, CONFIG_RULES_MAX, sizeof(**out), count);
	for (i = 0; i < *count; i++) {
		must_get_string(reader, CONFIG_TEXT_MAX - 1, &(*out)[i].name);
		must_get_string(
		    reader, CONFIG_TEXT_MAX + 16, &(*out)[i].origin);
		get_settings(reader, settings_client, &(*out)[i]);
	}
}

static void
get_trusts(struct reader *reader, struct config *config)
{
	struct config_trust *trust;
	size_t i;

	config->trusts = get_list(reader, CONFIG_TRUST_MAX,
	    sizeof(*config->trusts), &config->trust_count);
	for (i = 0; i < config->trust_count; i++) {
		trust = &config->trusts[i];
		must_get_string(reader, CONFIG_TEXT_MAX - 1, &trust->path);
		trust->len = get_bytes(
		    reader, CONFIG_TRUST_BYTES_MAX, &trust->pem);
		if (trust->pem == NULL)
			reader_fail(reader, EPROTO);
	}
}

static struct config *
decode(const uint8_t *data, size_t len)
{
	struct reader reader = {.data = data, .left = len};
	struct config *config;
	char magic[sizeof(MAGIC)];

	if (!get_raw(&reader, magic, sizeof(magic)) ||
	    memcmp(magic, MAGIC, sizeof(MAGIC)) != 0 ||
	    get_u32(&reader, 0, UINT32_MAX) != form()) {
		errno = EPROTO;
		return NULL;
	}
	if ((config = config_new()) == NULL)
		return NULL;
	get_settings(&reader, settings_config, config);
	get_rules(&reader, &config->servers, &config->server_count);
	get_rules(&reader, &config->domains, &config->domain_count);
	get_admission(&reader, &config->clients, &config->client_count);
	get_admission(
	    &reader, &config->destinations, &config->destination_count);
	get_trusts(&reader, config);
	if (config->user == NULL || config->trust == NULL ||
	    config->dns.trust_anchor == NULL ||
	    config->state_directory == NULL || reader.left > 0)
		reader_fail(&reader, EPROTO);
	if (reader.error != 0) {
		config_free(config);
		errno = reader.error;
		return NULL;
	}
	return config;
}

struct config *
config_from_fd(int fd)
{
	struct config *config = NULL;
	struct stat st;
	uint8_t *data;
	size_t len, done = 0;
	ssize_t n;
	int saved;

	if (fstat(fd, &st) == -1)
		return NULL;
	if (st.st_size <= 0 || st.st_size > CONFIG_FD_BYTES_MAX) {
		errno = EPROTO;
		return NULL;
	}
	len = (size_t)st.st_size;
	if ((data = malloc(len)) == NULL)
		return NULL;
	while (done < len) {
		n = pread(fd, data + done, len - done, (off_t)done);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = EPROTO;
			goto out;
		}
		done += (size_t)n;
	}
	config = decode(data, len);
out:
	saved = errno;
	free(data);
	errno = saved;
	return config;
}
