/* SPDX-License-Identifier: ISC */
/*
 * postern verify: judges a certificate chain from a file by the code that the
 * relay judges servers by.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "certs/chain.h"
#include "certs/date.h"
#include "certs/name.h"
#include "certs/store.h"
#include "certs/verify.h"
#include "proxy/base/address.h"
#include "proxy/base/clock.h"
#include "proxy/cmd.h"
#include "proxy/config.h"

#define TRUST_PATH       "/etc/ssl/certs/ca-certificates.crt"
#define CHAIN_BYTES_READ (1024UL * 1024) /* text around the blocks included */
#define READ_FIRST       65536
#define PIN_PREFIX       "sha256:"

static const char usage[] =
    "usage: postern verify --chain FILE [--trust FILE] [--name NAME]...\n"
    "           [--ip ADDRESS] [--pin sha256:HEX]... [--at UNIXTIME]\n";

static const char help[] =
    "\n"
    "Judges the certificate chain in FILE as the relay judges a server's.\n"
    "\n"
    "  --chain FILE      PEM: the server's certificate first, then whatever\n"
    "                    else it sent, in any order\n"
    "  --trust FILE      PEM: trusted roots; " TRUST_PATH "\n"
    "                    where not given\n"
    "  --name NAME       the certificate must be for this host or address;\n"
    "                    given several times, for one of them\n"
    "  --ip ADDRESS      or for this address\n"
    "  --pin sha256:HEX  and its key must be this one, or another so given;\n"
    "                    without --trust, --name and --ip the pin decides\n"
    "  --at UNIXTIME     at this time, in seconds since 1970; now where not\n"
    "                    given\n"
    "\n"
    "One of --name, --ip and --pin is needed.\n"
    "Prints \"proved: ...\" and exits 0, or \"refused: WORD: text\" and\n"
    "exits 1; WORD is that of RFC 8460.  Exits 2 for wrong usage or files\n"
    "that cannot be read.\n";

struct arguments {
	const char *chain;
	const char *trust; /* NULL: the default */
	const char *names[CONFIG_NAMES_MAX];
	size_t name_count;
	struct address address; /* AF_UNSPEC: none */
	uint8_t pins[CONFIG_PINS_MAX][32];
	size_t pin_count;
	int64_t at;
};

static int
complain(const char *option, const char *value, const char *why)
{
	fprintf(stderr, "postern: %s %s: %s\n", option, value, why);
	return -1;
}

static int
set_address(struct arguments *arguments, const char *option, const char *value)
{
	if (arguments->address.family != AF_UNSPEC)
		return complain(option, value, "only one address can be asked");
	if (address_from_text(&arguments->address, value) == -1)
		return complain(option, value, "is not an IP address");
	return 0;
}

static int
add_name(struct arguments *arguments, const char *value)
{
	struct address ignored;

	if (address_from_text(&ignored, value) == 0)
		return set_address(arguments, "--name", value);
	if (!name_is_host(value))
		return complain(
		    "--name", value, "is neither a host name nor an address");
	if (arguments->name_count == CONFIG_NAMES_MAX)
		return complain("--name", value, "too many names");
	arguments->names[arguments->name_count++] = value;
	return 0;
}

static int
hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *found;

	if (c >= 'A' && c <= 'F')
		c += 'a' - 'A';
	found = c == '\0' ? NULL : strchr(digits, c);
	return found == NULL ? -1 : (int)(found - digits);
}

static int
add_pin(struct arguments *arguments, const char *value)
{
	static const char why[] = "must be sha256: and 64 hex digits";
	const char *hex = value + strlen(PIN_PREFIX);
	uint8_t *pin;
	int high, low;

	if (arguments->pin_count == CONFIG_PINS_MAX)
		return complain("--pin", value, "too many pins");
	if (strncmp(value, PIN_PREFIX, strlen(PIN_PREFIX)) != 0 ||
	    strlen(hex) != 64)
		return complain("--pin", value, why);
	pin = arguments->pins[arguments->pin_count];
	for (size_t i = 0; i < 32; i++) {
		high = hex_digit(hex[2 * i]);
		low = hex_digit(hex[2 * i + 1]);
		if (high == -1 || low == -1)
			return complain("--pin", value, why);
		pin[i] = (uint8_t)(high << 4 | low);
	}
	arguments->pin_count++;
	return 0;
}

static int
set_time(struct arguments *arguments, const char *value)
{
	const char *error;

	arguments->at = strtonum(value, 0, INT64_MAX, &error);
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
	OPTION_AT
};

static int
set_option(struct arguments *arguments, int option)
{
	switch (option) {
	case OPTION_CHAIN:
		arguments->chain = optarg;
		return 0;
	case OPTION_TRUST:
		arguments->trust = optarg;
		return 0;
	case OPTION_NAME:
		return add_name(arguments, optarg);
	case OPTION_IP:
		return set_address(arguments, "--ip", optarg);
	case OPTION_PIN:
		return add_pin(arguments, optarg);
	case OPTION_AT:
		return set_time(arguments, optarg);
	}
	fputs(usage, stderr); /* getopt_long has told which option */
	return -1;
}

