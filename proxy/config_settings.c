/* SPDX-License-Identifier: ISC */
/*
 * The tables of settings.  What needs more than one setting to be judged is
 * left to config_file.c.
 */

#include "proxy/config_settings.h"

#define AT(field)         .offset = offsetof(struct config, field)
#define COUNT(field)      .count_offset = offsetof(struct config, field)
#define RULE_AT(field)    .offset = offsetof(struct rule, field)
#define RULE_COUNT(field) .count_offset = offsetof(struct rule, field)
#define ADMIT_AT(field)   .offset = offsetof(struct admission_rule, field)
#define ADMIT_COUNT(field)                                                     \
	.count_offset = offsetof(struct admission_rule, field)
#define DAY (24 * 60 * 60)

/* Each list in the order of its enum. */
const char *const settings_mode_words[] = {"gateway", "local", "bridge", NULL};
const char *const settings_level_words[] = {
    "verify", "encrypt", "none", "observe", NULL};
const char *const settings_verdict_words[] = {
    "intercept", "reject", "exempt", NULL};
/* Nobody may be forwarded untouched for the sake of where it goes. */
static const char *const destination_words[] = {"intercept", "reject", NULL};
static const char *const gate_words[] = {"auto", "on", "off", NULL};
static const char *const own_words[] = {"auto", "mark", "uid", NULL};
static const char *const on_refusal_words[] = {"defer", "bounce", NULL};
static const char *const testing_words[] = {"report", "enforce", NULL};
static const char *const log_format_words[] = {"text", "json", NULL};
static const char *const log_to_words[] = {"auto", "stderr", "syslog", NULL};
static const char *const log_addresses_words[] = {"domain", "full", NULL};

/* clang-format off */
#define TIMEOUT(name)							\
	{.path = "timeouts." #name, .type = SETTING_SECONDS,		\
	    AT(timeouts.name), .min = 1, .max = DAY}

const struct setting settings_config[] = {
	{.path = "mode", .type = SETTING_WORD, AT(mode),
	    .words = settings_mode_words},
	{.path = "bridge", .type = SETTING_STRING, AT(bridge),
	    .check = value_interface},
	{.path = "interfaces", .type = SETTING_STRINGS, AT(interfaces),
	    COUNT(interface_count), .max = CONFIG_INTERFACES_MAX,
	    .check = value_interface},
	{.path = "inbound", .type = SETTING_STRINGS, AT(inbound),
	    COUNT(inbound_count), .max = CONFIG_INTERFACES_MAX,
	    .check = value_interface},
	{.path = "ports", .type = SETTING_PORTS, AT(ports), COUNT(port_count),
	    .max = CONFIG_PORTS_MAX},
	{.path = "listen_port", .type = SETTING_PORT, AT(listen_port),
	    .min = 1, .max = UINT16_MAX},
	{.path = "keep_source_address", .type = SETTING_BOOL,
	    AT(keep_source_address)},
	{.path = "own_connections", .type = SETTING_WORD, AT(own_connections),
	    .words = own_words},
	{.path = "mark", .type = SETTING_NUMBER, AT(mark), .min = 1,
	    .max = UINT32_MAX},
	{.path = "route_table", .type = SETTING_NUMBER, AT(route_table),
	    .min = 1, .max = UINT32_MAX},
	/* Three in a row, between the rules of the local and main tables. */
	{.path = "route_priority", .type = SETTING_NUMBER, AT(route_priority),
	    .min = 1, .max = 32763},
	{.path = "manage_rules", .type = SETTING_BOOL, AT(manage_rules)},
	{.path = "keep_rules", .type = SETTING_BOOL, AT(keep_rules)},
	{.path = "workers", .type = SETTING_NUMBER, AT(workers),
	    .max = CONFIG_WORKERS_MAX},
	{.path = "user", .type = SETTING_STRING, AT(user),
	    .check = value_user},
	{.path = "trust", .type = SETTING_STRING, AT(trust),
	    .check = value_path},
	{.path = "require_dnssec", .type = SETTING_BOOL, AT(require_dnssec)},
	{.path = "enforce", .type = SETTING_BOOL, AT(enforce)},
	{.path = "on_refusal", .type = SETTING_WORD, AT(on_refusal),
	    .words = on_refusal_words},
	{.path = "state", .type = SETTING_STRING, AT(state),
	    .check = value_state},
	{.path = "state_directory", .type = SETTING_STRING,
	    AT(state_directory), .check = value_path},

	{.path = "gate.admission", .type = SETTING_WORD, AT(gate.admission),
	    .words = gate_words},
	{.path = "gate.watch_dns", .type = SETTING_BOOL, AT(gate.watch_dns)},
	{.path = "gate.queue", .type = SETTING_NUMBER, AT(gate.queue),
	    .max = UINT16_MAX - CONFIG_QUEUES_MAX},
	{.path = "gate.queues", .type = SETTING_NUMBER, AT(gate.queues),
	    .min = 1,
	    .max = CONFIG_QUEUES_MAX},

	{.path = "mta_sts.testing", .type = SETTING_BOOL,
	    AT(mta_sts.enforces_testing), .words = testing_words},
	{.path = "mta_sts.timeout", .type = SETTING_SECONDS,
	    AT(mta_sts.timeout), .min = 1, .max = 300},

	{.path = "dns.forward", .type = SETTING_ADDRESSES, AT(dns.forward),
	    COUNT(dns.forward_count), .max = CONFIG_FORWARD_MAX},
	{.path = "dns.root_hints", .type = SETTING_STRING, AT(dns.root_hints),
	    .check = value_path},
	{.path = "dns.trust_anchor", .type = SETTING_STRING,
	    AT(dns.trust_anchor), .check = value_path},
	{.path = "dns.timeout", .type = SETTING_SECONDS, AT(dns.timeout),
	    .min = 1, .max = 300},

	TIMEOUT(connect),
	TIMEOUT(greeting),
	TIMEOUT(handshake),
	TIMEOUT(command),
	TIMEOUT(reply),
	TIMEOUT(data_initiation),
	TIMEOUT(data_block),
	TIMEOUT(data_termination),
	TIMEOUT(decision),
	TIMEOUT(drain),

	{.path = "limits.sessions", .type = SETTING_NUMBER,
	    AT(limits.sessions), .min = 1, .max = 1000000},
	{.path = "limits.sessions_per_client", .type = SETTING_NUMBER,
	    AT(limits.sessions_per_client), .min = 1, .max = 1000000},
	{.path = "limits.connection_rate", .type = SETTING_NUMBER,
	    AT(limits.connection_rate), .max = 1000000},

	{.path = "log.format", .type = SETTING_WORD, AT(log.format),
	    .words = log_format_words},
	{.path = "log.to", .type = SETTING_WORD, AT(log.to),
	    .words = log_to_words},
	{.path = "log.addresses", .type = SETTING_BOOL,
	    AT(log.full_addresses), .words = log_addresses_words},
	{.path = "log.verbose", .type = SETTING_BOOL, AT(log.verbose)},
	{.path = NULL},
};

