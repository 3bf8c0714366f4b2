/* SPDX-License-Identifier: ISC */
/*
 * Knows which store belongs to which path, and whether any exception stands.
 */

#include "proxy/session/settings.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/config.h"

struct settings *
settings_new(
    struct config *config, uint32_t generation, char error[STORE_ERROR_MAX])
{
	struct settings *settings;
	size_t i;

	strlcpy(error, "out of memory", STORE_ERROR_MAX);
	if ((settings = calloc(1, sizeof(*settings))) == NULL) {
		config_free(config);
		return NULL;
	}
	settings->refs = 1;
	settings->generation = generation;
	settings->config = config;
	settings->stores = calloc(
	    config->trust_count + 1, sizeof(struct store *));
	if (settings->stores == NULL)
		goto fail;
	for (i = 0; i < config->trust_count; i++) {
		settings->stores[i] = store_from_pem(
		    config->trusts[i].pem, config->trusts[i].len, error);
		if (settings->stores[i] == NULL)
			goto fail;
	}
	return settings;
fail:
	settings_unref(settings);
	return NULL;
}

struct settings *
settings_ref(struct settings *settings)
{
	settings->refs++;
	return settings;
}

void
settings_unref(struct settings *settings)
{
	size_t i;

	if (settings == NULL || --settings->refs > 0)
		return;
	for (i = 0;
	     settings->stores != NULL && i < settings->config->trust_count; i++)
		store_free(settings->stores[i]);
	free(settings->stores);
	config_free(settings->config);
	free(settings);
}

const struct store *
settings_store(const struct settings *settings, const char *path)
{
	size_t i;

	for (i = 0; i < settings->config->trust_count; i++)
		if (path[0] == '\0' ||
		    strcmp(settings->config->trusts[i].path, path) == 0)
			return settings->stores[i];
	return NULL;
}

bool
settings_allows_clear(const struct settings *settings, int64_t now)
{
	const struct rule *rule;
	size_t i;

	if (!settings->config->enforce)
		return true;
	for (i = 0; i < settings->config->domain_count; i++) {
		rule = &settings->config->domains[i];
		if ((rule->level == LEVEL_NONE ||
			rule->level == LEVEL_OBSERVE) &&
		    (rule->until == 0 || rule->until > now))
			return true;
	}
	return false;
}
