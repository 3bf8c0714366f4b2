/* SPDX-License-Identifier: ISC */
/* RFC 8461's two texts: what the grammars allow, what they do not. */

#include "proxy/policy/sts_policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/mutate.h"

#define ID32   "0123456789abcdefghijABCDEFGHIJ01"
#define NAME32 "a123456789abcdefghijABCDEFGHIJ_-"

static const struct {
	const char *text;
	int result;
	const char *id;
} records[] = {
    {"v=STSv1; id=20160831085700Z;", 1, "20160831085700Z"},
    {"v=STSv1;id=1", 1, "1"},
    {"v=STSv1 \t;\t id=1 \t; ", 1, "1"},
    {"v=STSv1; id=" ID32, 1, ID32},
    {"v=STSv1; id=" ID32 "x", -1, ""},
    {"v=STSv1; id=1; ext=!a:z~", 1, "1"},
    {"v=STSv1; ext=a; id=1", 1, "1"},
    {"v=STSv1; id=1; ext=", 1, "1"}, /* a tolerance */
    {"v=STSv1; ext=; id=1;", 1, "1"},
    {"v=STSv1; " NAME32 "=a; id=1", 1, "1"},
    {"v=STSv1; " NAME32 "x=a; id=1", -1, ""},
    {"v=STSv1; id=1; id=2", 1, "1"},
    {"v=STSv1; id=1; id=+", 1, "1"},
    {"v=STSv1; id=+; id=1", -1, ""},
    {"v=STSv1; id=1; v=STSv2", 1, "1"},
    /* None of MTA-STS's. */
    {"", 0, ""},
    {"v=STSv1", 0, ""},
    {"v=STSv1 ", 0, ""},
    {"v=STSv1 id=1", 0, ""},
    {"v=STSv10; id=1", 0, ""},
    {"v=STSv2; id=1", 0, ""},
    {"V=STSv1; id=1", 0, ""},
    {"v=stsv1; id=1", 0, ""},
    {"v = STSv1; id=1", 0, ""},
    {" v=STSv1; id=1", 0, ""},
    {"id=1; v=STSv1", 0, ""},
    {"v=spf1 -all", 0, ""},
    /* Malformed. */
    {"v=STSv1;", -1, ""},
    {"v=STSv1; ", -1, ""},
    {"v=STSv1;; id=1", -1, ""},
    {"v=STSv1; id=1;;", -1, ""},
    {"v=STSv1; id=1 ", -1, ""},
    {"v=STSv1; id=", -1, ""},
    {"v=STSv1; id", -1, ""},
    {"v=STSv1; id =1", -1, ""},
    {"v=STSv1; id= 1", -1, ""},
    {"v=STSv1; ID=1", -1, ""},
    {"v=STSv1; id=a-b", -1, ""},
    {"v=STSv1; id=a b", -1, ""},
    {"v=STSv1; id=1; ext", -1, ""},
    {"v=STSv1; id=1; ext=a=b", -1, ""},
    {"v=STSv1; id=1; _ext=a", -1, ""},
    {"v=STSv1; id=1; ext=\x80", -1, ""},
    {"v=STSv1; id=1\n", -1, ""},
    {"v=STSv1; ext=a", -1, ""},
};

static void
test_records(void **state)
{
	char id[STS_ID_MAX + 1];
	size_t i;
	int result;

	(void)state;
	for (i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		result = sts_id_from_txt((const uint8_t *)records[i].text,
		    strlen(records[i].text), id);
		if (result != records[i].result ||
		    strcmp(id, records[i].id) != 0)
			fail_msg(
			    "\"%s\": %d \"%s\"", records[i].text, result, id);
	}
	/* A NUL ends nothing. */
	assert_int_equal(
	    sts_id_from_txt((const uint8_t *)"v=STSv1; id=1\0", 14, id), -1);
	assert_int_equal(
	    sts_id_from_txt((const uint8_t *)"v=STSv1\0; id=1", 14, id), 0);
}

