/* SPDX-License-Identifier: ISC */
/* Decision and certificate to verdict: what passes, and how it is refused. */

#include "proxy/session/verdict.h"

#include "certs/cert.h"
#include "certs/chain.h"
#include "certs/store.h"
#include "proxy/base/clock.h"
#include "proxy/session/verdict_cache.h"
#include "tests/unit/cases.h"

static struct chain *chain;
static struct store *trust;
static bool enforces = true;
static const struct verdict_terms defer = {CONFIG_DEFER, true};
static const struct verdict_terms bounce = {CONFIG_BOUNCE, true};

static struct decision
decision_of(enum level level)
{
	struct decision decision;

	memset(&decision, 0, sizeof(decision));
	decision.kind = DECISION_LEVEL;
	decision.level = level;
	decision.evidence = EVIDENCE_MX;
	return decision;
}

static struct decision
proof_of(const char *name)
{
	struct decision decision = decision_of(LEVEL_VERIFY);

	decision.name_count = decision.sni_count = 1;
	strlcpy(decision.names[0], name, sizeof(decision.names[0]));
	return decision;
}

static struct verdict
judge(const struct decision *decision, bool has_tls,
    enum config_on_refusal on_refusal)
{
	const struct verdict_terms terms = {
	    .on_refusal = on_refusal, .enforces = enforces};
	struct far_end far;
	struct verdict verdict;

	memset(&far, 0, sizeof(far));
	address_from_text(&far.address, "192.0.2.9");
	if (has_tls)
		far.chain = chain;
	else {
		far.fault_word = RESULT_STARTTLS_NOT_SUPPORTED;
		far.fault_text = "it said no";
	}
	verdict_judge(&verdict, decision, "example.org", &far, trust, &terms,
	    NULL, CASE_AT);
	return verdict;
}

static void
test_proved(void **state)
{
	struct decision decision = proof_of(CASE_HOST);
	struct verdict verdict = judge(&decision, true, CONFIG_DEFER);

	(void)state;
	assert_true(verdict.passes);
	assert_false(verdict.is_exception);
	assert_string_equal(verdict.name, CASE_HOST);
	assert_int_equal(verdict.word, RESULT_NONE);
}

static void
test_refused(void **state)
{
	struct decision decision = proof_of("other.example.org");
	struct verdict verdict = judge(&decision, true, CONFIG_DEFER);

	(void)state;
	assert_false(verdict.passes);
	assert_true(verdict.is_identity);
	assert_int_equal(verdict.code, 451);
	assert_string_equal(verdict.status, "4.7.5");
	assert_int_equal(verdict.word, RESULT_CERTIFICATE_HOST_MISMATCH);
	assert_non_null(strstr(verdict.text,
	    "example.org: other.example.org[192.0.2.9] not proved by mx: "
	    "certificate-host-mismatch: "));
	verdict = judge(&decision, true, CONFIG_BOUNCE);
	assert_int_equal(verdict.code, 550);
	assert_string_equal(verdict.status, "5.7.5");
}

/* The leaf's own record, or with `wrong` another key's. */
static void
add_record(struct decision *decision, size_t name, bool is_wrong)
{
	uint8_t key[32];
	struct tlsa record = {.usage = TLSA_DANE_EE,
	    .selector = TLSA_SPKI,
	    .matching = TLSA_SHA256,
	    .len = sizeof(key),
	    .data = key};
	const uint8_t *der;
	size_t len;

	der = chain_der(chain, 0, &len);
	assert_int_equal(cert_spki_sha256(der, len, key), 0);
	key[0] ^= is_wrong;
	assert_true(decision_add_tlsa(decision, name, &record));
}

static struct decision
dane_of(const char *base, bool is_wrong)
{
	struct decision decision = proof_of(base);

	decision.evidence = EVIDENCE_DANE;
	add_record(&decision, 0, is_wrong);
	return decision;
}

static void
test_dane(void **state)
{
	struct decision decision = dane_of("base.example.net", false);
	struct verdict verdict = judge(&decision, true, CONFIG_DEFER);

	(void)state;
	assert_true(verdict.passes && !verdict.is_exception);
	assert_int_equal(verdict.evidence, EVIDENCE_DANE);
	assert_string_equal(verdict.name, "base.example.net");
	assert_non_null(strstr(verdict.text, "proved by dane: TLSA 3 1 1 "));

	/* The name, which trust would prove, proves nothing here. */
	decision = dane_of(CASE_HOST, true);
	verdict = judge(&decision, true, CONFIG_DEFER);
	assert_false(verdict.passes);
	assert_true(verdict.is_identity);
	assert_int_equal(verdict.evidence, EVIDENCE_DANE);
	assert_int_equal(verdict.word, RESULT_CERTIFICATE_NOT_TRUSTED);
	assert_string_equal(verdict.status, "4.7.5");
	assert_non_null(strstr(verdict.text, "not proved by dane: "));
}

