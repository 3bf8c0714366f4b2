/* SPDX-License-Identifier: ISC */
/*
 * Knows which parts of a decision say what a far end is to be proved by.
 */

#include "proxy/session/policy_tag.h"

#include <assert.h>
#include <string.h>

#include "certs/digest.h"
#include "proxy/policy/decision.h"

static_assert(TLS_POLICY_LEN == DIGEST_LEN, "a policy is a digest");

static void
add_text(struct digest *digest, const char *text)
{
	digest_add(digest, text, strlen(text));
}

static void
add_name(struct digest *digest, const struct decision *decision, size_t name)
{
	struct tlsa records[DECISION_TLSA_MAX];
	uint8_t count, head[TLSA_RDATA_HEAD];
	size_t i;

	add_text(digest, decision->names[name]);
	count = (uint8_t)decision_get_tlsa(decision, name, records);
	digest_add(digest, &count, sizeof(count));
	for (i = 0; i < count; i++) {
		head[0] = records[i].usage;
		head[1] = records[i].selector;
		head[2] = records[i].matching;
		digest_add(digest, head, sizeof(head));
		digest_add(digest, records[i].data, records[i].len);
	}
}

void
policy_tag(const struct decision *decision, uint8_t out[TLS_POLICY_LEN])
{
	const uint8_t head[] = {(uint8_t)decision->kind,
	    (uint8_t)decision->evidence, (uint8_t)decision->level,
	    decision->is_pin_only, decision->has_address,
	    (uint8_t)decision->name_count, (uint8_t)decision->also_count};
	struct digest digest;
	size_t i;

	digest_begin(&digest);
	digest_add(&digest, head, sizeof(head));
	for (i = 0; i < decision->name_count; i++)
		add_name(&digest, decision, i);
	for (i = 0; i < decision->also_count; i++)
		add_text(&digest, decision->also[i]);
	digest_add(
	    &digest, decision->address.ip, address_ip_len(&decision->address));
	digest_add(&digest, decision->pins,
	    decision->pin_count * sizeof(decision->pins[0]));
	add_text(&digest, decision->trust);
	digest_end(&digest, out);
}
