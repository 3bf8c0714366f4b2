/* SPDX-License-Identifier: ISC */
/* Our own connections are recognised while they are open, by both ends. */

#include "proxy/session/endpoints.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct address
address_of(const char *ip, uint16_t port)
{
	struct address address;

	assert_int_equal(address_from_text(&address, ip), 0);
	address.port = port;
	return address;
}

static void
test_endpoints(void **state)
{
	struct endpoints endpoints;
	struct endpoint a = {0}, same = {0};
	struct address client = address_of("192.0.2.1", 1000);
	struct address other_port = address_of("192.0.2.1", 1001);
	struct address v6 = address_of("2001:db8::1", 1000);
	struct address server = address_of("203.0.113.9", 25);
	struct address other_server = address_of("203.0.113.10", 25);

	(void)state;
	endpoints_init(&endpoints);
	assert_int_equal(endpoints_depth(&endpoints, &client, &server), 0);
	endpoints_put(&endpoints, &a, &client, &server, 0);
	assert_int_equal(endpoints_depth(&endpoints, &client, &server), 1);
	/* The same client on the same port, but somewhere else: no loop. */
	assert_int_equal(
	    endpoints_depth(&endpoints, &client, &other_server), 0);
	assert_int_equal(endpoints_depth(&endpoints, &other_port, &server), 0);
	assert_int_equal(endpoints_depth(&endpoints, &v6, &server), 0);
	/* A second one of the same ends leaves without taking the first. */
	endpoints_put(&endpoints, &same, &client, &server, 0);
	endpoints_remove(&endpoints, &same);
	assert_int_equal(endpoints_depth(&endpoints, &client, &server), 1);
	endpoints_remove(&endpoints, &a);
	assert_int_equal(endpoints_depth(&endpoints, &client, &server), 0);
	endpoints_remove(&endpoints, &a);
}

/* One match is chance; a loop goes deeper each time round. */
static void
test_depth(void **state)
{
	struct endpoints endpoints;
	struct endpoint rounds[ENDPOINT_DEPTH_MAX];
	struct address server = address_of("203.0.113.9", 25);
	struct address client;
	unsigned depth = 0, i;

	(void)state;
	endpoints_init(&endpoints);
	for (i = 0; i < ENDPOINT_DEPTH_MAX; i++) {
		assert_true(depth < ENDPOINT_DEPTH_MAX);
		client = address_of("192.0.2.1", (uint16_t)(2000 + i));
		endpoints_put(&endpoints, &rounds[i], &client, &server, depth);
		depth = endpoints_depth(&endpoints, &client, &server);
	}
	assert_int_equal(depth, ENDPOINT_DEPTH_MAX);
	for (i = 0; i < ENDPOINT_DEPTH_MAX; i++)
		endpoints_remove(&endpoints, &rounds[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_endpoints),
	    cmocka_unit_test(test_depth),
	};

	return cmocka_run_group_tests_name("endpoints", tests, NULL, NULL);
}
