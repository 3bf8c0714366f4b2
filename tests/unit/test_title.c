/* SPDX-License-Identifier: ISC */
/* What ps(1) shows of a process that sets its title. */

#include "proxy/title.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* As the kernel tells our arguments: cut at the first NUL. */
static const char *
shown(void)
{
	static char text[TITLE_MAX];
	ssize_t len;
	int fd;

	fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	assert_int_not_equal(fd, -1);
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	assert_true(len > 0);
	text[len] = '\0';
	return text;
}

static void
test_set(void **state)
{
	(void)state;
	assert_null(title_text(shown()));
	title_set(TITLE_READY, "2 of 2 relays, 100% well");
	assert_string_equal(
	    shown(), "postern: ready: 2 of 2 relays, 100% well");
	assert_string_equal(
	    title_text(shown()), "ready: 2 of 2 relays, 100% well");
	title_set(TITLE_STOPPING, "-");
	assert_string_equal(title_text(shown()), "stopping: -");
}

/* The word is still there where the rest has no room. */
static void
test_too_long(void **state)
{
	char rest[1 << 16];

	(void)state;
	memset(rest, 'x', sizeof(rest) - 1);
	rest[sizeof(rest) - 1] = '\0';
	title_set(TITLE_READY, rest);
	assert_true(title_is_ready(title_text(shown())));
	assert_true(strlen(shown()) < sizeof(rest));
}

static void
test_ready(void **state)
{
	static const char *const others[] = {"", "ready", "readyish: 1",
	    "not ready: 0 of 2 relays",
	    "starting: ready:", "stopping: 2 of 2 relays", "down: x"};

	(void)state;
	assert_true(title_is_ready("ready: 1 of 2 relays, policy up"));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_false(title_is_ready(others[i]));
}

static void
test_others(void **state)
{
	static const char *const others[] = {"", "postern",
	    "postern:", "/usr/sbin/postern", "postern-relay: ready: x",
	    "less postern: ready: x"};

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_null(title_text(others[i]));
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_set),
	    cmocka_unit_test(test_too_long),
	    cmocka_unit_test(test_ready),
	    cmocka_unit_test(test_others),
	};

	/* As a service manager or a runtime starts us, with some room. */
	if (getenv("ROOM") == NULL) {
		setenv("ROOM",
		    "enough for a title of any length, however long "
		    "it is",
		    1);
		execv("/proc/self/exe", argv);
		return 1;
	}
	title_init(argc, argv);
	return cmocka_run_group_tests_name("title", tests, NULL, NULL);
}
