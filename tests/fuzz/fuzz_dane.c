/* SPDX-License-Identifier: ISC */
/*
 * TLSA records and certificates, both from a stranger.  The input is the
 * number of records; then these, as in the DNS, and certificates, each behind
 * two bytes of its length.
 */

#include <openssl/pool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certs/chain.h"
#include "certs/verify.h"
#include "proxy/policy/tlsa.h"

#define AT 1800000000 /* the seeds' time, of make_certs.py */

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct input {
	const uint8_t *data;
	size_t len;
};

static struct input
next(struct input *input)
{
	struct input part = {input->data, 0};

	if (input->len < 2) {
		input->len = 0;
		return part;
	}
	part.len = (size_t)input->data[0] << 8 | input->data[1];
	part.data = input->data + 2;
	if (part.len > input->len - 2)
		part.len = input->len - 2;
	input->data += 2 + part.len;
	input->len -= 2 + part.len;
	return part;
}

static void
check(const struct verify_request *request, const struct verify_report *report)
{
	size_t usable = 0;

	if (report->text[0] == '\0')
		abort();
	for (const char *text = report->text; *text != '\0'; text++) {
		if (*text < ' ' || *text > '~')
			abort();
	}
	for (size_t i = 0; i < request->tlsa_count; i++)
		usable += tlsa_is_usable(&request->tlsa[i]);
	if (report->result == VERIFY_PROVED &&
	    (usable == 0 || strncmp(report->text, "TLSA ", 5) != 0 ||
		strcmp(report->matched, request->names[0]) != 0 ||
		report->from > AT || report->until < AT))
		abort();
}

static void
verify(const struct tlsa *records, size_t count, struct input input)
{
	static const char *const names[] = {"mx.example.org"};
	struct verify_request request = {.names = names,
	    .name_count = 1,
	    .tlsa = records,
	    .tlsa_count = count,
	    .at = AT};
	STACK_OF(CRYPTO_BUFFER) *certs = sk_CRYPTO_BUFFER_new_null();
	struct verify_report report;
	struct chain *chain;

	while (input.len > 0) {
		struct input part = next(&input);
		CRYPTO_BUFFER *cert;

		cert = CRYPTO_BUFFER_new(part.data, part.len, NULL);
		if (cert == NULL || sk_CRYPTO_BUFFER_push(certs, cert) == 0)
			abort();
	}
	if ((chain = chain_from_buffers(certs)) != NULL) {
		verify_chain(chain, &request, &report);
		check(&request, &report);
		chain_free(chain);
	}
	sk_CRYPTO_BUFFER_pop_free(certs, CRYPTO_BUFFER_free);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tlsa records[VERIFY_TLSA_MAX + 1];
	struct input input, part;
	size_t wanted, count = 0;

	if (size == 0)
		return 0;
	wanted = data[0] % (VERIFY_TLSA_MAX + 2);
	input.data = data + 1;
	input.len = size - 1;
	for (size_t i = 0; i < wanted; i++) {
		part = next(&input);
		if (tlsa_from_rdata(&records[count], part.data, part.len) == 0)
			count++;
	}
	if (count > 0)
		verify(records, count, input);
	return 0;
}
