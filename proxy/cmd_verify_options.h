/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_CMD_VERIFY_OPTIONS_H
#define POSTERN_CMD_VERIFY_OPTIONS_H

/* The options of postern verify. */

#include <stddef.h>
#include <stdint.h>

#include "certs/verify.h"
#include "proxy/base/address.h"
#include "proxy/config.h"
#include "proxy/policy/tlsa.h"

/* Where --trust is not given. */
#define VERIFY_TRUST_PATH "/etc/ssl/certs/ca-certificates.crt"

/* Strings are borrowed from argv. */
struct verify_options {
	const char *chain;
	const char *trust; /* NULL: the default */
	const char *names[CONFIG_NAMES_MAX];
	size_t name_count;
	struct address address; /* AF_UNSPEC: none */
	uint8_t pins[CONFIG_PINS_MAX][32];
	size_t pin_count;
	struct tlsa tlsa[VERIFY_TLSA_MAX];
	uint8_t *tlsa_data[VERIFY_TLSA_MAX]; /* owned; what tlsa points to */
	size_t tlsa_count;
	int64_t at;
};

/*
 * verify_options_read returns 0; 1 where help was wanted and printed; or -1
 * after a message on stderr.  It also warns there of TLSA records that are of
 * no use.  To be cleared in any case.
 */
int verify_options_read(struct verify_options *, int argc, char **argv);
void verify_options_clear(struct verify_options *);

#endif