/* Each host of a domain by its own evidence, and by no other's. */
static void
test_hosts_apart(void **state)
{
	struct decision decision = dane_of("dane.example.net", true);
	struct verdict verdict;

	(void)state;
	decision.evidence = EVIDENCE_MTA_STS;
	decision.name_count = decision.sni_count = 2;
	strlcpy(decision.names[1], CASE_HOST, DECISION_NAME_MAX);
	verdict = judge(&decision, true, CONFIG_DEFER);
	assert_true(verdict.passes);
	assert_false(verdict.is_identity);
	assert_int_equal(verdict.evidence, EVIDENCE_MTA_STS);
	assert_int_equal(verdict.word, RESULT_NONE);
	assert_string_equal(verdict.name, CASE_HOST);

	/* The name is of the host that has records: it is not enough. */
	strlcpy(decision.names[0], CASE_HOST, DECISION_NAME_MAX);
	strlcpy(decision.names[1], "other.example.net", DECISION_NAME_MAX);
	verdict = judge(&decision, true, CONFIG_DEFER);
	assert_false(verdict.passes);
	assert_int_equal(verdict.evidence, EVIDENCE_DANE); /* the first one's */
	assert_int_equal(verdict.word, RESULT_CERTIFICATE_NOT_TRUSTED);

	/* The other way round, the second host's records prove. */
	decision = proof_of("other.example.net");
	decision.name_count = decision.sni_count = 2;
	strlcpy(decision.names[1], "dane.example.net", DECISION_NAME_MAX);
	add_record(&decision, 1, false);
	verdict = judge(&decision, true, CONFIG_DEFER);
	assert_true(verdict.passes);
	assert_int_equal(verdict.evidence, EVIDENCE_DANE);
	assert_string_equal(verdict.name, "dane.example.net");
}

/* DANE-TA wants a name: the base domain, or the recipient's (RFC 7672 3.2.2).
 */
static void
test_also(void **state)
{
	struct decision decision = proof_of("base.example.net");
	size_t len;
	const uint8_t *der;
	struct tlsa record = {.usage = TLSA_DANE_TA};
	struct verdict verdict;

	(void)state;
	der = chain_der(chain, chain_count(chain) - 1, &len);
	record.len = (uint16_t)len;
	record.data = der;
	decision.evidence = EVIDENCE_DANE;
	assert_true(decision_add_tlsa(&decision, 0, &record));
	verdict = judge(&decision, true, CONFIG_DEFER);
	assert_false(verdict.passes);
	assert_int_equal(verdict.word, RESULT_CERTIFICATE_HOST_MISMATCH);
	decision.also_count = 1;
	strlcpy(decision.also[0], CASE_HOST, DECISION_NAME_MAX);
	verdict = judge(&decision, true, CONFIG_DEFER);
	assert_true(verdict.passes);
	/* The base domain is what the next connection asks for. */
	assert_string_equal(verdict.name, "base.example.net");
}

/* RFC 8461 5.1: nothing is refused for good by what may have changed. */
static void
test_unconfirmed(void **state)
{
	struct decision decision = proof_of("other.example.org");

	(void)state;
	decision.is_unconfirmed = true;
	assert_int_equal(judge(&decision, true, CONFIG_BOUNCE).code, 451);
	assert_int_equal(judge(&decision, false, CONFIG_BOUNCE).code, 451);
}

