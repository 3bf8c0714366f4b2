/* SPDX-License-Identifier: ISC */
/*
 * The kernel tells each change of a transaction, and at its end who made it.
 */

#include "netfilter/rules_watch.h"

#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define MESSAGES_MAX 32768 /* bytes of one read */
#define ATTR_TABLE   1 /* of tables, chains, rules and sets alike */

static const char own_table[] = "postern";
static const char own_name[] = "postern";

int
rules_watch_open(struct rules_watch *watch)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK};
	const int group = NFNLGRP_NFTABLES;

	watch->has_touched = false;
	watch->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    NETLINK_NETFILTER);
	if (watch->fd == -1)
		return -1;
	if (bind(watch->fd, (struct sockaddr *)&address, sizeof(address)) ==
		0 &&
	    setsockopt(watch->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
		sizeof(group)) == 0)
		return 0;
	rules_watch_close(watch);
	return -1;
}

void
rules_watch_close(struct rules_watch *watch)
{
	int saved = errno;

	if (watch->fd != -1)
		close(watch->fd);
	watch->fd = -1;
	errno = saved;
}

struct reading {
	struct rules_watch *watch;
	bool is_foreign;
	char *name;
};

static const char *
text_of(const struct nlmsghdr *message, uint16_t type)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, message, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) == type &&
		    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
			return mnl_attr_get_str(attr);
	}
	return "";
}

static void
end_transaction(struct reading *reading, const struct nlmsghdr *message)
{
	const char *name = text_of(message, NFTA_GEN_PROC_NAME);

	if (reading->watch->has_touched && strcmp(name, own_name) != 0) {
		reading->is_foreign = true;
		strlcpy(reading->name, name, RULES_WATCH_NAME_MAX);
	}
	reading->watch->has_touched = false;
}

static void
take(struct reading *reading, const struct nlmsghdr *message)
{
	const struct nfgenmsg *head = mnl_nlmsg_get_payload(message);

	if (NFNL_SUBSYS_ID(message->nlmsg_type) != NFNL_SUBSYS_NFTABLES ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*head))
		return;
	if (NFNL_MSG_TYPE(message->nlmsg_type) == NFT_MSG_NEWGEN)
		end_transaction(reading, message);
	else if ((head->nfgen_family == NFPROTO_INET ||
		     head->nfgen_family == NFPROTO_BRIDGE) &&
		 strcmp(text_of(message, ATTR_TABLE), own_table) == 0)
		reading->watch->has_touched = true;
}

bool
rules_watch_read(struct rules_watch *watch, char name[RULES_WATCH_NAME_MAX])
{
	_Alignas(struct nlmsghdr) char data[MESSAGES_MAX];
	struct reading reading = {.watch = watch, .name = name};
	struct nlmsghdr *message;
	ssize_t n;
	int left;

	name[0] = '\0';
	while ((n = recv(watch->fd, data, sizeof(data), 0)) > 0 ||
	       (n == -1 && (errno == ENOBUFS || errno == EINTR))) {
		if (n == -1) {
			/* Some were lost: it may have been. */
			reading.is_foreign |= errno == ENOBUFS;
			continue;
		}
		left = (int)n;
		for (message = (struct nlmsghdr *)data;
		     mnl_nlmsg_ok(message, left);
		     message = mnl_nlmsg_next(message, &left))
			take(&reading, message);
	}
	return reading.is_foreign;
}
