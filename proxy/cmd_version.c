/* SPDX-License-Identifier: ISC */
/*
 * postern version
 */

#include <stdio.h>
#include <string.h>

#include "proxy/cmd.h"

int
cmd_version(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		puts("usage: postern version");
		return CMD_OK;
	}
	if (argc > 1) {
		fputs("usage: postern version\n", stderr);
		return CMD_USAGE;
	}
	puts("postern " POSTERN_VERSION);
	return CMD_OK;
}
