/* SPDX-License-Identifier: ISC */
/*
 * The server, domain, client and destination blocks: each by its own table,
 * and then against each other.
 */

#include "proxy/config_load.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/config_value.h"

/*
 * A kind of block: its key, its label's check, its settings, what its whole
 * must hold, and where the parts lie that every kind has.
 */
struct kind {
	const char *key;
	value_check *check;
	const struct setting *table;
	int (*finish)(
	    struct load *, const void *rule, const struct ucl_node *block);
	size_t size;
	size_t name; /* offsets of char *, char *, char ** and size_t */
	size_t origin;
	size_t matches;
	size_t match_count;
	bool has_own_matches; /* no destination in two blocks */
};

#define KIND_OF(type)                                                          \
	.size = sizeof(struct type), .name = offsetof(struct type, name),      \
	.origin = offsetof(struct type, origin),                               \
	.matches = offsetof(struct type, matches),                             \
	.match_count = offsetof(struct type, match_count)

static int
finish_server(struct load *, const void *rule, const struct ucl_node *);
static int
finish_domain(struct load *, const void *rule, const struct ucl_node *);
static int
finish_client(struct load *, const void *rule, const struct ucl_node *);
static int
finish_destination(struct load *, const void *rule, const struct ucl_node *);

static const struct kind server_kind = {"server", value_label, settings_server,
    finish_server, KIND_OF(rule), .has_own_matches = true};
static const struct kind domain_kind = {
    "domain", value_domain, settings_domain, finish_domain, KIND_OF(rule)};
static const struct kind client_kind = {"client", value_label, settings_client,
    finish_client, KIND_OF(admission_rule)};
static const struct kind destination_kind = {"destination", value_label,
    settings_destination, finish_destination, KIND_OF(admission_rule),
    .has_own_matches = true};

static const struct kind *const kinds[] = {
    &server_kind, &domain_kind, &client_kind, &destination_kind};

static char *
rule_name(const struct kind *kind, const void *rule)
{
	return *(char *const *)((const char *)rule + kind->name);
}

static char *
rule_origin(const struct kind *kind, const void *rule)
{
	return *(char *const *)((const char *)rule + kind->origin);
}

static char **
rule_matches(const struct kind *kind, const void *rule, size_t *count)
{
	*count = *(const size_t *)((const char *)rule + kind->match_count);
	return *(char **const *)((const char *)rule + kind->matches);
}

bool
load_is_block(const struct ucl_node *node)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(node->key, kinds[i]->key) == 0)
			return true;
	return false;
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
finish_domain(struct load *load, const void *rule, const struct ucl_node *block)
{
	return check_level(load, rule, block);
}

static int
want_match(struct load *load, const struct kind *kind, const void *rule,
    const struct ucl_node *block)
{
	size_t count;

	(void)rule_matches(kind, rule, &count);
	if (count > 0)
		return 0;
	return load_fail(load, block->line, "match: missing in %s '%s'",
	    kind->key, rule_name(kind, rule));
}

static int
finish_server(struct load *load, const void *rule, const struct ucl_node *block)
{
	if (want_match(load, &server_kind, rule, block) == -1)
		return -1;
	return check_level(load, rule, block);
}

/* What goes out untouched is named, and is never everybody. */
static int
finish_client(struct load *load, const void *p, const struct ucl_node *block)
{
	const struct admission_rule *rule = p;

	if (rule->verdict == CONFIG_EXEMPT && rule->match_count == 0 &&
	    rule->interface_count == 0 && rule->mark_count == 0)
		return load_fail(load, block->line,
		    "verdict: client '%s' would exempt everybody: give match, "
		    "interfaces or marks",
		    rule->name);
	if (rule->verdict == CONFIG_REJECT &&
	    (rule->connection_rate != 0 || rule->sessions != 0))
		return load_fail(load, block->line,
		    "%s: of no use at verdict = reject",
		    rule->sessions != 0 ? "sessions" : "connection_rate");
	if (rule->verdict == CONFIG_EXEMPT && rule->sessions != 0)
		return load_fail(load, block->line,
		    "sessions: of no use at verdict = exempt, since postern "
		    "has none of these");
	return 0;
}

static int
finish_destination(
    struct load *load, const void *rule, const struct ucl_node *block)
{
	return want_match(load, &destination_kind, rule, block);
}

/* A setting that names a trust file has it read. */
static int
read_trust(struct load *load, const struct kind *kind,
    const struct ucl_node *node, const void *rule)
{
	struct place place = load_place(load, node->line);

	if ((kind != &server_kind && kind != &domain_kind) ||
	    strcmp(node->key, "trust") != 0)
		return 0;
	return load_trust(load, ((const struct rule *)rule)->trust, &place);
}

