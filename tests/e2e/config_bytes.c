/* SPDX-License-Identifier: ISC */
/*
 * config_bytes FILE: writes to stdout the bytes that `postern run` would hand
 * its children for that configuration, for tests that play the parent.
 */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/config.h"
#include "proxy/config_file.h"

int
main(int argc, char *argv[])
{
	struct config *config;
	char error[CONFIG_ERROR_MAX], bytes[4096];
	ssize_t n;
	int fd;

	if (argc != 2)
		return EXIT_FAILURE;
	if ((config = config_load(argv[1], NULL, error)) == NULL) {
		fprintf(stderr, "%s\n", error);
		return EXIT_FAILURE;
	}
	if ((fd = config_to_fd(config)) == -1 || lseek(fd, 0, SEEK_SET) == -1)
		return EXIT_FAILURE;
	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		fwrite(bytes, 1, (size_t)n, stdout);
	config_free(config);
	close(fd);
	return n == 0 && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