_Static_assert(sizeof(settings_config) <=
    (SETTINGS_MAX + 1) * sizeof(settings_config[0]), "SETTINGS_MAX rows");

#define RULE_SETTINGS							\
	{.path = "names", .type = SETTING_STRINGS, RULE_AT(names),	\
	    RULE_COUNT(name_count), .max = CONFIG_NAMES_MAX,		\
	    .check = value_host},					\
	{.path = "pins", .type = SETTING_PINS, RULE_AT(pins),		\
	    RULE_COUNT(pin_count), .max = CONFIG_PINS_MAX},		\
	{.path = "trust", .type = SETTING_STRING, RULE_AT(trust),	\
	    .check = value_path},					\
	{.path = "level", .type = SETTING_WORD, RULE_AT(level),		\
	    .words = settings_level_words},				\
	{.path = "until", .type = SETTING_UNTIL, RULE_AT(until)},	\
	{.path = NULL}

const struct setting settings_server[] = {
	{.path = "match", .type = SETTING_STRINGS, RULE_AT(matches),
	    RULE_COUNT(match_count), .max = CONFIG_MATCHES_MAX,
	    .check = value_match},
	{.path = "auth", .type = SETTING_BOOL, RULE_AT(auth)},
	RULE_SETTINGS,
};

const struct setting settings_domain[] = {
	RULE_SETTINGS,
};

#define ADMIT_MATCH							\
	{.path = "match", .type = SETTING_STRINGS, ADMIT_AT(matches),	\
	    ADMIT_COUNT(match_count), .max = CONFIG_MATCHES_MAX,	\
	    .check = value_prefix}

const struct setting settings_client[] = {
	ADMIT_MATCH,
	{.path = "interfaces", .type = SETTING_STRINGS,
	    ADMIT_AT(interfaces), ADMIT_COUNT(interface_count),
	    .max = CONFIG_INTERFACES_MAX, .check = value_interface},
	{.path = "marks", .type = SETTING_STRINGS, ADMIT_AT(marks),
	    ADMIT_COUNT(mark_count), .max = CONFIG_MARKS_MAX,
	    .check = value_mark},
	{.path = "verdict", .type = SETTING_WORD, ADMIT_AT(verdict),
	    .words = settings_verdict_words},
	{.path = "connection_rate", .type = SETTING_NUMBER,
	    ADMIT_AT(connection_rate), .max = 1000000},
	{.path = "sessions", .type = SETTING_NUMBER, ADMIT_AT(sessions),
	    .max = 1000000},
	{.path = NULL},
};

const struct setting settings_destination[] = {
	ADMIT_MATCH,
	{.path = "verdict", .type = SETTING_WORD, ADMIT_AT(verdict),
	    .words = destination_words},
	{.path = NULL},
};
/* clang-format on */
