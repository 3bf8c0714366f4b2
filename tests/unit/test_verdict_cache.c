/* SPDX-License-Identifier: ISC */
/*
 * 32: what is remembered is remembered for exactly what was asked.  The hash
 * is the test's own: all keys begin alike, and share one place.
 */

#include "proxy/session/verdict_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "certs/chain.h"
#include "certs/digest.h"
#include "certs/verify.h"
#include "proxy/base/clock.h"
#include "proxy/policy/tlsa.h"

#define FROM  1000
#define UNTIL 2000
#define BLOCK(text)                                                            \
	"-----BEGIN CERTIFICATE-----\n" text "\n-----END CERTIFICATE-----\n"

static int verified; /* times */
static enum verify_result result;

void
digest_begin(struct digest *digest)
{
	digest->private[0] = 0xcbf29ce484222325;
}

void
digest_add(struct digest *digest, const void *part, size_t len)
{
	const uint8_t *bytes = part;

	digest->private[0] = (digest->private[0] ^ len) * 0x100000001b3;
	for (size_t i = 0; i < len; i++)
		digest->private[0] = (digest->private[0] ^ bytes[i]) *
		                     0x100000001b3;
}

void
digest_end(struct digest *digest, uint8_t out[DIGEST_LEN])
{
	memset(out, 0, DIGEST_LEN);
	memcpy(out + DIGEST_LEN - sizeof(digest->private[0]), digest->private,
	    sizeof(digest->private[0]));
}

enum verify_result
verify_chain(const struct chain *chain, const struct verify_request *request,
    struct verify_report *report)
{
	(void)chain;
	(void)request;
	verified++;
	memset(report, 0, sizeof(*report));
	report->result = result;
	snprintf(report->text, sizeof(report->text), "the %dth", verified);
	report->from = FROM;
	report->until = UNTIL;
	return result;
}

static int
setup(void **state)
{
	*state = verdict_cache_new();
	result = VERIFY_PROVED;
	clock_fake(1, 1);
	return *state == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	verdict_cache_free(*state);
	clock_fake(-1, -1);
	return 0;
}

/* Whether it had to be verified. */
static bool
verifies(struct verdict_cache *cache, const struct chain *chain,
    const struct verify_request *request)
{
	struct verify_report report;
	int before = verified;

	verdict_cache_verify(cache, chain, request, &report);
	assert_int_equal(report.result, result);
	assert_int_equal(report.until, UNTIL);
	return verified > before;
}

