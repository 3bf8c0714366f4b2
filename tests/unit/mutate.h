/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_TEST_MUTATE_H
#define POSTERN_TEST_MUTATE_H

/*
 * Spoilt copies of a good input, for a parser to survive.  Each is in a block
 * of its own size, so that a sanitizer sees a read past either end.
 */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline void
mutate_copy(const void *data, size_t len, size_t flip,
    void (*try)(const uint8_t *, size_t))
{
	uint8_t *copy = malloc(len > 0 ? len : 1);

	assert(copy != NULL);
	memcpy(copy, data, len);
	if (flip < len * 8)
		copy[flip / 8] ^= 1 << flip % 8;
	try(copy, len);
	free(copy);
}

/* Every single bit flipped, then the end cut off at every byte. */
static inline void
mutate(const void *data, size_t len, void (*try)(const uint8_t *, size_t))
{
	size_t i;

	for (i = 0; i < len * 8; i++)
		mutate_copy(data, len, i, try);
	for (i = 0; i <= len; i++)
		mutate_copy(data, i, SIZE_MAX, try);
}

/*
 * The number-th string of len characters out of an alphabet: counting through
 * all of them leaves no case out.
 */
static inline void
mutate_nth(uint8_t *out, size_t len, const char *alphabet, size_t letters,
    size_t number)
{
	size_t i;

	for (i = 0; i < len; i++, number /= letters)
		out[i] = alphabet[number % letters];
}

/* Overwrites bytes with a text, less its NUL. */
static inline void
mutate_put(void *out, const char *text)
{
	char *byte = out;

	while (*text != '\0')
		*byte++ = *text++;
}

#endif
