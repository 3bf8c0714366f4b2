/* SPDX-License-Identifier: ISC */
/* Two decisions share a tag only where they ask the same of a far end. */

#include "proxy/session/policy_tag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/policy/decision.h"

static struct decision decision;
static uint8_t seen[32][TLS_POLICY_LEN];
static size_t seen_count;

static void
fill(void)
{
	static const uint8_t data[32] = {1};
	const struct tlsa record = {3, 1, 1, sizeof(data), data};

	memset(&decision, 0, sizeof(decision));
	decision.kind = DECISION_LEVEL;
	decision.evidence = EVIDENCE_DANE;
	decision.name_count = decision.sni_count = 2;
	strlcpy(decision.names[0], "mx1.example", DECISION_NAME_MAX);
	strlcpy(decision.names[1], "mx2.example", DECISION_NAME_MAX);
	assert_true(decision_add_tlsa(&decision, 1, &record));
	decision.also_count = 1;
	strlcpy(decision.also[0], "a.example", DECISION_NAME_MAX);
	decision.pin_count = 1;
	strlcpy(decision.trust, "/trust.pem", sizeof(decision.trust));
	decision.has_address = true;
	address_from_text(&decision.address, "192.0.2.1");
}

/* The tag of what is filled in is none that was seen before. */
static void
check_new(void)
{
	uint8_t tag[TLS_POLICY_LEN];
	size_t i;

	policy_tag(&decision, tag);
	for (i = 0; i < seen_count; i++)
		assert_memory_not_equal(tag, seen[i], sizeof(tag));
	memcpy(seen[seen_count++], tag, sizeof(tag));
}

static void
test_19_all_of_the_proof_counts(void **state)
{
	static const uint8_t more[32] = {2};
	const struct tlsa record = {3, 1, 1, sizeof(more), more};

	(void)state;
#define CHANGED(change)                                                        \
	do {                                                                   \
		fill();                                                        \
		change;                                                        \
		check_new();                                                   \
	} while (0)

	CHANGED((void)0);
	CHANGED(decision.evidence = EVIDENCE_MX);
	CHANGED(decision.level = LEVEL_ENCRYPT);
	CHANGED(decision.is_pin_only = true);
	CHANGED(decision.name_count = 1);
	CHANGED(strlcpy(decision.names[0], "mx3.example", DECISION_NAME_MAX));
	CHANGED(decision.also_count = 0);
	CHANGED(strlcpy(decision.also[0], "b.example", DECISION_NAME_MAX));
	CHANGED(decision.pin_count = 0);
	CHANGED(decision.pins[0][31] = 1);
	CHANGED(decision.trust[0] = '\0');
	CHANGED(decision.has_address = false);
	CHANGED(decision.address.ip[3] = 2);
	CHANGED(decision.by_tlsa[1].count = 0);
	CHANGED(decision.tlsa[0].usage = 2);
	CHANGED(decision.tlsa[0].selector = 0);
	CHANGED(decision.tlsa[0].matching = 2);
	CHANGED(decision.tlsa_bytes[31] = 1);
	CHANGED(assert_true(decision_add_tlsa(&decision, 1, &record)));
	/* The records of another host. */
	CHANGED((decision.by_tlsa[0] = decision.by_tlsa[1],
	    decision.by_tlsa[1].count = 0));
}

static void
test_the_rest_does_not(void **state)
{
	uint8_t before[TLS_POLICY_LEN], after[TLS_POLICY_LEN];

	(void)state;
	fill();
	policy_tag(&decision, before);
	decision.ttl = 77;
	decision.until = 77;
	decision.is_observed = true;
	strlcpy(decision.text, "none of the hosts", sizeof(decision.text));
	policy_tag(&decision, after);
	assert_memory_equal(before, after, sizeof(after));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_19_all_of_the_proof_counts),
	    cmocka_unit_test(test_the_rest_does_not),
	};

	return cmocka_run_group_tests_name("policy tag", tests, NULL, NULL);
}
