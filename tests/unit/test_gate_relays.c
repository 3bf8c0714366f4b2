/* SPDX-License-Identifier: ISC */
/*
 * postern-gate's side of its channels, with this test as the relays.  One that
 * sends nonsense loses its own channel, and its counts with it.
 */

#include "netfilter/gate_relays.h"

#include <errno.h>
#include <fcntl.h>

#include "mutate.h"
#include "netfilter/gate_message.h"
#include "proxy/base/ipc.h"
#include "proxy/base/ipc_address.h"
#include "tests/unit/loop.h"

static struct event_base *base;
static struct sources *sources;
static struct gate_relays *relays;
static int told;

/* A relay's end. */
struct fake {
	struct ipc_channel *channel;
	int hints;
	char name[256];
	struct address address;
	uint32_t seconds;
};
static struct fake a, b;

static void
on_told(void *arg)
{
	assert_ptr_equal(arg, &told);
	told++;
}

static int
setup(void **state)
{
	(void)state;
	told = 0;
	if ((base = event_base_new()) == NULL ||
	    (sources = sources_new()) == NULL)
		return -1;
	relays = gate_relays_new(base, sources, on_told, &told);
	return relays == NULL;
}

static int
on_hint(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	struct fake *fake = arg;

	(void)channel;
	assert_int_equal(ipc_get_address(reader, &fake->address), 0);
	ipc_get_str(reader, fake->name, sizeof(fake->name));
	fake->seconds = ipc_get_u32(reader);
	fake->hints++;
	return ipc_end(reader);
}

static const struct ipc_row rows[] = {
    {GATE_HINT, false, "HINT", on_hint},
    {0, false, NULL, NULL},
};

static void
on_closed(void *arg, struct ipc_channel *channel, const char *why)
{
	struct fake *fake = arg;

	(void)why;
	ipc_channel_free(channel);
	fake->channel = NULL;
}

static void
attach(struct fake *fake)
{
	int fds[2];

	memset(fake, 0, sizeof(*fake));
	assert_int_equal(ipc_pair(fds), 0);
	fake->channel = ipc_channel_new(
	    base, fds[1], "gate", rows, on_closed, fake);
	assert_non_null(fake->channel);
	assert_int_equal(gate_relays_attach(relays, fds[0]), 0);
}

static void
detach(struct fake *fake)
{
	ipc_channel_free(fake->channel);
	fake->channel = NULL;
	loop_run(base);
}

/* Without its channels it is one piece of memory, for a process's whole life.
 */
static int
teardown(void **state)
{
	(void)state;
	detach(&a);
	detach(&b);
	assert_int_equal(gate_relays_count(relays), 0);
	free(relays);
	sources_free(sources);
	event_base_free(base);
	return 0;
}

static void
send_to_gate(struct fake *fake, const struct ipc_message *message)
{
	assert_int_equal(ipc_send(fake->channel, message), 0);
	loop_run(base);
}

static void
say_full(struct fake *fake, uint8_t is_full)
{
	static struct ipc_message message;

	ipc_compose(&message, GATE_FULL, 0);
	ipc_put_u8(&message, is_full);
	send_to_gate(fake, &message);
}

static struct address
address_of(const char *text)
{
	struct address address;

	assert_int_equal(address_from_text(&address, text), 0);
	return address;
}

static void
say_sessions(struct fake *fake, const char *client, uint32_t sessions)
{
	static struct ipc_message message;
	struct address address = address_of(client);

	ipc_compose(&message, GATE_CLIENT, 0);
	ipc_put_address(&message, &address);
	ipc_put_u32(&message, sessions);
	send_to_gate(fake, &message);
}

static void
assert_sessions(const char *client, uint32_t sessions)
{
	struct address address = address_of(client);

	assert_int_equal(sources_sessions(sources, &address), sessions);
}

