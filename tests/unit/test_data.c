/* SPDX-License-Identifier: ISC */
/*
 * The end of a message, against a model that is slow and plain: every string
 * of the bytes that matter, cut everywhere.
 */

#include "proxy/smtp/data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/mutate.h"

#define LEN_MAX 8

static const char alphabet[] = {'\r', '\n', '.', 'a'};

/* What is true of a whole string: its first offence or end, and where. */
struct verdict {
	enum data_result result;
	size_t used;
};

static bool
ends_message(const uint8_t *s, size_t end)
{
	if (end == 3)
		return memcmp(s, ".\r\n", 3) == 0;
	return end >= 5 && memcmp(s + end - 5, "\r\n.\r\n", 5) == 0;
}

static struct verdict
model(const uint8_t *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (s[i] == '\n' && (i == 0 || s[i - 1] != '\r'))
			return (struct verdict){DATA_BARE_LF, i + 1};
		if (i > 0 && s[i - 1] == '\r' && s[i] != '\n')
			return (struct verdict){DATA_BARE_CR, i};
		if (ends_message(s, i + 1))
			return (struct verdict){DATA_END, i + 1};
	}
	if (len > 0 && s[len - 1] == '\r')
		len--;
	return (struct verdict){DATA_MORE, len};
}

/* Where a message ends for one who reads on past its offences; 0: nowhere. */
static size_t
model_end(const uint8_t *s, size_t len)
{
	size_t i;

	for (i = 1; i <= len; i++)
		if (ends_message(s, i))
			return i;
	return 0;
}

/*
 * Feeds s so that it is cut at `cut`, each call getting what the one before
 * left.  Stops at the first result that is not DATA_MORE.
 */
static struct verdict
scan_cut(const uint8_t *s, size_t len, size_t cut)
{
	struct data_scanner scanner;
	struct verdict got = {DATA_MORE, 0};
	size_t used;

	data_scan_init(&scanner);
	got.result = data_scan(&scanner, s, cut, &got.used);
	if (got.result != DATA_MORE)
		return got;
	got.result = data_scan(&scanner, s + got.used, len - got.used, &used);
	got.used += used;
	return got;
}

/* One more byte a call, on past every offence; where the end was, or 0. */
static size_t
scan_bytes(const uint8_t *s, size_t len)
{
	struct data_scanner scanner;
	enum data_result result;
	size_t at = 0, have = 0, used;

	data_scan_init(&scanner);
	while (have <= len) {
		result = data_scan(&scanner, s + at, have - at, &used);
		at += used;
		if (result == DATA_END)
			return at;
		if (result == DATA_MORE)
			have++;
	}
	return 0;
}

static void
check(const uint8_t *s, size_t len)
{
	struct verdict want = model(s, len), got;
	size_t cut;

	for (cut = 0; cut <= len; cut++) {
		got = scan_cut(s, len, cut);
		if (got.result != want.result || got.used != want.used)
			fail_msg("cut %zu of %zu: %d at %zu, not %d at %zu",
			    cut, len, got.result, got.used, want.result,
			    want.used);
	}
	assert_int_equal(scan_bytes(s, len), model_end(s, len));
}

static void
test_every_string(void **state)
{
	uint8_t s[LEN_MAX];
	size_t len, count, i;

	(void)state;
	for (len = 0, count = 1; len <= LEN_MAX; len++, count *= 4)
		for (i = 0; i < count; i++) {
			mutate_nth(s, len, alphabet, 4, i);
			check(s, len);
		}
}

/* CVE-2023-51764 and its kin: what some server took for an end. */
static void
test_row34_smuggling(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		enum data_result want;
	} rows[] = {
#define ROW(text, want) {text, sizeof(text) - 1, want}
	    ROW("a\r\n.\r\n", DATA_END),
	    ROW(".\r\n", DATA_END),
	    ROW("a\n.\nMAIL", DATA_BARE_LF),
	    ROW("a\n.\r\nMAIL", DATA_BARE_LF),
	    ROW("a\r\n.\nMAIL", DATA_BARE_LF),
	    ROW("a\r.\rMAIL", DATA_BARE_CR),
	    ROW("a\r.\r\nMAIL", DATA_BARE_CR),
	    ROW("a\r\n.\rMAIL", DATA_BARE_CR),
	    ROW("a\r\n.\r\r\nMAIL", DATA_BARE_CR),
	    ROW("a\r\r\n.\r\nMAIL", DATA_BARE_CR),
	    ROW("a\r\n\n.\r\nMAIL", DATA_BARE_LF),
	    ROW("a\r\n.\n\r\nMAIL", DATA_BARE_LF),
	    ROW("a\n\r.\r\n", DATA_BARE_LF),
	    ROW("a\r\n\0.\r\nMAIL", DATA_MORE),
	    ROW("a\r\n.\0\r\nMAIL", DATA_MORE),
	    ROW("a\r\0\n.\r\nMAIL", DATA_BARE_CR),
	    ROW("a\r\n..\r\nMAIL", DATA_MORE),
	    ROW("a\r\n. \r\nMAIL", DATA_MORE),
	    ROW("a\r\n .\r\nMAIL", DATA_MORE),
	    ROW("a.\r\nMAIL", DATA_MORE),
	    ROW("a\x85.\x85MAIL", DATA_MORE),
#undef ROW
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint8_t *text = (const uint8_t *)rows[i].text;

		assert_int_equal(model(text, rows[i].len).result, rows[i].want);
		check(text, rows[i].len);
	}
}

/* Lines longer than one search, and a break around its edge. */
static void
test_long_lines(void **state)
{
	static uint8_t s[4096];
	size_t n;

	(void)state;
	for (n = 1000; n < 1050; n++) {
		memset(s, 'a', sizeof(s));
		mutate_put(s + n, "\r\n.\r\n");
		check(s, n + 5);
		s[n + 1] = 'a';
		check(s, n + 5);
		s[n] = '\n';
		check(s, n + 5);
		check(s, n);
	}
}

/* What is behind the end is the next command, and the scanner is ready. */
static void
test_next_message(void **state)
{
	static const uint8_t s[] = "a\r\n.\r\n.\r\nQUIT\r\n";
	struct data_scanner scanner;
	size_t used;

	(void)state;
	data_scan_init(&scanner);
	assert_int_equal(
	    data_scan(&scanner, s, sizeof(s) - 1, &used), DATA_END);
	assert_int_equal(used, 6);
	assert_int_equal(
	    data_scan(&scanner, s + 6, sizeof(s) - 7, &used), DATA_END);
	assert_int_equal(used, 3);
}

static void
test_mutants(void **state)
{
	static const char s[] =
	    "Subject: a\r\n\r\n..dot\r\ntext\r\n.\r\nQUIT\r\n";

	(void)state;
	mutate(s, sizeof(s) - 1, check);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_string),
	    cmocka_unit_test(test_row34_smuggling),
	    cmocka_unit_test(test_long_lines),
	    cmocka_unit_test(test_next_message),
	    cmocka_unit_test(test_mutants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
