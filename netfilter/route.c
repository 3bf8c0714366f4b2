/* SPDX-License-Identifier: ISC */
/*
 * Policy routing through rtnetlink.  For each family, with P the configured
 * priority, M the mark and T the table:
 *
 *	P:	from all iif lo fwmark M/M goto P+2
 *	P+1:	from all fwmark M/M lookup T
 *	P+2:	from all iif lo fwmark M/M nop
 *	and in T:	local default dev lo
 *
 * On a bridge, what postern sends is led out by it instead of past T:
 *
 *	P:	from all iif lo fwmark M/M lookup T+1
 *	P+1:	from all fwmark M/M lookup T
 *	and in T+1:	default via ROUTE_HOP_IPV4 or _IPV6 dev BRIDGE onlink
 *
 * where that next hop is nobody, with ROUTE_HOP_MAC for its address: the
 * bridge's rules know by it which frames to give their true addresses.
 *
 * The detour at P keeps two kinds of look-up out of T, which the kernel makes
 * as if from lo: those for packets that this host sends with the mark on them
 * (tcp_fwmark_accept, fwmark_reflect) and those by which rp_filter judges a
 * source where src_valid_mark is set, as wg-quick(8) sets it.  So no sysctl
 * has to have any particular value.
 *
 * Everything carries ROUTE_PROTOCOL.  That is how it is found again, whatever
 * the settings were when it was put there.
 */

#include "netfilter/route.h"

#include <sys/socket.h>

#include <arpa/inet.h>

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <libmnl/libmnl.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define ROUTE_LOOPBACK   "lo"
#define ROUTE_FOUND_MAX  256 /* past that something is wrong */
#define ROUTE_REQUEST    512 /* bytes */
#define ROUTE_ANSWER_MAX 32768

/* A rule, or (action FR_ACT_UNSPEC) the route of a table. */
struct entry {
	uint8_t family;
	uint8_t action; /* FR_ACT_ */
	bool is_from_lo;
	uint32_t priority;
	uint32_t mark;
	uint32_t table;
	uint32_t target; /* of a goto */
	uint32_t interface; /* route to the next hop; 0: the one to lo */
};

struct found {
	size_t count;
	struct entry entries[ROUTE_FOUND_MAX];
};

struct route {
	struct mnl_socket *nl;
	unsigned int sequence;
};

static const uint8_t families[] = {AF_INET, AF_INET6};

static bool
is_route(const struct entry *entry)
{
	return entry->action == FR_ACT_UNSPEC;
}

static bool
entry_equal(const struct entry *a, const struct entry *b)
{
	return a->family == b->family && a->action == b->action &&
	       a->is_from_lo == b->is_from_lo && a->priority == b->priority &&
	       a->mark == b->mark && a->table == b->table &&
	       a->target == b->target && a->interface == b->interface;
}

static bool
is_among(const struct entry *entry, const struct entry *list, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (entry_equal(entry, &list[i]))
			return true;
	return false;
}

/* In the order in which they do no harm one by one. */
static void
wanted_on_bridge(struct entry entries[ROUTE_WANTED],
    const struct route_settings *settings, uint32_t interface)
{
	const struct entry wanted[ROUTE_WANTED] = {
	    {.action = FR_ACT_UNSPEC, .table = settings->table},
	    {.action = FR_ACT_UNSPEC,
		.table = settings->table + 1,
		.interface = interface},
	    {.action = FR_ACT_TO_TBL,
		.is_from_lo = true,
		.priority = settings->priority,
		.mark = settings->mark,
		.table = settings->table + 1},
	    {.action = FR_ACT_TO_TBL,
		.priority = settings->priority + 1,
		.mark = settings->mark,
		.table = settings->table},
	};

	memcpy(entries, wanted, sizeof(wanted));
}

static void
wanted_past_table(
    struct entry entries[ROUTE_WANTED], const struct route_settings *settings)
{
	const uint32_t mark = settings->mark, table = settings->table;
	const uint32_t priority = settings->priority;
	const struct entry wanted[ROUTE_WANTED] = {
	    {.action = FR_ACT_UNSPEC, .table = table},
	    {.action = FR_ACT_NOP,
		.is_from_lo = true,
		.priority = priority + 2,
		.mark = mark},
	    {.action = FR_ACT_GOTO,
		.is_from_lo = true,
		.priority = priority,
		.mark = mark,
		.target = priority + 2},
	    {.action = FR_ACT_TO_TBL,
		.priority = priority + 1,
		.mark = mark,
		.table = table},
	};

	memcpy(entries, wanted, sizeof(wanted));
}

