/* SPDX-License-Identifier: ISC */
/*
 * A tree by domain, and two lists by use: of domains with a policy, and of
 * those without.  What is held is on neither.
 *
 * Domains are compared from the end, label by label, so that what one party
 * has stands together.
 *
 * A policy's expiry outlives the process and so is wall time, which counts when
 * it comes in.  From then on its end is the monotonic clock's alone: should the
 * system time go back, the policy must not live longer for it, and should it
 * go ahead for an hour, no policy must be forgotten for good.
 */

#include "proxy/policy/sts_table.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/clock.h"
#include "proxy/policy/state.h"

TAILQ_HEAD(use_list, sts_entry);
RB_HEAD(sts_tree, sts_entry);

struct sts_table {
	struct sts_tree domains;
	struct use_list policies; /* the last used first, as in the next */
	struct use_list others;
	size_t other_count; /* on the list */
	size_t bytes; /* of all that have a policy, held ones too */
};

/* The dot comes before all else that a name can have. */
static int
rank(char c)
{
	return c == '.' ? 0 : (unsigned char)c;
}

static int
entry_compare(const struct sts_entry *a, const struct sts_entry *b)
{
	size_t i = strlen(a->domain), j = strlen(b->domain);

	while (i > 0 && j > 0)
		if (a->domain[--i] != b->domain[--j])
			return rank(a->domain[i]) - rank(b->domain[j]);
	return (i > 0) - (j > 0);
}

RB_PROTOTYPE(sts_tree, sts_entry, by_domain, entry_compare)
RB_GENERATE(sts_tree, sts_entry, by_domain, entry_compare)

struct sts_table *
sts_table_new(void)
{
	struct sts_table *table;

	if ((table = calloc(1, sizeof(*table))) == NULL)
		return NULL;
	RB_INIT(&table->domains);
	TAILQ_INIT(&table->policies);
	TAILQ_INIT(&table->others);
	return table;
}

static void
list(struct sts_table *table, struct sts_entry *entry)
{
	entry->is_held = false;
	if (entry->text != NULL) {
		TAILQ_INSERT_HEAD(&table->policies, entry, by_use);
	} else {
		TAILQ_INSERT_HEAD(&table->others, entry, by_use);
		table->other_count++;
	}
}

static void
unlist(struct sts_table *table, struct sts_entry *entry)
{
	if (entry->is_held)
		return;
	entry->is_held = true;
	if (entry->text != NULL) {
		TAILQ_REMOVE(&table->policies, entry, by_use);
	} else {
		TAILQ_REMOVE(&table->others, entry, by_use);
		table->other_count--;
	}
}

/* What it counts for its policy. */
static size_t
size_of(const struct sts_entry *entry)
{
	return entry->text == NULL ? 0 : sizeof(*entry) + entry->len + 1;
}

static void
entry_free(struct sts_table *table, struct sts_entry *entry)
{
	unlist(table, entry);
	RB_REMOVE(sts_tree, &table->domains, entry);
	table->bytes -= size_of(entry);
	free(entry->text);
	free(entry);
}

void
sts_table_free(struct sts_table *table)
{
	struct sts_entry *entry, *next;

	if (table == NULL)
		return;
	RB_FOREACH_SAFE (entry, sts_tree, &table->domains, next)
		entry_free(table, entry);
	free(table);
}

/* The party with most in the policies that can go, and how much that is. */
static size_t
find_largest(struct sts_table *table, char largest[DNS_NAME_MAX])
{
	const char *party = "", *found = "", *of_entry;
	struct sts_entry *entry;
	size_t size = 0, most = 0;

	RB_FOREACH (entry, sts_tree, &table->domains) {
		if (entry->is_held || entry->text == NULL)
			continue;
		of_entry = dns_name_party(entry->domain);
		if (strcmp(of_entry, party) != 0)
			size = 0;
		party = of_entry;
		size += size_of(entry);
		if (size > most) {
			most = size;
			found = party;
		}
	}
	strlcpy(largest, found, DNS_NAME_MAX);
	return most;
}

/* Of the largest party, or of all, what was used least recently goes. */
static void
make_room(struct sts_table *table)
{
	struct sts_entry *entry, *before;
	char party[DNS_NAME_MAX];
	size_t most, goal, taken = 0;
	bool is_large;

	most = find_largest(table, party);
	is_large = most >= STS_TABLE_PARTY_MIN;
	goal = is_large ? most / STS_TABLE_PART : 1;
	entry = TAILQ_LAST(&table->policies, use_list);
	for (; entry != NULL && taken < goal; entry = before) {
		before = TAILQ_PREV(entry, use_list, by_use);
		if (is_large &&
		    strcmp(dns_name_party(entry->domain), party) != 0)
			continue;
		taken += size_of(entry);
		entry_free(table, entry);
	}
}

