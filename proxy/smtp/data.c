/* SPDX-License-Identifier: ISC */
/*
 * The end of a message and the offences within it.  Every byte of a message
 * passes here, so lines are crossed with memchr, twice over each byte: for
 * the LF, and for a CR before its time.
 */

#include "proxy/smtp/data.h"

#include <string.h>

/*
 * How far one search goes.  A message of nothing but offences costs at most
 * this much for each of them while it is scanned to its end.
 */
#define WINDOW 1024

void
data_scan_init(struct data_scanner *scanner)
{
	scanner->place = DATA_AT_START;
}

/* The first CR or LF from i on, or else a place further on, at most len. */
static size_t
next_break(const uint8_t *data, size_t i, size_t len)
{
	size_t n = len - i < WINDOW ? len - i : WINDOW;
	const uint8_t *at;

	if (n == 0)
		return len;
	if ((at = memchr(data + i, '\n', n)) != NULL)
		n = at - (data + i);
	if ((at = memchr(data + i, '\r', n)) != NULL)
		n = at - (data + i);
	return i + n;
}

/* Not the end of a line, so that what follows is not the start of one. */
static enum data_result
offence(struct data_scanner *scanner, enum data_result result)
{
	scanner->place = DATA_IN_LINE;
	return result;
}

enum data_result
data_scan(
    struct data_scanner *scanner, const uint8_t *data, size_t len, size_t *used)
{
	size_t i = 0, start;

	for (;;) {
		if (i < len && data[i] == '.' &&
		    scanner->place == DATA_AT_START) {
			scanner->place = DATA_AFTER_DOT;
			i++;
		}
		start = i;
		i = next_break(data, i, len);
		if (i > start)
			scanner->place = DATA_IN_LINE;
		*used = i;
		if (i == len || (data[i] == '\r' && i + 1 == len))
			return DATA_MORE;
		if (data[i] != '\r' && data[i] != '\n')
			continue;
		*used = i + 1;
		if (data[i] == '\n')
			return offence(scanner, DATA_BARE_LF);
		if (data[i + 1] != '\n')
			return offence(scanner, DATA_BARE_CR);
		i += 2;
		*used = i;
		if (scanner->place == DATA_AFTER_DOT) {
			data_scan_init(scanner);
			return DATA_END;
		}
		scanner->place = DATA_AT_START;
	}
}
