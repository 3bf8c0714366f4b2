/* SPDX-License-Identifier: ISC */
/*
 * The rules around postern-gate.
 *
 * A verdict comes back as one of three things.  Accepted: the packet goes on
 * to the next chain, and is seized.  Accepted with postern's mark: exempted.
 * Put back to the head of the chain (NF_REPEAT) with the mark: refused, since
 * nft can answer with a reset and the queue cannot.  Nothing here lets a
 * packet pass where nobody listens: it is dropped.
 *
 * An exempted connection is known by the mark on its conntrack entry and, in
 * every packet, by the sources that the configuration names: so no verdict can
 * open the road for anybody else, and neither can an entry that is left of an
 * older connection with the same ports, since each first packet sets its mark
 * anew.
 */

#include "netfilter/rules_gate.h"

#include <inttypes.h>
#include <stdbool.h>

#include "netfilter/rules_text.h"
#include "proxy/config_value.h"

/* More than mail needs; past it, answers go unread and nobody is hurt. */
#define WATCH_LIMIT "limit rate 1000/second burst 1000 packets"

/* Where packets of a connection that is exempted are met. */
enum place {
	PLACE_ARRIVING, /* from the client, before routing */
	PLACE_GOING, /* on their way to the server */
	PLACE_RETURNING, /* on their way to the client */
};

/* The first packet of a connection that is to be seized. */
static void
write_first_packet(FILE *out, const struct config *config)
{
	fputs("		iifname ", out);
	rules_write_seized(out, config);
	fputs(" tcp dport ", out);
	rules_write_ports(out, config);
	fputs(" tcp flags & (syn | ack) == syn fib daddr type != local ", out);
}

static void
write_queue(
    FILE *out, const struct config *config, const struct rules_host *host)
{
	const uint32_t first = config->gate.queue;
	const uint32_t last = first + config->gate.queues - 1;

	if (host->queue == RULES_QUEUE_XT)
		fprintf(out,
		    "		# before this stands the xtables target "
		    "NFQUEUE, "
		    "to %" PRIu32 "-%" PRIu32 "\n"
		    "		drop\n",
		    first, last);
	else if (first == last)
		fprintf(out, "		queue num %" PRIu32 "\n", first);
	else
		fprintf(out, "		queue num %" PRIu32 "-%" PRIu32 "\n",
		    first, last);
}

static void
write_admission(
    FILE *out, const struct config *config, const struct rules_host *host)
{
	fputs("	chain admit {\n"
	      "		type filter hook prerouting priority mangle; "
	      "policy accept;\n"
	      "		# put back by postern-gate: refused\n",
	    out);
	write_first_packet(out, config);
	fprintf(out,
	    "meta mark and 0x%" PRIx32 " == 0x%" PRIx32
	    " reject with tcp reset\n",
	    config->mark, config->mark);
	write_first_packet(out, config);
	fputs("goto ask\n"
	      "	}\n"
	      "	chain ask {\n",
	    out);
	write_queue(out, config, host);
	fputs("	}\n", out);
}

/*
 * Copies, so that no answer waits for anybody.  What arrives here for others
 * or for this host, and what this host answers itself.
 */
static void
write_watch(FILE *out, const struct config *config)
{
	static const char *const hooks[] = {"prerouting", "output"};
	static const char *const protocols[] = {"udp", "tcp"};
	size_t i, j;

	for (i = 0; i < 2; i++) {
		fprintf(out,
		    "	chain watch_%s {\n"
		    "		type filter hook %s priority mangle - 1; "
		    "policy accept;\n",
		    hooks[i], hooks[i]);
		for (j = 0; j < 2; j++)
			fprintf(out,
			    "		%s sport 53 " WATCH_LIMIT
			    " log group %" PRIu32 " queue-threshold 1\n",
			    protocols[j], config->gate.queue);
		fputs("	}\n", out);
	}
}

static bool
has_exempt(const struct config *config)
{
	size_t i;

	for (i = 0; i < config->client_count; i++)
		if (config->clients[i].verdict == CONFIG_EXEMPT)
			return true;
	return false;
}

static void
write_exempt(FILE *out, const struct config *config)
{
	const uint32_t mark = config->mark, others = ~config->mark;

	fprintf(out,
	    "	chain exempt {\n"
	    "		# new, and whatever an older one of these ports was\n"
	    "		tcp flags & (syn | ack) == syn "
	    "meta mark and 0x%" PRIx32 " != 0x%" PRIx32 " "
	    "ct mark set ct mark and 0x%" PRIx32 " goto seize\n"
	    "		tcp flags & (syn | ack) == syn "
	    "meta mark set meta mark and 0x%" PRIx32 " "
	    "ct mark set ct mark or 0x%" PRIx32 " accept\n"
	    "		ct mark and 0x%" PRIx32 " == 0x%" PRIx32 " accept\n"
	    "		goto seize\n"
	    "	}\n",
	    mark, mark, others, others, mark, mark, mark);
}