static void
trim(struct sts_table *table)
{
	/* clang-tidy does not see that it leaves the list. */
	while (table->other_count > STS_TABLE_OTHERS_MAX)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		entry_free(table, TAILQ_LAST(&table->others, use_list));
	while (table->bytes > STS_TABLE_BYTES_MAX &&
	       !TAILQ_EMPTY(&table->policies))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		make_room(table);
}

struct sts_entry *
sts_table_get(struct sts_table *table, const char *domain)
{
	struct sts_entry key, *entry;
	bool is_found;

	strlcpy(key.domain, domain, sizeof(key.domain));
	entry = RB_FIND(sts_tree, &table->domains, &key);
	is_found = entry != NULL;
	if (!is_found) {
		if ((entry = calloc(1, sizeof(*entry))) == NULL)
			return NULL;
		strlcpy(entry->domain, domain, sizeof(entry->domain));
		TAILQ_INIT(&entry->waiters);
		RB_INSERT(sts_tree, &table->domains, entry);
		entry->is_held = true;
	}
	entry->used = clock_monotonic_ms();
	if (is_found && entry->is_held)
		return entry;
	/* On no list while room is made, so that it is not what goes. */
	unlist(table, entry);
	trim(table);
	list(table, entry);
	return entry;
}

struct sts_entry *
sts_table_after(struct sts_table *table, const char *domain)
{
	struct sts_entry key, *entry;

	strlcpy(key.domain, domain, sizeof(key.domain));
	entry = RB_NFIND(sts_tree, &table->domains, &key);
	if (entry != NULL && strcmp(entry->domain, domain) == 0)
		entry = RB_NEXT(sts_tree, &table->domains, entry);
	return entry;
}

void
sts_table_hold(struct sts_table *table, struct sts_entry *entry)
{
	unlist(table, entry);
}

void
sts_table_release(struct sts_table *table, struct sts_entry *entry)
{
	if (!entry->is_held)
		return;
	list(table, entry);
	trim(table);
}

bool
sts_table_is_full(const struct sts_table *table)
{
	return table->bytes + sizeof(struct sts_entry) + STS_TEXT_MAX >
	       STS_TABLE_BYTES_MAX;
}

int64_t
sts_table_life(uint32_t max_age)
{
	return max_age > STS_TABLE_LIFE_MIN ? max_age : STS_TABLE_LIFE_MIN;
}

/* Takes the text, which may be NULL. */
static void
set_text(
    struct sts_table *table, struct sts_entry *entry, char *text, size_t len)
{
	bool is_listed = !entry->is_held;

	unlist(table, entry);
	table->bytes -= size_of(entry);
	free(entry->text);
	entry->text = text;
	entry->len = len;
	table->bytes += size_of(entry);
	if (is_listed)
		list(table, entry);
}

int
sts_table_put(struct sts_table *table, struct sts_entry *entry,
    const struct state_policy *row, const struct sts_policy *policy)
{
	int64_t now = clock_monotonic_ms(), wall = clock_wall();
	int64_t life = sts_table_life(policy->max_age), left, refresh;
	char written[STS_TEXT_MAX], *text;
	size_t len = sts_policy_write(policy, written);

	if ((text = malloc(len + 1)) == NULL)
		return -1;
	memcpy(text, written, len + 1);
	set_text(table, entry, text, len);
	entry->mode = policy->mode;
	entry->is_unconfirmed = false;
	strlcpy(entry->id, row->id, sizeof(entry->id));
	entry->fetched = row->fetched;
	entry->expires = row->expires;
	left = row->expires - wall;
	entry->ends = now + (left < life ? left : life) * 1000;
	refresh = life / 2 < STS_TABLE_REFRESH_MAX ? life / 2
	                                           : STS_TABLE_REFRESH_MAX;
	if (wall > row->fetched)
		refresh -= wall - row->fetched;
	entry->refresh = now + refresh * 1000;
	return 0;
}

bool
sts_table_check(struct sts_table *table, struct sts_entry *entry)
{
	if (entry->text == NULL || clock_monotonic_ms() < entry->ends)
		return false;
	set_text(table, entry, NULL, 0);
	entry->id[0] = '\0';
	entry->checked = 0;
	return true;
}

bool
sts_table_is_stale(const struct sts_entry *entry)
{
	int64_t wall = clock_wall();

	return entry->is_unconfirmed ||
	       clock_monotonic_ms() >= entry->refresh ||
	       wall < entry->fetched || wall >= entry->expires;
}
