/* SPDX-License-Identifier: ISC */
/*
 * postern run: the options of a start.  The rest is the parent's.
 */

#include <stdio.h>

#include "proxy/cmd.h"
#include "proxy/cmd_options.h"
#include "proxy/parent.h"

static const char usage[] =
    "usage: postern run [-f] [-c FILE] [-i IFACE]... [--mode MODE]\n"
    "                   [-o SETTING]... [--no-rules]\n";

static const char help[] =
    "\n"
    "Puts the rules in place, then relays every connection they lead here.\n"
    "SIGHUP reloads; SIGTERM finishes what is in flight, twice does not.\n"
    "The rules stay when it ends (keep_rules), so that the road stays closed;\n"
    "`postern rules remove` opens it.\n"
    "\n" OPTIONS_HELP
    "  -f, --foreground        log to stderr, whatever the file says; run\n"
    "                          never leaves the foreground, with or without\n"
    "      --no-rules          somebody else manages the rules\n"
    "      --help              this text\n"
    "\n"
    "Ends with 0 when it was stopped, 1 when it could not start, 2 when the\n"
    "command line or the configuration is wrong.\n";

#define OPTION_NO_RULES (OPTIONS_MODE + 1)

int
cmd_run(int argc, char **argv)
{
	static const struct option longs[] = {
	    OPTIONS_COMMON,
	    {"foreground", no_argument, NULL, 'f'},
	    {"no-rules", no_argument, NULL, OPTION_NO_RULES},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	struct options options = {0};
	struct parent_options parent = {.options = &options};
	int ch;

	while ((ch = getopt_long(
		    argc, argv, OPTIONS_SHORT "fh", longs, NULL)) != -1) {
		switch (options_common(&options, ch, optarg)) {
		case OPTIONS_TAKEN:
			continue;
		case OPTIONS_BAD:
			return CMD_USAGE;
		case OPTIONS_OTHER:
			break;
		}
		switch (ch) {
		case 'f':
			parent.is_foreground = true;
			break;
		case OPTION_NO_RULES:
			parent.without_rules = true;
			break;
		case 'h':
			printf("%s%s", usage, help);
			return CMD_OK;
		default:
			fputs(usage, stderr);
			return CMD_USAGE;
		}
	}
	if (optind != argc) {
		fputs(usage, stderr);
		return CMD_USAGE;
	}
	return parent_run(&parent);
}
