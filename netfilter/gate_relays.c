/* SPDX-License-Identifier: ISC */
/*
 * A table of channels.  A relay's number is its place in the table, by which
 * its sessions are counted apart from the others'.
 */

#include "netfilter/gate_relays.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "netfilter/gate_message.h"
#include "proxy/base/ipc.h"
#include "proxy/base/ipc_address.h"
#include "proxy/base/log.h"

struct relay {
	struct gate_relays *all;
	struct ipc_channel *channel; /* owned; NULL: nobody's place */
	bool has_room; /* not before it has said so */
};

struct gate_relays {
	struct event_base *base;
	struct sources *sources; /* borrowed */
	void (*told)(void *);
	void *arg;
	size_t count; /* that are attached */
	size_t with_room;
	struct relay relays[SOURCES_RELAYS_MAX];
};

static void
set_room(struct relay *relay, bool has_room)
{
	relay->all->with_room -= relay->has_room;
	relay->all->with_room += has_room;
	relay->has_room = has_room;
}

static int
on_full(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	struct relay *relay = arg;
	bool is_full = ipc_get_bool(reader);

	(void)channel;
	if (ipc_end(reader) == -1)
		return -1;
	set_room(relay, !is_full);
	relay->all->told(relay->all->arg);
	return 0;
}

static int
on_client(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	struct relay *relay = arg;
	struct address address;
	uint32_t sessions;

	(void)channel;
	if (ipc_get_address(reader, &address) == -1)
		return -1;
	sessions = ipc_get_u32(reader);
	if (ipc_end(reader) == -1 || address.family == AF_UNSPEC)
		return -1;
	sources_told(relay->all->sources, &address,
	    (size_t)(relay - relay->all->relays), sessions);
	return 0;
}

static const struct ipc_row rows[] = {
    {GATE_FULL, false, "FULL", on_full},
    {GATE_CLIENT, false, "CLIENT", on_client},
    {0, false, NULL, NULL},
};

static void
on_closed(void *arg, struct ipc_channel *channel, const char *why)
{
	struct relay *relay = arg;

	log_debug("a relay's channel closed: %s", why);
	ipc_channel_free(channel);
	set_room(relay, false);
	relay->channel = NULL;
	relay->all->count--;
	sources_lost(relay->all->sources, (size_t)(relay - relay->all->relays));
}

struct gate_relays *
gate_relays_new(struct event_base *base, struct sources *sources,
    void (*told)(void *), void *arg)
{
	struct gate_relays *relays;

	if ((relays = calloc(1, sizeof(*relays))) == NULL)
		return NULL;
	relays->base = base;
	relays->sources = sources;
	relays->told = told;
	relays->arg = arg;
	return relays;
}

int
gate_relays_attach(struct gate_relays *relays, int fd)
{
	struct relay *relay;
	int saved = ENOSPC;
	size_t i;

	for (i = 0; i < SOURCES_RELAYS_MAX; i++) {
		relay = &relays->relays[i];
		if (relay->channel != NULL)
			continue;
		*relay = (struct relay){.all = relays};
		relay->channel = ipc_channel_new(
		    relays->base, fd, "relay", rows, on_closed, relay);
		if (relay->channel != NULL) {
			relays->count++;
			return 0;
		}
		saved = errno;
		break;
	}
	close(fd);
	errno = saved;
	return -1;
}

size_t
gate_relays_count(const struct gate_relays *relays)
{
	return relays->count;
}

bool
gate_relays_have_room(const struct gate_relays *relays)
{
	return relays->with_room > 0;
}

void
gate_relays_hint(struct gate_relays *relays, const struct dns_hint *hint)
{
	struct ipc_message message;
	size_t i;

	ipc_compose(&message, GATE_HINT, 0);
	ipc_put_address(&message, &hint->address);
	ipc_put_str(&message, hint->name);
	ipc_put_u32(&message, hint->seconds);
	for (i = 0; i < SOURCES_RELAYS_MAX; i++)
		if (relays->relays[i].channel != NULL)
			(void)ipc_send(relays->relays[i].channel, &message);
}
