/* SPDX-License-Identifier: ISC */
/*
 * Who runs: the parent, its children by the names of their programs, under
 * which user, in their jails, and with descriptors enough.
 */

#include <linux/capability.h>

#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "netfilter/rules.h"
#include "proxy/doctor.h"
#include "proxy/plan.h"

#define CHECK   "processes"
#define FILES   "descriptors"
#define PREFIX  "postern-"
#define RELAY   PREFIX "relay"
#define POLICY  PREFIX "policy"
#define GATE    PREFIX "gate"
#define SECCOMP 2 /* a filter is in place */

static const char restart[] = "restart postern: `systemctl restart postern`";

static bool
is_child(const struct proc_list *all, const struct proc *proc)
{
	size_t i;

	if (strncmp(proc->name, PREFIX, sizeof(PREFIX) - 1) != 0)
		return false;
	for (i = 0; i < all->count; i++)
		if (all->list[i].is_run && all->list[i].pid == proc->parent)
			return true;
	return false;
}

static const struct proc *
find_run(const struct proc_list *all)
{
	size_t i;

	for (i = 0; i < all->count; i++)
		if (all->list[i].is_run)
			return &all->list[i];
	return NULL;
}

static size_t
count_children(const struct proc_list *all, const char *name)
{
	size_t count = 0, i;

	for (i = 0; i < all->count; i++)
		if (is_child(all, &all->list[i]) &&
		    strcmp(all->list[i].name, name) == 0)
			count++;
	return count;
}

/* As many as the CPUs that it may run on, unless the configuration says. */
static size_t
count_wanted(const struct config *config, const struct proc *run)
{
	cpu_set_t set;
	size_t count = config->workers;

	if (count == 0)
		count = sched_getaffinity(run->pid, sizeof(set), &set) == 0
		            ? (size_t)CPU_COUNT(&set)
		            : 1;
	return count > CONFIG_WORKERS_MAX ? CONFIG_WORKERS_MAX : count;
}

static void
check_count(struct doctor *doctor, const char *name, size_t wanted)
{
	size_t count = count_children(&doctor->processes, name);

	if (count >= wanted)
		return;
	report_fail(
	    doctor->report, CHECK, "%zu of %zu %s run", count, wanted, name);
	report_remedy(doctor->report,
	    "one that ends is started again within 30 seconds: where this "
	    "stays, its log says why it ends (`journalctl -u postern`)");
}

static void
check_running(struct doctor *doctor, const struct proc *proc)
{
	if (proc->state == 'T' || proc->state == 't') {
		report_fail(doctor->report, CHECK, "%s (pid %d) is stopped",
		    proc->name, (int)proc->pid);
		report_remedy(doctor->report,
		    "somebody sent it SIGSTOP, or debugs it: `kill -CONT %d`",
		    (int)proc->pid);
	}
	if (proc->is_replaced)
		report_note(doctor->report, CHECK,
		    "%s (pid %d) runs a program that has been replaced or "
		    "removed since: a restart takes the new one",
		    proc->name, (int)proc->pid);
}

static void
check_user(
    struct doctor *doctor, const struct proc *run, const struct proc *child)
{
	const struct passwd *user = getpwnam(doctor->config->user);

	/* Started without root, all of it runs as one user. */
	if (run->uid != 0 || (user != NULL && child->uid == user->pw_uid))
		return;
	report_fail(doctor->report, CHECK,
	    "%s (pid %d) runs as user id %u, not as %s", child->name,
	    (int)child->pid, (unsigned int)child->uid, doctor->config->user);
	report_remedy(doctor->report, "%s, which changes `user`", restart);
}

/* A sanitizer's runtime needs more than a jail allows: there is none then. */
static void
check_jail(struct doctor *doctor, const struct proc *child)
{
#ifndef POSTERN_SANITIZE
	if (child->seccomp == SECCOMP)
		return;
	report_fail(doctor->report, CHECK, "%s (pid %d) is not in its jail",
	    child->name, (int)child->pid);
	report_remedy(doctor->report,
	    "look again, if it has just started; else %s", restart);
#else
	(void)doctor;
	(void)child;
#endif
}

