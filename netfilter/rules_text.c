/* SPDX-License-Identifier: ISC */
/*
 * The table, written as text.  This file knows which packets are seized and
 * which refused; what concerns postern-gate is rules_gate.c's.
 */

#include "netfilter/rules_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "netfilter/route.h"
#include "netfilter/rules_bridge.h"
#include "netfilter/rules_gate.h"
#include "proxy/config_value.h"

int
rules_fail(char error[RULES_ERROR_MAX], const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(error, RULES_ERROR_MAX, format, ap);
	va_end(ap);
	return -1;
}

/* Checked again, because text from a file is about to become nft's. */
static int
check_interfaces(char *const *names, size_t count, char error[RULES_ERROR_MAX])
{
	char name[CONFIG_TEXT_MAX];
	const char *why;
	size_t i;

	for (i = 0; i < count; i++) {
		if ((why = value_interface(names[i], name)) != NULL)
			return rules_fail(error, "%s: %s", names[i], why);
		if (strcmp(names[i], "lo") == 0)
			return rules_fail(
			    error, "lo is not an interface to forward from");
	}
	return 0;
}

static int
check_gateway(const struct config *config, char error[RULES_ERROR_MAX])
{
	const struct admission_rule *rule;
	size_t i;

	if (config->interface_count == 0)
		return rules_fail(
		    error, "it needs the interfaces where clients are");
	if (config->mode == CONFIG_BRIDGE && config->bridge == NULL)
		return rules_fail(error, "bridge mode needs a bridge");
	if (config->mode == CONFIG_BRIDGE &&
	    check_interfaces(&config->bridge, 1, error) == -1)
		return -1;
	if (check_interfaces(
		config->interfaces, config->interface_count, error) == -1 ||
	    check_interfaces(config->inbound, config->inbound_count, error) ==
		-1)
		return -1;
	for (i = 0; i < config->client_count; i++) {
		rule = &config->clients[i];
		if (check_interfaces(
			rule->interfaces, rule->interface_count, error) == -1)
			return -1;
	}
	return 0;
}

static int
check(const struct config *config, uid_t uid, char error[RULES_ERROR_MAX])
{
	size_t i;

	if (config->port_count == 0)
		return rules_fail(error, "no port to intercept");
	for (i = 0; i < config->port_count; i++)
		if (config->ports[i] == config->listen_port)
			return rules_fail(error,
			    "port %u cannot be intercepted: postern listens "
			    "on it",
			    config->listen_port);
	if (config->mode == CONFIG_LOCAL)
		return uid != 0 ? 0
		                : rules_fail(error,
				      "the user of postern must not be root");
	return check_gateway(config, error);
}

void
rules_write_ports(FILE *out, const struct config *config)
{
	size_t i;

	for (i = 0; i < config->port_count; i++)
		fprintf(out, "%s%u", i == 0 ? "{ " : ", ", config->ports[i]);
	fputs(" }", out);
}

void
rules_write_interfaces(FILE *out, char *const *names, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		fprintf(out, "%s\"%s\"", i == 0 ? "{ " : ", ", names[i]);
	fputs(" }", out);
}

void
rules_write_seized(FILE *out, const struct config *config)
{
	if (config->mode == CONFIG_BRIDGE)
		rules_write_interfaces(out, &config->bridge, 1);
	else
		rules_write_interfaces(
		    out, config->interfaces, config->interface_count);
}

/* One of the two rules for mail that comes in and its answers. */
static void
write_inbound_rule(FILE *out, const struct config *config, const char *from,
    const char *to, const char *port)
{
	fprintf(out, "\t\t%s ", from);
	rules_write_interfaces(out, config->inbound, config->inbound_count);
	fprintf(out, " %s != ", to);
	rules_write_interfaces(out, config->inbound, config->inbound_count);
	fprintf(out, " tcp %s ", port);
	rules_write_ports(out, config);
	fputs(" accept\n", out);
}

