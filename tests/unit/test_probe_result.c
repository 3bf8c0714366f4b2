/* SPDX-License-Identifier: ISC */
/* When a probe counts as proved: its exit status. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "probe_fixture.h"

static void
add(struct probe_result *result, const struct mx_host *host,
    enum probe_outcome outcome)
{
	probe_fixture_server(result, host, "192.0.2.1")->outcome = outcome;
}

static void
test_every_address(void **state)
{
	struct probe_result *result = probe_fixture();

	(void)state;
	/* Nothing was tried: nothing is proved. */
	assert_false(probe_is_proved(result));
	add(result, result->hosts[0], PROBE_PROVED);
	add(result, result->hosts[0], PROBE_PROVED);
	assert_true(probe_host_is_proved(result, result->hosts[0]));
	assert_false(probe_host_is_proved(result, result->hosts[1]));
	assert_int_equal(probe_count_proved(result), 1);
	assert_false(probe_is_proved(result));
	add(result, result->hosts[1], PROBE_PROVED);
	assert_int_equal(probe_count_proved(result), 2);
	assert_true(probe_is_proved(result));
	result->left_out = 1;
	assert_false(probe_is_proved(result));
	probe_result_free(result);
}

static void
test_all_else_is_not_proved(void **state)
{
	static const enum probe_outcome others[] = {
	    PROBE_EXCEPTION,
	    PROBE_REFUSED,
	    PROBE_NO_SERVER,
	    PROBE_UNFINISHED,
	};
	struct probe_result *result;
	size_t i;

	(void)state;
	for (i = 0; i < 2 * sizeof(others) / sizeof(others[0]); i++) {
		result = probe_fixture();
		add(result, result->hosts[0], PROBE_PROVED);
		add(result, result->hosts[1], PROBE_PROVED);
		assert_true(probe_is_proved(result));
		add(result, i % 2 == 0 ? result->hosts[1] : NULL,
		    others[i / 2]);
		assert_false(probe_is_proved(result));
		probe_result_free(result);
	}
}

static void
expect_both(struct probe_result *result, bool wanted)
{
	assert_int_equal(
	    probe_host_is_proved(result, result->hosts[0]), wanted);
	assert_int_equal(probe_is_proved(result), wanted);
}

/* Nobody can tell of an address that it is proved where it is not known. */
static void
test_unknown_addresses(void **state)
{
	static const enum dns_status unknown[] = {DNS_BOGUS, DNS_FAILED};
	struct probe_result *result = probe_fixture();
	struct mx_host *host = &result->facts->mx.hosts[0];
	struct probe_request request = probe_request;
	size_t i;

	(void)state;
	result->request = &request;
	add(result, result->hosts[0], PROBE_PROVED);
	add(result, result->hosts[1], PROBE_PROVED);
	expect_both(result, true);
	for (i = 0; i < 2; i++) {
		request.family = AF_UNSPEC;
		host->ipv6.status = unknown[i];
		expect_both(result, false);
		assert_false(probe_host_is_known(result, host));
		assert_true(probe_host_is_known(result, result->hosts[1]));
		request.family = AF_INET6;
		expect_both(result, false);
		/* Who does not ask need not know. */
		request.family = AF_INET;
		expect_both(result, true);
	}
	host->ipv4.status = DNS_FAILED;
	expect_both(result, false);
	assert_int_equal(address_from_text(&request.address, "2001:db8::1"), 0);
	host->ipv6.status = DNS_FOUND;
	expect_both(result, true);
	probe_result_free(result);
}

static void
test_left_out(void **state)
{
	struct probe_result *result = probe_fixture();
	struct mx_host *host = &result->facts->mx.hosts[0];
	struct probe_request request = probe_request;

	(void)state;
	result->request = &request;
	add(result, result->hosts[0], PROBE_PROVED);
	add(result, result->hosts[1], PROBE_PROVED);
	host->ipv4.count = 1;
	expect_both(result, true);
	host->ipv4.more = 1;
	expect_both(result, false);
	request.family = AF_INET6;
	expect_both(result, true);
	host->ipv6.count = 2;
	expect_both(result, false);
	assert_int_equal(address_from_text(&request.address, "192.0.2.1"), 0);
	expect_both(result, true);
	result->hosts_left_out = 1;
	assert_false(probe_is_proved(result));
	probe_result_free(result);
}

/* One address alone, of no host. */
static void
test_address(void **state)
{
	struct probe_result *result = probe_fixture();

	(void)state;
	result->host_count = 0;
	add(result, NULL, PROBE_PROVED);
	assert_true(probe_is_proved(result));
	probe_result_free(result);
	probe_result_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_address),
	    cmocka_unit_test(test_all_else_is_not_proved),
	    cmocka_unit_test(test_unknown_addresses),
	    cmocka_unit_test(test_left_out),
	    cmocka_unit_test(test_address),
	};

	return cmocka_run_group_tests_name("probe_result", tests, NULL, NULL);
}
