/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_DESCRIBE_H
#define POSTERN_DESCRIBE_H

/*
 * What a certificate says, for people to read: nothing here judges it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DESCRIBE_TEXT_MAX  96
#define DESCRIBE_NAME_MAX  256
#define DESCRIBE_NAMES_MAX 32 /* told of one certificate */

struct chain;

struct description {
	uint8_t sha256[32]; /* of the whole certificate */
	bool has_key;
	uint8_t spki_sha256[32]; /* of its SubjectPublicKeyInfo */
	/* The rest is for those that can be read. */
	bool is_readable;
	char subject[DESCRIBE_TEXT_MAX]; /* "CN=Lab CA,O=Lab" */
	char issuer[DESCRIBE_TEXT_MAX];
	int64_t from; /* seconds since 1970 */
	int64_t until;
	size_t name_count; /* of those below */
	size_t names_left_out;
	/* DNS names and addresses of the subjectAltName; printable ASCII. */
	char names[DESCRIBE_NAMES_MAX][DESCRIBE_NAME_MAX];
};

/* describe_cert fills in what certificate i of the chain says. */
void describe_cert(const struct chain *, size_t i, struct description *);

#endif
