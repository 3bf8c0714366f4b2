/* SPDX-License-Identifier: ISC */
/*
 * Gateway: the policy routing that leads seized packets to this host, by what
 * is in place and by what the kernel then does with such a packet.
 */

#include <sys/socket.h>

#include <net/if.h>
#include <netinet/in.h>

#include <errno.h>
#include <ifaddrs.h>
#include <string.h>

#include "netfilter/route.h"
#include "netfilter/route_query.h"
#include "proxy/doctor.h"

#define CHECK "routing"

static const char apply[] =
    "`postern rules apply` with the options that `run` has";

/* Of no host (RFC 5737, 3849): a server that a client could mean. */
static const char *const destinations[] = {"192.0.2.1", "2001:db8::1"};

static const char *
family_text(sa_family_t family)
{
	return family == AF_INET ? "IPv4" : "IPv6";
}

static void
judge(
    struct doctor *doctor, sa_family_t family, const struct route_state *state)
{
	size_t i;

	for (i = 0; i < state->missing_count; i++) {
		report_fail(doctor->report, CHECK,
		    state->missing[i].is_route
			? "%s: the route in table %u is missing: what is "
			  "seized is not delivered here, and refused"
			: "%s: the routing rule of priority %u is missing: "
			  "what is seized is not delivered here, and refused",
		    family_text(family), state->missing[i].number);
		report_remedy(doctor->report,
		    "%s puts it right; `ip %s %s` shows what is there", apply,
		    family == AF_INET ? "-4" : "-6",
		    state->missing[i].is_route ? "route show table all"
					       : "rule");
	}
	if (state->others > 0)
		report_note(doctor->report, CHECK,
		    "%s: %zu rules or routes of postern's are left from other "
		    "settings; %s takes them away",
		    family_text(family), state->others, apply);
}

static bool
is_own(const struct ifaddrs *all, const struct address *address)
{
	struct address own;

	for (; all != NULL; all = all->ifa_next)
		if (all->ifa_addr != NULL &&
		    address_from_sockaddr(&own, all->ifa_addr) == 0 &&
		    address_ip_equal(&own, address))
			return true;
	return false;
}

static bool
is_in_network(const struct ifaddrs *ifa, const struct address *address)
{
	struct address own, mask;
	size_t i;

	if (address_from_sockaddr(&own, ifa->ifa_addr) == -1 ||
	    address_from_sockaddr(&mask, ifa->ifa_netmask) == -1)
		return false;
	for (i = 0; i < address_ip_len(address); i++)
		if (((own.ip[i] ^ address->ip[i]) & mask.ip[i]) != 0)
			return false;
	return true;
}

/* An address beside the interface's own in its network: a client's. */
static bool
neighbour_of(const struct ifaddrs *all, const struct ifaddrs *ifa,
    struct address *client)
{
	const uint8_t flips[] = {1, 3, 2, 6, 4};
	size_t i;

	for (i = 0; i < sizeof(flips); i++) {
		if (address_from_sockaddr(client, ifa->ifa_addr) == -1)
			return false;
		client->ip[address_ip_len(client) - 1] ^= flips[i];
		if (is_in_network(ifa, client) && !is_own(all, client))
			return true;
	}
	return false;
}

static bool
find_client(const char *name, sa_family_t family, struct address *client)
{
	struct ifaddrs *all, *ifa;
	bool has_found = false;

	if (getifaddrs(&all) == -1)
		return false;
	for (ifa = all; ifa != NULL && !has_found; ifa = ifa->ifa_next) {
		if (ifa->ifa_addr == NULL || ifa->ifa_netmask == NULL ||
		    ifa->ifa_addr->sa_family != family ||
		    strcmp(ifa->ifa_name, name) != 0)
			continue;
		has_found = neighbour_of(all, ifa, client);
	}
	freeifaddrs(all);
	return has_found;
}

/*
 * Rules of somebody else may come first, whatever ours are.  An interface that
 * has no network of its own cannot be asked about so.
 */
static void
ask(struct doctor *doctor, sa_family_t family, const char *name)
{
	struct address client, destination;
	unsigned int index = if_nametoindex(name), leaves;
	char out[IF_NAMESIZE] = "nowhere";
	bool is_local;

	if (index == 0 || !find_client(name, family, &client) ||
	    address_from_text(&destination, destinations[family == AF_INET6]) ==
		-1)
		return;
	if (route_query(&client, &destination, index, doctor->config->mark,
		&is_local, &leaves) == -1) {
		report_note(doctor->report, CHECK,
		    "%s: the kernel does not say where a seized packet from "
		    "%s goes: %s",
		    family_text(family), name, strerror(errno));
		return;
	}
	if (is_local)
		return;
	if (leaves != 0)
		(void)if_indextoname(leaves, out);
	report_fail(doctor->report, CHECK,
	    "%s: a seized packet from %s would go to %s, not to postern",
	    family_text(family), name, out);
	report_remedy(doctor->report,
	    "another rule takes it first: `ip %s rule`; give that one a "
	    "priority past %u, or set route_priority",
	    family == AF_INET ? "-4" : "-6",
	    doctor->config->route_priority + 2);
}

static void
check_family(struct doctor *doctor, sa_family_t family)
{
	const struct config *config = doctor->config;
	size_t before = report_count(doctor->report, CHECK), i;
	const struct route_settings settings = {
	    .mark = config->mark,
	    .table = config->route_table,
	    .priority = config->route_priority,
	    .bridge = config->mode == CONFIG_BRIDGE ? config->bridge : NULL,
	};
	struct route_state state;
	long long is_off = 0;
	const char *what;

	if (route_look(family, &settings, &state, &what) == -1) {
		report_note(doctor->report, CHECK, "%s: %s: %s",
		    family_text(family), what, strerror(errno));
		return;
	}
	/* Then there can be no such route, and so no rules. */
	if (family == AF_INET6)
		(void)proc_number(
		    &is_off, "/proc/sys/net/ipv6/conf/lo/disable_%s", "ipv6");
	if (state.is_absent || is_off != 0) {
		report_note(doctor->report, CHECK,
		    "%s is switched off here, and refused",
		    family_text(family));
		return;
	}
	judge(doctor, family, &state);
	/* What is known to be missing explains the rest. */
	if (report_count(doctor->report, CHECK) > before)
		return;
	for (i = 0; i < config->interface_count; i++)
		ask(doctor, family, config->interfaces[i]);
}

/*
 * Mode local needs none; a gateway may have been here before.  Nothing that is
 * in place has priority 0.
 */
static void
check_left(struct doctor *doctor, sa_family_t family)
{
	const struct route_settings nowhere = {.mark = doctor->config->mark};
	struct route_state state;
	const char *what;

	if (route_look(family, &nowhere, &state, &what) == -1 ||
	    state.is_absent)
		return;
	if (state.others > 0)
		report_note(doctor->report, CHECK,
		    "%s: %zu rules or routes of mode gateway are left; %s "
		    "takes them away",
		    family_text(family), state.others, apply);
}

void
doctor_check_routing(struct doctor *doctor)
{
	if (doctor->config->mode == CONFIG_LOCAL) {
		check_left(doctor, AF_INET);
		check_left(doctor, AF_INET6);
		return;
	}
	check_family(doctor, AF_INET);
	check_family(doctor, AF_INET6);
	DOCTOR_PASS(doctor, CHECK,
	    "what is seized is delivered here: rules from priority %u, table "
	    "%u, for IPv4 and IPv6",
	    doctor->config->route_priority, doctor->config->route_table);
}
