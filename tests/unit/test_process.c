/* SPDX-License-Identifier: ISC */
/*
 * The life of a child, with a copy of this very program as the child: run
 * under another name it behaves as that name says.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/base/child.h"
#include "proxy/base/ipc.h"
#include "proxy/base/log.h"
#include "proxy/process.h"
#include "proxy/process_message.h"
#include "proxy/spawn.h"

#define PATIENCE_SECONDS 10
#define FILES_WANTED     100

/* What the child finds wrong with the way it was started. */
enum complaint {
	BAD_STDIN = 1,
	BAD_DESCRIPTORS = 2,
	BAD_PRIVILEGES = 4,
	BAD_DEATH_SIGNAL = 8,
	BAD_SESSION = 16,
};

/* The child's side. */

static struct child *self;

static uint32_t
look_around(void)
{
	uint32_t complaints = 0;
	char link[64] = "";
	struct dirent *entry;
	int signo = 0;
	DIR *dir;

	if (readlink("/proc/self/fd/0", link, sizeof(link) - 1) == -1 ||
	    strcmp(link, "/dev/null") != 0)
		complaints |= BAD_STDIN;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 ||
	    spawn_has_capability(0 /* CAP_CHOWN */))
		complaints |= BAD_PRIVILEGES;
	if (prctl(PR_GET_PDEATHSIG, &signo, 0, 0, 0) == -1 || signo != SIGKILL)
		complaints |= BAD_DEATH_SIGNAL;
	if (getsid(0) != getpid())
		complaints |= BAD_SESSION;
	if ((dir = opendir("/proc/self/fd")) == NULL)
		return complaints | BAD_DESCRIPTORS;
	while ((entry = readdir(dir)) != NULL) {
		int fd = (int)strtol(entry->d_name, NULL, 10);

		/* Its own loop's come later; here only dir itself is open. */
		if (fd > PROCESS_CONTROL_FD && fd != dirfd(dir))
			complaints |= BAD_DESCRIPTORS;
	}
	closedir(dir);
	return complaints;
}

static int
on_config(void *arg, uint32_t generation, int fd)
{
	const uint32_t *complaints = arg;

	if (generation != 7 || fd < 0)
		return -1;
	child_status(self, *complaints + 1);
	child_ready(self);
	return 0;
}

static void
on_drain(void *arg, bool is_now)
{
	(void)arg;
	(void)is_now;
	child_drained(self);
}

static int
be_child(const char *name)
{
	static const struct child_handlers handlers = {
	    .config = on_config,
	    .drain = on_drain,
	};
	uint32_t complaints = look_around();
	struct event_base *base;

	if (strcmp(name, "fails") == 0)
		return 3;
	if (strcmp(name, "deaf") == 0)
		for (;;)
			pause();
	if ((base = event_base_new()) == NULL)
		return 1;
	self = child_start(base, "child", &handlers, &complaints);
	if (strcmp(name, "twice") == 0) {
		child_ready(self);
		child_ready(self);
	}
	if (strcmp(name, "unasked") == 0)
		child_drained(self);
	return event_base_dispatch(base) == -1;
}

/* The parent's side. */

struct world {
	struct event_base *base;
	struct event *chld;
	struct process *process;
	struct spawn spawn;
	char dir[32];
	char path[64];
	bool refuses_start;
	int started, ready, ended;
	bool will_restart;
};

static int
on_started(void *arg, struct process *process)
{
	struct world *world = arg;
	struct ipc_message message;

	world->started++;
	if (world->refuses_start) {
		errno = EADDRINUSE;
		return -1;
	}
	ipc_compose(&message, PROCESS_CONFIG, 0);
	ipc_put_u32(&message, 7);
	ipc_put_fd(&message, STDIN_FILENO);
	process_send(process, &message);
	return 0;
}

