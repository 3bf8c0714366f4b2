/* SPDX-License-Identifier: ISC */
/*
 * Neither side of the wire is to see this host.  So its IP has no addresses
 * there and asks for none: all that it sends towards the bridge goes to a next
 * hop that is nobody (route.h), and on the way out gets the addresses that the
 * two sides have for each other.  Those are learnt from the clients' own
 * frames: who sends to a mail port knows both.
 *
 * A frame that is taken up is one that this host would carry in clear if it
 * were not.  So `forward` drops whatever of the mail ports was not, and what
 * could hide it: fragments, which bridges do not put together, and frames with
 * a second tag, PPPoE, MPLS, LLC or SNAP, past which nothing can be read.
 */

#include "netfilter/rules_bridge.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "netfilter/bridge.h"
#include "netfilter/route.h"
#include "netfilter/rules_text.h"
#include "proxy/config.h"

#define HOPS_MAX 65536 /* addresses of either family that have one */

static bool
is_client_port(const struct config *config, const char *port)
{
	size_t i;

	for (i = 0; i < config->interface_count; i++)
		if (strcmp(config->interfaces[i], port) == 0)
			return true;
	return false;
}

/* The ports that clients are not behind; their count. */
static size_t
outer_ports(const struct config *config, const struct bridge *bridge,
    char *outer[BRIDGE_PORTS_MAX])
{
	size_t count = 0, i;

	for (i = 0; bridge != NULL && i < bridge->port_count; i++)
		if (!is_client_port(config, bridge->ports[i]))
			outer[count++] = bridge->ports[i];
	return count;
}

struct writer {
	FILE *out;
	const struct config *config;
	char *outer[BRIDGE_PORTS_MAX]; /* borrowed */
	size_t outer_count;
	char mac[sizeof("00:00:00:00:00:00")];
};

/* Where they are not known, as in a configuration with a mistake: all. */
static void
write_clients(const struct writer *w, const char *match)
{
	if (w->config->interface_count == 0)
		return;
	fprintf(w->out, "%s ", match);
	rules_write_interfaces(
	    w->out, w->config->interfaces, w->config->interface_count);
}

static void
write_outer(const struct writer *w, const char *match)
{
	fprintf(w->out, "%s ", match);
	rules_write_interfaces(w->out, w->outer, w->outer_count);
}

static void
write_ports(const struct writer *w, const char *which)
{
	fprintf(w->out, " tcp %s ", which);
	rules_write_ports(w->out, w->config);
}

/*
 * By IP address, the Ethernet address of each client, of each server's side,
 * and of where a client sends to: that serves for a server whose own could not
 * be kept, since whoever tries many servers fills the map of those.
 */
static void
write_maps(const struct writer *w)
{
	static const char *const names[] = {"client", "server", "way"};
	static const char *const families[] = {"ipv4", "ipv6"};
	size_t i;

	for (i = 0; i < 6; i++)
		fprintf(w->out,
		    "	map %s_%s {\n"
		    "		type %s_addr : ether_addr\n"
		    "		flags dynamic, timeout\n"
		    "		timeout 1h\n"
		    "		size %d\n"
		    "	}\n",
		    names[i / 2], families[i % 2], families[i % 2], HOPS_MAX);
}

/* What is full is last, since nothing behind it is done. */
static void
write_learn(const struct writer *w, const char *type, const char *family)
{
	fprintf(w->out,
	    "		ether type %s update @client_%s { %s saddr : ether "
	    "saddr } update @way_%s { %s saddr : ether daddr } "
	    "update @server_%s { %s daddr : ether daddr }\n",
	    type, family, type, family, type, family, type);
}

/* As between client and server, who is the source or not. */
static void
write_send(const struct writer *w, const char *type, const char *family,
    bool is_to_client)
{
	const char *client = is_to_client ? "daddr" : "saddr";
	const char *server = is_to_client ? "saddr" : "daddr";

	fprintf(w->out,
	    "		ether type %s ether %s set %s %s map @client_%s "
	    "ether %s set %s %s map @server_%s accept\n",
	    type, client, type, client, family, server, type, server, family);
	fprintf(w->out,
	    "		ether type %s ether %s set %s %s map @client_%s "
	    "ether %s set %s %s map @way_%s accept\n",
	    type, client, type, client, family, server, type, client, family);
}

static void
write_send_chain(const struct writer *w, bool is_to_client)
{
	fprintf(w->out, "	chain %s {\n",
	    is_to_client ? "to_client" : "to_server");
	write_send(w, "ip", "ipv4", is_to_client);
	write_send(w, "ip6", "ipv6", is_to_client);
	fputs("		# not learnt yet\n"
	      "		drop\n"
	      "	}\n",
	    w->out);
}

