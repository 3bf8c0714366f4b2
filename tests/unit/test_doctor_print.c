/* SPDX-License-Identifier: ISC */
/* A report, as people and programs get to see it. */

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/doctor_report.h"

#define AT 1795651200 /* 2026-11-26 00:00:00Z */

static char *
print(const struct report *report, bool is_json)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(is_json ? report_print_json(out, report, AT)
				 : report_print_text(out, report),
	    0);
	fclose(out);
	return text;
}

static void
make(struct report *report)
{
	memset(report, 0, sizeof(*report));
	report_pass(report, "rules", "as they %s", "should be");
	report_note(report, "clock", "odd");
	report_fail(report, "state", "%d bytes", 0);
	report_remedy(report, "make room: `df %s`", "/var");
	report_fail(report, "state", "again");
}

static void
test_text(void **state)
{
	struct report report;
	char *text;

	(void)state;
	make(&report);
	text = print(&report, false);
	assert_string_equal(text, "pass rules: as they should be\n"
				  "note clock: odd\n"
				  "FAIL state: 0 bytes; make room: `df /var`\n"
				  "FAIL state: again\n");
	free(text);
	report_clear(&report);
	text = print(&report, false);
	assert_string_equal(text, "");
	free(text);
}

static const char *
value(const json_t *checks, size_t i, const char *key)
{
	return json_string_value(
	    json_object_get(json_array_get(checks, i), key));
}

static void
test_json(void **state)
{
	struct report report;
	json_t *json, *checks;
	char *text;

	(void)state;
	make(&report);
	text = print(&report, true);
	json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(json);
	assert_int_equal(text[strlen(text) - 1], '\n');
	assert_true(json_is_false(json_object_get(json, "healthy")));
	assert_string_equal(json_string_value(json_object_get(json, "time")),
	    "2026-11-26T00:00:00Z");
	assert_string_equal(json_string_value(json_object_get(json, "version")),
	    POSTERN_VERSION);
	checks = json_object_get(json, "checks");
	assert_int_equal(json_array_size(checks), 4);
	assert_string_equal(value(checks, 0, "check"), "rules");
	assert_string_equal(value(checks, 0, "status"), "pass");
	assert_string_equal(value(checks, 0, "found"), "as they should be");
	assert_true(
	    json_is_null(json_object_get(json_array_get(checks, 0), "remedy")));
	assert_string_equal(value(checks, 1, "status"), "note");
	assert_string_equal(value(checks, 2, "status"), "fail");
	assert_string_equal(value(checks, 2, "remedy"), "make room: `df /var`");
	json_decref(json);
	free(text);
	report_clear(&report);
}

static void
test_health(void **state)
{
	struct report report = {0};
	json_t *json;
	char *text;

	(void)state;
	assert_false(report_has_failed(&report, NULL));
	report_pass(&report, "a", "well");
	report_note(&report, "b", "so so");
	assert_false(report_has_failed(&report, NULL));
	text = print(&report, true);
	json = json_loads(text, 0, NULL);
	assert_true(json_is_true(json_object_get(json, "healthy")));
	json_decref(json);
	free(text);
	report_fail(&report, "c", "ill");
	assert_true(report_has_failed(&report, NULL));
	assert_true(report_has_failed(&report, "c"));
	assert_false(report_has_failed(&report, "b"));
	assert_int_equal(report_count(&report, "b"), 1);
	assert_int_equal(report_count(&report, "d"), 0);
	report_clear(&report);
}

/* Names of processes, of chains and of interfaces are anybody's. */
static void
test_escaping(void **state)
{
	struct report report = {0};
	json_t *json;
	char *text;

	(void)state;
	report_fail(&report, "x", "%s", "a\nFAIL \"b\"\x1b[2J\\\xff\x7f");
	report_remedy(&report, "%s", "c\rd");
	text = print(&report, false);
	assert_string_equal(
	    text, "FAIL x: a\\x0aFAIL \"b\"\\x1b[2J\\x5c\\xff\\x7f; c\\x0dd\n");
	free(text);
	text = print(&report, true);
	json = json_loads(text, 0, NULL);
	assert_non_null(json);
	assert_string_equal(value(json_object_get(json, "checks"), 0, "found"),
	    "a\\x0aFAIL \"b\"\\x1b[2J\\x5c\\xff\\x7f");
	json_decref(json);
	free(text);
	report_clear(&report);
}

static void
test_many_and_long(void **state)
{
	char longest[2 * FINDING_TEXT_MAX];
	struct report report = {0};
	size_t i;

	(void)state;
	memset(longest, 1, sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	for (i = 0; i < 1000; i++) {
		report_fail(&report, "x", "%zu%s", i, longest);
		report_remedy(&report, "%s", longest);
	}
	assert_int_equal(report.count, 1000);
	assert_true(strlen(report.findings[999].found) < FINDING_TEXT_MAX);
	assert_int_equal(strncmp(report.findings[999].found, "999\\x01", 7), 0);
	report_clear(&report);
}

static void
test_full_output(void **state)
{
	struct report report;
	FILE *out;

	(void)state;
	if ((out = fopen("/dev/full", "w")) == NULL)
		skip();
	make(&report);
	assert_int_equal(report_print_text(out, &report), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(report_print_json(out, &report, AT), -1);
	fclose(out);
	report_clear(&report);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_text),
	    cmocka_unit_test(test_json),
	    cmocka_unit_test(test_health),
	    cmocka_unit_test(test_escaping),
	    cmocka_unit_test(test_many_and_long),
	    cmocka_unit_test(test_full_output),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