void
rules_gate_chains(
    FILE *out, const struct config *config, const struct rules_host *host)
{
	if (host->queue == RULES_QUEUE_NONE)
		return;
	if (host->has_log)
		write_watch(out, config);
	write_admission(out, config, host);
	if (has_exempt(config))
		write_exempt(out, config);
}

/* Addresses of one family; none of it, and others, and no rule is needed. */
static size_t
count_family(const struct admission_rule *rule, sa_family_t family)
{
	struct prefix prefix;
	size_t count = 0, i;

	for (i = 0; i < rule->match_count; i++)
		if (prefix_from_text(&prefix, rule->matches[i]) == 0 &&
		    prefix.address.family == family)
			count++;
	return count;
}

static void
write_addresses(FILE *out, const struct admission_rule *rule,
    sa_family_t family, enum place place)
{
	struct prefix prefix;
	const char *comma = "";
	size_t i;

	if (rule->match_count == 0)
		return;
	fprintf(out, " %s %s {", family == AF_INET ? "ip" : "ip6",
	    place == PLACE_RETURNING ? "daddr" : "saddr");
	for (i = 0; i < rule->match_count; i++) {
		if (prefix_from_text(&prefix, rule->matches[i]) == -1 ||
		    prefix.address.family != family)
			continue;
		fprintf(out, "%s %s", comma, rule->matches[i]);
		comma = ",";
	}
	fputs(" }", out);
}

/* What comes back from the server bears no mark of the client's. */
static void
write_mark(FILE *out, const struct config *config, const char *mark)
{
	uint32_t value, mask;

	value_mark_parts(mark, &value, &mask);
	fprintf(out, " meta mark and 0x%" PRIx32 " == 0x%" PRIx32,
	    mask & ~config->mark, value & ~config->mark);
}

static void
write_place(FILE *out, const struct config *config, enum place place)
{
	const uint32_t mark = config->mark;

	switch (place) {
	case PLACE_ARRIVING:
		fputs("		iifname ", out);
		rules_write_seized(out, config);
		fputs(" tcp dport ", out);
		break;
	case PLACE_GOING:
		fprintf(out,
		    "		ct mark and 0x%" PRIx32 " == 0x%" PRIx32
		    " ct direction original tcp dport ",
		    mark, mark);
		break;
	case PLACE_RETURNING:
		fprintf(out,
		    "		ct mark and 0x%" PRIx32 " == 0x%" PRIx32
		    " ct direction reply tcp sport ",
		    mark, mark);
		break;
	}
	rules_write_ports(out, config);
}

/* A rule for a block: one family of it, and one of its marks or none. */
static void
write_source(FILE *out, const struct config *config,
    const struct admission_rule *rule, sa_family_t family, const char *mark,
    enum place place)
{
	write_place(out, config, place);
	fprintf(out, " meta nfproto %s", family == AF_INET ? "ipv4" : "ipv6");
	if (rule->interface_count > 0) {
		fputs(
		    place == PLACE_RETURNING ? " oifname " : " iifname ", out);
		rules_write_interfaces(
		    out, rule->interfaces, rule->interface_count);
	}
	write_addresses(out, rule, family, place);
	if (mark != NULL)
		write_mark(out, config, mark);
	fputs(place == PLACE_ARRIVING ? " fib daddr type != local goto exempt\n"
				      : " accept\n",
	    out);
}

static void
write_family(FILE *out, const struct config *config,
    const struct admission_rule *rule, sa_family_t family, enum place place)
{
	size_t i;

	if (rule->match_count > 0 && count_family(rule, family) == 0)
		return;
	if (rule->mark_count == 0 || place == PLACE_RETURNING)
		write_source(out, config, rule, family, NULL, place);
	else
		for (i = 0; i < rule->mark_count; i++)
			write_source(
			    out, config, rule, family, rule->marks[i], place);
}

static void
write_sources(FILE *out, const struct config *config, enum place place)
{
	const struct admission_rule *rule;
	size_t i;

	for (i = 0; i < config->client_count; i++) {
		rule = &config->clients[i];
		if (rule->verdict != CONFIG_EXEMPT)
			continue;
		write_family(out, config, rule, AF_INET, place);
		write_family(out, config, rule, AF_INET6, place);
	}
}

void
rules_gate_exempt(
    FILE *out, const struct config *config, const struct rules_host *host)
{
	if (host->queue == RULES_QUEUE_NONE || !has_exempt(config))
		return;
	fputs("		# client blocks that exempt\n", out);
	write_sources(out, config, PLACE_ARRIVING);
}

void
rules_gate_forward(
    FILE *out, const struct config *config, const struct rules_host *host)
{
	if (host->queue == RULES_QUEUE_NONE || !has_exempt(config))
		return;
	fputs("		# exempted, each way\n", out);
	write_sources(out, config, PLACE_GOING);
	write_sources(out, config, PLACE_RETURNING);
}