/* What is observed passes, and says what it would have been. */
static void
test_observed(void **state)
{
	static const enum decision_kind kinds[] = {
	    DECISION_LEVEL, DECISION_TEMPORARY, DECISION_REFUSE};
	struct decision decision;
	struct verdict verdict, refused;
	size_t i;
	int by_rule, has_tls;

	(void)state;
	for (i = 0; i < 3; i++)
		for (by_rule = 0; by_rule < 2; by_rule++)
			for (has_tls = 0; has_tls < 2; has_tls++) {
				decision = proof_of("other.example.org");
				decision.kind = kinds[i];
				strlcpy(decision.status, "4.3",
				    sizeof(decision.status));
				refused = judge(
				    &decision, has_tls, CONFIG_DEFER);
				assert_false(refused.passes);
				assert_false(refused.would_refuse);
				decision.is_observed = by_rule;
				enforces = by_rule;
				verdict = judge(
				    &decision, has_tls, CONFIG_DEFER);
				enforces = true;
				assert_true(verdict.passes);
				assert_true(verdict.would_refuse);
				assert_true(verdict.is_exception);
				assert_int_equal(verdict.code, refused.code);
				assert_int_equal(verdict.word, refused.word);
				assert_string_equal(verdict.text, refused.text);
			}
	/* What would not have been refused is not observed, but proved. */
	decision = proof_of(CASE_HOST);
	decision.is_observed = true;
	verdict = judge(&decision, true, CONFIG_DEFER);
	assert_true(verdict.passes && !verdict.would_refuse);
	assert_false(verdict.is_exception);
	/* Nor does an observation that has ended let anything pass. */
	decision = proof_of("other.example.org");
	decision.is_observed = true;
	decision.until = CASE_AT;
	assert_false(judge(&decision, true, CONFIG_DEFER).passes);
}

static void
test_note_and_peer(void **state)
{
	struct decision decision = proof_of(CASE_HOST);
	struct verdict verdict;

	(void)state;
	strlcpy(decision.text, "what else", sizeof(decision.text));
	verdict = judge(&decision, true, CONFIG_DEFER);
	assert_string_equal(verdict.note, "what else");
	assert_string_equal(verdict.peer, CASE_HOST "[192.0.2.9]");
	decision.kind = DECISION_TEMPORARY;
	verdict = judge(&decision, true, CONFIG_DEFER);
	assert_string_equal(verdict.note, ""); /* it is in the text */
}

/* No name, no address, no pin: nobody is proved by that, ever. */
static void
test_nobody_named(void **state)
{
	struct decision decision = decision_of(LEVEL_VERIFY);

	(void)state;
	assert_false(judge(&decision, true, CONFIG_DEFER).passes);
	decision.evidence = EVIDENCE_OPERATOR;
	assert_false(judge(&decision, true, CONFIG_DEFER).passes);
	/* The operator's own trust file is somebody. */
	strlcpy(decision.trust, "/partner.pem", sizeof(decision.trust));
	assert_true(judge(&decision, true, CONFIG_DEFER).passes);
	decision.evidence = EVIDENCE_MX;
	assert_false(judge(&decision, true, CONFIG_DEFER).passes);
}

static void
test_without_trust(void **state)
{
	struct decision decision = proof_of(CASE_HOST);
	struct far_end far;
	struct verdict verdict;

	(void)state;
	memset(&far, 0, sizeof(far));
	far.chain = chain;
	verdict_judge(&verdict, &decision, "example.org", &far, NULL, &bounce,
	    NULL, CASE_AT);
	assert_false(verdict.passes);
	assert_int_equal(verdict.code, 451);
}

/* RFC 3463 3.8: what is too weak is told from what failed. */
static void
test_failed_handshake(void **state)
{
	struct decision decision = proof_of(CASE_HOST);
	struct far_end far = {
	    .fault_word = RESULT_VALIDATION_FAILURE,
	    .fault_text = "TLS handshake failed",
	};
	struct verdict verdict;

	(void)state;
	verdict_judge(&verdict, &decision, "example.org", &far, trust, &defer,
	    NULL, CASE_AT);
	assert_int_equal(verdict.code, 451);
	assert_string_equal(verdict.status, "4.7.5");
	far.fault_is_weak = true;
	verdict_judge(&verdict, &decision, "example.org", &far, trust, &defer,
	    NULL, CASE_AT);
	assert_false(verdict.passes);
	assert_string_equal(verdict.status, "4.7.6");
}

static void
test_levels(void **state)
{
	struct decision verify = proof_of(CASE_HOST);
	struct decision encrypt = decision_of(LEVEL_ENCRYPT);
	struct decision none = decision_of(LEVEL_NONE);
	struct verdict verdict;

	(void)state;
	verdict = judge(&verify, false, CONFIG_DEFER);
	assert_false(verdict.passes);
	assert_string_equal(verdict.status, "4.7.4");
	assert_int_equal(verdict.word, RESULT_STARTTLS_NOT_SUPPORTED);
	assert_false(judge(&encrypt, false, CONFIG_DEFER).passes);
	assert_true(judge(&encrypt, true, CONFIG_DEFER).passes);
	assert_true(judge(&encrypt, true, CONFIG_DEFER).is_exception);
	assert_true(judge(&none, false, CONFIG_DEFER).passes);
	assert_true(judge(&none, false, CONFIG_DEFER).is_exception);
}

