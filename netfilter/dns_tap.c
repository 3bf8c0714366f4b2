/* SPDX-License-Identifier: ISC */
/*
 * libnetfilter_log over a socket of libmnl's.  What is not read in time is
 * lost, and that is all.
 */

#include "netfilter/dns_tap.h"

#include <sys/socket.h>

#include <arpa/inet.h>

#include <libmnl/libmnl.h>
#include <libnetfilter_log/libnetfilter_log.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netfilter/gate_socket.h"

#define SOCKET_BYTES  (1 << 20)
#define MESSAGE_BYTES (DNS_TAP_COPY_BYTES + 1024)

struct dns_tap {
	struct mnl_socket *socket;
	uint16_t number;
	_Alignas(NLMSG_ALIGNTO) uint8_t message[MESSAGE_BYTES];
};

struct reader {
	void (*take)(void *arg, const uint8_t *data, size_t len);
	void *arg;
};

/* Answers that pass meanwhile are not missed. */
static int
wait_for_word(struct dns_tap *tap)
{
	const struct nlmsghdr *message = (void *)tap->message;
	const struct nlmsgerr *word;
	ssize_t n;

	do {
		n = mnl_socket_recvfrom(
		    tap->socket, tap->message, sizeof(tap->message));
		if (n == -1)
			return -1;
	} while (!mnl_nlmsg_ok(message, (int)n) ||
		 message->nlmsg_type != NLMSG_ERROR);
	word = mnl_nlmsg_get_payload(message);
	errno = -word->error;
	return word->error == 0 ? 0 : -1;
}

static int
configure(struct dns_tap *tap)
{
	struct nlmsghdr *message;

	message = nflog_nlmsg_put_header(
	    (char *)tap->message, NFULNL_MSG_CONFIG, AF_UNSPEC, tap->number);
	message->nlmsg_flags |= NLM_F_ACK;
	if (nflog_attr_put_cfg_cmd(message, NFULNL_CFG_CMD_BIND) == -1 ||
	    nflog_attr_put_cfg_mode(
		message, NFULNL_COPY_PACKET, DNS_TAP_COPY_BYTES) == -1 ||
	    mnl_socket_sendto(tap->socket, message, message->nlmsg_len) == -1)
		return -1;
	return wait_for_word(tap);
}

static int
open_socket(struct dns_tap *tap)
{
	const int bytes = SOCKET_BYTES, on = 1;
	int fd;

	if ((tap->socket = gate_socket()) == NULL)
		return -1;
	fd = mnl_socket_get_fd(tap->socket);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof(on));
	return 0;
}

struct dns_tap *
dns_tap_open(uint16_t number, char error[DNS_TAP_ERROR_MAX])
{
	struct dns_tap *tap;

	if ((tap = calloc(1, sizeof(*tap))) == NULL) {
		strlcpy(error, "out of memory", DNS_TAP_ERROR_MAX);
		return NULL;
	}
	tap->number = number;
	if (open_socket(tap) == 0 && configure(tap) == 0)
		return tap;
	snprintf(error, DNS_TAP_ERROR_MAX, "log group %u: %s", number,
	    strerror(errno));
	dns_tap_close(tap);
	return NULL;
}

void
dns_tap_close(struct dns_tap *tap)
{
	if (tap == NULL)
		return;
	if (tap->socket != NULL)
		mnl_socket_close(tap->socket);
	free(tap);
}

int
dns_tap_fd(const struct dns_tap *tap)
{
	return mnl_socket_get_fd(tap->socket);
}

static int
on_packet(const struct nlmsghdr *message, void *arg)
{
	const struct reader *reader = arg;
	struct nlattr *attributes[NFULA_MAX + 1] = {NULL};
	const struct nlattr *payload;

	if (message->nlmsg_type != (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET))
		return MNL_CB_OK;
	if (nflog_nlmsg_parse(message, attributes) != MNL_CB_OK ||
	    (payload = attributes[NFULA_PAYLOAD]) == NULL)
		return MNL_CB_OK;
	reader->take(reader->arg, mnl_attr_get_payload(payload),
	    mnl_attr_get_payload_len(payload));
	return MNL_CB_OK;
}

int
dns_tap_read(struct dns_tap *tap, void (*take)(void *, const uint8_t *, size_t),
    void *arg)
{
	struct reader reader = {take, arg};
	struct sockaddr_nl sender = {0};
	socklen_t len;
	ssize_t n;
	int count;

	for (count = 0; count < DNS_TAP_BURST; count++) {
		len = sizeof(sender);
		n = recvfrom(dns_tap_fd(tap), tap->message,
		    sizeof(tap->message), MSG_DONTWAIT,
		    (struct sockaddr *)&sender, &len);
		if (n == -1)
			return errno == EAGAIN || errno == EINTR ||
			               errno == ENOBUFS
			           ? count
			           : -1;
		if (sender.nl_pid == 0)
			(void)mnl_cb_run(
			    tap->message, (size_t)n, 0, 0, on_packet, &reader);
	}
	return count;
}
