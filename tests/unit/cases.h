/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_TEST_CASES_H
#define POSTERN_TEST_CASES_H

/*
 * For tests of certificates: the files that make_certs.py wrote into the
 * build folder.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CASE_AT        1800000000 /* AT in make_certs.py */
#define CASE_DAY       86400
#define CASE_HOST      "mx.example.org"
#define CASE_BYTES_MAX (1024 * 1024)

/* The text of TITLE.ENDING, NUL-ended; the caller frees it. */
static inline char *
case_file(const char *title, const char *ending, size_t *len)
{
	char path[512], *text;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.%s", TEST_CERTS, title, ending);
	if ((file = fopen(path, "r")) == NULL)
		fail_msg("%s cannot be opened", path);
	text = malloc(CASE_BYTES_MAX);
	assert_non_null(text);
	*len = fread(text, 1, CASE_BYTES_MAX - 1, file);
	text[*len] = '\0';
	fclose(file);
	return text;
}

/* The text of TITLE.KIND.pem likewise. */
static inline char *
case_text(const char *title, const char *kind, size_t *len)
{
	char ending[32];

	snprintf(ending, sizeof(ending), "%s.pem", kind);
	return case_file(title, ending, len);
}

#endif
