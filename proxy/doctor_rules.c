/* SPDX-License-Identifier: ISC */
/*
 * Whether the road is closed: the kernel's table against the one that this
 * configuration makes, and what would go past any table.
 */

#include <linux/capability.h>

#include <errno.h>
#include <string.h>

#include "netfilter/rules_bypass.h"
#include "netfilter/rules_live.h"
#include "proxy/doctor.h"
#include "proxy/doctor_link.h"
#include "proxy/spawn.h"

#define CHECK  "rules"
#define BYPASS "bypass"
#define TABLE  "table inet postern"

static const char apply[] =
    "`postern rules apply` with the options that `run` has";

static void
on_difference(void *arg, enum rules_difference difference, const char *part)
{
	static const char *const words[] = {
	    [RULES_MISSING] = "is missing",
	    [RULES_CHANGED] = "is not as this configuration has it",
	    [RULES_STRANGE] = "is there, and not in this configuration",
	};
	struct doctor *doctor = arg;

	report_fail(
	    doctor->report, CHECK, TABLE ": %s %s", part, words[difference]);
	report_remedy(doctor->report,
	    "%s puts it right; `postern rules show` and `nft list " TABLE
	    "` show both",
	    apply);
}

/*
 * In local mode the rules depend on what the one that loads them may do: here
 * that is the running parent, which may have less than whoever asks.
 */
static void
settle_own(struct doctor *doctor)
{
	const struct proc_list *all = &doctor->processes;
	size_t i;

	if (doctor->config->own_connections != CONFIG_OWN_AUTO)
		return;
	doctor->config->own_connections = rules_own(doctor->config);
	for (i = 0; i < all->count; i++)
		if (all->list[i].is_run)
			doctor->config->own_connections =
			    (all->list[i].capabilities >> CAP_NET_RAW & 1) != 0
				? CONFIG_OWN_MARK
				: CONFIG_OWN_UID;
}

static void
tell_none(struct doctor *doctor)
{
	if (!doctor->config->manage_rules) {
		report_note(doctor->report, CHECK,
		    "there is no " TABLE "; manage_rules is off, and rules "
		    "made elsewhere are not judged here");
		return;
	}
	report_fail(doctor->report, CHECK,
	    "there is no " TABLE ": mail passes in clear text");
	report_remedy(doctor->report, "start postern, or %s", apply);
}

/* A stop takes the queue out, where nobody would answer any more. */
static bool
is_as_at_a_stop(struct doctor *doctor)
{
	const struct proc_list *all = &doctor->processes;
	char error[RULES_ERROR_MAX];
	size_t i;

	for (i = 0; i < all->count; i++)
		if (all->list[i].is_run)
			return false;
	return rules_live(doctor->config, rules_apply_without_gate, NULL, NULL,
		   error) == RULES_LIVE_SAME;
}

void
doctor_check_rules(struct doctor *doctor)
{
	char error[RULES_ERROR_MAX];

	settle_own(doctor);
	if (is_as_at_a_stop(doctor)) {
		report_pass(doctor->report, CHECK,
		    TABLE " is as a stop leaves it: the ports are refused");
		return;
	}
	switch (rules_live(
	    doctor->config, rules_apply, on_difference, doctor, error)) {
	case RULES_LIVE_SAME:
		report_pass(doctor->report, CHECK,
		    TABLE " is as this configuration has it, for IPv4 and "
			  "IPv6");
		return;
	case RULES_LIVE_DIFFERS:
		return;
	case RULES_LIVE_NONE:
		tell_none(doctor);
		return;
	case RULES_LIVE_UNCOMPARED:
		report_note(doctor->report, CHECK,
		    TABLE " is there, but was not compared: %s", error);
		return;
	case RULES_LIVE_UNKNOWN:
		report_note(doctor->report, CHECK, "%s", error);
		return;
	}
}

static void
on_bypass(void *arg, const char *kind, const char *name)
{
	struct doctor *doctor = arg;

	if (strcmp(kind, "fwd") == 0)
		report_note(doctor->report, BYPASS,
		    "chain %s has `fwd`: what it takes meets no other rule; "
		    "see that it takes none of the ports",
		    name);
	else if (doctor->config->mode != CONFIG_LOCAL)
		report_note(doctor->report, BYPASS,
		    "flowtable %s: a connection that was in it before these "
		    "rules were goes past them until it ends; newer ones are "
		    "refused before they could get there",
		    name);
}

static void
check_xdp(struct doctor *doctor, char *const *names, size_t count)
{
	struct link_state link;
	size_t i;

	for (i = 0; i < count; i++)
		if (link_look(names[i], &link) == 0 && link.has_xdp)
			report_note(doctor->report, BYPASS,
			    "an XDP program on %s: what it takes meets no "
			    "rule; see that it takes none of the ports",
			    names[i]);
}

void
doctor_check_bypass(struct doctor *doctor)
{
	const struct config *config = doctor->config;

	if (!spawn_has_capability(CAP_NET_ADMIN))
		report_note(
		    doctor->report, BYPASS, "needs root: CAP_NET_ADMIN");
	else if (rules_bypass_each(on_bypass, doctor) == -1)
		report_note(
		    doctor->report, BYPASS, "nf_tables: %s", strerror(errno));
	if (config->mode != CONFIG_LOCAL) {
		check_xdp(doctor, config->interfaces, config->interface_count);
		check_xdp(doctor, config->inbound, config->inbound_count);
	}
	if (report_count(doctor->report, BYPASS) == 0)
		report_pass(doctor->report, BYPASS,
		    "no flowtable, `fwd` rule or XDP program that packets "
		    "could go past the rules by");
}
