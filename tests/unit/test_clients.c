/* SPDX-License-Identifier: ISC */
/* Sessions counted by client, and nothing kept of who has none. */

#include "proxy/session/clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/address.h"

static struct address
of(const char *ip, uint16_t port)
{
	struct address address;

	assert_int_equal(address_from_text(&address, ip), 0);
	address.port = port;
	return address;
}

struct seen {
	int count;
	uint32_t sessions;
};

static void
see(void *arg, const struct address *client, uint32_t sessions)
{
	struct seen *seen = arg;

	assert_int_equal(client->port, 0);
	seen->count++;
	seen->sessions += sessions;
}

static struct seen
all(const struct clients *clients)
{
	struct seen seen = {0};

	clients_each(clients, see, &seen);
	return seen;
}

static void
test_counts(void **state)
{
	struct clients *clients = clients_new();
	struct address a = of("192.0.2.1", 40000), again = of("192.0.2.1", 9);
	struct address b = of("192.0.2.2", 40000);
	struct address six = of("2001:db8::1", 1);
	struct address neighbour = of("2001:db8::ffff:2", 1);
	struct address other = of("2001:db8:0:1::1", 1);

	(void)state;
	assert_int_equal(clients_sessions(clients, &a), 0);
	assert_int_equal(all(clients).count, 0);
	assert_int_equal(clients_begin(clients, &a), 0);
	assert_int_equal(clients_begin(clients, &again), 0);
	assert_int_equal(clients_sessions(clients, &a), 2);
	assert_int_equal(clients_sessions(clients, &b), 0);
	assert_int_equal(clients_begin(clients, &six), 0);
	assert_int_equal(clients_sessions(clients, &neighbour), 1);
	assert_int_equal(clients_sessions(clients, &other), 0);
	assert_int_equal(all(clients).count, 2);
	assert_int_equal(all(clients).sessions, 3);
	clients_end(clients, &neighbour);
	clients_end(clients, &a);
	assert_int_equal(clients_sessions(clients, &again), 1);
	clients_end(clients, &a);
	assert_int_equal(all(clients).count, 0);
	assert_int_equal(clients_begin(clients, &b), 0);
	clients_free(clients); /* with what it still has */
	clients_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_counts),
	};

	return cmocka_run_group_tests_name("clients", tests, NULL, NULL);
}
