/* SPDX-License-Identifier: ISC */
/* Dates of certificates, in both spellings, and out again. */

#include "certs/date.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int
utc(const char *text, int64_t *when)
{
	return date_from_utc_time(when, (const uint8_t *)text, strlen(text));
}

static int
generalized(const char *text, int64_t *when)
{
	return date_from_generalized_time(
	    when, (const uint8_t *)text, strlen(text));
}

static void
test_good(void **state)
{
	static const struct {
		const char *utc, *generalized, *text;
		int64_t when;
	} rows[] = {
	    {"700101000000Z", "19700101000000Z", "1970-01-01 00:00:00Z", 0},
	    {"691231235959Z", "19691231235959Z", "1969-12-31 23:59:59Z", -1},
	    {"500101000000Z", "19500101000000Z", "1950-01-01 00:00:00Z",
		-631152000},
	    {"491231235959Z", "20491231235959Z", "2049-12-31 23:59:59Z",
		2524607999},
	    {"270115080000Z", "20270115080000Z", "2027-01-15 08:00:00Z",
		1800000000},
	    {"240229120000Z", "20240229120000Z", "2024-02-29 12:00:00Z",
		1709208000},
	    {"000229000000Z", "20000229000000Z", "2000-02-29 00:00:00Z",
		951782400},
	    {NULL, "00000101000000Z", "0000-01-01 00:00:00Z", -62167219200},
	    {NULL, "00010101000000Z", "0001-01-01 00:00:00Z", -62135596800},
	    {NULL, "99991231235959Z", "9999-12-31 23:59:59Z", 253402300799},
	};
	char text[DATE_TEXT_MAX];
	int64_t when;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(generalized(rows[i].generalized, &when), 0);
		assert_true(when == rows[i].when);
		assert_string_equal(date_text(when, text), rows[i].text);
		if (rows[i].utc == NULL)
			continue;
		assert_int_equal(utc(rows[i].utc, &when), 0);
		assert_true(when == rows[i].when);
	}
}

static void
test_bad(void **state)
{
	static const char *const bad[] = {"", "2701150800Z",
	    "270115080000+0100", "270115080000", "270115080000z",
	    "271315080000Z", "270015080000Z", "270100080000Z", "270132080000Z",
	    "270229080000Z", "270115240000Z", "270115086000Z", "270115080060Z",
	    "27011508000 Z", "-70115080000Z", "270115080000ZZ",
	    "2701150800.0Z"};
	char longer[64];
	int64_t when;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(utc(bad[i], &when), -1);
		snprintf(longer, sizeof(longer), "20%s", bad[i]);
		assert_int_equal(generalized(longer, &when), -1);
	}
	assert_int_equal(generalized("21000229000000Z", &when), -1);
	assert_int_equal(generalized("20280101000000.5Z", &when), -1);
	assert_int_equal(utc("20270115080000Z", &when), -1);
	assert_int_equal(generalized("270115080000Z", &when), -1);
}

/* Every day of eight centuries, and the second before it. */
static void
test_every_day(void **state)
{
	char text[DATE_TEXT_MAX], packed[16];
	int64_t when, back;

	(void)state;
	for (int64_t day = -150000; day < 150000; day++) {
		when = day * 86400 - 1;
		date_text(when, text);
		snprintf(packed, sizeof(packed), "%.4s%.2s%.2s%.2s%.2s%.2sZ",
		    text, text + 5, text + 8, text + 11, text + 14, text + 17);
		assert_int_equal(generalized(packed, &back), 0);
		assert_true(back == when);
	}
}

static void
test_out_of_calendar(void **state)
{
	char text[DATE_TEXT_MAX];

	(void)state;
	assert_string_equal(
	    date_text(INT64_MAX, text), "9223372036854775807 s");
	assert_string_equal(
	    date_text(INT64_MIN, text), "-9223372036854775808 s");
	assert_string_equal(date_text(253402300800, text), "253402300800 s");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_every_day),
	    cmocka_unit_test(test_out_of_calendar),
	};

	return cmocka_run_group_tests_name("date", tests, NULL, NULL);
}