/* 0, or -1 where there is no such bridge. */
static int
wanted_of(struct entry wanted[ROUTE_WANTED], uint8_t family,
    const struct route_settings *settings)
{
	uint32_t interface;
	size_t i;

	if (settings->bridge == NULL)
		wanted_past_table(wanted, settings);
	else if ((interface = if_nametoindex(settings->bridge)) == 0)
		return -1;
	else
		wanted_on_bridge(wanted, settings, interface);
	for (i = 0; i < ROUTE_WANTED; i++)
		wanted[i].family = family;
	return 0;
}

static int
route_open(struct route *route)
{
	int on = 1;

	route->sequence = 0;
	route->nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (route->nl == NULL)
		return -1;
	/*
	 * Lets the kernel filter a dump by protocol, which matters on a router
	 * with a million routes.  An old one shows all, and read_entry skips.
	 */
	(void)mnl_socket_setsockopt(
	    route->nl, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	return mnl_socket_bind(route->nl, 0, MNL_SOCKET_AUTOPID);
}

static void
route_close(struct route *route)
{
	int saved = errno;

	if (route->nl != NULL)
		mnl_socket_close(route->nl);
	errno = saved;
}

/* route_ask sends a request and reads its whole answer; 0, or -1 and errno. */
static int
route_ask(struct route *route, struct nlmsghdr *nlh, mnl_cb_t each, void *arg)
{
	_Alignas(struct nlmsghdr) char buf[ROUTE_ANSWER_MAX];
	unsigned int port = mnl_socket_get_portid(route->nl);
	ssize_t n;
	int r;

	nlh->nlmsg_seq = ++route->sequence;
	if (mnl_socket_sendto(route->nl, nlh, nlh->nlmsg_len) == -1)
		return -1;
	do {
		n = mnl_socket_recvfrom(route->nl, buf, sizeof(buf));
		if (n == -1)
			return -1;
		r = mnl_cb_run(
		    buf, (size_t)n, route->sequence, port, each, arg);
	} while (r > MNL_CB_STOP);
	return r == MNL_CB_ERROR ? -1 : 0;
}

static void
put_rule(struct nlmsghdr *nlh, const struct entry *entry)
{
	struct fib_rule_hdr *rule;

	rule = mnl_nlmsg_put_extra_header(nlh, sizeof(*rule));
	rule->family = entry->family;
	rule->action = entry->action;
	mnl_attr_put_u32(nlh, FRA_PRIORITY, entry->priority);
	mnl_attr_put_u32(nlh, FRA_FWMARK, entry->mark);
	mnl_attr_put_u32(nlh, FRA_FWMASK, entry->mark);
	mnl_attr_put_u8(nlh, FRA_PROTOCOL, ROUTE_PROTOCOL);
	if (entry->is_from_lo)
		mnl_attr_put_strz(nlh, FRA_IIFNAME, ROUTE_LOOPBACK);
	if (entry->action == FR_ACT_TO_TBL)
		mnl_attr_put_u32(nlh, FRA_TABLE, entry->table);
	if (entry->action == FR_ACT_GOTO)
		mnl_attr_put_u32(nlh, FRA_GOTO, entry->target);
}

/* The next hop that is nobody. */
static size_t
hop_of(uint8_t family, uint8_t ip[sizeof(struct in6_addr)])
{
	if (family == AF_INET) {
		(void)inet_pton(AF_INET, ROUTE_HOP_IPV4, ip);
		return sizeof(struct in_addr);
	}
	(void)inet_pton(AF_INET6, ROUTE_HOP_IPV6, ip);
	return sizeof(struct in6_addr);
}

static void
put_hop_route(struct nlmsghdr *nlh, const struct entry *entry)
{
	uint8_t ip[sizeof(struct in6_addr)];
	size_t len = hop_of(entry->family, ip);
	struct rtmsg *rtm;

	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = entry->family;
	rtm->rtm_protocol = ROUTE_PROTOCOL;
	rtm->rtm_type = RTN_UNICAST;
	rtm->rtm_flags = RTNH_F_ONLINK;
	mnl_attr_put_u32(nlh, RTA_TABLE, entry->table);
	mnl_attr_put_u32(nlh, RTA_OIF, entry->interface);
	mnl_attr_put(nlh, RTA_GATEWAY, len, ip);
}

/* Its address never has to be asked for, and never goes out. */
static int
change_neighbour(struct route *route, const struct entry *entry, bool is_new)
{
	static const uint8_t mac[] = ROUTE_HOP_MAC;
	_Alignas(struct nlmsghdr) char buf[ROUTE_REQUEST];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	uint8_t ip[sizeof(struct in6_addr)];
	size_t len = hop_of(entry->family, ip);
	struct ndmsg *neighbour;

	nlh->nlmsg_type = is_new ? RTM_NEWNEIGH : RTM_DELNEIGH;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	if (is_new)
		nlh->nlmsg_flags |= NLM_F_CREATE | NLM_F_REPLACE;
	neighbour = mnl_nlmsg_put_extra_header(nlh, sizeof(*neighbour));
	neighbour->ndm_family = entry->family;
	neighbour->ndm_ifindex = (int)entry->interface;
	neighbour->ndm_state = NUD_PERMANENT;
	mnl_attr_put(nlh, NDA_DST, len, ip);
	mnl_attr_put(nlh, NDA_LLADDR, sizeof(mac), mac);
	return route_ask(route, nlh, NULL, NULL);
}

static int
put_route(struct nlmsghdr *nlh, const struct entry *entry)
{
	struct rtmsg *rtm;
	unsigned int lo;

	if ((lo = if_nametoindex(ROUTE_LOOPBACK)) == 0)
		return -1;
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = entry->family;
	rtm->rtm_protocol = ROUTE_PROTOCOL;
	rtm->rtm_scope = RT_SCOPE_HOST;
	rtm->rtm_type = RTN_LOCAL;
	mnl_attr_put_u32(nlh, RTA_TABLE, entry->table);
	mnl_attr_put_u32(nlh, RTA_OIF, lo);
	return 0;
}

static int
entry_change(struct route *route, const struct entry *entry, bool is_new)
{
	_Alignas(struct nlmsghdr) char buf[ROUTE_REQUEST];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	if (is_new)
		nlh->nlmsg_flags |= NLM_F_CREATE | NLM_F_EXCL;
	if (!is_route(entry)) {
		nlh->nlmsg_type = is_new ? RTM_NEWRULE : RTM_DELRULE;
		put_rule(nlh, entry);
		return route_ask(route, nlh, NULL, NULL);
	}
	nlh->nlmsg_type = is_new ? RTM_NEWROUTE : RTM_DELROUTE;
	if (entry->interface != 0) {
		put_hop_route(nlh, entry);
		/* It may have gone with its interface's addresses. */
		if (!is_new)
			(void)change_neighbour(route, entry, false);
	} else if (put_route(nlh, entry) == -1)
		return -1;
	return route_ask(route, nlh, NULL, NULL);
}

/* read_rule and read_route say whether it is one of ours. */
static bool
read_rule(const struct nlmsghdr *nlh, struct entry *entry)
{
	const struct fib_rule_hdr *rule = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	bool is_ours = false;

	entry->family = rule->family;
	entry->action = rule->action;
	mnl_attr_for_each(attr, nlh, sizeof(*rule))
	{
		switch (mnl_attr_get_type(attr)) {
		case FRA_PROTOCOL:
			is_ours = mnl_attr_get_u8(attr) == ROUTE_PROTOCOL;
			break;
		case FRA_PRIORITY:
			entry->priority = mnl_attr_get_u32(attr);
			break;
		case FRA_FWMARK:
			entry->mark = mnl_attr_get_u32(attr);
			break;
		case FRA_TABLE:
			entry->table = mnl_attr_get_u32(attr);
			break;
		case FRA_GOTO:
			entry->target = mnl_attr_get_u32(attr);
			break;
		case FRA_IIFNAME:
			entry->is_from_lo = true;
			break;
		}
	}
	return is_ours;
}

static bool
read_route(const struct nlmsghdr *nlh, struct entry *entry)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;

	entry->family = rtm->rtm_family;
	mnl_attr_for_each(attr, nlh, sizeof(*rtm))
	{
		if (mnl_attr_get_type(attr) == RTA_TABLE)
			entry->table = mnl_attr_get_u32(attr);
		else if (mnl_attr_get_type(attr) == RTA_OIF &&
			 rtm->rtm_type == RTN_UNICAST)
			entry->interface = mnl_attr_get_u32(attr);
	}
	return rtm->rtm_protocol == ROUTE_PROTOCOL;
}

