/* SPDX-License-Identifier: ISC */
/*
 * Questions to the DNS and their one answer each: libunbound is the test's
 * own here, and answers when and what it is told to.
 */

#include "proxy/policy/dns.h"

#include <event2/event.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unbound-event.h>
#include <unbound.h>

#include <cmocka.h>

#define SECURITY_NONE   0
#define SECURITY_BOGUS  1
#define SECURITY_SECURE 2
#define ANSWERS_MAX     8

struct ub_ctx {
	int unused;
};

static struct {
	struct ub_ctx context;
	char name[DNS_NAME_MAX + 1];
	int type;
	void *arg;
	ub_event_callback_type callback;
	size_t count; /* questions asked of it */
	int error; /* the next is refused with */
	bool answers_at_once;
	char options[2048]; /* "name value\n" each */
	const char *bad_option;
} unbound;

static struct event_base *base;
static struct dns *dns;

/* What came back, in order. */
static struct {
	struct dns_answer answer;
	void *arg;
} got[ANSWERS_MAX];
static size_t got_count;

/* 192.0.2.1 is the address of a.example. */
static uint8_t packet[] = {0, 0, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 1, 'a', 7,
    'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 1, 0, 1, 0xc0, 12, 0, 1, 0, 1, 0,
    0, 0, 60, 0, 4, 192, 0, 2, 1};

struct ub_ctx *
ub_ctx_create_event(struct event_base *event_base)
{
	assert_ptr_equal(event_base, base);
	return &unbound.context;
}

void
ub_ctx_delete(struct ub_ctx *context)
{
	assert_ptr_equal(context, &unbound.context);
}

static void
note(const char *name, const char *value)
{
	size_t used = strlen(unbound.options);

	snprintf(unbound.options + used, sizeof(unbound.options) - used,
	    "%s %s\n", name, value);
}

int
ub_ctx_set_option(struct ub_ctx *context, const char *name, const char *value)
{
	(void)context;
	note(name, value);
	return unbound.bad_option != NULL &&
	               strcmp(name, unbound.bad_option) == 0
	           ? UB_SYNTAX
	           : 0;
}

int
ub_ctx_set_fwd(struct ub_ctx *context, const char *address)
{
	return ub_ctx_set_option(context, "forward", address);
}

int
ub_ctx_add_ta_file(struct ub_ctx *context, const char *path)
{
	return ub_ctx_set_option(context, "anchor", path);
}

int
ub_ctx_zone_remove(struct ub_ctx *context, const char *zone)
{
	return ub_ctx_set_option(context, "remove", zone);
}

const char *
ub_strerror(int error)
{
	return error == UB_SYNTAX ? "syntax error" : "another error";
}

static void
reply_with(int rcode, const void *data, int len, int security, const char *why)
{
	char *text = why == NULL ? NULL : strdup(why);
	uint8_t copy[512];

	memcpy(copy, data, (size_t)len);
	unbound.callback(unbound.arg, rcode, copy, len, security, text, 0);
	free(text);
}

static void
reply(int security)
{
	reply_with(0, packet, sizeof(packet), security, NULL);
}

int
ub_resolve_event(struct ub_ctx *context, const char *name, int type, int class,
    void *arg, ub_event_callback_type callback, int *id)
{
	(void)context;
	(void)id;
	assert_int_equal(class, 1);
	if (unbound.error != 0)
		return unbound.error;
	snprintf(unbound.name, sizeof(unbound.name), "%s", name);
	unbound.type = type;
	unbound.arg = arg;
	unbound.callback = callback;
	unbound.count++;
	if (unbound.answers_at_once)
		reply(SECURITY_NONE);
	return 0;
}

static struct dns_settings settings = {
    .trust_anchor = "/dev/null", .timeout = 60};

static int
setup(void **state)
{
	char error[DNS_ERROR_MAX];

	(void)state;
	memset(&unbound, 0, sizeof(unbound));
	got_count = 0;
	base = event_base_new();
	dns = dns_new(base, &settings, error);
	if (dns == NULL)
		fail_msg("%s", error);
	unbound.count = 0; /* the one that tried it out */
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	settings.timeout = 60;
	dns_free(dns);
	event_base_free(base);
	return 0;
}

