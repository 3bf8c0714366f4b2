/* SPDX-License-Identifier: ISC */
/*
 * Turns the shared options into a path and lines of settings.  Values of -i
 * and --mode are checked here before they are written into such a line, so
 * that none of them can smuggle in a second setting.
 */

#include "proxy/cmd_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/config_settings.h"
#include "proxy/config_value.h"
#include "proxy/smtp/command.h"

static enum options_result
bad(const char *option, const char *argument, const char *why)
{
	fprintf(stderr, "postern: %s %s: %s\n", option, argument, why);
	return OPTIONS_BAD;
}

static enum options_result
add_interface(struct options *options, const char *argument)
{
	char name[CONFIG_TEXT_MAX];
	const char *why;

	if ((why = value_interface(argument, name)) != NULL)
		return bad("-i", argument, why);
	if (options->interface_count == CONFIG_INTERFACES_MAX)
		return bad("-i", argument, "too many interfaces");
	options->interfaces[options->interface_count++] = argument;
	return OPTIONS_TAKEN;
}

static enum options_result
add_text(struct options *options, const char *argument)
{
	if (strlcat(options->text, argument, OPTIONS_TEXT_MAX) >=
		OPTIONS_TEXT_MAX ||
	    strlcat(options->text, "\n", OPTIONS_TEXT_MAX) >= OPTIONS_TEXT_MAX)
		return bad("-o", argument, "too many settings");
	return OPTIONS_TAKEN;
}

static enum options_result
set_mode(struct options *options, const char *argument)
{
	size_t i;

	for (i = 0; settings_mode_words[i] != NULL; i++) {
		if (strcmp(argument, settings_mode_words[i]) != 0)
			continue;
		options->mode = argument;
		return OPTIONS_TAKEN;
	}
	return bad("--mode", argument, "must be gateway, local or bridge");
}

int
options_complain(const char *option, const char *value, const char *why)
{
	fprintf(stderr, "postern: %s%s%s: %s\n", option,
	    option[0] == '\0' || value[0] == '\0' ? "" : " ", value, why);
	return -1;
}

int
options_domain(
    const char *option, const char *value, char out[DOMAIN_ASCII_MAX])
{
	const struct path path = {
	    .domain_kind = DOMAIN_NAME,
	    .domain = {value, strlen(value)},
	};

	if (path.domain.len <= DOMAIN_MAX &&
	    command_domain_ascii(&path, out) == 0)
		return 0;
	return options_complain(option, value, "is no domain name");
}

enum options_result
options_common(struct options *options, int ch, const char *argument)
{
	switch (ch) {
	case 'c':
		options->path = argument;
		return OPTIONS_TAKEN;
	case 'i':
		return add_interface(options, argument);
	case 'o':
		return add_text(options, argument);
	case OPTIONS_MODE:
		return set_mode(options, argument);
	default:
		return OPTIONS_OTHER;
	}
}

bool
options_read(struct options *options, int argc, char **argv, const char *usage,
    const char *help, enum cmd_exit *code)
{
	static const struct option longs[] = {
	    OPTIONS_COMMON,
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	int ch;

	*code = CMD_USAGE;
	while ((ch = getopt_long(argc, argv, OPTIONS_SHORT "h", longs, NULL)) !=
	       -1) {
		switch (options_common(options, ch, optarg)) {
		case OPTIONS_TAKEN:
			continue;
		case OPTIONS_BAD:
			return false;
		case OPTIONS_OTHER:
			break;
		}
		if (ch == 'h') {
			printf("%s%s", usage, help);
			*code = CMD_OK;
		} else
			fputs(usage, stderr);
		return false;
	}
	return true;
}

char *
options_overrides(const struct options *options)
{
	char *text = NULL;
	size_t len, i;
	FILE *fp;

	if ((fp = open_memstream(&text, &len)) == NULL)
		return NULL;
	if (options->mode != NULL)
		fprintf(fp, "mode = %s;\n", options->mode);
	for (i = 0; i < options->interface_count; i++)
		fprintf(fp, "%s\"%s\"", i == 0 ? "interfaces = [" : ", ",
		    options->interfaces[i]);
	if (options->interface_count > 0)
		fputs("];\n", fp);
	fputs(options->text, fp);
	if (fclose(fp) == EOF) {
		free(text);
		return NULL;
	}
	return text;
}

struct config *
options_load(const struct options *options, char error[CONFIG_ERROR_MAX])
{
	struct config *config;
	char *overrides;

	if ((overrides = options_overrides(options)) == NULL) {
		strlcpy(error, "out of memory", CONFIG_ERROR_MAX);
		return NULL;
	}
	config = config_load(options->path, overrides, error);
	free(overrides);
	return config;
}

struct config *
options_glean(const struct options *options, bool *knows_mode)
{
	struct config *config;
	char *overrides;

	if ((overrides = options_overrides(options)) == NULL)
		return NULL;
	config = config_glean(options->path, overrides, knows_mode);
	free(overrides);
	return config;
}
