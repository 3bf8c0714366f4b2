/* SPDX-License-Identifier: ISC */
/*
 * The hosts that D may be, each by its own evidence: a host with usable TLSA
 * records is proved by them and by nothing else (RFC 7672 2.2), which MTA-STS
 * must not override (RFC 8461 2).  The others are those of the domain's
 * MTA-STS policy, where it has one that is enforced, else those of its MX
 * records.  A host of which the TLSA records cannot be told is none.
 */

#include "proxy/policy/decide_mx.h"

#include <string.h>

#include "proxy/policy/mta_sts.h"

/* The hosts in question. */
struct candidates {
	const struct mx_host *hosts[DECISION_NAMES_MAX];
	size_t count;
	bool are_destination; /* D is each of them; else it is none of all */
};

static enum evidence
mx_evidence(const struct mx_facts *facts)
{
	return facts->is_secure ? EVIDENCE_MX_DNSSEC : EVIDENCE_MX;
}

static void
note_refusal(struct decision *decision, const struct mx_facts *facts)
{
	decision->evidence = mx_evidence(facts);
	decision->ttl = decide_clamp_ttl(facts->ttl, DECIDE_TTL_NEGATIVE);
}

/*
 * The hosts that D is; where it is none of them, all of them, since a
 * certificate for any MX host of the domain says enough.
 */
static void
find_candidates(struct candidates *candidates, const struct mx_facts *facts)
{
	size_t i;

	candidates->count = 0;
	for (i = 0; i < facts->host_count; i++)
		if (facts->hosts[i].has_destination)
			candidates->hosts[candidates->count++] =
			    &facts->hosts[i];
	candidates->are_destination = candidates->count > 0;
	for (i = 0; i < facts->host_count && !candidates->are_destination; i++)
		candidates->hosts[candidates->count++] = &facts->hosts[i];
}

/* What holds for every decision by the names of hosts. */
static void
finish_names(struct decision *decision, const struct mx_facts *facts,
    const struct candidates *candidates, bool is_partial)
{
	if (is_partial || facts->has_unknown) {
		decision->ttl = decide_clamp_ttl(
		    decision->ttl, DECIDE_TTL_PARTIAL);
		/* What is not known may change it. */
		decision->is_unconfirmed = true;
	}
	decision->sni_count = decision->name_count;
	if (candidates->are_destination)
		return;
	decision->sni_count = 1;
	decide_set_text(decision,
	    facts->has_unknown
		? "it is not known which of the MX hosts has this address"
		: "none of the MX hosts has this address");
}

/* Whether plain MX names are too little; decides so, then. */
static bool
lacks_dnssec(const struct mx_facts *facts, bool requires_dnssec,
    struct decision *decision)
{
	if (!requires_dnssec || facts->is_secure)
		return false;
	decide_refuse(decision, STATUS_DNSSEC, false,
	    "the MX records are not signed, and require_dnssec is set");
	note_refusal(decision, facts);
	decision->word = RESULT_DNSSEC_INVALID;
	return true;
}

/* Decides where the MX records leave no host to ask for; false: they do. */
static bool
has_no_hosts(const struct mx_facts *facts, struct decision *decision)
{
	switch (facts->status) {
	case DNS_FOUND:
	case DNS_NODATA:
		if (facts->is_null)
			decide_refuse(decision, STATUS_NULL_MX, true,
			    "the domain takes no mail (null MX)");
		else if (facts->host_count == 0)
			decide_refuse(decision, STATUS_NO_ROUTE, false,
			    "the MX records name no valid host");
		else
			return false;
		note_refusal(decision, facts);
		return true;
	case DNS_NXDOMAIN:
		decide_refuse(
		    decision, STATUS_BAD_DOMAIN, true, "no such domain");
		note_refusal(decision, facts);
		return true;
	case DNS_BOGUS:
		decide_temporary(decision, STATUS_DNSSEC,
		    "the MX records are bogus: %s", facts->why);
		decision->word = RESULT_DNSSEC_INVALID;
		break;
	case DNS_FAILED:
		decide_temporary(decision, STATUS_LOOKUP,
		    "the MX records cannot be looked up: %s", facts->why);
		break;
	}
	decision->evidence = EVIDENCE_MX;
	return true;
}

void
decide_mx_names(const struct mx_facts *facts, bool requires_dnssec,
    struct decision *decision)
{
	struct candidates candidates;
	size_t i;

	if (has_no_hosts(facts, decision) ||
	    lacks_dnssec(facts, requires_dnssec, decision))
		return;
	find_candidates(&candidates, facts);
	decide_begin(decision, mx_evidence(facts), LEVEL_VERIFY, facts->ttl);
	for (i = 0; i < candidates.count; i++)
		decide_add_name(decision, candidates.hosts[i]->name);
	finish_names(decision, facts, &candidates, false);
}

