/* SPDX-License-Identifier: ISC */
/*
 * libnetfilter_queue over a socket of libmnl's.  Nothing is allocated once the
 * queue is open.  Each packet is answered by its own id: a batch verdict holds
 * for every packet up to one, and would accept those whose message was lost or
 * could not be read.
 */

#include "netfilter/queue.h"

#include <sys/socket.h>

#include <arpa/inet.h>

#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netfilter/gate_socket.h"

#define SOCKET_BYTES (4 << 20) /* of messages that wait to be read */
#define MESSAGE_BYTES                                                          \
	(QUEUE_COPY_BYTES + 512) /* a packet and what it is told */
#define VERDICT_BYTES 64 /* one verdict */

struct queue {
	struct mnl_socket *socket;
	uint16_t number;
	_Alignas(NLMSG_ALIGNTO) uint8_t messages[QUEUE_BURST][MESSAGE_BYTES];
	struct iovec vectors[QUEUE_BURST];
	struct sockaddr_nl senders[QUEUE_BURST];
	struct mmsghdr heads[QUEUE_BURST];
	_Alignas(NLMSG_ALIGNTO) char verdicts[QUEUE_BURST * VERDICT_BYTES];
	size_t verdicts_len;
};

static int
open_socket(struct queue *queue)
{
	const int bytes = SOCKET_BYTES, on = 1;
	int fd;

	if ((queue->socket = gate_socket()) == NULL)
		return -1;
	fd = mnl_socket_get_fd(queue->socket);
	/* More than the system's maximum; without it, the default will do. */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	/* What does not fit is dropped; it is no fault of the socket. */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof(on));
	return 0;
}

void
queue_close(struct queue *queue)
{
	if (queue == NULL)
		return;
	if (queue->socket != NULL)
		mnl_socket_close(queue->socket);
	free(queue);
}

int
queue_fd(const struct queue *queue)
{
	return mnl_socket_get_fd(queue->socket);
}

static const int kernel_verdicts[] = {
    [QUEUE_ACCEPT] = NF_ACCEPT,
    [QUEUE_REPEAT] = NF_REPEAT,
    [QUEUE_DROP] = NF_DROP,
};

static void
answer(struct queue *queue, uint32_t id, const struct queue_answer *word)
{
	struct nlmsghdr *message;

	message = nfq_nlmsg_put(queue->verdicts + queue->verdicts_len,
	    NFQNL_MSG_VERDICT, queue->number);
	nfq_nlmsg_verdict_put(message, (int)id, kernel_verdicts[word->verdict]);
	if (word->sets_mark)
		nfq_nlmsg_verdict_put_mark(message, word->mark);
	queue->verdicts_len += NLMSG_ALIGN(message->nlmsg_len);
}

static uint32_t
get_u32(struct nlattr *const *attributes, int type)
{
	return attributes[type] == NULL
	           ? 0
	           : ntohl(mnl_attr_get_u32(attributes[type]));
}

static bool
read_packet(
    const struct nlmsghdr *message, uint32_t *id, struct queue_packet *packet)
{
	struct nlattr *attributes[NFQA_MAX + 1] = {NULL};
	const struct nfqnl_msg_packet_hdr *head;

	if (nfq_nlmsg_parse(message, attributes) == -1 ||
	    attributes[NFQA_PACKET_HDR] == NULL)
		return false;
	head = mnl_attr_get_payload(attributes[NFQA_PACKET_HDR]);
	*id = ntohl(head->packet_id);
	*packet = (struct queue_packet){
	    .mark = get_u32(attributes, NFQA_MARK),
	    .interface = get_u32(attributes, NFQA_IFINDEX_INDEV),
	};
	if (attributes[NFQA_PAYLOAD] != NULL) {
		packet->data = mnl_attr_get_payload(attributes[NFQA_PAYLOAD]);
		packet->len = mnl_attr_get_payload_len(
		    attributes[NFQA_PAYLOAD]);
	}
	return true;
}

/* Verdicts on packets that are gone since come back as errors: no matter. */
static int
serve_message(struct queue *queue, const uint8_t *data, size_t len,
    struct queue_answer (*judge)(void *, const struct queue_packet *),
    void *arg)
{
	const struct nlmsghdr *message = (const struct nlmsghdr *)data;
	struct queue_packet packet;
	struct queue_answer word;
	uint32_t id;

	if (!mnl_nlmsg_ok(message, (int)len) ||
	    message->nlmsg_type !=
		(NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET) ||
	    !read_packet(message, &id, &packet))
		return 0;
	word = judge(arg, &packet);
	answer(queue, id, &word);
	return 1;
}