/* What goes up to this host: clients' frames, and the servers' answers. */
static void
write_prerouting(const struct writer *w)
{
	fputs("	chain prerouting {\n"
	      "		type filter hook prerouting priority -300; "
	      "policy accept;\n"
	      "		",
	    w->out);
	write_clients(w, "iifname");
	write_ports(w, "dport");
	fputs(" goto learn\n", w->out);
	if (w->outer_count > 0) {
		fputs("		", w->out);
		write_outer(w, "iifname");
		write_ports(w, "sport");
		fputs(" goto take\n", w->out);
	}
	fputs("	}\n"
	      "	chain learn {\n",
	    w->out);
	write_learn(w, "ip", "ipv4");
	write_learn(w, "ip6", "ipv6");
	fprintf(w->out,
	    "		goto take\n"
	    "	}\n"
	    "	chain take {\n"
	    "		meta pkttype set host ether daddr set %s accept\n"
	    "	}\n",
	    w->mac);
}

/* Frames to nobody get the true addresses; the copy for a wrong port goes. */
static void
write_output(const struct writer *w)
{
	fputs("	chain output {\n"
	      "		type filter hook output priority 0; policy accept;\n"
	      "		ether daddr != " ROUTE_HOP_MAC_TEXT " accept\n",
	    w->out);
	fprintf(w->out,
	    "		# this host's own broadcasts\n"
	    "		meta mark and 0x%" PRIx32 " == 0 meta l4proto != tcp "
	    "accept\n"
	    "		",
	    w->config->mark);
	write_clients(w, "oifname");
	write_ports(w, "sport");
	fputs(" goto to_client\n", w->out);
	if (w->outer_count > 0) {
		fputs("		", w->out);
		write_outer(w, "oifname");
		write_ports(w, "dport");
		fputs(" goto to_server\n", w->out);
	}
	fputs("		drop\n"
	      "	}\n",
	    w->out);
	write_send_chain(w, true);
	write_send_chain(w, false);
}

/* Mail that comes in crosses as it is. */
static void
write_inbound(const struct writer *w)
{
	const struct config *config = w->config;

	if (config->inbound_count == 0)
		return;
	fputs("		# mail that comes in, and the answers to it\n"
	      "		iifname ",
	    w->out);
	rules_write_interfaces(w->out, config->inbound, config->inbound_count);
	write_ports(w, "dport");
	fputs(" accept\n		oifname ", w->out);
	rules_write_interfaces(w->out, config->inbound, config->inbound_count);
	write_ports(w, "sport");
	fputs(" accept\n", w->out);
}

/*
 * By `meta protocol`, which is what a first tag has behind it, as nft reads on
 * past that.  The last two are LLC, and SNAP, whose length need not be true:
 * many stacks take IP from them (RFC 1122 2.3.3), and nft looks into neither.
 * A fragment of a longer chain of headers may end before TCP's.
 */
static const char *const hidden[] = {
    "meta protocol { 8021q, 8021ad, 0x9100, 0x9200, 0x8847, 0x8848, 0x8864 }",
    "meta protocol ip ip protocol tcp ip frag-off & 0x3fff != 0",
    "meta protocol ip6 frag nexthdr != { udp, icmpv6, esp }",
    "meta protocol { 0x0001, 0x0004 } @nh,0,16 0x0606",
    ("meta protocol { 0x0001, 0x0004 } "
     "@nh,0,48 { 0xaaaa03000000, 0xaaaa030000f8 }"),
};

/* Each port of the bridge that is known, as where a frame comes from. */
static void
write_drops(const struct writer *w, const char *match)
{
	static const char *const ways[] = {"dport", "sport"};
	void (*const writers[])(const struct writer *, const char *) = {
	    write_clients, write_outer};
	size_t i, j;

	for (i = 0; i < 2; i++) {
		if (i == 1 && w->outer_count == 0)
			continue;
		for (j = 0; j < 2; j++) {
			fputs("		", w->out);
			writers[i](w, match);
			write_ports(w, ways[j]);
			fputs(" drop\n", w->out);
		}
		for (j = 0; j < sizeof(hidden) / sizeof(hidden[0]); j++) {
			fputs("		", w->out);
			writers[i](w, match);
			fprintf(w->out, " %s drop\n", hidden[j]);
		}
	}
}

static void
write_forward(const struct writer *w)
{
	fputs("	chain forward {\n"
	      "		type filter hook forward priority -300; "
	      "policy accept;\n",
	    w->out);
	write_inbound(w);
	write_drops(w, "iifname");
	write_drops(w, "oifname");
	fputs("	}\n", w->out);
}

void
rules_bridge_table(
    FILE *out, const struct config *config, const struct bridge *bridge)
{
	struct writer w = {.out = out, .config = config};

	fputs("table bridge postern {\n", out);
	w.outer_count = outer_ports(config, bridge, w.outer);
	if (bridge != NULL) {
		snprintf(w.mac, sizeof(w.mac), "%02x:%02x:%02x:%02x:%02x:%02x",
		    bridge->mac[0], bridge->mac[1], bridge->mac[2],
		    bridge->mac[3], bridge->mac[4], bridge->mac[5]);
		write_maps(&w);
		write_prerouting(&w);
		write_output(&w);
	}
	write_forward(&w);
	fputs("}\n", out);
}
