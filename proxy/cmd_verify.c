/* SPDX-License-Identifier: ISC */
/*
 * postern verify: judges a certificate chain from a file by the code that the
 * relay judges servers by.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "certs/chain.h"
#include "certs/date.h"
#include "certs/store.h"
#include "certs/verify.h"
#include "proxy/base/address.h"
#include "proxy/cmd.h"
#include "proxy/cmd_verify_options.h"
#include "proxy/config.h"

#define CHAIN_BYTES_READ (1024UL * 1024) /* text around the blocks included */
#define READ_FIRST       65536

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
judge(const struct verify_options *options, const struct chain *chain,
    const struct store *trust)
{
	struct verify_request request = {
	    .trust = trust,
	    .names = options->names,
	    .name_count = options->name_count,
	    .pins = options->pins,
	    .pin_count = options->pin_count,
	    .tlsa = options->tlsa,
	    .tlsa_count = options->tlsa_count,
	    .at = options->at,
	};
	struct verify_report report;

	request.ip_len = address_ip_len(&options->address);
	if (request.ip_len > 0)
		request.ip = options->address.ip;
	if (verify_chain(chain, &request, &report) == VERIFY_PROVED) {
		print_proved(chain, &report);
		return CMD_OK;
	}
	printf("refused: %s: %s\n", verify_result_word(report.result),
	    report.text);
	return CMD_FAILED;
}

/* A pin alone, and TLSA records, need no roots. */
static bool
needs_trust(const struct verify_options *options)
{
	return options->trust != NULL ||
	       (options->tlsa_count == 0 &&
		   (options->name_count > 0 ||
		       options->address.family != AF_UNSPEC));
}

static int
verify_files(const struct verify_options *options)
{
	const char *path = options->trust;
	struct store *trust = NULL;
	struct chain *chain = NULL;
	int result;

	if (path == NULL)
		path = VERIFY_TRUST_PATH;
	if (needs_trust(options) && (trust = read_store(path)) == NULL)
		return CMD_USAGE;
	result = read_chain(options->chain, &chain);
	if (result == CMD_OK)
		result = judge(options, chain, trust);
	store_free(trust);
	chain_free(chain);
	return result;
}

int
cmd_verify(int argc, char **argv)
{
	struct verify_options options;
	int result = CMD_USAGE;

	switch (verify_options_read(&options, argc, argv)) {
	case 0:
		result = verify_files(&options);
		break;
	case 1:
		result = CMD_OK;
		break;
	}
	verify_options_clear(&options);
	return result;
}