static int
read_block(struct load *load, const struct kind *kind,
    const struct ucl_node *block, void *rule)
{
	/* The label is read as if the block had set it. */
	const struct setting label = {.path = kind->key,
	    .type = SETTING_STRING,
	    .offset = kind->name,
	    .check = kind->check};
	const struct ucl_node name = {
	    .type = UCL_STRING, .text = block->key, .line = block->line};
	struct place set[SETTINGS_MAX] = {0}, place;
	const struct ucl_node *node;
	char text[PLACE_TEXT_MAX], *origin;

	place = load_place(load, block->line);
	if ((origin = strdup(place_text(&place, text))) == NULL)
		return load_fail_at(load, &place, "out of memory");
	*(char **)((char *)rule + kind->origin) = origin;
	if (load_value(load, &label, &name, rule) == -1)
		return -1;
	for (node = block->first; node != NULL; node = node->next) {
		if (load_setting(load, kind->table, "", node, rule, set) ==
			-1 ||
		    read_trust(load, kind, node, rule) == -1)
			return -1;
	}
	return kind->finish(load, rule, block);
}

/* Blocks of a kind in one source, the count of them added to *count. */
static int
read_blocks(struct load *load, const struct kind *kind,
    const struct ucl_node *top, void *rules, size_t *count)
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
			if (read_block(load, kind, block,
				(char *)rules + kind->size * (*count)++) == -1)
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
	const char *origin;
	size_t at; /* the block's place among its kind */
};

/* Equal texts come to stand side by side, in the blocks' order. */
static int
claim_compare(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int order = strcmp(x->text, y->text);

	if (order != 0)
		return order;
	return (x->at > y->at) - (x->at < y->at);
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
		place = (struct place){claim->origin, 0};
		return load_fail_at(load, &place,
		    "%s '%s' is there already (%s)", what, claim->text,
		    claim[-1].origin);
	}
	return 0;
}

/* The labels of a kind's blocks, or what they match, as claims. */
static size_t
add_claims(struct claim *claims, const struct kind *kind, const void *rules,
    size_t count, bool of_matches)
{
	const void *rule;
	char **matches;
	size_t n = 0, i, j, match_count;

	for (i = 0; i < count; i++) {
		rule = (const char *)rules + kind->size * i;
		if (!of_matches) {
			claims[n++] = (struct claim){
			    rule_name(kind, rule), rule_origin(kind, rule), i};
			continue;
		}
		matches = rule_matches(kind, rule, &match_count);
		for (j = 0; j < match_count; j++)
			claims[n++] = (struct claim){
			    matches[j], rule_origin(kind, rule), i};
	}
	return n;
}

/* No label twice, and no destination in two blocks. */
static int
check_unique(
    struct load *load, const struct kind *kind, const void *rules, size_t count)
{
	struct place place = {load->file, 0};
	struct claim *claims;
	size_t total = count, i, n;
	int ret = -1;

	for (i = 0; i < count; i++) {
		(void)rule_matches(
		    kind, (const char *)rules + kind->size * i, &n);
		total += n;
	}
	/* Never of no size, for which NULL would be no error. */
	if ((claims = calloc(total + 1, sizeof(*claims))) == NULL)
		return load_fail_at(load, &place, "out of memory");
	n = add_claims(claims, kind, rules, count, false);
	if (check_claims(load, claims, n, kind->key) == -1)
		goto out;
	n = kind->has_own_matches ? add_claims(claims, kind, rules, count, true)
	                          : 0;
	ret = check_claims(load, claims, n, "match");
out:
	free(claims);
	return ret;
}

static int
load_kind(struct load *load, const struct kind *kind,
    struct ucl_node *const tops[LOAD_SOURCES], void **rules, size_t *count)
{
	struct place place = {load->file, 0};
	size_t want = 0;
	enum load_source i;

	for (i = 0; i < LOAD_SOURCES; i++)
		want += count_blocks(tops[i], kind->key);
	if (want > CONFIG_RULES_MAX)
		return load_fail_at(load, &place, "more than %d %s blocks",
		    CONFIG_RULES_MAX, kind->key);
	/* Never of no size, for which NULL would be no error. */
	if ((*rules = calloc(want + 1, kind->size)) == NULL)
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
	void *servers = NULL, *domains = NULL, *clients = NULL;
	void *destinations = NULL;
	int ret = 0;

	if (load_kind(load, &server_kind, tops, &servers,
		&config->server_count) == -1 ||
	    load_kind(load, &domain_kind, tops, &domains,
		&config->domain_count) == -1 ||
	    load_kind(load, &client_kind, tops, &clients,
		&config->client_count) == -1 ||
	    load_kind(load, &destination_kind, tops, &destinations,
		&config->destination_count) == -1)
		ret = -1;
	/* The configuration's in any case, to be freed with it. */
	config->servers = servers;
	config->domains = domains;
	config->clients = clients;
	config->destinations = destinations;
	return ret;
}
