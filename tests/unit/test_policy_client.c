/* SPDX-License-Identifier: ISC */
/*
 * Questions and their one answer each, with this test as postern-policy at
 * the other end of the channel.
 */

#include "proxy/session/policy_client.h"

#include <sys/socket.h>

#include "proxy/base/clock.h"
#include "proxy/base/ipc.h"
#include "proxy/base/ipc_address.h"
#include "tests/unit/loop.h"

static struct event_base *base;

/* The policy process's end. */
struct fake {
	struct ipc_channel *channel;
	uint32_t ids[16];
	uint16_t types[16];
	int asked;
	int is_closed;
};

/* What one question came to. */
struct got {
	int answers;
	enum decision_kind kind;
	char text[DECISION_TEXT_MAX];
};

static int
on_ask(void *arg, struct ipc_channel *channel, struct ipc_reader *reader)
{
	struct fake *fake = arg;
	struct address address;
	char domain[DECISION_NAME_MAX];

	(void)channel;
	assert_int_equal(ipc_get_address(reader, &address), 0);
	if (reader->type == POLICY_ASK_DOMAIN)
		ipc_get_str(reader, domain, sizeof(domain));
	assert_int_equal(ipc_end(reader), 0);
	fake->types[fake->asked] = reader->type;
	fake->ids[fake->asked++] = reader->id;
	return 0;
}

static const struct ipc_row rows[] = {
    {POLICY_ASK_SERVER, false, "ASK_SERVER", on_ask},
    {POLICY_ASK_DOMAIN, false, "ASK_DOMAIN", on_ask},
    {0, false, NULL, NULL},
};

static void
on_closed(void *arg, struct ipc_channel *channel, const char *why)
{
	struct fake *fake = arg;

	(void)why;
	fake->is_closed = 1;
	ipc_channel_free(channel);
	fake->channel = NULL;
}

static void
attach(struct policy_client *client, struct fake *fake)
{
	int fds[2];

	memset(fake, 0, sizeof(*fake));
	assert_int_equal(ipc_pair(fds), 0);
	fake->channel = ipc_channel_new(
	    base, fds[1], "relay", rows, on_closed, fake);
	assert_non_null(fake->channel);
	assert_int_equal(policy_client_attach(client, fds[0]), 0);
}

static void
answer(struct fake *fake, uint32_t id, uint32_t ttl)
{
	static struct ipc_message message;
	struct decision decision;

	memset(&decision, 0, sizeof(decision));
	decision.kind = DECISION_LEVEL;
	decision.level = LEVEL_VERIFY;
	decision.evidence = EVIDENCE_MX;
	decision.name_count = 1;
	strlcpy(decision.names[0], "mx.example.org", DECISION_NAME_MAX);
	decision.ttl = ttl;
	ipc_compose(&message, POLICY_ANSWER, id);
	decision_put(&message, &decision);
	assert_int_equal(ipc_send(fake->channel, &message), 0);
	loop_run(base);
}

static void
on_done(void *arg, struct known *known)
{
	struct got *got = arg;

	got->answers++;
	got->kind = known->decision.kind;
	strlcpy(got->text, known->decision.text, sizeof(got->text));
}

static struct known *
ask(struct policy_client *client, const char *domain, struct got *got,
    struct question **question)
{
	struct address server;

	memset(got, 0, sizeof(*got));
	address_from_text(&server, "192.0.2.9");
	server.port = 25;
	return policy_ask_domain(
	    client, &server, domain, on_done, got, question);
}

static void
test_ask_and_cache(void **state)
{
	struct policy_client *client = policy_client_new(base, NULL, NULL);
	struct fake fake;
	struct got got;
	struct question *question;
	struct known *known;

	(void)state;
	clock_fake(1000, 1000);
	attach(client, &fake);
	assert_null(ask(client, "example.org", &got, &question));
	assert_non_null(question);
	loop_run(base);
	assert_int_equal(fake.asked, 1);
	answer(&fake, fake.ids[0], 10);
	assert_int_equal(got.answers, 1);
	assert_int_equal(got.kind, DECISION_LEVEL);

	/* Known for its ttl, and for its subject only. */
	known = ask(client, "example.org", &got, &question);
	assert_non_null(known);
	assert_null(question);
	known_unref(known);
	assert_null(ask(client, "example.net", &got, &question));
	policy_cancel(client, question);
	clock_fake(1000 + 11001, 1000);
	assert_null(ask(client, "example.org", &got, &question));
	policy_cancel(client, question);
	clock_fake(-1, -1);
	policy_client_free(client);
	loop_run(base);
	assert_true(fake.is_closed);
}

/* What is cancelled is answered into nothing. */
static void
test_cancel(void **state)
{
	struct policy_client *client = policy_client_new(base, NULL, NULL);
	struct fake fake;
	struct got got;
	struct question *question;

	(void)state;
	attach(client, &fake);
	assert_null(ask(client, "example.org", &got, &question));
	loop_run(base);
	policy_cancel(client, question);
	answer(&fake, fake.ids[0], 10);
	answer(&fake, 4242, 10);
	assert_int_equal(got.answers, 0);
	assert_false(fake.is_closed);
	policy_client_free(client);
	loop_run(base);
}

static void
on_lost(void *arg)
{
	++*(int *)arg;
}

