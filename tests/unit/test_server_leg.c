/* SPDX-License-Identifier: ISC */
/*
 * The way to TLS, up to the handshake, against servers that follow a script:
 * what they may say when, and that nothing but EHLO and STARTTLS is ever said
 * to them in clear.
 */

#include "proxy/session/server_leg.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "proxy/base/clock.h"
#include "proxy/config.h"
#include "proxy/session/endpoints.h"
#include "proxy/session/reap.h"
#include "proxy/tls/client.h"
#include "tests/unit/loop.h"

static struct event_base *base;
static struct tls_client *tls;
static struct endpoints endpoints;

/* What the session would have been told. */
struct heard {
	enum server_event last;
	int events[SERVER_GONE + 1];
	int codes[16];
	int kinds[16];
	int answered;
	/* Retire it at this event, as a session that ends there does. */
	enum server_event retires_at;
	bool retires;
};

struct scene {
	struct server_leg *leg;
	struct reaper *reaper;
	struct config_timeouts timeouts;
	struct heard heard;
	int fd; /* the server's end */
	int leg_fd; /* a copy of the leg's own */
	char said[8192]; /* by the leg */
};

static void
on_event(void *arg, struct server_leg *leg, enum server_event event,
    struct server_ref ref, const struct reply *reply)
{
	struct heard *heard = arg;

	heard->last = event;
	heard->events[event]++;
	if (event == SERVER_ANSWERED) {
		heard->codes[heard->answered % 16] = reply->code;
		heard->kinds[heard->answered++ % 16] = ref.kind;
	}
	if (heard->retires && event == heard->retires_at)
		server_leg_retire(leg, true);
}

static void
listen_to(
    struct scene *scene, bool allows_clear, bool is_clear, const char *hello)
{
	struct sockaddr_in name = {.sin_family = AF_INET};
	struct server_leg_options options;
	socklen_t len = sizeof(name);
	int listener, fd;

	memset(scene, 0, sizeof(*scene));
	name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&name, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	getsockname(listener, (struct sockaddr *)&name, &len);
	scene->reaper = reaper_new(base);
	scene->timeouts = (struct config_timeouts){
	    .connect = 5, .greeting = 5, .handshake = 5, .reply = 5};
	memset(&options, 0, sizeof(options));
	options.base = base;
	options.tls = tls;
	options.reaper = scene->reaper;
	options.endpoints = &endpoints;
	address_from_sockaddr(
	    &options.target.address, (struct sockaddr *)&name);
	options.hello = hello;
	options.is_clear = is_clear;
	options.allows_clear = allows_clear;
	options.timeouts = &scene->timeouts;
	options.handler = on_event;
	options.arg = &scene->heard;
	options.log_id = "test";
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	scene->leg_fd = dup(fd);
	scene->leg = server_leg_new(&options, fd);
	assert_non_null(scene->leg);
	scene->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	assert_true(scene->fd != -1);
	close(listener);
	loop_run(base);
}

static void
leave(struct scene *scene)
{
	if (!scene->heard.retires)
		server_leg_retire(scene->leg, true);
	loop_run(base);
	reaper_free(scene->reaper);
	if (scene->fd != -1)
		close(scene->fd);
	close(scene->leg_fd);
}

/* Until the other side's kernel has all that was written to fd. */
static void
wait_delivered(int fd)
{
	int left = 0;

	while (fd != -1 && ioctl(fd, SIOCOUTQ, &left) == 0 && left > 0)
		sched_yield();
}

static void
server_says(struct scene *scene, const char *text)
{
	size_t len = strlen(scene->said);
	ssize_t n;

	if (text[0] != '\0')
		assert_int_equal(write(scene->fd, text, strlen(text)),
		    (ssize_t)strlen(text));
	wait_delivered(scene->fd);
	loop_run(base);
	wait_delivered(scene->leg_fd);
	while ((n = read(scene->fd, scene->said + len,
		    sizeof(scene->said) - 1 - len)) > 0)
		len += (size_t)n;
	scene->said[len] = '\0';
}

static const char greeting[] = "220 mx.example ESMTP\r\n";
static const char offer[] = "250-mx.example\r\n250 STARTTLS\r\n";