static void
try_record(const uint8_t *text, size_t len)
{
	char id[STS_ID_MAX + 1];
	int result;

	result = sts_id_from_txt(text, len, id);
	assert_int_equal(result == 1, id[0] != '\0');
	assert_true(strspn(id, "0123456789abcdefghijklmnopqrstuvwxyz"
			       "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(id));
}

static void
test_spoilt_records(void **state)
{
	static const char text[] = "v=STSv1 ; ext=a; id=0123abcXYZ ; ";

	(void)state;
	mutate(text, sizeof(text) - 1, try_record);
}

static const char good[] = "version: STSv1\r\n"
			   "mode: enforce\r\n"
			   "mx: Mail.Example.com\r\n"
			   "mx: *.example.NET\r\n"
			   "mx: backup_1.example.com\r\n"
			   "max_age: 604800\r\n";

static struct sts_policy policy;

static const char *
parse(const char *text, size_t len)
{
	const char *why;
	int result;

	result = sts_policy_parse(&policy, text, len, &why);
	assert_int_equal(result, why == NULL ? 0 : -1);
	return why;
}

static void
test_policy(void **state)
{
	(void)state;
	assert_null(parse(good, sizeof(good) - 1));
	assert_int_equal(policy.mode, STS_ENFORCE);
	assert_int_equal(policy.max_age, 604800);
	assert_int_equal(policy.mx_count, 3);
	assert_string_equal(policy.mx[0], "mail.example.com");
	assert_string_equal(policy.mx[1], "*.example.net");
	assert_string_equal(policy.mx[2], "backup_1.example.com");
}

#define HEAD "version: STSv1\nmode: testing\n"
#define TAIL "mx: a.example\nmax_age: 1"

static const char *const valid[] = {
    HEAD TAIL,
    HEAD TAIL "\n",
    TAIL "\r\n" HEAD, /* in any order */
    "version:STSv1\nmode:\t testing \t\nmx:a.example\nmax_age:1",
    HEAD TAIL "\nkey: value",
    HEAD TAIL "\nkey: a \xc3\xa4 \xe2\x82\xac \xf0\x9f\x93\xa7 z",
    HEAD TAIL "\n" NAME32 ": a:b",
    HEAD TAIL "\n\r\n\n \n", /* a tolerance, as are the next */
    HEAD TAIL "\nkey:",
    HEAD "key: \r\n" TAIL,
    /* The first one counts. */
    HEAD TAIL "\nversion: STSv2\nmode: other\nmax_age: never",
};

static const struct {
	const char *text;
	const char *why;
} invalid[] = {
    {"", "it has no version"},
    {"mode: none\nmax_age: 1", "it has no version"},
    {"version: STSv1\n" TAIL, "it has no mode"},
    {"version: STSv1\nMode: enforce\n" TAIL, "it has no mode"},
    {HEAD "mx: a.example", "it has no max_age"},
    {HEAD "max_age: 1", "it has no mx line"},
    {"version: STSv2\nversion: STSv1\nmode: testing\n" TAIL,
	"its version is not STSv1"},
    {"version: stsv1\nmode: testing\n" TAIL, "its version is not STSv1"},
    {"version: STSv1\nmode: Enforce\n" TAIL,
	"its mode is none of enforce, testing, none"},
    {HEAD "mx: a.example\nmax_age: -1",
	"its max_age is not a number of 1 to 10 digits"},
    {HEAD "mx: a.example\nmax_age: 00000000001",
	"its max_age is not a number of 1 to 10 digits"},
    {HEAD "mx: a.example\nmax_age: 1 d",
	"its max_age is not a number of 1 to 10 digits"},
    {HEAD TAIL "\nkey", "a line is not \"key: value\""},
    {HEAD TAIL "\n: value", "a line is not \"key: value\""},
    {HEAD TAIL "\nkey : value", "a line is not \"key: value\""},
    {HEAD TAIL "\n key: value", "a line is not \"key: value\""},
    {HEAD TAIL "\n" NAME32 "x: value", "a line is not \"key: value\""},
    {"\xef\xbb\xbf" HEAD TAIL, "a line is not \"key: value\""},
    {"<!DOCTYPE html>\n", "a line is not \"key: value\""},
    {"version:\nmode: testing\n" TAIL, "its version is not STSv1"},
    {"version: STSv1\nmode:\n" TAIL,
	"its mode is none of enforce, testing, none"},
    {HEAD "mx: a.example\nmax_age:",
	"its max_age is not a number of 1 to 10 digits"},
    {HEAD "mx: a\x01.example\n" TAIL, "a value is not clean text"},
    {HEAD TAIL "\nkey: a\tb", "a value is not clean text"},
    {HEAD TAIL "\nkey: a\x7f", "a value is not clean text"},
    {HEAD TAIL "\nkey: a\rb", "a value is not clean text"},
    {HEAD TAIL "\r", "a value is not clean text"},
    {"version: STSv1\rmode: none\rmax_age: 1\r", "a value is not clean text"},
    {HEAD TAIL "\nkey: \x80", "a value is not clean text"},
    {HEAD TAIL "\nkey: \xc3", "a value is not clean text"},
    {HEAD TAIL "\nkey: \xc3z", "a value is not clean text"},
    {HEAD TAIL "\nkey: \xc0\xaf", "a value is not clean text"},
    {HEAD TAIL "\nkey: \xe0\x9f\xbf", "a value is not clean text"},
    {HEAD TAIL "\nkey: \xed\xa0\x80", "a value is not clean text"},
    {HEAD TAIL "\nkey: \xf0\x8f\xbf\xbf", "a value is not clean text"},
    {HEAD TAIL "\nkey: \xf4\x90\x80\x80", "a value is not clean text"},
};

static const char *const bad_patterns[] = {
    ".",
    "*",
    "*.",
    "**.example",
    "*.*.example",
    "a.*.example",
    "*a.example",
    "a*.example",
    ".example",
    "*..example",
    "a..example",
    "a.example.",
    "*.example.",
    "b\xc3\xbc.example",
    "a b.example",
    "192.0.2.1",
    "[192.0.2.1]",
    "*.2.1",
    "https://a.example",
    "a.example:25",
    "a.example, b.example",
    "a1234567890123456789012345678901234567890123456789012345678901234.example",
};

static void
test_valid(void **state)
{
	const char *why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(valid) / sizeof(valid[0]); i++) {
		if ((why = parse(valid[i], strlen(valid[i]))) != NULL)
			fail_msg("\"%s\": %s", valid[i], why);
		assert_int_equal(policy.mode, STS_TESTING);
		assert_int_equal(policy.max_age, 1);
		assert_int_equal(policy.mx_count, 1);
		assert_string_equal(policy.mx[0], "a.example");
	}
}

static void
test_invalid(void **state)
{
	static const char nul[] = HEAD TAIL "\nkey: a\0b";
	const char *why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
		why = parse(invalid[i].text, strlen(invalid[i].text));
		if (why == NULL || strcmp(why, invalid[i].why) != 0)
			fail_msg("\"%s\": %s", invalid[i].text, why);
	}
	assert_string_equal(
	    parse(nul, sizeof(nul) - 1), "a value is not clean text");
}