/* How a host is to be judged. */
enum by {
	BY_TLSA,
	BY_NAME, /* MTA-STS, or MX */
	BY_NOTHING, /* its TLSA records are not known */
};

/* Of a host's TLSA records those that count; 0: none, or none that does. */
static size_t
select_records(const struct mx_host *host, struct tlsa out[MX_TLSA_MAX])
{
	if (host->tlsa != MX_TLSA_FOUND)
		return 0;
	memcpy(out, host->records, host->record_count * sizeof(*out));
	return tlsa_select(out, host->record_count);
}

static enum by
judged_by(const struct mx_host *host)
{
	struct tlsa records[MX_TLSA_MAX];

	switch (host->tlsa) {
	case MX_TLSA_UNKNOWN:
		return BY_NOTHING;
	case MX_TLSA_FOUND:
		return select_records(host, records) > 0 ? BY_TLSA : BY_NAME;
	case MX_TLSA_NOT_ASKED:
	case MX_TLSA_NONE:
		return BY_NAME;
	}
	return BY_NOTHING;
}

static size_t
count_by(const struct candidates *candidates, enum by by)
{
	size_t i, count = 0;

	for (i = 0; i < candidates->count; i++)
		count += judged_by(candidates->hosts[i]) == by;
	return count;
}

/*
 * The host by its TLSA base domain and records.  Records past the room there
 * is are left out: what is left proves no more than all of them would.
 */
static void
add_by_tlsa(struct decision *decision, const struct mx_host *host)
{
	struct tlsa records[MX_TLSA_MAX];
	size_t i, count = select_records(host, records);
	size_t name = decision->name_count;

	if (!decision_has_room(decision, &records[0]))
		return; /* never without any: a name alone is judged otherwise
		         */
	decide_add_name(decision, host->base);
	for (i = 0; i < count; i++)
		(void)decision_add_tlsa(decision, name, &records[i]);
}

/* RFC 7672 3.2.2: with DANE-TA the recipient's domain is a name as well. */
static void
add_also(
    struct decision *decision, const char *domain, const struct mx_facts *facts)
{
	strlcpy(
	    decision->also[decision->also_count++], domain, DECISION_NAME_MAX);
	if (facts->canonical[0] != '\0')
		strlcpy(decision->also[decision->also_count++],
		    facts->canonical, DECISION_NAME_MAX);
}

static bool
has_anchors(const struct decision *decision)
{
	size_t i;

	for (i = 0; i < decision->tlsa_count; i++)
		if (decision->tlsa[i].usage == TLSA_DANE_TA)
			return true;
	return false;
}

static bool
is_enforced(const struct config *config, const struct mta_sts_facts *sts)
{
	if (sts->status != MTA_STS_FOUND)
		return false;
	return sts->policy->mode == STS_ENFORCE ||
	       (sts->policy->mode == STS_TESTING &&
		   config->mta_sts.enforces_testing);
}

/* The evidence for hosts without TLSA records. */
static enum evidence
name_evidence(const struct config *config, const struct mx_facts *facts,
    const struct mta_sts_facts *sts)
{
	return is_enforced(config, sts) ? EVIDENCE_MTA_STS : mx_evidence(facts);
}

static bool
is_named(enum evidence evidence, const struct mta_sts_facts *sts,
    const struct mx_host *host)
{
	return evidence != EVIDENCE_MTA_STS ||
	       sts_policy_has(sts->policy, host->name);
}

static void
refuse_unknown(struct decision *decision, const struct candidates *candidates)
{
	const struct mx_host *host = candidates->hosts[0];
	size_t i;

	for (i = 0; i < candidates->count; i++) {
		host = candidates->hosts[i];
		if (judged_by(host) == BY_NOTHING)
			break;
	}
	decide_temporary(decision,
	    host->tlsa_is_bogus ? STATUS_DNSSEC : STATUS_LOOKUP,
	    "the TLSA records of %s cannot be told: %s", host->name,
	    host->tlsa_why);
	decision->evidence = EVIDENCE_DANE;
	if (host->tlsa_is_bogus)
		decision->word = RESULT_DNSSEC_INVALID;
}

/* No host in question is one that the policy names. */
static void
refuse_unnamed(struct decision *decision, const struct mta_sts_facts *sts,
    const struct candidates *candidates)
{
	decide_refuse(decision, STATUS_POLICY, false,
	    "%s%s is no MX host of the domain's MTA-STS policy (mode %s, "
	    "id %s)",
	    candidates->hosts[0]->name,
	    candidates->count > 1 ? ", like the others," : "",
	    sts_mode_text(sts->policy->mode), sts->id);
	decision->evidence = EVIDENCE_MTA_STS;
	decision->word = RESULT_VALIDATION_FAILURE;
	decision->ttl = decide_clamp_ttl(sts->ttl, DECIDE_TTL_PARTIAL);
}

