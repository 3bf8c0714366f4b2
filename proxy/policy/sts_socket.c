/* SPDX-License-Identifier: ISC */
/*
 * libcurl says no more than that it could not connect.  Where this machine has
 * no descriptor left, or no route, that tells nothing of the domain: to take it
 * for one without policy would switch MTA-STS off for all domains at once.
 */

#include "proxy/policy/sts_socket.h"

#include <sys/socket.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * To connect a datagram socket sends nothing, and asks the kernel for the way.
 * What a stream socket is told may come from any router on it.
 */
static bool
has_route(const struct curl_sockaddr *address)
{
	bool has;
	int fd;

	fd = socket(address->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return true; /* not known */
	has = connect(fd, &address->addr, address->addrlen) == 0;
	close(fd);
	return has;
}

curl_socket_t
sts_socket_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct sts_sockets *sockets = arg;
	int fd;

	(void)purpose;
	fd = socket(address->family, address->socktype | SOCK_CLOEXEC,
	    address->protocol);
	if (fd == -1 && errno != EAFNOSUPPORT)
		sockets->error = errno;
	else if (fd == -1 || !has_route(address))
		sockets->unrouted++;
	else
		sockets->routed++;
	return fd == -1 ? CURL_SOCKET_BAD : fd;
}

bool
sts_sockets_are_tried(const struct sts_sockets *sockets)
{
	return sockets->error != 0 || sockets->routed + sockets->unrouted > 0;
}

void
sts_sockets_fault(const struct sts_sockets *sockets, char *out, size_t size)
{
	out[0] = '\0';
	if (sockets->error != 0)
		snprintf(out, size, "this machine has no socket for it: %s",
		    strerror(sockets->error));
	else if (sockets->unrouted > 0 && sockets->routed == 0)
		snprintf(out, size,
		    "this machine has no route to any of its addresses");
}

bool
sts_code_is_local(CURLcode code)
{
	return code == CURLE_OUT_OF_MEMORY || code == CURLE_FAILED_INIT ||
	       code == CURLE_SSL_CACERT_BADFILE ||
	       code == CURLE_SSL_ENGINE_INITFAILED ||
	       code == CURLE_COULDNT_RESOLVE_HOST;
}
