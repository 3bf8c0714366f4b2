/* SPDX-License-Identifier: ISC */
/*
 * A report for people, a line a finding, and as one JSON object for programs.
 */

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "certs/date.h"
#include "proxy/doctor_report.h"

/* What fails must be seen in a long list. */
static const char *const words[] = {
    [FINDING_PASS] = "pass",
    [FINDING_NOTE] = "note",
    [FINDING_FAIL] = "FAIL",
};
static const char *const json_words[] = {
    [FINDING_PASS] = "pass",
    [FINDING_NOTE] = "note",
    [FINDING_FAIL] = "fail",
};

int
report_print_text(FILE *out, const struct report *report)
{
	const struct finding *finding;
	size_t i;

	for (i = 0; i < report->count; i++) {
		finding = &report->findings[i];
		fprintf(out, "%s %s: %s%s%s\n", words[finding->status],
		    finding->check, finding->found,
		    finding->remedy[0] == '\0' ? "" : "; ", finding->remedy);
	}
	return fflush(out) == 0 && !ferror(out) ? 0 : -1;
}

/* Takes value over; without it, or room for it, *failed becomes true. */
static void
set(json_t *object, const char *key, json_t *value, bool *failed)
{
	if (json_object_set_new(object, key, value) == -1)
		*failed = true;
}

static json_t *
finding_json(const struct finding *finding, bool *failed)
{
	json_t *object = json_object();

	set(object, "check", json_string(finding->check), failed);
	set(object, "status", json_string(json_words[finding->status]), failed);
	set(object, "found", json_string(finding->found), failed);
	set(object, "remedy",
	    finding->remedy[0] == '\0' ? json_null()
				       : json_string(finding->remedy),
	    failed);
	return object;
}

/* RFC 3339 */
static json_t *
date_json(int64_t when)
{
	char out[DATE_TEXT_MAX];
	char *space;

	date_text(when, out);
	if ((space = strchr(out, ' ')) != NULL)
		*space = 'T';
	return json_string(out);
}

int
report_print_json(FILE *out, const struct report *report, int64_t now)
{
	json_t *object = json_object(), *checks = json_array();
	bool failed = false;
	size_t i;
	int ret = -1;

	for (i = 0; i < report->count; i++)
		if (json_array_append_new(checks,
			finding_json(&report->findings[i], &failed)) == -1)
			failed = true;
	set(object, "healthy", json_boolean(!report_has_failed(report, NULL)),
	    &failed);
	set(object, "time", date_json(now), &failed);
	set(object, "version", json_string(POSTERN_VERSION), &failed);
	set(object, "checks", checks, &failed);
	if (failed)
		errno = ENOMEM;
	else if (json_dumpf(object, out, JSON_INDENT(2)) == 0 &&
		 fputc('\n', out) != EOF && fflush(out) == 0)
		ret = 0;
	json_decref(object);
	return ret;
}
