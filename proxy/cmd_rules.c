/* SPDX-License-Identifier: ISC */
/*
 * postern rules: the packet rules by hand, for a look, for a container's
 * start, and to open the road again.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netfilter/rules.h"
#include "proxy/cmd.h"
#include "proxy/cmd_options.h"

static const char usage[] =
    "usage: postern rules show|apply|remove [-c FILE] [-i IFACE]...\n"
    "                     [--mode MODE] [-o SETTING]...\n";

static const char help[] =
    "\n"
    "  show      print what apply would load, for this user on this host\n"
    "  apply     close the road: seize connections for postern, refuse what\n"
    "            it does not take; again and again with the same result\n"
    "  remove    open the road: take rules and routing away\n"
    "\n" OPTIONS_HELP "      --help              this text\n"
    "\n"
    "Ends with 0 when it was done, 1 when it could not be, 2 when the command\n"
    "line or the configuration is wrong.  apply and remove need "
    "CAP_NET_ADMIN.\n";

/* For show and apply; removing needs no configuration. */
static struct config *
load(const struct options *options)
{
	char error[CONFIG_ERROR_MAX];
	struct config *config;

	if ((config = options_load(options, error)) == NULL)
		fprintf(stderr, "postern: %s\n", error);
	return config;
}

static enum cmd_exit
failed(const char *error)
{
	fprintf(stderr, "postern: rules: %s\n", error);
	return CMD_FAILED;
}

static enum cmd_exit
show(const struct options *options)
{
	char error[RULES_ERROR_MAX];
	struct config *config;
	char *text;

	if ((config = load(options)) == NULL)
		return CMD_USAGE;
	text = rules_text_here(config, error);
	config_free(config);
	if (text == NULL)
		return failed(error);
	fputs(text, stdout);
	free(text);
	if (fflush(stdout) == EOF)
		return failed("cannot write them");
	return CMD_OK;
}

static enum cmd_exit
apply(const struct options *options)
{
	char error[RULES_ERROR_MAX], gate[RULES_ERROR_MAX] = "";
	struct config *config;
	int r;

	if ((config = load(options)) == NULL)
		return CMD_USAGE;
	r = rules_apply(config, error);
	if (r == 0 && rules_have_gate(config, gate))
		printf("first packets go to postern-gate by %s\n", gate);
	config_free(config);
	if (r != 0)
		return failed(error);
	if (error[0] != '\0')
		fprintf(stderr, "postern: rules: %s\n", error);
	return CMD_OK;
}

static enum cmd_exit
remove_all(const struct options *options)
{
	char error[RULES_ERROR_MAX];

	(void)options;
	return rules_remove(error) == -1 ? failed(error) : CMD_OK;
}

static const struct verb {
	const char *name;
	enum cmd_exit (*run)(const struct options *);
} verbs[] = {
    {"show", show},
    {"apply", apply},
    {"remove", remove_all},
};

int
cmd_rules(int argc, char **argv)
{
	struct options options = {0};
	enum cmd_exit code;
	size_t i;

	if (!options_read(&options, argc, argv, usage, help, &code))
		return code;
	for (i = 0; optind == argc - 1 && i < sizeof(verbs) / sizeof(verbs[0]);
	     i++)
		if (strcmp(argv[optind], verbs[i].name) == 0)
			return verbs[i].run(&options);
	fputs(usage, stderr);
	return CMD_USAGE;
}
