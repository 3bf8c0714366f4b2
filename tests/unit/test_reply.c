/* SPDX-License-Identifier: ISC */
/* Replies: what a server may say, cut everywhere, and what we say ourselves. */

#include "proxy/smtp/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/mutate.h"

#define STRING(text) text, sizeof(text) - 1

struct row {
	const char *text;
	size_t len;
	enum reply_result want;
	int code; /* READY */
	size_t lines;
	size_t left_over; /* bytes that are not the reply's */
};

static const struct row rows[] = {
    {STRING("220 mx.example ESMTP\r\n"), REPLY_READY, 220, 1, 0},
    {STRING("250-mx.example\r\n250-SIZE 1\r\n250 DSN\r\n"), REPLY_READY, 250, 3,
	0},
    {STRING("250\r\n"), REPLY_READY, 250, 1, 0},
    {STRING("250 \r\n"), REPLY_READY, 250, 1, 0},
    {STRING("250-\r\n250\r\n"), REPLY_READY, 250, 2, 0},
    {STRING("250-a\r\n250-\r\n250 b\r\n"), REPLY_READY, 250, 3, 0},
    {STRING("550 5.1.1 \xe4\xf6\tno such user\r\n"), REPLY_READY, 550, 1, 0},
    {STRING("599 x\r\n"), REPLY_READY, 599, 1, 0},
    {STRING("200 x\r\n"), REPLY_READY, 200, 1, 0},
    /* A second reply is another's: row 3, CVE-2021-38371. */
    {STRING("220 go\r\n250 injected\r\n"), REPLY_READY, 220, 1, 14},
    {STRING("220 go\r\n250-X"), REPLY_READY, 220, 1, 5},
    {STRING(""), REPLY_MORE, 0, 0, 0},
    {STRING("2"), REPLY_MORE, 0, 0, 0},
    {STRING("250"), REPLY_MORE, 0, 0, 0},
    {STRING("250 a"), REPLY_MORE, 0, 0, 0},
    {STRING("250 a\r"), REPLY_MORE, 0, 0, 0},
    {STRING("250-a\r\n"), REPLY_MORE, 0, 0, 0},
    {STRING("250-a\r\n250"), REPLY_MORE, 0, 0, 0},
};

static const struct row bad_rows[] = {
#define BAD(text)                                                              \
	{                                                                      \
		STRING(text), REPLY_BAD, 0, 0, 0                               \
	}
    BAD("\r\n"),
    BAD("\n"),
    BAD(" 250 a\r\n"),
    BAD("25\r\n"),
    BAD("25 a\r\n"),
    BAD("2x0 a\r\n"),
    BAD("2500 a\r\n"),
    BAD("250+a\r\n"),
    BAD("250\ta\r\n"),
    BAD("199 a\r\n"),
    BAD("100-a\r\n"),
    BAD("600 a\r\n"),
    BAD("000 a\r\n"),
    BAD("-20 a\r\n"),
    BAD("250 a\n"),
    BAD("250\n"),
    BAD("250-a\n250 b\r\n"),
    BAD("250 a\rb\r\n"),
    BAD("250 a\r\r\n"),
    BAD("250\r \n"),
    BAD("250 a\0b\r\n"),
    BAD("250 a\x1b]0;b\r\n"),
    BAD("250 a\x7f\r\n"),
    /* Row 35: the code changes within the reply, or is not there. */
    BAD("250-a\r\n251 b\r\n"),
    BAD("250-a\r\n550 b\r\n"),
    BAD("250-a\r\n\r\n"),
    BAD("250-a\r\n25\r\n"),
    BAD("250-a\r\n b\r\n"),
    BAD("HTTP/1.1 400 Bad Request\r\n"),
    BAD("\x16\x03\x01"),
    BAD("\xff\xfb\x01"),
#undef BAD
};

/* Fed as two blocks; whatever is not taken of the first comes again. */
static void
feed_cut(const uint8_t *data, size_t len, size_t cut, struct reply *reply,
    size_t *used)
{
	size_t more;

	reply_init(reply);
	if (reply_feed(reply, data, cut, used) == REPLY_MORE)
		assert_int_equal(*used, cut);
	reply_feed(reply, data + *used, len - *used, &more);
	*used += more;
}

