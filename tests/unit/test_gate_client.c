/* SPDX-License-Identifier: ISC */
/*
 * A relay's side of its channel to postern-gate, with this test as the gate:
 * there, away, back again, and hostile.
 */

#include "proxy/session/gate_client.h"

#include <errno.h>
#include <fcntl.h>

#include "netfilter/gate_message.h"
#include "proxy/base/address.h"
#include "proxy/base/ipc.h"
#include "proxy/base/ipc_address.h"
#include "tests/unit/loop.h"

static struct event_base *base;
static struct gate_client *client;

static struct {
	int count;
	struct address address;
	char name[256];
	uint32_t seconds;
} hint;

static int lost;

/* The gate's end. */
struct fake {
	struct ipc_channel *channel;
	char heard[512]; /* "full 1;192.0.2.1 3;" */
};
static struct fake gate;

static void
on_hinted(void *arg, const struct address *address, const char *name,
    uint32_t seconds)
{
	assert_ptr_equal(arg, &hint);
	hint.count++;
	hint.address = *address;
	strlcpy(hint.name, name, sizeof(hint.name));
	hint.seconds = seconds;
}

static void
on_lost(void *arg)
{
	assert_ptr_equal(arg, &hint);
	lost++;
}

static const struct gate_client_handlers gate_handlers = {
    .hinted = on_hinted,
    .lost = on_lost,
};

static int
on_full(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	struct fake *fake = arg;

	(void)channel;
	strlcat(fake->heard, ipc_get_bool(reader) ? "full;" : "room;",
	    sizeof(fake->heard));
	return ipc_end(reader);
}

static int
on_client(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	struct fake *fake = arg;
	struct address address;
	char text[ADDRESS_TEXT_MAX], line[128];

	(void)channel;
	assert_int_equal(ipc_get_address(reader, &address), 0);
	snprintf(line, sizeof(line), "%s %u;", address_ip_text(&address, text),
	    ipc_get_u32(reader));
	strlcat(fake->heard, line, sizeof(fake->heard));
	return ipc_end(reader);
}

static const struct ipc_row rows[] = {
    {GATE_FULL, false, "FULL", on_full},
    {GATE_CLIENT, false, "CLIENT", on_client},
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
	    base, fds[1], "relay", rows, on_closed, fake);
	assert_non_null(fake->channel);
	assert_int_equal(gate_client_attach(client, fds[0]), 0);
}

static int
setup(void **state)
{
	(void)state;
	memset(&hint, 0, sizeof(hint));
	memset(&gate, 0, sizeof(gate));
	if ((base = event_base_new()) == NULL)
		return -1;
	client = gate_client_new(base, &gate_handlers, &hint);
	return client == NULL;
}

/* Without its channel it is one piece of memory, for a process's whole life. */
static int
teardown(void **state)
{
	(void)state;
	ipc_channel_free(gate.channel);
	loop_run(base);
	free(client);
	event_base_free(base);
	return 0;
}

static void
assert_heard(struct fake *fake, const char *heard)
{
	loop_run(base);
	assert_string_equal(fake->heard, heard);
	fake->heard[0] = '\0';
}

static struct address
address_of(const char *text)
{
	struct address address;

	assert_int_equal(address_from_text(&address, text), 0);
	return address;
}

static void
test_without_a_gate(void **state)
{
	struct address a = address_of("192.0.2.1");

	(void)state;
	gate_client_sessions(client, &a, 1);
	gate_client_full(client, false);
	loop_run(base);
	attach(&gate);
	assert_heard(&gate, "room;"); /* what holds now */
}

static void
test_tells(void **state)
{
	struct address a = address_of("192.0.2.1");
	struct address b = address_of("2001:db8::");

	(void)state;
	attach(&gate);
	assert_heard(&gate, "full;"); /* until it says otherwise */
	gate_client_full(client, true);
	assert_heard(&gate, "");
	gate_client_full(client, false);
	gate_client_full(client, false);
	gate_client_sessions(client, &a, 3);
	gate_client_sessions(client, &b, 0);
	gate_client_full(client, true);
	assert_heard(&gate, "room;192.0.2.1 3;2001:db8:: 0;full;");
}

