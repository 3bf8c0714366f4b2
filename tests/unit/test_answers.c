/* SPDX-License-Identifier: ISC */
/* Replies leave in the order of the commands, whoever gives them when. */

#include "proxy/session/answers.h"

#include "tests/unit/loop.h"

static struct event_base *base;

static void
test_in_order(void **state)
{
	struct answers answers;
	struct peer peer;
	char out[256];
	uint32_t a, b, c;

	(void)state;
	peer_open(&peer, base);
	answers_init(&answers);
	a = answers_owe(&answers);
	b = answers_owe(&answers);
	c = answers_owe(&answers);
	assert_int_equal(answers_owed(&answers), 3);
	assert_int_equal(answers_give(&answers, c, peer.conn, "3\r\n", 3), 0);
	assert_int_equal(answers_give(&answers, b, peer.conn, "2\r\n", 3), 0);
	conn_flush(peer.conn);
	assert_int_equal(peer_read(&peer, out, sizeof(out)), 0);
	assert_int_equal(answers_give(&answers, a, peer.conn, "1\r\n", 3), 0);
	assert_int_equal(answers_owed(&answers), 0);
	conn_flush(peer.conn);
	peer_read(&peer, out, sizeof(out));
	assert_string_equal(out, "1\r\n2\r\n3\r\n");
	answers_clear(&answers);
	peer_close(&peer);
}

/* A second answer to one command, or one to none, reaches nobody. */
static void
test_never_twice(void **state)
{
	struct answers answers;
	struct peer peer;
	char out[256];
	uint32_t a, b;

	(void)state;
	peer_open(&peer, base);
	answers_init(&answers);
	a = answers_owe(&answers);
	b = answers_owe(&answers);
	answers_give(&answers, b, peer.conn, "2\r\n", 3);
	answers_give(&answers, b, peer.conn, "x\r\n", 3);
	answers_give(&answers, a, peer.conn, "1\r\n", 3);
	answers_give(&answers, a, peer.conn, "x\r\n", 3);
	answers_give(&answers, b + 1, peer.conn, "x\r\n", 3);
	conn_flush(peer.conn);
	peer_read(&peer, out, sizeof(out));
	assert_string_equal(out, "1\r\n2\r\n");
	answers_clear(&answers);
	peer_close(&peer);
}

/* The ring's end is passed many times, the id's end once. */
static void
test_wraps(void **state)
{
	struct answers answers;
	struct peer peer;
	char out[64], want[64];
	uint32_t i, id;

	(void)state;
	peer_open(&peer, base);
	answers_init(&answers);
	answers.first = answers.next = UINT32_MAX - 100;
	for (i = 0; i < 1000; i++) {
		id = answers_owe(&answers);
		snprintf(want, sizeof(want), "%u\r\n", i);
		assert_int_equal(
		    answers_give(&answers, id, peer.conn, want, strlen(want)),
		    0);
		conn_flush(peer.conn);
		peer_read(&peer, out, sizeof(out));
		assert_string_equal(out, want);
	}
	while (answers_room(&answers) > 0)
		answers_owe(&answers);
	assert_int_equal(answers_owed(&answers), ANSWERS_MAX);
	answers_clear(&answers);
	peer_close(&peer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_in_order),
	    cmocka_unit_test(test_never_twice),
	    cmocka_unit_test(test_wraps),
	};
	int failed;

	base = event_base_new();
	failed = cmocka_run_group_tests_name("answers", tests, NULL, NULL);
	event_base_free(base);
	return failed;
}
