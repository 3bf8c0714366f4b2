/* SPDX-License-Identifier: ISC */
/* Commands, line after line, and the domains of their addresses. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/smtp/command.h"
#include "proxy/smtp/domain.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_domain(const struct path *path)
{
	char out[DOMAIN_ASCII_MAX];
	struct path again = {.domain_kind = DOMAIN_NAME};
	char twice[DOMAIN_ASCII_MAX];

	if (command_domain_ascii(path, out) == -1)
		return;
	/* The result is its own result: two spellings never part again. */
	again.domain = (struct slice){out, strlen(out)};
	if (command_domain_ascii(&again, twice) == -1 ||
	    strcmp(out, twice) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct command cmd;
	struct line line;
	size_t i;

	while (line_next(data, len, LINE_AUTH_MAX, &line) == LINE_READY) {
		if (command_parse(&line, &cmd) == COMMAND_OK) {
			for (i = 0; i < cmd.path.raw.len; i++)
				if ((unsigned char)cmd.path.raw.text[i] < ' ')
					abort();
			if (cmd.verb == VERB_RCPT && !cmd.path.is_postmaster &&
			    cmd.path.domain.len == 0)
				abort();
			check_domain(&cmd.path);
		} else if (cmd.reason == NULL || cmd.code < 500)
			abort();
		data += line.used;
		len -= line.used;
	}
	return 0;
}
