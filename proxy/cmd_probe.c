/* SPDX-License-Identifier: ISC */
/*
 * postern probe: what would happen to mail for a domain now.
 */

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/cmd.h"
#include "proxy/cmd_options.h"
#include "proxy/probe.h"
#include "proxy/smtp/domain.h"

static const char usage[] =
    "usage: postern probe [--json] [--mx HOST] [--address ADDRESS] [-4 | -6]\n"
    "           [--trust FILE] [--timeout SECONDS] [--limit SECONDS] [-c "
    "FILE]\n"
    "           [-o SETTING]... DOMAIN\n";

static const char help[] =
    "\n"
    "Shows what would happen to mail for DOMAIN now: its MX hosts and what\n"
    "speaks for them, then STARTTLS with each of their addresses and whether\n"
    "that is proved.  No mail is sent.\n"
    "\n"
    "      --json              as one JSON object\n"
    "      --mx HOST           this MX host only\n"
    "      --address ADDRESS   this address only, whoever has it\n"
    "  -4, -6                  IPv4, IPv6 addresses only\n"
    "      --trust FILE        PEM: trusted roots, in place of those of the\n"
    "                          configuration\n"
    "      --timeout SECONDS   for each step of a dialogue with a server: 30\n"
    "      --limit SECONDS     for all of it: 120, or four timeouts\n"
    "\n" OPTIONS_HELP "      --help              this text\n"
    "\n"
    "Without a configuration file that can be read, the defaults hold.\n"
    "Ends with 0 when each host was proved at each of its addresses, 1 when\n"
    "not, 2 when the command line or the configuration is wrong.\n";

enum {
	OPTION_JSON = OPTIONS_MODE + 1,
	OPTION_MX,
	OPTION_ADDRESS,
	OPTION_TRUST,
	OPTION_TIMEOUT,
	OPTION_LIMIT,
};

struct arguments {
	struct options options;
	struct probe_request request;
	char domain[DOMAIN_ASCII_MAX];
	char mx[DOMAIN_ASCII_MAX];
	bool is_json;
};

/* Written into a setting, it must not bring another one along. */
static int
set_trust(struct arguments *arguments, const char *path)
{
	char line[CONFIG_TEXT_MAX + 16];
	const char *c;

	for (c = path; *c != '\0'; c++)
		if (iscntrl((unsigned char)*c) || *c == '"' || *c == '\\')
			return options_complain("--trust", path,
			    "quotes, backslashes and control characters "
			    "cannot be in it");
	if (path[0] == '\0' || strlen(path) >= CONFIG_TEXT_MAX)
		return options_complain(
		    "--trust", path, "is empty or too long");
	snprintf(line, sizeof(line), "trust = \"%s\";", path);
	return options_common(&arguments->options, 'o', line) == OPTIONS_TAKEN
	           ? 0
	           : -1;
}

static int
set_address(struct arguments *arguments, const char *value)
{
	if (address_from_text(&arguments->request.address, value) == 0)
		return 0;
	return options_complain("--address", value, "is not an IP address");
}

static int
set_seconds(
    uint32_t *seconds, const char *option, const char *value, uint32_t max)
{
	const char *error;

	*seconds = (uint32_t)strtonum(value, 1, max, &error);
	return error == NULL ? 0 : options_complain(option, value, error);
}

static int
set_family(struct arguments *arguments, sa_family_t family)
{
	if (arguments->request.family != AF_UNSPEC &&
	    arguments->request.family != family)
		return options_complain("-4 and -6", "", "only one of them");
	arguments->request.family = family;
	return 0;
}

static int
set_option(struct arguments *arguments, int ch)
{
	switch (ch) {
	case OPTION_JSON:
		arguments->is_json = true;
		return 0;
	case OPTION_MX:
		arguments->request.mx = arguments->mx;
		return options_domain("--mx", optarg, arguments->mx);
	case OPTION_ADDRESS:
		return set_address(arguments, optarg);
	case OPTION_TRUST:
		return set_trust(arguments, optarg);
	case OPTION_TIMEOUT:
		return set_seconds(&arguments->request.timeout, "--timeout",
		    optarg, PROBE_TIMEOUT_MAX);
	case OPTION_LIMIT:
		return set_seconds(&arguments->request.limit, "--limit", optarg,
		    PROBE_LIMIT_MAX);
	case '4':
		return set_family(arguments, AF_INET);
	case '6':
		return set_family(arguments, AF_INET6);
	}
	fputs(usage, stderr); /* getopt_long has told which option */
	return -1;
}

