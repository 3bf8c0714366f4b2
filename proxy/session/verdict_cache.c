/* SPDX-License-Identifier: ISC */
/*
 * Knows how a verification is named by a hash of all its inputs.
 */

#include "proxy/session/verdict_cache.h"

#include <stdlib.h>
#include <string.h>

#include "certs/chain.h"
#include "certs/digest.h"
#include "certs/verify.h"
#include "proxy/base/clock.h"
#include "proxy/policy/tlsa.h"

struct entry {
	uint8_t key[DIGEST_LEN];
	int64_t expires; /* monotonic ms; 0: unused */
	struct verify_report report;
};

struct verdict_cache {
	struct entry entries[VERDICT_CACHE_MAX];
};

struct verdict_cache *
verdict_cache_new(void)
{
	return calloc(1, sizeof(struct verdict_cache));
}

void
verdict_cache_free(struct verdict_cache *cache)
{
	free(cache);
}

void
verdict_cache_forget(struct verdict_cache *cache)
{
	memset(cache, 0, sizeof(*cache));
}

static void
add_records(struct digest *digest, const struct verify_request *request)
{
	const struct tlsa *record = request->tlsa;
	size_t i;

	digest_add(digest, &request->tlsa_count, sizeof(request->tlsa_count));
	for (i = 0; i < request->tlsa_count; i++, record++) {
		const uint8_t head[TLSA_RDATA_HEAD] = {
		    record->usage, record->selector, record->matching};

		digest_add(digest, head, sizeof(head));
		digest_add(digest, record->data, record->len);
	}
}

/*
 * Every part goes in with its length, so that no two different requests share
 * a key.  The store counts as the object it is: a reload makes a new one and
 * has the cache forget.
 */
static void
key_of(uint8_t key[DIGEST_LEN], const struct chain *chain,
    const struct verify_request *request)
{
	uintptr_t trust = (uintptr_t)request->trust;
	struct digest digest;
	uint8_t chain_id[DIGEST_LEN];
	size_t i;

	chain_sha256(chain, chain_id);
	digest_begin(&digest);
	digest_add(&digest, chain_id, sizeof(chain_id));
	digest_add(&digest, &trust, sizeof(trust));
	digest_add(&digest, request->ip, request->ip_len);
	digest_add(&digest, &request->name_count, sizeof(request->name_count));
	for (i = 0; i < request->name_count; i++)
		digest_add(
		    &digest, request->names[i], strlen(request->names[i]));
	digest_add(&digest, request->pins,
	    request->pin_count * sizeof(request->pins[0]));
	add_records(&digest, request);
	digest_end(&digest, key);
}

void
verdict_cache_verify(struct verdict_cache *cache, const struct chain *chain,
    const struct verify_request *request, struct verify_report *report)
{
	struct entry *entry;
	uint8_t key[DIGEST_LEN];
	int64_t now = clock_monotonic_ms();

	key_of(key, chain, request);
	entry = &cache->entries[(key[0] | key[1] << 8) % VERDICT_CACHE_MAX];
	if (entry->expires > now && memcmp(entry->key, key, sizeof(key)) == 0 &&
	    entry->report.from <= request->at &&
	    request->at <= entry->report.until) {
		*report = entry->report;
		return;
	}
	if (verify_chain(chain, request, report) != VERIFY_PROVED)
		return;
	memcpy(entry->key, key, sizeof(key));
	entry->report = *report;
	entry->expires = now + VERDICT_CACHE_LIFE_MS;
}
