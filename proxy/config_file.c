/* SPDX-License-Identifier: ISC */
/*
 * Lays the configuration file, and the command line's settings after it, over
 * the defaults; then come the trust files, the blocks, and what can only be
 * judged of the whole.
 */

#include "proxy/config_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/config_load.h"
#include "proxy/config_value.h"

static int
set_section(struct load *load, const struct ucl_node *section)
{
	const struct ucl_node *node;

	if (section->type != UCL_OBJECT)
		return load_fail(load, section->line,
		    "%s: a section is expected: %s {...}", section->key,
		    section->key);
	for (node = section->first; node != NULL; node = node->next) {
		if (load_setting(load, settings_config, section->key, node,
			load->config, load->set) == -1)
			return -1;
	}
	return 0;
}

static int
set_all(struct load *load, const struct ucl_node *top)
{
	const struct ucl_node *node;
	int ret;

	for (node = top->first; node != NULL; node = node->next) {
		if (load_is_block(node))
			continue;
		if (load_is_section(node->key))
			ret = set_section(load, node);
		else
			ret = load_setting(load, settings_config, "", node,
			    load->config, load->set);
		if (ret == -1)
			return -1;
	}
	return 0;
}

/* Where a setting was written; "FILE" without a line for a default. */
static struct place
place_of(const struct load *load, const char *path)
{
	size_t i;

	for (i = 0; settings_config[i].path != NULL; i++) {
		if (strcmp(settings_config[i].path, path) == 0 &&
		    load->set[i].source != NULL)
			return load->set[i];
	}
	return (struct place){load->file, 0};
}

/* A file that postern-policy will open: mistyped, it is said here. */
static int
want_readable(struct load *load, const char *setting, const char *path)
{
	struct place place = place_of(load, setting);

	if (path != NULL && access(path, R_OK) == -1)
		return load_fail_at(load, &place, "%s: '%s': %s", setting, path,
		    strerror(errno));
	return 0;
}

static int
load_files(struct load *load)
{
	struct config *config = load->config;
	struct place place = place_of(load, "trust");

	config->trusts = calloc(CONFIG_TRUST_MAX, sizeof(*config->trusts));
	if (config->trusts == NULL)
		return load_fail_at(load, &place, "out of memory");
	if (load_trust(load, config->trust, &place) == -1 ||
	    want_readable(load, "dns.root_hints", config->dns.root_hints) == -1)
		return -1;
	return want_readable(
	    load, "dns.trust_anchor", config->dns.trust_anchor);
}

/* The whole */

/* Where clients are, nothing may pass for mail that comes in. */
static int
check_inbound(struct load *load)
{
	const struct config *config = load->config;
	struct place place = place_of(load, "inbound");
	size_t i, j;

	if (config->mode == CONFIG_LOCAL && config->inbound_count > 0)
		return load_fail_at(
		    load, &place, "inbound: not for mode = local");
	for (i = 0; i < config->inbound_count; i++)
		for (j = 0; j < config->interface_count; j++)
			if (strcmp(config->inbound[i], config->interfaces[j]) ==
			    0)
				return load_fail_at(load, &place,
				    "inbound: %s is one of the interfaces that"
				    " clients are behind",
				    config->inbound[i]);
	return 0;
}

/* What was taken from a bridge cannot be put back on the wire as it was. */
static int
check_exempt(struct load *load)
{
	const struct config *config = load->config;
	struct place place = {load->file, 0};
	size_t i;

	for (i = 0; i < config->client_count; i++) {
		if (config->mode != CONFIG_BRIDGE ||
		    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
		    config->clients[i].verdict != CONFIG_EXEMPT)
			continue;
		place.source = config->clients[i].origin;
		return load_fail_at(load, &place,
		    "client '%s': verdict = exempt is not for mode = bridge",
		    config->clients[i].name);
	}
	return 0;
}

static int
check_bridge(struct load *load)
{
	const struct config *config = load->config;
	struct place place = place_of(load, "bridge");

	if (config->mode != CONFIG_BRIDGE)
		return config->bridge == NULL
		           ? 0
		           : load_fail_at(load, &place,
				 "bridge: only for mode = bridge");
	if (config->bridge == NULL) {
		place = place_of(load, "mode");
		return load_fail_at(load, &place,
		    "which bridge? give bridge = \"br0\", and in interfaces "
		    "its ports that clients are behind");
	}
	if (!config->keep_source_address) {
		place = place_of(load, "keep_source_address");
		return load_fail_at(load, &place,
		    "keep_source_address: on a bridge there is no other "
		    "address to connect from");
	}
	return 0;
}