/* Up to the moment when the server has been sent STARTTLS. */
static void
come_to_starttls(struct scene *scene, bool allows_clear)
{
	listen_to(scene, allows_clear, false, NULL);
	server_says(scene, greeting);
	assert_int_equal(scene->heard.last, SERVER_GREETED_US);
	assert_string_equal(scene->said, "");
	server_leg_hello(scene->leg, "client.example", false);
	server_says(scene, offer);
	assert_string_equal(scene->said, "EHLO client.example\r\nSTARTTLS\r\n");
	assert_int_equal(server_leg_state(scene->leg), SERVER_STARTTLS);
}

static void
assert_failed(struct scene *scene, enum result_word word)
{
	assert_int_equal(scene->heard.last, SERVER_GONE);
	assert_int_equal(scene->heard.events[SERVER_GONE], 1);
	assert_int_equal(scene->heard.events[SERVER_UP], 0);
	assert_int_equal(server_leg_fault(scene->leg)->word, word);
	assert_true(server_leg_fault(scene->leg)->text[0] != '\0');
	/* Whatever happened, no envelope was said. */
	assert_null(strstr(scene->said, "MAIL"));
}

/* CVE-2021-38371, nodemailer #1835: bytes behind the 220 to STARTTLS. */
static void
test_injection_after_220(void **state)
{
	static const char *const glued[] = {
	    "220 go\r\n250-mx\r\n250 AUTH PLAIN\r\n",
	    "220 go\r\n250-X",
	    "220 go\r\nx",
	    "220 go\r\n\r\n",
	};
	struct scene scene;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(glued) / sizeof(glued[0]); i++) {
		come_to_starttls(&scene, true);
		server_says(&scene, glued[i]);
		assert_failed(&scene, RESULT_VALIDATION_FAILURE);
		leave(&scene);
	}
}

/* CVE-2026-42246: an answer to what was not asked yet. */
static void
test_reply_before_its_command(void **state)
{
	struct scene scene;

	(void)state;
	listen_to(&scene, true, false, NULL);
	server_says(&scene, greeting);
	server_leg_hello(scene.leg, "client.example", false);
	server_says(&scene, "250-mx.example\r\n250 STARTTLS\r\n220 go\r\n");
	assert_failed(&scene, RESULT_VALIDATION_FAILURE);
	leave(&scene);

	/* CVE-2021-39272: already further than it can be. */
	listen_to(&scene, true, false, NULL);
	server_says(&scene, "220 mx.example\r\n250 AUTH\r\n");
	assert_failed(&scene, RESULT_NONE);
	leave(&scene);
}

/* CVE-2016-0772: everything but 220 is no TLS, whatever its class. */
static void
test_starttls_refused(void **state)
{
	char text[64];
	struct scene scene;
	int code;

	(void)state;
	for (code = 200; code < 600; code += 1) {
		if (code == 220)
			continue;
		if (code % 10 > 1 && code % 50 != 4)
			continue;
		come_to_starttls(&scene, false);
		snprintf(text, sizeof(text), "%d no\r\n", code);
		server_says(&scene, text);
		assert_failed(&scene, RESULT_STARTTLS_NOT_SUPPORTED);
		leave(&scene);
	}
}

/* Where somebody may be reached in clear the leg goes on, and says why. */
static void
test_clear_where_allowed(void **state)
{
	struct scene scene;

	(void)state;
	come_to_starttls(&scene, true);
	server_says(&scene, "454 no TLS now\r\n");
	assert_int_equal(scene.heard.last, SERVER_UP);
	assert_null(conn_tls(server_leg_conn(scene.leg)));
	assert_int_equal(
	    server_leg_fault(scene.leg)->word, RESULT_STARTTLS_NOT_SUPPORTED);
	leave(&scene);
}