static void
check_row(const struct row *row)
{
	uint8_t *data = malloc(row->len + 1);
	struct reply reply;
	size_t cut, used;

	memcpy(data, row->text, row->len);
	for (cut = 0; cut <= row->len; cut++) {
		feed_cut(data, row->len, cut, &reply, &used);
		if (reply.result != row->want)
			fail_msg("%s: %d (%s)", row->text, reply.result,
			    reply.reason);
		if (row->want == REPLY_READY) {
			assert_int_equal(reply.code, row->code);
			assert_int_equal(reply.line_count, row->lines);
			assert_int_equal(row->len - used, row->left_over);
			assert_int_equal(buf_len(&reply.text), used);
			assert_memory_equal(
			    buf_data(&reply.text), row->text, used);
		}
		if (row->want == REPLY_BAD) {
			assert_int_equal(reply.code, 0);
			assert_int_equal(reply.line_count, 0);
			assert_int_equal(buf_len(&reply.text), 0);
		}
		assert_true((reply.reason != NULL) == (row->want == REPLY_BAD));
		reply_clear(&reply);
	}
	free(data);
}

static void
test_replies(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_row(&rows[i]);
}

static void
test_row35_bad_replies(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++)
		check_row(&bad_rows[i]);
}

/* A finished or broken reply takes nothing more until it is cleared. */
static void
test_result_stays(void **state)
{
	struct reply reply;
	size_t used;

	(void)state;
	reply_init(&reply);
	reply_feed(&reply, (const uint8_t *)"250 a\r\n", 7, &used);
	assert_int_equal(
	    reply_feed(&reply, (const uint8_t *)"x", 1, &used), REPLY_READY);
	assert_int_equal(used, 0);
	assert_int_equal(buf_len(&reply.text), 7);
	reply_clear(&reply);
	assert_int_equal(
	    reply_feed(&reply, (const uint8_t *)"x", 1, &used), REPLY_BAD);
	assert_int_equal(
	    reply_feed(&reply, (const uint8_t *)"250 a\r\n", 7, &used),
	    REPLY_BAD);
	assert_int_equal(used, 0);
	reply_clear(&reply);
	assert_int_equal(
	    reply_feed(&reply, (const uint8_t *)"250 a\r\n", 7, &used),
	    REPLY_READY);
	reply_clear(&reply);
}

/* Feeds the same line until the reply ends; returns how many it took. */
static size_t
feed_forever(const char *line, size_t len, struct reply *reply)
{
	size_t n, used;

	reply_init(reply);
	for (n = 1; n < 1000000; n++)
		if (reply_feed(reply, (const uint8_t *)line, len, &used) !=
		    REPLY_MORE)
			break;
	return n;
}

static void
test_limits(void **state)
{
	char line[LINE_REPLY_MAX + 1];
	struct reply reply;
	size_t used;

	(void)state;
	assert_int_equal(
	    feed_forever(STRING("250-\r\n"), &reply), REPLY_LINES_MAX);
	assert_int_equal(reply.result, REPLY_BAD);
	assert_string_equal(reply.reason, "reply of too many lines");
	reply_clear(&reply);

	/* Row 36: a megabyte is never held, in one line or in many. */
	memset(line, 'a', sizeof(line));
	mutate_put(line, "250-");
	mutate_put(line + LINE_REPLY_MAX - 2, "\r\n");
	assert_int_equal(feed_forever(line, LINE_REPLY_MAX, &reply),
	    REPLY_BYTES_MAX / LINE_REPLY_MAX + 1);
	assert_string_equal(reply.reason, "reply too long");
	reply_clear(&reply);

	line[3] = ' ';
	assert_int_equal(
	    reply_feed(&reply, (const uint8_t *)line, LINE_REPLY_MAX, &used),
	    REPLY_READY);
	reply_clear(&reply);
	line[LINE_REPLY_MAX - 2] = 'a';
	assert_int_equal(reply_feed(&reply, (const uint8_t *)line,
			     LINE_REPLY_MAX - 1, &used),
	    REPLY_BAD);
	assert_string_equal(reply.reason, "reply line too long");
	reply_clear(&reply);
}

static void
read_reply(struct reply *reply, const char *text)
{
	size_t used;

	reply_init(reply);
	assert_int_equal(
	    reply_feed(reply, (const uint8_t *)text, strlen(text), &used),
	    REPLY_READY);
	assert_int_equal(used, strlen(text));
}

static void
check_line(const struct reply *reply, size_t i, const char *want)
{
	size_t len;
	const char *text = reply_text_line(reply, i, &len);

	if (want == NULL) {
		assert_null(text);
		assert_int_equal(len, 0);
		return;
	}
	assert_int_equal(len, strlen(want));
	assert_memory_equal(text, want, len);
}

