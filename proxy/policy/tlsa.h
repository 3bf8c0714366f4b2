/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_TLSA_H
#define POSTERN_TLSA_H

/*
 * A TLSA record (RFC 6698 2.1) as a value, and which of a set of them count
 * for SMTP (RFC 7672 3.1).  What they say of a certificate is for
 * certs/dane.c.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLSA_DATA_MAX   8192 /* of one record: a whole certificate at most */
#define TLSA_TEXT_MAX   96
#define TLSA_RDATA_HEAD 3 /* usage, selector, matching type */

enum tlsa_usage {
	TLSA_PKIX_TA,
	TLSA_PKIX_EE,
	TLSA_DANE_TA,
	TLSA_DANE_EE,
};

enum tlsa_selector {
	TLSA_CERTIFICATE,
	TLSA_SPKI,
};

enum tlsa_matching {
	TLSA_FULL,
	TLSA_SHA256,
	TLSA_SHA512,
};

struct tlsa {
	uint8_t usage; /* any octet may come from the DNS: see tlsa_is_usable */
	uint8_t selector;
	uint8_t matching;
	uint16_t len;
	const uint8_t *data; /* certificate association data; borrowed */
};

/*
 * tlsa_from_rdata reads a record as it stands in a DNS message; data then
 * points into rdata.  Returns 0, or -1 where it is too short to be one or its
 * data longer than TLSA_DATA_MAX.
 */
int tlsa_from_rdata(struct tlsa *, const uint8_t *rdata, size_t len);

/*
 * tlsa_from_text reads "3 1 1 HEX": three numbers of 0 to 255, then the data in
 * hexadecimal, in one or more pieces.  The data is written to `data`, of
 * TLSA_DATA_MAX bytes, which the record then points to.  Returns 0, or -1 for
 * anything else, no data included.
 */
int tlsa_from_text(struct tlsa *, const char *, uint8_t *data);

/* "3 1 1 0123456789abcdef...", cut to what a line can hold; returns out. */
const char *tlsa_text(const struct tlsa *, char out[TLSA_TEXT_MAX]);

/*
 * tlsa_fault tells why SMTP does not count the record, "PKIX-EE(1)", or NULL
 * where it does: see tlsa_is_usable.  A static text.
 */
const char *tlsa_fault(const struct tlsa *);

/*
 * tlsa_is_usable: DANE-TA(2) or DANE-EE(3) with a selector and matching type
 * that RFC 6698 defines, a digest of that type's length, and data that is
 * there.  PKIX-TA(0) and PKIX-EE(1) are unusable for SMTP (RFC 7672 3.1.3).
 */
bool tlsa_is_usable(const struct tlsa *);

/*
 * tlsa_select leaves in place, in their order, the records that a server is to
 * be judged by: those usable, and of the digests of one usage and selector the
 * strongest alone (digest agility, RFC 7671 9).  Returns how many are left.
 */
size_t tlsa_select(struct tlsa *, size_t count);

#endif