static void
refuse_sts_unknown(struct decision *decision, const struct mta_sts_facts *sts)
{
	decide_temporary(decision, STATUS_LOOKUP,
	    "it cannot be told whether the domain has an MTA-STS policy: %s",
	    sts->why);
	decision->evidence = EVIDENCE_MTA_STS;
	decision->word = sts->word;
}

static bool
names_any(const struct sts_policy *policy, const struct decision *decision)
{
	size_t i;

	for (i = 0; i < decision->name_count; i++)
		if (sts_policy_has(policy, decision->names[i]))
			return true;
	return false;
}

/* What is worth knowing of a policy that does not decide. */
static void
note_sts(struct decision *decision, const struct mta_sts_facts *sts)
{
	decision->is_unconfirmed |= decision->evidence == EVIDENCE_MTA_STS &&
	                            !sts->is_fresh;
	decision->ttl = decide_clamp_ttl(
	    sts->ttl < decision->ttl ? sts->ttl : decision->ttl,
	    DECIDE_TTL_MAX);
	if (decision->text[0] != '\0')
		return;
	if (sts->status == MTA_STS_ABSENT && sts->why[0] != '\0')
		decide_set_text(decision,
		    "its MTA-STS policy cannot be had: %s: %s",
		    result_word_text(sts->word), sts->why);
	else if (sts->status == MTA_STS_FOUND &&
		 sts->policy->mode == STS_TESTING &&
		 decision->evidence != EVIDENCE_MTA_STS &&
		 !names_any(sts->policy, decision))
		decide_set_text(decision,
		    "its MTA-STS policy, in mode testing, names none of its "
		    "MX hosts: enforced, mail would be refused");
}

static bool
are_all_by_tlsa(const struct decision *decision)
{
	size_t i;

	for (i = 0; i < decision->name_count; i++)
		if (decision->by_tlsa[i].count == 0)
			return false;
	return decision->name_count > 0;
}

/*
 * The names that may be proved, in the order of preference; sts may be NULL
 * where nothing is known of hosts without TLSA records.
 */
static void
add_names(struct decision *decision, const char *domain,
    const struct mx_facts *facts, const struct mta_sts_facts *sts,
    const struct candidates *candidates, enum evidence evidence)
{
	const struct mx_host *host;
	size_t i;

	decide_begin(decision, evidence, LEVEL_VERIFY, facts->ttl);
	for (i = 0; i < candidates->count; i++) {
		host = candidates->hosts[i];
		switch (judged_by(host)) {
		case BY_TLSA:
			add_by_tlsa(decision, host);
			break;
		case BY_NAME:
			if (sts != NULL && is_named(evidence, sts, host))
				decide_add_name(decision, host->name);
			break;
		case BY_NOTHING:
			break;
		}
	}
	if (has_anchors(decision))
		add_also(decision, domain, facts);
	if (are_all_by_tlsa(decision))
		decision->evidence = EVIDENCE_DANE;
	finish_names(decision, facts, candidates,
	    count_by(candidates, BY_NOTHING) > 0 ||
		(sts == NULL && count_by(candidates, BY_NAME) > 0));
	if (sts != NULL)
		note_sts(decision, sts);
}

enum decide
decide_mx(const struct config *config, const char *domain,
    const struct mx_facts *facts, const struct mta_sts_facts *sts,
    struct decision *decision)
{
	struct candidates candidates;
	enum evidence evidence = EVIDENCE_DANE;
	size_t by_tlsa, by_name;

	if (has_no_hosts(facts, decision))
		return DECIDE_DONE;
	find_candidates(&candidates, facts);
	by_tlsa = count_by(&candidates, BY_TLSA);
	by_name = count_by(&candidates, BY_NAME);
	if (by_tlsa == 0 && by_name == 0) {
		refuse_unknown(decision, &candidates);
		return DECIDE_DONE;
	}
	if (by_name > 0) {
		if (sts == NULL)
			return DECIDE_ASK;
		if (by_tlsa == 0 && sts->status == MTA_STS_UNKNOWN) {
			refuse_sts_unknown(decision, sts);
			return DECIDE_DONE;
		}
		evidence = name_evidence(config, facts, sts);
		if (by_tlsa == 0 && evidence != EVIDENCE_MTA_STS &&
		    lacks_dnssec(facts, config->require_dnssec, decision))
			return DECIDE_DONE;
	}
	if (by_name == 0 || sts->status == MTA_STS_UNKNOWN)
		sts = NULL;
	add_names(decision, domain, facts, sts, &candidates, evidence);
	if (decision->name_count > 0)
		return DECIDE_DONE;
	if (sts == NULL || count_by(&candidates, BY_NOTHING) > 0)
		refuse_unknown(decision, &candidates);
	else
		refuse_unnamed(decision, sts, &candidates);
	return DECIDE_DONE;
}