static void
on_ready(void *arg, struct process *process)
{
	struct world *world = arg;

	(void)process;
	world->ready++;
	event_base_loopbreak(world->base);
}

static void
on_ended(void *arg, struct process *process, bool will_restart)
{
	struct world *world = arg;

	(void)process;
	world->ended++;
	world->will_restart = will_restart;
	event_base_loopbreak(world->base);
}

static void
on_child(evutil_socket_t fd, short what, void *arg)
{
	struct world *world = arg;
	pid_t pid;
	int status;

	(void)fd;
	(void)what;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		assert_false(process_reap(world->process, pid + 1, status));
		assert_true(process_reap(world->process, pid, status));
	}
}

static int
setup(void **state)
{
	static const struct process_hooks hooks = {
	    .started = on_started,
	    .ready = on_ready,
	    .ended = on_ended,
	};
	struct world *world;

	*state = world = calloc(1, sizeof(*world));
	strlcpy(world->dir, "/tmp/test_process.XXXXXX", sizeof(world->dir));
	if (mkdtemp(world->dir) == NULL)
		return -1;
	world->spawn.path = world->path;
	world->spawn.files = FILES_WANTED;
	world->base = event_base_new();
	world->chld = evsignal_new(world->base, SIGCHLD, on_child, world);
	evsignal_add(world->chld, NULL);
	world->process = process_new(
	    world->base, "child 1", &world->spawn, &hooks, world);
	return world->process == NULL ? -1 : 0;
}

/* Turns the loop until something happens that the hooks stop it for. */
static void
await(struct world *world)
{
	struct timeval patience = {.tv_sec = PATIENCE_SECONDS};

	event_base_loopexit(world->base, &patience);
	event_base_dispatch(world->base);
	assert_true(event_base_got_break(world->base));
}

static int
teardown(void **state)
{
	struct world *world = *state;

	if (process_state(world->process) != PROCESS_IS_DOWN) {
		process_kill(world->process);
		while (process_state(world->process) != PROCESS_IS_DOWN)
			await(world);
	}
	process_kill(world->process);
	process_free(world->process);
	event_free(world->chld);
	event_base_free(world->base);
	unlink(world->path);
	rmdir(world->dir);
	free(world);
	return 0;
}

/*
 * No link: a child has no capability left to reach a build folder that its
 * user may not enter, such as one in another's home.
 */
static void
copy_self(const char *path)
{
	char data[65536];
	ssize_t n;
	int from, to;

	from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	assert_true(from != -1 && to != -1);
	while ((n = read(from, data, sizeof(data))) > 0)
		assert_int_equal(write(to, data, (size_t)n), n);
	assert_int_equal(n, 0);
	close(from);
	close(to);
}

static void
start(struct world *world, const char *name)
{
	snprintf(world->path, sizeof(world->path), "%s/%s", world->dir, name);
	copy_self(world->path);
	process_start(world->process);
	assert_int_equal(world->started, 1);
}

static void
test_backoff(void **state)
{
	int64_t wait = 0;
	static const int64_t waits[] = {
	    1000, 2000, 4000, 8000, 16000, 30000, 30000};

	(void)state;
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		wait = process_backoff(wait, 0);
		assert_int_equal(wait, waits[i]);
	}
	assert_int_equal(process_backoff(8000, 59999), 16000);
	assert_int_equal(process_backoff(8000, 60000), 1000);
}

static void
test_a_whole_life(void **state)
{
	struct world *world = *state;

	start(world, "good");
	assert_int_equal(process_state(world->process), PROCESS_IS_STARTING);
	await(world);
	assert_int_equal(world->ready, 1);
	assert_int_equal(process_state(world->process), PROCESS_IS_SERVING);
	/* The child counts its complaints as sessions, and one more. */
	assert_int_equal(process_sessions(world->process), 1);
	process_drain(world->process, PATIENCE_SECONDS);
	assert_int_equal(process_state(world->process), PROCESS_IS_DRAINING);
	await(world);
	assert_int_equal(world->ended, 1);
	assert_false(world->will_restart);
	assert_int_equal(process_state(world->process), PROCESS_IS_DOWN);
}

