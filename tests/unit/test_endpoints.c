/* SPDX-License-Identifier: ISC */
/* Our own ends are recognised while they are open, by address and port. */

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
	struct endpoint	 a = {0}, b = {0}, same = {0};
	struct address	 v4 = address_of("192.0.2.1", 1000);
	struct address	 other_port = address_of("192.0.2.1", 1001);
	struct address	 v6 = address_of("2001:db8::1", 1000);

	(void)state;
	endpoints_init(&endpoints);
	assert_false(endpoints_has(&endpoints, &v4));
	endpoints_put(&endpoints, &a, &v4);
	endpoints_put(&endpoints, &b, &v6);
	assert_true(endpoints_has(&endpoints, &v4));
	assert_true(endpoints_has(&endpoints, &v6));
	assert_false(endpoints_has(&endpoints, &other_port));
	/* A second one of the same name leaves without taking the first. */
	endpoints_put(&endpoints, &same, &v4);
	endpoints_remove(&endpoints, &same);
	assert_true(endpoints_has(&endpoints, &v4));
	endpoints_remove(&endpoints, &a);
	assert_false(endpoints_has(&endpoints, &v4));
	endpoints_remove(&endpoints, &a);
	endpoints_remove(&endpoints, &b);
	assert_false(endpoints_has(&endpoints, &v6));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_endpoints),
	};

	return cmocka_run_group_tests_name("endpoints", tests, NULL, NULL);
}