static void
test_bad_patterns(void **state)
{
	char text[512];
	const char *why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad_patterns) / sizeof(bad_patterns[0]); i++) {
		snprintf(text, sizeof(text), HEAD "mx: %s\nmax_age: 1",
		    bad_patterns[i]);
		why = parse(text, strlen(text));
		if (why == NULL || strstr(why, "none of its mx lines ") != why)
			fail_msg("%s: %s", bad_patterns[i], why);
		/* Beside a good one it is as if it were not there. */
		snprintf(text, sizeof(text), HEAD "mx: %s\n" TAIL "\nmx: %s",
		    bad_patterns[i], bad_patterns[i]);
		if ((why = parse(text, strlen(text))) != NULL)
			fail_msg("%s: %s", bad_patterns[i], why);
		assert_int_equal(policy.mode, STS_TESTING);
		assert_int_equal(policy.mx_count, 1);
		assert_string_equal(policy.mx[0], "a.example");
		/* And a domain that asks for nothing names no hosts. */
		snprintf(text, sizeof(text),
		    "version: STSv1\nmx: %s\nmode: none\nmax_age: 1",
		    bad_patterns[i]);
		if ((why = parse(text, strlen(text))) != NULL)
			fail_msg("%s: %s", bad_patterns[i], why);
		assert_int_equal(policy.mode, STS_NONE);
	}
}