/*
 * A client's own packets to a server never come in there, nor do they leave
 * from a server's port for one of the ports.
 */
static void
write_inbound(FILE *out, const struct config *config)
{
	if (config->inbound_count == 0 || config->mode == CONFIG_BRIDGE)
		return;
	fputs("\t\t# mail that comes in, and the answers to it\n", out);
	write_inbound_rule(out, config, "iifname", "oifname", "dport");
	write_inbound_rule(out, config, "oifname", "iifname", "sport");
}

/*
 * What the bridge takes up for postern may be for this host itself; a sender
 * who guessed an address that is not the bridge's is in the wrong place.
 */
static void
write_wrong_place(FILE *out, const struct config *config)
{
	static const char *const ways[] = {"dport", "sport"};
	size_t i;

	for (i = 0; config->mode == CONFIG_BRIDGE && i < 2; i++) {
		fputs("		iifname ", out);
		rules_write_seized(out, config);
		fprintf(out, " tcp %s ", ways[i]);
		rules_write_ports(out, config);
		fputs(" fib daddr type local fib daddr . iif type != local "
		      "drop\n",
		    out);
	}
}

/*
 * write_rules writes a template line by line: @P stands for the ports, @I for
 * the interfaces, @N for the rules of those that inbound mail comes from, @L
 * for the listener's port, @M for the mark, @O for the match of postern's own
 * packets, @U for its user id, @W for the rules against what the bridge brings
 * to the wrong place; and what postern-gate needs: @G its chains, @E
 * the rules that lead to those exempted, @F those that let them be forwarded.
 */
static void
write_rules(FILE *out, const char *text, const struct config *config,
    const struct rules_host *host)
{
	for (; *text != '\0'; text++) {
		if (*text != '@') {
			fputc(*text, out);
			continue;
		}
		switch (*++text) {
		case 'P':
			rules_write_ports(out, config);
			break;
		case 'I':
			rules_write_seized(out, config);
			break;
		case 'N':
			write_inbound(out, config);
			break;
		case 'L':
			fprintf(out, "%u", config->listen_port);
			break;
		case 'M':
			fprintf(out, "0x%" PRIx32, config->mark);
			break;
		case 'O':
			fprintf(out, "meta skuid %u", host->uid);
			if (host->own == CONFIG_OWN_MARK)
				fprintf(out,
				    " meta mark and 0x%" PRIx32
				    " == 0x%" PRIx32,
				    config->mark, config->mark);
			break;
		case 'U':
			fprintf(out, "%u", host->uid);
			break;
		case 'W':
			write_wrong_place(out, config);
			break;
		case 'G':
			rules_gate_chains(out, config, host);
			break;
		case 'E':
			rules_gate_exempt(out, config, host);
			break;
		case 'F':
			rules_gate_forward(out, config, host);
			break;
		}
	}
}

/*
 * Gateway.  Nothing here leans on a process: where no listener stands, tproxy
 * lets the packet go on, to the reset behind it; where the routing is not in
 * place, the kernel forwards no packet that tproxy gave a socket.  `forward`
 * runs first of its hook, lest another table hand an old connection to a
 * flowtable, past which packets meet no rule.  tproxy makes the kernel put
 * fragments together before any of this.
 */
