/* SPDX-License-Identifier: ISC */
/*
 * The files that config_load reads.  Whether a trust file's certificates are
 * any good is left to certs/store.c; a file of another kind is told here,
 * with the setting that names it.
 */

#include "proxy/config_load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_ROOM 16384 /* for a file, before its size is known */

/* Doubles what data has room for, up to max bytes and one more. */
static bool
grow(char **data, size_t *room, size_t max)
{
	char *larger;

	*room = *room == 0 ? FIRST_ROOM : *room * 2;
	if (*room > max + 1)
		*room = max + 1;
	if ((larger = realloc(*data, *room)) == NULL)
		return false;
	*data = larger;
	return true;
}

char *
load_read_file(const char *path, size_t max, size_t *len)
{
	char *data = NULL;
	size_t room = 0;
	ssize_t n;
	int fd, saved;

	*len = 0;
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return NULL;
	do {
		if (*len == room && !grow(&data, &room, max))
			goto bad;
		n = read(fd, data + *len, room - *len);
		if (n == -1 && errno != EINTR)
			goto bad;
		*len += n > 0 ? (size_t)n : 0;
		if (*len > max) {
			errno = EFBIG;
			goto bad;
		}
	} while (n != 0);
	close(fd);
	data[*len] = '\0';
	return data;
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
	static const char begin[] = "-----BEGIN CERTIFICATE-----";

	return memmem(pem, len, begin, sizeof(begin) - 1) != NULL;
}

int
load_trust(struct load *load, const char *path, const struct place *place)
{
	struct config *config = load->config;
	struct config_trust *trust = &config->trusts[config->trust_count];

	if (config_trust_get(config, path) != NULL)
		return 0;
	if (config->trust_count == CONFIG_TRUST_MAX)
		return load_fail_at(
		    load, place, "more than %d trust files", CONFIG_TRUST_MAX);
	trust->pem = load_read_file(path, CONFIG_TRUST_BYTES_MAX, &trust->len);
	if (trust->pem == NULL)
		return load_fail_at(
		    load, place, "trust: '%s': %s", path, strerror(errno));
	if ((trust->path = strdup(path)) == NULL) {
		free(trust->pem);
		return load_fail_at(load, place, "out of memory");
	}
	config->trust_count++;
	load->trust_bytes += trust->len;
	if (load->trust_bytes > CONFIG_TRUST_ALL_MAX)
		return load_fail_at(load, place,
		    "trust files of more than %u bytes together",
		    CONFIG_TRUST_ALL_MAX);
	if (!has_certificate(trust->pem, trust->len))
		return load_fail_at(
		    load, place, "trust: '%s' has no certificate in PEM", path);
	return 0;
}
