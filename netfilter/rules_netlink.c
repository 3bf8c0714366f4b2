/* SPDX-License-Identifier: ISC */
/*
 * One request and its whole answer at a time.
 */

#include "netfilter/rules_netlink.h"

#include <sys/socket.h>

#include <linux/netfilter/nfnetlink.h>

#include <errno.h>

#define ANSWER_MAX 65536

int
rules_netlink_open(struct rules_netlink *link)
{
	link->sequence = 0;
	link->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (link->socket == NULL)
		return -1;
	return mnl_socket_bind(link->socket, 0, MNL_SOCKET_AUTOPID);
}

void
rules_netlink_close(struct rules_netlink *link)
{
	int saved = errno;

	if (link->socket != NULL)
		mnl_socket_close(link->socket);
	errno = saved;
}

struct nlmsghdr *
rules_netlink_compose(char buf[RULES_NETLINK_REQUEST], uint16_t type,
    uint16_t flags, uint8_t family)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *generic;

	nlh->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	generic = mnl_nlmsg_put_extra_header(nlh, sizeof(*generic));
	generic->nfgen_family = family;
	generic->version = NFNETLINK_V0;
	return nlh;
}

int
rules_netlink_ask(
    struct rules_netlink *link, struct nlmsghdr *nlh, mnl_cb_t each, void *arg)
{
	_Alignas(struct nlmsghdr) char buf[ANSWER_MAX];
	unsigned int port = mnl_socket_get_portid(link->socket);
	ssize_t n;
	int r;

	nlh->nlmsg_seq = ++link->sequence;
	if (mnl_socket_sendto(link->socket, nlh, nlh->nlmsg_len) == -1)
		return -1;
	do {
		n = mnl_socket_recvfrom(link->socket, buf, sizeof(buf));
		if (n == -1)
			return -1;
		r = mnl_cb_run(buf, (size_t)n, link->sequence, port, each, arg);
	} while (r > MNL_CB_STOP);
	return r == MNL_CB_ERROR ? -1 : 0;
}

const char *
rules_netlink_text(const struct nlattr *attr)
{
	return mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == -1
	           ? ""
	           : mnl_attr_get_str(attr);
}

const char *
rules_netlink_name(const struct nlmsghdr *nlh, uint16_t type)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) == type)
			return rules_netlink_text(attr);
	}
	return "";
}
