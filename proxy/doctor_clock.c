/* SPDX-License-Identifier: ISC */
/*
 * The clock, by which certificates and DNSSEC signatures are judged.
 */

#include <sys/stat.h>
#include <sys/timex.h>

#include <errno.h>
#include <string.h>

#include "certs/date.h"
#include "proxy/base/clock.h"
#include "proxy/doctor.h"

#define CLOCK "clock"
#define DAY   ((int64_t)24 * 60 * 60)

/* A clock behind the time when this very program was installed is wrong. */
static void
check_past(struct doctor *doctor)
{
	char now[DATE_TEXT_MAX], then[DATE_TEXT_MAX];
	struct stat st;

	if (stat("/proc/self/exe", &st) == -1 ||
	    clock_wall() >= st.st_mtim.tv_sec - DAY)
		return;
	report_fail(doctor->report, CLOCK,
	    "it is %s here, but this program is of %s: good certificates and "
	    "DNSSEC signatures seem not to have begun yet",
	    date_text(clock_wall(), now), date_text(st.st_mtim.tv_sec, then));
	report_remedy(doctor->report,
	    "set it (`date -s`, `chronyc makestep`), and have NTP keep it");
}

void
doctor_check_clock(struct doctor *doctor)
{
	struct timex timex = {.modes = 0};
	char now[DATE_TEXT_MAX];
	int state = adjtimex(&timex);

	check_past(doctor);
	date_text(clock_wall(), now);
	if (report_has_failed(doctor->report, CLOCK))
		return;
	if (state == -1)
		report_note(doctor->report, CLOCK,
		    "%s; whether it is kept in time cannot be told: %s", now,
		    strerror(errno));
	else if (state == TIME_ERROR || (timex.status & STA_UNSYNC) != 0)
		report_note(doctor->report, CLOCK,
		    "%s; the kernel knows of nothing that keeps it in time: "
		    "run an NTP client (chrony, systemd-timesyncd), unless "
		    "another machine keeps it for this one",
		    now);
	else
		report_pass(doctor->report, CLOCK, "%s, and kept in time", now);
}
