/* SPDX-License-Identifier: ISC */
/*
 * Settings as text, and the bytes that a child is handed.  The first byte of
 * the input says which of the two the rest is.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proxy/base/clock.h"
#include "proxy/config.h"
#include "proxy/config_file.h"

#define PATH_SIZE 64

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* Whatever was read can be handed on, and is then read again. */
static void
hand_on(const struct config *config)
{
	struct config *again;
	int fd;

	if ((fd = config_to_fd(config)) == -1 ||
	    (again = config_from_fd(fd)) == NULL)
		abort();
	config_free(again);
	close(fd);
}

/* A memory file; out is its path for as long as this process lives. */
static void
make_file(const char *text, char out[PATH_SIZE])
{
	int fd;

	if ((fd = memfd_create("fuzz", MFD_CLOEXEC)) == -1 ||
	    write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		abort();
	snprintf(out, PATH_SIZE, "/proc/self/fd/%d", fd);
}

/*
 * The text is judged as the command line's settings are, over a file that
 * names a small trust file.  The fuzzer shall not find devices without an end.
 */
static void
read_text(const uint8_t *data, size_t size)
{
	static char file[PATH_SIZE];
	char trust[PATH_SIZE], settings[128];
	char error[CONFIG_ERROR_MAX], *text;
	struct config *config;

	if (file[0] == '\0') {
		make_file("-----BEGIN CERTIFICATE-----\n", trust);
		snprintf(settings, sizeof(settings), "trust = %s", trust);
		make_file(settings, file);
	}
	if ((text = strndup((const char *)data, size)) == NULL)
		return;
	if (strstr(text, "/dev") == NULL && strstr(text, "/proc") == NULL &&
	    (config = config_load(file, text, error)) != NULL) {
		hand_on(config);
		config_free(config);
	}
	free(text);
}

static void
read_bytes(const uint8_t *data, size_t size)
{
	struct config *config;
	int fd;

	if ((fd = memfd_create("fuzz", MFD_CLOEXEC)) == -1)
		return;
	if (write(fd, data, size) == (ssize_t)size &&
	    (config = config_from_fd(fd)) != NULL) {
		hand_on(config);
		config_free(config);
	}
	close(fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* At this time no exception has ended, so nothing is logged. */
	clock_fake(0, 0);
	if (size == 0)
		return 0;
	if (data[0] % 8 != 0)
		read_text(data + 1, size - 1);
	else
		read_bytes(data + 1, size - 1);
	return 0;
}
