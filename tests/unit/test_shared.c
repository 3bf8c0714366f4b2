/* SPDX-License-Identifier: ISC */
/*
 * Questions to a Redis that a test plays, in the same event loop: well, badly
 * and not at all.
 */

#include "proxy/policy/shared.h"

#include <sys/socket.h>
#include <sys/wait.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/sandbox.h"
#include "proxy/policy/dns.h"
#include "proxy/policy/redis_link.h"
#include "proxy/policy/shared_value.h"

#define COUNT(a)    (sizeof(a) / sizeof((a)[0]))
#define HANG        10 /* seconds; a test that takes so long has failed */
#define STORE_MAX   4
#define CLIENTS_MAX 8

/* The server. */

static struct {
	struct event_base *base;
	int fd;
	uint16_t port;
	struct event *listener;
	struct bufferevent *clients[CLIENTS_MAX];
	redisReader *readers[CLIENTS_MAX];
	size_t client_count;
	char heard[512]; /* commands, without their values */
	const char *greeting; /* NULL: as it should be */
	const char *answer; /* to GETRANGE; NULL: from the store */
	bool is_mute;
	bool is_slow; /* byte by byte */
	struct evbuffer *slow;
	struct event *turn;
	bool hangs_up; /* after an answer to GETRANGE */
	bool is_to_hang_up;
	int gone; /* clients */
	struct {
		char key[SHARED_KEY_MAX];
		char *value;
		size_t len;
	} store[STORE_MAX];
	size_t stored;
	int stderr_fd;
	FILE *said;
} s;

/* Byte by byte: one in each turn of the loop. */
static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	char byte;

	(void)fd;
	(void)what;
	(void)arg;
	if (evbuffer_remove(s.slow, &byte, 1) == 1)
		assert_int_equal(send(bufferevent_getfd(s.clients[0]), &byte, 1,
				     MSG_NOSIGNAL),
		    1);
	if (evbuffer_get_length(s.slow) > 0)
		event_active(s.turn, EV_TIMEOUT, 0);
}

static void
say(struct bufferevent *client, const char *data, size_t len)
{
	if (!s.is_slow) {
		bufferevent_write(client, data, len);
		return;
	}
	evbuffer_add(s.slow, data, len);
	event_active(s.turn, EV_TIMEOUT, 0);
}

static void
say_value(struct bufferevent *client, const char *value, size_t len)
{
	char head[32];

	snprintf(head, sizeof(head), "$%zu\r\n", len);
	say(client, head, strlen(head));
	say(client, value, len);
	say(client, "\r\n", 2);
}

static void
answer_get(struct bufferevent *client, const char *key)
{
	if (s.answer != NULL) {
		say(client, s.answer, strlen(s.answer));
		return;
	}
	for (size_t i = 0; i < s.stored; i++) {
		if (strcmp(s.store[i].key, key) == 0) {
			say_value(client, s.store[i].value, s.store[i].len);
			return;
		}
	}
	say_value(client, "", 0);
}

static void
keep(const char *key, const char *value, size_t len)
{
	assert_true(s.stored < STORE_MAX);
	strlcpy(s.store[s.stored].key, key, sizeof(s.store[0].key));
	s.store[s.stored].value = malloc(len + 1);
	memcpy(s.store[s.stored].value, value, len);
	s.store[s.stored++].len = len;
}

static void
obey(struct bufferevent *client, redisReply **words, size_t count)
{
	const char *verb = words[0]->str;

	for (size_t i = 0; i < count; i++) {
		if (words[i]->len < 60)
			strlcat(s.heard, words[i]->str, sizeof(s.heard));
		strlcat(s.heard, i == count - 1 ? "\n" : " ", sizeof(s.heard));
	}
	if (s.is_mute)
		return;
	if (strcmp(verb, "GETRANGE") == 0) {
		answer_get(client, words[1]->str);
	} else if (strcmp(verb, "SET") == 0) {
		keep(words[1]->str, words[2]->str, words[2]->len);
		say(client, "+OK\r\n", 5);
	} else if (s.greeting != NULL)
		say(client, s.greeting, strlen(s.greeting));
	else if (strcmp(verb, "PING") == 0)
		say(client, "+PONG\r\n", 7);
	else
		say(client, "+OK\r\n", 5);
}

