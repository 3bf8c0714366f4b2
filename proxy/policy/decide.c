/* SPDX-License-Identifier: ISC */
/*
 * The order of evidence.  Each function fills a decision from nothing and
 * leaves no way to end with less than the operator's blocks and the DNS
 * together ask for: what is not known is a temporary refusal.
 */

#include "proxy/policy/decide.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proxy/base/log.h"
#include "proxy/policy/blocks.h"

#define RAW_TEXT_MAX 1024 /* a text before it is escaped and cut */

/* Subject and detail of RFC 3463 3, RFC 7505 4 and RFC 7372's registry. */
#define STATUS_BAD_DOMAIN "1.2" /* bad destination system address */
#define STATUS_NULL_MX    "1.10" /* recipient address has null MX */
#define STATUS_LOOKUP     "4.3" /* directory server failure */
#define STATUS_NO_ROUTE   "4.4" /* unable to route */
#define STATUS_DNSSEC     "7.5" /* cryptographic failure */

static_assert(DECISION_NAMES_MAX >= CONFIG_NAMES_MAX, "a block's names fit");

static uint32_t
clamp_ttl(uint32_t ttl, uint32_t max)
{
	if (ttl > max)
		return max;
	return ttl < DECIDE_TTL_MIN ? DECIDE_TTL_MIN : ttl;
}

/*
 * A decision must not outlive the block it comes from, by the wall clock
 * either: that may be set forward while the ttl is counted.
 */
static void
limit_to_rule(struct decision *decision, const struct rule *rule, int64_t now)
{
	decision->until = rule->until;
	if (rule->until != 0 && rule->until - now < (int64_t)decision->ttl)
		decision->ttl = (uint32_t)(rule->until - now);
}

static void set_text(struct decision *, const char *, ...)
    __attribute__((format(printf, 2, 3)));

static void
set_text_list(struct decision *decision, const char *text, va_list ap)
{
	char raw[RAW_TEXT_MAX];

	vsnprintf(raw, sizeof(raw), text, ap);
	log_escape(decision->text, sizeof(decision->text), raw, strlen(raw));
}

static void
set_text(struct decision *decision, const char *text, ...)
{
	va_list ap;

	va_start(ap, text);
	set_text_list(decision, text, ap);
	va_end(ap);
}

static void
set_status(struct decision *decision, const char *status)
{
	strlcpy(decision->status, status, sizeof(decision->status));
}

void
decide_temporary(
    struct decision *decision, const char *status, const char *why, ...)
{
	va_list ap;

	memset(decision, 0, sizeof(*decision));
	decision->kind = DECISION_TEMPORARY;
	decision->ttl = DECIDE_TTL_MIN;
	set_status(decision, status);
	va_start(ap, why);
	set_text_list(decision, why, ap);
	va_end(ap);
}

static void
add_name(struct decision *decision, const char *name)
{
	strlcpy(
	    decision->names[decision->name_count++], name, DECISION_NAME_MAX);
}

static void
add_rule_names(struct decision *decision, const struct rule *rule)
{
	size_t i;

	for (i = 0; i < rule->name_count; i++)
		add_name(decision, rule->names[i]);
}

static void
add_rule_proof(struct decision *decision, const struct rule *rule)
{
	size_t i;

	for (i = 0; i < rule->pin_count; i++)
		memcpy(decision->pins[i], rule->pins[i],
		    sizeof(decision->pins[i]));
	decision->pin_count = rule->pin_count;
	if (rule->trust != NULL)
		strlcpy(decision->trust, rule->trust, sizeof(decision->trust));
}

/* Pins with neither names nor a trust file suffice alone. */
static bool
rule_is_pin_only(const struct rule *rule)
{
	return rule->pin_count > 0 && rule->name_count == 0 &&
	       rule->trust == NULL;
}

static void
begin_level(struct decision *decision, enum evidence evidence, enum level level,
    uint32_t ttl)
{
	memset(decision, 0, sizeof(*decision));
	decision->kind = DECISION_LEVEL;
	decision->evidence = evidence;
	decision->level = level;
	decision->ttl = clamp_ttl(ttl, DECIDE_TTL_MAX);
}

