/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_CONFIG_UCL_H
#define POSTERN_CONFIG_UCL_H

/*
 * Text in the Universal Configuration Language, JSON included, read into a
 * tree whose every node knows its line.  Of UCL this is what one file of
 * settings needs: there are no macros, no includes and no variables; a word
 * without quotes holds no spaces; a value begins on the line of its key, but
 * for braces and brackets; a string ends on its line, but for a <<HERE
 * document.  Repeated keys are kept, in their order.
 */

#include <stddef.h>

#define UCL_DEPTH_MAX 16 /* braces and brackets inside each other */
#define UCL_ERROR_MAX 160

enum ucl_type {
	UCL_OBJECT,
	UCL_ARRAY,
	UCL_STRING, /* quoted, or a <<HERE document */
	UCL_WORD, /* without quotes: a word, a number, true, false */
};

struct ucl_node {
	enum ucl_type type;
	char *key; /* owned; NULL in an array, and at the top */
	char *text; /* owned; strings and words: the value */
	unsigned int line; /* of the key; in an array, of the value */
	struct ucl_node *first; /* owned; what an object or array holds */
	struct ucl_node *last;
	struct ucl_node *next;
};

/*
 * ucl_parse returns the object that the text is, `section "name" {...}` being
 * read as `section { "name" {...} }`; ucl_node_free frees it.  NULL: error
 * says why, and *line where.
 */
struct ucl_node *ucl_parse(const char *text, size_t len, unsigned int *line,
    char error[UCL_ERROR_MAX]);
void ucl_node_free(struct ucl_node *);
/* This node and those after it. */
size_t ucl_node_count(const struct ucl_node *);

#endif
