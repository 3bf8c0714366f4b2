/* SPDX-License-Identifier: ISC */
/*
 * A hash table over places that are all there from the start, and a list of
 * them by when they were last used.  The hash is keyed, so that nobody can
 * choose addresses that share a chain.
 */

#include "netfilter/sources.h"

#include <sys/queue.h>
#include <sys/random.h>

#include <stdlib.h>
#include <string.h>

#define CHAINS   ((size_t)SOURCES_MAX * 2)
#define MILLI    1000 /* of one connection */
#define BURST_MS (INT64_C(1000) * SOURCES_BURST_S)
/* Of one relay: more than any limit, and all relays' fit their sum. */
#define SESSIONS_MAX (1U << 24)

struct source {
	LIST_ENTRY(source) chain;
	TAILQ_ENTRY(source) age;
	struct address
	    address; /* as of address_client; AF_UNSPEC: a free place */
	uint32_t sessions[SOURCES_RELAYS_MAX];
	uint32_t sessions_all;
	int64_t level; /* thousandths of connections that it may open now */
	int64_t filled_ms;
	int64_t told_ms; /* when the log last had a line about it */
	uint32_t unsaid;
};

struct sources {
	uint64_t key;
	LIST_HEAD(source_chain, source) chains[CHAINS];
	TAILQ_HEAD(source_ages, source) ages; /* longest unused first */
	struct source places[SOURCES_MAX];
};

struct sources *
sources_new(void)
{
	struct sources *sources;
	size_t i;

	if ((sources = calloc(1, sizeof(*sources))) == NULL)
		return NULL;
	if (getrandom(&sources->key, sizeof(sources->key), 0) !=
	    (ssize_t)sizeof(sources->key)) {
		free(sources);
		return NULL;
	}
	TAILQ_INIT(&sources->ages);
	for (i = 0; i < SOURCES_MAX; i++)
		TAILQ_INSERT_TAIL(&sources->ages, &sources->places[i], age);
	return sources;
}

void
sources_free(struct sources *sources)
{
	free(sources);
}

/* The bytes past an IPv4 address are zero, and those of IPv6's key too. */
static size_t
chain_of(const struct sources *sources, const struct address *key)
{
	uint64_t word, hash = sources->key ^ key->family;

	memcpy(&word, key->ip, sizeof(word));
	hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	hash ^= hash >> 32;
	hash = (hash ^ sources->key) * UINT64_C(0xd6e8feb86659fd93);
	return (hash >> 33) % CHAINS;
}

static struct source *
find(const struct sources *sources, const struct address *key)
{
	struct source *source;

	LIST_FOREACH (source, &sources->chains[chain_of(sources, key)], chain)
		if (address_equal(&source->address, key))
			return source;
	return NULL;
}

/* The client's place, which another may have to leave for it. */
static struct source *
claim(struct sources *sources, const struct address *address)
{
	const struct address key = address_client(address);
	struct source *source;

	if ((source = find(sources, &key)) != NULL) {
		TAILQ_REMOVE(&sources->ages, source, age);
		TAILQ_INSERT_TAIL(&sources->ages, source, age);
		return source;
	}
	source = TAILQ_FIRST(&sources->ages);
	TAILQ_REMOVE(&sources->ages, source, age);
	if (source->address.family != AF_UNSPEC)
		LIST_REMOVE(source, chain);
	*source = (struct source){
	    .address = key, .filled_ms = INT64_MIN, .told_ms = INT64_MIN};
	TAILQ_INSERT_TAIL(&sources->ages, source, age);
	LIST_INSERT_HEAD(
	    &sources->chains[chain_of(sources, &key)], source, chain);
	return source;
}

static void
fill(struct source *source, uint32_t rate, int64_t now_ms)
{
	const int64_t full = (int64_t)rate * SOURCES_BURST_S * MILLI;
	int64_t passed;

	if (source->filled_ms == INT64_MIN)
		source->level = full;
	else {
		passed = now_ms - source->filled_ms;
		if (passed > BURST_MS)
			passed = BURST_MS;
		/* A thousandth a millisecond is one a second. */
		source->level += passed * (int64_t)rate;
	}
	if (source->level > full)
		source->level = full;
	source->filled_ms = now_ms;
}

bool
sources_take(struct sources *sources, const struct address *address,
    uint32_t rate, int64_t now_ms)
{
	struct source *source;

	if (rate == 0)
		return true;
	source = claim(sources, address);
	fill(source, rate, now_ms);
	if (source->level < MILLI)
		return false;
	source->level -= MILLI;
	return true;
}

uint32_t
sources_sessions(const struct sources *sources, const struct address *address)
{
	const struct address key = address_client(address);
	const struct source *source = find(sources, &key);

	return source == NULL ? 0 : source->sessions_all;
}

static void
set_sessions(struct source *source, size_t relay, uint32_t sessions)
{
	uint32_t count = sessions > SESSIONS_MAX ? SESSIONS_MAX : sessions;

	source->sessions_all -= source->sessions[relay];
	source->sessions_all += count;
	source->sessions[relay] = count;
}

void
sources_told(struct sources *sources, const struct address *address,
    size_t relay, uint32_t sessions)
{
	const struct address key = address_client(address);

	/* Nothing is remembered of who has nothing. */
	if (sessions == 0 && find(sources, &key) == NULL)
		return;
	set_sessions(claim(sources, address), relay, sessions);
}

void
sources_lost(struct sources *sources, size_t relay)
{
	size_t i;

	for (i = 0; i < SOURCES_MAX; i++)
		set_sessions(&sources->places[i], relay, 0);
}

bool
sources_may_tell(struct sources *sources, const struct address *address,
    int64_t now_ms, uint32_t *unsaid)
{
	struct source *source = claim(sources, address);

	*unsaid = source->unsaid;
	if (source->told_ms != INT64_MIN &&
	    now_ms - source->told_ms < SOURCES_QUIET_MS) {
		source->unsaid++;
		return false;
	}
	source->told_ms = now_ms;
	source->unsaid = 0;
	return true;
}
