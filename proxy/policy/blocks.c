/* SPDX-License-Identifier: ISC */
/*
 * Destinations are told apart by their form: what reads as an address or a
 * prefix is one, everything else is a host name.  All of it is found by a walk
 * over a sorted array, since even the largest permitted configuration is
 * walked in less time than one DNS packet takes.
 */

#include "proxy/policy/blocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/policy/decision.h"
#include "proxy/policy/dns_name.h"

static int
check_rule(const struct rule *rule, char error[BLOCKS_ERROR_MAX])
{
	size_t i;

	if (rule->name_count > DECISION_NAMES_MAX ||
	    rule->pin_count > CONFIG_PINS_MAX ||
	    (rule->trust != NULL && strlen(rule->trust) >= DECISION_PATH_MAX)) {
		snprintf(error, BLOCKS_ERROR_MAX,
		    "%s: block \"%s\" is too large", rule->origin, rule->name);
		return -1;
	}
	for (i = 0; i < rule->name_count; i++) {
		if (dns_name_is_host(rule->names[i]))
			continue;
		snprintf(error, BLOCKS_ERROR_MAX, "%s: not a host name: \"%s\"",
		    rule->origin, rule->names[i]);
		return -1;
	}
	return 0;
}

static int
add_match(struct blocks *blocks, const struct rule *rule, const char *match,
    char error[BLOCKS_ERROR_MAX])
{
	struct prefix prefix;

	if (prefix_from_text(&prefix, match) == 0) {
		blocks->prefixes[blocks->prefix_count].prefix = prefix;
		blocks->prefixes[blocks->prefix_count++].rule = rule;
		return 0;
	}
	if (!dns_name_is_host(match)) {
		snprintf(error, BLOCKS_ERROR_MAX,
		    "%s: neither an address nor a host name: \"%s\"",
		    rule->origin, match);
		return -1;
	}
	blocks->hosts[blocks->host_count].name = match;
	blocks->hosts[blocks->host_count++].rule = rule;
	return 0;
}

static int
add_server(struct blocks *blocks, const struct rule *rule,
    char error[BLOCKS_ERROR_MAX])
{
	size_t i;

	if (check_rule(rule, error) == -1)
		return -1;
	for (i = 0; i < rule->match_count; i++)
		if (add_match(blocks, rule, rule->matches[i], error) == -1)
			return -1;
	return 0;
}

/* Longest first; among equals the file's order, which is the array's. */
static int
compare_prefixes(const void *a, const void *b)
{
	const struct block_prefix *left = a, *right = b;

	if (left->prefix.length != right->prefix.length)
		return left->prefix.length > right->prefix.length ? -1 : 1;
	if (left->rule == right->rule)
		return 0;
	return left->rule < right->rule ? -1 : 1;
}

static int
fill(struct blocks *blocks, char error[BLOCKS_ERROR_MAX])
{
	const struct config *config = blocks->config;
	size_t i, total = 0;

	for (i = 0; i < config->server_count; i++)
		total += config->servers[i].match_count;
	blocks->prefixes = calloc(total + 1, sizeof(*blocks->prefixes));
	blocks->hosts = calloc(total + 1, sizeof(*blocks->hosts));
	if (blocks->prefixes == NULL || blocks->hosts == NULL) {
		snprintf(error, BLOCKS_ERROR_MAX, "out of memory");
		return -1;
	}
	for (i = 0; i < config->server_count; i++)
		if (add_server(blocks, &config->servers[i], error) == -1)
			return -1;
	for (i = 0; i < config->domain_count; i++)
		if (check_rule(&config->domains[i], error) == -1)
			return -1;
	qsort(blocks->prefixes, blocks->prefix_count, sizeof(*blocks->prefixes),
	    compare_prefixes);
	return 0;
}

struct blocks *
blocks_new(const struct config *config, char error[BLOCKS_ERROR_MAX])
{
	struct blocks *blocks;

	if ((blocks = calloc(1, sizeof(*blocks))) == NULL) {
		snprintf(error, BLOCKS_ERROR_MAX, "out of memory");
		return NULL;
	}
	blocks->config = config;
	if (fill(blocks, error) == -1) {
		blocks_free(blocks);
		return NULL;
	}
	return blocks;
}

void
blocks_free(struct blocks *blocks)
{
	if (blocks == NULL)
		return;
	free(blocks->prefixes);
	free(blocks->hosts);
	free(blocks);
}

bool
rule_is_current(const struct rule *rule, int64_t now)
{
	return rule->until == 0 || now < rule->until;
}

const struct rule *
blocks_find_address(
    const struct blocks *blocks, const struct address *address, int64_t now)
{
	const struct block_prefix *at;
	size_t i;

	for (i = 0; i < blocks->prefix_count; i++) {
		at = &blocks->prefixes[i];
		if (rule_is_current(at->rule, now) &&
		    prefix_contains(&at->prefix, address))
			return at->rule;
	}
	return NULL;
}

static const struct rule *
find_named(const struct config *config, const char *prefix, const char *name,
    int64_t now)
{
	const struct rule *rule;
	size_t i, skip = strlen(prefix);

	for (i = 0; i < config->domain_count; i++) {
		rule = &config->domains[i];
		if (rule_is_current(rule, now) &&
		    strncmp(rule->name, prefix, skip) == 0 &&
		    strcmp(rule->name + skip, name) == 0)
			return rule;
	}
	return NULL;
}

const struct rule *
blocks_find_domain(const struct blocks *blocks, const char *domain, int64_t now)
{
	const struct rule *rule;
	const char *dot;

	if ((rule = find_named(blocks->config, "", domain, now)) != NULL)
		return rule;
	for (dot = strchr(domain, '.'); dot != NULL;
	     dot = strchr(dot + 1, '.')) {
		rule = find_named(blocks->config, "*.", dot + 1, now);
		if (rule != NULL)
			return rule;
	}
	return NULL;
}
