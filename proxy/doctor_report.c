/* SPDX-License-Identifier: ISC */
/*
 * A list that grows.  Texts are escaped as they come in, since names of
 * processes, of interfaces and of what other tables hold are anybody's.
 */

#include "proxy/doctor_report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/log.h"

static void write_text(char out[FINDING_TEXT_MAX], const char *, va_list)
    __attribute__((format(printf, 2, 0)));
static void add(struct report *, const char *, enum finding_status,
    const char *, va_list) __attribute__((format(printf, 4, 0)));

void
report_clear(struct report *report)
{
	free(report->findings);
	memset(report, 0, sizeof(*report));
}

static void
write_text(char out[FINDING_TEXT_MAX], const char *format, va_list ap)
{
	char text[FINDING_TEXT_MAX];

	vsnprintf(text, sizeof(text), format, ap);
	log_escape(out, FINDING_TEXT_MAX, text, strlen(text));
}

static void
add(struct report *report, const char *check, enum finding_status status,
    const char *format, va_list ap)
{
	struct finding *finding;
	size_t room = report->room == 0 ? 32 : report->room * 2;

	if (report->count == report->room) {
		finding = reallocarray(
		    report->findings, room, sizeof(*finding));
		if (finding == NULL)
			fatal("what was found");
		report->findings = finding;
		report->room = room;
	}
	finding = &report->findings[report->count++];
	finding->check = check;
	finding->status = status;
	finding->remedy[0] = '\0';
	write_text(finding->found, format, ap);
}

void
report_pass(struct report *report, const char *check, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add(report, check, FINDING_PASS, format, ap);
	va_end(ap);
}

void
report_note(struct report *report, const char *check, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add(report, check, FINDING_NOTE, format, ap);
	va_end(ap);
}

void
report_fail(struct report *report, const char *check, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add(report, check, FINDING_FAIL, format, ap);
	va_end(ap);
}

void
report_remedy(struct report *report, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	write_text(report->findings[report->count - 1].remedy, format, ap);
	va_end(ap);
}

bool
report_has_failed(const struct report *report, const char *check)
{
	size_t i;

	for (i = 0; i < report->count; i++)
		if (report->findings[i].status == FINDING_FAIL &&
		    (check == NULL ||
			strcmp(report->findings[i].check, check) == 0))
			return true;
	return false;
}

size_t
report_count(const struct report *report, const char *check)
{
	size_t count = 0, i;

	for (i = 0; i < report->count; i++)
		if (strcmp(report->findings[i].check, check) == 0)
			count++;
	return count;
}
