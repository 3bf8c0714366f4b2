/* SPDX-License-Identifier: ISC */
/*
 * One connection over a pair of sockets: where clear text ends and TLS
 * begins, and that no byte of the one is ever taken for the other.
 */

#include "proxy/tls/conn.h"

#include <errno.h>

#include "proxy/base/address.h"
#include "proxy/tls/client.h"
#include "tests/unit/loop.h"
#include "tests/unit/tls_server.h"

static struct event_base *base;
static struct tls_client *tls;
static SSL_CTX *server_ctx;
static struct address somewhere;
static struct peer peer;
static SSL *far;

static int
setup(void **state)
{
	(void)state;
	assert_int_equal(address_from_text(&somewhere, "192.0.2.1"), 0);
	somewhere.port = 25;
	peer_open(&peer, base);
	far = NULL;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	SSL_free(far);
	peer_close(&peer);
	return 0;
}

static int
start_tls(void)
{
	const struct tls_target target = {
	    .address = somewhere, .sni = "mx.example"};

	return conn_start_tls(peer.conn, tls, &target);
}

/* Refused, with nothing said to the server and nothing lost of it. */
static void
assert_no_tls(const char *unread)
{
	const uint8_t *data;
	char out[64];
	size_t len;

	errno = 0;
	assert_int_equal(start_tls(), -1);
	assert_int_equal(errno, EPROTO);
	loop_run(base);
	assert_int_equal(peer.events[CONN_FAILED], 0);
	assert_int_equal(peer_read(&peer, out, sizeof(out)), 0);
	assert_null(conn_tls(peer.conn));
	data = conn_input(peer.conn, &len);
	assert_int_equal(len, strlen(unread));
	assert_memory_equal(data, unread, len);
}

/* The server's half of the handshake, until both sides have done theirs. */
static void
handshake(void)
{
	int i, done = 0;

	far = SSL_new(server_ctx);
	assert_non_null(far);
	assert_int_equal(SSL_set_fd(far, peer.fd), 1);
	SSL_set_accept_state(far);
	for (i = 0; i < 20 && (done != 1 || peer.events[CONN_TLS_UP] == 0);
	     i++) {
		loop_run(base);
		done = SSL_do_handshake(far);
		ERR_clear_error();
	}
	loop_run(base);
}

static void
come_up(void)
{
	assert_int_equal(start_tls(), 0);
	handshake();
	assert_int_equal(peer.events[CONN_TLS_UP], 1);
}

/* CVE-2011-0411, CVE-2021-38371: what stands behind the 220 in the buffer. */
static void
test_buffered_input_is_no_tls(void **state)
{
	static const char text[] = "250-mx\r\n250 AUTH PLAIN\r\n";
	size_t left;

	(void)state;
	peer_send(&peer, text, strlen(text));
	loop_run(base);
	assert_int_equal(peer.events[CONN_INPUT], 1);
	for (left = strlen(text); left > 0; left--) {
		assert_no_tls(text + strlen(text) - left);
		conn_consume(peer.conn, 1);
	}
	come_up();
}

/* What we have yet to say in clear would be said after it. */
static void
test_queued_output_is_no_tls(void **state)
{
	char out[16];

	(void)state;
	assert_int_equal(conn_write(peer.conn, "STARTTLS\r\n", 10), 0);
	assert_int_equal(start_tls(), -1);
	assert_int_equal(errno, EPROTO);
	assert_int_equal(conn_flush(peer.conn), 0);
	assert_int_equal(peer_read(&peer, out, sizeof(out)), 10);
	assert_string_equal(out, "STARTTLS\r\n");
	come_up();
}

/* What the kernel holds at that moment is read as TLS, and is none. */
static void
test_unread_input_is_no_handshake(void **state)
{
	char out[4096];

	(void)state;
	peer_send(&peer, "250 go on\r\n", 11);
	assert_int_equal(start_tls(), 0);
	loop_run(base);
	assert_int_equal(peer.events[CONN_FAILED], 1);
	assert_int_equal(peer.events[CONN_TLS_UP], 0);
	assert_int_equal(peer.events[CONN_INPUT], 0);
	assert_string_equal(
	    conn_error(peer.conn), "the server's answer is not TLS");
	assert_null(conn_tls(peer.conn));
	/* A ClientHello and an alert, and no clear text. */
	assert_true(peer_read(&peer, out, sizeof(out)) > 5);
	assert_int_equal(out[0], SSL3_RT_HANDSHAKE);
}