static void
on_done(void *arg, const struct dns_answer *answer)
{
	if (got_count < ANSWERS_MAX) {
		got[got_count].answer = *answer;
		got[got_count].arg = arg;
	}
	got_count++;
}

static int
ask(const char *name, enum dns_type type, void *arg)
{
	return dns_ask(dns, name, type, on_done, arg);
}

/* What is due now. */
static void
turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static void
test_answers(void **state)
{
	static const struct {
		int rcode, len, security;
		const char *why;
		enum dns_status status;
		bool is_secure;
		const char *says;
	} rows[] = {
	    {0, sizeof(packet), SECURITY_NONE, NULL, DNS_FOUND, false, ""},
	    {0, sizeof(packet), SECURITY_SECURE, NULL, DNS_FOUND, true, ""},
	    {0, sizeof(packet), SECURITY_BOGUS, "no signature", DNS_BOGUS,
		false, "no signature"},
	    {0, sizeof(packet), SECURITY_BOGUS, NULL, DNS_BOGUS, false,
		"validation failure"},
	    {2, 0, SECURITY_BOGUS, "expired", DNS_BOGUS, false, "expired"},
	    {2, 0, SECURITY_NONE, NULL, DNS_FAILED, false, "SERVFAIL"},
	    {2, 0, SECURITY_SECURE, NULL, DNS_FAILED, false, "SERVFAIL"},
	    {5, sizeof(packet), SECURITY_SECURE, NULL, DNS_FAILED, false,
		"response code 5"},
	    {0, sizeof(packet) - 1, SECURITY_SECURE, NULL, DNS_FAILED, false,
		"malformed answer"},
	    {0, 0, SECURITY_SECURE, NULL, DNS_FAILED, false,
		"malformed answer"},
	    /* What is neither secure nor bogus is not secure. */
	    {0, sizeof(packet), 3, NULL, DNS_FOUND, false, ""},
	    {0, sizeof(packet), -1, NULL, DNS_FOUND, false, ""},
	};
	const struct dns_answer *answer = &got[0].answer;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		got_count = 0;
		assert_int_equal(ask("a.example", DNS_A, &got), 0);
		assert_string_equal(unbound.name, "a.example.");
		assert_int_equal(unbound.type, DNS_A);
		reply_with(rows[i].rcode, packet, rows[i].len, rows[i].security,
		    rows[i].why);
		assert_int_equal(got_count, 0);
		turn();
		assert_int_equal(got_count, 1);
		assert_ptr_equal(got[0].arg, &got);
		assert_int_equal(answer->status, rows[i].status);
		assert_int_equal(answer->is_secure, rows[i].is_secure);
		assert_string_equal(answer->why, rows[i].says);
		assert_int_equal(answer->count, answer->status == DNS_FOUND);
	}
	assert_int_equal(unbound.count, sizeof(rows) / sizeof(rows[0]));
}

/* A secure answer that a packet says is a failure is one. */
static void
test_servfail_in_packet(void **state)
{
	uint8_t failed[sizeof(packet)];

	(void)state;
	memcpy(failed, packet, sizeof(packet));
	failed[3] = 0x82;
	ask("a.example", DNS_A, NULL);
	reply_with(0, failed, sizeof(failed), SECURITY_SECURE, NULL);
	turn();
	assert_int_equal(got[0].answer.status, DNS_FAILED);
	assert_false(got[0].answer.is_secure);
	assert_string_equal(got[0].answer.why, "SERVFAIL");
}

static void
test_answer_at_once(void **state)
{
	(void)state;
	unbound.answers_at_once = true;
	assert_int_equal(ask("a.example", DNS_A, NULL), 0);
	assert_int_equal(got_count, 0);
	turn();
	assert_int_equal(got_count, 1);
	assert_int_equal(got[0].answer.status, DNS_FOUND);
}

