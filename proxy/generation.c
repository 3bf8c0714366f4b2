/* SPDX-License-Identifier: ISC */
/*
 * Settings on their way from the file to the children.
 */

#include "proxy/generation.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "certs/store.h"
#include "netfilter/rules.h"
#include "proxy/base/log.h"
#include "proxy/cmd_options.h"
#include "proxy/config.h"
#include "proxy/parent.h"
#include "proxy/spawn.h"

/*
 * A relay can only refuse settings whose trust files hold nothing usable, and
 * by then it is too late to keep the old ones everywhere.
 */
static int
check_trusts(const struct config *config, char error[CONFIG_ERROR_MAX])
{
	char why[STORE_ERROR_MAX];

	for (size_t i = 0; i < config->trust_count; i++) {
		const struct config_trust *trust = &config->trusts[i];
		struct store *store;

		store = store_from_pem(trust->pem, trust->len, why);
		if (store == NULL) {
			snprintf(error, CONFIG_ERROR_MAX, "%.200s: %s",
			    trust->path, why);
			return -1;
		}
		store_free(store);
	}
	return 0;
}

/*
 * Whether there is a gate is settled here, for the rules and for what is
 * started; reloads keep what the start has said (plan_keep_fixed).  Without the
 * capability it could not be told, and nobody could serve it.
 */
static void
find_gate(struct config *config, bool is_start)
{
	char why[RULES_ERROR_MAX] = "";
	bool has_gate;

	has_gate = rules_have_gate(config, why);
	if (has_gate && is_start)
		log_info("first packets go to postern-gate by %s", why);
	if (config->gate.admission != CONFIG_GATE_AUTO)
		return;
	if (has_gate && !spawn_has_capability(CAP_NET_ADMIN)) {
		has_gate = false;
		strlcpy(why,
		    "without CAP_NET_ADMIN (where root applies the rules for "
		    "it, set gate.admission = off for both)",
		    sizeof(why));
	}
	config->gate.admission = has_gate ? CONFIG_GATE_ON : CONFIG_GATE_OFF;
	if (has_gate || config->mode == CONFIG_LOCAL || !is_start)
		return;
	log_warnx("there is no gate: %s", why);
	if (config->client_count + config->destination_count > 0)
		log_warnx("so client and destination blocks do nothing, and "
			  "everything is intercepted");
}

int
generation_load(struct generation *generation, uint32_t number,
    const struct parent_options *options, char error[CONFIG_ERROR_MAX])
{
	struct config *config;

	generation->number = number;
	generation->config = NULL;
	generation->fd = generation->relay_fd = -1;
	if ((config = options_load(options->options, error)) == NULL)
		return -1;
	if (check_trusts(config, error) == -1) {
		config_free(config);
		return -1;
	}
	if (options->is_foreground)
		config->log.to = LOG_TO_STDERR;
	config->own_connections = rules_own(config);
	find_gate(config, number == 1);
	generation->config = config;
	return 0;
}

/* The memory file without what is for postern-policy alone. */
static int
seal_for_relays(struct config *config)
{
	char *state = config->state;
	int fd;

	config->state = NULL;
	fd = config_to_fd(config);
	config->state = state;
	return fd;
}

int
generation_seal(struct generation *generation, char error[CONFIG_ERROR_MAX])
{
	generation->fd = config_to_fd(generation->config);
	generation->relay_fd = seal_for_relays(generation->config);
	if (generation->fd == -1 || generation->relay_fd == -1) {
		snprintf(error, CONFIG_ERROR_MAX, "memory file: %s",
		    strerror(errno));
		generation_clear(generation);
		return -1;
	}
	return 0;
}

static void
close_fd(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

void
generation_clear(struct generation *generation)
{
	config_free(generation->config);
	generation->config = NULL;
	close_fd(&generation->fd);
	close_fd(&generation->relay_fd);
}
