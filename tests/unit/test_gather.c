/* SPDX-License-Identifier: ISC */
/* Reading in large pieces, over a TCP connection of its own. */

#include "proxy/tls/gather.h"

#include <sys/socket.h>

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct reader {
	struct event_base *base;
	struct event *readable;
	struct gather gather;
	int fd, far;
	size_t bytes;
	unsigned int reads;
	bool is_eof;
};

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	static char waste[1 << 20];
	struct reader *reader = arg;
	ssize_t n;

	(void)what;
	if ((n = recv((int)fd, waste, sizeof(waste), 0)) <= 0) {
		reader->is_eof = n == 0;
		n = 0;
	}
	reader->reads++;
	reader->bytes += (size_t)n;
	gather_took(&reader->gather, (size_t)n);
}

static void
connect_pair(int *near, int *far)
{
	struct sockaddr_in name = {
	    .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(name);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(
	    bind(listener, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(
	    getsockname(listener, (struct sockaddr *)&name, &len), 0);
	*far = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(*far, (struct sockaddr *)&name, len), 0);
	*near = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	assert_true(*near != -1);
	close(listener);
}

static int
setup(void **state)
{
	struct reader *reader = calloc(1, sizeof(*reader));

	connect_pair(&reader->fd, &reader->far);
	reader->base = event_base_new();
	reader->readable = event_new(reader->base, reader->fd,
	    EV_READ | EV_PERSIST, on_readable, reader);
	gather_init(
	    &reader->gather, reader->base, reader->fd, reader->readable);
	event_add(reader->readable, NULL);
	*state = reader;
	return 0;
}

static int
teardown(void **state)
{
	struct reader *reader = *state;

	gather_stop(&reader->gather);
	event_free(reader->readable);
	event_base_free(reader->base);
	close(reader->fd);
	if (reader->far != -1)
		close(reader->far);
	free(reader);
	return 0;
}

static int
low_water(const struct reader *reader)
{
	int bytes = 0;
	socklen_t len = sizeof(bytes);

	assert_int_equal(
	    getsockopt(reader->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, &len), 0);
	return bytes;
}

static void
put(const struct reader *reader, size_t n)
{
	static const char data[1 << 16];

	assert_true(n <= sizeof(data));
	assert_int_equal(send(reader->far, data, n, 0), (ssize_t)n);
}

/* Runs the loop until so many bytes have been read in all. */
static void
await_bytes(struct reader *reader, size_t n)
{
	while (reader->bytes < n)
		assert_int_equal(event_base_loop(reader->base, EVLOOP_ONCE), 0);
	assert_int_equal(reader->bytes, n);
}

static void
begin(struct reader *reader)
{
	gather_took(&reader->gather, GATHER_AFTER);
	assert_true(gather_is_on(&reader->gather));
	assert_int_equal(low_water(reader), GATHER_PIECE);
}

static void
test_dialogue_is_not_gathered(void **state)
{
	struct reader *reader = *state;
	int i;

	for (i = 0; i < 100; i++)
		gather_took(&reader->gather, 100);
	assert_false(gather_is_on(&reader->gather));
	gather_took(&reader->gather, GATHER_AFTER - 100 * 100 - 1);
	assert_false(gather_is_on(&reader->gather));
	assert_int_equal(low_water(reader), 1);
}

/* What came long ago does not count. */
static void
test_slow_bulk_is_not_gathered(void **state)
{
	struct reader *reader = *state;

	gather_took(&reader->gather, GATHER_AFTER - 1);
	reader->gather.span_start -= GATHER_SPAN_MS + 1;
	gather_took(&reader->gather, GATHER_AFTER - 1);
	assert_false(gather_is_on(&reader->gather));
	gather_took(&reader->gather, 1);
	assert_true(gather_is_on(&reader->gather));
}

/* The end of a message comes without anything behind it. */
static void
test_the_rest_is_read_in_time(void **state)
{
	struct reader *reader = *state;

	begin(reader);
	put(reader, 10);
	await_bytes(reader, 10);
	assert_int_equal(reader->reads, 1);
	assert_false(gather_is_on(&reader->gather));
	assert_int_equal(low_water(reader), 1);
	put(reader, 1);
	await_bytes(reader, 11);
}

/* Enough for a wait, though less than a piece: it goes on. */
static void
test_goes_on_while_much_comes(void **state)
{
	struct reader *reader = *state;

	begin(reader);
	put(reader, GATHER_LEAST);
	await_bytes(reader, GATHER_LEAST);
	assert_true(gather_is_on(&reader->gather));
	assert_int_equal(low_water(reader), GATHER_PIECE);
}

/* A pause longer than the wait, and less than a piece behind it. */
static void
test_a_pause_loses_nothing(void **state)
{
	const struct timeval pause = {.tv_usec = GATHER_WAIT_MS * 4000L};
	struct reader *reader = *state;

	begin(reader);
	event_del(reader->readable);
	put(reader, 10);
	event_base_loopexit(reader->base, &pause);
	event_base_dispatch(reader->base);
	assert_int_equal(reader->reads, 0);
	event_add(reader->readable, NULL);
	gather_resume(&reader->gather);
	await_bytes(reader, 10);
}

static void
test_the_end_is_seen(void **state)
{
	struct reader *reader = *state;

	begin(reader);
	close(reader->far);
	reader->far = -1;
	while (!reader->is_eof)
		assert_int_equal(event_base_loop(reader->base, EVLOOP_ONCE), 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
	    TEST(test_dialogue_is_not_gathered),
	    TEST(test_slow_bulk_is_not_gathered),
	    TEST(test_the_rest_is_read_in_time),
	    TEST(test_goes_on_while_much_comes),
	    TEST(test_a_pause_loses_nothing),
	    TEST(test_the_end_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