static int
read_operand(struct arguments *arguments, int argc, char **argv)
{
	const struct probe_request *request = &arguments->request;

	if (optind != argc - 1) {
		fputs(usage, stderr);
		return -1;
	}
	if (request->family != AF_UNSPEC &&
	    request->address.family != AF_UNSPEC &&
	    request->family != request->address.family)
		return options_complain(
		    "--address", "", "is of the family that -4 or -6 excludes");
	return options_domain("", argv[optind], arguments->domain);
}

/* Returns 0, 1 where help was wanted, or -1 after a message. */
static int
arguments_read(struct arguments *arguments, int argc, char **argv)
{
	static const struct option longs[] = {
	    OPTIONS_COMMON,
	    {"json", no_argument, NULL, OPTION_JSON},
	    {"mx", required_argument, NULL, OPTION_MX},
	    {"address", required_argument, NULL, OPTION_ADDRESS},
	    {"trust", required_argument, NULL, OPTION_TRUST},
	    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
	    {"limit", required_argument, NULL, OPTION_LIMIT},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	int ch;

	while ((ch = getopt_long(
		    argc, argv, OPTIONS_SHORT "46h", longs, NULL)) != -1) {
		if (ch == 'h')
			return 1;
		switch (options_common(&arguments->options, ch, optarg)) {
		case OPTIONS_TAKEN:
			continue;
		case OPTIONS_BAD:
			return -1;
		case OPTIONS_OTHER:
			break;
		}
		if (set_option(arguments, ch) == -1)
			return -1;
	}
	return read_operand(arguments, argc, argv);
}

static uint32_t
default_limit(uint32_t timeout)
{
	uint32_t limit = PROBE_LIMIT_STEPS * timeout;

	return limit > PROBE_LIMIT_SECONDS ? limit : PROBE_LIMIT_SECONDS;
}

/*
 * The file may be another user's to read, or not be there: then the defaults
 * hold, and the interfaces that a gateway wants do not matter.
 */
static void
do_without_file(struct options *options)
{
	if (options->path != NULL || access(CONFIG_PATH, R_OK) == 0)
		return;
	if (errno != ENOENT)
		fprintf(stderr, "postern: %s: %s: going on with the defaults\n",
		    CONFIG_PATH, strerror(errno));
	options->path = "/dev/null";
	if (options->mode == NULL && options->interface_count == 0)
		options->mode = "local";
}

/* Nothing that a probe learns is kept or shared, and it talks to a terminal. */
static int
fit(struct config *config, uint32_t timeout)
{
	free(config->state);
	config->state = NULL;
	free(config->state_directory);
	if ((config->state_directory = strdup("")) == NULL)
		return -1;
	config->log.to = LOG_TO_STDERR;
	config->log.format = LOG_FORMAT_TEXT;
	config->timeouts.connect = timeout < PROBE_CONNECT_SECONDS
	                               ? timeout
	                               : PROBE_CONNECT_SECONDS;
	config->timeouts.greeting = timeout;
	config->timeouts.handshake = timeout;
	config->timeouts.reply = timeout;
	return 0;
}

static struct config *
load(struct arguments *arguments)
{
	char error[CONFIG_ERROR_MAX];
	struct config *config;

	do_without_file(&arguments->options);
	if ((config = options_load(&arguments->options, error)) == NULL) {
		fprintf(stderr, "postern: %s\n", error);
		return NULL;
	}
	if (fit(config, arguments->request.timeout) == 0)
		return config;
	fputs("postern: out of memory\n", stderr);
	config_free(config);
	return NULL;
}

static enum cmd_exit
probe(struct arguments *arguments)
{
	char error[PROBE_ERROR_MAX];
	struct probe_result *result;
	struct config *config;
	enum cmd_exit code;
	int ret;

	if ((config = load(arguments)) == NULL)
		return CMD_USAGE;
	result = probe_run(&arguments->request, config, error);
	if (result == NULL) {
		fprintf(stderr, "postern: %s\n", error);
		return CMD_FAILED;
	}
	ret = arguments->is_json ? probe_print_json(stdout, result)
	                         : probe_print_text(stdout, result);
	code = ret == 0 && probe_is_proved(result) ? CMD_OK : CMD_FAILED;
	if (ret == -1)
		fprintf(
		    stderr, "postern: standard output: %s\n", strerror(errno));
	probe_result_free(result);
	return code;
}

int
cmd_probe(int argc, char **argv)
{
	struct arguments arguments = {
	    .request = {.timeout = PROBE_TIMEOUT_SECONDS},
	};

	arguments.request.domain = arguments.domain;
	switch (arguments_read(&arguments, argc, argv)) {
	case -1:
		return CMD_USAGE;
	case 1:
		printf("%s%s", usage, help);
		return CMD_OK;
	}
	if (arguments.request.limit == 0)
		arguments.request.limit = default_limit(
		    arguments.request.timeout);
	return probe(&arguments);
}