static void
test_32_all_counts(void **state)
{
	static const char *const one[] = {"a.example"};
	static const char *const other[] = {"b.example"};
	static const char *const both[] = {"a.example", "b.example"};
	static const char *const turned[] = {"b.example", "a.example"};
	static const char *const joined[] = {"a.exampleb.example"};
	static const uint8_t ip[16] = {192, 0, 2, 1}, ip2[] = {192, 0, 2, 2};
	static const uint8_t pins[2][32] = {{1}, {2}};
	static const uint8_t data[64] = {1, 1, 2};
	static const struct tlsa tlsa[] = {
	    {3, 1, 1, 32, data},
	    {3, 1, 1, 32, data + 1},
	    {2, 1, 1, 32, data},
	    {3, 0, 1, 32, data},
	    {3, 1, 2, 32, data},
	    {3, 1, 1, 33, data},
	    {3, 1, 0, 1, data},
	    {3, 1, 0, 1, data + 1},
	};
	static const char trusts[2];
	static const char *const pems[] = {BLOCK("YWE="), BLOCK("YWI="),
	    BLOCK("YWE=") BLOCK("YWI="), BLOCK("YWFhYg==")};
	const struct store *trust = (const struct store *)&trusts[0];
	const struct store *trust2 = (const struct store *)&trusts[1];
	const struct verify_request requests[] = {
	    {.trust = trust, .names = one, .name_count = 1},
	    {.trust = trust2, .names = one, .name_count = 1},
	    {.names = one, .name_count = 1},
	    {.trust = trust, .names = other, .name_count = 1},
	    {.trust = trust, .names = both, .name_count = 2},
	    {.trust = trust, .names = turned, .name_count = 2},
	    {.trust = trust, .names = joined, .name_count = 1},
	    {.trust = trust},
	    {.trust = trust, .ip = ip, .ip_len = 4},
	    {.trust = trust, .ip = ip2, .ip_len = 4},
	    {.trust = trust, .ip = ip, .ip_len = 16},
	    {.trust = trust,
		.names = one,
		.name_count = 1,
		.ip = ip,
		.ip_len = 4},
	    {.trust = trust, .pins = pins, .pin_count = 1},
	    {.trust = trust, .pins = pins + 1, .pin_count = 1},
	    {.trust = trust, .pins = pins, .pin_count = 2},
	    {.pins = pins, .pin_count = 1},
	    {.names = one, .name_count = 1, .tlsa = tlsa, .tlsa_count = 1},
	    {.names = other, .name_count = 1, .tlsa = tlsa, .tlsa_count = 1},
	    {.names = one, .name_count = 1, .tlsa = tlsa, .tlsa_count = 2},
	    {.names = one, .name_count = 1, .tlsa = tlsa + 1, .tlsa_count = 1},
	    {.names = one, .name_count = 1, .tlsa = tlsa + 2, .tlsa_count = 1},
	    {.names = one, .name_count = 1, .tlsa = tlsa + 3, .tlsa_count = 1},
	    {.names = one, .name_count = 1, .tlsa = tlsa + 4, .tlsa_count = 1},
	    {.names = one, .name_count = 1, .tlsa = tlsa + 5, .tlsa_count = 1},
	    {.names = one, .name_count = 1, .tlsa = tlsa + 6, .tlsa_count = 1},
	    {.names = one, .name_count = 1, .tlsa = tlsa + 6, .tlsa_count = 2},
	    {.trust = trust,
		.names = one,
		.name_count = 1,
		.tlsa = tlsa,
		.tlsa_count = 1},
	    {.pins = pins, .pin_count = 1, .tlsa = tlsa, .tlsa_count = 1},
	};
	enum {
		REQUESTS = sizeof(requests) / sizeof(requests[0]),
		CHAINS = sizeof(pems) / sizeof(pems[0]),
		ALL = REQUESTS * CHAINS
	};
	struct chain *chains[CHAINS];

	for (size_t i = 0; i < CHAINS; i++)
		assert_non_null(
		    chains[i] = chain_from_pem(pems[i], strlen(pems[i])));
	for (size_t i = 0; i < (size_t)ALL * ALL; i++) {
		size_t a = i / ALL, b = i % ALL;
		struct verify_request first = requests[a % REQUESTS];
		struct verify_request second = requests[b % REQUESTS];

		first.at = second.at = FROM;
		verdict_cache_forget(*state);
		assert_true(verifies(*state, chains[a / REQUESTS], &first));
		if (verifies(*state, chains[b / REQUESTS], &second) != (a != b))
			fail_msg("%zu after %zu", b, a);
	}
	for (size_t i = 0; i < CHAINS; i++)
		chain_free(chains[i]);
}

static struct chain *
some_chain(void)
{
	static const char pem[] = BLOCK("YWE=");
	struct chain *chain = chain_from_pem(pem, strlen(pem));

	assert_non_null(chain);
	return chain;
}

/* Inside the path's own dates only. */
static void
test_32_dates(void **state)
{
	static const struct {
		int64_t at;
		bool verifies;
	} rows[] = {
	    {FROM - 1, true}, {FROM, false}, {UNTIL, false}, {UNTIL + 1, true}};
	struct verify_request request = {.at = FROM};
	struct chain *chain = some_chain();

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		request.at = FROM;
		verdict_cache_forget(*state);
		assert_true(verifies(*state, chain, &request));
		request.at = rows[i].at;
		assert_int_equal(
		    verifies(*state, chain, &request), rows[i].verifies);
	}
	chain_free(chain);
}

/* Not for long, whatever the wall clock says. */
static void
test_life(void **state)
{
	struct verify_request request = {.at = FROM};
	struct chain *chain = some_chain();

	clock_fake(5000, 1);
	assert_true(verifies(*state, chain, &request));
	clock_fake(5000 + VERDICT_CACHE_LIFE_MS - 1, 1);
	assert_false(verifies(*state, chain, &request));
	clock_fake(5000 + VERDICT_CACHE_LIFE_MS, 1);
	assert_true(verifies(*state, chain, &request));
	assert_false(verifies(*state, chain, &request));
	verdict_cache_forget(*state);
	assert_true(verifies(*state, chain, &request));
	chain_free(chain);
}

static void
test_refusals_are_not_remembered(void **state)
{
	struct verify_request request = {.at = FROM};
	struct chain *chain = some_chain();

	for (result = VERIFY_HOST_MISMATCH; result <= VERIFY_FAILURE;
	     result++) {
		assert_true(verifies(*state, chain, &request));
		assert_true(verifies(*state, chain, &request));
	}
	chain_free(chain);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		test_32_all_counts, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_32_dates, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_life, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_refusals_are_not_remembered, setup, teardown),
	};

	return cmocka_run_group_tests_name("verdict_cache", tests, NULL, NULL);
}
