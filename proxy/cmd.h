/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_CMD_H
#define POSTERN_CMD_H

/*
 * The command line: one function a verb.  Each is called with argv[0] the
 * verb, does its own getopt_long (which starts afresh), and returns the exit
 * code of the program.
 */

enum cmd_exit {
	CMD_OK = 0,
	CMD_FAILED = 1, /* refused, or something went wrong on the way */
	CMD_USAGE = 2, /* wrong usage, unreadable input or configuration */
};

int cmd_run(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_rules(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_observed(int argc, char **argv);
int cmd_probe(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_version(int argc, char **argv);

#endif
