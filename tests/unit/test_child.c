/* SPDX-License-Identifier: ISC */
/*
 * A child's end of the control channel: a forked process with that end, and
 * the parent's words said to it one by one.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <event2/event.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/base/child.h"
#include "proxy/base/ipc.h"
#include "proxy/process_message.h"

#define PATIENCE_SECONDS 10
#define HEARD_MAX        16

struct heard {
	uint16_t type;
	uint32_t id;
	uint32_t number;
};

struct world {
	struct event_base *base;
	struct ipc_channel *control;
	pid_t pid;
	struct heard heard[HEARD_MAX];
	size_t heard_count;
	size_t heard_wanted;
};

/* The child: says as numbers of sessions which handlers were called. */

static struct child *self;

static int
on_config(void *arg, uint32_t generation, int fd)
{
	(void)arg;
	if (generation == 0 || fd == -1)
		return -1;
	child_ready(self);
	return 0;
}

static int
on_listener(void *arg, int fd)
{
	(void)arg;
	close(fd);
	for (uint32_t i = 1; i <= 5; i++)
		child_status(self, i);
	return 0;
}

static void
on_drain(void *arg, bool is_now)
{
	(void)arg;
	child_status(self, is_now ? 200 : 100);
	if (is_now)
		child_drained(self);
}

static void
be_child(int fd)
{
	/* No policy, no relay: messages that this kind never gets. */
	static const struct child_handlers handlers = {
	    .config = on_config,
	    .listener = on_listener,
	    .drain = on_drain,
	};
	struct event_base *base = event_base_new();

	if (base == NULL || dup2(fd, PROCESS_CONTROL_FD) == -1)
		_exit(9);
	self = child_start(base, "child", &handlers, NULL);
	event_base_dispatch(base);
	_exit(8);
}

/* The parent. */

static int
on_message(void *arg, struct ipc_channel *control, struct ipc_reader *reader)
{
	struct world *world = arg;
	struct heard *heard = &world->heard[world->heard_count++];

	(void)control;
	heard->type = reader->type;
	heard->id = reader->id;
	heard->number = reader->type == PROCESS_STATUS ? ipc_get_u32(reader)
	                                               : 0;
	if (world->heard_count == world->heard_wanted)
		event_base_loopbreak(world->base);
	return ipc_end(reader);
}

static void
on_closed(void *arg, struct ipc_channel *control, const char *why)
{
	struct world *world = arg;

	(void)control;
	(void)why;
	event_base_loopbreak(world->base);
}

static const struct ipc_row rows[] = {
    {PROCESS_READY, false, "READY", on_message},
    {PROCESS_PONG, false, "PONG", on_message},
    {PROCESS_STATUS, false, "STATUS", on_message},
    {PROCESS_DRAINED, false, "DRAINED", on_message},
    {0, false, NULL, NULL},
};

static int
setup(void **state)
{
	struct world *world;
	int fds[2];

	*state = world = calloc(1, sizeof(*world));
	if (ipc_pair(fds) == -1 || (world->pid = fork()) == -1)
		return -1;
	if (world->pid == 0)
		be_child(fds[1]);
	close(fds[1]);
	world->base = event_base_new();
	world->control = ipc_channel_new(
	    world->base, fds[0], "child", rows, on_closed, world);
	return world->control == NULL ? -1 : 0;
}

static int
status(struct world *world)
{
	int result = -1;

	if (world->pid != 0 && waitpid(world->pid, &result, 0) != world->pid)
		return -1;
	world->pid = 0;
	return result;
}

static int
teardown(void **state)
{
	struct world *world = *state;

	ipc_channel_free(world->control);
	status(world);
	event_base_free(world->base);
	free(world);
	return 0;
}

static void
say(struct world *world, uint16_t type, uint32_t id)
{
	struct ipc_message message;

	ipc_compose(&message, type, id);
	if (type == PROCESS_CONFIG)
		ipc_put_u32(&message, id);
	if (type >= PROCESS_CONFIG && type <= PROCESS_RELAY)
		ipc_put_fd(&message, STDERR_FILENO);
	assert_int_equal(ipc_send(world->control, &message), 0);
}

/* Turns the loop until so many messages came in all, or the channel closed. */
static void
await(struct world *world, size_t count)
{
	struct timeval patience = {.tv_sec = PATIENCE_SECONDS};

	world->heard_wanted = count;
	event_base_loopexit(world->base, &patience);
	event_base_dispatch(world->base);
	assert_true(event_base_got_break(world->base));
	assert_int_equal(world->heard_count, count);
}

static void
expect(struct world *world, uint16_t type, uint32_t id, uint32_t number)
{
	size_t count = world->heard_count;

	await(world, count + 1);
	assert_int_equal(world->heard[count].type, type);
	assert_int_equal(world->heard[count].id, id);
	assert_int_equal(world->heard[count].number, number);
}

static void
expect_end(struct world *world, int code)
{
	int result;

	await(world, world->heard_count);
	result = status(world);
	assert_true(WIFEXITED(result));
	assert_int_equal(WEXITSTATUS(result), code);
}

static void
test_ready_ping_drain(void **state)
{
	struct world *world = *state;

	say(world, PROCESS_PING, 41);
	expect(world, PROCESS_PONG, 41, 0);
	say(world, PROCESS_CONFIG, 1);
	expect(world, PROCESS_READY, 0, 0);
	say(world, PROCESS_PING, 42);
	expect(world, PROCESS_PONG, 42, 0);
	say(world, PROCESS_DRAIN, 0);
	expect(world, PROCESS_STATUS, 0, 100);
	say(world, PROCESS_DRAIN, 0);
	expect(world, PROCESS_DRAINED, 0, 0);
	expect_end(world, 0);
}

/* Each session tells; the parent hears no more than it wants to. */
static void
test_status_is_sparse(void **state)
{
	struct world *world = *state;

	say(world, PROCESS_CONFIG, 1);
	expect(world, PROCESS_READY, 0, 0);
	say(world, PROCESS_LISTENER, 0);
	expect(world, PROCESS_STATUS, 0, 1);
	say(world, PROCESS_PING, 1);
	expect(world, PROCESS_PONG, 1, 0);
	expect(world, PROCESS_STATUS, 0, 5);
}

static void
test_parent_gone(void **state)
{
	struct world *world = *state;
	int result;

	say(world, PROCESS_CONFIG, 1);
	expect(world, PROCESS_READY, 0, 0);
	ipc_channel_free(world->control);
	world->control = NULL;
	result = status(world);
	assert_true(WIFEXITED(result));
	assert_int_equal(WEXITSTATUS(result), 1);
}

static void
test_listener_before_config(void **state)
{
	say(*state, PROCESS_LISTENER, 0);
	expect_end(*state, 1);
}

static void
test_message_of_another_kind(void **state)
{
	say(*state, PROCESS_CONFIG, 1);
	expect(*state, PROCESS_READY, 0, 0);
	say(*state, PROCESS_RELAY, 0);
	expect_end(*state, 1);
}

static void
test_unusable_config(void **state)
{
	say(*state, PROCESS_CONFIG, 0);
	expect_end(*state, 1);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_ready_ping_drain),
	    TEST(test_status_is_sparse),
	    TEST(test_parent_gone),
	    TEST(test_listener_before_config),
	    TEST(test_message_of_another_kind),
	    TEST(test_unusable_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
