/* SPDX-License-Identifier: ISC */
/*
 * Each prefix of a block, or the whole of one without any, is an entry of a
 * sorted table: by family and length, longest first, then by address, then by
 * how much else it asks for, then in the file's order.  A lookup is a binary
 * search for each length that occurs, and allocates nothing.
 */

#include "netfilter/admission.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/config_value.h"

#define LENGTHS 129 /* 0 to 128 bits */

struct entry {
	struct prefix prefix;
	const struct admission_rule *rule;
	unsigned int asks; /* how much beside the address */
	size_t order;
};

/* Entries of one length: [first, first + count). */
struct stretch {
	uint8_t length;
	size_t first;
	size_t count;
};

/* One family's. */
struct table {
	struct stretch stretches[LENGTHS];
	size_t stretch_count;
};

struct book {
	struct entry *entries; /* owned */
	size_t count;
	struct table ipv4;
	struct table ipv6;
};

struct admission {
	uint32_t own_mark;
	struct book clients;
	struct book destinations;
};

static int
compare_address(const struct prefix *a, const struct prefix *b)
{
	return memcmp(a->address.ip, b->address.ip, sizeof(a->address.ip));
}

static int
compare_entries(const void *x, const void *y)
{
	const struct entry *a = x, *b = y;
	int order;

	if (a->prefix.address.family != b->prefix.address.family)
		return a->prefix.address.family == AF_INET ? -1 : 1;
	if (a->prefix.length != b->prefix.length)
		return a->prefix.length > b->prefix.length ? -1 : 1;
	if ((order = compare_address(&a->prefix, &b->prefix)) != 0)
		return order;
	if (a->asks != b->asks)
		return a->asks > b->asks ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

static unsigned int
asks(const struct admission_rule *rule)
{
	return (rule->mark_count > 0 ? 2U : 0) +
	       (rule->interface_count > 0 ? 1U : 0);
}

static void
add(struct book *book, const struct admission_rule *rule, size_t order,
    const struct prefix *prefix)
{
	struct entry *entry = &book->entries[book->count++];

	entry->prefix = *prefix;
	entry->rule = rule;
	entry->asks = asks(rule);
	entry->order = order;
}

/* A block without addresses covers all, as the shortest prefix does. */
static void
add_all(struct book *book, const struct admission_rule *rule, size_t order)
{
	static const struct prefix whole[] = {
	    {.address = {.family = AF_INET}},
	    {.address = {.family = AF_INET6}},
	};

	add(book, rule, order, &whole[0]);
	add(book, rule, order, &whole[1]);
}

static void
divide(struct book *book)
{
	struct stretch *stretch = NULL;
	struct table *table, *last = NULL;
	size_t i;

	for (i = 0; i < book->count; i++) {
		const struct prefix *prefix = &book->entries[i].prefix;

		table = prefix->address.family == AF_INET ? &book->ipv4
		                                          : &book->ipv6;
		if (table != last || stretch == NULL ||
		    stretch->length != prefix->length) {
			stretch = &table->stretches[table->stretch_count++];
			*stretch = (struct stretch){prefix->length, i, 0};
			last = table;
		}
		stretch->count++;
	}
}

static int
fill(struct book *book, const struct admission_rule *rules, size_t count)
{
	struct prefix prefix;
	size_t want = 1, i, j;

	for (i = 0; i < count; i++)
		want += rules[i].match_count > 0 ? rules[i].match_count : 2;
	if ((book->entries = calloc(want, sizeof(*book->entries))) == NULL)
		return -1;
	for (i = 0; i < count; i++) {
		if (rules[i].match_count == 0)
			add_all(book, &rules[i], i);
		for (j = 0; j < rules[i].match_count; j++)
			if (prefix_from_text(&prefix, rules[i].matches[j]) == 0)
				add(book, &rules[i], i, &prefix);
	}
	qsort(book->entries, book->count, sizeof(*book->entries),
	    compare_entries);
	divide(book);
	return 0;
}

struct admission *
admission_new(const struct config *config)
{
	struct admission *admission;

	if ((admission = calloc(1, sizeof(*admission))) == NULL)
		return NULL;
	admission->own_mark = config->mark;
	if (fill(&admission->clients, config->clients, config->client_count) ==
		-1 ||
	    fill(&admission->destinations, config->destinations,
		config->destination_count) == -1) {
		admission_free(admission);
		return NULL;
	}
	return admission;
}

void
admission_free(struct admission *admission)
{
	if (admission == NULL)
		return;
	free(admission->clients.entries);
	free(admission->destinations.entries);
	free(admission);
}

static bool
has_interface(const struct admission_rule *rule, const char *interface)
{
	size_t i;

	for (i = 0; i < rule->interface_count; i++)
		if (strcmp(rule->interfaces[i], interface) == 0)
			return true;
	return rule->interface_count == 0;
}

static bool
has_mark(const struct admission *admission, const struct admission_rule *rule,
    uint32_t mark)
{
	uint32_t value, mask;
	size_t i;

	for (i = 0; i < rule->mark_count; i++) {
		value_mark_parts(rule->marks[i], &value, &mask);
		mask &= ~admission->own_mark;
		if ((mark & mask) == (value & mask))
			return true;
	}
	return rule->mark_count == 0;
}

/* The address with all past the length gone. */
static void
cut(struct address *out, const struct address *address, uint8_t length)
{
	size_t whole = length / 8;

	memset(out, 0, sizeof(*out));
	memcpy(out->ip, address->ip, whole);
	if (length % 8 != 0)
		out->ip[whole] = (uint8_t)(address->ip[whole] &
					   0xff << (8 - length % 8));
}

/* The first entry of the stretch with this very prefix, or its end. */
static size_t
search(const struct book *book, const struct stretch *stretch,
    const struct address *key)
{
	size_t low = stretch->first, high = stretch->first + stretch->count;
	size_t middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (memcmp(book->entries[middle].prefix.address.ip, key->ip,
			sizeof(key->ip)) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct admission_rule *
look_up(const struct admission *admission, const struct book *book,
    const struct address *address, const struct admission_packet *packet)
{
	const struct table *table = address->family == AF_INET ? &book->ipv4
	                                                       : &book->ipv6;
	const struct stretch *stretch;
	const struct entry *entry, *end;
	struct address key;
	size_t i;

	for (i = 0; i < table->stretch_count; i++) {
		stretch = &table->stretches[i];
		cut(&key, address, stretch->length);
		entry = &book->entries[search(book, stretch, &key)];
		end = &book->entries[stretch->first + stretch->count];
		for (; entry < end && memcmp(entry->prefix.address.ip, key.ip,
					  sizeof(key.ip)) == 0;
		     entry++)
			if (has_interface(entry->rule, packet->interface) &&
			    has_mark(admission, entry->rule, packet->mark))
				return entry->rule;
	}
	return NULL;
}

struct admission_word
admission_judge(
    const struct admission *admission, const struct admission_packet *packet)
{
	struct admission_word word = {.verdict = CONFIG_INTERCEPT};
	const struct admission_rule *to;

	to = look_up(
	    admission, &admission->destinations, &packet->target, packet);
	if (to != NULL && to->verdict == CONFIG_REJECT) {
		word.destination = to;
		word.verdict = CONFIG_REJECT;
		return word;
	}
	word.client = look_up(
	    admission, &admission->clients, &packet->source, packet);
	if (word.client != NULL)
		word.verdict = word.client->verdict;
	return word;
}
