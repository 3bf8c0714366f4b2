/* SPDX-License-Identifier: ISC */
/*
 * What is known of one domain, as a value: no question goes out from here.
 */

#include "proxy/policy/sts_entry.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/policy/dns_packet.h"
#include "proxy/policy/mta_sts.h"
#include "proxy/policy/state.h"
#include "proxy/policy/sts_policy.h"

void
sts_entry_blame(
    struct sts_entry *entry, enum result_word word, const char *format, ...)
{
	char text[STS_TABLE_WHY_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	entry->word = word;
	log_escape(entry->why, sizeof(entry->why), text, strlen(text));
}

void
sts_entry_forgive(struct sts_entry *entry)
{
	entry->word = RESULT_NONE;
	entry->why[0] = '\0';
	entry->is_local = false;
}

/* Whose policy is wanted: what the record says, else the one at hand. */
const char *
sts_entry_wanted_id(const struct sts_entry *entry)
{
	return entry->txt_id[0] != '\0' ? entry->txt_id : entry->id;
}

bool
sts_entry_has_wanted(const struct sts_entry *entry)
{
	return entry->text != NULL &&
	       strcmp(entry->id, sts_entry_wanted_id(entry)) == 0;
}

bool
sts_entry_backs_off(const struct sts_entry *entry)
{
	return entry->back_off > 0 && clock_monotonic_ms() < entry->retry &&
	       strcmp(entry->failed_id, sts_entry_wanted_id(entry)) == 0;
}

/* What failed is looked at again sooner than its record's TTL would have it. */
void
sts_entry_settle(struct sts_entry *entry)
{
	if (entry->is_local)
		entry->checked = 0;
	else if (sts_entry_backs_off(entry) && entry->retry < entry->checked)
		entry->checked = entry->retry;
}

void
sts_entry_note_failure(struct sts_entry *entry)
{
	if (entry->back_off == 0 ||
	    strcmp(entry->failed_id, sts_entry_wanted_id(entry)) != 0)
		entry->back_off = MTA_STS_RETRY_MIN;
	else if (entry->back_off < MTA_STS_RETRY_MAX / 2)
		entry->back_off *= 2;
	else
		entry->back_off = MTA_STS_RETRY_MAX;
	strlcpy(entry->failed_id, sts_entry_wanted_id(entry),
	    sizeof(entry->failed_id));
	entry->retry = clock_monotonic_ms() + (int64_t)entry->back_off * 1000;
	if (entry->text != NULL && entry->mode == STS_NONE)
		log_debug("MTA-STS: the policy of %s, of mode none, cannot be "
			  "renewed: %s",
		    entry->domain, entry->why);
	else if (entry->text != NULL)
		log_warnx("MTA-STS: the policy of %s cannot be renewed, and "
			  "the one at hand ends in %lld minutes: %s",
		    entry->domain,
		    (long long)(entry->ends - clock_monotonic_ms()) / 60000,
		    entry->why);
	else
		log_info("MTA-STS: %s is taken as a domain without policy, "
			 "since its policy cannot be had: %s",
		    entry->domain, entry->why);
}

/* The record: RFC 8461 3.1. */

static void
read_records(struct sts_entry *entry, const struct dns_answer *answer)
{
	char id[STS_ID_MAX + 1];
	size_t i, count = 0;
	bool is_bad = false;
	int result;

	for (i = 0; i < answer->count; i++) {
		result = sts_id_from_txt(
		    answer->bytes + answer->records[i].offset,
		    answer->records[i].len, id);
		if (result == 0)
			continue;
		count++;
		if (result == -1)
			is_bad = true;
		else
			strlcpy(entry->txt_id, id, sizeof(entry->txt_id));
	}
	if (count > 1)
		sts_entry_blame(entry, RESULT_STS_POLICY_INVALID,
		    STS_RECORD_PREFIX
		    "%.100s has %zu records of MTA-STS, where "
		    "there must be one (RFC 8461 3.1)",
		    entry->domain, count);
	else if (is_bad)
		sts_entry_blame(entry, RESULT_STS_POLICY_INVALID,
		    "the TXT record of " STS_RECORD_PREFIX
		    "%.100s is malformed (RFC 8461 3.1)",
		    entry->domain);
	if (count > 1 || is_bad)
		entry->txt_id[0] = '\0';
}

static uint32_t
clamp_ttl(uint32_t ttl)
{
	if (ttl < MTA_STS_CHECK_MIN)
		return MTA_STS_CHECK_MIN;
	return ttl < MTA_STS_CHECK_MAX ? ttl : MTA_STS_CHECK_MAX;
}

static void
check_again_in(struct sts_entry *entry, uint32_t seconds)
{
	entry->checked = clock_monotonic_ms() + (int64_t)seconds * 1000;
}

void
sts_entry_read_answer(struct sts_entry *entry, const struct dns_answer *answer)
{
	entry->txt_id[0] = '\0';
	entry->is_unknown = false;
	check_again_in(entry, clamp_ttl(answer->ttl));
	switch (answer->status) {
	case DNS_FOUND:
		read_records(entry, answer);
		return;
	case DNS_NODATA:
	case DNS_NXDOMAIN:
		return;
	case DNS_BOGUS:
	case DNS_FAILED:
		entry->is_unknown = true;
		check_again_in(entry, MTA_STS_CHECK_FAILED);
		sts_entry_blame(entry,
		    answer->status == DNS_BOGUS ? RESULT_DNSSEC_INVALID
						: RESULT_STS_POLICY_FETCH_ERROR,
		    "TXT lookup of " STS_RECORD_PREFIX "%.100s: %s",
		    entry->domain, answer->why);
		return;
	}
}

/* From outside. */

static bool
is_id(const char *id)
{
	char text[sizeof("v=STSv1;id=") + STS_ID_MAX], again[STS_ID_MAX + 1];
	int len;

	len = snprintf(text, sizeof(text), "v=STSv1;id=%s", id);
	return sts_id_from_txt((const uint8_t *)text, (size_t)len, again) == 1;
}

bool
sts_entry_believes(const struct sts_entry *entry,
    const struct state_policy *row, struct sts_policy *policy)
{
	const char *why;

	if (strcmp(row->domain, entry->domain) != 0 || !is_id(row->id) ||
	    row->expires <= clock_wall() ||
	    sts_policy_parse(policy, row->text, row->len, &why) == -1)
		return false;
	if (row->fetched < 0 || row->expires < row->fetched ||
	    row->expires - row->fetched > sts_table_life(policy->max_age))
		return false;
	return entry->text == NULL || entry->fetched < row->fetched;
}

/* What is told. */

static uint32_t
ttl_of(const struct sts_entry *entry)
{
	int64_t left = (entry->checked - clock_monotonic_ms()) / 1000, life;

	if (entry->text != NULL) {
		life = (entry->ends - clock_monotonic_ms()) / 1000;
		left = life < left ? life : left;
	}
	if (entry->why[0] != '\0' && left > MTA_STS_TTL_FAULT)
		left = MTA_STS_TTL_FAULT;
	if (entry->text != NULL && entry->is_unconfirmed &&
	    left > MTA_STS_TTL_UNCONFIRMED)
		left = MTA_STS_TTL_UNCONFIRMED;
	if (left > MTA_STS_TTL_MAX)
		left = MTA_STS_TTL_MAX;
	return left > 0 ? (uint32_t)left : 0;
}

void
sts_entry_tell(const struct sts_entry *entry, struct mta_sts_facts *facts,
    struct sts_policy *policy)
{
	const char *why;

	memset(facts, 0, sizeof(*facts));
	facts->word = entry->word;
	strlcpy(facts->why, entry->why, sizeof(facts->why));
	facts->ttl = ttl_of(entry);
	facts->status = entry->is_unknown || entry->is_local ? MTA_STS_UNKNOWN
	                                                     : MTA_STS_ABSENT;
	/* It was parsed when it came in. */
	if (entry->text == NULL ||
	    sts_policy_parse(policy, entry->text, entry->len, &why) == -1)
		return;
	facts->status = MTA_STS_FOUND;
	facts->policy = policy;
	strlcpy(facts->id, entry->id, sizeof(facts->id));
	facts->expires = entry->expires;
	facts->is_fresh = !entry->is_unknown && !entry->is_unconfirmed &&
	                  sts_entry_has_wanted(entry);
}