/* A pin that suffices alone asks for no trust, and no trust replaces it. */
static void
test_pin_only(void **state)
{
	struct decision decision = decision_of(LEVEL_VERIFY);
	struct chain *good = chain;
	const uint8_t *der;
	char *text;
	size_t len;

	(void)state;
	decision.evidence = EVIDENCE_OPERATOR;
	decision.is_pin_only = true;
	decision.pin_count = 1;
	assert_false(judge(&decision, true, CONFIG_DEFER).passes);
	text = case_text("self_signed", "chain", &len);
	chain = chain_from_pem(text, len);
	free(text);
	der = chain_der(chain, 0, &len);
	assert_int_equal(cert_spki_sha256(der, len, decision.pins[0]), 0);
	assert_true(judge(&decision, true, CONFIG_DEFER).passes);
	decision.pins[0][31] ^= 1;
	assert_false(judge(&decision, true, CONFIG_DEFER).passes);
	chain_free(chain);
	chain = good;
}

/* What waiting may mend is never bounced. */
static void
test_temporary(void **state)
{
	struct decision decision = decision_of(LEVEL_VERIFY);
	struct verdict verdict;

	(void)state;
	decision.kind = DECISION_TEMPORARY;
	strlcpy(decision.status, "4.3", sizeof(decision.status));
	verdict = judge(&decision, true, CONFIG_BOUNCE);
	assert_false(verdict.passes);
	assert_int_equal(verdict.code, 451);
	assert_string_equal(verdict.status, "4.4.3");
	decision.kind = DECISION_REFUSE;
	verdict = judge(&decision, true, CONFIG_BOUNCE);
	assert_int_equal(verdict.code, 451);
	decision.is_permanent = true;
	verdict = judge(&decision, true, CONFIG_BOUNCE);
	assert_int_equal(verdict.code, 550);
	assert_int_equal(judge(&decision, true, CONFIG_DEFER).code, 451);
	decision.kind = DECISION_NO_RULE;
	assert_false(judge(&decision, true, CONFIG_DEFER).passes);
}

/* An exception that has ended since it was decided is none. */
static void
test_until(void **state)
{
	static const enum level levels[] = {LEVEL_ENCRYPT, LEVEL_NONE};
	struct decision decision;
	struct verdict verdict;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		decision = decision_of(levels[i]);
		decision.until = CASE_AT + 1;
		assert_true(judge(&decision, true, CONFIG_BOUNCE).passes);
		decision.until = CASE_AT;
		verdict = judge(&decision, true, CONFIG_BOUNCE);
		assert_false(verdict.passes);
		assert_int_equal(verdict.code, 451);
		assert_false(judge(&decision, false, CONFIG_BOUNCE).passes);
	}
}

/*
 * Threat 32: what was proved is remembered under all that it rests on, and
 * for its time only.
 */
static void
test_32_cache(void **state)
{
	struct verdict_cache *cache = verdict_cache_new();
	const char *names[] = {CASE_HOST, "other.example.org"};
	struct verify_request request = {
	    .trust = trust, .names = names, .name_count = 1, .at = CASE_AT};
	struct verify_report report;

	(void)state;
	clock_fake(1000, CASE_AT);
	verdict_cache_verify(cache, chain, &request, &report);
	assert_int_equal(report.result, VERIFY_PROVED);
	verdict_cache_verify(cache, chain, &request, &report);
	assert_int_equal(report.result, VERIFY_PROVED);
	/* Another name, another time, another pin: judged anew. */
	request.names = names + 1;
	verdict_cache_verify(cache, chain, &request, &report);
	assert_int_equal(report.result, VERIFY_HOST_MISMATCH);
	request.names = names;
	request.at = report.until + (int64_t)100 * 365 * CASE_DAY;
	verdict_cache_verify(cache, chain, &request, &report);
	assert_int_equal(report.result, VERIFY_EXPIRED);
	request.at = CASE_AT;
	request.pins = (const uint8_t[1][32]){{1}};
	request.pin_count = 1;
	verdict_cache_verify(cache, chain, &request, &report);
	assert_int_not_equal(report.result, VERIFY_PROVED);
	clock_fake(-1, -1);
	verdict_cache_free(cache);
}

