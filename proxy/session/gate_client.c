/* SPDX-License-Identifier: ISC */
/*
 * Nothing here waits for the gate.  A hint of it is checked like any text from
 * outside, since that is where the gate has it from.
 */

#include "proxy/session/gate_client.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "netfilter/gate_message.h"
#include "proxy/base/address.h"
#include "proxy/base/ipc.h"
#include "proxy/base/ipc_address.h"
#include "proxy/base/log.h"
#include "proxy/policy/dns_name.h"

struct gate_client {
	struct event_base *base;
	struct ipc_channel *channel; /* owned; NULL: there is no gate now */
	bool is_full;
	const struct gate_client_handlers *handlers; /* borrowed */
	void *arg;
};

static int
on_hint(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	struct gate_client *client = arg;
	struct address address;
	char name[DNS_NAME_MAX];
	uint32_t seconds;

	(void)channel;
	if (ipc_get_address(reader, &address) == -1)
		return -1;
	ipc_get_str(reader, name, sizeof(name));
	seconds = ipc_get_u32(reader);
	if (ipc_end(reader) == -1 || address.family == AF_UNSPEC ||
	    !dns_name_is_host(name))
		return -1;
	client->handlers->hinted(client->arg, &address, name, seconds);
	return 0;
}

static const struct ipc_row rows[] = {
    {GATE_HINT, false, "HINT", on_hint},
    {0, false, NULL, NULL},
};

/* Another comes with the gate's restart, if that was it. */
static void
on_closed(void *arg, struct ipc_channel *channel, const char *why)
{
	struct gate_client *client = arg;

	log_debug("the channel to postern-gate closed: %s", why);
	ipc_channel_free(channel);
	client->channel = NULL;
	client->handlers->lost(client->arg);
}

struct gate_client *
gate_client_new(struct event_base *base,
    const struct gate_client_handlers *gate_handlers, void *arg)
{
	struct gate_client *client;

	if ((client = calloc(1, sizeof(*client))) == NULL)
		return NULL;
	client->base = base;
	client->is_full = true; /* until it serves */
	client->handlers = gate_handlers;
	client->arg = arg;
	return client;
}

bool
gate_client_is_attached(const struct gate_client *client)
{
	return client->channel != NULL;
}

/* What cannot be sent is told anew by the next change, or channel. */
static void
send_message(struct gate_client *client, const struct ipc_message *message)
{
	if (client->channel != NULL)
		(void)ipc_send(client->channel, message);
}

static void
tell_full(struct gate_client *client)
{
	struct ipc_message message;

	ipc_compose(&message, GATE_FULL, 0);
	ipc_put_u8(&message, client->is_full);
	send_message(client, &message);
}

int
gate_client_attach(struct gate_client *client, int fd)
{
	struct ipc_channel *channel;
	int saved;

	channel = ipc_channel_new(
	    client->base, fd, "postern-gate", rows, on_closed, client);
	if (channel == NULL) {
		saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	ipc_channel_free(client->channel);
	client->channel = channel;
	tell_full(client);
	return 0;
}

void
gate_client_sessions(struct gate_client *client, const struct address *address,
    uint32_t sessions)
{
	struct ipc_message message;

	ipc_compose(&message, GATE_CLIENT, 0);
	ipc_put_address(&message, address);
	ipc_put_u32(&message, sessions);
	send_message(client, &message);
}

void
gate_client_full(struct gate_client *client, bool is_full)
{
	if (client->is_full == is_full)
		return;
	client->is_full = is_full;
	tell_full(client);
}