/* One by one, since the jail lets nothing longer out (sandbox.h). */
static int
send_verdicts(struct queue *queue)
{
	const struct nlmsghdr *message;
	size_t at;
	int ret = 0;

	for (at = 0; at < queue->verdicts_len;
	     at += NLMSG_ALIGN(message->nlmsg_len)) {
		message = (const void *)(queue->verdicts + at);
		if (mnl_socket_sendto(
			queue->socket, message, message->nlmsg_len) == -1)
			ret = -1;
	}
	queue->verdicts_len = 0;
	return ret;
}

static struct queue_answer
drop(void *arg, const struct queue_packet *packet)
{
	(void)arg;
	(void)packet;
	return (struct queue_answer){.verdict = QUEUE_DROP};
}

/*
 * Waits for the kernel's word on a message.  Packets may come before it, and
 * are dropped: who sent them sends them again.
 */
static int
wait_for_word(struct queue *queue)
{
	const struct nlmsghdr *message = (void *)queue->messages[0];
	const struct nlmsgerr *word;
	ssize_t n;

	for (;;) {
		n = mnl_socket_recvfrom(queue->socket, queue->messages[0],
		    sizeof(queue->messages[0]));
		if (n == -1)
			return -1;
		if (!mnl_nlmsg_ok(message, (int)n))
			continue;
		if (message->nlmsg_type == NLMSG_ERROR)
			break;
		(void)serve_message(
		    queue, queue->messages[0], (size_t)n, drop, NULL);
		if (send_verdicts(queue) == -1)
			return -1;
	}
	word = mnl_nlmsg_get_payload(message);
	errno = -word->error;
	return word->error == 0 ? 0 : -1;
}

/* All in one message, so that no packet comes before its settings stand. */
static int
bind_queue(struct queue *queue)
{
	struct nlmsghdr *message;

	message = nfq_nlmsg_put(
	    queue->verdicts, NFQNL_MSG_CONFIG, queue->number);
	message->nlmsg_flags |= NLM_F_ACK;
	nfq_nlmsg_cfg_put_cmd(message, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
	nfq_nlmsg_cfg_put_params(message, NFQNL_COPY_PACKET, QUEUE_COPY_BYTES);
	nfq_nlmsg_cfg_put_qmaxlen(message, QUEUE_LENGTH);
	mnl_attr_put_u32(message, NFQA_CFG_FLAGS, htonl(0));
	mnl_attr_put_u32(message, NFQA_CFG_MASK, htonl(NFQA_CFG_F_FAIL_OPEN));
	if (mnl_socket_sendto(queue->socket, message, message->nlmsg_len) == -1)
		return -1;
	return wait_for_word(queue);
}

struct queue *
queue_open(uint16_t number, char error[QUEUE_ERROR_MAX])
{
	struct queue *queue;
	size_t i;

	if ((queue = calloc(1, sizeof(*queue))) == NULL) {
		strlcpy(error, "out of memory", QUEUE_ERROR_MAX);
		return NULL;
	}
	queue->number = number;
	for (i = 0; i < QUEUE_BURST; i++) {
		queue->vectors[i].iov_base = queue->messages[i];
		queue->vectors[i].iov_len = MESSAGE_BYTES;
		queue->heads[i].msg_hdr.msg_iov = &queue->vectors[i];
		queue->heads[i].msg_hdr.msg_iovlen = 1;
		queue->heads[i].msg_hdr.msg_name = &queue->senders[i];
	}
	if (open_socket(queue) == 0 && bind_queue(queue) == 0)
		return queue;
	snprintf(error, QUEUE_ERROR_MAX, "queue %u: %s%s", number,
	    strerror(errno),
	    errno == EBUSY || errno == EPERM
		? " (without CAP_NET_ADMIN, or another program has it: see "
		  "gate.queue)"
		: "");
	queue_close(queue);
	return NULL;
}

int
queue_serve(struct queue *queue,
    struct queue_answer (*judge)(void *, const struct queue_packet *),
    void *arg)
{
	int count = 0, got, i;

	for (i = 0; i < QUEUE_BURST; i++)
		queue->heads[i].msg_hdr.msg_namelen = sizeof(queue->senders[i]);
	got = recvmmsg(
	    queue_fd(queue), queue->heads, QUEUE_BURST, MSG_DONTWAIT, NULL);
	if (got == -1)
		return errno == EAGAIN || errno == EINTR || errno == ENOBUFS
		           ? 0
		           : -1;
	for (i = 0; i < got; i++)
		if (queue->senders[i].nl_pid == 0) /* the kernel */
			count += serve_message(queue, queue->messages[i],
			    queue->heads[i].msg_len, judge, arg);
	return send_verdicts(queue) == -1 ? -1 : count;
}