static void
on_command(struct bufferevent *client, void *arg)
{
	redisReader *reader = arg;
	char data[4096];
	redisReply *reply;
	size_t len;
	void *any;
	bool is_get;

	while ((len = bufferevent_read(client, data, sizeof(data))) > 0)
		redisReaderFeed(reader, data, len);
	while (redisReaderGetReply(reader, &any) == REDIS_OK && any != NULL) {
		reply = any;
		is_get = strcmp(reply->element[0]->str, "GETRANGE") == 0;
		obey(client, reply->element, reply->elements);
		freeReplyObject(reply);
		s.is_to_hang_up = is_get && s.hangs_up;
	}
}

static void
on_said(struct bufferevent *client, void *arg)
{
	(void)arg;
	if (s.is_to_hang_up)
		shutdown(bufferevent_getfd(client), SHUT_WR);
	s.is_to_hang_up = false;
}

static void
on_gone(struct bufferevent *client, short what, void *arg)
{
	(void)client;
	(void)what;
	(void)arg;
	s.gone++;
}

static void
on_client(evutil_socket_t fd, short what, void *arg)
{
	int client = accept4((int)fd, NULL, NULL, SOCK_NONBLOCK), one = 1;
	struct bufferevent *bev;

	(void)what;
	(void)arg;
	assert_true(s.client_count < CLIENTS_MAX);
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	bev = bufferevent_socket_new(s.base, client, BEV_OPT_CLOSE_ON_FREE);
	s.clients[s.client_count] = bev;
	s.readers[s.client_count] = redisReaderCreate();
	bufferevent_setcb(
	    bev, on_command, on_said, on_gone, s.readers[s.client_count++]);
	bufferevent_enable(bev, EV_READ);
}

