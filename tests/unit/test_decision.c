/* SPDX-License-Identifier: ISC */
/* A decision as a message: there and back, and what the reader refuses. */

#include "proxy/policy/decision.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/ipc.h"
#include "proxy/base/ipc_address.h"

static struct ipc_reader
reader_of(const uint8_t *data, size_t len)
{
	return (struct ipc_reader){.data = data, .len = len};
}

static int
get(const struct ipc_message *message, size_t len, struct decision *decision)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	struct ipc_reader reader;
	int ret;

	assert_non_null(copy);
	memcpy(copy, message->data, len);
	reader = reader_of(copy, len);
	ret = decision_get(&reader, decision);
	assert_int_equal(ret == -1, reader.is_bad);
	if (ret == 0)
		ret = ipc_end(&reader);
	free(copy);
	return ret;
}

static void
put(struct ipc_message *message, const struct decision *decision)
{
	ipc_compose(message, POLICY_ANSWER, 7);
	decision_put(message, decision);
	assert_false(message->is_bad);
}

/* Every field at something other than its default. */
static void
fill(struct decision *decision)
{
	size_t i;

	memset(decision, 0, sizeof(*decision));
	decision->kind = DECISION_LEVEL;
	decision->evidence = EVIDENCE_MX_DNSSEC;
	decision->level = LEVEL_VERIFY;
	decision->is_server = true;
	decision->allows_auth = true;
	decision->is_permanent = true;
	decision->word = RESULT_DNSSEC_INVALID;
	for (i = 0; i < DECISION_NAMES_MAX; i++) {
		snprintf(decision->names[i], DECISION_NAME_MAX,
		    "%063zu.%063zu.%063zu.%053zuabcdefgh", i, i, i, i);
		decision->names[i][0] = 'a';
	}
	decision->name_count = DECISION_NAMES_MAX;
	decision->has_address = true;
	assert_int_equal(
	    address_from_text(&decision->address, "2001:db8::1"), 0);
	decision->address.port = 25;
	decision->address.scope = 3;
	for (i = 0; i < CONFIG_PINS_MAX; i++)
		memset(decision->pins[i], (int)i + 1, 32);
	decision->pin_count = CONFIG_PINS_MAX;
	decision->is_pin_only = true;
	memset(decision->trust, 't', sizeof(decision->trust) - 1);
	decision->sni_count = 2;
	strlcpy(decision->status, "7.255", sizeof(decision->status));
	memset(decision->text, '~', sizeof(decision->text) - 1);
	decision->ttl = 0x12345678;
	decision->until = 0x123456789abcdef;
}

static struct decision in, out;
static struct ipc_message message;

static void
test_largest(void **state)
{
	(void)state;
	fill(&in);
	put(&message, &in);
	assert_int_equal(get(&message, message.len, &out), 0);
	assert_memory_equal(&in, &out, sizeof(in));
}

static void
test_smallest(void **state)
{
	(void)state;
	memset(&in, 0, sizeof(in));
	in.kind = DECISION_NO_RULE;
	put(&message, &in);
	assert_int_equal(get(&message, message.len, &out), 0);
	assert_memory_equal(&in, &out, sizeof(in));
}

static void
test_cut(void **state)
{
	size_t len;

	(void)state;
	fill(&in);
	put(&message, &in);
	for (len = 0; len < message.len; len++)
		assert_int_equal(get(&message, len, &out), -1);
}

