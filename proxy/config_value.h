/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_CONFIG_VALUE_H
#define POSTERN_CONFIG_VALUE_H

/*
 * The values that a configuration may hold: each reader takes the text as it
 * was written and either yields the value or says what is wrong with it, in
 * words that continue "'TEXT' ".  Pure functions.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/address.h"
#include "proxy/config.h"

/*
 * Checks of a string: they write its canonical form (lower case, no dot at
 * the end, an address as inet_ntop writes it) to out and return NULL, or
 * return a static text saying what it ought to have been.
 */
typedef const char *value_check(const char *text, char out[CONFIG_TEXT_MAX]);

value_check value_host; /* "mx.example.org": A-labels */
value_check value_domain; /* "example.org", "*.example.org" */
value_check value_match; /* an address, a prefix or a host name */
value_check value_prefix; /* an address or a prefix */
value_check value_mark; /* "0x20" or "0x20/0xff" */
value_check value_interface; /* "lan0" */
value_check value_path; /* "/absolute" */
value_check value_user; /* "postern" */
value_check value_state; /* "redis://cache.example:6379/0" */
value_check value_label; /* of a server block: printable ASCII */

/* Readers: NULL, or a static text saying what is wrong. */
const char *value_bool(const char *text, bool *out);
/* Decimal, or hexadecimal behind 0x; bounds are the caller's. */
const char *value_number(const char *text, uint64_t *out);
/* What value_mark wrote: a packet p has the mark where (p & mask) == value. */
void value_mark_parts(const char *text, uint32_t *value, uint32_t *mask);
/* A number of seconds; "5min", "2h", "1d" and "1w" too. */
const char *value_seconds(const char *text, uint64_t *out);
/* "192.0.2.53", "192.0.2.53:5353", "[2001:db8::53]:53": port 53 by default. */
const char *value_server(const char *text, struct address *out);
/* SHA-256 in hexadecimal or base64, "sha256:" before it or not. */
const char *value_pin(const char *text, uint8_t out[32]);
/*
 * The first second that is past: "2027-01-31" is the whole of that day in
 * UTC, "2027-01-31T12:00:00Z" that moment.
 */
const char *value_until(const char *text, int64_t *out);

/*
 * value_nearest finds the word, of a NULL-ended list, that the text was most
 * likely meant to be; NULL where none is close.
 */
const char *value_nearest(const char *text, const char *const *words);

#endif
