/* SPDX-License-Identifier: ISC */
/*
 * Conntrack: whether it is there where it is needed, and has room.
 */

#include "proxy/doctor.h"

#define CONNTRACK      "conntrack"
#define CONNTRACK_PATH "/proc/sys/net/netfilter/nf_conntrack_"

void
doctor_judge_conntrack(struct report *report, long long count, long long max)
{
	if (max <= 0 || count < max - max / 5)
		report_pass(report, CONNTRACK, "%lld of %lld entries in use",
		    count, max);
	else if (count < max - max / 20)
		report_note(report, CONNTRACK,
		    "%lld of %lld entries in use: when it is full, new "
		    "connections are dropped",
		    count, max);
	else {
		report_fail(report, CONNTRACK,
		    "%lld of %lld entries in use: new connections are "
		    "dropped, or will be",
		    count, max);
		report_remedy(report,
		    "`sysctl -w net.netfilter.nf_conntrack_max=%lld`, and "
		    "look at what fills it: `conntrack -L`",
		    max * 2);
	}
}

void
doctor_check_conntrack(struct doctor *doctor)
{
	bool is_needed = doctor->config->mode == CONFIG_LOCAL;
	long long count, max;

	if (proc_number(&count, CONNTRACK_PATH "count") == 0 &&
	    proc_number(&max, CONNTRACK_PATH "max") == 0)
		doctor_judge_conntrack(doctor->report, count, max);
	else if (!is_needed)
		report_pass(doctor->report, CONNTRACK,
		    "not there, and not needed in mode gateway");
	else {
		report_fail(doctor->report, CONNTRACK,
		    "not there: mode local cannot tell where connections "
		    "were going, and they are refused");
		report_remedy(doctor->report,
		    "`modprobe nf_conntrack`; in a container, on its host");
	}
}