static void
test_tls_comes_up_once(void **state)
{
	const struct conn_tls *facts;

	(void)state;
	come_up();
	facts = conn_tls(peer.conn);
	assert_non_null(facts);
	assert_string_equal(facts->version, "TLSv1.3");
	assert_string_equal(facts->sni, "mx.example");
	assert_non_null(facts->chain);
	assert_int_equal(start_tls(), -1);
	assert_int_equal(errno, EPROTO);
	assert_int_equal(peer.events[CONN_FAILED], 0);
}

/* Until it is up, nothing can be said, and so nothing in clear. */
static void
test_no_words_during_the_handshake(void **state)
{
	char out[4096];
	size_t len, i;

	(void)state;
	assert_int_equal(start_tls(), 0);
	assert_int_equal(conn_write(peer.conn, "EHLO x\r\n", 8), -1);
	assert_int_equal(conn_write_now(peer.conn, "EHLO x\r\n", 8), 0);
	loop_run(base);
	assert_int_equal(conn_write(peer.conn, "EHLO x\r\n", 8), -1);
	assert_int_equal(conn_write_now(peer.conn, "EHLO x\r\n", 8), 0);
	conn_flush(peer.conn);
	len = peer_read(&peer, out, sizeof(out));
	assert_true(len > 4);
	for (i = 0; i + 4 <= len; i++)
		assert_memory_not_equal(out + i, "EHLO", 4);
}

static void
test_bytes_inside_tls(void **state)
{
	const uint8_t *data;
	char out[64];
	size_t len;

	(void)state;
	come_up();
	assert_int_equal(SSL_write(far, "250 mx\r\n", 8), 8);
	loop_run(base);
	data = conn_input(peer.conn, &len);
	assert_int_equal(len, 8);
	assert_memory_equal(data, "250 mx\r\n", 8);
	conn_consume(peer.conn, len);
	assert_int_equal(conn_write(peer.conn, "MAIL", 4), 0);
	assert_int_equal(conn_write_now(peer.conn, " FROM", 5), 5);
	assert_int_equal(conn_flush(peer.conn), 0);
	assert_int_equal(SSL_read(far, out, 4), 4);
	assert_int_equal(SSL_read(far, out + 4, 5), 5);
	assert_memory_equal(out, "MAIL FROM", 9);
}

/* Reads a whole reply of so many bytes from the connection. */
static void
assert_input(const char *expected)
{
	const uint8_t *data;
	size_t len;

	data = conn_input(peer.conn, &len);
	assert_int_equal(len, strlen(expected));
	assert_memory_equal(data, expected, len);
	conn_consume(peer.conn, len);
}

/* Ten records, their bytes in out; how many. */
static size_t
seal_ten(int fd, char *out, size_t size)
{
	ssize_t n;
	int i;

	for (i = 0; i < 10; i++)
		assert_int_equal(SSL_write(far, "250-mx\r\n", 8), 8);
	n = read(fd, out, size);
	assert_true(n > 0);
	return (size_t)n;
}

