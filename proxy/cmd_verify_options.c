/* SPDX-License-Identifier: ISC */
/*
 * The options of postern verify: what they are called, what they may say, and
 * which of them go together.
 */

#include "proxy/cmd_verify_options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "certs/name.h"
#include "proxy/base/clock.h"
#include "proxy/base/hex.h"

#define PIN_PREFIX "sha256:"

static const char usage[] =
    "usage: postern verify --chain FILE [--trust FILE] [--name NAME]...\n"
    "           [--ip ADDRESS] [--pin sha256:HEX]... [--at UNIXTIME]\n"
    "       postern verify --chain FILE --tlsa RECORD... --name NAME...\n"
    "           [--at UNIXTIME]\n";

static const char help[] =
    "\n"
    "Judges the certificate chain in FILE as the relay judges a server's.\n"
    "\n"
    "  --chain FILE      PEM: the server's certificate first, then whatever\n"
    "                    else it sent, in any order\n"
    "  --trust FILE      PEM: trusted roots; " VERIFY_TRUST_PATH "\n"
    "                    where not given\n"
    "  --name NAME       the certificate must be for this host or address;\n"
    "                    given several times, for one of them\n"
    "  --ip ADDRESS      or for this address\n"
    "  --pin sha256:HEX  and its key must be this one, or another so given;\n"
    "                    without --trust, --name and --ip the pin decides\n"
    "  --tlsa RECORD     by this TLSA record and no trusted root: usage,\n"
    "                    selector, matching type and data, as \"3 1 1 HEX\";\n"
    "                    given several times, by any of them.  The first\n"
    "                    --name is the one that the records are of\n"
    "  --at UNIXTIME     at this time, in seconds since 1970; now where not\n"
    "                    given\n"
    "\n"
    "One of --name, --ip and --pin is needed.  With --tlsa it is --name, and\n"
    "--trust, --ip and --pin have no place.\n"
    "Prints \"proved: ...\" and exits 0, or \"refused: WORD: text\" and\n"
    "exits 1; WORD is that of RFC 8460.  Exits 2 for wrong usage or files\n"
    "that cannot be read.\n";

static int
complain(const char *option, const char *value, const char *why)
{
	fprintf(stderr, "postern: %s %s: %s\n", option, value, why);
	return -1;
}

static int
set_address(
    struct verify_options *options, const char *option, const char *value)
{
	if (options->address.family != AF_UNSPEC)
		return complain(option, value, "only one address can be asked");
	if (address_from_text(&options->address, value) == -1)
		return complain(option, value, "is not an IP address");
	return 0;
}

static int
add_name(struct verify_options *options, const char *value)
{
	struct address ignored;

	if (address_from_text(&ignored, value) == 0)
		return set_address(options, "--name", value);
	if (!name_is_host(value))
		return complain(
		    "--name", value, "is neither a host name nor an address");
	if (options->name_count == CONFIG_NAMES_MAX)
		return complain("--name", value, "too many names");
	options->names[options->name_count++] = value;
	return 0;
}

static int
add_pin(struct verify_options *options, const char *value)
{
	static const char why[] = "must be sha256: and 64 hex digits";
	const char *hex = value + strlen(PIN_PREFIX);
	uint8_t *pin;
	int high, low;

	if (options->pin_count == CONFIG_PINS_MAX)
		return complain("--pin", value, "too many pins");
	if (strncmp(value, PIN_PREFIX, strlen(PIN_PREFIX)) != 0 ||
	    strlen(hex) != 64)
		return complain("--pin", value, why);
	pin = options->pins[options->pin_count];
	for (size_t i = 0; i < 32; i++) {
		high = hex_digit(hex[2 * i]);
		low = hex_digit(hex[2 * i + 1]);
		if (high == -1 || low == -1)
			return complain("--pin", value, why);
		pin[i] = (uint8_t)(high << 4 | low);
	}
	options->pin_count++;
	return 0;
}

