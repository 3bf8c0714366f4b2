/* SPDX-License-Identifier: ISC */
/*
 * A title is as long as the arguments and the environment were at the start,
 * and is cut there: the word that matters comes first.
 */

#include "proxy/title.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

static const char prefix[] = "postern: ";

void
title_init(int argc, char **argv)
{
	setproctitle_init(argc, argv, environ);
}

void
title_set(const char *word, const char *rest)
{
	/* The program's name is not to decide: "-" leaves it out. */
	setproctitle("-%s%s: %s", prefix, word, rest);
}

const char *
title_text(const char *arguments)
{
	size_t len = sizeof(prefix) - 1;

	return strncmp(arguments, prefix, len) == 0 ? arguments + len : NULL;
}

bool
title_is_ready(const char *text)
{
	static const char word[] = TITLE_READY ":";

	return strncmp(text, word, sizeof(word) - 1) == 0;
}
