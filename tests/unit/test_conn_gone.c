/* SPDX-License-Identifier: ISC */
/* A peer that goes while it is written to. */

#include "proxy/tls/conn.h"

#include "tests/unit/loop.h"

static struct event_base *base;

/* What it said last is heard, and then that it has gone: each once. */
static void
test_last_words(void **state)
{
	struct peer peer;
	const uint8_t *data;
	size_t len;
	int bulk;

	(void)state;
	for (bulk = 0; bulk < 2; bulk++) {
		peer_open(&peer, base);
		peer_send(&peer, "552 enough\r\n", 12);
		close(peer.fd);
		peer.fd = -1;
		if (bulk)
			assert_int_equal(conn_write_now(peer.conn, "x", 1), 0);
		else {
			assert_int_equal(conn_write(peer.conn, "x", 1), 0);
			(void)conn_flush(peer.conn);
		}
		assert_int_equal(peer.events[CONN_FAILED], 0);
		loop_run(base);
		data = conn_input(peer.conn, &len);
		assert_int_equal(len, 12);
		assert_memory_equal(data, "552 enough\r\n", 12);
		assert_int_equal(peer.events[CONN_INPUT], 1);
		assert_int_equal(peer.events[CONN_FAILED], 1);
		assert_int_equal(peer.events[CONN_EOF], 0);
		assert_int_equal(peer.last, CONN_FAILED);
		assert_true(conn_error(peer.conn)[0] != '\0');
		peer_close(&peer);
	}
}

/* One that said nothing, or more than there is room for, is no less gone. */
static void
test_gone(void **state)
{
	static char much[CONN_INPUT_MAX / 2];
	struct peer peer;

	(void)state;
	peer_open(&peer, base);
	close(peer.fd);
	peer.fd = -1;
	(void)conn_write(peer.conn, "x", 1);
	(void)conn_flush(peer.conn);
	(void)conn_flush(peer.conn);
	loop_run(base);
	assert_int_equal(peer.events[CONN_FAILED], 1);
	assert_int_equal(peer.events[CONN_INPUT], 0);
	peer_close(&peer);

	peer_open(&peer, base);
	peer_send(&peer, much, sizeof(much));
	loop_run(base);
	close(peer.fd);
	peer.fd = -1;
	(void)conn_write(peer.conn, "x", 1);
	(void)conn_flush(peer.conn);
	loop_run(base);
	assert_int_equal(peer.events[CONN_FAILED], 1);
	peer_close(&peer);
}

/* Ours to end: nothing but the end is told. */
static void
test_finish_after_failed_write(void **state)
{
	struct peer peer;

	(void)state;
	peer_open(&peer, base);
	peer_send(&peer, "x", 1);
	close(peer.fd);
	peer.fd = -1;
	(void)conn_write_now(peer.conn, "x", 1);
	conn_finish(peer.conn);
	loop_run(base);
	assert_int_equal(peer.events[CONN_DONE], 1);
	assert_int_equal(peer.events[CONN_INPUT], 0);
	assert_int_equal(peer.events[CONN_FAILED], 0);
	peer_close(&peer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_last_words),
	    cmocka_unit_test(test_gone),
	    cmocka_unit_test(test_finish_after_failed_write),
	};
	int failed;

	base = event_base_new();
	failed = cmocka_run_group_tests_name("conn", tests, NULL, NULL);
	event_base_free(base);
	return failed;
}
