/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_GATE_SOCKET_H
#define POSTERN_GATE_SOCKET_H

struct mnl_socket;

/*
 * gate_socket opens a non-blocking socket of NETLINK_NETFILTER, bound, under a
 * number by which the jail of postern-gate knows it (sandbox.h).  NULL with
 * errno set.  mnl_socket_close closes it.
 */
struct mnl_socket *gate_socket(void);

#endif
