/* SPDX-License-Identifier: ISC */
/*
 * One dump of the links by rtnetlink: /sys would show those of the namespace
 * that it was mounted in.
 */

#include "netfilter/bridge.h"

#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MAX 32768 /* bytes of one read */

struct look {
	struct bridge *bridge;
	uint32_t index;
	bool is_bridge;
	bool has_mac;
	int error; /* errno; 0: none */
};

static bool
is_kind(const struct nlattr *info, const char *kind)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, info)
	{
		if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
			return strcmp(mnl_attr_get_str(attr), kind) == 0;
	}
	return false;
}

static void
add_port(struct look *look, const char *name)
{
	struct bridge *bridge = look->bridge;

	if (bridge->port_count == BRIDGE_PORTS_MAX)
		look->error = E2BIG;
	else if ((bridge->ports[bridge->port_count] = strdup(name)) == NULL)
		look->error = errno;
	else
		bridge->port_count++;
}

static int
on_link(const struct nlmsghdr *message, void *arg)
{
	struct look *look = arg;
	const struct ifinfomsg *link = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;
	const char *name = NULL;
	bool is_it = (uint32_t)link->ifi_index == look->index;
	bool is_port = false;

	mnl_attr_for_each(attr, message, sizeof(*link))
	{
		switch (mnl_attr_get_type(attr)) {
		case IFLA_IFNAME:
			name = mnl_attr_get_str(attr);
			break;
		case IFLA_MASTER:
			is_port = mnl_attr_get_u32(attr) == look->index;
			break;
		case IFLA_LINKINFO:
			look->is_bridge |= is_it && is_kind(attr, "bridge");
			break;
		case IFLA_ADDRESS:
			if (!is_it || mnl_attr_get_payload_len(attr) !=
					  sizeof(look->bridge->mac))
				break;
			memcpy(look->bridge->mac, mnl_attr_get_payload(attr),
			    sizeof(look->bridge->mac));
			look->has_mac = true;
			break;
		}
	}
	if (is_port && name != NULL)
		add_port(look, name);
	return MNL_CB_OK;
}

static int
dump(struct mnl_socket *socket, struct look *look)
{
	_Alignas(struct nlmsghdr) char data[ANSWER_MAX];
	struct nlmsghdr *message = mnl_nlmsg_put_header(data);
	struct ifinfomsg *link;
	ssize_t n;
	int r;

	message->nlmsg_type = RTM_GETLINK;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = 1;
	link = mnl_nlmsg_put_extra_header(message, sizeof(*link));
	link->ifi_family = AF_UNSPEC;
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) == -1)
		return -1;
	do {
		if ((n = mnl_socket_recvfrom(socket, data, sizeof(data))) == -1)
			return -1;
		r = mnl_cb_run(data, (size_t)n, 1,
		    mnl_socket_get_portid(socket), on_link, look);
	} while (r > MNL_CB_STOP);
	return r == MNL_CB_ERROR ? -1 : 0;
}

static int
read_links(struct look *look)
{
	struct mnl_socket *socket;
	int saved, ret = -1;

	if ((socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC)) == NULL)
		return -1;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0)
		ret = dump(socket, look);
	saved = errno;
	mnl_socket_close(socket);
	errno = look->error != 0 ? look->error : saved;
	return look->error != 0 ? -1 : ret;
}

int
bridge_look(const char *name, struct bridge *bridge, bool *is_absent,
    char error[BRIDGE_ERROR_MAX])
{
	struct look look = {.bridge = bridge};

	memset(bridge, 0, sizeof(*bridge));
	*is_absent = false;
	if ((look.index = if_nametoindex(name)) == 0) {
		*is_absent = true;
		snprintf(error, BRIDGE_ERROR_MAX,
		    "there is no bridge %s yet: what its ports carry to and "
		    "from the mail ports is dropped until there is",
		    name);
		return -1;
	}
	if (read_links(&look) == -1)
		snprintf(
		    error, BRIDGE_ERROR_MAX, "%s: %s", name, strerror(errno));
	else if (!look.is_bridge || !look.has_mac)
		snprintf(error, BRIDGE_ERROR_MAX, "%s is not a bridge", name);
	else
		return 0;
	bridge_clear(bridge);
	return -1;
}

void
bridge_clear(struct bridge *bridge)
{
	while (bridge->port_count > 0)
		free(bridge->ports[--bridge->port_count]);
}

static uint64_t
print_of(const void *data, size_t len)
{
	const uint8_t *bytes = data;
	uint64_t print = UINT64_C(0xcbf29ce484222325);

	while (len-- > 0)
		print = (print ^ *bytes++) * UINT64_C(0x100000001b3);
	return print;
}

/* A sum, since ports have no order. */
uint64_t
bridge_print(const char *name)
{
	const unsigned int index = if_nametoindex(name);
	char error[BRIDGE_ERROR_MAX];
	struct bridge bridge;
	uint64_t print;
	bool is_absent;
	size_t i;

	if (bridge_look(name, &bridge, &is_absent, error) == -1)
		return 0;
	print = print_of(&index, sizeof(index)) +
	        print_of(bridge.mac, sizeof(bridge.mac));
	for (i = 0; i < bridge.port_count; i++)
		print += print_of(bridge.ports[i], strlen(bridge.ports[i]));
	bridge_clear(&bridge);
	return print;
}

/* 0 where the setting is not there: nothing does then what it would ask for. */
static char
read_flag(const char *path)
{
	char flag = 0;
	int fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return '0';
	if (read(fd, &flag, 1) != 1)
		flag = '0';
	close(fd);
	return flag;
}

const char *
bridge_trouble(void)
{
	if (read_flag("/proc/sys/net/bridge/bridge-nf-call-iptables") != '0')
		return "net.bridge.bridge-nf-call-iptables is on, and takes "
		       "IPv4 frames out of postern's hands: set it to 0 "
		       "(sysctl.d(5))";
	if (read_flag("/proc/sys/net/bridge/bridge-nf-call-ip6tables") != '0')
		return "net.bridge.bridge-nf-call-ip6tables is on, and takes "
		       "IPv6 frames out of postern's hands: set it to 0 "
		       "(sysctl.d(5))";
	return NULL;
}
