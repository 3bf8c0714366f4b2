/* SPDX-License-Identifier: ISC */
/* Lines: what ends one, what spoils one, wherever the bytes were cut. */

#include "proxy/smtp/line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/mutate.h"

#define LEN_MAX 7
#define MAX     5 /* of a line, in the exhaustive test */

static const char alphabet[] = {'\r', '\n', '\0', 'a'};

/* The first event of a string by its position, the slow and plain way. */
static enum line_result
model(const uint8_t *s, size_t len, size_t max, size_t *at)
{
	size_t i;

	for (i = 0; i < len; i++) {
		*at = i;
		if (i + 2 > max)
			return LINE_TOO_LONG;
		if (s[i] == '\n')
			return LINE_BARE_LF;
		if (s[i] == '\0')
			return LINE_NUL;
		if (s[i] == '\r' && i + 1 < len)
			return s[i + 1] == '\n' ? LINE_READY : LINE_BARE_CR;
	}
	/* A CR may be half of the end; the rest is text. */
	*at = len;
	if (len > 0 && s[len - 1] == '\r')
		len--;
	return len + 2 > max ? LINE_TOO_LONG : LINE_MORE;
}

static void
check(const uint8_t *s, size_t len, size_t max)
{
	enum line_result want, got;
	struct line line;
	size_t at;

	want = model(s, len, max, &at);
	got = line_next(s, len, max, &line);
	assert_int_equal(got, want);
	if (got == LINE_READY) {
		assert_ptr_equal(line.text, s);
		assert_int_equal(line.len, at);
		assert_int_equal(line.used, at + 2);
		return;
	}
	assert_null(line.text);
	if (got == LINE_MORE)
		assert_int_equal(line.used, 0);
	else
		assert_int_equal(
		    line.used, got == LINE_TOO_LONG ? max - 1 : at + 1);
}

static void
test_every_string(void **state)
{
	uint8_t s[LEN_MAX];
	size_t len, count, i, cut;
	enum line_result whole, part;
	struct line line;

	(void)state;
	for (len = 0, count = 1; len <= LEN_MAX; len++, count *= 4)
		for (i = 0; i < count; i++) {
			mutate_nth(s, len, alphabet, 4, i);
			whole = line_next(s, len, MAX, &line);
			for (cut = 0; cut <= len; cut++) {
				check(s, cut, MAX);
				part = line_next(s, cut, MAX, &line);
				if (part != LINE_MORE)
					assert_int_equal(part, whole);
			}
		}
}

static void
test_limits(void **state)
{
	static uint8_t s[LINE_AUTH_MAX + 2];
	static const size_t limits[] = {
	    LINE_COMMAND_MAX, LINE_REPLY_MAX, LINE_AUTH_MAX};
	struct line line;
	size_t i, max;

	(void)state;
	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		max = limits[i];
		memset(s, 'a', sizeof(s));
		mutate_put(s + max - 2, "\r\n");
		assert_int_equal(line_next(s, max, max, &line), LINE_READY);
		assert_int_equal(line.len, max - 2);
		s[max - 2] = 'a';
		mutate_put(s + max - 1, "\r\n");
		assert_int_equal(
		    line_next(s, max + 1, max, &line), LINE_TOO_LONG);
	}
}

/* Skipping takes up where the error left off, and ends behind the CRLF. */
static void
test_skip_every_string(void **state)
{
	uint8_t s[LEN_MAX];
	size_t len, count, i, cut, used, more, want;
	const uint8_t *end;
	bool is_found;

	(void)state;
	for (len = 0, count = 1; len <= LEN_MAX; len++, count *= 4)
		for (i = 0; i < count; i++) {
			mutate_nth(s, len, alphabet, 4, i);
			end = memmem(s, len, "\r\n", 2);
			want = end != NULL ? (size_t)(end + 2 - s) : len;
			for (cut = 0; cut <= len; cut++) {
				is_found = line_skip(s, cut, &used);
				more = 0;
				if (!is_found)
					is_found = line_skip(
					    s + used, len - used, &more);
				assert_int_equal(is_found, end != NULL);
				if (end == NULL && len > 0 &&
				    s[len - 1] == '\r')
					more++; /* held back */
				assert_int_equal(used + more, want);
			}
		}
}

static void
test_skip_after_error(void **state)
{
	static const char s[] = "aaaa\r\nNOOP\r\n";
	const uint8_t *data = (const uint8_t *)s;
	struct line line;
	size_t used;

	(void)state;
	assert_int_equal(
	    line_next(data, sizeof(s) - 1, MAX, &line), LINE_TOO_LONG);
	assert_true(
	    line_skip(data + line.used, sizeof(s) - 1 - line.used, &used));
	assert_memory_equal(data + line.used + used, "NOOP", 4);
}

static void
try_line(const uint8_t *data, size_t len)
{
	check(data, len, 16);
	check(data, len, LINE_COMMAND_MAX);
}

static void
test_mutants(void **state)
{
	static const char s[] = "MAIL FROM:<a@example.org>\r\nRSET\r\n";

	(void)state;
	mutate(s, sizeof(s) - 1, try_line);
}

static void
test_text(void **state)
{
	(void)state;
	assert_string_equal(line_result_text(LINE_BARE_LF), "bare LF");
	assert_string_equal(line_result_text(LINE_TOO_LONG), "line too long");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_string),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_skip_every_string),
	    cmocka_unit_test(test_skip_after_error),
	    cmocka_unit_test(test_mutants),
	    cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