static const char gateway_rules[] =
    "@G"
    "	chain prerouting {\n"
    "		type filter hook prerouting priority mangle + 1; "
    "policy accept;\n"
    "		# seized already, and answers to what postern sent from a "
    "client's address\n"
    "		tcp dport @P socket transparent 1 socket wildcard 0 "
    "meta mark set meta mark or @M accept\n"
    "		tcp sport @P socket transparent 1 socket wildcard 0 "
    "meta mark set meta mark or @M accept\n"
    "@W"
    "@E"
    "		iifname @I tcp dport @P fib daddr type != local goto seize\n"
    "	}\n"
    "	chain seize {\n"
    "		meta mark set meta mark or @M\n"
    "		meta nfproto ipv4 meta l4proto tcp "
    "tproxy ip to 127.0.0.1:@L accept\n"
    "		meta nfproto ipv6 meta l4proto tcp "
    "tproxy ip6 to [::1]:@L accept\n"
    "		# nobody listens\n"
    "		meta l4proto tcp reject with tcp reset\n"
    "	}\n"
    "	chain forward {\n"
    "		type filter hook forward priority raw; policy accept;\n"
    "@N"
    "@F"
    "		# from whatever interface, and however old the connection\n"
    "		tcp dport @P reject with tcp reset\n"
    "		tcp sport @P reject with tcp reset\n"
    "	}\n"
    "	chain input {\n"
    "		type filter hook input priority raw; policy accept;\n"
    "		# seized packets still have the port they were sent to\n"
    "		tcp dport @L tcp flags & (syn | ack) == syn "
    "reject with tcp reset\n"
    "	}\n";

/*
 * Local.  NAT sees a connection's first packet only, so `guard` judges every
 * packet: those of connections older than the table still go to one of the
 * ports, while redirected ones go to the listener.  A packet that a closed
 * socket still has to send, or that the kernel sends for it, has no owner any
 * more, and `meta skuid` matches it neither way: postern's own connections are
 * known by then by the mark on their conntrack entry, which no other owner's
 * packet gets to use.  Destinations on the host itself are no outbound mail.
 */
static const char local_rules[] =
    "	chain seize {\n"
    "		# before other tables' NAT, which would hide where it goes\n"
    "		type nat hook output priority -101; policy accept;\n"
    "		@O accept\n"
    "		tcp dport @P fib daddr type != local redirect to :@L\n"
    "	}\n"
    "	chain output {\n"
    "		type filter hook output priority filter; policy accept;\n"
    "		tcp dport @P fib daddr type != local goto guard\n"
    "	}\n"
    "	chain guard {\n"
    "		@O ct mark set ct mark or @M accept\n"
    "		meta l4proto tcp meta skuid != @U reject with tcp reset\n"
    "		# owned by nobody any more\n"
    "		ct mark and @M == @M accept\n"
    "		meta l4proto tcp reject with tcp reset\n"
    "	}\n"
    "	chain input {\n"
    "		type filter hook input priority filter; policy accept;\n"
    "		# redirected, or dialled by hand\n"
    "		iif \"lo\" tcp dport @L ct original proto-dst @P accept\n"
    "		tcp dport @L tcp flags & (syn | ack) == syn "
    "reject with tcp reset\n"
    "	}\n";

/*
 * Closed, while no configuration can be put in place: nothing is seized, all
 * is refused.  Mail that comes in is, too: a guess at who may is not for here.
 */
static const char closed_forward[] =
    "	chain forward {\n"
    "		type filter hook forward priority raw; policy accept;\n"
    "		tcp dport @P reject with tcp reset\n"
    "		tcp sport @P reject with tcp reset\n"
    "	}\n";
static const char closed_output[] =
    "	chain output {\n"
    "		type filter hook output priority filter; policy accept;\n"
    "		tcp dport @P fib daddr type != local reject with tcp reset\n"
    "	}\n";

/* One routing rule of a family, as ip(8) has it. */
static void
write_rule(FILE *out, const char *family, const struct config *config,
    uint32_t priority, const char *from, const char *action)
{
	fprintf(out,
	    "#   ip %s rule add pref %" PRIu32 "%s fwmark 0x%" PRIx32
	    "/0x%" PRIx32 " %s protocol %d\n",
	    family, priority, from, config->mark, config->mark, action,
	    ROUTE_PROTOCOL);
}