/* Records that come at once, and one that comes in two: all are read. */
static void
test_records_and_reads_do_not_agree(void **state)
{
	char records[4096], expected[81] = "";
	size_t len, cut;
	int fds[2], i;

	(void)state;
	come_up();
	for (i = 0; i < 10; i++)
		strlcat(expected, "250-mx\r\n", sizeof(expected));
	/* The server writes to a socket of its own: its bytes are handed on. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(SSL_set_wfd(far, fds[1]), 1);
	for (cut = 1; cut < 300; cut++) {
		len = seal_ten(fds[0], records, sizeof(records));
		assert_true(len > cut);
		peer_send(&peer, records, cut);
		loop_run(base);
		peer_send(&peer, records + cut, len - cut);
		loop_run(base);
		assert_input(expected);
	}
	close(fds[0]);
	close(fds[1]);
}

/* What was taken from the socket in one call is not forgotten for a pause. */
static void
test_input_past_its_maximum_waits(void **state)
{
	static char record[4096];
	const uint8_t *data;
	size_t len, sent = 0, got = 0;

	(void)state;
	come_up();
	memset(record, 'x', sizeof(record));
	while (SSL_write(far, record, sizeof(record)) == sizeof(record)) {
		sent += sizeof(record);
		loop_run(base);
	}
	ERR_clear_error();
	assert_true(sent > CONN_INPUT_MAX / 2);
	do {
		loop_run(base);
		data = conn_input(peer.conn, &len);
		assert_true(len <= CONN_INPUT_MAX);
		assert_int_equal(data[0], len > 0 ? 'x' : data[0]);
		got += len;
		conn_consume(peer.conn, len);
	} while (len > 0);
	assert_true(got >= sent);
}

/* CVE-2026-45185: TLS that has ended is an end, and no way back. */
static void
leave_tls(bool says_so)
{
	size_t len;

	come_up();
	if (says_so)
		assert_int_equal(SSL_shutdown(far), 0);
	peer_send(&peer, "250 in clear\r\n", 14);
	loop_run(base);
	(void)conn_input(peer.conn, &len);
	assert_int_equal(len, 0);
	assert_int_equal(peer.events[CONN_INPUT], 0);
	if (says_so)
		assert_int_equal(peer.events[CONN_EOF], 1);
	else {
		assert_int_equal(peer.events[CONN_FAILED], 1);
		assert_int_equal(conn_write(peer.conn, "MAIL", 4), -1);
	}
	assert_int_equal(start_tls(), -1);
}

static void
test_clear_bytes_behind_close_notify(void **state)
{
	(void)state;
	leave_tls(true);
}

static void
test_clear_bytes_between_records(void **state)
{
	(void)state;
	leave_tls(false);
}

/* The end of the stream is none of the handshake's good ends. */
static void
test_end_inside_the_handshake(void **state)
{
	(void)state;
	assert_int_equal(start_tls(), 0);
	loop_run(base);
	shutdown(peer.fd, SHUT_WR);
	loop_run(base);
	assert_int_equal(peer.events[CONN_FAILED], 1);
	assert_int_equal(peer.events[CONN_TLS_UP], 0);
	assert_int_equal(conn_write(peer.conn, "EHLO", 4), -1);
}

/* A deadline that moved on does not fire at its old time, nor twice. */
static void
test_deadline(void **state)
{
	(void)state;
	conn_set_deadline(peer.conn, 20);
	conn_set_deadline(peer.conn, 60000);
	conn_set_deadline(peer.conn, 30);
	while (peer.events[CONN_TIMEOUT] == 0)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(peer.last, CONN_TIMEOUT);
	loop_run(base);
	assert_int_equal(peer.events[CONN_TIMEOUT], 1);
	conn_set_deadline(peer.conn, 10);
	conn_set_deadline(peer.conn, -1);
	usleep(20000);
	loop_run(base);
	assert_int_equal(peer.events[CONN_TIMEOUT], 1);
}

/* Our last words are out before the connection is gone. */
static void
test_finish(void **state)
{
	char out[64];

	(void)state;
	assert_int_equal(conn_write(peer.conn, "421 bye\r\n", 9), 0);
	peer_send(&peer, "DATA\r\n", 6);
	conn_finish(peer.conn);
	loop_run(base);
	assert_int_equal(peer_read(&peer, out, sizeof(out)), 9);
	assert_int_equal(read(peer.fd, out, sizeof(out)), 0);
	assert_int_equal(peer.events[CONN_INPUT], 0);
	assert_int_equal(peer.events[CONN_DONE], 0);
	shutdown(peer.fd, SHUT_WR);
	loop_run(base);
	assert_int_equal(peer.events[CONN_DONE], 1);
	assert_int_equal(peer.events[CONN_FAILED], 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_buffered_input_is_no_tls),
	    TEST(test_queued_output_is_no_tls),
	    TEST(test_unread_input_is_no_handshake),
	    TEST(test_tls_comes_up_once),
	    TEST(test_no_words_during_the_handshake),
	    TEST(test_bytes_inside_tls),
	    TEST(test_records_and_reads_do_not_agree),
	    TEST(test_input_past_its_maximum_waits),
	    TEST(test_clear_bytes_behind_close_notify),
	    TEST(test_clear_bytes_between_records),
	    TEST(test_end_inside_the_handshake),
	    TEST(test_deadline),
	    TEST(test_finish),
	};
	int failed;

	base = event_base_new();
	tls = tls_client_new();
	server_ctx = tls_server_new(false);
	failed = cmocka_run_group_tests_name("conn", tests, NULL, NULL);
	SSL_CTX_free(server_ctx);
	tls_client_free(tls);
	event_base_free(base);
	return failed;
}
