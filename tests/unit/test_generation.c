/* SPDX-License-Identifier: ISC */
/* Settings are whole and usable by every child, or there are none. */

#include "proxy/generation.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "proxy/cmd_options.h"
#include "proxy/config.h"
#include "proxy/parent.h"
#include "tests/unit/cases.h"

static char directory[] = "/tmp/postern-test-XXXXXX";
static char file_path[64], trust_path[64];

static void
write_file(const char *path, const char *text)
{
	FILE *fp = fopen(path, "w");

	assert_non_null(fp);
	assert_true(fputs(text, fp) != EOF);
	assert_int_equal(fclose(fp), 0);
}

static int
setup(void **state)
{
	(void)state;
	if (mkdtemp(directory) == NULL)
		return -1;
	snprintf(file_path, sizeof(file_path), "%s/conf", directory);
	snprintf(trust_path, sizeof(trust_path), "%s/ca.pem", directory);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(file_path);
	unlink(trust_path);
	return rmdir(directory);
}

/* Loads with these settings, over a file of those and a trust file. */
static int
load(struct generation *generation, const char *settings, const char *pem,
    char error[CONFIG_ERROR_MAX])
{
	struct options options = {.path = file_path, .mode = "local"};
	const struct parent_options parent = {
	    .options = &options, .is_foreground = true};

	snprintf(options.text, sizeof(options.text), "trust = \"%s\";\n",
	    trust_path);
	write_file(file_path, settings);
	write_file(trust_path, pem);
	return generation_load(generation, 5, &parent, error);
}

static void
assert_empty(const struct generation *generation)
{
	assert_null(generation->config);
	assert_int_equal(generation->fd, -1);
	assert_int_equal(generation->relay_fd, -1);
}

static char *
good_pem(void)
{
	size_t len;

	return case_text("good", "trust", &len);
}

static void
test_whole(void **state)
{
	char error[CONFIG_ERROR_MAX] = "", *pem = good_pem();
	struct generation generation;
	struct config *read;

	(void)state;
	if (load(&generation,
		"log { to = syslog }\nports = [2525]\n"
		"state = \"redis://:secret@cache.example\"\n",
		pem, error) == -1)
		fail_msg("%s", error);
	assert_int_equal(generation.number, 5);
	assert_int_equal(generation.fd, -1);
	/* What is AUTO in the file is settled, the same for all children. */
	assert_int_not_equal(
	    generation.config->own_connections, CONFIG_OWN_AUTO);
	assert_int_equal(generation.config->log.to, LOG_TO_STDERR);
	assert_int_equal(generation_seal(&generation, error), 0);
	/* No child can change it for another. */
	assert_int_equal(write(generation.fd, "x", 1), -1);
	assert_int_equal(ftruncate(generation.fd, 0), -1);
	assert_int_equal(fcntl(generation.fd, F_GETFD), FD_CLOEXEC);
	assert_non_null(read = config_from_fd(generation.fd));
	assert_int_equal(read->ports[0], 2525);
	assert_int_equal(
	    read->own_connections, generation.config->own_connections);
	assert_non_null(read->state);
	config_free(read);
	/* A relay gets all but the password. */
	assert_int_equal(write(generation.relay_fd, "x", 1), -1);
	assert_non_null(read = config_from_fd(generation.relay_fd));
	assert_int_equal(read->ports[0], 2525);
	assert_null(read->state);
	config_free(read);
	assert_non_null(generation.config->state);
	generation_clear(&generation);
	assert_empty(&generation);
	generation_clear(&generation);
	free(pem);
}

static void
test_bad_file(void **state)
{
	char error[CONFIG_ERROR_MAX] = "", *pem = good_pem();
	struct generation generation;

	(void)state;
	assert_int_equal(load(&generation, "nonsense = 1\n", pem, error), -1);
	assert_non_null(strstr(error, "nonsense"));
	assert_empty(&generation);
	free(pem);
}

/* A relay could only refuse it when it is too late. */
static void
test_bad_trust(void **state)
{
	char error[CONFIG_ERROR_MAX] = "";
	struct generation generation;

	(void)state;
	assert_int_equal(load(&generation, "",
			     "-----BEGIN CERTIFICATE-----\nYWE=\n"
			     "-----END CERTIFICATE-----\n",
			     error),
	    -1);
	assert_non_null(strstr(error, trust_path));
	assert_empty(&generation);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_whole),
	    cmocka_unit_test(test_bad_file),
	    cmocka_unit_test(test_bad_trust),
	};

	return cmocka_run_group_tests_name(
	    "generation", tests, setup, teardown);
}