static void
turn(struct world *world)
{
	struct timeval wait = {.tv_usec = 200000};

	event_base_loopexit(world->base, &wait);
	event_base_dispatch(world->base);
}

static void
test_answered_pings(void **state)
{
	struct world *world = *state;

	start(world, "good");
	await(world);
	for (int i = 0; i < 3; i++) {
		assert_true(process_ping(world->process));
		turn(world);
	}
	assert_int_equal(world->ended, 0);
}

static void
test_stuck_is_killed_and_restarted(void **state)
{
	struct world *world = *state;

	start(world, "deaf");
	assert_true(process_ping(world->process));
	turn(world);
	assert_false(process_ping(world->process));
	assert_int_equal(process_state(world->process), PROCESS_IS_KILLED);
	assert_false(process_ping(world->process));
	await(world);
	assert_int_equal(world->ended, 1);
	assert_true(world->will_restart);
	assert_true(process_ping(world->process)); /* down is not stuck */
}

/* Each of these breaks the rules, or ends by itself: it comes again. */
static void
expect_restart(struct world *world, const char *name)
{
	start(world, name);
	while (world->ended == 0)
		await(world);
	assert_true(world->will_restart);
	assert_int_equal(process_state(world->process), PROCESS_IS_DOWN);
}

static void
test_second_ready_is_fatal_to_it(void **state)
{
	expect_restart(*state, "twice");
}

static void
test_drained_unasked_is_fatal_to_it(void **state)
{
	expect_restart(*state, "unasked");
}

static void
test_failure_is_restarted_after_a_while(void **state)
{
	struct world *world = *state;

	expect_restart(world, "fails");
	while (world->ended == 1)
		await(world);
	assert_int_equal(world->started, 2);
}

static void
test_missing_program(void **state)
{
	struct world *world = *state;

	strlcpy(world->path, "/nonexistent", sizeof(world->path));
	process_start(world->process);
	await(world);
	assert_int_equal(world->ended, 1);
	assert_true(world->will_restart);
}

static void
test_refused_start(void **state)
{
	struct world *world = *state;

	world->refuses_start = true;
	expect_restart(world, "good");
	assert_int_equal(world->ready, 0);
}

static void
test_drain_has_a_limit(void **state)
{
	struct world *world = *state;

	start(world, "deaf");
	process_drain(world->process, 0);
	await(world);
	assert_int_equal(world->ended, 1);
	assert_false(world->will_restart);
}

static void
test_kill_cancels_the_restart(void **state)
{
	struct world *world = *state;
	struct timeval wait = {.tv_usec = 1500000};

	expect_restart(world, "fails");
	process_kill(world->process);
	event_base_loopexit(world->base, &wait);
	event_base_dispatch(world->base);
	assert_int_equal(world->started, 1);
}

int
main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_backoff),
	    TEST(test_a_whole_life),
	    TEST(test_answered_pings),
	    TEST(test_stuck_is_killed_and_restarted),
	    TEST(test_second_ready_is_fatal_to_it),
	    TEST(test_drained_unasked_is_fatal_to_it),
	    TEST(test_failure_is_restarted_after_a_while),
	    TEST(test_missing_program),
	    TEST(test_refused_start),
	    TEST(test_drain_has_a_limit),
	    TEST(test_kill_cancels_the_restart),
	};
	const char *name = basename(argv[0]);

	if (argc == 1 && strncmp(name, "test_", 5) != 0)
		return be_child(name);
	/* So that /dev/null is the child's own doing. */
	if (dup2(STDERR_FILENO, STDIN_FILENO) == -1)
		return 1;
	log_init("test_process", LOG_TO_STDERR, LOG_FORMAT_TEXT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