static void
test_text_line(void **state)
{
	struct reply reply;
	size_t len;

	(void)state;
	read_reply(&reply, "250-one two\r\n250-\r\n250- x\r\n250\r\n");
	check_line(&reply, 0, "one two");
	check_line(&reply, 1, "");
	check_line(&reply, 2, " x");
	check_line(&reply, 3, "");
	check_line(&reply, 4, NULL);
	check_line(&reply, SIZE_MAX, NULL);
	reply_clear(&reply);
	check_line(&reply, 0, NULL);
	/* A line is there once its end is. */
	reply_feed(&reply, (const uint8_t *)"250-a\r\n250-b\r", 13, &len);
	check_line(&reply, 0, "a");
	check_line(&reply, 1, NULL);
	reply_clear(&reply);
}

static void
test_enhanced(void **state)
{
	static const struct {
		const char *text, *want;
	} enhanced[] = {
	    {"250 2.1.0 ok\r\n", "2.1.0"},
	    {"250 2.1.0\r\n", "2.1.0"},
	    {"550-5.1.1 no\r\n550 5.1.2 such user\r\n", "5.1.2"},
	    {"450 4.123.456 x\r\n", "4.123.456"},
	    {"550-5.1.1 no\r\n550 such user\r\n", ""},
	    {"250 5.1.1 x\r\n", ""},
	    {"200 2.1.1\r\n", "2.1.1"},
	    {"400 4.1.1\r\n", "4.1.1"},
	    {"500 5.1.1\r\n", "5.1.1"},
	    {"599 5.1.1\r\n", "5.1.1"},
	    {"354 3.1.1 x\r\n", ""},
	    {"250 2.1 x\r\n", ""},
	    {"250 2.1. x\r\n", ""},
	    {"250 2..1 x\r\n", ""},
	    {"250 2.1.0x\r\n", ""},
	    {"250 2.1.0.1 x\r\n", ""},
	    {"250 2.1234.1 x\r\n", ""},
	    {"250 2.1.1234 x\r\n", ""},
	    {"250 2.123.4567 x\r\n", ""},
	    {"250 2.10\r\n", ""},
	    {"250 2\r\n", ""},
	    {"250  2.1.0\r\n", ""},
	    {"250\r\n", ""},
	};
	char out[REPLY_ENHANCED_MAX];
	struct reply reply;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(enhanced) / sizeof(enhanced[0]); i++) {
		read_reply(&reply, enhanced[i].text);
		assert_int_equal(
		    reply_enhanced(&reply, out), enhanced[i].want[0] != '\0');
		assert_string_equal(out, enhanced[i].want);
		reply_clear(&reply);
	}
	out[0] = 'X';
	assert_false(reply_enhanced(&reply, out));
	assert_string_equal(out, "");
	reply_feed(&reply, (const uint8_t *)"250-2.1.0 x\r\n", 13, &i);
	assert_false(reply_enhanced(&reply, out));
	reply_clear(&reply);
}

static void
try_reply(const uint8_t *data, size_t len)
{
	char out[REPLY_ENHANCED_MAX];
	struct reply whole, cut;
	size_t used, at, i, n;

	reply_init(&whole);
	reply_feed(&whole, data, len, &used);
	for (i = 0; i < whole.line_count; i++)
		assert_non_null(reply_text_line(&whole, i, &n));
	reply_enhanced(&whole, out);
	for (i = 0; i <= len; i += 7) {
		feed_cut(data, len, i, &cut, &at);
		assert_int_equal(cut.result, whole.result);
		assert_int_equal(cut.line_count, whole.line_count);
		assert_int_equal(at, used);
		reply_clear(&cut);
	}
	reply_clear(&whole);
}

static void
test_mutants(void **state)
{
	static const char s[] =
	    "250-mx.example.org\r\n250-\r\n250-SIZE 1\r\n250 2.1.0 x\r\n250 ";

	(void)state;
	mutate(s, sizeof(s) - 1, try_reply);
}

/*
 * What we write is a reply by our own reading, of lines that may be sent.
 * Collects its text, less the enhanced codes and spaces, in joined.
 */
