/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_STS_POLICY_H
#define POSTERN_STS_POLICY_H

/*
 * The texts of MTA-STS (RFC 8461 3.1 and 3.2): the TXT record and the policy
 * file, bytes in, values out.  Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STS_ID_MAX      32
#define STS_BYTES_MAX   65536 /* of a policy file */
#define STS_MX_MAX      64 /* mx lines of one policy; more are left out */
#define STS_PATTERN_MAX 256 /* NUL included */
#define STS_AGE_MAX     31557600 /* seconds: RFC 8461 3.2 */
/* Of a policy as postern writes it, about 17 KB: a line an mx, and the rest. */
#define STS_TEXT_MAX (STS_MX_MAX * (STS_PATTERN_MAX + 4) + 64)

enum sts_mode {
	STS_NONE,
	STS_TESTING,
	STS_ENFORCE,
};
/* "none", "testing", "enforce". */
const char *sts_mode_text(enum sts_mode);

struct sts_policy {
	enum sts_mode mode;
	uint32_t max_age; /* seconds */
	size_t mx_count;
	char mx[STS_MX_MAX][STS_PATTERN_MAX]; /* "mx.a.example" or
	                      "*.a.example"; lower case, no dot at the end */
};

/*
 * sts_id_from_txt reads the strings of one TXT record, joined.  Returns 1 with
 * the id, 0 where the record is none of MTA-STS's (it does not begin with the
 * version), -1 where it is one and malformed.
 */
int sts_id_from_txt(const uint8_t *text, size_t len, char id[STS_ID_MAX + 1]);

/*
 * sts_policy_parse reads a policy file.  Returns 0, or -1 with a static text
 * in *why.
 */
int sts_policy_parse(
    struct sts_policy *, const char *text, size_t len, const char **why);

/*
 * sts_policy_write writes a policy file that says what was understood of
 * another, and no more: sts_policy_parse makes the same policy of it.  So what
 * a stranger put into theirs besides is not kept.  Returns its length; it ends
 * with a NUL, too, and always fits.
 */
size_t sts_policy_write(const struct sts_policy *, char out[STS_TEXT_MAX]);

/*
 * sts_policy_has: does a pattern of the policy match this MX host (RFC 8461
 * 4.1)?  host is in lower case without a dot at the end.
 */
bool sts_policy_has(const struct sts_policy *, const char *host);

#endif
