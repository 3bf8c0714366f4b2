/* SPDX-License-Identifier: ISC */
/*
 * The server and domain blocks: each by its own table, and then against each
 * other.
 */

#include "proxy/config_load.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/config_value.h"

/* A kind of block: its key, its label's check, its settings. */
struct kind {
	const char *key;
	value_check *check;
	const struct setting *table;
};

static const struct kind server_kind = {"server", value_label, settings_server};
static const struct kind domain_kind = {
    "domain", value_domain, settings_domain};

bool
load_is_block(const struct ucl_node *node)
{
	return strcmp(node->key, server_kind.key) == 0 ||
	       strcmp(node->key, domain_kind.key) == 0;
}

/*
 * A level below verify is an exception, which alone can end; what would prove
 * the far end has no use beside it, but for observing what it would come to.
 */
static int
check_level(
    struct load *load, const struct rule *rule, const struct ucl_node *block)
{
	const char *unused = NULL;

	if (rule->level == LEVEL_VERIFY) {
		if (rule->until != 0)
			return load_fail(load, block->line,
			    "until: only a level of observe, encrypt or none "
			    "ends");
		return 0;
	}
	if (rule->level == LEVEL_OBSERVE)
		return 0;
	if (rule->name_count > 0)
		unused = "names";
	else if (rule->pin_count > 0)
		unused = "pins";
	else if (rule->trust != NULL)
		unused = "trust";
	else if (rule->auth)
		unused = "auth";
	if (unused != NULL)
		return load_fail(load, block->line,
		    "%s: of no use at level = %s", unused,
		    settings_level_words[rule->level]);
	return 0;
}

static int
read_block(struct load *load, const struct kind *kind,
    const struct ucl_node *block, struct rule *rule)
{
	/* The label is read as if the block had set it. */
	const struct setting label = {.path = kind->key,
	    .type = SETTING_STRING,
	    .offset = offsetof(struct rule, name),
	    .check = kind->check};
	const struct ucl_node name = {
	    .type = UCL_STRING, .text = block->key, .line = block->line};
	struct place set[SETTINGS_MAX] = {0}, place;
	const struct ucl_node *node;
	char origin[PLACE_TEXT_MAX];

	place = load_place(load, block->line);
	if ((rule->origin = strdup(place_text(&place, origin))) == NULL)
		return load_fail_at(load, &place, "out of memory");
	if (load_value(load, &label, &name, rule) == -1)
		return -1;
	for (node = block->first; node != NULL; node = node->next) {
		if (load_setting(load, kind->table, "", node, rule, set) == -1)
			return -1;
		if (strcmp(node->key, "trust") == 0) {
			place = load_place(load, node->line);
			if (load_trust(load, rule->trust, &place) == -1)
				return -1;
		}
	}
	if (kind == &server_kind && rule->match_count == 0)
		return load_fail(load, block->line,
		    "match: missing in server '%s'", rule->name);
	return check_level(load, rule, block);
}

/* Blocks of a kind in one source, the count of them added to *count. */
static int
read_blocks(struct load *load, const struct kind *kind,
    const struct ucl_node *top, struct rule *rules, size_t *count)
{
	const struct ucl_node *node, *block;

	for (node = top->first; node != NULL; node = node->next) {
		if (strcmp(node->key, kind->key) != 0)
			continue;
		block = node->first;
		if (node->type != UCL_OBJECT || block == NULL ||
		    block->type != UCL_OBJECT)
			return load_fail(load, node->line,
			    "%s: a named block is expected: %s \"NAME\" {...}",
			    kind->key, kind->key);
		for (; block != NULL; block = block->next) {
			if (block->type != UCL_OBJECT)
				return load_fail(load, block->line,
				    "%s: '%s' stands outside a named block",
				    kind->key, block->key);
			if (read_block(load, kind, block, &rules[(*count)++]) ==
			    -1)
				return -1;
		}
	}
	return 0;
}

static size_t
count_blocks(const struct ucl_node *top, const char *key)
{
	const struct ucl_node *node;
	size_t count = 0;

	for (node = top->first; node != NULL; node = node->next) {
		if (strcmp(node->key, key) == 0)
			count += ucl_node_count(node->first);
	}
	return count;
}

/* What must be told apart, and the block that it stands in. */
struct claim {
	const char *text;
	const struct rule *rule;
};

/* Equal texts come to stand side by side, in the blocks' order. */
static int
claim_compare(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int order = strcmp(x->text, y->text);

	if (order != 0)
		return order;
	return (x->rule > y->rule) - (x->rule < y->rule);
}

static int
check_claims(
    struct load *load, struct claim *claims, size_t count, const char *what)
{
	const struct claim *claim;
	struct place place;

	qsort(claims, count, sizeof(*claims), claim_compare);
	for (claim = claims + 1; claim < claims + count; claim++) {
		if (strcmp(claim[-1].text, claim->text) != 0)
			continue;
		place = (struct place){claim->rule->origin, 0};
		return load_fail_at(load, &place,
		    "%s '%s' is there already (%s)", what, claim->text,
		    claim[-1].rule->origin);
	}
	return 0;
}

/* No label twice, and no destination in two server blocks. */
static int
check_unique(struct load *load, const struct kind *kind,
    const struct rule *rules, size_t count)
{
	struct place place = {load->file, 0};
	struct claim *claims;
	size_t total = count, i, j, n;
	int ret = -1;

	for (i = 0; i < count; i++)
		total += rules[i].match_count;
	/* Never of no size, for which NULL would be no error. */
	if ((claims = calloc(total + 1, sizeof(*claims))) == NULL)
		return load_fail_at(load, &place, "out of memory");
	for (n = 0; n < count; n++)
		claims[n] = (struct claim){rules[n].name, &rules[n]};
	if (check_claims(load, claims, n, kind->key) == -1)
		goto out;
	for (n = 0, i = 0; i < count; i++) {
		for (j = 0; j < rules[i].match_count; j++)
			claims[n++] = (struct claim){
			    rules[i].matches[j], &rules[i]};
	}
	ret = check_claims(load, claims, n, "match");
out:
	free(claims);
	return ret;
}

static int
load_kind(struct load *load, const struct kind *kind,
    struct ucl_node *const tops[LOAD_SOURCES], struct rule **rules,
    size_t *count)
{
	struct place place = {load->file, 0};
	size_t want = 0;
	enum load_source i;

	for (i = 0; i < LOAD_SOURCES; i++)
		want += count_blocks(tops[i], kind->key);
	if (want > CONFIG_RULES_MAX)
		return load_fail_at(load, &place, "more than %d %s blocks",
		    CONFIG_RULES_MAX, kind->key);
	if (want > 0 && (*rules = calloc(want, sizeof(**rules))) == NULL)
		return load_fail_at(load, &place, "out of memory");
	for (i = 0; i < LOAD_SOURCES; i++) {
		load_from(load, i);
		if (read_blocks(load, kind, tops[i], *rules, count) == -1)
			return -1;
	}
	return check_unique(load, kind, *rules, *count);
}

int
load_blocks(struct load *load, struct ucl_node *const tops[LOAD_SOURCES])
{
	struct config *config = load->config;

	if (load_kind(load, &server_kind, tops, &config->servers,
		&config->server_count) == -1)
		return -1;
	return load_kind(
	    load, &domain_kind, tops, &config->domains, &config->domain_count);
}
