/* SPDX-License-Identifier: ISC */
/*
 * The numbers of these sockets are all that the jail can know them by.
 */

#include "netfilter/gate_socket.h"

#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/netlink.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "proxy/base/sandbox.h"

/* The descriptor's copy, the given one being closed. */
static int
move_up(int fd)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, SANDBOX_NETLINK_FD);
	/* EINVAL: no number as high is to be had. */
	int saved = moved == -1 && errno == EINVAL ? EMFILE : errno;

	close(fd);
	errno = saved;
	return moved;
}

struct mnl_socket *
gate_socket(void)
{
	struct mnl_socket *made;
	int fd, saved;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    NETLINK_NETFILTER);
	if (fd == -1 || (fd = move_up(fd)) == -1)
		return NULL;
	if ((made = mnl_socket_fdopen(fd)) == NULL) {
		saved = errno;
		close(fd);
	} else if (mnl_socket_bind(made, 0, MNL_SOCKET_AUTOPID) == -1) {
		saved = errno;
		mnl_socket_close(made);
	} else
		return made;
	errno = saved;
	return NULL;
}