/*
 * postern's bit is taken out of what a client's packet bears, so a mark that
 * asks for nothing else would hold for everybody.
 */
static int
check_mark(
    struct load *load, const struct admission_rule *rule, const char *mark)
{
	const uint32_t own = load->config->mark;
	struct place place = {rule->origin, 0};
	uint32_t value, mask;

	value_mark_parts(mark, &value, &mask);
	if ((value & own) == 0 && (mask & ~own) != 0)
		return 0;
	return load_fail_at(load, &place,
	    "marks: '%s' of client '%s' asks for postern's own bit "
	    "(mark = 0x%x)",
	    mark, rule->name, own);
}

static int
check_marks(struct load *load)
{
	const struct config *config = load->config;
	const struct admission_rule *rule;
	size_t i, j;

	for (i = 0; i < config->client_count; i++) {
		rule = &config->clients[i];
		for (j = 0; j < rule->mark_count; j++)
			if (check_mark(load, rule, rule->marks[j]) == -1)
				return -1;
	}
	return 0;
}

/*
 * In local mode there is no gate: what it judges by is where packets come
 * from, and its programs' packets come from one place.
 */
static int
check_gate(struct load *load)
{
	const struct config *config = load->config;
	const struct admission_rule *rule = NULL;
	struct place place = place_of(load, "gate.admission");
	bool is_off = config->gate.admission == CONFIG_GATE_OFF;

	if (config->mode == CONFIG_LOCAL &&
	    config->gate.admission == CONFIG_GATE_ON)
		return load_fail_at(
		    load, &place, "gate.admission: on is not for mode = local");
	if (config->client_count > 0)
		rule = &config->clients[0];
	else if (config->destination_count > 0)
		rule = &config->destinations[0];
	if (rule == NULL || (config->mode != CONFIG_LOCAL && !is_off))
		return check_exempt(load);
	place = (struct place){rule->origin, 0};
	return load_fail_at(load, &place,
	    "'%s': client and destination blocks are not for %s", rule->name,
	    is_off ? "gate.admission = off" : "mode = local");
}

static int
check_interfaces(struct load *load)
{
	const struct config *config = load->config;
	struct place place;

	if (config->mode != CONFIG_LOCAL && config->interface_count == 0) {
		place = place_of(load, "mode");
		return load_fail_at(load, &place,
		    "a %s wants the %s that its clients are"
		    " behind: give interfaces, or -i IFACE",
		    settings_mode_words[config->mode],
		    config->mode == CONFIG_BRIDGE ? "ports" : "interfaces");
	}
	if (config->mode == CONFIG_LOCAL && config->interface_count > 0) {
		place = place_of(load, "interfaces");
		return load_fail_at(
		    load, &place, "interfaces: not for mode = local");
	}
	if (check_gate(load) == -1 || check_bridge(load) == -1 ||
	    check_marks(load) == -1)
		return -1;
	return check_inbound(load);
}

static int
check_numbers(struct load *load)
{
	const struct config *config = load->config;
	struct place place;
	size_t i;

	for (i = 0; i < config->port_count; i++) {
		if (config->ports[i] != config->listen_port)
			continue;
		place = place_of(load, "listen_port");
		return load_fail_at(load, &place,
		    "listen_port: %u is one of the ports to intercept",
		    config->listen_port);
	}
	if ((config->mark & (config->mark - 1)) != 0) {
		place = place_of(load, "mark");
		return load_fail_at(load, &place,
		    "mark: 0x%x is not one bit alone", config->mark);
	}
	/* 253 to 255 are the kernel's own: default, main and local. */
	if (config->route_table >= 253 && config->route_table <= 255) {
		place = place_of(load, "route_table");
		return load_fail_at(load, &place,
		    "route_table: %u is one of the system's own",
		    config->route_table);
	}
	return 0;
}

static void
warn_ended(const struct rule *rules, size_t count, const char *kind)
{
	const struct rule *rule;
	size_t i;

	for (i = 0; i < count; i++) {
		rule = &rules[i];
		if (rule->until != 0 && rule->until <= clock_wall())
			log_warnx("%s: the exception of %s '%s' has ended",
			    rule->origin, kind, rule->name);
	}
}

/* Sources */

/*
 * The file's text.  Where none was asked for and there is none, the empty
 * one: every setting has a default.
 */
static char *
file_text(const char *path, size_t *len, char error[CONFIG_ERROR_MAX])
{
	const char *name = path == NULL ? CONFIG_PATH : path;
	char *text;

	if (strlen(name) >= CONFIG_TEXT_MAX) {
		snprintf(error, CONFIG_ERROR_MAX, "the path is too long");
		return NULL;
	}
	if ((text = load_read_file(name, CONFIG_FILE_BYTES_MAX, len)) != NULL)
		return text;
	if (path == NULL && errno == ENOENT)
		return strdup("");
	snprintf(error, CONFIG_ERROR_MAX, "%s: %s", name, strerror(errno));
	return NULL;
}

