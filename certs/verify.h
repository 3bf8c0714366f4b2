/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_VERIFY_H
#define POSTERN_VERIFY_H

/*
 * Does this chain prove one of these names?  A pure function of its
 * arguments: the time is one of them.  RFC 5280 path validation by
 * X509_verify_cert over one candidate path at a time; the paths, the names
 * (RFC 6125/9525, SAN only) and the strictness are postern's own.
 */

#include <stddef.h>
#include <stdint.h>

struct chain;
struct store;
struct tlsa;

#define VERIFY_TEXT_MAX  256
#define VERIFY_NAME_MAX  256
#define VERIFY_PATHS_MAX 16 /* candidate paths tried for one chain */
#define VERIFY_WORK_MAX  64 /* signature checks for one chain */
#define VERIFY_DEPTH_MAX 8 /* certificates of a path, anchor included */
#define VERIFY_TLSA_MAX  64 /* TLSA records of one server */
#define VERIFY_NAMES_MAX (1 << 17) /* names held against name constraints */

enum verify_result {
	VERIFY_PROVED,
	VERIFY_HOST_MISMATCH, /* a good chain, for other names */
	VERIFY_EXPIRED, /* or not valid yet */
	VERIFY_NOT_TRUSTED, /* no path to a trust anchor */
	VERIFY_FAILURE, /* malformed, forbidden, or out of memory */
};
/* The RFC 8460 4.3 word; "" for VERIFY_PROVED. */
const char *verify_result_word(enum verify_result);

struct verify_request {
	const struct store *trust; /* NULL: a pin alone decides */
	const char *const *names; /* host names; A-labels; no wildcard */
	size_t name_count;
	const uint8_t *ip; /* or an address to be found in an
	                      iPAddress SAN; NULL: none */
	size_t ip_len; /* 4 or 16 */
	const uint8_t (*pins)[32]; /* SHA-256 of SubjectPublicKeyInfo */
	size_t pin_count; /* 0: any key */
	/*
	 * Where there are TLSA records, they alone decide (RFC 7672), by names
	 * and time where their usage asks for these; trust, ip and pins are
	 * not looked at then.  The first name is the records' own (the TLSA
	 * base domain).  Records that are not usable match nothing.
	 */
	const struct tlsa *tlsa; /* borrowed */
	size_t tlsa_count;
	int64_t at; /* seconds since 1970 */
	/*
	 * Signature checks made for this chain before, to which those made now
	 * are added: several requests share VERIFY_WORK_MAX.  NULL: none were.
	 */
	size_t *spent;
};

struct verify_report {
	enum verify_result result;
	char matched[VERIFY_NAME_MAX]; /* the requested name that matched */
	/*
	 * For people; printable ASCII.  What is wrong, or by which path it was
	 * proved: "CN=Lab CA" < "CN=Lab Root", after "TLSA 2 1 1 ...: " where
	 * such a record made an anchor of the last.
	 */
	char text[VERIFY_TEXT_MAX];
	/*
	 * PROVED: the verdict holds while from <= at <= until, the narrowest
	 * validity on the path (a pin alone, or DANE-EE: always).
	 */
	int64_t from;
	int64_t until;
};

/*
 * verify_chain fills the report and returns its result.  With trust == NULL
 * only the leaf's key is compared with pins (there must be some).  With
 * trust, names (or ip) and pins must all hold; name_count == 0 and ip == NULL
 * means that the operator asks for no name (a private trust file alone).
 * With TLSA records there must be a name.  DANE-EE(3) compares the leaf and
 * nothing else, and matched is the first name; DANE-TA(2) wants a path from
 * the leaf to a certificate or key of a record, and one of the names.
 * Anything that goes wrong inside is VERIFY_FAILURE, never PROVED.
 */
enum verify_result verify_chain(const struct chain *,
    const struct verify_request *, struct verify_report *);

/*
 * verify_leaf_names writes the names of the leaf's subjectAltName for people:
 * the first few, and how many more there are.  "" where it has none.
 */
const char *verify_leaf_names(const struct chain *, char out[VERIFY_TEXT_MAX]);

#endif
