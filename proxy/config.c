/* SPDX-License-Identifier: ISC */
/*
 * The settings as a value, and their defaults.
 */

#include "proxy/config.h"

#include <stdlib.h>
#include <string.h>

struct config *
config_new(void)
{
	struct config *config;

	if ((config = calloc(1, sizeof(*config))) == NULL)
		return NULL;
	config->mode = CONFIG_GATEWAY;
	config->ports[config->port_count++] = CONFIG_SMTP_PORT;
	config->listen_port = 10025;
	config->keep_source_address = true;
	config->own_connections = CONFIG_OWN_AUTO;
	config->mark = 0x100;
	config->route_table = 25925;
	config->route_priority = 925;
	config->manage_rules = true;
	config->keep_rules = true;
	config->enforce = true;
	config->dns.timeout = 10;
	config->mta_sts.timeout = 20;
	config->timeouts = (struct config_timeouts){
	    .connect = 30,
	    .greeting = 300,
	    .handshake = 60,
	    .command = 300,
	    .reply = 300,
	    .data_initiation = 120,
	    .data_block = 180,
	    .data_termination = 600,
	    .decision = 60,
	    .drain = 60,
	};
	config->limits.sessions = 8192;
	config->limits.sessions_per_client = 256;
	config->limits.connection_rate = 200;
	config->gate.watch_dns = true;
	config->gate.queue = 925;
	config->gate.queues = 4;
	config->user = strdup("postern");
	config->trust = strdup("/etc/ssl/certs/ca-certificates.crt");
	config->dns.trust_anchor = strdup("/usr/share/dns/root.key");
	config->state_directory = strdup("/var/lib/postern");
	if (config->user == NULL || config->trust == NULL ||
	    config->dns.trust_anchor == NULL ||
	    config->state_directory == NULL) {
		config_free(config);
		return NULL;
	}
	return config;
}

static void
strings_free(char **strings, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		free(strings[i]);
	free(strings);
}

static void
rules_free(struct rule *rules, size_t count)
{
	struct rule *rule;
	size_t i;

	for (i = 0; i < count; i++) {
		rule = &rules[i];
		free(rule->name);
		strings_free(rule->matches, rule->match_count);
		strings_free(rule->names, rule->name_count);
		free(rule->pins);
		free(rule->trust);
		free(rule->origin);
	}
	free(rules);
}

static void
admission_free(struct admission_rule *rules, size_t count)
{
	struct admission_rule *rule;
	size_t i;

	for (i = 0; i < count; i++) {
		rule = &rules[i];
		free(rule->name);
		strings_free(rule->matches, rule->match_count);
		strings_free(rule->interfaces, rule->interface_count);
		strings_free(rule->marks, rule->mark_count);
		free(rule->origin);
	}
	free(rules);
}

void
config_free(struct config *config)
{
	size_t i;

	if (config == NULL)
		return;
	strings_free(config->interfaces, config->interface_count);
	strings_free(config->inbound, config->inbound_count);
	free(config->bridge);
	free(config->user);
	free(config->trust);
	free(config->state);
	free(config->state_directory);
	free(config->dns.root_hints);
	free(config->dns.trust_anchor);
	rules_free(config->servers, config->server_count);
	rules_free(config->domains, config->domain_count);
	admission_free(config->clients, config->client_count);
	admission_free(config->destinations, config->destination_count);
	for (i = 0; i < config->trust_count; i++) {
		free(config->trusts[i].path);
		free(config->trusts[i].pem);
	}
	free(config->trusts);
	free(config);
}

const struct config_trust *
config_trust_get(const struct config *config, const char *path)
{
	size_t i;

	if (path == NULL)
		return config->trust_count > 0 ? &config->trusts[0] : NULL;
	for (i = 0; i < config->trust_count; i++) {
		if (strcmp(config->trusts[i].path, path) == 0)
			return &config->trusts[i];
	}
	return NULL;
}
