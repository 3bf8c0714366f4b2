/* SPDX-License-Identifier: ISC */
/* A table of connections that fills. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/doctor.h"

static void
expect(long long count, long long max, enum finding_status status)
{
	struct report report = {0};

	doctor_judge_conntrack(&report, count, max);
	assert_int_equal(report.count, 1);
	assert_string_equal(report.findings[0].check, "conntrack");
	assert_int_equal(report.findings[0].status, status);
	assert_int_equal(
	    report.findings[0].remedy[0] != '\0', status == FINDING_FAIL);
	report_clear(&report);
}

static void
test_fill(void **state)
{
	(void)state;
	expect(0, 1000, FINDING_PASS);
	expect(799, 1000, FINDING_PASS);
	expect(800, 1000, FINDING_NOTE);
	expect(949, 1000, FINDING_NOTE);
	expect(950, 1000, FINDING_FAIL);
	expect(1001, 1000, FINDING_FAIL);
	/* 0: without a bound */
	expect(1000000, 0, FINDING_PASS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_fill)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
