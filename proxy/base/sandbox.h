/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_SANDBOX_H
#define POSTERN_SANDBOX_H

/*
 * The jail that a child locks itself into once it holds all it needs:
 * no_new_privs, no filesystem beyond the listed paths (Landlock), and only the
 * system calls of its kind (seccomp; anything else kills the process).
 */

enum sandbox_kind {
	SANDBOX_RELAY, /* sockets, no files */
	SANDBOX_POLICY, /* sockets, reads the listed files */
	SANDBOX_GATE, /* the sockets that it has, no files */
};

/*
 * sandbox_enter locks the calling process in, for good; it must have one
 * thread.  paths (NULL-ended, each must exist; with a directory, all below it)
 * may still be read, by SANDBOX_POLICY only.  A TCP socket may be bound to
 * port 0 and no other (where the kernel knows how: 6.7), none may listen.
 * Returns 0, or -1 with errno set and *why (static) saying which part failed:
 * the caller must then stop.
 *
 * In a sanitizer build seccomp is left out and every file stays readable:
 * the sanitizers' runtime needs more than a jail may give.
 */
int
sandbox_enter(enum sandbox_kind, const char *const *paths, const char **why);

#endif
