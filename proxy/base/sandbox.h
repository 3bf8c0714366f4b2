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
 * The gate must keep CAP_NET_ADMIN and sockets of NETLINK_NETFILTER to give
 * verdicts, and by those the packet rules could be changed, too.  So they have
 * descriptors from SANDBOX_NETLINK_FD on, and all else has lower ones: what it
 * sends by them is let out up to SANDBOX_NETLINK_BYTES at a time, which is a
 * verdict with a mark.  A change of nf_tables is a batch in one message to the
 * kernel, of 56 bytes at least: begin, one change and end.
 */
#define SANDBOX_NETLINK_FD    256 /* a power of two */
#define SANDBOX_NETLINK_BYTES 40

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