/* The record's data is the options' own. */
static int
add_tlsa(struct verify_options *options, const char *value)
{
	uint8_t *data;

	if (options->tlsa_count == VERIFY_TLSA_MAX)
		return complain("--tlsa", value, "too many records");
	if ((data = malloc(TLSA_DATA_MAX)) == NULL)
		return complain("--tlsa", value, "out of memory");
	if (tlsa_from_text(&options->tlsa[options->tlsa_count], value, data) ==
	    -1) {
		free(data);
		return complain("--tlsa", value,
		    "must be a usage, a selector, a matching type and hex "
		    "digits, as in \"3 1 1 0123...\"");
	}
	options->tlsa_data[options->tlsa_count++] = data;
	return 0;
}

static int
set_time(struct verify_options *options, const char *value)
{
	const char *error;

	options->at = strtonum(value, 0, INT64_MAX, &error);
	if (error != NULL)
		return complain("--at", value, error);
	return 0;
}

enum {
	OPTION_CHAIN = 256,
	OPTION_TRUST,
	OPTION_NAME,
	OPTION_IP,
	OPTION_PIN,
	OPTION_TLSA,
	OPTION_AT
};

static int
set_option(struct verify_options *options, int option)
{
	switch (option) {
	case OPTION_CHAIN:
		options->chain = optarg;
		return 0;
	case OPTION_TRUST:
		options->trust = optarg;
		return 0;
	case OPTION_NAME:
		return add_name(options, optarg);
	case OPTION_IP:
		return set_address(options, "--ip", optarg);
	case OPTION_PIN:
		return add_pin(options, optarg);
	case OPTION_TLSA:
		return add_tlsa(options, optarg);
	case OPTION_AT:
		return set_time(options, optarg);
	}
	fputs(usage, stderr); /* getopt_long has told which option */
	return -1;
}

/* TLSA records decide alone, so what else could prove is a mistake. */
static int
check_tlsa(const struct verify_options *options)
{
	const char *other = NULL, *fault;
	char text[TLSA_TEXT_MAX];

	if (options->trust != NULL)
		other = "--trust";
	else if (options->pin_count > 0)
		other = "--pin";
	else if (options->address.family != AF_UNSPEC)
		other = "an address";
	if (other != NULL) {
		fprintf(stderr,
		    "postern: verify: %s does not go with --tlsa: the records "
		    "decide alone\n",
		    other);
		return -1;
	}
	if (options->name_count == 0) {
		fputs("postern: verify: --tlsa needs --name: whose records "
		      "they are\n",
		    stderr);
		return -1;
	}
	for (size_t i = 0; i < options->tlsa_count; i++) {
		fault = tlsa_fault(&options->tlsa[i]);
		if (fault != NULL)
			fprintf(stderr,
			    "postern: warning: --tlsa %s: unusable for SMTP: "
			    "%s\n",
			    tlsa_text(&options->tlsa[i], text), fault);
	}
	return 0;
}

int
verify_options_read(struct verify_options *options, int argc, char **argv)
{
	static const struct option longs[] = {
	    {"chain", required_argument, NULL, OPTION_CHAIN},
	    {"trust", required_argument, NULL, OPTION_TRUST},
	    {"name", required_argument, NULL, OPTION_NAME},
	    {"ip", required_argument, NULL, OPTION_IP},
	    {"pin", required_argument, NULL, OPTION_PIN},
	    {"tlsa", required_argument, NULL, OPTION_TLSA},
	    {"at", required_argument, NULL, OPTION_AT},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	int option;

	memset(options, 0, sizeof(*options));
	options->at = clock_wall();
	optind = 0;
	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			fputs(help, stdout);
			return 1;
		}
		if (set_option(options, option) == -1)
			return -1;
	}
	if (optind < argc || options->chain == NULL) {
		fputs(usage, stderr);
		return -1;
	}
	if (options->tlsa_count > 0)
		return check_tlsa(options);
	if (options->name_count == 0 && options->pin_count == 0 &&
	    options->address.family == AF_UNSPEC) {
		fputs("postern: verify: nothing to prove: give --name, --ip "
		      "or --pin\n",
		    stderr);
		return -1;
	}
	return 0;
}

void
verify_options_clear(struct verify_options *options)
{
	for (size_t i = 0; i < options->tlsa_count; i++)
		free(options->tlsa_data[i]);
}
