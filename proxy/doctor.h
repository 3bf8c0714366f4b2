/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_DOCTOR_H
#define POSTERN_DOCTOR_H

/*
 * The checks of `postern doctor`, one function each: measured on this machine
 * as it is now, with nothing changed on it.  Each adds findings to the report:
 * what fails, one by one, or that all is well.  What cannot be looked at is a
 * note, never a pass.
 */

#include <stdbool.h>
#include <stdint.h>

#include "proxy/config.h"
#include "proxy/doctor_proc.h"
#include "proxy/doctor_report.h"

struct doctor {
	struct config *config; /* owned by the command */
	struct report *report; /* borrowed */
	struct proc_list processes; /* owned by the command */
	int processes_errno; /* why they could not be listed; 0 */
};

/* Names to ask the DNS about; NULL: not at all. */
struct doctor_names {
	const char *bogus; /* signed wrongly */
	const char *dane; /* signed, and its MX hosts too */
	const char *mta_sts; /* with a policy */
	uint32_t limit; /* seconds for all of it */
};

void doctor_check_settings(struct doctor *);
void doctor_check_processes(struct doctor *);
void doctor_check_descriptors(struct doctor *);
void doctor_check_listener(struct doctor *);
void doctor_check_rules(struct doctor *);
void doctor_check_bypass(struct doctor *);
void doctor_check_routing(struct doctor *);
void doctor_check_interfaces(struct doctor *);
void doctor_check_forwarding(struct doctor *);
void doctor_check_return_path(struct doctor *);
void doctor_check_conntrack(struct doctor *);
void doctor_check_clock(struct doctor *);
void doctor_check_trust(struct doctor *);
void doctor_check_state(struct doctor *);
/*
 * Comes last: as root it gives that up for the configuration's user, and the
 * process is in a relay's jail afterwards.
 */
void doctor_check_dns(struct doctor *, const struct doctor_names *);

/*
 * Pure: what a conntrack table of this fill means.
 */
void doctor_judge_conntrack(struct report *, long long count, long long max);

/* Passes where nothing of the check has failed. */
#define DOCTOR_PASS(doctor, check, ...)                                        \
	do {                                                                   \
		if (!report_has_failed((doctor)->report, (check)))             \
			report_pass((doctor)->report, (check), __VA_ARGS__);   \
	} while (0)

#endif