/* Nobody is taken to have room before he says so, nor when he is gone. */
static void
test_room(void **state)
{
	(void)state;
	assert_int_equal(gate_relays_count(relays), 0);
	assert_false(gate_relays_have_room(relays));
	attach(&a);
	attach(&b);
	loop_run(base);
	assert_int_equal(gate_relays_count(relays), 2);
	assert_false(gate_relays_have_room(relays));
	say_full(&a, true);
	assert_false(gate_relays_have_room(relays));
	say_full(&b, false);
	say_full(&b, false);
	say_full(&a, false);
	assert_int_equal(told, 4);
	assert_true(gate_relays_have_room(relays));
	say_full(&b, true);
	assert_true(gate_relays_have_room(relays));
	detach(&a);
	assert_int_equal(gate_relays_count(relays), 1);
	assert_false(gate_relays_have_room(relays));
	say_full(&b, false);
	assert_true(gate_relays_have_room(relays));
	detach(&b);
	assert_int_equal(gate_relays_count(relays), 0);
	assert_false(gate_relays_have_room(relays));
}

static void
test_sessions(void **state)
{
	(void)state;
	attach(&a);
	attach(&b);
	say_sessions(&a, "192.0.2.1", 3);
	say_sessions(&b, "192.0.2.1", 4);
	say_sessions(&b, "2001:db8::", 5);
	assert_sessions("192.0.2.1", 7);
	assert_sessions("2001:db8::1", 5);
	say_sessions(&a, "192.0.2.1", 0);
	assert_sessions("192.0.2.1", 4);
	say_sessions(&a, "192.0.2.1", 1);
	detach(&b);
	assert_sessions("192.0.2.1", 1);
	assert_sessions("2001:db8::1", 0);
	/* Its place is the next one's, who has none of its counts. */
	attach(&b);
	say_sessions(&b, "192.0.2.1", 2);
	assert_sessions("192.0.2.1", 3);
	detach(&a);
	assert_sessions("192.0.2.1", 2);
}

/* Bytes that no relay sends, as type and body. */
static const struct {
	uint16_t type;
	const char *body;
	size_t len;
} nonsense[] = {
    {0, "", 0},
    {GATE_HINT, "", 0},
    {99, "\1", 1},
    {UINT16_MAX, "", 0},
    {GATE_FULL, "", 0},
    {GATE_FULL, "\2", 1},
    {GATE_FULL, "\0\0", 2},
    {GATE_CLIENT, "", 0},
    {GATE_CLIENT, "\4", 1},
    {GATE_CLIENT, "\5\0\0\0\4\1\2\3\4\0\0\0\0\0\0\0\0\0\1", 19},
};

static void
send_nonsense(struct fake *fake, size_t i)
{
	static struct ipc_message message;
	size_t j;

	ipc_compose(&message, nonsense[i].type, 0);
	for (j = 0; j < nonsense[i].len; j++)
		ipc_put_u8(&message, (uint8_t)nonsense[i].body[j]);
	send_to_gate(fake, &message);
}

static void
test_nonsense(void **state)
{
	static struct ipc_message message;
	static const struct address none;
	size_t i;

	(void)state;
	attach(&a);
	say_full(&a, false);
	say_sessions(&a, "192.0.2.1", 1);
	for (i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		attach(&b);
		say_sessions(&b, "192.0.2.1", 5);
		assert_sessions("192.0.2.1", 6);
		assert_int_equal(gate_relays_count(relays), 2);
		send_nonsense(&b, i);
		if (gate_relays_count(relays) != 1)
			fail_msg("row %zu passed", i);
		assert_null(b.channel);
		assert_sessions("192.0.2.1", 1);
		assert_true(gate_relays_have_room(relays));
	}
	/* A client that is nobody, well written. */
	attach(&b);
	ipc_compose(&message, GATE_CLIENT, 0);
	ipc_put_address(&message, &none);
	ipc_put_u32(&message, 1);
	send_to_gate(&b, &message);
	assert_null(b.channel);
	assert_non_null(a.channel);
	say_sessions(&a, "192.0.2.1", 2);
	assert_sessions("192.0.2.1", 2);
}

/* A packet as it is, header and all, from a relay of its own. */
static void
try_packet(const uint8_t *data, size_t len)
{
	int fds[2];

	assert_int_equal(ipc_pair(fds), 0);
	assert_int_equal(gate_relays_attach(relays, fds[0]), 0);
	(void)send(fds[1], data, len, MSG_NOSIGNAL);
	event_base_loop(base, EVLOOP_NONBLOCK);
	close(fds[1]);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(gate_relays_count(relays), 1);
	assert_true(gate_relays_have_room(relays));
}

