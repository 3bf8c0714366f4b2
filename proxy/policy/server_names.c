/* SPDX-License-Identifier: ISC */
/*
 * A table of hosts for each address family.  Time is the monotonic clock's, so
 * that a jump of the system time neither keeps an address for ever nor loses
 * it.
 */

#include "proxy/policy/server_names.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/policy/blocks.h"
#include "proxy/policy/decide.h"
#include "proxy/policy/dns.h"

struct server_name {
	struct server_names *names; /* borrowed */
	const struct block_host *host; /* borrowed */
	struct address *addresses; /* owned; the last good ones */
	size_t count;
	bool has_good; /* addresses were told once, be it none at all */
	bool has_failed; /* the last lookup did */
	bool has_warned_none;
	bool has_warned_unsigned;
	bool is_running;
	int64_t good; /* when they were told; ms */
	int64_t due; /* to be looked up again; ms */
};

struct table {
	enum dns_type type;
	struct server_name *rows; /* owned; as blocks->hosts */
};

struct server_names {
	struct dns *dns; /* borrowed */
	const struct blocks *blocks; /* borrowed */
	struct table ipv4;
	struct table ipv6;
	struct host_fact *facts; /* owned */
	size_t running;
	void (*changed)(void *);
	void *arg;
};

static uint32_t
clamp_ttl(uint32_t ttl)
{
	if (ttl < SERVER_TTL_MIN)
		return SERVER_TTL_MIN;
	return ttl > SERVER_TTL_MAX ? SERVER_TTL_MAX : ttl;
}

static bool
is_usable(const struct server_name *name, int64_t now)
{
	return name->has_good &&
	       now - name->good <= (int64_t)SERVER_STALE_MAX * 1000;
}

static void
fail(struct server_name *name, const char *why)
{
	int64_t now = clock_monotonic_ms();

	if (!name->has_failed)
		log_warnx("server \"%s\": cannot look up %s: %s%s",
		    name->host->rule->name, name->host->name, why,
		    is_usable(name, now)
			? "; its last known addresses stay in use"
			: "; what no other server block claims is deferred");
	name->has_failed = true;
	name->due = now + (int64_t)SERVER_RETRY * 1000;
}

static void
warn_none(struct server_name *name, const struct dns_answer *answer)
{
	if (answer->status != DNS_NXDOMAIN || name->has_warned_none)
		return;
	log_warnx("server \"%s\": there is no host %s; it matches nothing",
	    name->host->rule->name, name->host->name);
	name->has_warned_none = true;
}

/*
 * Whoever can forge the addresses of a host that is excepted from the proof
 * could except any server there is.
 */
static bool
is_believed(struct server_name *name, const struct dns_answer *answer)
{
	const struct rule *rule = name->host->rule;

	if (rule->level == LEVEL_VERIFY || answer->is_secure ||
	    answer->count == 0)
		return true;
	if (!name->has_warned_unsigned)
		log_warnx("server \"%s\": the addresses of %s are not signed "
			  "(DNSSEC), so that whoever forges them could turn "
			  "off the proof for any server: the exception does "
			  "not hold; match addresses instead of the name",
		    rule->name, name->host->name);
	name->has_warned_unsigned = true;
	return false;
}

static void
succeed(struct server_name *name, const struct dns_answer *answer)
{
	struct address *addresses = NULL;
	size_t i, count = is_believed(name, answer) ? answer->count : 0;

	if (count > 0) {
		addresses = calloc(count, sizeof(*addresses));
		if (addresses == NULL) {
			fail(name, "out of memory");
			return;
		}
		for (i = 0; i < count; i++)
			addresses[i] = answer->records[i].address;
	}
	free(name->addresses);
	name->addresses = addresses;
	name->count = count;
	name->has_good = true;
	name->has_failed = false;
	name->good = clock_monotonic_ms();
	name->due = name->good + (int64_t)clamp_ttl(answer->ttl) * 1000;
	warn_none(name, answer);
}