/* Each of these, told by postern-policy, must cost it the channel. */
static void
test_refused(void **state)
{
#define REFUSED(change)                                                        \
	do {                                                                   \
		fill(&in);                                                     \
		change;                                                        \
		put(&message, &in);                                            \
		assert_int_equal(get(&message, message.len, &out), -1);        \
	} while (0)

	(void)state;
	REFUSED(in.kind = DECISION_REFUSE + 1);
	REFUSED(in.evidence = EVIDENCE_MTA_STS + 1);
	REFUSED(in.level = LEVEL_NONE + 1);
	REFUSED(in.word = RESULT_STS_WEBPKI_INVALID + 1);
	REFUSED(in.sni_count = DECISION_NAMES_MAX + 1);
	REFUSED((in.name_count = 1, in.sni_count = 2));
	REFUSED(strlcpy(in.names[3], "a\r\nb", DECISION_NAME_MAX));
	REFUSED(strlcpy(in.names[3], "", DECISION_NAME_MAX));
	REFUSED(strlcpy(in.names[3], "*.example", DECISION_NAME_MAX));
	REFUSED(strlcpy(in.text, "a\r\n250 ok", DECISION_TEXT_MAX));
	REFUSED(strlcpy(in.text, "\x1b]0;", DECISION_TEXT_MAX));
	REFUSED(strlcpy(in.text, "caf\xe9", DECISION_TEXT_MAX));
	REFUSED(strlcpy(in.status, "7.", sizeof(in.status)));
	REFUSED(strlcpy(in.status, "7.5 ", sizeof(in.status)));
	REFUSED(strlcpy(in.status, "1234.5", sizeof(in.status)));
	REFUSED(strlcpy(in.status, ".5", sizeof(in.status)));
	REFUSED(in.address.family = AF_UNSPEC);
	REFUSED(in.pin_count = 0); /* pin alone, and none */
	REFUSED(in.level = LEVEL_ENCRYPT); /* AUTH to an unproved peer */
	/* A proof that anybody has. */
	REFUSED((in.name_count = 0, in.sni_count = 0, in.has_address = false,
	    in.is_pin_only = false));
#undef REFUSED
}

/* Booleans and counts that no writer makes. */
static void
test_bad_bytes(void **state)
{
	static const size_t booleans[] = {3, 4, 5, 6, 7};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(booleans) / sizeof(booleans[0]); i++) {
		fill(&in);
		put(&message, &in);
		message.data[booleans[i]] = 2;
		assert_int_equal(get(&message, message.len, &out), -1);
	}
	put(&message, &in);
	message.data[9] = DECISION_NAMES_MAX + 1;
	assert_int_equal(get(&message, message.len, &out), -1);
}

static void
test_addresses(void **state)
{
	static const char *const texts[] = {"192.0.2.1", "2001:db8::1", NULL};
	struct address address, back;
	struct ipc_reader reader;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		memset(&address, 0, sizeof(address));
		if (texts[i] != NULL)
			assert_int_equal(
			    address_from_text(&address, texts[i]), 0);
		address.port = 2525;
		ipc_compose(&message, POLICY_ASK_SERVER, 1);
		ipc_put_address(&message, &address);
		reader = reader_of(message.data, message.len);
		assert_int_equal(ipc_get_address(&reader, &back), 0);
		assert_int_equal(ipc_end(&reader), 0);
		assert_memory_equal(&address, &back, sizeof(back));
	}
	/* IPv4 with sixteen bytes, and a family that does not exist. */
	ipc_compose(&message, POLICY_ASK_SERVER, 1);
	ipc_put_address(&message, &address);
	message.data[0] = 4;
	reader = reader_of(message.data, message.len);
	assert_int_equal(ipc_get_address(&reader, &back), -1);
	message.data[0] = 5;
	reader = reader_of(message.data, message.len);
	assert_int_equal(ipc_get_address(&reader, &back), -1);
}

static void
test_texts(void **state)
{
	(void)state;
	assert_string_equal(evidence_text(EVIDENCE_NONE), "none");
	assert_string_equal(evidence_text(EVIDENCE_OPERATOR), "operator");
	assert_string_equal(evidence_text(EVIDENCE_MX), "mx");
	assert_string_equal(evidence_text(EVIDENCE_MX_DNSSEC), "mx+dnssec");
	assert_string_equal(evidence_text(EVIDENCE_ADDRESS), "address");
	assert_string_equal(result_word_text(RESULT_STARTTLS_NOT_SUPPORTED),
	    "starttls-not-supported");
	assert_string_equal(result_word_text(RESULT_CERTIFICATE_HOST_MISMATCH),
	    "certificate-host-mismatch");
	assert_string_equal(result_word_text(RESULT_CERTIFICATE_EXPIRED),
	    "certificate-expired");
	assert_string_equal(result_word_text(RESULT_CERTIFICATE_NOT_TRUSTED),
	    "certificate-not-trusted");
	assert_string_equal(
	    result_word_text(RESULT_VALIDATION_FAILURE), "validation-failure");
	assert_string_equal(
	    result_word_text(RESULT_DNSSEC_INVALID), "dnssec-invalid");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_largest),
	    cmocka_unit_test(test_smallest),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_bad_bytes),
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
