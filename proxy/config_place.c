/* SPDX-License-Identifier: ISC */
/*
 * Where in which source config_load is, and the messages that say so.
 */

#include "proxy/config_load.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *
place_text(const struct place *place, char out[PLACE_TEXT_MAX])
{
	if (place->line == 0)
		snprintf(out, PLACE_TEXT_MAX, "%s", place->source);
	else
		snprintf(
		    out, PLACE_TEXT_MAX, "%s:%u", place->source, place->line);
	return out;
}

static void
fail_va(struct load *load, const struct place *place, const char *format,
    va_list ap)
{
	char origin[PLACE_TEXT_MAX];
	size_t len;

	strlcpy(load->error, place_text(place, origin), CONFIG_ERROR_MAX);
	strlcat(load->error, ": ", CONFIG_ERROR_MAX);
	len = strlen(load->error);
	vsnprintf(load->error + len, CONFIG_ERROR_MAX - len, format, ap);
}

int
load_fail_at(
    struct load *load, const struct place *place, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fail_va(load, place, format, ap);
	va_end(ap);
	return -1;
}

struct place
load_place(const struct load *load, unsigned int line)
{
	return (struct place){load->source, load->has_lines ? line : 0};
}

int
load_fail(struct load *load, unsigned int line, const char *format, ...)
{
	struct place place = load_place(load, line);
	va_list ap;

	va_start(ap, format);
	fail_va(load, &place, format, ap);
	va_end(ap);
	return -1;
}

void
load_from(struct load *load, enum load_source source)
{
	load->has_lines = source == LOAD_FILE;
	load->source = source == LOAD_FILE ? load->file : LOAD_COMMAND_LINE;
}
