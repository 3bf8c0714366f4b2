/* SPDX-License-Identifier: ISC */
/*
 * Settings as text, and the bytes that a child is handed.  The first byte of
 * the input says which of the two the rest is.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/config.h"
#include "proxy/config_file.h"

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

/*
 * The text is judged as the command line's settings are, but for paths: the
 * fuzzer would find devices that never end.
 */
static void
read_text(const uint8_t *data, size_t size)
{
	char error[CONFIG_ERROR_MAX], *text;
	struct config *config;

	if ((text = strndup((const char *)data, size)) == NULL)
		return;
	if (strstr(text, "/") == NULL &&
	    (config = config_load("/dev/null", text, error)) != NULL) {
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
	static int is_ready;

	if (!is_ready) {
		log_init("fuzz", LOG_TO_SYSLOG, LOG_FORMAT_TEXT);
		is_ready = 1;
	}
	if (size == 0)
		return 0;
	if (data[0] % 8 != 0)
		read_text(data + 1, size - 1);
	else
		read_bytes(data + 1, size - 1);
	return 0;
}
