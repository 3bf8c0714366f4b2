/* SPDX-License-Identifier: ISC */
/*
 * The interfaces of the configuration, and what the kernel does with packets
 * that come in there.
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "netfilter/bridge.h"
#include "proxy/doctor.h"
#include "proxy/doctor_link.h"

#define CHECK       "interfaces"
#define FORWARDING  "forwarding"
#define RETURN_PATH "return-path"
#define IPV4        "/proc/sys/net/ipv4/"
#define IPV6        "/proc/sys/net/ipv6/"
#define STRICT      1 /* of rp_filter */

/* Interfaces. */

static void
check_bridge(struct doctor *doctor, const char *name)
{
	long long calls = 0;

	(void)proc_number(
	    &calls, "/proc/sys/net/bridge/bridge-nf-call-%s", "iptables");
	if (calls != 0)
		report_note(doctor->report, CHECK,
		    "%s is a bridge, and bridge-nf-call-iptables is on: what "
		    "goes between its own ports is led to postern, too",
		    name);
	else
		report_note(doctor->report, CHECK,
		    "%s is a bridge: what goes between its own ports is not "
		    "routed, and meets no rule of postern's",
		    name);
}

/* Packets of a port come in by its master, as far as rules can see. */
static void
check_master(
    struct doctor *doctor, const char *name, const struct link_state *link)
{
	/* In bridge mode they have to be. */
	if (link->master[0] == '\0' || doctor->config->mode == CONFIG_BRIDGE)
		return;
	if (strcmp(link->master_kind, "bridge") != 0) {
		report_note(doctor->report, CHECK, "%s belongs to %s (%s)",
		    name, link->master,
		    link->master_kind[0] == '\0' ? "of an unknown kind"
						 : link->master_kind);
		return;
	}
	report_fail(doctor->report, CHECK,
	    "%s is a port of the bridge %s: what is routed comes in by %s, "
	    "and is refused, not led to postern",
	    name, link->master, link->master);
	report_remedy(doctor->report, "name %s in its place", link->master);
}

static void
check_link(
    struct doctor *doctor, const char *name, const struct link_state *link)
{
	if (!link->is_up) {
		report_fail(doctor->report, CHECK, "%s is down", name);
		report_remedy(doctor->report, "`ip link set %s up`", name);
		return;
	}
	if (!link->has_carrier)
		report_note(doctor->report, CHECK,
		    "%s has no carrier: is its cable in?", name);
	check_master(doctor, name, link);
	if (link->is_bridge && doctor->config->mode != CONFIG_BRIDGE)
		check_bridge(doctor, name);
	/* Of what was merged beyond the MTU nothing can be forwarded. */
	if (link_has_lro(name) == 1)
		report_note(doctor->report, CHECK,
		    "%s has large receive offload on, which loses what is "
		    "forwarded: `ethtool -K %s lro off`",
		    name, name);
}

static void
check_interfaces(
    struct doctor *doctor, const char *setting, char *const *names, size_t n)
{
	struct link_state link;
	size_t i;

	for (i = 0; i < n; i++) {
		if (link_look(names[i], &link) == 0) {
			check_link(doctor, names[i], &link);
			continue;
		}
		if (errno != ENODEV) {
			report_note(doctor->report, CHECK, "%s: %s", names[i],
			    strerror(errno));
			continue;
		}
		report_fail(doctor->report, CHECK, "%s is not there", names[i]);
		report_remedy(doctor->report,
		    "`ip link` lists those that are: name the right one in "
		    "`%s`, or bring it about",
		    setting);
	}
}

static void
check_loopback(struct doctor *doctor)
{
	struct link_state link;

	if (link_look("lo", &link) == -1 || link.is_up)
		return;
	report_fail(
	    doctor->report, CHECK, "lo is down: nothing can be led to postern");
	report_remedy(doctor->report, "`ip link set lo up`");
}

static void
pass_interfaces(struct doctor *doctor)
{
	const struct config *config = doctor->config;
	char names[512] = "lo";
	size_t i;

	for (i = 0; i < config->interface_count; i++) {
		strlcat(names, " ", sizeof(names));
		strlcat(names, config->interfaces[i], sizeof(names));
	}
	DOCTOR_PASS(doctor, CHECK, "%s: there and up",
	    config->mode == CONFIG_LOCAL ? "lo" : names);
}

static void
check_standing(struct doctor *doctor)
{
	check_interfaces(doctor, "bridge", &doctor->config->bridge, 1);
	if (bridge_trouble() == NULL)
		return;
	report_fail(doctor->report, CHECK,
	    "postern cannot stand in %s as this host is set",
	    doctor->config->bridge);
	report_remedy(doctor->report, "%s", bridge_trouble());
}

void
doctor_check_interfaces(struct doctor *doctor)
{
	const struct config *config = doctor->config;

	check_loopback(doctor);
	if (config->mode == CONFIG_BRIDGE)
		check_standing(doctor);
	if (config->mode != CONFIG_LOCAL) {
		check_interfaces(doctor, "interfaces", config->interfaces,
		    config->interface_count);
		check_interfaces(
		    doctor, "inbound", config->inbound, config->inbound_count);
	}
	pass_interfaces(doctor);
}

/* Forwarding. */