static void
test_gate_comes_back(void **state)
{
	struct address a = address_of("192.0.2.1");
	static struct fake other;

	(void)state;
	attach(&gate);
	gate_client_full(client, false);
	assert_heard(&gate, "full;room;");
	ipc_channel_free(gate.channel);
	gate.channel = NULL;
	lost = 0;
	assert_true(gate_client_is_attached(client));
	loop_run(base);
	assert_int_equal(lost, 1);
	assert_false(gate_client_is_attached(client));
	gate_client_sessions(client, &a, 1);
	gate_client_full(client, true);
	attach(&gate);
	assert_heard(&gate, "full;");
	/* In place of one that is still there. */
	attach(&other);
	gate_client_sessions(client, &a, 2);
	assert_heard(&other, "full;192.0.2.1 2;");
	assert_heard(&gate, "");
	assert_null(gate.channel);
	assert_int_equal(lost, 1);
	ipc_channel_free(other.channel);
}

static void
test_bad_descriptor(void **state)
{
	int fd = dup(0);

	(void)state;
	attach(&gate);
	assert_heard(&gate, "full;");
	close(fd);
	assert_int_equal(gate_client_attach(client, fd), -1);
	assert_int_equal(errno, EBADF);
	gate_client_full(client, false); /* the old one is in place */
	assert_heard(&gate, "room;");
}

static void
send_hint(const struct address *address, const char *name, uint32_t seconds)
{
	static struct ipc_message message;

	ipc_compose(&message, GATE_HINT, 0);
	ipc_put_address(&message, address);
	ipc_put_str(&message, name);
	ipc_put_u32(&message, seconds);
	assert_int_equal(ipc_send(gate.channel, &message), 0);
	loop_run(base);
}

static void
test_hints(void **state)
{
	struct address a = address_of("192.0.2.25");
	char longest[254];
	size_t i;

	(void)state;
	attach(&gate);
	send_hint(&a, "mx.example.org", UINT32_MAX);
	assert_int_equal(hint.count, 1);
	assert_true(address_equal(&hint.address, &a));
	assert_string_equal(hint.name, "mx.example.org");
	assert_int_equal(hint.seconds, UINT32_MAX);
	memset(longest, 'x', sizeof(longest));
	for (i = 63; i < sizeof(longest); i += 64)
		longest[i] = '.';
	longest[253] = '\0';
	send_hint(&a, longest, 0);
	assert_int_equal(hint.count, 2);
	assert_string_equal(hint.name, longest);
	assert_non_null(gate.channel);
}

/* A gate that has been taken over can end its channel, and no more. */
static void
test_bad_hints(void **state)
{
	static const char *const names[] = {"", "a b", "a\r\nb", "192.0.2.1",
	    "MX.example.org", "mx.example.org.", "*.example.org", "\x1b[2J"};
	struct address a = address_of("192.0.2.25"), none = {0};
	static const uint8_t zeros[300];
	static struct ipc_message message;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		attach(&gate);
		send_hint(&a, names[i], 300);
		if (hint.count > 0)
			fail_msg("'%s' passed", names[i]);
		assert_null(gate.channel);
	}
	attach(&gate);
	send_hint(&none, "mx.example.org", 300);
	assert_null(gate.channel);
	for (i = 0; i < sizeof(zeros); i++) {
		attach(&gate);
		ipc_compose(&message, (uint16_t)(i < 8 ? i : GATE_HINT), 0);
		ipc_put_mem(&message, zeros, i < 8 ? 0 : i - 8);
		assert_int_equal(ipc_send(gate.channel, &message), 0);
		loop_run(base);
		assert_null(gate.channel);
	}
	assert_int_equal(hint.count, 0);
	/* The next one is heard again. */
	attach(&gate);
	send_hint(&a, "mx.example.org", 300);
	assert_int_equal(hint.count, 1);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_without_a_gate),
	    TEST(test_tells),
	    TEST(test_gate_comes_back),
	    TEST(test_bad_descriptor),
	    TEST(test_hints),
	    TEST(test_bad_hints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
