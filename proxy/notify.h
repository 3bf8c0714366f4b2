/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_NOTIFY_H
#define POSTERN_NOTIFY_H

/*
 * What the service manager is told, by the protocol of sd_notify(3).  Where
 * nobody asked to be told, every function here does nothing.
 */

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define NOTIFY_TEXT_MAX 1024 /* bytes of one notification; the rest is cut */

struct notify {
	int fd; /* -1: nobody asked */
	struct sockaddr_un address;
	socklen_t address_len;
	uint64_t watchdog_usec; /* 0: no watchdog was asked for */
};

/*
 * notify_open takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the
 * environment, so that no child believes they were meant for it.  Never fails:
 * an address that cannot be used is logged and nothing is sent.
 */
void notify_open(struct notify *);
void notify_close(struct notify *);

void notify_ready(const struct notify *);
void notify_reloading(const struct notify *);
void notify_watchdog(const struct notify *);
/* The end may take this many seconds. */
void notify_stopping(const struct notify *, uint32_t seconds);
/* One line for people; control characters become spaces. */
void notify_status(const struct notify *, const char *, ...)
    __attribute__((format(printf, 2, 3)));

#endif
