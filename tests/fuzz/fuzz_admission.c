/* SPDX-License-Identifier: ISC */
/*
 * Prefixes as text, one a line, each a client block of its own; then every one
 * of their addresses asks to come in.  The block that is found covers it, and
 * none of those covers it that has a longer prefix or comes before it.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "netfilter/admission.h"

#define BLOCKS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct admission_rule rules[BLOCKS_MAX];
static char *matches[BLOCKS_MAX];
static struct prefix prefixes[BLOCKS_MAX];
static struct config config = {.mark = 0x100, .clients = rules};

static void
check(const struct admission *admission, const struct address *source)
{
	const struct admission_packet packet = {
	    .source = *source, .target = *source, .interface = ""};
	const struct admission_word word = admission_judge(admission, &packet);
	size_t i, best = BLOCKS_MAX;

	for (i = 0; i < config.client_count; i++)
		if (prefix_contains(&prefixes[i], source) &&
		    (best == BLOCKS_MAX ||
			prefixes[i].length > prefixes[best].length))
			best = i;
	if (best == BLOCKS_MAX || word.client != &rules[best])
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = strndup((const char *)data, len), *rest = text, *line;
	struct admission *admission;
	size_t count = 0, i;

	if (text == NULL)
		return 0;
	while (count < BLOCKS_MAX && (line = strsep(&rest, "\n")) != NULL) {
		if (prefix_from_text(&prefixes[count], line) == -1)
			continue;
		matches[count] = line;
		rules[count].matches = &matches[count];
		rules[count++].match_count = 1;
	}
	config.client_count = count;
	if ((admission = admission_new(&config)) != NULL) {
		for (i = 0; i < count; i++)
			check(admission, &prefixes[i].address);
		admission_free(admission);
	}
	free(text);
	return 0;
}
