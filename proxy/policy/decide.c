/* SPDX-License-Identifier: ISC */
/*
 * The order of evidence, and what the operator's blocks say in it.  Each
 * function fills a decision from nothing and leaves no way to end with less
 * than the blocks and the facts together ask for: what is not known is a
 * temporary refusal.
 */

#include "proxy/policy/decide.h"

#include <assert.h>
#include <string.h>

#include "proxy/policy/blocks.h"
#include "proxy/policy/decide_mx.h"

static_assert(DECISION_NAMES_MAX >= CONFIG_NAMES_MAX, "a block's names fit");

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

static void
add_rule_names(struct decision *decision, const struct rule *rule)
{
	size_t i;

	for (i = 0; i < rule->name_count; i++)
		decide_add_name(decision, rule->names[i]);
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

/* To observe is to decide as if it were to be proved. */
static enum level
level_of(const struct rule *rule)
{
	return rule->level == LEVEL_OBSERVE ? LEVEL_VERIFY : rule->level;
}

/* host: the name by which the block matched, or NULL: by the address. */
static void
from_server(struct decision *decision, const struct rule *rule,
    const char *host, const struct address *destination, uint32_t ttl,
    int64_t now)
{
	decide_begin(decision, EVIDENCE_OPERATOR, level_of(rule), ttl);
	decision->is_server = true;
	decision->is_observed = rule->level == LEVEL_OBSERVE;
	add_rule_names(decision, rule);
	if (rule->name_count == 0 && host != NULL)
		decide_add_name(decision, host);
	decision->sni_count = decision->name_count > 0 ? 1 : 0;
	if (decision->level == LEVEL_VERIFY) {
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
		decide_no_rule(decision, ttl);
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
		decide_no_rule(decision, DECIDE_TTL_MAX);
	else if (facts == NULL)
		return DECIDE_ASK;
	else
		decide_by_host(blocks, destination, facts, now, decision);
	return DECIDE_DONE;
}

/* What a domain block says by itself; false where MX names must complete it. */
static bool
from_domain(struct decision *decision, const struct rule *rule)
{
	bool asks_proof = level_of(rule) == LEVEL_VERIFY;

	if (asks_proof && rule->name_count == 0 && !rule_is_pin_only(rule))
		return false;
	decide_begin(
	    decision, EVIDENCE_OPERATOR, level_of(rule), DECIDE_TTL_MAX);
	if (!asks_proof)
		return true;
	add_rule_names(decision, rule);
	add_rule_proof(decision, rule);
	decision->is_pin_only = rule_is_pin_only(rule);
	decision->sni_count = decision->name_count > 0 ? 1 : 0;
	return true;
}

/*
 * A block with a trust file of its own takes the MX hosts' names, and judges
 * them by that file: neither DANE nor MTA-STS has a say in it.
 */
static void
from_rule_and_mx(const struct blocks *blocks, const struct rule *rule,
    const struct mx_facts *mx, struct decision *decision)
{
	decide_mx_names(mx, blocks->config->require_dnssec, decision);
	if (decision->kind != DECISION_LEVEL)
		return;
	decision->evidence = EVIDENCE_OPERATOR;
	add_rule_proof(decision, rule);
}

/* Whatever was decided, the block that covers the domain has its say. */
static void
apply_rule(struct decision *decision, const struct rule *rule, int64_t now)
{
	if (rule == NULL)
		return;
	decision->is_observed = rule->level == LEVEL_OBSERVE;
	limit_to_rule(decision, rule, now);
}

enum decide
decide_domain(const struct blocks *blocks, const char *domain,
    const struct mx_facts *mx, const struct mta_sts_facts *sts, int64_t now,
    struct decision *decision)
{
	const struct config *config = blocks->config;
	const struct rule *rule;

	if (!dns_name_is_host(domain)) {
		decide_refuse(decision, STATUS_BAD_DOMAIN, true,
		    "not a valid domain name");
		return DECIDE_DONE;
	}
	rule = blocks_find_domain(blocks, domain, now);
	if (rule == NULL || !from_domain(decision, rule)) {
		if (mx == NULL)
			return DECIDE_ASK;
		if (rule != NULL && rule->trust != NULL)
			from_rule_and_mx(blocks, rule, mx, decision);
		else if (decide_mx(config, domain, mx, sts, decision) ==
			 DECIDE_ASK)
			return DECIDE_ASK;
	}
	apply_rule(decision, rule, now);
	return DECIDE_DONE;
}

void
decide_failed(const struct blocks *blocks, const char *domain, int64_t now,
    struct decision *decision, const char *why)
{
	decide_temporary(decision, STATUS_LOOKUP, "%s", why);
	apply_rule(decision, blocks_find_domain(blocks, domain, now), now);
}

void
decide_literal(const struct address *literal, struct decision *decision)
{
	decide_begin(decision, EVIDENCE_ADDRESS, LEVEL_VERIFY, DECIDE_TTL_MAX);
	decision->has_address = true;
	decision->address = *literal;
}
