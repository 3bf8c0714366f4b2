/* SPDX-License-Identifier: ISC */
/*
 * One RTM_GETLINK for one interface, and one ioctl of ethtool's.
 */

#include "proxy/doctor_link.h"

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>

#include <libmnl/libmnl.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define BUFFER 32768

static void
copy_text(char *out, size_t size, const struct nlattr *attr)
{
	if (mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) != -1)
		strlcpy(out, mnl_attr_get_str(attr), size);
}

static void
read_kind(struct link_state *link, const struct nlattr *info)
{
	const struct nlattr *attr;
	char kind[16] = "";

	mnl_attr_for_each_nested(attr, info)
	{
		if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
			copy_text(kind, sizeof(kind), attr);
		if (mnl_attr_get_type(attr) == IFLA_INFO_SLAVE_KIND)
			copy_text(
			    link->master_kind, sizeof(link->master_kind), attr);
	}
	link->is_bridge = strcmp(kind, "bridge") == 0;
}

static bool
read_xdp(const struct nlattr *xdp)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, xdp)
	{
		if (mnl_attr_get_type(attr) == IFLA_XDP_ATTACHED)
			return mnl_attr_get_u8(attr) != XDP_ATTACHED_NONE;
	}
	return false;
}

static int
read_link(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(nlh);
	struct link_state *link = arg;
	const struct nlattr *attr;

	link->index = (unsigned int)info->ifi_index;
	link->is_up = (info->ifi_flags & IFF_UP) != 0;
	link->has_carrier = (info->ifi_flags & IFF_RUNNING) != 0;
	mnl_attr_for_each(attr, nlh, sizeof(*info))
	{
		switch (mnl_attr_get_type(attr)) {
		case IFLA_MASTER:
			if (if_indextoname(
				mnl_attr_get_u32(attr), link->master) == NULL)
				strlcpy(
				    link->master, "?", sizeof(link->master));
			break;
		case IFLA_LINKINFO:
			read_kind(link, attr);
			break;
		case IFLA_XDP:
			link->has_xdp = read_xdp(attr);
			break;
		}
	}
	return MNL_CB_STOP;
}

static int
ask(struct mnl_socket *nl, const char *name, struct link_state *link)
{
	_Alignas(struct nlmsghdr) char buf[BUFFER];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	ssize_t n;

	nlh->nlmsg_type = RTM_GETLINK;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nlh->nlmsg_seq = 1;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) == -1 ||
	    mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) == -1 ||
	    (n = mnl_socket_recvfrom(nl, buf, sizeof(buf))) == -1)
		return -1;
	return mnl_cb_run(buf, (size_t)n, 1, mnl_socket_get_portid(nl),
		   read_link, link) == -1
	           ? -1
	           : 0;
}

int
link_look(const char *name, struct link_state *link)
{
	struct mnl_socket *nl;
	int ret, saved;

	memset(link, 0, sizeof(*link));
	if ((nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC)) == NULL)
		return -1;
	ret = ask(nl, name, link);
	saved = errno;
	mnl_socket_close(nl);
	errno = saved;
	return ret;
}

int
link_has_lro(const char *name)
{
	struct ethtool_value value = {.cmd = ETHTOOL_GFLAGS};
	struct ifreq request = {0};
	int fd, ret, saved;

	strlcpy(request.ifr_name, name, sizeof(request.ifr_name));
	request.ifr_data = (void *)&value;
	if ((fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) == -1)
		return -1;
	ret = ioctl(fd, SIOCETHTOOL, &request);
	saved = errno;
	close(fd);
	errno = saved;
	if (ret == -1)
		return -1;
	return (value.data & ETH_FLAG_LRO) != 0;
}