static void
write_way_out(FILE *out, const char *family, const struct config *config)
{
	const uint32_t table = config->route_table + 1;
	const char *hop = strcmp(family, "-4") == 0 ? ROUTE_HOP_IPV4
	                                            : ROUTE_HOP_IPV6;
	char action[32];

	fprintf(out,
	    "#   ip %s route add default via %s dev %s onlink table %" PRIu32
	    " proto %d\n"
	    "#   ip %s neigh add %s lladdr %s dev %s nud permanent\n",
	    family, hop, config->bridge, table, ROUTE_PROTOCOL, family, hop,
	    ROUTE_HOP_MAC_TEXT, config->bridge);
	snprintf(action, sizeof(action), "lookup %" PRIu32, table);
	write_rule(
	    out, family, config, config->route_priority, " iif lo", action);
}

static void
write_detour(FILE *out, const char *family, const struct config *config)
{
	const uint32_t first = config->route_priority;
	char action[32];

	snprintf(action, sizeof(action), "goto %" PRIu32, first + 2);
	write_rule(out, family, config, first, " iif lo", action);
	write_rule(out, family, config, first + 2, " iif lo", "nop");
}

/* For the reader of `postern rules show`; nft skips it. */
static void
write_routing(FILE *out, const struct config *config)
{
	const char *const families[] = {"-4", "-6"};
	char action[32];
	size_t i;

	fputs("# and this routing:\n", out);
	for (i = 0; i < 2; i++) {
		fprintf(out,
		    "#   ip %s route add local default dev lo table %" PRIu32
		    " proto %d\n",
		    families[i], config->route_table, ROUTE_PROTOCOL);
		if (config->mode == CONFIG_BRIDGE)
			write_way_out(out, families[i], config);
		else
			write_detour(out, families[i], config);
		snprintf(action, sizeof(action), "lookup %" PRIu32,
		    config->route_table);
		write_rule(out, families[i], config, config->route_priority + 1,
		    "", action);
	}
}

char *
rules_text(const struct config *config, const struct rules_host *host,
    char error[RULES_ERROR_MAX])
{
	const bool is_local = config->mode == CONFIG_LOCAL;
	const bool is_bridge = config->mode == CONFIG_BRIDGE;
	FILE *out;
	char *text = NULL;
	size_t len;

	if (check(config, host->uid, error) == -1)
		return NULL;
	if ((out = open_memstream(&text, &len)) == NULL) {
		rules_fail(error, "%s", strerror(errno));
		return NULL;
	}
	fputs(RULES_CLEAR "table inet postern {\n", out);
	write_rules(out, is_local ? local_rules : gateway_rules, config, host);
	fputs("}\n", out);
	if (is_bridge) {
		fputs(RULES_CLEAR_BRIDGE, out);
		rules_bridge_table(out, config, host->bridge);
	}
	if (!is_local)
		write_routing(out, config);
	if (fclose(out) == EOF) {
		rules_fail(error, "%s", strerror(errno));
		free(text);
		return NULL;
	}
	return text;
}

char *
rules_text_closed(const struct config *config, bool forwarded, bool own)
{
	const struct rules_host host = {.own = CONFIG_OWN_UID};
	FILE *out;
	char *text = NULL;
	size_t len;

	if ((out = open_memstream(&text, &len)) == NULL)
		return NULL;
	fputs(RULES_CLEAR "table inet postern {\n", out);
	if (forwarded)
		write_rules(out, closed_forward, config, &host);
	if (own)
		write_rules(out, closed_output, config, &host);
	fputs("}\n", out);
	if (fclose(out) == EOF) {
		free(text);
		return NULL;
	}
	return text;
}

char *
rules_text_closed_bridge(const struct config *config)
{
	FILE *out;
	char *text = NULL;
	size_t len;

	if ((out = open_memstream(&text, &len)) == NULL)
		return NULL;
	fputs(RULES_CLEAR_BRIDGE, out);
	rules_bridge_table(out, config, NULL);
	if (fclose(out) == EOF) {
		free(text);
		return NULL;
	}
	return text;
}
