/* SPDX-License-Identifier: ISC */
/*
 * The proleptic Gregorian calendar, from year 0 to 9999, and its two spellings
 * in certificates.
 */

#include "certs/date.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#define DAY 86400

static bool
is_leap_year(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int
days_of_month(int64_t year, int month)
{
	static const int days[] = {
	    31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && is_leap_year(year));
}

/* Days from the first of January 1970 to that of year. */
static int64_t
days_before_year(int64_t year)
{
	int64_t last = year - 1;

	/* 719162 days lie between the years 1 and 1970. */
	if (year == 0)
		return -719162 - 366;
	return last * 365 + last / 4 - last / 100 + last / 400 - 719162;
}

/* Two digits, or -1. */
static int
two_digits(const uint8_t *text)
{
	if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
		return -1;
	return (text[0] - '0') * 10 + text[1] - '0';
}

/* text is MMDDHHMMSSZ. */
static int
date_within_year(int64_t *out, int64_t year, const uint8_t *text)
{
	int month = two_digits(text), day = two_digits(text + 2);
	int hour = two_digits(text + 4), minute = two_digits(text + 6);
	int second = two_digits(text + 8);
	int64_t days;

	if (month < 1 || month > 12 || day < 1 ||
	    day > days_of_month(year, month) || hour < 0 || hour > 23 ||
	    minute < 0 || minute > 59 || second < 0 || second > 59 ||
	    text[10] != 'Z')
		return -1;
	days = days_before_year(year) + day - 1;
	for (int i = 1; i < month; i++)
		days += days_of_month(year, i);
	*out = days * DAY + hour * 3600L + minute * 60L + second;
	return 0;
}

int
date_from_utc_time(int64_t *out, const uint8_t *text, size_t len)
{
	int year;

	if (len != 13 || (year = two_digits(text)) == -1)
		return -1;
	return date_within_year(
	    out, year + (year < 50 ? 2000 : 1900), text + 2);
}

int
date_from_generalized_time(int64_t *out, const uint8_t *text, size_t len)
{
	int century, year;

	if (len != 15 || (century = two_digits(text)) == -1 ||
	    (year = two_digits(text + 2)) == -1)
		return -1;
	return date_within_year(out, century * 100 + year, text + 4);
}

const char *
date_text(int64_t when, char out[DATE_TEXT_MAX])
{
	int64_t days = when / DAY, seconds = when % DAY, year;
	int month;

	if (seconds < 0) {
		seconds += DAY;
		days--;
	}
	if (days < days_before_year(0) || days >= days_before_year(10000)) {
		snprintf(out, DATE_TEXT_MAX, "%" PRId64 " s", when);
		return out;
	}
	/* Never too early; the loop takes back the few years too many. */
	year = 1970 + days / (days < 0 ? 366 : 365);
	while (days_before_year(year) > days)
		year--;
	days -= days_before_year(year);
	for (month = 1; days >= days_of_month(year, month); month++)
		days -= days_of_month(year, month);
	snprintf(out, DATE_TEXT_MAX, "%04" PRId64 "-%02d-%02d %02d:%02d:%02dZ",
	    year, month, (int)days + 1, (int)(seconds / 3600),
	    (int)(seconds / 60 % 60), (int)(seconds % 60));
	return out;
}
