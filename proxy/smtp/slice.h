/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_SLICE_H
#define POSTERN_SLICE_H

/*
 * A piece of a line that belongs to somebody else, and what parsers of SMTP
 * ask of one.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes, without a NUL at their end. */
struct slice {
	const char *text;
	size_t len;
};

/* slice_is compares without regard to case. */
bool slice_is(struct slice, const char *);

/* slice_equal likewise. */
bool slice_equal(struct slice, struct slice);

/* slice_has_prefix likewise compares the first bytes. */
bool slice_has_prefix(struct slice, const char *);

/* slice_skip drops n bytes (n <= len) from the front. */
void slice_skip(struct slice *, size_t n);

/* slice_trim drops the spaces at both ends. */
void slice_trim(struct slice *);

/*
 * slice_word takes the bytes before the next space off the front and leaves
 * the rest trimmed.  Returns an empty slice where only spaces were left.
 */
struct slice slice_word(struct slice *);

/*
 * slice_number reads decimal digits and nothing else.  Returns false where
 * there are none, or more than 64 bits hold.
 */
bool slice_number(struct slice, uint64_t *);

#endif
