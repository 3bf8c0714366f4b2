/* SPDX-License-Identifier: ISC */
/*
 * What arrives at the service manager's socket, and what is taken out of the
 * environment.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proxy/notify.h"

struct manager {
	int fd;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct notify notify;
};

/* Listens where the address says ('@' is the abstract namespace). */
static void
manager_listen(struct manager *manager, const char *address)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	size_t len = strlen(address);

	memcpy(sun.sun_path, address, len);
	if (address[0] == '@')
		sun.sun_path[0] = '\0';
	else
		len++;
	manager->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_not_equal(manager->fd, -1);
	assert_int_equal(
	    bind(manager->fd, (struct sockaddr *)&sun,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
	    0);
	setenv("NOTIFY_SOCKET", address, 1);
	notify_open(&manager->notify);
}

static int
setup(void **state)
{
	static struct manager manager;
	char dir[] = "/tmp/test_notify.XXXXXX";

	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(manager.path, sizeof(manager.path), "%s/socket", dir);
	manager_listen(&manager, manager.path);
	*state = &manager;
	return 0;
}

static int
teardown(void **state)
{
	struct manager *manager = *state;

	notify_close(&manager->notify);
	close(manager->fd);
	unlink(manager->path);
	*strrchr(manager->path, '/') = '\0';
	rmdir(manager->path);
	return 0;
}

static const char *
next(const struct manager *manager)
{
	static char text[4096];
	ssize_t len = recv(manager->fd, text, sizeof(text) - 1, 0);

	text[len == -1 ? 0 : len] = '\0';
	return text;
}

static void
test_messages(void **state)
{
	struct manager *manager = *state;
	const char *text;
	unsigned long long usec;
	int end = 0;

	notify_ready(&manager->notify);
	assert_string_equal(next(manager), "READY=1\n");
	notify_watchdog(&manager->notify);
	assert_string_equal(next(manager), "WATCHDOG=1\n");
	notify_stopping(&manager->notify, 70);
	assert_string_equal(
	    next(manager), "STOPPING=1\nEXTEND_TIMEOUT_USEC=70000000\n");
	notify_reloading(&manager->notify);
	text = next(manager);
	assert_int_equal(
	    /* NOLINTNEXTLINE(cert-err34-c): the form is what is tested */
	    sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%llu\n%n", &usec, &end),
	    1);
	assert_true(usec > 0);
	assert_int_equal(end, strlen(text));
}

/* Text out of a configuration may not become an assignment of its own. */
static void
test_status_is_one_line(void **state)
{
	struct manager *manager = *state;

	notify_status(&manager->notify, "%s", "a\nREADY=1\r\n\033b");
	assert_string_equal(next(manager), "STATUS=a READY=1   b\n");
}

static void
test_status_is_bounded(void **state)
{
	struct manager *manager = *state;
	char text[NOTIFY_TEXT_MAX * 2];
	const char *got;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	notify_status(&manager->notify, "%s", text);
	got = next(manager);
	assert_int_equal(strlen(got), NOTIFY_TEXT_MAX - 1);
	assert_int_equal(strncmp(got, "STATUS=xxx", 10), 0);
	assert_int_equal(got[NOTIFY_TEXT_MAX - 2], '\n');
}

static void
test_abstract_address(void **state)
{
	struct manager manager;
	char address[64];

	(void)state;
	snprintf(address, sizeof(address), "@test_notify.%d", (int)getpid());
	manager_listen(&manager, address);
	notify_ready(&manager.notify);
	assert_string_equal(next(&manager), "READY=1\n");
	notify_close(&manager.notify);
	close(manager.fd);
}

static void
test_environment_is_taken(void **state)
{
	struct notify notify;

	(void)state;
	setenv("NOTIFY_SOCKET", "@nobody.listens.here", 1);
	setenv("WATCHDOG_USEC", "30000000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	notify_open(&notify);
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_null(getenv("WATCHDOG_USEC"));
	assert_null(getenv("WATCHDOG_PID"));
	notify_close(&notify);
}

static uint64_t
watchdog(const char *usec, const char *pid)
{
	struct notify notify;

	setenv("WATCHDOG_USEC", usec, 1);
	if (pid != NULL)
		setenv("WATCHDOG_PID", pid, 1);
	notify_open(&notify);
	assert_int_equal(notify.fd, -1);
	notify_ready(&notify); /* nobody asked: nothing happens */
	return notify.watchdog_usec;
}

static void
test_watchdog(void **state)
{
	char own[16], other[16];

	(void)state;
	snprintf(own, sizeof(own), "%d", (int)getpid());
	snprintf(other, sizeof(other), "%d", (int)getppid());
	assert_int_equal(watchdog("30000000", NULL), 30000000);
	assert_int_equal(watchdog("30000000", own), 30000000);
	assert_int_equal(watchdog("30000000", other), 0);
	assert_int_equal(watchdog("30000000", "1x"), 0);
	assert_int_equal(watchdog("0", NULL), 0);
	assert_int_equal(watchdog("3s", NULL), 0);
	assert_int_equal(watchdog("", NULL), 0);
}

static void
test_address_is_judged(void **state)
{
	char too_long[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	const char *const bad[] = {"socket", "vsock:2:1", "", too_long};
	struct notify notify;

	(void)state;
	memset(too_long, '/', sizeof(too_long) - 1);
	too_long[sizeof(too_long) - 1] = '\0';
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setenv("NOTIFY_SOCKET", bad[i], 1);
		notify_open(&notify);
		assert_int_equal(notify.fd, -1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_messages, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_status_is_one_line, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_status_is_bounded, setup, teardown),
	    cmocka_unit_test(test_abstract_address),
	    cmocka_unit_test(test_environment_is_taken),
	    cmocka_unit_test(test_watchdog),
	    cmocka_unit_test(test_address_is_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