static void
test_spoilt(void **state)
{
	static struct ipc_message message;
	struct address address = address_of("192.0.2.1");
	struct ipc_channel *channel;
	uint8_t packet[256];
	ssize_t len;
	int fds[2];

	(void)state;
	attach(&a);
	say_full(&a, false);
	assert_int_equal(ipc_pair(fds), 0);
	channel = ipc_channel_new(base, fds[0], "me", rows, on_closed, &b);
	ipc_compose(&message, GATE_CLIENT, 0);
	ipc_put_address(&message, &address);
	ipc_put_u32(&message, 1);
	assert_int_equal(ipc_send(channel, &message), 0);
	len = read(fds[1], packet, sizeof(packet));
	assert_true(len > 0);
	ipc_channel_free(channel);
	close(fds[1]);
	mutate(packet, (size_t)len, try_packet);
	assert_sessions("192.0.2.1", 0);
}

static void
test_hints(void **state)
{
	struct dns_hint hint = {.address = address_of("2001:db8::25"),
	    .name = "mx.example.org",
	    .seconds = 300};

	(void)state;
	gate_relays_hint(relays, &hint); /* nobody is there */
	attach(&a);
	attach(&b);
	gate_relays_hint(relays, &hint);
	loop_run(base);
	assert_int_equal(a.hints + b.hints, 2);
	assert_string_equal(b.name, "mx.example.org");
	assert_true(address_equal(&b.address, &hint.address));
	assert_int_equal(b.seconds, 300);
	detach(&a);
	gate_relays_hint(relays, &hint);
	loop_run(base);
	assert_int_equal(b.hints, 2);
}

/* One that does not read costs nobody else anything, and no endless memory. */
static void
test_slow_relay(void **state)
{
	struct dns_hint hint = {.address = address_of("192.0.2.25"),
	    .name = "mx.example.org",
	    .seconds = 300};
	int fds[2], i;

	(void)state;
	assert_int_equal(ipc_pair(fds), 0);
	assert_int_equal(gate_relays_attach(relays, fds[0]), 0);
	attach(&b);
	for (i = 0; i < 3 * IPC_QUEUE_MAX; i++) {
		gate_relays_hint(relays, &hint);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	loop_run(base);
	assert_int_equal(b.hints, 3 * IPC_QUEUE_MAX);
	assert_int_equal(gate_relays_count(relays), 2);
	close(fds[1]);
	loop_run(base);
	assert_int_equal(gate_relays_count(relays), 1);
}

static void
test_too_many(void **state)
{
	int fds[SOURCES_RELAYS_MAX][2], one[2];
	size_t i;

	(void)state;
	for (i = 0; i < SOURCES_RELAYS_MAX; i++) {
		assert_int_equal(ipc_pair(fds[i]), 0);
		assert_int_equal(gate_relays_attach(relays, fds[i][0]), 0);
	}
	assert_int_equal(ipc_pair(one), 0);
	assert_int_equal(gate_relays_attach(relays, one[0]), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(fcntl(one[0], F_GETFD), -1); /* closed */
	assert_int_equal(gate_relays_count(relays), SOURCES_RELAYS_MAX);
	close(fds[7][1]);
	loop_run(base);
	attach(&a);
	assert_int_equal(gate_relays_count(relays), SOURCES_RELAYS_MAX);
	for (i = 0; i < SOURCES_RELAYS_MAX; i++)
		if (i != 7)
			close(fds[i][1]);
	close(one[1]);
	loop_run(base);
	assert_int_equal(gate_relays_count(relays), 1);
	assert_int_equal(gate_relays_attach(relays, -1), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(gate_relays_count(relays), 1);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_room),
	    TEST(test_sessions),
	    TEST(test_nonsense),
	    TEST(test_spoilt),
	    TEST(test_hints),
	    TEST(test_slow_relay),
	    TEST(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
