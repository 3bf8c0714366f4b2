/* SPDX-License-Identifier: ISC */
/*
 * The directory that outlives postern's processes, as postern-policy will
 * judge it, and the disk below it.
 */

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "proxy/doctor.h"

#define STATE       "state"
#define STATE_MIN   ((uint64_t)1 << 20) /* bytes for a change or two */
#define STATE_AMPLE ((uint64_t)64 << 20)
#define STATE_MODE  (S_IRWXG | S_IRWXO) /* bits that it must not have */

/* 0, or why that user may not; a child asks, since root always may. */
static int
access_as(const char *path, const struct passwd *user)
{
	int status;
	pid_t pid;

	if ((pid = fork()) == 0) {
		if (geteuid() == 0 && (setgroups(0, NULL) == -1 ||
					  setresgid(user->pw_gid, user->pw_gid,
					      user->pw_gid) == -1 ||
					  setresuid(user->pw_uid, user->pw_uid,
					      user->pw_uid) == -1))
			_exit(errno);
		_exit(access(path, R_OK | W_OK | X_OK) == 0 ? 0 : errno);
	}
	if (pid == -1)
		return errno;
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

/* As state_open judges it. */
static const char *
fault_of(const char *path, const struct passwd *user)
{
	struct stat st;
	int error;

	if (stat(path, &st) == -1)
		return strerror(errno);
	if (!S_ISDIR(st.st_mode))
		return "is not a directory";
	if (st.st_uid != user->pw_uid)
		return "belongs to another user";
	if ((st.st_mode & STATE_MODE) != 0)
		return "is open to others than its user";
	error = access_as(path, user);
	return error == 0 ? NULL : strerror(error);
}

static void
check_room(struct doctor *doctor, const char *path)
{
	struct statvfs fs;
	uint64_t room;

	if (statvfs(path, &fs) == -1) {
		report_note(
		    doctor->report, STATE, "%s: %s", path, strerror(errno));
		return;
	}
	room = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (room < STATE_MIN || (fs.f_files > 0 && fs.f_favail == 0)) {
		report_fail(doctor->report, STATE,
		    "%s: the disk is full: MTA-STS policies are forgotten at "
		    "the next start",
		    path);
		report_remedy(doctor->report,
		    "make room (`df -h %s`, `df -i %s`)", path, path);
	} else if (room < STATE_AMPLE)
		report_note(doctor->report, STATE,
		    "%s: %llu KiB are left on the disk", path,
		    (unsigned long long)room >> 10);
}

/* The user that postern-policy runs as. */
static const struct passwd *
state_user(const struct doctor *doctor)
{
	const struct proc_list *all = &doctor->processes;
	const struct passwd *user = NULL;
	size_t i;

	for (i = 0; i < all->count; i++)
		if (strcmp(all->list[i].name, "postern-policy") == 0)
			user = getpwuid(all->list[i].uid);
	if (user == NULL && geteuid() == 0)
		user = getpwnam(doctor->config->user);
	if (user == NULL && geteuid() != 0)
		user = getpwuid(geteuid());
	return user;
}

void
doctor_check_state(struct doctor *doctor)
{
	const char *path = doctor->config->state_directory, *fault;
	const struct passwd *user = state_user(doctor);

	if (path[0] == '\0') {
		report_note(doctor->report, STATE,
		    "state_directory is empty: MTA-STS policies are forgotten "
		    "at each start");
		return;
	}
	if (user == NULL) {
		report_fail(doctor->report, STATE, "there is no user %s",
		    doctor->config->user);
		report_remedy(doctor->report,
		    "create it, or set `user`; `postern run` says how");
		return;
	}
	if ((fault = fault_of(path, user)) != NULL) {
		report_fail(doctor->report, STATE, "%s: %s", path, fault);
		report_remedy(doctor->report,
		    "make it with `install -d -m 700 -o %s %s`, and restart "
		    "postern",
		    user->pw_name, path);
		return;
	}
	check_room(doctor, path);
	DOCTOR_PASS(doctor, STATE, "%s: %s's alone, writable, with room", path,
	    user->pw_name);
}