static void
check_forwarding_ipv4(struct doctor *doctor)
{
	const struct config *config = doctor->config;
	long long all = 0, here;
	size_t i;

	(void)proc_number(&all, IPV4 "ip_forward");
	if (all == 0) {
		report_fail(doctor->report, FORWARDING,
		    "IPv4: net.ipv4.ip_forward is 0: this host is no router");
		report_remedy(doctor->report,
		    "`sysctl -w net.ipv4.ip_forward=1`, and in /etc/sysctl.d "
		    "for the next boot");
		return;
	}
	for (i = 0; i < config->interface_count; i++) {
		if (proc_number(&here, IPV4 "conf/%s/forwarding",
			config->interfaces[i]) == -1 ||
		    here != 0)
			continue;
		report_fail(doctor->report, FORWARDING,
		    "IPv4: off on %s: nothing of its clients is forwarded",
		    config->interfaces[i]);
		report_remedy(doctor->report,
		    "`sysctl -w net.ipv4.conf.%s.forwarding=1`, and in "
		    "/etc/sysctl.d for the next boot",
		    config->interfaces[i]);
	}
}

/* Clients can have IPv6 by one of these interfaces. */
static bool
has_inet6(const struct config *config)
{
	char text[PROC_TEXT_MAX];
	size_t i;

	if (proc_read("/proc/net/if_inet6", text) == -1)
		return false;
	for (i = 0; i < config->interface_count; i++)
		if (proc_has_inet6(text, config->interfaces[i]))
			return true;
	return false;
}

static void
check_forwarding_ipv6(struct doctor *doctor)
{
	long long all = 0;

	(void)proc_number(&all, IPV6 "conf/all/forwarding");
	if (all != 0)
		return;
	if (!has_inet6(doctor->config)) {
		report_note(doctor->report, FORWARDING,
		    "IPv6 is not forwarded; clients have none here, since no "
		    "interface of theirs has a global address");
		return;
	}
	report_fail(doctor->report, FORWARDING,
	    "IPv6: net.ipv6.conf.all.forwarding is 0, but clients' interfaces "
	    "have IPv6 addresses");
	report_remedy(doctor->report,
	    "`sysctl -w net.ipv6.conf.all.forwarding=1`, and in /etc/sysctl.d "
	    "for the next boot");
}

void
doctor_check_forwarding(struct doctor *doctor)
{
	if (doctor->config->mode != CONFIG_GATEWAY)
		return;
	check_forwarding_ipv4(doctor);
	check_forwarding_ipv6(doctor);
	if (report_count(doctor->report, FORWARDING) == 0)
		report_pass(doctor->report, FORWARDING, "on for IPv4 and IPv6");
}

/* The way back: what comes in is dropped where it could not go out again. */

static bool
is_strict(const char *name)
{
	long long all = 0, here = 0;

	/* The greater one holds. */
	if (proc_number(&here, IPV4 "conf/%s/rp_filter", name) == -1)
		return false;
	(void)proc_number(&all, IPV4 "conf/all/rp_filter");
	return (here > all ? here : all) == STRICT;
}

static void
check_strict(struct doctor *doctor, const char *name)
{
	char text[PROC_TEXT_MAX];

	if (!is_strict(name) || proc_read("/proc/net/route", text) == -1 ||
	    proc_has_route(text, name))
		return;
	report_fail(doctor->report, RETURN_PATH,
	    "rp_filter is strict on %s, and no route leads back out of it: "
	    "all that comes in there by IPv4 is dropped",
	    name);
	report_remedy(doctor->report,
	    "add the route to its clients, or `sysctl -w "
	    "net.ipv4.conf.%s.rp_filter=2`",
	    name);
}

static void
check_dropped(struct doctor *doctor)
{
	char text[PROC_TEXT_MAX];
	uint64_t dropped;

	if (proc_read("/proc/net/netstat", text) == -1 ||
	    proc_counter_read(
		text, "TcpExt", "IPReversePathFilter", &dropped) == -1 ||
	    dropped == 0)
		return;
	report_note(doctor->report, RETURN_PATH,
	    "rp_filter has dropped %" PRIu64
	    " packets since boot: where that goes on, clients or servers are "
	    "reached another way than they come; rp_filter=2 allows it",
	    dropped);
}

static void
check_localnet(struct doctor *doctor, const char *name)
{
	long long all = 0, here = 0;

	(void)proc_number(&all, IPV4 "conf/all/route_localnet");
	(void)proc_number(&here, IPV4 "conf/%s/route_localnet", name);
	if (all != 0 || here != 0)
		report_note(doctor->report, RETURN_PATH,
		    "route_localnet is on for %s: hosts there can reach what "
		    "listens on 127.0.0.1, postern excepted by its rules",
		    name);
}

void
doctor_check_return_path(struct doctor *doctor)
{
	const struct config *config = doctor->config;
	size_t i;

	if (config->mode != CONFIG_GATEWAY)
		return;
	for (i = 0; i < config->interface_count; i++) {
		check_strict(doctor, config->interfaces[i]);
		check_localnet(doctor, config->interfaces[i]);
	}
	check_dropped(doctor);
	DOCTOR_PASS(
	    doctor, RETURN_PATH, "rp_filter lets clients in by each interface");
}