/* To the byte what a pattern may be, and one more. */
static void
test_long_pattern(void **state)
{
	static const char name[] =
	    "mx: *."
	    "a12345678901234567890123456789012345678901234567890123456789012."
	    "a12345678901234567890123456789012345678901234567890123456789012."
	    "a12345678901234567890123456789012345678901234567890123456789012."
	    "a1234567890123456789012345678901234567890123456789012345678901";
	char text[1024];

	(void)state;
	snprintf(text, sizeof(text), HEAD "%.*s\n%s\nmax_age: 1",
	    (int)strlen(name) - 1, name, name);
	assert_null(parse(text, strlen(text)));
	assert_int_equal(policy.mx_count, 1);
	assert_int_equal(strlen(policy.mx[0]), STS_PATTERN_MAX - 1);
	snprintf(text, sizeof(text), HEAD "%s\nmax_age: 1", name);
	assert_string_equal(parse(text, strlen(text)),
	    "none of its mx lines has a host name, or \"*.\" and a name");
}

static void
test_mode_none(void **state)
{
	static const char text[] = "version: STSv1\nmode: none\nmax_age: 0";

	(void)state;
	assert_null(parse(text, sizeof(text) - 1));
	assert_int_equal(policy.mode, STS_NONE);
	assert_int_equal(policy.max_age, 0);
	assert_int_equal(policy.mx_count, 0);
}

static void
test_max_age(void **state)
{
	static const char at[] = HEAD "mx: a\nmax_age: 31557600";
	static const char over[] = HEAD "mx: a\nmax_age: 31557601";
	static const char far_over[] = HEAD "mx: a\nmax_age: 9999999999";

	(void)state;
	assert_null(parse(at, sizeof(at) - 1));
	assert_int_equal(policy.max_age, STS_AGE_MAX);
	assert_null(parse(over, sizeof(over) - 1));
	assert_int_equal(policy.max_age, STS_AGE_MAX);
	assert_null(parse(far_over, sizeof(far_over) - 1));
	assert_int_equal(policy.max_age, STS_AGE_MAX);
}

static void
test_bounds(void **state)
{
	char *text = malloc(STS_BYTES_MAX + 1);
	size_t len, i;

	(void)state;
	assert_non_null(text);
	/* 64 KiB to the byte, and one more. */
	len = strlcpy(text, HEAD TAIL "\nkey: ", STS_BYTES_MAX + 1);
	memset(text + len, 'x', STS_BYTES_MAX + 1 - len);
	assert_null(parse(text, STS_BYTES_MAX));
	assert_string_equal(
	    parse(text, STS_BYTES_MAX + 1), "it is longer than 65536 bytes");
	/* The mx lines. */
	len = strlcpy(text, HEAD "max_age: 1\n", STS_BYTES_MAX);
	for (i = 0; i < STS_MX_MAX; i++)
		len += (size_t)sprintf(text + len, "mx: mx%zu.example\n", i);
	assert_null(parse(text, len));
	assert_int_equal(policy.mx_count, STS_MX_MAX);
	assert_true(sts_policy_has(&policy, "mx63.example"));
	/* One more is left out: no host passes by it. */
	len += (size_t)sprintf(text + len, "mx: one.more\n");
	assert_null(parse(text, len));
	assert_int_equal(policy.mx_count, STS_MX_MAX);
	assert_true(sts_policy_has(&policy, "mx63.example"));
	assert_false(sts_policy_has(&policy, "one.more"));
	free(text);
}

/* What is written is what was understood. */
static void
assert_written(void)
{
	static struct sts_policy again;
	char text[STS_TEXT_MAX];
	size_t len = sts_policy_write(&policy, text), i;
	const char *why;

	assert_int_equal(strlen(text), len);
	assert_int_equal(sts_policy_parse(&again, text, len, &why), 0);
	assert_int_equal(again.mode, policy.mode);
	assert_int_equal(again.max_age, policy.max_age);
	assert_int_equal(again.mx_count, policy.mx_count);
	for (i = 0; i < policy.mx_count; i++)
		assert_string_equal(again.mx[i], policy.mx[i]);
}