static int
read_entry(const struct nlmsghdr *nlh, void *arg)
{
	struct found *found = arg;
	struct entry entry = {.action = FR_ACT_UNSPEC};

	if (nlh->nlmsg_type == RTM_NEWRULE ? !read_rule(nlh, &entry)
					   : !read_route(nlh, &entry))
		return MNL_CB_OK;
	if (found->count == ROUTE_FOUND_MAX) {
		errno = EOVERFLOW;
		return MNL_CB_ERROR;
	}
	found->entries[found->count++] = entry;
	return MNL_CB_OK;
}

/* Rules first, so that what is removed in this order leads nowhere. */
static int
find_ours(struct route *route, uint8_t family, struct found *found)
{
	_Alignas(struct nlmsghdr) char buf[ROUTE_REQUEST];
	struct nlmsghdr *nlh;
	struct fib_rule_hdr *rule;
	struct rtmsg *rtm;

	found->count = 0;
	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = RTM_GETRULE;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	rule = mnl_nlmsg_put_extra_header(nlh, sizeof(*rule));
	rule->family = family;
	if (route_ask(route, nlh, read_entry, found) == -1)
		return -1;
	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = family;
	rtm->rtm_protocol = ROUTE_PROTOCOL;
	return route_ask(route, nlh, read_entry, found);
}