/* host: the name by which the block matched, or NULL: by the address. */
static void
from_server(struct decision *decision, const struct rule *rule,
    const char *host, const struct address *destination, uint32_t ttl,
    int64_t now)
{
	begin_level(decision, EVIDENCE_OPERATOR, rule->level, ttl);
	decision->is_server = true;
	add_rule_names(decision, rule);
	if (rule->name_count == 0 && host != NULL)
		add_name(decision, host);
	decision->sni_count = decision->name_count > 0 ? 1 : 0;
	if (rule->level == LEVEL_VERIFY) {
		decision->allows_auth = rule->auth;
		add_rule_proof(decision, rule);
		decision->is_pin_only = rule_is_pin_only(rule);
		if (decision->name_count == 0 && !decision->is_pin_only) {
			decision->has_address = true;
			decision->address = *destination;
		}
	}
	limit_to_rule(decision, rule, now);
}

static bool
fact_has(const struct host_fact *fact, const struct address *address)
{
	size_t i;

	for (i = 0; i < fact->count; i++)
		if (address_ip_equal(&fact->addresses[i], address))
			return true;
	return false;
}

static void
no_rule(struct decision *decision, uint32_t ttl)
{
	memset(decision, 0, sizeof(*decision));
	decision->kind = DECISION_NO_RULE;
	decision->ttl = clamp_ttl(ttl, DECIDE_TTL_MAX);
}

/* In the file's order; a block that is known to match beats one that might. */
static void
decide_by_host(const struct blocks *blocks, const struct address *destination,
    const struct host_fact *facts, int64_t now, struct decision *decision)
{
	const struct block_host *host, *unknown = NULL;
	uint32_t ttl = DECIDE_TTL_MAX;
	size_t i;

	for (i = 0; i < blocks->host_count; i++) {
		host = &blocks->hosts[i];
		if (!rule_is_current(host->rule, now))
			continue;
		if (!facts[i].is_known) {
			if (unknown == NULL)
				unknown = host;
			continue;
		}
		if (fact_has(&facts[i], destination)) {
			from_server(decision, host->rule, host->name,
			    destination, facts[i].ttl, now);
			return;
		}
		if (facts[i].ttl < ttl)
			ttl = facts[i].ttl;
	}
	if (unknown == NULL) {
		no_rule(decision, ttl);
		return;
	}
	decide_temporary(decision, STATUS_LOOKUP,
	    "server block \"%s\" may be meant, but its host %s cannot be "
	    "looked up",
	    unknown->rule->name, unknown->name);
	decision->evidence = EVIDENCE_OPERATOR;
}

enum decide
decide_server(const struct blocks *blocks, const struct address *destination,
    const struct host_fact *facts, int64_t now, struct decision *decision)
{
	const struct rule *rule;

	rule = blocks_find_address(blocks, destination, now);
	if (rule != NULL)
		from_server(
		    decision, rule, NULL, destination, DECIDE_TTL_MAX, now);
	else if (blocks->host_count == 0)
		no_rule(decision, DECIDE_TTL_MAX);
	else if (facts == NULL)
		return DECIDE_ASK;
	else
		decide_by_host(blocks, destination, facts, now, decision);
	return DECIDE_DONE;
}

static enum evidence
mx_evidence(const struct mx_facts *facts)
{
	return facts->is_secure ? EVIDENCE_MX_DNSSEC : EVIDENCE_MX;
}

static void
refuse(struct decision *decision, const char *status, bool is_permanent,
    const char *text)
{
	memset(decision, 0, sizeof(*decision));
	decision->kind = DECISION_REFUSE;
	decision->is_permanent = is_permanent;
	decision->ttl = DECIDE_TTL_NEGATIVE;
	set_status(decision, status);
	set_text(decision, "%s", text);
}

static void
refuse_mx(struct decision *decision, const struct mx_facts *facts,
    const char *status, bool is_permanent, const char *text)
{
	refuse(decision, status, is_permanent, text);
	decision->evidence = mx_evidence(facts);
	decision->ttl = clamp_ttl(facts->ttl, DECIDE_TTL_NEGATIVE);
}

/*
 * The hosts that D is; where it is none of them, any of them may be proved,
 * since a certificate for an MX host of the domain says enough.
 */