static void
test_written(void **state)
{
	static const char told[] =
	    "version: STSv1\r\nx-note: much\r\nmode: testing\r\n\r\n"
	    "mx: *.B.example\r\nmx: a.example  \r\nmax_age: 0604800";
	char text[STS_TEXT_MAX];
	size_t i, len;

	(void)state;
	assert_null(parse(told, sizeof(told) - 1));
	sts_policy_write(&policy, text);
	assert_string_equal(text,
	    "version: STSv1\nmode: testing\nmax_age: 604800\n"
	    "mx: *.b.example\nmx: a.example\n");
	assert_written();
	/* The longest there can be. */
	policy.mx_count = STS_MX_MAX;
	policy.max_age = STS_AGE_MAX;
	for (i = 0; i < STS_MX_MAX; i++) {
		memset(policy.mx[i], 'a', STS_PATTERN_MAX - 1);
		policy.mx[i][STS_PATTERN_MAX - 1] = '\0';
	}
	len = sts_policy_write(&policy, text);
	assert_int_equal(len, strlen(text));
	assert_int_equal(text[strlen(text) - 1], '\n');
	for (i = 0; i < STS_MX_MAX; i++) {
		memset(policy.mx[i], '.', STS_PATTERN_MAX - 3);
		for (size_t at = 0; at < STS_PATTERN_MAX - 3; at++)
			if (at % 64 != 63)
				policy.mx[i][at] = 'b';
		memcpy(policy.mx[i], "*.", 2);
		policy.mx[i][STS_PATTERN_MAX - 3] = '\0';
	}
	assert_written();
}

static void
try_policy(const uint8_t *text, size_t len)
{
	size_t i;

	if (parse((const char *)text, len) != NULL)
		return;
	assert_written();
	assert_true(policy.max_age <= STS_AGE_MAX);
	assert_true(policy.mode == STS_NONE || policy.mx_count > 0);
	for (i = 0; i < policy.mx_count; i++)
		assert_true(strlen(policy.mx[i]) < STS_PATTERN_MAX);
}

static void
test_spoilt(void **state)
{
	(void)state;
	mutate(good, sizeof(good) - 1, try_policy);
}

/*
 * Cut off at any byte, it is never another policy: not until the last field
 * has begun to have a value.
 */
static void
test_cut(void **state)
{
	const size_t digit = sizeof(good) - 1 - strlen("604800\r\n") + 1;
	size_t len;

	(void)state;
	for (len = 0; len < digit; len++)
		assert_non_null(parse(good, len));
	assert_null(parse(good, digit));
}

static void
test_matches(void **state)
{
	(void)state;
	assert_null(parse(good, sizeof(good) - 1));
	assert_true(sts_policy_has(&policy, "mail.example.com"));
	assert_true(sts_policy_has(&policy, "a.example.net"));
	assert_true(sts_policy_has(&policy, "backup_1.example.com"));
	assert_false(sts_policy_has(&policy, "example.net"));
	assert_false(sts_policy_has(&policy, ".example.net"));
	assert_false(sts_policy_has(&policy, "a.b.example.net"));
	assert_false(sts_policy_has(&policy, "aexample.net"));
	assert_false(sts_policy_has(&policy, "a.mail.example.com"));
	assert_false(sts_policy_has(&policy, "example.com"));
	assert_false(sts_policy_has(&policy, ""));
	policy.mx_count = 0;
	assert_false(sts_policy_has(&policy, "mail.example.com"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_records),
	    cmocka_unit_test(test_spoilt_records),
	    cmocka_unit_test(test_policy),
	    cmocka_unit_test(test_valid),
	    cmocka_unit_test(test_invalid),
	    cmocka_unit_test(test_bad_patterns),
	    cmocka_unit_test(test_long_pattern),
	    cmocka_unit_test(test_mode_none),
	    cmocka_unit_test(test_max_age),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_written),
	    cmocka_unit_test(test_spoilt),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_matches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
