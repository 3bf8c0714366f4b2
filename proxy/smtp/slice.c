/* SPDX-License-Identifier: ISC */
/*
 * Slices: ASCII only, whatever the locale.  The owner of the bytes and what
 * they mean are the caller's to know.
 */

#include "proxy/smtp/slice.h"

#include <string.h>
#include <strings.h>

bool
slice_is(struct slice slice, const char *text)
{
	return slice_equal(slice, (struct slice){text, strlen(text)});
}

bool
slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len &&
	       (a.len == 0 || strncasecmp(a.text, b.text, a.len) == 0);
}

bool
slice_has_prefix(struct slice slice, const char *prefix)
{
	size_t len = strlen(prefix);

	return slice.len >= len && strncasecmp(slice.text, prefix, len) == 0;
}

void
slice_skip(struct slice *slice, size_t n)
{
	slice->text += n;
	slice->len -= n;
}

void
slice_trim(struct slice *slice)
{
	while (slice->len > 0 && slice->text[0] == ' ')
		slice_skip(slice, 1);
	while (slice->len > 0 && slice->text[slice->len - 1] == ' ')
		slice->len--;
}

struct slice
slice_word(struct slice *rest)
{
	struct slice word;

	slice_trim(rest);
	word = (struct slice){rest->text, 0};
	while (word.len < rest->len && word.text[word.len] != ' ')
		word.len++;
	slice_skip(rest, word.len);
	slice_trim(rest);
	return word;
}

bool
slice_number(struct slice slice, uint64_t *number)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < slice.len; i++) {
		if (slice.text[i] < '0' || slice.text[i] > '9')
			return false;
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, slice.text[i] - '0', &n))
			return false;
	}
	*number = n;
	return slice.len > 0;
}