static void
check_each(struct doctor *doctor, const struct proc *run)
{
	const struct proc_list *all = &doctor->processes;
	size_t i;

	for (i = 0; i < all->count; i++) {
		if (all->list[i].is_run)
			check_running(doctor, &all->list[i]);
		if (!is_child(all, &all->list[i]))
			continue;
		check_running(doctor, &all->list[i]);
		check_user(doctor, run, &all->list[i]);
		check_jail(doctor, &all->list[i]);
	}
}

/* "2 postern-relay, 1 postern-policy": each name where it comes first. */
static const char *
list_children(const struct proc_list *all, char *out, size_t size)
{
	const char *name;
	char one[PROC_NAME_MAX + 32];
	size_t i, k;

	out[0] = '\0';
	for (i = 0; i < all->count; i++) {
		name = all->list[i].name;
		for (k = 0; k < i; k++)
			if (is_child(all, &all->list[k]) &&
			    strcmp(all->list[k].name, name) == 0)
				break;
		if (k < i || !is_child(all, &all->list[i]))
			continue;
		snprintf(one, sizeof(one), "%s%zu %s",
		    out[0] == '\0' ? "" : ", ", count_children(all, name),
		    name);
		strlcat(out, one, size);
	}
	return out;
}

static void
check_absent(struct doctor *doctor)
{
	if (doctor->processes.hidden > 0) {
		report_note(doctor->report, CHECK,
		    "needs root: another user's postern cannot be looked at");
		return;
	}
	report_fail(doctor->report, CHECK,
	    "no `postern run` in this network namespace that can be seen from "
	    "here: what the rules lead to it is refused");
	report_remedy(doctor->report,
	    "start it (`systemctl start postern`); where it does not stay, "
	    "`journalctl -u postern` says why");
}

static size_t
count_runs(const struct proc_list *all)
{
	size_t count = 0, i;

	for (i = 0; i < all->count; i++)
		if (all->list[i].is_run)
			count++;
	return count;
}

void
doctor_check_processes(struct doctor *doctor)
{
	const struct proc *run;
	char children[512], error[RULES_ERROR_MAX];

	if (doctor->processes_errno != 0) {
		report_note(doctor->report, CHECK, "/proc: %s",
		    strerror(doctor->processes_errno));
		return;
	}
	if ((run = find_run(&doctor->processes)) == NULL) {
		check_absent(doctor);
		return;
	}
	if (count_runs(&doctor->processes) > 1)
		report_note(doctor->report, CHECK,
		    "%zu of `postern run` in this network namespace",
		    count_runs(&doctor->processes));
	check_count(doctor, RELAY, count_wanted(doctor->config, run));
	check_count(doctor, POLICY, 1);
	check_count(doctor, GATE, rules_have_gate(doctor->config, error));
	check_each(doctor, run);
	DOCTOR_PASS(doctor, CHECK, "`postern run` (pid %d) with %s",
	    (int)run->pid,
	    list_children(&doctor->processes, children, sizeof(children)));
}

void
doctor_check_descriptors(struct doctor *doctor)
{
	const struct proc_list *all = &doctor->processes;
	unsigned int wanted = plan_relay_files(doctor->config);
	unsigned long long least = ULLONG_MAX;
	size_t i, seen = 0;

	for (i = 0; i < all->count; i++) {
		if (strcmp(all->list[i].name, RELAY) != 0 ||
		    !is_child(all, &all->list[i]) || all->list[i].files == 0)
			continue;
		seen++;
		if (all->list[i].files < least)
			least = all->list[i].files;
	}
	if (seen == 0) {
		report_note(doctor->report, FILES,
		    "no " RELAY " that could be looked at");
		return;
	}
	if (least < wanted) {
		report_fail(doctor->report, FILES,
		    "a relay may open %llu, and limits.sessions = %u needs %u: "
		    "sessions beyond that wait",
		    least, doctor->config->limits.sessions, wanted);
		report_remedy(doctor->report,
		    "raise LimitNOFILE= of the service (or `ulimit -n`) and "
		    "restart postern, or lower limits.sessions");
		return;
	}
	report_pass(doctor->report, FILES,
	    "%llu for each relay, %u needed by limits.sessions = %u", least,
	    wanted, doctor->config->limits.sessions);
}
