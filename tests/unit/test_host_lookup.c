/* SPDX-License-Identifier: ISC */
/* A host's addresses out of two answers, in either order. */

#include "proxy/policy/host_lookup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/fake_dns.h"

#define HOST "host.example"

static struct host_addresses found;
static int done_count;

static void
on_done(void *arg, const struct host_addresses *addresses)
{
	assert_ptr_equal(arg, &found);
	found = *addresses;
	done_count++;
}

static void
start(void)
{
	asked_count = 0;
	done_count = 0;
	assert_int_equal(host_lookup_start(NULL, HOST, on_done, &found), 0);
}

static void
assert_address(size_t which, const char *text)
{
	char out[ADDRESS_TEXT_MAX];

	assert_string_equal(
	    address_ip_text(&found.addresses[which], out), text);
}

static void
test_both(void **state)
{
	int order;

	(void)state;
	for (order = 0; order < 2; order++) {
		start();
		if (order == 0) {
			begin(DNS_FOUND, false, 60);
			add_address("2001:db8::1");
			reply(HOST, DNS_AAAA);
		}
		begin(DNS_FOUND, false, 60);
		add_address("192.0.2.1");
		add_address("192.0.2.2");
		reply(HOST, DNS_A);
		if (order == 1) {
			begin(DNS_FOUND, false, 60);
			add_address("2001:db8::1");
			assert_int_equal(done_count, 0);
			reply(HOST, DNS_AAAA);
		}
		assert_int_equal(done_count, 1);
		assert_int_equal(found.count, 3);
		assert_address(0, "2001:db8::1");
		assert_address(1, "192.0.2.1");
		assert_address(2, "192.0.2.2");
		assert_string_equal(found.why, "");
	}
}

static void
test_one_fails(void **state)
{
	(void)state;
	start();
	begin(DNS_BOGUS, false, 0);
	reply(HOST, DNS_AAAA);
	begin(DNS_FOUND, false, 60);
	add_address("192.0.2.1");
	reply(HOST, DNS_A);
	assert_int_equal(found.count, 1);
	assert_string_equal(found.why, "");
	/* And the other has none. */
	start();
	begin(DNS_NODATA, false, 60);
	reply(HOST, DNS_AAAA);
	begin(DNS_FAILED, false, 0);
	reply(HOST, DNS_A);
	assert_int_equal(found.count, 0);
	assert_string_equal(found.why, "because");
}

static void
test_none(void **state)
{
	(void)state;
	start();
	begin(DNS_NXDOMAIN, false, 60);
	reply(HOST, DNS_A);
	reply(HOST, DNS_AAAA);
	assert_int_equal(done_count, 1);
	assert_int_equal(found.count, 0);
	assert_string_equal(found.why, "");
}

static void
test_many(void **state)
{
	char text[ADDRESS_TEXT_MAX];
	int i, family;

	(void)state;
	start();
	for (family = 0; family < 2; family++) {
		begin(DNS_FOUND, false, 60);
		for (i = 1; i <= HOST_ADDRESSES_MAX + 1; i++) {
			snprintf(text, sizeof(text),
			    family == 0 ? "192.0.2.%d" : "2001:db8::%d", i);
			add_address(text);
		}
		reply(HOST, family == 0 ? DNS_A : DNS_AAAA);
	}
	assert_int_equal(found.count, 2 * HOST_ADDRESSES_MAX);
	assert_address(HOST_ADDRESSES_MAX - 1, "2001:db8::4");
	assert_address(2 * HOST_ADDRESSES_MAX - 1, "192.0.2.4");
}

static void
test_dns_full(void **state)
{
	(void)state;
	room = 0;
	asked_count = 0;
	assert_int_equal(host_lookup_start(NULL, HOST, on_done, &found), -1);
	assert_int_equal(errno, EAGAIN);
	room = 1;
	start();
	begin(DNS_NODATA, false, 60);
	reply(HOST, DNS_AAAA);
	assert_int_equal(done_count, 1);
	assert_string_equal(found.why, "too many DNS questions at once");
	room = 1000;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_both),
	    cmocka_unit_test(test_one_fails),
	    cmocka_unit_test(test_none),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_dns_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
