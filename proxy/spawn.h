/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_SPAWN_H
#define POSTERN_SPAWN_H

/*
 * A program of postern started by fork and exec, stripped of every privilege
 * that it was not given by name.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SPAWN_EXIT_FAILED                                                      \
	127 /* it ended before its program ran; see the log                    \
	     */

struct spawn {
	char *path; /* owned by whoever filled it: the executable */
	bool changes_user; /* only root can */
	uid_t uid;
	gid_t gid;
	uint64_t keeps; /* a bit for each CAP_... that it keeps */
	unsigned int files; /* descriptors it needs; 0: as inherited */
};

/* spawn_has_capability says whether this process may use CAP_... now. */
bool spawn_has_capability(int capability);

/*
 * spawn starts the program with a control channel (ipc_pair) as descriptor
 * PROCESS_CONTROL_FD, standard input from /dev/null, and no other descriptor
 * but standard output and error.  It dies with this process.  Returns its
 * process id and this side's end in *control, which the caller closes; or -1
 * with errno set.  What fails after the fork is logged, and ends the child
 * with SPAWN_EXIT_FAILED.
 */
pid_t spawn(const struct spawn *, int *control);

#endif
