/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_STS_SOCKET_H
#define POSTERN_STS_SOCKET_H

/*
 * Whose fault it was that a transfer failed: this machine's, first of all where
 * it has no socket, or the other side's.
 */

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

/* Zero at first. */
struct sts_sockets {
	int error; /* why one could not be had; 0: all could */
	size_t routed; /* addresses that this machine has a way to */
	size_t unrouted;
};

/* sts_socket_open is a CURLOPT_OPENSOCKETFUNCTION for a struct sts_sockets. */
curl_socket_t
sts_socket_open(void *sockets, curlsocktype, struct curl_sockaddr *);

/* Whether a connection was tried at all. */
bool sts_sockets_are_tried(const struct sts_sockets *);

/*
 * sts_sockets_fault writes to out what about this machine kept a transfer from
 * being connected; "" where it was nothing here.
 */
void sts_sockets_fault(const struct sts_sockets *, char *out, size_t size);

/* Whether that error is about this machine whatever the other side did. */
bool sts_code_is_local(CURLcode);

#endif