static void
test_shared(void **state)
{
	void *first;

	(void)state;
	ask("a.example", DNS_A, got);
	ask("a.example", DNS_A, got + 1);
	assert_int_equal(unbound.count, 1);
	first = unbound.arg;
	ask("a.example", DNS_AAAA, got + 2);
	assert_int_equal(unbound.type, DNS_AAAA);
	reply_with(2, packet, 0, SECURITY_NONE, NULL);
	ask("b.example", DNS_A, got + 3);
	assert_int_equal(unbound.count, 3);
	reply_with(2, packet, 0, SECURITY_NONE, NULL);
	unbound.arg = first;
	reply(SECURITY_NONE);
	/* Who comes before it is handed over gets it too. */
	ask("a.example", DNS_A, got + 4);
	assert_int_equal(unbound.count, 3);
	turn();
	assert_int_equal(got_count, 5);
	for (size_t i = 0; i < got_count; i++)
		assert_int_equal(got[i].answer.status,
		    got[i].arg == got + 2 || got[i].arg == got + 3 ? DNS_FAILED
								   : DNS_FOUND);
	/* Who comes later asks again. */
	ask("a.example", DNS_A, got);
	assert_int_equal(unbound.count, 4);
	reply(SECURITY_NONE);
	turn();
	assert_int_equal(got_count, 6);
}

static void
ask_again(void *arg, const struct dns_answer *answer)
{
	on_done(arg, answer);
	assert_int_equal(ask("a.example", DNS_A, got + 1), 0);
}

static void
test_asks_from_an_answer(void **state)
{
	(void)state;
	dns_ask(dns, "a.example", DNS_A, ask_again, got);
	reply(SECURITY_NONE);
	turn();
	assert_int_equal(unbound.count, 2);
	assert_int_equal(got_count, 1);
	reply(SECURITY_NONE);
	turn();
	assert_int_equal(got_count, 2);
	assert_ptr_equal(got[1].arg, got + 1);
}

/* Each has a deadline of its own, and no answer after it. */
static void
test_deadline(void **state)
{
	char error[DNS_ERROR_MAX];

	(void)state;
	dns_free(dns);
	settings.timeout = 0;
	dns = dns_new(base, &settings, error);
	unbound.count = 0;
	ask("a.example", DNS_A, got);
	turn();
	assert_int_equal(got_count, 1);
	assert_int_equal(got[0].answer.status, DNS_FAILED);
	assert_string_equal(got[0].answer.why, "timed out");
	/* The lookup goes on, and is there for who asks now. */
	ask("a.example", DNS_A, got + 1);
	assert_int_equal(unbound.count, 1);
	turn();
	assert_int_equal(got_count, 2);
	reply(SECURITY_SECURE);
	turn();
	assert_int_equal(got_count, 2);
	ask("a.example", DNS_A, got + 2);
	assert_int_equal(unbound.count, 2);
	reply(SECURITY_NONE);
	turn();
}

static void
test_refused(void **state)
{
	static const char *const bad[] = {"", ".", "a.example.", "A.example",
	    "*.example", "a..example", "a b", "192.0.2.1", "a\\000.example"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errno = 0;
		assert_int_equal(ask(bad[i], DNS_A, NULL), -1);
		assert_int_equal(errno, EINVAL);
	}
	unbound.error = UB_NOMEM;
	assert_int_equal(ask("a.example", DNS_A, NULL), -1);
	assert_int_equal(errno, ENOMEM);
	unbound.error = 0;
	turn();
	assert_int_equal(got_count, 0);
	/* Nothing of it was left behind. */
	ask("a.example", DNS_A, NULL);
	assert_int_equal(unbound.count, 1);
	reply(SECURITY_NONE);
	turn();
	assert_int_equal(got_count, 1);
}

