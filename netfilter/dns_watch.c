/* SPDX-License-Identifier: ISC */
/*
 * A table with one place for each hash of a name: what collides is forgotten,
 * and somebody who fills it on purpose costs others their hints.  The hash is
 * keyed, so that it takes many names to do so.
 */

#include "netfilter/dns_watch.h"

#include <sys/random.h>

#include <stdlib.h>
#include <string.h>

#include "proxy/policy/dns_packet.h"

struct host {
	int64_t until_ms;
	char name[DNS_NAME_MAX];
};

struct dns_watch {
	uint64_t key;
	struct dns_answer answer; /* too large for the stack */
	struct host hosts[DNS_WATCH_HOSTS_MAX];
};

struct dns_watch *
dns_watch_new(void)
{
	struct dns_watch *watch;

	if ((watch = calloc(1, sizeof(*watch))) == NULL)
		return NULL;
	if (getrandom(&watch->key, sizeof(watch->key), 0) !=
	    (ssize_t)sizeof(watch->key)) {
		free(watch);
		return NULL;
	}
	return watch;
}

void
dns_watch_free(struct dns_watch *watch)
{
	free(watch);
}

static struct host *
place(struct dns_watch *watch, const char *name)
{
	uint64_t hash = watch->key;

	for (; *name != '\0'; name++) {
		hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
		hash ^= hash >> 29;
	}
	return &watch->hosts[hash % DNS_WATCH_HOSTS_MAX];
}

static uint32_t
worth(uint32_t ttl)
{
	if (ttl < DNS_WATCH_MIN_S)
		return DNS_WATCH_MIN_S;
	return ttl > DNS_WATCH_MAX_S ? DNS_WATCH_MAX_S : ttl;
}

static void
remember(
    struct dns_watch *watch, const char *name, uint32_t ttl, int64_t now_ms)
{
	struct host *host = place(watch, name);

	host->until_ms = now_ms + (int64_t)worth(ttl) * 1000;
	strlcpy(host->name, name, sizeof(host->name));
}

static bool
is_remembered(struct dns_watch *watch, const char *name, int64_t now_ms)
{
	const struct host *host = place(watch, name);

	return host->until_ms > now_ms && strcmp(host->name, name) == 0;
}

/* A domain without MX records is its own MX host (RFC 5321 5.1). */
static void
take_mx(struct dns_watch *watch, const char *domain, int64_t now_ms)
{
	const struct dns_answer *answer = &watch->answer;
	size_t i;

	if (answer->status == DNS_NODATA)
		remember(watch, domain, answer->ttl, now_ms);
	for (i = 0; answer->status == DNS_FOUND && i < answer->count; i++)
		if (answer->records[i].name[0] != '\0')
			remember(watch, answer->records[i].name, answer->ttl,
			    now_ms);
}

void
dns_watch_message(struct dns_watch *watch, const uint8_t *message, size_t len,
    int64_t now_ms, void (*hint)(void *, const struct dns_hint *), void *arg)
{
	char name[DNS_NAME_MAX];
	struct dns_hint found = {.name = name};
	uint16_t type;
	size_t i;

	if (!dns_packet_question(message, len, &type, name))
		return;
	if (type == DNS_MX) {
		if (dns_packet_parse(message, len, DNS_MX, &watch->answer) == 0)
			take_mx(watch, name, now_ms);
		return;
	}
	if ((type != DNS_A && type != DNS_AAAA) ||
	    !is_remembered(watch, name, now_ms) ||
	    dns_packet_parse(
		message, len, (enum dns_type)type, &watch->answer) == -1 ||
	    watch->answer.status != DNS_FOUND)
		return;
	found.seconds = worth(watch->answer.ttl);
	for (i = 0; i < watch->answer.count && i < DNS_WATCH_TOLD_MAX; i++) {
		found.address = watch->answer.records[i].address;
		hint(arg, &found);
	}
}
