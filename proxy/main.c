/* SPDX-License-Identifier: ISC */
/*
 * The command line's first word.  What each command does, and what its options
 * are, is told by the command itself.
 */

#include <stdio.h>
#include <string.h>

#include "proxy/base/log.h"
#include "proxy/cmd.h"
#include "proxy/title.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
    {"run", cmd_run, "guard the road until told to stop"},
    {"check", cmd_check, "read the configuration and say what is wrong"},
    {"rules", cmd_rules, "show, apply or remove the packet rules"},
    {"status", cmd_status, "say whether it serves and the rules stand"},
    {"observed", cmd_observed, "list what would be refused once enforced"},
    {"probe", cmd_probe, "show what would happen to mail for a domain"},
    {"doctor", cmd_doctor, "say whether all is well on this machine"},
    {"verify", cmd_verify, "judge a certificate chain from a file"},
    {"version", cmd_version, "say which version this is"},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void
print_help(FILE *out)
{
	fputs("usage: postern COMMAND [OPTION]...\n\n", out);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(out, "  %-10s%s\n", commands[i].name, commands[i].help);
	fputs(
	    "\n`postern COMMAND --help` tells a command's options; postern(8) "
	    "and\npostern.conf(5) tell the rest.\n",
	    out);
}

int
main(int argc, char **argv)
{
	title_init(argc, argv);
	log_init("postern", LOG_TO_AUTO, LOG_FORMAT_TEXT);
	if (argc < 2) {
		print_help(stderr);
		return CMD_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_help(stdout);
		return CMD_OK;
	}
	if (strcmp(argv[1], "--version") == 0)
		return cmd_version(1, argv);
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr,
	    "postern: there is no command \"%s\"; see "
	    "`postern --help`\n",
	    argv[1]);
	return CMD_USAGE;
}
