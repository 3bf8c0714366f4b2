/* SPDX-License-Identifier: ISC */
/*
 * Words into lines.
 */

#include "proxy/probe_text.h"

#include <stdarg.h>
#include <string.h>

#define WIDTH 79
#define MORE  4 /* columns that further lines of a paragraph are indented by */

void
probe_text_put(FILE *out, enum probe_column indent, const char *format, ...)
{
	char text[PROBE_LINE_MAX];
	const char *word = text;
	int column = (int)indent, len;
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	fprintf(out, "%*s", column, "");
	for (; *word != '\0'; word += len + (word[len] == ' ')) {
		len = (int)strcspn(word, " ");
		if (word != text && column + 1 + len > WIDTH) {
			column = (int)indent + MORE;
			fprintf(out, "\n%*s", column, "");
		} else if (word != text) {
			putc(' ', out);
			column++;
		}
		fprintf(out, "%.*s", len, word);
		column += len;
	}
	putc('\n', out);
}

const char *
probe_text_hex(const uint8_t *data, size_t len, char *out, size_t size)
{
	size_t i;

	out[0] = '\0';
	for (i = 0; i < len && 2 * i + 3 <= size; i++)
		snprintf(out + 2 * i, 3, "%02x", data[i]);
	return out;
}

const char *
probe_text_signed(bool is_secure)
{
	return is_secure ? "signed" : "not signed";
}