static void
read_own(const char *text, size_t len, char *joined)
{
	struct reply reply;
	size_t used, i, j, n;
	const char *line;

	assert_int_equal(strlen(text), len);
	reply_init(&reply);
	assert_int_equal(
	    reply_feed(&reply, (const uint8_t *)text, len, &used), REPLY_READY);
	assert_int_equal(used, len);
	assert_int_equal(reply.code, 451);
	for (i = 0; i < reply.line_count; i++) {
		line = reply_text_line(&reply, i, &n);
		assert_in_range(n, 7, 512 - 6);
		assert_memory_equal(line, "4.7.5 ", 6);
		assert_int_not_equal(line[6], ' ');
		for (j = 6; j < n; j++)
			if (line[j] != ' ')
				*joined++ = line[j];
	}
	*joined = '\0';
	reply_clear(&reply);
}

static void
test_format(void **state)
{
	char out[REPLY_FORMAT_MAX];
	size_t len;

	(void)state;
	len = reply_format(out, sizeof(out), 354, NULL, "go %s", "on");
	assert_string_equal(out, "354 go on\r\n");
	assert_int_equal(len, 11);
	reply_format(out, sizeof(out), 451, "4.7.5", "%s[%d]", "mx", 9);
	assert_string_equal(out, "451 4.7.5 mx[9]\r\n");
	reply_format(out, sizeof(out), 451, "4.123.456", "x");
	assert_string_equal(out, "451 4.123.456 x\r\n");
	reply_format(out, sizeof(out), 550, "5.1.1", "%s", "");
	assert_string_equal(out, "550 5.1.1 \r\n");
	/* Nothing from the network ends our line or speaks to a terminal. */
	reply_format(
	    out, sizeof(out), 451, "4.7.5", "%s", "a\r\n250 \x1b]0;\xc3\xa9");
	assert_string_equal(
	    out, "451 4.7.5 a\\x0d\\x0a250 \\x1b]0;\\xc3\\xa9\r\n");
}

/* Words, or none to fold between, at every length around the folds. */
static void
test_format_long(void **state)
{
	char out[REPLY_FORMAT_MAX], text[1024], want[1024], joined[1024];
	size_t len, n, i;
	bool has_words;

	(void)state;
	for (len = 1; len < sizeof(text); len++) {
		has_words = len % 2 == 0;
		n = 0;
		for (i = 0; i < len; i++) {
			text[i] = has_words && i % 7 == 6 ? ' ' : 'a' + i % 26;
			if (text[i] != ' ')
				want[n++] = text[i];
		}
		text[len] = want[n] = '\0';
		n = reply_format(out, sizeof(out), 451, "4.7.5", "%s", text);
		read_own(out, n, joined);
		assert_string_equal(joined, want);
	}
}

/* Words stay whole where they can, and a line is filled before it ends. */
static void
test_format_fold(void **state)
{
	char out[REPLY_FORMAT_MAX], words[505], want[600];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(words); i++)
		words[i] = i % 10 == 9 ? ' ' : 'a';
	words[500] = '\0';
	words[499] = 'a';
	/* 12 of "451 4.7.5 " and CRLF, 500 of text: as much as there may be */
	snprintf(want, sizeof(want), "451 4.7.5 %s\r\n", words);
	reply_format(out, sizeof(out), 451, "4.7.5", "%s", words);
	assert_string_equal(out, want);
	snprintf(want, sizeof(want), "451-4.7.5 %.489s\r\n451 4.7.5 %s\r\n",
	    words, "aaaaaaaaaab");
	reply_format(out, sizeof(out), 451, "4.7.5", "%sb", words);
	assert_string_equal(out, want);
}

/* Room for less than all of it, down to none: the form stays. */
static void
test_format_cut(void **state)
{
	char out[1200], joined[1200], text[1000];
	size_t size, n;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	for (size = 1; size <= sizeof(out); size++) {
		memset(out, 'X', sizeof(out));
		n = reply_format(out, size, 451, "4.7.5", "%s", text);
		assert_true(n < size);
		assert_int_equal(out[n], '\0');
		if (size < sizeof(out))
			assert_int_equal(out[size], 'X');
		if (n == 0) {
			assert_true(size <= strlen("451 4.7.5 \r\n") + 1);
			continue;
		}
		read_own(out, n, joined);
		assert_int_equal(strspn(joined, "a"), strlen(joined));
	}
	read_own(out, n, joined);
	assert_string_equal(joined, text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_replies),
	    cmocka_unit_test(test_row35_bad_replies),
	    cmocka_unit_test(test_result_stays),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_text_line),
	    cmocka_unit_test(test_enhanced),
	    cmocka_unit_test(test_mutants),
	    cmocka_unit_test(test_format),
	    cmocka_unit_test(test_format_long),
	    cmocka_unit_test(test_format_fold),
	    cmocka_unit_test(test_format_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
