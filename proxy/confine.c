/* SPDX-License-Identifier: ISC */
/*
 * The user first: the jail has no way to change it.
 */

#include "proxy/confine.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/sandbox.h"

int
confine(const struct spawn *program, char error[PLAN_ERROR_MAX])
{
	static const char *const no_paths[] = {NULL};
	const char *why;

	if (program->changes_user &&
	    (setgroups(0, NULL) == -1 ||
		setresgid(program->gid, program->gid, program->gid) == -1 ||
		setresuid(program->uid, program->uid, program->uid) == -1)) {
		snprintf(error, PLAN_ERROR_MAX, "change of user: %s",
		    strerror(errno));
		return -1;
	}
	if (sandbox_enter(SANDBOX_RELAY, no_paths, &why) == 0)
		return 0;
	snprintf(
	    error, PLAN_ERROR_MAX, "sandbox: %s: %s", why, strerror(errno));
	return -1;
}
