/* SPDX-License-Identifier: ISC */
/* What of a message goes to the server, and that no more of it does. */

#include "proxy/session/stream.h"

#include "tests/unit/loop.h"

static struct event_base *base;

/* Runs text through, cut at every place, and wants result and out. */
static void
check_data(const char *text, enum stream_result result, const char *want,
    const char *rest)
{
	struct stream stream;
	struct peer client, server;
	char out[256];
	const uint8_t *left;
	size_t cut, len = strlen(text), left_len;
	enum stream_result got;

	for (cut = 0; cut <= len; cut++) {
		peer_open(&client, base);
		peer_open(&server, base);
		stream_init_data(&stream);
		if (cut > 0) {
			peer_send(&client, text, cut);
			loop_run(base);
			got = stream_run(&stream, client.conn, server.conn);
			if (got == STREAM_STARVED && cut < len) {
				peer_send(&client, text + cut, len - cut);
				loop_run(base);
				got = stream_run(
				    &stream, client.conn, server.conn);
			}
		} else {
			peer_send(&client, text, len);
			loop_run(base);
			got = stream_run(&stream, client.conn, server.conn);
		}
		assert_int_equal(got, result);
		peer_read(&server, out, sizeof(out));
		if (result == STREAM_BARE_CR || result == STREAM_BARE_LF)
			/* A prefix of what was good, never the offence. */
			assert_memory_equal(out, want, strlen(out));
		else
			assert_string_equal(out, want);
		if (rest != NULL && cut == 0) {
			left = conn_input(client.conn, &left_len);
			assert_int_equal(left_len, strlen(rest));
			assert_memory_equal(left, rest, left_len);
		}
		peer_close(&client);
		peer_close(&server);
	}
}

static void
test_data(void **state)
{
	(void)state;
	check_data("a\r\n..b\r\n.\r\nQUIT\r\n", STREAM_END, "a\r\n..b\r\n.\r\n",
	    "QUIT\r\n");
	check_data(".\r\n", STREAM_END, ".\r\n", "");
	check_data("a\r\n", STREAM_STARVED, "a\r\n", NULL);
	check_data("a\nb\r\n.\r\n", STREAM_BARE_LF, "a", NULL);
	check_data("a\r\n.\n\r\n.\r\n", STREAM_BARE_LF, "a\r\n.", NULL);
	check_data("a\rb\r\n.\r\n", STREAM_BARE_CR, "a", NULL);
}

static void
test_chunk(void **state)
{
	struct stream stream;
	struct peer client, server;
	char out[64];

	(void)state;
	peer_open(&client, base);
	peer_open(&server, base);
	stream_init_chunk(&stream, 5);
	peer_send(&client, "a\n.", 3);
	loop_run(base);
	assert_int_equal(
	    stream_run(&stream, client.conn, server.conn), STREAM_STARVED);
	peer_send(&client, "\0bNEXT", 6);
	loop_run(base);
	assert_int_equal(
	    stream_run(&stream, client.conn, server.conn), STREAM_END);
	assert_int_equal(peer_read(&server, out, sizeof(out)), 5);
	assert_memory_equal(out, "a\n.\0b", 5);
	/* An empty chunk ends where it begins. */
	stream_init_chunk(&stream, 0);
	assert_int_equal(
	    stream_run(&stream, client.conn, server.conn), STREAM_END);
	/* Nobody's chunk goes nowhere. */
	stream_init_chunk(&stream, 4);
	assert_int_equal(stream_run(&stream, client.conn, NULL), STREAM_END);
	assert_int_equal(peer_read(&server, out, sizeof(out)), 0);
	peer_close(&client);
	peer_close(&server);
}

/* A server that reads nothing stops the client: memory stays bounded. */
static void
test_back_pressure(void **state)
{
	struct stream stream;
	struct peer client, server;
	char chunk[4096], out[65536];
	size_t sent = 0, got = 0, blocked = 0, len;
	size_t total = 4194304;
	ssize_t n;
	enum stream_result result = STREAM_STARVED;

	(void)state;
	memset(chunk, 'x', sizeof(chunk));
	peer_open(&client, base);
	peer_open(&server, base);
	stream_init_chunk(&stream, total);
	while (sent < total) {
		n = write(client.fd, chunk, sizeof(chunk));
		if (n > 0)
			sent += (size_t)n;
		loop_run(base);
		result = stream_run(&stream, client.conn, server.conn);
		(void)conn_input(client.conn, &len);
		assert_true(len <= CONN_INPUT_MAX);
		blocked += result == STREAM_BLOCKED;
		if (n <= 0) {
			while ((len = peer_read(&server, out, sizeof(out))) > 0)
				got += len;
		}
	}
	while (result != STREAM_END) {
		got += peer_read(&server, out, sizeof(out));
		loop_run(base);
		result = stream_run(&stream, client.conn, server.conn);
	}
	while ((len = peer_read(&server, out, sizeof(out))) > 0)
		got += len;
	assert_int_equal(got, total);
	assert_true(blocked > 0);
	assert_true(server.events[CONN_WRITABLE] > 0);
	peer_close(&client);
	peer_close(&server);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_data),
	    cmocka_unit_test(test_chunk),
	    cmocka_unit_test(test_back_pressure),
	};
	int failed;

	base = event_base_new();
	failed = cmocka_run_group_tests_name("stream", tests, NULL, NULL);
	event_base_free(base);
	return failed;
}