static void
test_bounds(void **state)
{
	static void *args[DNS_LOOKUPS_MAX];
	char name[32];
	size_t i;

	(void)state;
	for (i = 0; i < DNS_LOOKUPS_MAX; i++) {
		snprintf(name, sizeof(name), "n%zu.example", i);
		assert_int_equal(ask(name, DNS_A, NULL), 0);
		args[i] = unbound.arg;
	}
	errno = 0;
	assert_int_equal(ask("more.example", DNS_A, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(ask("n0.example", DNS_A, NULL), 0);
	for (i++; i < DNS_WAITERS_MAX; i++)
		assert_int_equal(ask("n0.example", DNS_A, NULL), 0);
	errno = 0;
	assert_int_equal(ask("n0.example", DNS_A, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	for (i = 0; i < DNS_LOOKUPS_MAX; i++) {
		unbound.arg = args[i];
		reply_with(2, packet, 0, SECURITY_NONE, NULL);
	}
	turn();
	assert_int_equal(got_count, DNS_WAITERS_MAX);
	/* All of it is free again. */
	assert_int_equal(ask("more.example", DNS_A, NULL), 0);
	reply(SECURITY_NONE);
	turn();
	assert_int_equal(got_count, DNS_WAITERS_MAX + 1);
}

static void
check_mistake(const struct dns_settings *mistaken, const char *says)
{
	char error[DNS_ERROR_MAX] = "";

	assert_null(dns_new(base, mistaken, error));
	if (strstr(error, says) == NULL)
		fail_msg("%s", error);
}

static void
test_settings(void **state)
{
	char error[DNS_ERROR_MAX];
	struct address forward[2];
	struct dns_settings wanted = {.forward = forward,
	    .forward_count = 2,
	    .root_hints = "/dev/zero",
	    .trust_anchor = "/dev/null",
	    .timeout = 60};
	struct dns *other;

	(void)state;
	assert_non_null(strstr(unbound.options, "validator iterator\n"));
	assert_non_null(strstr(unbound.options, "outbound-msg-retry: 3\n"));
	assert_non_null(strstr(unbound.options, "anchor /dev/null\n"));
	assert_null(strstr(unbound.options, "forward"));
	assert_null(strstr(unbound.options, "root-hints"));
	unbound.options[0] = '\0';
	assert_int_equal(address_from_text(&forward[0], "192.0.2.1"), 0);
	assert_int_equal(address_from_text(&forward[1], "2001:db8::1"), 0);
	forward[0].port = 53;
	forward[1].port = 5353;
	other = dns_new(base, &wanted, error);
	assert_non_null(other);
	assert_non_null(strstr(unbound.options, "forward 192.0.2.1@53\n"));
	assert_non_null(strstr(unbound.options, "forward 2001:db8::1@5353\n"));
	assert_non_null(strstr(unbound.options, "root-hints: /dev/zero\n"));
	assert_null(strstr(unbound.options, "outbound-msg-retry"));
	dns_free(other);
	unbound.options[0] = '\0';
	unbound.bad_option = "forward";
	check_mistake(&wanted, "dns.forward: syntax error");
	unbound.bad_option = "root-hints:";
	check_mistake(&wanted, "dns.root_hints: syntax error");
	unbound.options[0] = '\0';
	unbound.bad_option = "anchor";
	check_mistake(&wanted, "dns.trust_anchor: syntax error");
	unbound.options[0] = '\0';
	unbound.bad_option = "remove";
	check_mistake(&wanted, "cannot use dns.trust_anchor");
	unbound.bad_option = "harden-dnssec-stripped:";
	check_mistake(&wanted, "harden-dnssec-stripped:");
	unbound.bad_option = NULL;
	wanted.trust_anchor = "/nonexistent";
	check_mistake(&wanted, "dns.trust_anchor: /nonexistent: No such file");
	wanted.trust_anchor = "/dev/null";
	wanted.root_hints = "/nonexistent";
	check_mistake(&wanted, "dns.root_hints: /nonexistent: No such file");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_servfail_in_packet, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_answer_at_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_asks_from_an_answer, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_deadline, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_settings, setup, teardown),
	};

	return cmocka_run_group_tests_name("dns", tests, NULL, NULL);
}
