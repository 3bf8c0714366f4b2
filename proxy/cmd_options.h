/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_CMD_OPTIONS_H
#define POSTERN_CMD_OPTIONS_H

/*
 * The options that run, check and rules share: which configuration file, and
 * the settings that the command line lays over it.
 *
 *	static const struct option longs[] = {
 *		OPTIONS_COMMON,
 *		{"help", no_argument, NULL, 'h'},
 *		{NULL, 0, NULL, 0},
 *	};
 *	struct options options = {0};
 *
 *	while ((ch = getopt_long(argc, argv, OPTIONS_SHORT "h", longs,
 *	    NULL)) != -1) {
 *		switch (options_common(&options, ch, optarg)) {
 *		case OPTIONS_TAKEN:
 *			continue;
 *		case OPTIONS_BAD:
 *			return CMD_USAGE;
 *		case OPTIONS_OTHER:
 *			break;
 *		}
 *		...its own...
 *	}
 *	config = options_load(&options, error);
 */

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

#include "proxy/cmd.h"
#include "proxy/config.h"
#include "proxy/config_file.h"
#include "proxy/smtp/domain.h"

#define OPTIONS_SHORT    "c:i:o:"
#define OPTIONS_MODE     256 /* what getopt_long returns for --mode */
#define OPTIONS_TEXT_MAX 4096 /* of all -o together */
/* clang-format off */
#define OPTIONS_COMMON						\
	{"config", required_argument, NULL, 'c'},		\
	{"interface", required_argument, NULL, 'i'},		\
	{"mode", required_argument, NULL, OPTIONS_MODE},	\
	{"option", required_argument, NULL, 'o'}
/* The lines of a --help that tell them. */
#define OPTIONS_HELP							\
	"  -c, --config FILE       read FILE, not " CONFIG_PATH "\n"	\
	"  -i, --interface IFACE   where clients are; may be repeated\n"	\
	"      --mode MODE         gateway, local or bridge\n"		\
	"  -o, --option SETTING    'name = value', as in the file\n"
/* clang-format on */

/* Zero it before use.  Strings are borrowed from argv. */
struct options {
	const char *path;
	const char *mode;
	const char *interfaces[CONFIG_INTERFACES_MAX];
	size_t interface_count;
	char text[OPTIONS_TEXT_MAX]; /* the -o lines */
};

enum options_result {
	OPTIONS_TAKEN, /* it was one of the common options */
	OPTIONS_OTHER, /* it was not: the command's own business */
	OPTIONS_BAD, /* it was, and wrong; said so on stderr */
};

/*
 * options_complain says on stderr what is wrong with an option's value, or
 * with an operand ("" for the option), and returns -1.
 */
int options_complain(const char *option, const char *value, const char *why);

/*
 * options_domain reads a name as it would come in a recipient's address, in
 * its ASCII form; 0, or -1 when it has complained.
 */
int options_domain(
    const char *option, const char *value, char out[DOMAIN_ASCII_MAX]);

/* options_common judges what getopt_long returned, with its optarg. */
enum options_result
options_common(struct options *, int ch, const char *argument);

/*
 * options_read takes the options of a command that has these and --help only;
 * optind is then at its operands.  Returns false where the command is over,
 * by --help or a mistake that was said on stderr, with *code to exit with.
 */
bool options_read(struct options *, int argc, char **argv, const char *usage,
    const char *help, enum cmd_exit *code);

/*
 * options_overrides writes the settings as the lines that config_load takes;
 * the caller frees them.  NULL: ENOMEM.
 */
char *options_overrides(const struct options *);

/* options_load is config_load with these options; may be called again. */
struct config *
options_load(const struct options *, char error[CONFIG_ERROR_MAX]);
/* options_glean is config_glean with them. */
struct config *options_glean(const struct options *, bool *knows_mode);

#endif