/* Nobody's trust, and nobody's address, counts for another's. */
static void
test_32_cache_by_trust_and_address(void **state)
{
	struct verdict_cache *cache = verdict_cache_new();
	const char *names[] = {CASE_HOST};
	struct verify_request request = {
	    .trust = trust, .names = names, .name_count = 1, .at = CASE_AT};
	char error[STORE_ERROR_MAX], *text;
	struct store *others;
	struct verify_report report;
	struct chain *literal;
	uint8_t ip[4] = {192, 0, 2, 1};
	size_t len;

	(void)state;
	clock_fake(1000, CASE_AT);
	text = case_text("root_v1", "trust", &len);
	others = store_from_pem(text, len, error);
	free(text);
	text = case_text("name_address", "chain", &len);
	literal = chain_from_pem(text, len);
	free(text);
	assert_true(others != NULL && literal != NULL);
	verdict_cache_verify(cache, chain, &request, &report);
	assert_int_equal(report.result, VERIFY_PROVED);
	request.trust = others;
	verdict_cache_verify(cache, chain, &request, &report);
	assert_int_equal(report.result, VERIFY_NOT_TRUSTED);
	request = (struct verify_request){
	    .trust = trust, .ip = ip, .ip_len = 4, .at = CASE_AT};
	verdict_cache_verify(cache, literal, &request, &report);
	assert_int_equal(report.result, VERIFY_PROVED);
	ip[3]++;
	verdict_cache_verify(cache, literal, &request, &report);
	assert_int_equal(report.result, VERIFY_HOST_MISMATCH);
	chain_free(literal);
	store_free(others);
	clock_fake(-1, -1);
	verdict_cache_free(cache);
}

/*
 * Kaspersky 2016: a key of few bits is found anew.  The cache is filled, so
 * that one of sixteen bits would be met by every sixty-fourth request.
 */
static void
test_32_cache_has_a_whole_key(void **state)
{
	struct verdict_cache *cache = verdict_cache_new();
	const char *names[2] = {CASE_HOST, NULL};
	struct verify_request request = {
	    .trust = trust, .names = names, .name_count = 2, .at = CASE_AT};
	struct verify_report report;
	char name[32];
	size_t i;

	(void)state;
	clock_fake(1000, CASE_AT);
	names[1] = name;
	for (i = 0; i < (size_t)2 * VERDICT_CACHE_MAX; i++) {
		snprintf(name, sizeof(name), "mx%zu.example.com", i);
		verdict_cache_verify(cache, chain, &request, &report);
		assert_int_equal(report.result, VERIFY_PROVED);
	}
	request.names = names + 1;
	request.name_count = 1;
	for (i = 0; i < (size_t)2 * VERDICT_CACHE_MAX; i++) {
		snprintf(name, sizeof(name), "mx%zu.example.net", i);
		verdict_cache_verify(cache, chain, &request, &report);
		assert_int_equal(report.result, VERIFY_HOST_MISMATCH);
	}
	clock_fake(-1, -1);
	verdict_cache_free(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_proved),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_dane),
	    cmocka_unit_test(test_hosts_apart),
	    cmocka_unit_test(test_also),
	    cmocka_unit_test(test_unconfirmed),
	    cmocka_unit_test(test_observed),
	    cmocka_unit_test(test_note_and_peer),
	    cmocka_unit_test(test_nobody_named),
	    cmocka_unit_test(test_without_trust),
	    cmocka_unit_test(test_failed_handshake),
	    cmocka_unit_test(test_levels),
	    cmocka_unit_test(test_pin_only),
	    cmocka_unit_test(test_temporary),
	    cmocka_unit_test(test_until),
	    cmocka_unit_test(test_32_cache),
	    cmocka_unit_test(test_32_cache_by_trust_and_address),
	    cmocka_unit_test(test_32_cache_has_a_whole_key),
	};
	char error[STORE_ERROR_MAX], *text;
	size_t len;
	int failed;

	text = case_text("good", "chain", &len);
	chain = chain_from_pem(text, len);
	free(text);
	text = case_text("good", "trust", &len);
	trust = store_from_pem(text, len, error);
	free(text);
	if (chain == NULL || trust == NULL)
		return 1;
	failed = cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
	chain_free(chain);
	store_free(trust);
	return failed;
}
