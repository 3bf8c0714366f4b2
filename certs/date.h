/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_DATE_H
#define POSTERN_DATE_H

/*
 * Dates in certificates.  The C library's own functions read the time zone's
 * file at their first call, which a jailed process may not do; UTC needs none.
 */

#include <stddef.h>
#include <stdint.h>

#define DATE_TEXT_MAX 48

/*
 * date_from_utc_time and date_from_generalized_time read the contents of the
 * ASN.1 types as RFC 5280 4.1.2.5 has them: seconds and Z, nothing else.
 * Return 0, or -1 where the text is no such date.
 */
int date_from_utc_time(int64_t *, const uint8_t *, size_t);
int date_from_generalized_time(int64_t *, const uint8_t *, size_t);

/* "2026-11-02 03:04:05Z"; written to out and returned. */
const char *date_text(int64_t, char out[DATE_TEXT_MAX]);

#endif
