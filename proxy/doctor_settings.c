/* SPDX-License-Identifier: ISC */
/*
 * What the configuration comes to, and what it lets pass unproved.
 */

#include <string.h>

#include "proxy/base/clock.h"
#include "proxy/config_settings.h"
#include "proxy/doctor.h"

#define CHECK "configuration"

static size_t
count_exceptions(const struct rule *rules, size_t count)
{
	size_t exceptions = 0, i;

	for (i = 0; i < count; i++)
		if (rules[i].level != LEVEL_VERIFY &&
		    (rules[i].until == 0 || rules[i].until > clock_wall()))
			exceptions++;
	return exceptions;
}

static void
note_exceptions(struct doctor *doctor)
{
	const struct config *config = doctor->config;
	size_t count;

	if (!config->enforce)
		report_note(doctor->report, CHECK,
		    "enforce = false: all mail passes, proved or not");
	count = count_exceptions(config->servers, config->server_count) +
	        count_exceptions(config->domains, config->domain_count);
	if (count > 0)
		report_note(doctor->report, CHECK,
		    "%zu blocks let mail pass unproved; `postern check` lists "
		    "them",
		    count);
}

void
doctor_check_settings(struct doctor *doctor)
{
	const struct config *config = doctor->config;
	char ports[CONFIG_PORTS_MAX * 8] = "";
	size_t i, len;

	for (i = 0; i < config->port_count; i++) {
		len = strlen(ports);
		snprintf(
		    ports + len, sizeof(ports) - len, " %u", config->ports[i]);
	}
	report_pass(doctor->report, CHECK, "mode %s, ports%s, led to port %u",
	    settings_mode_words[config->mode], ports, config->listen_port);
	note_exceptions(doctor);
}