static struct ucl_node *
parse(struct load *load, const char *text, size_t len)
{
	struct ucl_node *top;
	unsigned int line;
	char why[UCL_ERROR_MAX];

	if ((top = ucl_parse(text, len, &line, why)) == NULL)
		load_fail(load, line, "%s", why);
	return top;
}

static int
load_all(struct load *load, struct ucl_node *const tops[LOAD_SOURCES])
{
	const struct config *config = load->config;
	enum load_source i;

	for (i = 0; i < LOAD_SOURCES; i++) {
		load_from(load, i);
		if (set_all(load, tops[i]) == -1)
			return -1;
	}
	if (load_files(load) == -1 || load_blocks(load, tops) == -1 ||
	    check_interfaces(load) == -1 || check_numbers(load) == -1)
		return -1;
	if (!config->enforce)
		log_warnx("enforce = false: mail passes to servers that are "
			  "not proved, and in clear; `postern observed` "
			  "lists what would be refused");
	warn_ended(config->servers, config->server_count, "server");
	warn_ended(config->domains, config->domain_count, "domain");
	return 0;
}

struct config *
config_load(
    const char *path, const char *overrides, char error[CONFIG_ERROR_MAX])
{
	struct load load = {
	    .error = error,
	    .file = path == NULL ? CONFIG_PATH : path,
	};
	struct ucl_node *tops[LOAD_SOURCES] = {NULL};
	char *text;
	size_t len;
	int ret = -1;

	strlcpy(error, "out of memory", CONFIG_ERROR_MAX);
	if (overrides == NULL)
		overrides = "";
	if ((text = file_text(path, &len, error)) == NULL)
		return NULL;
	if ((load.config = config_new()) == NULL)
		goto out;
	load_from(&load, LOAD_FILE);
	if ((tops[LOAD_FILE] = parse(&load, text, len)) == NULL)
		goto out;
	load_from(&load, LOAD_OVERRIDES);
	tops[LOAD_OVERRIDES] = parse(&load, overrides, strlen(overrides));
	if (tops[LOAD_OVERRIDES] == NULL)
		goto out;
	ret = load_all(&load, tops);
out:
	free(text);
	ucl_node_free(tops[LOAD_FILE]);
	ucl_node_free(tops[LOAD_OVERRIDES]);
	if (ret == -1) {
		config_free(load.config);
		return NULL;
	}
	return load.config;
}

/* Gleaning */

/* A list that failed in its middle keeps the elements that were good. */
static void
keep_good_ports(struct config *config)
{
	size_t i, n = 0;

	for (i = 0; i < config->port_count; i++)
		if (config->ports[i] != 0)
			config->ports[n++] = config->ports[i];
	if (n == 0)
		config->ports[n++] = CONFIG_SMTP_PORT;
	config->port_count = n;
}

/* False: what this source says of the mode, if anything, cannot be told. */
static bool
glean(struct load *load, enum load_source source, const char *text, size_t len)
{
	const struct ucl_node *node;
	struct ucl_node *top;
	bool knows_mode = true;

	load_from(load, source);
	if ((top = parse(load, text, len)) == NULL)
		return false;
	for (node = top->first; node != NULL; node = node->next) {
		if (load_is_block(node) || load_is_section(node->key) ||
		    load_setting(load, settings_config, "", node, load->config,
			load->set) == 0)
			continue;
		if (strcmp(node->key, "mode") == 0)
			knows_mode = false;
	}
	keep_good_ports(load->config);
	ucl_node_free(top);
	return knows_mode;
}

struct config *
config_glean(const char *path, const char *overrides, bool *knows_mode)
{
	char error[CONFIG_ERROR_MAX];
	struct load load = {
	    .error = error,
	    .file = path == NULL ? CONFIG_PATH : path,
	};
	char *text;
	size_t len;

	if ((load.config = config_new()) == NULL)
		return NULL;
	*knows_mode = false;
	if ((text = file_text(path, &len, error)) != NULL)
		*knows_mode = glean(&load, LOAD_FILE, text, len);
	free(text);
	if (!glean(&load, LOAD_OVERRIDES, overrides, strlen(overrides)))
		*knows_mode = false;
	else if (strcmp(place_of(&load, "mode").source, LOAD_COMMAND_LINE) == 0)
		*knows_mode = true;
	return load.config;
}