/* At any port, but at the one it had before where it had one. */
static void
begin_to_serve(void)
{
	struct sockaddr_in sin = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int one = 1;

	sin.sin_port = htons(s.port);
	s.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(s.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(s.fd, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(s.fd, 16), 0);
	assert_int_equal(getsockname(s.fd, (struct sockaddr *)&sin, &len), 0);
	s.port = ntohs(sin.sin_port);
	s.listener = event_new(
	    s.base, s.fd, EV_READ | EV_PERSIST, on_client, NULL);
	event_add(s.listener, NULL);
}

static void
drop_clients(void)
{
	while (s.client_count > 0) {
		bufferevent_free(s.clients[--s.client_count]);
		redisReaderFree(s.readers[s.client_count]);
	}
}

static void
stop_serving(void)
{
	drop_clients();
	event_free(s.listener);
	close(s.fd);
	s.listener = NULL;
}

/* The DNS. */

static struct {
	void (*done)(void *, const struct dns_answer *);
	void *arg;
	enum dns_type type;
	char name[DNS_NAME_MAX];
} asked[8];
static size_t asked_count;
static int dns_errno;

int
dns_ask(struct dns *dns, const char *name, enum dns_type type,
    void (*done)(void *, const struct dns_answer *), void *arg)
{
	(void)dns;
	if (dns_errno != 0) {
		errno = dns_errno;
		return -1;
	}
	assert_true(asked_count < COUNT(asked));
	asked[asked_count].done = done;
	asked[asked_count].arg = arg;
	asked[asked_count].type = type;
	strlcpy(asked[asked_count++].name, name, sizeof(asked[0].name));
	return 0;
}

/* To the oldest question. */
static void
tell(enum dns_status status, const char *first, const char *second)
{
	static struct dns_answer answer;
	const char *texts[] = {first, second};
	void (*done)(void *, const struct dns_answer *) = asked[0].done;
	void *arg = asked[0].arg;

	assert_true(asked_count > 0);
	memset(&answer, 0, sizeof(answer));
	answer.status = status;
	strlcpy(answer.why, status == DNS_FAILED ? "no\x01name" : "",
	    sizeof(answer.why));
	for (size_t i = 0; i < 2 && texts[i] != NULL; i++)
		address_from_text(
		    &answer.records[answer.count++].address, texts[i]);
	memmove(&asked[0], &asked[1], sizeof(asked) - sizeof(asked[0]));
	asked_count--;
	done(arg, &answer);
}

/* The one who asks. */

static struct shared *shared;
static char got[512]; /* "domain:text " or "- " */
static size_t got_count, want_count;

static void
on_got(void *arg, const struct state_policy *policy)
{
	size_t used = strlen(got);

	if (policy == NULL)
		strlcat(got, "- ", sizeof(got));
	else
		snprintf(got + used, sizeof(got) - used, "%s:%.*s ",
		    policy->domain, (int)policy->len, policy->text);
	got_count++;
	if (got_count == want_count)
		event_base_loopbreak(s.base);
	if (arg != NULL)
		assert_int_equal(shared_get(shared, arg, on_got, NULL), 0);
}

static void
on_hang(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	fail_msg("nothing came: %s; heard: %s", got, s.heard);
}

/* Until count more questions have their answers. */
static const char *
wait_for(size_t count)
{
	struct timeval limit = {.tv_sec = HANG};
	struct event *hang = evtimer_new(s.base, on_hang, NULL);

	got[0] = '\0';
	got_count = 0;
	want_count = count;
	evtimer_add(hang, &limit);
	event_base_dispatch(s.base);
	event_free(hang);
	return got;
}

static void
must_ask(const char *domain)
{
	size_t before = got_count;

	assert_int_equal(shared_get(shared, domain, on_got, NULL), 0);
	assert_int_equal(got_count, before);
}

static const char *
ask(const char *domain)
{
	must_ask(domain);
	return wait_for(1);
}

static void
open_shared(const char *format)
{
	char url[256], error[SHARED_ERROR_MAX];

	snprintf(url, sizeof(url), format, s.port);
	shared = shared_new(s.base, NULL, url, error);
	if (shared == NULL)
		fail_msg("%s", error);
}

static struct state_policy
policy_of(const char *domain, const char *text)
{
	struct state_policy policy = {
	    .id = "1",
	    .fetched = clock_wall(),
	    .expires = clock_wall() + 3600,
	    .len = strlen(text),
	    .text = text,
	};

	strlcpy(policy.domain, domain, sizeof(policy.domain));
	return policy;
}

static void
prepare(const char *domain, const char *text)
{
	static char value[SHARED_VALUE_MAX];
	struct state_policy policy = policy_of(domain, text);
	char key[SHARED_KEY_MAX];
	size_t len = shared_value_write(&policy, clock_wall(), value);

	keep(shared_key(domain, key), value, len);
}

static void
listen_to_log(void)
{
	s.said = tmpfile();
	s.stderr_fd = dup(STDERR_FILENO);
	dup2(fileno(s.said), STDERR_FILENO);
}

static const char *
what_was_logged(void)
{
	static char text[4096];
	size_t len;

	dup2(s.stderr_fd, STDERR_FILENO);
	close(s.stderr_fd);
	rewind(s.said);
	len = fread(text, 1, sizeof(text) - 1, s.said);
	text[len] = '\0';
	fclose(s.said);
	return text;
}

static void
assert_said_once(const char *part)
{
	const char *said = what_was_logged(), *end = strchr(said, '\n');

	if (end == NULL || end[1] != '\0' || strstr(said, part) == NULL)
		fail_msg("said: %s", said);
}

static int
setup(void **state)
{
	(void)state;
	memset(&s, 0, sizeof(s));
	asked_count = 0;
	dns_errno = 0;
	got[0] = '\0';
	got_count = 0;
	s.base = event_base_new();
	s.slow = evbuffer_new();
	s.turn = evtimer_new(s.base, on_turn, NULL);
	begin_to_serve();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	shared_free(shared);
	shared = NULL;
	if (s.listener != NULL)
		stop_serving();
	for (size_t i = 0; i < s.stored; i++)
		free(s.store[i].value);
	evbuffer_free(s.slow);
	event_free(s.turn);
	event_base_free(s.base);
	return 0;
}

/* As it should be. */

static void
test_found(void **state)
{
	(void)state;
	prepare("a.example", "text");
	open_shared("redis://me:s%%20t@127.0.0.1:%u/3");
	assert_string_equal(ask("a.example"), "a.example:text ");
	assert_string_equal(ask("b.example"), "- ");
	assert_string_equal(s.heard,
	    "AUTH me s t\nSELECT 3\nPING\n"
	    "GETRANGE postern:mta-sts:a.example 0 17216\n"
	    "GETRANGE postern:mta-sts:b.example 0 17216\n");
	assert_int_equal(s.client_count, 1);
}

static void
test_offered(void **state)
{
	static char text[STS_TEXT_MAX];
	struct state_policy policy = policy_of("a.example", "text");
	struct state_policy big = policy_of("big.example", "");

	(void)state;
	memset(text, 'x', sizeof(text));
	big.text = text;
	big.len = sizeof(text);
	open_shared("redis://:secret@127.0.0.1:%u");
	assert_string_equal(ask("a.example"), "- ");
	shared_put(shared, &policy);
	shared_put(shared, &big);
	assert_string_equal(ask("a.example"), "a.example:text ");
	assert_non_null(strstr(s.heard, "AUTH secret\nPING\nGETRANGE"));
	assert_non_null(
	    strstr(s.heard, "SET postern:mta-sts:a.example postern-sts"));
	assert_non_null(strstr(s.heard, " EX 36"));
	must_ask("big.example");
	wait_for(1);
	assert_int_equal(strlen(got), sizeof(got) - 1);
	assert_memory_equal(got, "big.example:xxx", 15);
}

/* Nobody has asked: it connects for the offer. */
static void
test_offered_unasked(void **state)
{
	struct state_policy policy = policy_of("a.example", "text");
	struct state_policy old = policy_of("b.example", "text");

	(void)state;
	open_shared("redis://127.0.0.1:%u");
	shared_put(shared, &policy);
	old.expires = clock_wall();
	shared_put(shared, &old);
	while (s.stored == 0)
		event_base_loop(s.base, EVLOOP_ONCE);
	assert_string_equal(ask("a.example"), "a.example:text ");
	assert_int_equal(s.stored, 1);
	assert_int_equal(s.client_count, 1);
}

/* Of offers that wait, some; and none that would wait for what is away. */
static void
test_offers_that_wait(void **state)
{
	struct state_policy policy = policy_of("a.example", "text");

	(void)state;
	s.is_mute = true; /* never up */
	open_shared("redis://127.0.0.1:%u");
	for (int i = 0; i < 2 * SHARED_WAITERS_MAX; i++)
		shared_put(shared, &policy);
	for (int i = 0; i < SHARED_WAITERS_MAX - SHARED_OFFERS_MAX; i++)
		must_ask("a.example");
	assert_int_equal(shared_get(shared, "a.example", on_got, NULL), -1);
	wait_for(SHARED_WAITERS_MAX - SHARED_OFFERS_MAX);
	/* It is away, and they are gone. */
	shared_put(shared, &policy);
	for (int i = 0; i < SHARED_WAITERS_MAX; i++)
		must_ask("a.example");
	wait_for(SHARED_WAITERS_MAX);
	assert_null(strstr(s.heard, "SET"));
}

static void
test_many_at_once(void **state)
{
	(void)state;
	prepare("a.example", "one");
	prepare("b.example", "two");
	open_shared("redis://127.0.0.1:%u");
	must_ask("a.example");
	must_ask("c.example");
	must_ask("b.example");
	assert_string_equal(wait_for(3), "a.example:one - b.example:two ");
	assert_int_equal(
	    shared_get(shared, "a.example", on_got, "b.example"), 0);
	assert_string_equal(wait_for(2), "a.example:one b.example:two ");
	assert_int_equal(s.client_count, 1);
}

static void
test_slow_bytes(void **state)
{
	(void)state;
	s.is_slow = true;
	prepare("a.example", "text\r\nmore");
	open_shared("redis://:secret@localhost:%u/1");
	assert_string_equal(ask("a.example"), "a.example:text\r\nmore ");
}

/* Servers close what is not used, and that is no news. */
static void
test_idle_close(void **state)
{
	(void)state;
	prepare("a.example", "text");
	open_shared("redis://127.0.0.1:%u");
	s.hangs_up = true;
	listen_to_log();
	for (int i = 0; i < 3; i++) {
		assert_string_equal(ask("a.example"), "a.example:text ");
		while (s.gone == i)
			event_base_loop(s.base, EVLOOP_ONCE);
	}
	assert_string_equal(what_was_logged(), "");
	assert_int_equal(s.client_count, 3);
}

/* Not at all. */

static void
test_away_and_back(void **state)
{
	(void)state;
	prepare("a.example", "text");
	stop_serving();
	open_shared("redis://:secret@127.0.0.1:%u");
	listen_to_log();
	must_ask("a.example");
	must_ask("b.example");
	assert_string_equal(wait_for(2), "- - ");
	assert_string_equal(ask("a.example"), "- ");
	assert_string_equal(ask("a.example"), "- ");
	assert_said_once("Connection refused");

	begin_to_serve();
	listen_to_log();
	while (strstr(s.heard, "PING") == NULL)
		event_base_loop(s.base, EVLOOP_ONCE);
	event_base_loop(s.base, EVLOOP_ONCE);
	/* Until it has heard the answer, too, nobody waits. */
	while (strcmp(ask("a.example"), "- ") == 0)
		continue;
	assert_string_equal(got, "a.example:text ");
	assert_said_once("is back");

	/* And away again, under a question. */
	s.is_mute = true;
	must_ask("a.example");
	listen_to_log();
	while (
	    strstr(strstr(s.heard, "PING"), "a.example 0 17216\nGETR") == NULL)
		event_base_loop(s.base, EVLOOP_ONCE);
	stop_serving();
	assert_string_equal(wait_for(1), "- ");
	assert_said_once("closed the connection");
}

static void
test_mute(void **state)
{
	int64_t before;

	(void)state;
	s.is_mute = true;
	open_shared("redis://127.0.0.1:%u");
	listen_to_log();
	before = clock_monotonic_ms();
	assert_string_equal(ask("a.example"), "- ");
	assert_said_once("in time");
	assert_in_range(clock_monotonic_ms() - before, SHARED_TIMEOUT_MS / 2,
	    SHARED_TIMEOUT_MS * 3);
	before = clock_monotonic_ms();
	assert_string_equal(ask("a.example"), "- ");
	assert_in_range(
	    clock_monotonic_ms() - before, 0, SHARED_TIMEOUT_MS / 2);
}

static void
test_mute_later(void **state)
{
	(void)state;
	open_shared("redis://127.0.0.1:%u");
	assert_string_equal(ask("a.example"), "- ");
	s.is_mute = true;
	listen_to_log();
	must_ask("a.example");
	must_ask("b.example");
	assert_string_equal(wait_for(2), "- - ");
	assert_said_once("does not answer in time");
}

static void
test_too_many(void **state)
{
	(void)state;
	s.is_mute = true;
	open_shared("redis://127.0.0.1:%u");
	for (int i = 0; i < SHARED_WAITERS_MAX; i++)
		must_ask("a.example");
	assert_int_equal(shared_get(shared, "a.example", on_got, NULL), -1);
	listen_to_log();
	wait_for(SHARED_WAITERS_MAX);
	assert_said_once("in time");
	must_ask("a.example");
}

static void
test_freed_with_questions(void **state)
{
	(void)state;
	open_shared("redis://127.0.0.1:%u");
	must_ask("a.example");
	shared_free(shared);
	open_shared("redis://name.example:%u");
	must_ask("a.example");
	shared_free(shared);
	shared = NULL;
	tell(DNS_FOUND, "127.0.0.1", NULL);
	tell(DNS_FOUND, "::1", NULL);
	event_base_loop(s.base, EVLOOP_NONBLOCK);
	assert_int_equal(got_count, 0);
	shared_free(NULL);
}

/* Badly. */

static void
test_bad_answers(void **state)
{
	static const struct {
		const char *answer;
		const char *said; /* "": nothing */
	} rows[] = {
	    {"$4\r\ntext\r\n", ""},
	    {"$-1\r\n", ""},
	    {"+OK\r\n", ""},
	    {":1\r\n", ""},
	    {"-WRONGTYPE \x1b[31m\r\n", "WRONGTYPE \\x1b[31m"},
	    {"*0\r\n", "does not speak"},
	    {"*-1\r\n", ""},
	    {"*1\r\n$1\r\na\r\n", "does not speak"},
	    {"*1000000000\r\n", "does not speak"},
	    {"*99999999999999999999\r\n", "does not speak"},
	    {"$-2\r\n", "does not speak"},
	    {"$x\r\n", "does not speak"},
	    {"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak"},
	    {"\r\n", "does not speak"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		s.answer = rows[i].answer;
		open_shared("redis://127.0.0.1:%u");
		listen_to_log();
		assert_string_equal(ask("a.example"), "- ");
		if (rows[i].said[0] == '\0')
			assert_string_equal(what_was_logged(), "");
		else
			assert_said_once(rows[i].said);
		shared_free(shared);
		shared = NULL;
		drop_clients();
	}
}

static void
test_unasked_answer(void **state)
{
	(void)state;
	s.answer = "$0\r\n\r\n+OK\r\n";
	open_shared("redis://127.0.0.1:%u");
	listen_to_log();
	assert_string_equal(ask("a.example"), "- ");
	while (ask("a.example"), s.client_count == 1)
		continue;
	what_was_logged();
}

static void
test_flood(void **state)
{
	static char flood[3 * REDIS_LINK_REPLY_MAX];
	static const char *const heads[] = {
	    "$1000000\r\n", "$9223372036854775807\r\n", "+", "-"};

	(void)state;
	for (size_t i = 0; i < COUNT(heads); i++) {
		memset(flood, 'x', sizeof(flood) - 1);
		memcpy(flood, heads[i], strlen(heads[i]));
		s.answer = flood;
		open_shared("redis://127.0.0.1:%u");
		listen_to_log();
		assert_string_equal(ask("a.example"), "- ");
		assert_non_null(strchr(what_was_logged(), '\n'));
		shared_free(shared);
		shared = NULL;
		drop_clients();
	}
}

static void
test_not_let_in(void **state)
{
	static const struct {
		const char *url, *greeting, *said;
	} rows[] = {
	    {"redis://:secret@127.0.0.1:%u", "-WRONGPASS invalid\r\n",
		"refuses user or password: WRONGPASS"},
	    {"redis://127.0.0.1:%u", "-NOAUTH Authentication required.\r\n",
		"refuses us: NOAUTH"},
	    {"redis://127.0.0.1:%u/99", "-ERR DB index\r\n",
		"refuses the database"},
	    {"redis://127.0.0.1:%u", "$4\r\nPONG\r\n", "refuses us"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		s.greeting = rows[i].greeting;
		open_shared(rows[i].url);
		listen_to_log();
		assert_string_equal(ask("a.example"), "- ");
		assert_string_equal(ask("a.example"), "- ");
		assert_null(strstr(what_was_logged(), "secret"));
		shared_free(shared);
		open_shared(rows[i].url);
		listen_to_log();
		assert_string_equal(ask("a.example"), "- ");
		assert_said_once(rows[i].said);
		shared_free(shared);
		shared = NULL;
		drop_clients();
	}
}

/* Names. */

static void
test_name(void **state)
{
	(void)state;
	prepare("a.example", "text");
	open_shared("redis://Redis.example:%u");
	must_ask("a.example");
	assert_int_equal(asked_count, 2);
	assert_string_equal(asked[0].name, "redis.example");
	assert_int_equal(asked[0].type, DNS_A);
	assert_int_equal(asked[1].type, DNS_AAAA);
	/* One address refuses: the next one is tried. */
	tell(DNS_FOUND, "127.0.0.2", "127.0.0.1");
	tell(DNS_FAILED, NULL, NULL);
	assert_string_equal(wait_for(1), "a.example:text ");
}

static void
test_no_address(void **state)
{
	(void)state;
	open_shared("redis://redis.example:%u");
	listen_to_log();
	must_ask("a.example");
	tell(DNS_NXDOMAIN, NULL, NULL);
	tell(DNS_NODATA, NULL, NULL);
	assert_string_equal(wait_for(1), "- ");
	assert_said_once("no address");
}

static void
test_failed_name(void **state)
{
	(void)state;
	open_shared("redis://redis.example:%u");
	listen_to_log();
	must_ask("a.example");
	tell(DNS_FAILED, NULL, NULL);
	tell(DNS_FAILED, NULL, NULL);
	assert_string_equal(wait_for(1), "- ");
	assert_said_once("no\\x01name");
}

static void
test_name_not_asked(void **state)
{
	(void)state;
	dns_errno = EAGAIN;
	open_shared("redis://redis.example:%u");
	listen_to_log();
	assert_string_equal(ask("a.example"), "- ");
	assert_said_once("looked up");
}

static void
test_name_too_late(void **state)
{
	(void)state;
	open_shared("redis://redis.example:%u");
	listen_to_log();
	assert_string_equal(ask("a.example"), "- ");
	assert_said_once("in time");
	tell(DNS_FOUND, "127.0.0.1", NULL);
	tell(DNS_FOUND, "::1", NULL);
	assert_int_equal(s.client_count, 0);
}

static void
test_bad_url(void **state)
{
	char error[SHARED_ERROR_MAX];

	(void)state;
	assert_null(shared_new(s.base, NULL, "redis://:secret@a..b", error));
	assert_string_equal(error,
	    "state: 'redis://***@a..b' has no valid host: a name, an IPv4 "
	    "address, or an IPv6 address in brackets");
}

/* From inside the jail. */

static int
asks_from_jail(void)
{
	static const char *const no_paths[] = {NULL};
	struct event_base *base = event_base_new();
	struct state_policy policy = policy_of("c.example", "text");
	const char *why;

	s.base = base;
	open_shared("redis://:secret@127.0.0.1:%u/1");
	if (sandbox_enter(SANDBOX_POLICY, no_paths, &why) == -1)
		return 1;
	if (strcmp(ask("a.example"), "a.example:text ") != 0)
		return 2;
	shared_put(shared, &policy);
	if (strcmp(ask("c.example"), "c.example:text ") != 0)
		return 3;
	return 0;
}

static void
on_child(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	event_base_loopbreak(s.base);
}

static void
test_jail(void **state)
{
	struct event *event;
	int status;
	pid_t pid;

	(void)state;
	prepare("a.example", "text");
	event = evsignal_new(s.base, SIGCHLD, on_child, NULL);
	event_add(event, NULL);
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0)
		_exit(asks_from_jail());
	event_base_dispatch(s.base);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	event_free(event);
	assert_int_equal(status, 0);
	assert_non_null(strstr(s.heard, "AUTH secret\nSELECT 1\nPING\n"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_found),
	    TEST(test_offered),
	    TEST(test_offered_unasked),
	    TEST(test_offers_that_wait),
	    TEST(test_many_at_once),
	    TEST(test_slow_bytes),
	    TEST(test_idle_close),
	    TEST(test_away_and_back),
	    TEST(test_mute),
	    TEST(test_mute_later),
	    TEST(test_too_many),
	    TEST(test_freed_with_questions),
	    TEST(test_bad_answers),
	    TEST(test_unasked_answer),
	    TEST(test_flood),
	    TEST(test_not_let_in),
	    TEST(test_name),
	    TEST(test_no_address),
	    TEST(test_failed_name),
	    TEST(test_name_not_asked),
	    TEST(test_name_too_late),
	    TEST(test_bad_url),
	    TEST(test_jail),
	};

	log_init("test", LOG_TO_STDERR, LOG_FORMAT_TEXT);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
