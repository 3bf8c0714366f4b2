/* SPDX-License-Identifier: ISC */
/*
 * One question to rtnetlink.
 */

#include "netfilter/route_query.h"

#include <sys/socket.h>

#include <linux/rtnetlink.h>

#include <libmnl/libmnl.h>

#include <errno.h>

#define BUFFER 8192

struct answer {
	bool has_come;
	uint8_t type; /* RTN_ */
	uint32_t leaves;
};

static int
read_answer(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	struct answer *answer = arg;

	if (nlh->nlmsg_type != RTM_NEWROUTE)
		return MNL_CB_OK;
	answer->has_come = true;
	answer->type = rtm->rtm_type;
	mnl_attr_for_each(attr, nlh, sizeof(*rtm))
	{
		if (mnl_attr_get_type(attr) == RTA_OIF)
			answer->leaves = mnl_attr_get_u32(attr);
	}
	return MNL_CB_STOP;
}

static void
put_question(struct nlmsghdr *nlh, const struct address *source,
    const struct address *destination, unsigned int interface, uint32_t mark)
{
	struct rtmsg *rtm;
	size_t len = address_ip_len(destination);

	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nlh->nlmsg_seq = 1;
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = (uint8_t)destination->family;
	rtm->rtm_dst_len = rtm->rtm_src_len = (uint8_t)(len * 8);
	mnl_attr_put(nlh, RTA_DST, len, destination->ip);
	mnl_attr_put(nlh, RTA_SRC, len, source->ip);
	mnl_attr_put_u32(nlh, RTA_IIF, interface);
	mnl_attr_put_u32(nlh, RTA_MARK, mark);
}

static int
ask(struct mnl_socket *nl, const struct nlmsghdr *nlh, struct answer *answer)
{
	_Alignas(struct nlmsghdr) char buf[BUFFER];
	ssize_t n;

	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) == -1 ||
	    mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) == -1 ||
	    (n = mnl_socket_recvfrom(nl, buf, sizeof(buf))) == -1 ||
	    mnl_cb_run(buf, (size_t)n, nlh->nlmsg_seq,
		mnl_socket_get_portid(nl), read_answer, answer) == -1)
		return -1;
	if (answer->has_come)
		return 0;
	errno = EPROTO;
	return -1;
}

int
route_query(const struct address *source, const struct address *destination,
    unsigned int interface, uint32_t mark, bool *is_local, unsigned int *leaves)
{
	_Alignas(struct nlmsghdr) char buf[BUFFER];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct answer answer = {0};
	struct mnl_socket *nl;
	int ret, saved;

	*is_local = false;
	*leaves = 0;
	put_question(nlh, source, destination, interface, mark);
	if ((nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC)) == NULL)
		return -1;
	ret = ask(nl, nlh, &answer);
	saved = errno;
	mnl_socket_close(nl);
	errno = saved;
	*is_local = answer.type == RTN_LOCAL;
	*leaves = answer.leaves;
	return ret;
}