/* Returns 0, 1 where help was wanted, or -1 after a message. */
static int
arguments_read(struct arguments *arguments, int argc, char **argv)
{
	static const struct option longs[] = {
	    {"chain", required_argument, NULL, OPTION_CHAIN},
	    {"trust", required_argument, NULL, OPTION_TRUST},
	    {"name", required_argument, NULL, OPTION_NAME},
	    {"ip", required_argument, NULL, OPTION_IP},
	    {"pin", required_argument, NULL, OPTION_PIN},
	    {"at", required_argument, NULL, OPTION_AT},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	int option;

	optind = 0;
	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'h')
			return 1;
		if (set_option(arguments, option) == -1)
			return -1;
	}
	if (optind < argc || arguments->chain == NULL) {
		fputs(usage, stderr);
		return -1;
	}
	if (arguments->name_count == 0 && arguments->pin_count == 0 &&
	    arguments->address.family == AF_UNSPEC) {
		fputs("postern: verify: nothing to prove: give --name, --ip "
		      "or --pin\n",
		    stderr);
		return -1;
	}
	return 0;
}

/* Reads fd to its end into *out, at most max bytes; 0, or -1 with errno. */
static int
read_whole(int fd, size_t max, char **out, size_t *len)
{
	size_t room = READ_FIRST, used = 0;
	ssize_t count;
	char *text = NULL, *grown;

	for (;;) {
		if ((grown = realloc(text, room)) == NULL)
			break;
		text = grown;
		count = read(fd, text + used, room - used);
		if (count == 0) {
			*out = text;
			*len = used;
			return 0;
		}
		if (count == -1 && errno == EINTR)
			continue;
		if (count == -1)
			break;
		used += (size_t)count;
		if (used > max) {
			errno = EFBIG;
			break;
		}
		if (used == room)
			room *= 2;
	}
	free(text);
	return -1;
}

/* The whole of a file, or NULL after a message; the caller frees it. */
static char *
read_file(const char *path, size_t max, size_t *len)
{
	char *text = NULL;
	int fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1 ||
	    read_whole(fd, max, &text, len) == -1)
		fprintf(stderr, "postern: %s: %s\n", path, strerror(errno));
	if (fd != -1)
		close(fd);
	return text;
}

/* A chain that a relay would not take from a server is not unreadable. */
static int
refuse_chain(const char *path)
{
	switch (errno) {
	case E2BIG:
		printf("refused: %s: more than %d certificates or %lu bytes\n",
		    verify_result_word(VERIFY_FAILURE), CHAIN_CERTS_MAX,
		    CHAIN_BYTES_MAX);
		return CMD_FAILED;
	case EINVAL:
		fprintf(stderr,
		    "postern: %s: no certificate in it, or a damaged one\n",
		    path);
		return CMD_USAGE;
	}
	fprintf(stderr, "postern: %s: %s\n", path, strerror(errno));
	return CMD_USAGE;
}

/* Returns CMD_OK with the chain, or another result after a message. */
static int
read_chain(const char *path, struct chain **chain)
{
	size_t len;
	char *text;
	int result = CMD_OK;

	if ((text = read_file(path, CHAIN_BYTES_READ, &len)) == NULL)
		return CMD_USAGE;
	if ((*chain = chain_from_pem(text, len)) == NULL)
		result = refuse_chain(path);
	free(text);
	return result;
}

static struct store *
read_store(const char *path)
{
	char error[STORE_ERROR_MAX];
	struct store *store;
	size_t len;
	char *text;

	if ((text = read_file(path, CONFIG_TRUST_BYTES_MAX, &len)) == NULL)
		return NULL;
	if ((store = store_from_pem(text, len, error)) == NULL)
		fprintf(stderr, "postern: %s: %s\n", path, error);
	free(text);
	return store;
}

static void
print_proved(const struct chain *chain, const struct verify_report *report)
{
	char names[VERIFY_TEXT_MAX], date[DATE_TEXT_MAX];

	verify_leaf_names(chain, names);
	printf("proved: %s%sby %s", report->matched,
	    report->matched[0] == '\0' ? "" : " ", report->text);
	if (names[0] != '\0')
		printf("; certificate for %s", names);
	if (report->until != INT64_MAX)
		printf("; valid until %s", date_text(report->until + 1, date));
	putchar('\n');
}

static int
judge(const struct arguments *arguments, const struct chain *chain,
    const struct store *trust)
{
	struct verify_request request = {
	    .trust = trust,
	    .names = arguments->names,
	    .name_count = arguments->name_count,
	    .pins = arguments->pins,
	    .pin_count = arguments->pin_count,
	    .at = arguments->at,
	};
	struct verify_report report;

	request.ip_len = address_ip_len(&arguments->address);
	if (request.ip_len > 0)
		request.ip = arguments->address.ip;
	if (verify_chain(chain, &request, &report) == VERIFY_PROVED) {
		print_proved(chain, &report);
		return CMD_OK;
	}
	printf("refused: %s: %s\n", verify_result_word(report.result),
	    report.text);
	return CMD_FAILED;
}

int
cmd_verify(int argc, char **argv)
{
	struct arguments arguments = {.at = clock_wall()};
	struct store *trust = NULL;
	struct chain *chain = NULL;
	int result = CMD_USAGE;
	bool is_pin_alone;

	switch (arguments_read(&arguments, argc, argv)) {
	case -1:
		return CMD_USAGE;
	case 1:
		fputs(usage, stdout);
		fputs(help, stdout);
		return CMD_OK;
	}
	is_pin_alone = arguments.trust == NULL && arguments.name_count == 0 &&
	               arguments.address.family == AF_UNSPEC;
	if (!is_pin_alone &&
	    (trust = read_store(arguments.trust != NULL ? arguments.trust
							: TRUST_PATH)) == NULL)
		goto out;
	result = read_chain(arguments.chain, &chain);
	if (result == CMD_OK)
		result = judge(&arguments, chain, trust);
out:
	store_free(trust);
	chain_free(chain);
	return result;
}
