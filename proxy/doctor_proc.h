/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_DOCTOR_PROC_H
#define POSTERN_DOCTOR_PROC_H

/*
 * What /proc tells: postern's processes in this network namespace, settings
 * of the kernel, counters.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROC_NAME_MAX 32
#define PROC_TEXT_MAX 16384 /* of a file that is read whole */

struct proc {
	pid_t pid;
	pid_t parent;
	char name[PROC_NAME_MAX]; /* of its program, without the directory */
	char state; /* as in proc(5): 'S', 'T', 'Z' ... */
	uid_t uid; /* effective */
	int seccomp; /* 2: a filter */
	uint64_t capabilities; /* effective */
	bool is_run; /* `postern run` */
	bool is_replaced; /* its program is another on the disk by now */
	unsigned long long files; /* descriptors it may have; 0: unknown */
};

struct proc_list {
	struct proc *list; /* owned */
	size_t count;
	size_t hidden; /* that are of this name, and cannot be looked at */
};

/*
 * proc_scan finds the processes of this network namespace whose program is
 * `postern` or begins with `postern-`.  Returns 0, or -1 with errno set.
 */
int proc_scan(struct proc_list *);
void proc_list_clear(struct proc_list *);

/* proc_read reads a file whole, NUL-ended; its length, or -1 with errno. */
ssize_t proc_read(const char *path, char out[PROC_TEXT_MAX]);
/*
 * proc_number reads the number in a file below /proc/sys, its path
 * printf-style; 0, or -1 with errno set.
 */
int proc_number(long long *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * The rest are pure: texts of proc(5) in, values out; 0, or -1 where the text
 * has no such thing.
 */

/* /proc/PID/status: parent, state, uid, seccomp and capabilities. */
int proc_status_read(const char *, struct proc *);
/* /proc/PID/limits: the soft limit of open files; ULLONG_MAX: none. */
int proc_limits_read(const char *, unsigned long long *files);
/* Link of /proc/PID/exe: "/usr/sbin/postern (deleted)". */
void proc_program_read(
    const char *link, char name[PROC_NAME_MAX], bool *is_replaced);
/* /proc/net/netstat: a counter of a group ("TcpExt"). */
int proc_counter_read(
    const char *, const char *group, const char *name, uint64_t *value);
/* /proc/net/if_inet6: whether an interface has more than a link-local one. */
bool proc_has_inet6(const char *, const char *interface);
/* /proc/net/route: whether a route leads out of an interface. */
bool proc_has_route(const char *, const char *interface);

#endif
