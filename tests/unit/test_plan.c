/* SPDX-License-Identifier: ISC */
/*
 * What a reload may not change.  What a start needs of the machine is seen
 * from the outside, by tests/e2e/test_processes.py.
 */

#include "proxy/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void
test_what_only_a_restart_changes(void **state)
{
	struct config *now = config_new(), *next = config_new();

	(void)state;
	assert_non_null(now);
	assert_non_null(next);
	now->mode = CONFIG_LOCAL;
	next->mode = CONFIG_GATEWAY;
	now->listen_port = 10025;
	next->listen_port = 10026;
	now->workers = 2;
	next->workers = 3;
	now->manage_rules = true;
	next->manage_rules = false;
	now->own_connections = CONFIG_OWN_MARK;
	next->own_connections = CONFIG_OWN_UID;
	now->mark = 0x100;
	next->mark = 0x200;
	now->route_table = 1;
	next->route_table = 2;
	now->route_priority = 3;
	next->route_priority = 4;
	now->keep_source_address = false;
	next->keep_source_address = true;
	free(now->user);
	now->user = strdup("one");
	free(next->user);
	next->user = strdup("other");
	plan_keep_fixed(now, next);
	assert_int_equal(next->mode, CONFIG_LOCAL);
	assert_int_equal(next->listen_port, 10025);
	assert_int_equal(next->workers, 2);
	assert_true(next->manage_rules);
	assert_int_equal(next->own_connections, CONFIG_OWN_MARK);
	assert_int_equal(next->mark, 0x100);
	assert_int_equal(next->route_table, 1);
	assert_int_equal(next->route_priority, 3);
	assert_false(next->keep_source_address);
	assert_string_equal(next->user, "one");
	assert_ptr_not_equal(next->user, now->user);
	config_free(now);
	config_free(next);
}

static void
test_what_a_reload_changes(void **state)
{
	struct config *now = config_new(), *next = config_new();

	(void)state;
	assert_non_null(now);
	assert_non_null(next);
	next->ports[0] = 587;
	next->on_refusal = CONFIG_BOUNCE;
	next->require_dnssec = true;
	next->limits.sessions = 7;
	next->timeouts.drain = 9;
	next->keep_rules = !now->keep_rules;
	plan_keep_fixed(now, next);
	assert_int_equal(next->ports[0], 587);
	assert_int_equal(next->on_refusal, CONFIG_BOUNCE);
	assert_true(next->require_dnssec);
	assert_int_equal(next->limits.sessions, 7);
	assert_int_equal(next->timeouts.drain, 9);
	assert_int_not_equal(next->keep_rules, now->keep_rules);
	config_free(now);
	config_free(next);
}

/* Two a session, and some to spare. */
static void
test_descriptors(void **state)
{
	struct config *config = config_new();

	(void)state;
	assert_non_null(config);
	config->limits.sessions = 1000;
	assert_in_range(plan_relay_files(config), 2016, 2200);
	config_free(config);
}

/* The programs are neither beside this test nor installed: a reason. */
static void
test_programs_that_are_not_there(void **state)
{
	struct config *config = config_new();
	char error[PLAN_ERROR_MAX] = "";
	struct plan plan;

	(void)state;
	assert_non_null(config);
	if (access(POSTERN_LIBEXECDIR "/postern-relay", X_OK) == 0)
		skip();
	assert_int_equal(plan_make(&plan, config, true, error), -1);
	assert_non_null(strstr(error, "postern-relay is neither in "));
	assert_null(plan.relay.path);
	plan_clear(&plan);
	config_free(config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_only_a_restart_changes),
	    cmocka_unit_test(test_what_a_reload_changes),
	    cmocka_unit_test(test_descriptors),
	    cmocka_unit_test(test_programs_that_are_not_there),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
