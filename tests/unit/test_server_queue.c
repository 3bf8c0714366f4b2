/* SPDX-License-Identifier: ISC */
/* Which command goes when, and which one a reply is to. */

#include "proxy/session/server_queue.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
add(struct server_queue *queue, int kind, const char *line)
{
	struct server_ref ref = {.kind = kind};

	assert_int_equal(server_queue_add(queue, ref, (uint32_t)kind * 10, line,
			     strlen(line)),
	    0);
}

/* Sends all that may go; what it was. */
static const char *
send_all(struct server_queue *queue, bool pipelines)
{
	static char said[256];
	const void *line;
	size_t len, used = 0;

	while ((line = server_queue_next(queue, pipelines, &len)) != NULL) {
		memcpy(said + used, line, len);
		used += len;
		server_queue_sent(queue);
	}
	said[used] = '\0';
	return said;
}

static int
answered(struct server_queue *queue)
{
	struct server_ref ref;

	return server_queue_answered(queue, &ref) ? ref.kind : -1;
}

static void
test_pipelining(void **state)
{
	struct server_queue queue;

	(void)state;
	server_queue_init(&queue);
	assert_int_equal(answered(&queue), -1);
	add(&queue, 1, "A\r\n");
	add(&queue, 2, "BB\r\n");
	/* A reply is to what was sent, never to what was only given. */
	assert_int_equal(answered(&queue), -1);
	assert_false(server_queue_awaits(&queue));
	assert_string_equal(send_all(&queue, true), "A\r\nBB\r\n");
	assert_int_equal(server_queue_timeout(&queue), 10);
	assert_int_equal(answered(&queue), 1);
	assert_int_equal(server_queue_timeout(&queue), 20);
	assert_int_equal(answered(&queue), 2);
	assert_int_equal(answered(&queue), -1);
	server_queue_clear(&queue);
}

static void
test_one_at_a_time(void **state)
{
	struct server_queue queue;
	struct server_ref end = {.kind = 9};

	(void)state;
	server_queue_init(&queue);
	add(&queue, 1, "A\r\n");
	add(&queue, 2, "B\r\n");
	assert_string_equal(send_all(&queue, false), "A\r\n");
	assert_string_equal(send_all(&queue, false), "");
	/* The end of a message cannot come before a command held back. */
	assert_int_equal(server_queue_expect(&queue, end, 5), -1);
	assert_int_equal(errno, EPROTO);
	assert_int_equal(answered(&queue), 1);
	assert_string_equal(send_all(&queue, false), "B\r\n");
	assert_int_equal(server_queue_expect(&queue, end, 5), 0);
	assert_int_equal(answered(&queue), 2);
	assert_int_equal(server_queue_timeout(&queue), 5);
	assert_int_equal(answered(&queue), 9);
	server_queue_clear(&queue);
}

static void
test_bounds(void **state)
{
	static char line[SERVER_HELD_MAX + 1];
	struct server_queue queue;
	struct server_ref ref = {.kind = 1};
	int i, turn;

	(void)state;
	server_queue_init(&queue);
	assert_int_equal(
	    server_queue_add(&queue, ref, 1, line, sizeof(line)), -1);
	assert_int_equal(errno, ENOBUFS);
	/* Round the ring, more than once. */
	for (turn = 0; turn < 3; turn++) {
		for (i = 0; i < SERVER_PENDING_MAX; i++)
			add(&queue, i, "A\r\n");
		assert_int_equal(
		    server_queue_add(&queue, ref, 1, "A\r\n", 3), -1);
		while (server_queue_next(&queue, true, &(size_t){0}) != NULL)
			server_queue_sent(&queue);
		assert_int_equal(server_queue_expect(&queue, ref, 1), -1);
		assert_int_equal(errno, ENOBUFS);
		for (i = 0; i < SERVER_PENDING_MAX; i++)
			assert_int_equal(answered(&queue), i);
		add(&queue, 7, "B\r\n");
		assert_string_equal(send_all(&queue, false), "B\r\n");
		assert_int_equal(answered(&queue), 7);
	}
	server_queue_clear(&queue);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pipelining),
	    cmocka_unit_test(test_one_at_a_time),
	    cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests_name("server_queue", tests, NULL, NULL);
}
