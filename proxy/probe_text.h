/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_PROBE_TEXT_H
#define POSTERN_PROBE_TEXT_H

/*
 * What the parts of the text share; probe_print_text puts them together.
 */

#include <stdio.h>

#include "proxy/probe.h"

/* Bytes of one paragraph; what is longer is cut. */
#define PROBE_LINE_MAX 4096

/* Where paragraphs begin. */
enum probe_column {
	COLUMN_DOMAIN = 0,
	COLUMN_HOST = 2, /* and what is of the domain */
	COLUMN_OF_HOST = 5,
	COLUMN_ADDRESS = 5,
	COLUMN_OF_ADDRESS = 7,
	COLUMN_KEY = 9,
};

/*
 * probe_text_put writes a paragraph, broken between words; a word that is
 * longer than a line gets one of its own.
 */
void probe_text_put(FILE *, enum probe_column, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* As much of it as fits; returns out. */
const char *probe_text_hex(const uint8_t *, size_t len, char *out, size_t size);
/* "signed", "not signed". */
const char *probe_text_signed(bool is_secure);

/* probe_text_server.c: one address and what came of it. */
void probe_text_server(
    FILE *, const struct probe_result *, const struct probe_server *);

#endif
