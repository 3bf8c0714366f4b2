/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_RULES_NETLINK_H
#define POSTERN_RULES_NETLINK_H

/*
 * Questions to nf_tables: what rules_dump and rules_bypass share.
 */

#include <libmnl/libmnl.h>

#include <stdint.h>

#define RULES_NETLINK_REQUEST 512 /* bytes */

struct rules_netlink {
	struct mnl_socket *socket; /* owned */
	unsigned int sequence;
};

/* -1 with errno set; close it then, too, which preserves errno. */
int rules_netlink_open(struct rules_netlink *);
void rules_netlink_close(struct rules_netlink *);

/*
 * rules_netlink_compose begins a request of type NFT_MSG_GET..., about a
 * family, in buf, which is aligned as a struct nlmsghdr; the caller adds
 * attributes.
 */
struct nlmsghdr *rules_netlink_compose(char buf[RULES_NETLINK_REQUEST],
    uint16_t type, uint16_t flags, uint8_t family);

/*
 * rules_netlink_ask sends it and calls each with every message of the answer.
 * Returns 0, or -1 with errno set; EINTR: a dump was interrupted by a change.
 */
int rules_netlink_ask(
    struct rules_netlink *, struct nlmsghdr *, mnl_cb_t each, void *arg);

/* A string, borrowed; "" where it is none, or the message has no such. */
const char *rules_netlink_text(const struct nlattr *);
const char *rules_netlink_name(const struct nlmsghdr *, uint16_t type);

#endif