/* The owner hears of the end of the newest channel, and of no other's. */
static void
test_lost(void **state)
{
	int lost = 0;
	struct policy_client *client = policy_client_new(base, on_lost, &lost);
	struct fake old, new;
	struct got got;
	struct question *question;

	(void)state;
	attach(client, &old);
	assert_null(ask(client, "a.example", &got, &question));
	attach(client, &new);
	ipc_channel_free(old.channel);
	loop_run(base);
	assert_int_equal(got.answers, 1);
	assert_int_equal(lost, 0);
	ipc_channel_free(new.channel);
	loop_run(base);
	assert_int_equal(lost, 1);
	attach(client, &new);
	policy_client_free(client);
	loop_run(base);
	assert_int_equal(lost, 1);
}

/* What was asked under rules that are no more does not hold. */
static void
test_holds(void **state)
{
	struct policy_client *client = policy_client_new(base, NULL, NULL);
	struct fake fake;
	struct got got;
	struct question *question;
	struct known *known;

	(void)state;
	attach(client, &fake);
	assert_null(ask(client, "a.example", &got, &question));
	loop_run(base);
	answer(&fake, fake.ids[0], 3600);
	known = ask(client, "a.example", &got, &question);
	assert_non_null(known);
	assert_true(policy_holds(client, known));
	policy_client_forget(client);
	assert_true(known_is_good(known));
	assert_false(policy_holds(client, known));
	known_unref(known);
	policy_client_free(client);
	loop_run(base);
}

/* postern-policy dies: every question is answered, "failed". */
static void
test_gone(void **state)
{
	struct policy_client *client = policy_client_new(base, NULL, NULL);
	struct fake fake;
	struct got a, b;
	struct question *question;
	struct known *known;

	(void)state;
	attach(client, &fake);
	assert_null(ask(client, "a.example", &a, &question));
	assert_null(ask(client, "b.example", &b, &question));
	loop_run(base);
	ipc_channel_free(fake.channel);
	loop_run(base);
	assert_int_equal(a.answers, 1);
	assert_int_equal(b.answers, 1);
	assert_int_equal(a.kind, DECISION_TEMPORARY);
	/* And one asked meanwhile is answered at once. */
	known = ask(client, "a.example", &a, &question);
	assert_non_null(known);
	assert_int_equal(known->decision.kind, DECISION_TEMPORARY);
	known_unref(known);
	policy_client_free(client);
}

/* Its end is in the socket, and the loop has not told of it yet. */
static void
test_gone_unnoticed(void **state)
{
	struct policy_client *client = policy_client_new(base, NULL, NULL);
	struct fake fake;
	struct got got;
	struct question *question;
	struct known *known;

	(void)state;
	attach(client, &fake);
	ipc_channel_free(fake.channel);
	known = ask(client, "a.example", &got, &question);
	assert_non_null(known);
	assert_string_equal(known->decision.status, "3.0");
	assert_non_null(strstr(known->decision.text, "restarted"));
	known_unref(known);
	loop_run(base);
	policy_client_free(client);
}

/* A new one takes over; what the old one was asked it still answers. */
static void
test_takeover(void **state)
{
	struct policy_client *client = policy_client_new(base, NULL, NULL);
	struct fake old, new;
	struct got a, b;
	struct question *question;

	(void)state;
	attach(client, &old);
	assert_null(ask(client, "a.example", &a, &question));
	loop_run(base);
	attach(client, &new);
	policy_client_forget(client);
	assert_null(ask(client, "b.example", &b, &question));
	loop_run(base);
	assert_int_equal(new.asked, 1);
	answer(&old, old.ids[0], 10);
	assert_int_equal(a.answers, 1);
	loop_run(base);
	/* With its last answer the old channel closes. */
	assert_true(old.is_closed);
	/* And what it said by the old rules is not kept. */
	assert_null(ask(client, "a.example", &a, &question));
	policy_cancel(client, question);
	answer(&new, new.ids[0], 10);
	assert_int_equal(b.answers, 1);
	policy_client_free(client);
	loop_run(base);
}

/* A malformed answer costs the channel, and still answers the question. */
static void
test_bad_answer(void **state)
{
	static struct ipc_message message;
	struct policy_client *client = policy_client_new(base, NULL, NULL);
	struct fake fake;
	struct got got;
	struct question *question;

	(void)state;
	attach(client, &fake);
	assert_null(ask(client, "a.example", &got, &question));
	loop_run(base);
	ipc_compose(&message, POLICY_ANSWER, fake.ids[0]);
	ipc_put_u8(&message, 99);
	assert_int_equal(ipc_send(fake.channel, &message), 0);
	loop_run(base);
	assert_true(fake.is_closed);
	assert_int_equal(got.answers, 1);
	assert_int_equal(got.kind, DECISION_TEMPORARY);
	policy_client_free(client);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ask_and_cache),
	    cmocka_unit_test(test_cancel),
	    cmocka_unit_test(test_gone),
	    cmocka_unit_test(test_gone_unnoticed),
	    cmocka_unit_test(test_lost),
	    cmocka_unit_test(test_holds),
	    cmocka_unit_test(test_takeover),
	    cmocka_unit_test(test_bad_answer),
	};
	int failed;

	base = event_base_new();
	failed = cmocka_run_group_tests_name(
	    "policy_client", tests, NULL, NULL);
	event_base_free(base);
	return failed;
}