static void
on_answer(void *arg, const struct dns_answer *answer)
{
	struct server_name *name = arg;
	struct server_names *names = name->names;

	name->is_running = false;
	names->running--;
	switch (answer->status) {
	case DNS_FOUND:
	case DNS_NODATA:
	case DNS_NXDOMAIN:
		succeed(name, answer);
		break;
	case DNS_BOGUS:
	case DNS_FAILED:
		fail(name, answer->why);
		break;
	}
	names->changed(names->arg);
}

static struct table *
table_of(struct server_names *names, sa_family_t family)
{
	return family == AF_INET ? &names->ipv4 : &names->ipv6;
}

static void
start(struct server_names *names, struct server_name *name, enum dns_type type)
{
	if (dns_ask(names->dns, name->host->name, type, on_answer, name) ==
	    -1) {
		fail(name, "too many questions at once");
		return;
	}
	name->is_running = true;
	names->running++;
}

bool
server_names_refresh(struct server_names *names, sa_family_t family)
{
	struct table *table = table_of(names, family);
	struct server_name *name;
	int64_t now = clock_monotonic_ms();
	bool is_ready = true;
	size_t i;

	for (i = 0; i < names->blocks->host_count; i++) {
		name = &table->rows[i];
		if (!name->is_running && now < name->due)
			continue;
		if (!name->is_running && names->running < SERVER_NAMES_LOOKUPS)
			start(names, name, table->type);
		if (!name->has_failed)
			is_ready = false;
	}
	return is_ready;
}

const struct host_fact *
server_names_facts(struct server_names *names, sa_family_t family)
{
	const struct table *table = table_of(names, family);
	const struct server_name *name;
	struct host_fact *fact;
	int64_t now = clock_monotonic_ms();
	size_t i;

	for (i = 0; i < names->blocks->host_count; i++) {
		name = &table->rows[i];
		fact = &names->facts[i];
		fact->is_known = is_usable(name, now);
		fact->addresses = name->addresses;
		fact->count = name->count;
		fact->ttl = now < name->due
		                ? (uint32_t)((name->due - now) / 1000)
		                : 0;
	}
	return names->facts;
}

static int
table_init(struct server_names *names, struct table *table, enum dns_type type)
{
	size_t i, count = names->blocks->host_count;

	table->type = type;
	if ((table->rows = calloc(count, sizeof(*table->rows))) == NULL)
		return -1;
	for (i = 0; i < count; i++) {
		table->rows[i].names = names;
		table->rows[i].host = &names->blocks->hosts[i];
		table->rows[i].due = INT64_MIN;
	}
	return 0;
}

struct server_names *
server_names_new(struct dns *dns, const struct blocks *blocks,
    void (*changed)(void *), void *arg)
{
	struct server_names *names;

	if ((names = calloc(1, sizeof(*names))) == NULL)
		return NULL;
	names->dns = dns;
	names->blocks = blocks;
	names->changed = changed;
	names->arg = arg;
	if (blocks->host_count == 0)
		return names;
	names->facts = calloc(blocks->host_count, sizeof(*names->facts));
	if (names->facts == NULL ||
	    table_init(names, &names->ipv4, DNS_A) == -1 ||
	    table_init(names, &names->ipv6, DNS_AAAA) == -1) {
		server_names_free(names);
		return NULL;
	}
	return names;
}

static void
table_clear(struct table *table, size_t count)
{
	size_t i;

	if (table->rows == NULL)
		return;
	for (i = 0; i < count; i++)
		free(table->rows[i].addresses);
	free(table->rows);
}

void
server_names_free(struct server_names *names)
{
	if (names == NULL)
		return;
	table_clear(&names->ipv4, names->blocks->host_count);
	table_clear(&names->ipv6, names->blocks->host_count);
	free(names->facts);
	free(names);
}
