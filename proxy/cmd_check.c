/* SPDX-License-Identifier: ISC */
/*
 * postern check: reads the configuration as run would, with the trust files,
 * and says what came of it.
 */

#include <linux/capability.h>
#include <net/if.h>
#include <stdio.h>
#include <time.h>

#include "certs/store.h"
#include "netfilter/rules.h"
#include "proxy/base/clock.h"
#include "proxy/cmd.h"
#include "proxy/cmd_options.h"
#include "proxy/config_settings.h"
#include "proxy/spawn.h"

static const char usage[] =
    "usage: postern check [-c FILE] [-i IFACE]... [--mode MODE]\n"
    "                     [-o SETTING]...\n";

static const char help[] =
    "\n"
    "Reads the configuration and the trust files, and says what is wrong with\n"
    "them or what they come to.  Changes nothing and needs no privilege but\n"
    "that of reading them.\n"
    "\n" OPTIONS_HELP "      --help              this text\n"
    "\n"
    "Ends with 0 when all is well, 2 when it is not.\n";

/* It may come yet; but a mistyped one never does, and no client is behind it.
 */
static void
print_absent(char *const *interfaces, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (if_nametoindex(interfaces[i]) == 0)
			printf("interface %s: not there now\n", interfaces[i]);
	}
}

static void
print_interception(const struct config *config)
{
	size_t i;

	printf("mode: %s", settings_mode_words[config->mode]);
	if (config->mode == CONFIG_BRIDGE)
		printf(" %s", config->bridge);
	for (i = 0; i < config->interface_count; i++)
		printf(
		    "%s%s", i == 0 ? ", behind " : " ", config->interfaces[i]);
	fputs("\nports:", stdout);
	for (i = 0; i < config->port_count; i++)
		printf(" %u", config->ports[i]);
	printf(", led to port %u\n", config->listen_port);
	for (i = 0; i < config->inbound_count; i++)
		printf("inbound: %s, forwarded as it is\n", config->inbound[i]);
	print_absent(config->interfaces, config->interface_count);
	print_absent(config->inbound, config->inbound_count);
}

/* Where the kernel lacks a queue, what that comes to. */
static void
print_gate(const struct config *config)
{
	char text[RULES_ERROR_MAX];

	if (config->mode == CONFIG_LOCAL)
		return;
	if (rules_have_gate(config, text)) {
		printf("gate: %s%s\n", text,
		    spawn_has_capability(CAP_NET_ADMIN)
			? ""
			: " (if the kernel has it: only root can ask)");
		return;
	}
	printf("gate: none: %s\n", text);
	puts("without it: no client or destination block, no "
	     "limits.connection_rate, no limit over all relays, no DNS "
	     "watched; everything is intercepted");
}

static void
print_exempted(const struct config *config)
{
	const struct admission_rule *rule;
	size_t i;

	for (i = 0; i < config->client_count; i++) {
		rule = &config->clients[i];
		if (rule->verdict == CONFIG_EXEMPT)
			printf("exception: client \"%s\": exempt, forwarded "
			       "untouched\n",
			    rule->name);
	}
}

static void
print_dns(const struct config *config)
{
	char text[ADDRESS_TEXT_MAX];
	size_t i;

	fputs("dns: from the ", stdout);
	fputs(config->dns.forward_count == 0 ? "root servers" : "resolvers",
	    stdout);
	for (i = 0; i < config->dns.forward_count; i++)
		printf(" %s", address_text(&config->dns.forward[i], text));
	printf(", DNSSEC by %s\n", config->dns.trust_anchor);
}

/* An exception lets mail past the proof: each is named. */
static void
print_exceptions(const char *kind, const struct rule *rules, size_t count)
{
	const struct rule *rule;
	struct tm tm;
	time_t until;
	char text[32];
	size_t i;

	for (i = 0; i < count; i++) {
		rule = &rules[i];
		if (rule->level == LEVEL_VERIFY)
			continue;
		printf("exception: %s \"%s\": %s", kind, rule->name,
		    settings_level_words[rule->level]);
		if (rule->until == 0) {
			puts(", without an end");
			continue;
		}
		until = (time_t)rule->until;
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ",
		    gmtime_r(&until, &tm));
		printf("%s %s\n",
		    rule->until <= clock_wall() ? ", ended" : " until", text);
	}
}

/* 0, or -1 where a trust file holds nothing to trust. */
static int
print_trusts(const struct config *config)
{
	const struct config_trust *trust;
	char error[STORE_ERROR_MAX];
	struct store *store;
	size_t i;

	for (i = 0; i < config->trust_count; i++) {
		trust = &config->trusts[i];
		store = store_from_pem(trust->pem, trust->len, error);
		if (store == NULL) {
			fprintf(stderr, "postern: trust: '%s': %s\n",
			    trust->path, error);
			return -1;
		}
		printf(
		    "trust: %s: %zu anchors", trust->path, store_count(store));
		if (store_skipped(store) > 0)
			printf(", %zu unusable", store_skipped(store));
		putchar('\n');
		store_free(store);
	}
	return 0;
}

static enum cmd_exit
check(const struct options *options)
{
	char error[CONFIG_ERROR_MAX];
	struct config *config;
	enum cmd_exit code = CMD_USAGE;

	if ((config = options_load(options, error)) == NULL) {
		fprintf(stderr, "postern: %s\n", error);
		return CMD_USAGE;
	}
	print_interception(config);
	print_gate(config);
	print_dns(config);
	if (print_trusts(config) == -1)
		goto out;
	if (!config->enforce)
		puts("enforce: no: everything passes, and `postern observed` "
		     "tells what would be refused");
	printf("blocks: %zu server, %zu domain, %zu client, %zu "
	       "destination\n",
	    config->server_count, config->domain_count, config->client_count,
	    config->destination_count);
	print_exempted(config);
	print_exceptions("server", config->servers, config->server_count);
	print_exceptions("domain", config->domains, config->domain_count);
	printf("%s: ok\n", options->path == NULL ? CONFIG_PATH : options->path);
	if (fflush(stdout) == 0)
		code = CMD_OK;
out:
	config_free(config);
	return code;
}

int
cmd_check(int argc, char **argv)
{
	struct options options = {0};
	enum cmd_exit code;

	if (!options_read(&options, argc, argv, usage, help, &code))
		return code;
	if (optind != argc) {
		fputs(usage, stderr);
		return CMD_USAGE;
	}
	return check(&options);
}
