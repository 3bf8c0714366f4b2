/* SPDX-License-Identifier: ISC */
/*
 * The sender's half of sd_notify(3): datagrams of KEY=value lines to a UNIX
 * socket, by path or in the abstract namespace.  Linking libsystemd into the
 * one program that runs as root would bring more code than this.
 */

#include "proxy/notify.h"

#include <sys/time.h>

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proxy/base/log.h"

/* A service manager that does not read may not hold postern up. */
#define SEND_TIMEOUT_SEC 1

/* Takes a variable out of the environment; NULL where it is unset or empty. */
static char *
take_environment(const char *name)
{
	const char *value = getenv(name);
	char *copy = NULL;

	if (value != NULL && value[0] != '\0' && (copy = strdup(value)) == NULL)
		fatal("environment");
	unsetenv(name);
	return copy;
}

static int
set_address(struct notify *notify, const char *text)
{
	size_t len = strlen(text);

	if ((text[0] != '/' && text[0] != '@') ||
	    len >= sizeof(notify->address.sun_path)) {
		errno = EINVAL;
		return -1;
	}
	notify->address.sun_family = AF_UNIX;
	memcpy(notify->address.sun_path, text, len);
	if (text[0] == '@')
		notify->address.sun_path[0] = '\0';
	else
		len++; /* a path ends in NUL, an abstract name does not */
	notify->address_len =
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	return 0;
}

static int
open_socket(struct notify *notify, const char *text)
{
	struct timeval timeout = {.tv_sec = SEND_TIMEOUT_SEC};
	int fd;

	if (set_address(notify, text) == -1)
		return -1;
	if ((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) == -1)
		return -1;
	if (setsockopt(
		fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) == -1) {
		close(fd);
		return -1;
	}
	notify->fd = fd;
	return 0;
}

/* A watchdog meant for another process (WATCHDOG_PID) is none of ours. */
static uint64_t
watchdog_from_text(const char *usec, const char *pid)
{
	const char *error = NULL;
	long long value;

	if (usec == NULL)
		return 0;
	if (pid != NULL &&
	    strtonum(pid, 1, INT_MAX, &error) != (long long)getpid())
		return 0;
	value = strtonum(usec, 1, LLONG_MAX, &error);
	if (error != NULL) {
		log_warnx("WATCHDOG_USEC is %s", error);
		return 0;
	}
	return (uint64_t)value;
}

void
notify_open(struct notify *notify)
{
	char *text = take_environment("NOTIFY_SOCKET");
	char *usec = take_environment("WATCHDOG_USEC");
	char *pid = take_environment("WATCHDOG_PID");

	memset(notify, 0, sizeof(*notify));
	notify->fd = -1;
	notify->watchdog_usec = watchdog_from_text(usec, pid);
	if (text != NULL && open_socket(notify, text) == -1)
		log_warn("NOTIFY_SOCKET");
	free(text);
	free(usec);
	free(pid);
}

void
notify_close(struct notify *notify)
{
	if (notify->fd != -1)
		close(notify->fd);
	notify->fd = -1;
}

static void
send_text(const struct notify *notify, const char *text)
{
	if (notify->fd == -1)
		return;
	if (sendto(notify->fd, text, strlen(text), MSG_NOSIGNAL,
		(const struct sockaddr *)&notify->address,
		notify->address_len) == -1)
		log_warn("notifying the service manager");
}

void
notify_ready(const struct notify *notify)
{
	send_text(notify, "READY=1\n");
}

void
notify_reloading(const struct notify *notify)
{
	char text[NOTIFY_TEXT_MAX];
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now) == -1)
		fatal("CLOCK_MONOTONIC");
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu\n",
	    (unsigned long long)now.tv_sec * 1000000 +
		(unsigned long long)now.tv_nsec / 1000);
	send_text(notify, text);
}

void
notify_watchdog(const struct notify *notify)
{
	send_text(notify, "WATCHDOG=1\n");
}

void
notify_stopping(const struct notify *notify, uint32_t seconds)
{
	char text[NOTIFY_TEXT_MAX];

	snprintf(text, sizeof(text), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu\n",
	    (unsigned long long)seconds * 1000000);
	send_text(notify, text);
}

void
notify_status(const struct notify *notify, const char *format, ...)
{
	static const char key[] = "STATUS=";
	char text[NOTIFY_TEXT_MAX];
	va_list ap;

	strlcpy(text, key, sizeof(text));
	va_start(ap, format);
	vsnprintf(
	    text + sizeof(key) - 1, sizeof(text) - sizeof(key), format, ap);
	va_end(ap);
	/* A newline would begin another assignment. */
	for (char *p = text; *p != '\0'; p++) {
		if (iscntrl((unsigned char)*p))
			*p = ' ';
	}
	strlcat(text, "\n", sizeof(text));
	send_text(notify, text);
}