/* Stripped offers, mangled ones, EHLO refused: STARTTLS is asked for. */
static void
test_asks_although_not_offered(void **state)
{
	static const char *const replies[] = {
	    "250 mx.example\r\n",
	    "250-mx.example\r\n250-XXXXXXXA\r\n250 SIZE\r\n",
	    "500 what?\r\n",
	    "502 no\r\n",
	};
	struct scene scene;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		listen_to(&scene, false, false, NULL);
		server_says(&scene, greeting);
		server_leg_hello(scene.leg, "client.example", false);
		server_says(&scene, replies[i]);
		assert_string_equal(
		    scene.said, "EHLO client.example\r\nSTARTTLS\r\n");
		server_says(&scene, "502 no\r\n");
		assert_failed(&scene, RESULT_STARTTLS_NOT_SUPPORTED);
		leave(&scene);
	}
}

/* The handshake begins, and what is not TLS ends it. */
static void
test_not_tls(void **state)
{
	struct scene scene;

	(void)state;
	come_to_starttls(&scene, false);
	server_says(&scene, "220 go\r\n");
	assert_int_equal(server_leg_state(scene.leg), SERVER_HANDSHAKE);
	server_says(&scene, "250 hello in clear\r\n");
	assert_failed(&scene, RESULT_VALIDATION_FAILURE);
	assert_true(server_leg_fault(scene.leg)->is_handshake);
	leave(&scene);
}

/* Each cut of the whole dialogue, at every byte: a failure with a reason. */
static void
test_closed_anywhere(void **state)
{
	static const char *const parts[] = {greeting, offer, "220 go\r\n"};
	struct scene scene;
	size_t part, cut, i;
	char text[64];

	(void)state;
	for (part = 0; part < 3; part++)
		for (cut = 0; cut <= strlen(parts[part]); cut++) {
			if (part < 2 && cut == strlen(parts[part]))
				continue;
			listen_to(&scene, true, false, "client.example");
			for (i = 0; i < part; i++)
				server_says(&scene, parts[i]);
			strlcpy(text, parts[part], cut + 1);
			server_says(&scene, text);
			close(scene.fd);
			scene.fd = -1;
			while (scene.heard.last != SERVER_GONE)
				event_base_loop(base, EVLOOP_ONCE);
			assert_int_equal(scene.heard.events[SERVER_UP], 0);
			leave(&scene);
		}
}

static void
test_bad_replies(void **state)
{
	static const char *const replies[] = {
	    "220 mx\n",
	    "abc\r\n",
	    "2\r\n",
	    "99 x\r\n",
	    "600 x\r\n",
	    "220-a\r\n250 b\r\n",
	    "220\r220 x\r\n",
	    "220 \x1b]0;\r\n",
	};
	struct scene scene;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		listen_to(&scene, true, false, NULL);
		server_says(&scene, replies[i]);
		assert_failed(&scene, RESULT_NONE);
		leave(&scene);
	}
}

static void
come_up_clear(struct scene *scene, const char *ehlo)
{
	listen_to(scene, true, true, "client.example");
	server_says(scene, greeting);
	server_says(scene, ehlo);
	assert_int_equal(scene->heard.last, SERVER_UP);
	scene->said[0] = '\0';
}

static void
command(struct scene *scene, int kind, const char *line)
{
	struct server_ref ref = {.kind = kind};

	assert_int_equal(
	    server_leg_command(scene->leg, ref, 5, line, strlen(line)), 0);
	server_leg_flush(scene->leg);
}

static void
test_pipelining(void **state)
{
	struct scene scene;

	(void)state;
	come_up_clear(&scene, "250-mx\r\n250 PIPELINING\r\n");
	command(&scene, 1, "A\r\n");
	command(&scene, 2, "B\r\n");
	server_says(&scene, "");
	assert_string_equal(scene.said, "A\r\nB\r\n");
	server_says(&scene, "250 a\r\n451 b\r\n");
	assert_int_equal(scene.heard.answered, 2);
	assert_int_equal(scene.heard.codes[0], 250);
	assert_int_equal(scene.heard.kinds[1], 2);
	leave(&scene);
}

