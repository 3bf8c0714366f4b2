/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_DOCTOR_REPORT_H
#define POSTERN_DOCTOR_REPORT_H

/*
 * What `postern doctor` found, in the order in which it looked: what passes,
 * what fails with what to do about it, and what is only worth knowing.
 * Everything in it is escaped as for the log.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define FINDING_TEXT_MAX 640

enum finding_status {
	FINDING_PASS,
	FINDING_NOTE, /* no fault, or could not be looked at */
	FINDING_FAIL,
};

struct finding {
	const char *check; /* static */
	enum finding_status status;
	char found[FINDING_TEXT_MAX];
	char remedy[FINDING_TEXT_MAX]; /* "": none */
};

/* Zero it before use. */
struct report {
	struct finding *findings; /* owned */
	size_t count;
	size_t room;
};

void report_clear(struct report *);

/*
 * Each adds a finding of a check, whose name is static, printf-style.  Short
 * of memory they end the program.
 */
void report_pass(struct report *, const char *check, const char *, ...)
    __attribute__((format(printf, 3, 4)));
void report_note(struct report *, const char *check, const char *, ...)
    __attribute__((format(printf, 3, 4)));
void report_fail(struct report *, const char *check, const char *, ...)
    __attribute__((format(printf, 3, 4)));
/* Says what to do about the last finding. */
void report_remedy(struct report *, const char *, ...)
    __attribute__((format(printf, 2, 3)));
/* Whether this check, or for NULL any, has failed. */
bool report_has_failed(const struct report *, const char *check);
/* How many findings a check has. */
size_t report_count(const struct report *, const char *check);

/* doctor_print.c; -1 with errno set where it cannot be written. */
int report_print_text(FILE *, const struct report *);
int report_print_json(FILE *, const struct report *, int64_t now);

#endif