/*
 * The next hop is added anew each time: where the bridge changes its address,
 * the kernel forgets it, and keeps the route.
 */
static int
add_missing(struct route *route, const struct entry *wanted,
    const struct found *found, const char **what)
{
	size_t i;

	for (i = 0; i < ROUTE_WANTED; i++) {
		*what = "adding the next hop by the bridge";
		if (is_route(&wanted[i]) && wanted[i].interface != 0 &&
		    change_neighbour(route, &wanted[i], true) == -1)
			return -1;
		if (is_among(&wanted[i], found->entries, found->count))
			continue;
		*what = !is_route(&wanted[i]) ? "adding the routing rules"
		        : wanted[i].interface != 0
		            ? "adding the route out by the bridge"
		            : "adding the route to lo";
		if (entry_change(route, &wanted[i], true) == -1)
			return -1;
	}
	return 0;
}

static int
remove_others(struct route *route, const struct entry *wanted, size_t count,
    const struct found *found)
{
	size_t i;

	for (i = 0; i < found->count; i++) {
		if (is_among(&found->entries[i], wanted, count))
			continue;
		if (entry_change(route, &found->entries[i], false) == -1)
			return -1;
	}
	return 0;
}

/* The kernel may have no IPv6 at all, or have it switched off on lo. */
static bool
is_absent(uint8_t family)
{
	return family == AF_INET6 &&
	       (errno == EAFNOSUPPORT || errno == EOPNOTSUPP ||
		   errno == EACCES);
}

static int
apply_family(struct route *route, const struct entry *wanted, const char **what)
{
	struct found found;

	*what = "reading the routing rules";
	if (find_ours(route, wanted->family, &found) == -1)
		return -1;
	if (add_missing(route, wanted, &found, what) == -1)
		return -1;
	*what = "removing old routing rules";
	return remove_others(route, wanted, ROUTE_WANTED, &found);
}

int
route_apply(const struct route_settings *settings, const char **absent,
    const char **what)
{
	struct entry wanted[ROUTE_WANTED];
	struct route route;
	size_t i;
	int ret = -1;

	*absent = NULL;
	*what = "opening rtnetlink";
	if (route_open(&route) == -1)
		goto out;
	for (i = 0; i < sizeof(families); i++) {
		*what = "looking for the bridge";
		if (wanted_of(wanted, families[i], settings) == -1)
			goto out;
		if (apply_family(&route, wanted, what) == 0)
			continue;
		if (!is_absent(families[i]))
			goto out;
		*absent = "IPv6";
	}
	ret = 0;
out:
	route_close(&route);
	return ret;
}

int
route_remove(const char **what)
{
	struct found found;
	struct route route;
	size_t i;
	int ret = -1;

	*what = "opening rtnetlink";
	if (route_open(&route) == -1)
		goto out;
	*what = "removing the routing rules";
	for (i = 0; i < sizeof(families); i++)
		if ((find_ours(&route, families[i], &found) == -1 ||
			remove_others(&route, NULL, 0, &found) == -1) &&
		    !is_absent(families[i]))
			goto out;
	ret = 0;
out:
	route_close(&route);
	return ret;
}

static void
compare(struct route_state *state, const struct entry *wanted,
    const struct found *found)
{
	size_t i, n = 0;

	for (i = 0; i < found->count; i++)
		if (!is_among(&found->entries[i], wanted, ROUTE_WANTED))
			state->others++;
	for (i = 0; i < ROUTE_WANTED; i++) {
		if (is_among(&wanted[i], found->entries, found->count))
			continue;
		state->missing[n].is_route = is_route(&wanted[i]);
		state->missing[n++].number = is_route(&wanted[i])
		                                 ? wanted[i].table
		                                 : wanted[i].priority;
	}
	state->missing_count = n;
}

int
route_look(sa_family_t family, const struct route_settings *settings,
    struct route_state *state, const char **what)
{
	struct entry wanted[ROUTE_WANTED];
	struct found found;
	struct route route;
	int ret;

	memset(state, 0, sizeof(*state));
	*what = "looking for the bridge";
	if (wanted_of(wanted, (uint8_t)family, settings) == -1)
		return -1;
	*what = "opening rtnetlink";
	if ((ret = route_open(&route)) == 0) {
		*what = "reading the routing rules";
		ret = find_ours(&route, (uint8_t)family, &found);
	}
	if (ret == 0)
		compare(state, wanted, &found);
	else if (is_absent((uint8_t)family)) {
		state->is_absent = true;
		ret = 0;
	}
	route_close(&route);
	return ret;
}