/* A server that does not pipeline gets one command at a time. */
static void
test_no_pipelining(void **state)
{
	struct scene scene;

	(void)state;
	come_up_clear(&scene, "250 mx\r\n");
	command(&scene, 1, "A\r\n");
	command(&scene, 2, "B\r\n");
	assert_false(server_leg_may_stream(scene.leg));
	server_says(&scene, "");
	assert_string_equal(scene.said, "A\r\n");
	server_says(&scene, "250 a\r\n");
	server_leg_flush(scene.leg);
	server_says(&scene, "");
	assert_string_equal(scene.said, "A\r\nB\r\n");
	assert_true(server_leg_may_stream(scene.leg));
	server_says(&scene, "250 b\r\n");
	assert_int_equal(scene.heard.kinds[1], 2);
	leave(&scene);
}

/* What the server said to the last EHLO or HELO is what counts. */
static void
test_renewed(void **state)
{
	static const char *const texts[] = {
	    "250 mx\r\n", "250-mx\r\n250 PIPELINING\r\n"};
	struct scene scene;
	struct reply reply;
	size_t i, used;
	int is_helo;

	(void)state;
	for (i = 0; i < 2; i++)
		for (is_helo = 0; is_helo < 2; is_helo++) {
			come_up_clear(&scene, texts[1 - i]);
			reply_init(&reply);
			reply_feed(&reply, (const uint8_t *)texts[i],
			    strlen(texts[i]), &used);
			server_leg_renew(scene.leg, &reply, is_helo);
			reply_clear(&reply);
			command(&scene, 1, "A\r\n");
			command(&scene, 2, "B\r\n");
			server_says(&scene, "");
			assert_string_equal(scene.said,
			    i == 1 && !is_helo ? "A\r\nB\r\n" : "A\r\n");
			leave(&scene);
		}
}

static void
test_reply_to_nothing(void **state)
{
	struct scene scene;

	(void)state;
	come_up_clear(&scene, "250 mx\r\n");
	server_says(&scene, "250 extra\r\n");
	assert_int_equal(scene.heard.events[SERVER_UNASKED], 1);
	assert_int_equal(scene.heard.last, SERVER_GONE);
	leave(&scene);
}

/* A session may part with a leg at any reply, whatever more there is. */
static void
test_retired_with_input_left(void **state)
{
	static const enum server_event events[] = {
	    SERVER_UNASKED, SERVER_ANSWERED};
	struct scene scene;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		come_up_clear(&scene, "250 mx\r\n");
		scene.heard.retires = true;
		scene.heard.retires_at = events[i];
		if (events[i] == SERVER_ANSWERED)
			command(&scene, 1, "A\r\n");
		server_says(&scene, "552 a\r\n552 b\r\n552 c\r\n");
		assert_int_equal(scene.heard.last, events[i]);
		assert_int_equal(scene.heard.events[events[i]], 1);
		leave(&scene);
	}
}

static void
test_pending_is_bounded(void **state)
{
	struct server_ref ref = {0};
	struct scene scene;
	int i;

	(void)state;
	come_up_clear(&scene, "250 mx\r\n");
	for (i = 0; i < SERVER_PENDING_MAX; i++)
		assert_int_equal(
		    server_leg_command(scene.leg, ref, 5, "A\r\n", 3), 0);
	assert_int_equal(server_leg_command(scene.leg, ref, 5, "A\r\n", 3), -1);
	leave(&scene);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_injection_after_220),
	    cmocka_unit_test(test_reply_before_its_command),
	    cmocka_unit_test(test_starttls_refused),
	    cmocka_unit_test(test_clear_where_allowed),
	    cmocka_unit_test(test_asks_although_not_offered),
	    cmocka_unit_test(test_not_tls),
	    cmocka_unit_test(test_closed_anywhere),
	    cmocka_unit_test(test_bad_replies),
	    cmocka_unit_test(test_pipelining),
	    cmocka_unit_test(test_no_pipelining),
	    cmocka_unit_test(test_renewed),
	    cmocka_unit_test(test_reply_to_nothing),
	    cmocka_unit_test(test_retired_with_input_left),
	    cmocka_unit_test(test_pending_is_bounded),
	};
	int failed;

	base = event_base_new();
	tls = tls_client_new();
	endpoints_init(&endpoints);
	failed = cmocka_run_group_tests_name("server_leg", tests, NULL, NULL);
	tls_client_free(tls);
	event_base_free(base);
	return failed;
}
