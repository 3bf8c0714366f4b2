/* SPDX-License-Identifier: ISC */
/* Which trust counts for whom, and when clear text may be in question. */

#include "proxy/session/settings.h"

#include "proxy/config.h"
#include "tests/unit/cases.h"

#define NOW 1800000000

/* One trust file a title of the test certificates; "" is no certificate. */
static struct config *
config_of(size_t count, const char *const titles[])
{
	struct config *config = config_new();
	char path[32];
	size_t i;

	assert_non_null(config);
	config->trusts = calloc(count + 1, sizeof(config->trusts[0]));
	config->trust_count = count;
	for (i = 0; i < count; i++) {
		struct config_trust *trust = &config->trusts[i];

		snprintf(path, sizeof(path), "/trust/%zu.pem", i);
		trust->path = strdup(path);
		if (titles[i][0] != '\0')
			trust->pem = case_text(titles[i], "trust", &trust->len);
		else
			trust->pem = strdup("");
	}
	return config;
}

static struct settings *
settings_of(size_t count, const char *const titles[])
{
	char error[STORE_ERROR_MAX];
	struct settings *settings;

	settings = settings_new(config_of(count, titles), 7, error);
	if (settings == NULL)
		fail_msg("%s", error);
	return settings;
}

static const char *const two[] = {"good", "root_v1"};

static void
test_stores(void **state)
{
	struct settings *settings = settings_of(2, two);
	const struct store *first, *second;

	(void)state;
	assert_int_equal(settings->generation, 7);
	first = settings_store(settings, "/trust/0.pem");
	second = settings_store(settings, "/trust/1.pem");
	assert_true(first != NULL && second != NULL && first != second);
	/* No path is the default's. */
	assert_ptr_equal(settings_store(settings, ""), first);
	/* What is not known here is nobody's: never the default's. */
	assert_null(settings_store(settings, "/trust/2.pem"));
	assert_null(settings_store(settings, "/trust/1.pe"));
	assert_null(settings_store(settings, "/trust/1.pem2"));
	settings_unref(settings);
}

static void
test_no_trust(void **state)
{
	struct settings *settings = settings_of(0, NULL);

	(void)state;
	assert_null(settings_store(settings, ""));
	settings_unref(settings);
}

/* One bad file is enough, wherever it stands. */
static void
test_bad_trust(void **state)
{
	static const char *const bad[][2] = {{"good", ""}, {"", "good"}};
	char error[STORE_ERROR_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_null(settings_new(config_of(2, bad[i]), 1, error));
		assert_string_equal(error, "no certificate in it");
	}
}

/* A session keeps what it began with. */
static void
test_references(void **state)
{
	struct settings *settings = settings_of(2, two);

	(void)state;
	assert_ptr_equal(settings_ref(settings), settings);
	settings_unref(settings);
	assert_non_null(settings_store(settings, ""));
	assert_false(settings_allows_clear(settings, NOW));
	settings_unref(settings);
	settings_unref(NULL);
}

static void
test_clear_text(void **state)
{
	static const struct {
		enum level level;
		int64_t until;
		bool is_allowed;
	} cases[] = {
	    {LEVEL_VERIFY, 0, false},
	    {LEVEL_ENCRYPT, 0, false},
	    {LEVEL_ENCRYPT, NOW + 1, false},
	    {LEVEL_NONE, 0, true},
	    {LEVEL_NONE, NOW + 1, true},
	    {LEVEL_NONE, NOW, false},
	    {LEVEL_NONE, NOW - 1, false},
	};
	struct settings *settings;
	struct rule *rule;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		settings = settings_of(1, two);
		settings->config->domains = calloc(2, sizeof(*rule));
		settings->config->domain_count = 2;
		rule = &settings->config->domains[1];
		rule->level = cases[i].level;
		rule->until = cases[i].until;
		assert_int_equal(
		    settings_allows_clear(settings, NOW), cases[i].is_allowed);
		settings_unref(settings);
	}
}

/* A server block is about one address, and is asked for by itself. */
static void
test_server_blocks_allow_nothing_here(void **state)
{
	struct settings *settings = settings_of(1, two);

	(void)state;
	settings->config->servers = calloc(1, sizeof(struct rule));
	settings->config->server_count = 1;
	settings->config->servers[0].level = LEVEL_NONE;
	assert_false(settings_allows_clear(settings, NOW));
	settings_unref(settings);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_stores),
	    cmocka_unit_test(test_no_trust),
	    cmocka_unit_test(test_bad_trust),
	    cmocka_unit_test(test_references),
	    cmocka_unit_test(test_clear_text),
	    cmocka_unit_test(test_server_blocks_allow_nothing_here),
	};

	return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