static void
add_mx_names(struct decision *decision, const struct mx_facts *facts)
{
	size_t i;

	for (i = 0; i < facts->host_count; i++)
		if (facts->hosts[i].has_destination)
			add_name(decision, facts->hosts[i].name);
	decision->sni_count = decision->name_count;
	if (decision->name_count > 0)
		return;
	for (i = 0; i < facts->host_count; i++)
		add_name(decision, facts->hosts[i].name);
	decision->sni_count = 1;
	set_text(decision,
	    facts->has_unknown
		? "it is not known which of the MX hosts has this address"
		: "none of the MX hosts has this address");
}

static void
decide_by_hosts(const struct mx_facts *facts, bool requires_dnssec,
    struct decision *decision)
{
	if (facts->is_null) {
		refuse_mx(decision, facts, STATUS_NULL_MX, true,
		    "the domain takes no mail (null MX)");
	} else if (requires_dnssec && !facts->is_secure) {
		refuse_mx(decision, facts, STATUS_DNSSEC, false,
		    "the MX records are not signed, and require_dnssec is set");
		decision->word = RESULT_DNSSEC_INVALID;
	} else if (facts->host_count == 0) {
		refuse_mx(decision, facts, STATUS_NO_ROUTE, false,
		    "the MX records name no valid host");
	} else {
		begin_level(
		    decision, mx_evidence(facts), LEVEL_VERIFY, facts->ttl);
		if (facts->has_unknown)
			decision->ttl = clamp_ttl(
			    decision->ttl, DECIDE_TTL_PARTIAL);
		add_mx_names(decision, facts);
	}
}

static void
decide_mx(const struct mx_facts *facts, bool requires_dnssec,
    struct decision *decision)
{
	switch (facts->status) {
	case DNS_FOUND:
	case DNS_NODATA:
		decide_by_hosts(facts, requires_dnssec, decision);
		return;
	case DNS_NXDOMAIN:
		refuse_mx(
		    decision, facts, STATUS_BAD_DOMAIN, true, "no such domain");
		return;
	case DNS_BOGUS:
		decide_temporary(decision, STATUS_DNSSEC,
		    "the MX records are bogus: %s", facts->why);
		decision->evidence = EVIDENCE_MX;
		decision->word = RESULT_DNSSEC_INVALID;
		return;
	case DNS_FAILED:
		decide_temporary(decision, STATUS_LOOKUP,
		    "the MX records cannot be looked up: %s", facts->why);
		decision->evidence = EVIDENCE_MX;
		return;
	}
	decide_temporary(decision, STATUS_LOOKUP, "no DNS answer");
}

/* What a domain block says by itself; false where MX names must complete it. */
static bool
from_domain(struct decision *decision, const struct rule *rule)
{
	bool asks_proof = rule->level == LEVEL_VERIFY;

	if (asks_proof && rule->name_count == 0 && !rule_is_pin_only(rule))
		return false;
	begin_level(decision, EVIDENCE_OPERATOR, rule->level, DECIDE_TTL_MAX);
	if (!asks_proof)
		return true;
	add_rule_names(decision, rule);
	add_rule_proof(decision, rule);
	decision->is_pin_only = rule_is_pin_only(rule);
	decision->sni_count = decision->name_count > 0 ? 1 : 0;
	return true;
}

static void
complete_domain(struct decision *decision, const struct rule *rule)
{
	if (decision->kind != DECISION_LEVEL || rule->trust == NULL)
		return;
	decision->evidence = EVIDENCE_OPERATOR;
	add_rule_proof(decision, rule);
}

enum decide
decide_domain(const struct blocks *blocks, const char *domain,
    const struct mx_facts *facts, int64_t now, struct decision *decision)
{
	const struct rule *rule;

	if (!dns_name_is_host(domain)) {
		refuse(decision, STATUS_BAD_DOMAIN, true,
		    "not a valid domain name");
		return DECIDE_DONE;
	}
	rule = blocks_find_domain(blocks, domain, now);
	if (rule == NULL || !from_domain(decision, rule)) {
		if (facts == NULL)
			return DECIDE_ASK;
		decide_mx(facts, blocks->config->require_dnssec, decision);
		if (rule != NULL)
			complete_domain(decision, rule);
	}
	if (rule != NULL)
		limit_to_rule(decision, rule, now);
	return DECIDE_DONE;
}

void
decide_literal(const struct address *literal, struct decision *decision)
{
	begin_level(decision, EVIDENCE_ADDRESS, LEVEL_VERIFY, DECIDE_TTL_MAX);
	decision->has_address = true;
	decision->address = *literal;
}
