/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_TEST_PARSED_H
#define POSTERN_TEST_PARSED_H

/*
 * For tests below verify.h: a case of make_certs.py as the certificates that
 * were sent and the anchors that are trusted.
 */

#include "certs/cert.h"
#include "certs/chain.h"
#include "certs/store.h"
#include "tests/unit/cases.h"

struct parsed {
	struct chain *chain;
	struct store *trust;
	struct cert sent[CHAIN_CERTS_MAX]; /* the leaf first */
	size_t count;
	struct cert anchor; /* the first of the trust file */
};

static inline struct parsed *
parse(const char *title)
{
	struct parsed *parsed = calloc(1, sizeof(*parsed));
	char error[STORE_ERROR_MAX], *text;
	struct chain *anchors;
	size_t len;

	assert_non_null(parsed);
	text = case_text(title, "chain", &len);
	assert_non_null(parsed->chain = chain_from_pem(text, len));
	free(text);
	for (size_t i = 0; i < chain_count(parsed->chain); i++) {
		if (cert_init(&parsed->sent[parsed->count],
			chain_buffer(parsed->chain, i)) == 0)
			parsed->count++;
	}
	text = case_text(title, "trust", &len);
	parsed->trust = store_from_pem(text, len, error);
	assert_non_null(parsed->trust);
	anchors = chain_from_pem(text, len);
	assert_int_equal(
	    cert_init(&parsed->anchor, chain_buffer(anchors, 0)), 0);
	chain_free(anchors);
	free(text);
	return parsed;
}

static inline void
parsed_free(struct parsed *parsed)
{
	for (size_t i = 0; i < parsed->count; i++)
		cert_clear(&parsed->sent[i]);
	cert_clear(&parsed->anchor);
	store_free(parsed->trust);
	chain_free(parsed->chain);
	free(parsed);
}

#endif
