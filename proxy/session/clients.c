/* SPDX-License-Identifier: ISC */
/*
 * A tree with an entry for each client that is here now, so that its size is
 * that of the sessions.
 */

#include "proxy/session/clients.h"

#include <sys/tree.h>

#include <stdlib.h>

#include "proxy/base/address.h"
#include "proxy/base/log.h"

struct client {
	RB_ENTRY(client) node;
	struct address address; /* as of address_client */
	uint32_t sessions; /* at least one */
};
RB_HEAD(client_tree, client);

struct clients {
	struct client_tree tree;
};

static int
client_compare(struct client *a, struct client *b)
{
	return address_compare(&a->address, &b->address);
}

/* The analyzer loses sight of what a tree holds. */
/* NOLINTBEGIN(clang-analyzer-unix.Malloc) */
RB_PROTOTYPE(client_tree, client, node, client_compare)
RB_GENERATE(client_tree, client, node, client_compare)
/* NOLINTEND(clang-analyzer-unix.Malloc) */

struct clients *
clients_new(void)
{
	struct clients *clients;

	if ((clients = calloc(1, sizeof(*clients))) != NULL)
		RB_INIT(&clients->tree);
	return clients;
}

void
clients_free(struct clients *clients)
{
	struct client *client, *next;

	if (clients == NULL)
		return;
	RB_FOREACH_SAFE (client, client_tree, &clients->tree, next) {
		RB_REMOVE(client_tree, &clients->tree, client);
		free(client);
	}
	free(clients);
}

static struct client *
find(const struct clients *clients, const struct address *address)
{
	struct client key = {.address = address_client(address)};

	/* The macro knows no const. */
	return RB_FIND(client_tree, (struct client_tree *)&clients->tree, &key);
}

uint32_t
clients_sessions(const struct clients *clients, const struct address *address)
{
	const struct client *client = find(clients, address);

	return client == NULL ? 0 : client->sessions;
}

int
clients_begin(struct clients *clients, const struct address *address)
{
	struct client *client = find(clients, address);

	if (client == NULL) {
		if ((client = calloc(1, sizeof(*client))) == NULL)
			return -1;
		client->address = address_client(address);
		RB_INSERT(client_tree, &clients->tree, client);
	}
	client->sessions++;
	return 0; /* NOLINT(clang-analyzer-unix.Malloc): the tree has it */
}

void
clients_end(struct clients *clients, const struct address *address)
{
	struct client *client = find(clients, address);

	if (client == NULL)
		fatalx("a session has ended that did not begin");
	if (--client->sessions > 0)
		return;
	RB_REMOVE(client_tree, &clients->tree, client);
	free(client);
}

void
clients_each(const struct clients *clients,
    void (*each)(void *arg, const struct address *, uint32_t sessions),
    void *arg)
{
	struct client *client;

	RB_FOREACH (client, client_tree, (struct client_tree *)&clients->tree)
		each(arg, &client->address, client->sessions);
}
