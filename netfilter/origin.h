/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_ORIGIN_H
#define POSTERN_ORIGIN_H

/*
 * The sockets that netfilter hands connections to, and those that carry them
 * on: where an intercepted connection was going, and how to go there in the
 * client's name.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "proxy/base/address.h"

#define ORIGIN_BACKLOG 4096 /* the kernel's somaxconn may make it less */

/*
 * origin_listen opens one of the sockets that connections are led to, on the
 * loopback address of family: nobody outside the host can reach it by its own
 * address, rules or no rules.  Several processes may each hold one on the
 * same port (SO_REUSEPORT), as long as one user opens them all.  is_transparent
 * is for TPROXY and needs CAP_NET_RAW or CAP_NET_ADMIN; so does a mark (0:
 * none) for what is sent from it and from what it accepts.  Returns a
 * non-blocking descriptor, or -1 with errno set; EAFNOSUPPORT and
 * EADDRNOTAVAIL mean that the host does without that family.
 */
int origin_listen(
    sa_family_t family, uint16_t port, bool is_transparent, uint32_t mark);

/*
 * origin_of finds where the client of an accepted connection was going:
 * the socket's own address under TPROXY, conntrack's memory of it under
 * REDIRECT.  Returns 0, or -1 with *dst of family AF_UNSPEC and errno set;
 * EDESTADDRREQ means that there is no such place, because the client spoke to
 * the listener itself: refuse it.
 */
int origin_of(int fd, bool is_redirected, struct address *dst);

/*
 * origin_dial_socket makes the socket that carries a connection on to dst; the
 * caller connects it.  Where source is not NULL the connection will leave from
 * that address, which need not be this host's (IP_TRANSPARENT), with a port of
 * the kernel's choice.  mark is set on its packets, 0: none.  Both need
 * CAP_NET_RAW or CAP_NET_ADMIN.  Returns a non-blocking descriptor, or -1 with
 * errno set (EAFNOSUPPORT: source and dst are of different families).
 */
int origin_dial_socket(
    const struct address *dst, const struct address *source, uint32_t mark);

#endif
