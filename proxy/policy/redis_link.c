/* SPDX-License-Identifier: ISC */
/*
 * The protocol is hiredis's, by its formatter and its reader; the connection
 * is not.  hiredis would resolve names by getaddrinfo(3), which reads files
 * and opens netlink sockets, and ends a connection whose socket options are
 * refused: neither does in a jail.
 *
 * The reader gets functions of ours to make replies, which make no arrays: no
 * command here is answered by one, and a count of elements is memory.
 */

#include "proxy/policy/redis_link.h"

#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/address.h"
#include "proxy/base/log.h"
#include "proxy/policy/redis_url.h"

/* The commands at the beginning, each to be answered by a status. */
enum greeting {
	GREETING_AUTH,
	GREETING_SELECT,
	GREETING_PING, /* also where there is nothing else to ask */
	GREETING_COUNT
};

struct redis_link {
	struct bufferevent *bev; /* owned */
	redisReader *reader; /* owned */
	const struct redis_url *url; /* borrowed, as are the next two */
	const struct redis_link_hooks *hooks;
	void *arg;
	enum greeting greetings[GREETING_COUNT];
	size_t greeting_count, greeted;
	bool is_connected;
	size_t open; /* commands without an answer, greetings apart */
};

/* Replies. */

static struct redis_answer *
make_answer(enum redis_reply_kind kind, const char *text, size_t len)
{
	struct redis_answer *answer;

	if ((answer = malloc(sizeof(*answer) + len + 1)) == NULL)
		return NULL;
	answer->kind = kind;
	answer->len = len;
	if (len > 0)
		memcpy(answer->text, text, len);
	answer->text[len] = '\0';
	return answer;
}

static void *
make_string(const redisReadTask *task, char *text, size_t len)
{
	switch (task->type) {
	case REDIS_REPLY_STRING:
		return make_answer(REDIS_TEXT, text, len);
	case REDIS_REPLY_STATUS:
		return make_answer(REDIS_DONE, text, len);
	case REDIS_REPLY_ERROR:
		return make_answer(REDIS_REFUSED, text, len);
	default:
		return make_answer(REDIS_OTHER, "", 0);
	}
}

static void *
make_array(const redisReadTask *task, int elements)
{
	(void)task;
	(void)elements;
	return NULL;
}

static void *
make_integer(const redisReadTask *task, long long value)
{
	(void)task;
	(void)value;
	return make_answer(REDIS_OTHER, "", 0);
}

static void *
make_nil(const redisReadTask *task)
{
	(void)task;
	return make_answer(REDIS_NOTHING, "", 0);
}

static redisReplyObjectFunctions makers = {
    .createString = make_string,
    .createArray = make_array,
    .createInteger = make_integer,
    .createNil = make_nil,
    .freeObject = free,
};

/* The end; the caller must not touch the link afterwards. */

static void __attribute__((format(printf, 3, 4)))
go_down(struct redis_link *link, bool may_try_next, const char *format, ...)
{
	char why[REDIS_LINK_WHY_MAX];
	va_list ap;

	bufferevent_disable(link->bev, EV_READ | EV_WRITE);
	va_start(ap, format);
	vsnprintf(why, sizeof(why), format, ap);
	va_end(ap);
	link->hooks->down(link->arg, why, may_try_next);
}

/* The greeting. */

static int
send_words(
    struct redis_link *link, const struct redis_word *words, size_t count)
{
	struct evbuffer *output = bufferevent_get_output(link->bev);
	const char *texts[REDIS_LINK_WORDS_MAX];
	size_t lens[REDIS_LINK_WORDS_MAX];
	char *command;
	int len, r;

	if (count > REDIS_LINK_WORDS_MAX ||
	    evbuffer_get_length(output) > REDIS_LINK_OUTPUT_MAX)
		return -1;
	for (size_t i = 0; i < count; i++) {
		texts[i] = words[i].text;
		lens[i] = words[i].len;
	}
	len = redisFormatCommandArgv(&command, (int)count, texts, lens);
	if (len < 0)
		return -1;
	r = evbuffer_add(output, command, (size_t)len);
	explicit_bzero(command, (size_t)len); /* there may be a password */
	redisFreeCommand(command);
	return r;
}

static struct redis_word
word(const char *text)
{
	return (struct redis_word){text, strlen(text)};
}

static int
send_greeting(struct redis_link *link, enum greeting greeting)
{
	const struct redis_url *url = link->url;
	struct redis_word words[3];
	size_t count = 0;
	char db[16];

	switch (greeting) {
	case GREETING_AUTH:
		words[count++] = word("AUTH");
		if (url->user[0] != '\0')
			words[count++] = word(url->user);
		words[count++] = word(url->password);
		break;
	case GREETING_SELECT:
		snprintf(db, sizeof(db), "%u", url->db);
		words[count++] = word("SELECT");
		words[count++] = word(db);
		break;
	case GREETING_PING:
		words[count++] = word("PING");
		break;
	case GREETING_COUNT:
		break;
	}
	link->greetings[link->greeting_count++] = greeting;
	return send_words(link, words, count);
}

static void
greet(struct redis_link *link)
{
	int one = 1;

	/* A question is not to wait until the last one was acknowledged. */
	setsockopt(bufferevent_getfd(link->bev), IPPROTO_TCP, TCP_NODELAY, &one,
	    sizeof(one));
	link->is_connected = true;
	if ((link->url->password[0] != '\0' &&
		send_greeting(link, GREETING_AUTH) == -1) ||
	    (link->url->db != 0 &&
		send_greeting(link, GREETING_SELECT) == -1) ||
	    send_greeting(link, GREETING_PING) == -1)
		go_down(link, false, "out of memory");
}

/* False: the link is over. */
static bool
on_greeted(struct redis_link *link, const struct redis_answer *answer)
{
	static const char *const whys[GREETING_COUNT] = {
	    [GREETING_AUTH] = "it refuses user or password",
	    [GREETING_SELECT] = "it refuses the database",
	    [GREETING_PING] = "it refuses us",
	};
	enum greeting greeting = link->greetings[link->greeted++];
	char text[REDIS_LINK_WHY_MAX / 2];
	size_t len = answer->len;

	if (answer->kind == REDIS_DONE) {
		if (greeting == GREETING_PING)
			link->hooks->up(link->arg);
		return true;
	}
	if (len > 30) /* its length is the server's choice */
		len = 30;
	go_down(link, false, "%s: %s", whys[greeting],
	    log_escape(text, sizeof(text), answer->text, len));
	return false;
}

/* Reading. */

/* False: the link is over. */
static bool
on_answer(struct redis_link *link, const struct redis_answer *answer)
{
	if (link->greeted < link->greeting_count)
		return on_greeted(link, answer);
	if (link->open == 0) {
		go_down(link, false, "it answers what nobody asked");
		return false;
	}
	link->open--;
	link->hooks->answer(link->arg, answer);
	return true;
}

static bool
read_answers(struct redis_link *link)
{
	void *answer;
	bool goes_on;

	for (;;) {
		if (redisReaderGetReply(link->reader, &answer) != REDIS_OK) {
			go_down(link, false, "it does not speak as a Redis");
			return false;
		}
		if (answer == NULL)
			return true;
		goes_on = on_answer(link, answer);
		free(answer);
		if (!goes_on)
			return false;
	}
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct redis_link *link = arg;
	struct evbuffer *input = bufferevent_get_input(bev);
	struct evbuffer_iovec piece;

	while (evbuffer_peek(input, -1, NULL, &piece, 1) > 0 &&
	       piece.iov_len > 0) {
		if (piece.iov_len > REDIS_LINK_REPLY_MAX)
			piece.iov_len = REDIS_LINK_REPLY_MAX;
		if (redisReaderFeed(link->reader, piece.iov_base,
			piece.iov_len) != REDIS_OK) {
			go_down(link, false, "out of memory");
			return;
		}
		evbuffer_drain(input, piece.iov_len);
		if (!read_answers(link))
			return;
		if (link->reader->len - link->reader->pos >
		    REDIS_LINK_REPLY_MAX) {
			go_down(link, false, "it sends too long a reply");
			return;
		}
	}
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct redis_link *link = arg;
	int error = EVUTIL_SOCKET_ERROR();

	(void)bev;
	if ((what & BEV_EVENT_CONNECTED) != 0)
		greet(link);
	else if ((what & BEV_EVENT_EOF) != 0)
		go_down(link, false, "it closed the connection");
	else if ((what & BEV_EVENT_ERROR) != 0)
		go_down(link, !link->is_connected, "%s", strerror(error));
}

/* Life. */

int
redis_link_send(
    struct redis_link *link, const struct redis_word *words, size_t count)
{
	if (send_words(link, words, count) == -1)
		return -1;
	link->open++;
	return 0;
}

static int
begin_to_connect(struct redis_link *link, const struct address *address)
{
	struct sockaddr_storage ss;
	socklen_t len = address_to_sockaddr(address, &ss);
	evutil_socket_t fd;

	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    IPPROTO_TCP);
	if (fd == -1)
		return -1;
	/* From here on it is the bufferevent's to close. */
	if (bufferevent_setfd(link->bev, fd) == -1) {
		close(fd);
		return -1;
	}
	bufferevent_setcb(link->bev, on_read, NULL, on_event, link);
	if (bufferevent_enable(link->bev, EV_READ | EV_WRITE) == -1)
		return -1;
	return bufferevent_socket_connect(
	    link->bev, (struct sockaddr *)&ss, (int)len);
}

struct redis_link *
redis_link_new(struct event_base *base, const struct address *address,
    const struct redis_url *url, const struct redis_link_hooks *hooks,
    void *arg)
{
	struct redis_link *link;
	int saved;

	if ((link = calloc(1, sizeof(*link))) == NULL)
		return NULL;
	link->url = url;
	link->hooks = hooks;
	link->arg = arg;
	errno = ENOMEM;
	link->reader = redisReaderCreateWithFunctions(&makers);
	/* Deferred: nobody hears of a failure before this has returned. */
	link->bev = bufferevent_socket_new(
	    base, -1, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (link->reader == NULL || link->bev == NULL ||
	    begin_to_connect(link, address) == -1) {
		saved = errno;
		redis_link_free(link);
		errno = saved;
		return NULL;
	}
	return link;
}

void
redis_link_free(struct redis_link *link)
{
	if (link == NULL)
		return;
	if (link->bev != NULL) {
		/* A callback that is put off must not find the link gone. */
		bufferevent_setcb(link->bev, NULL, NULL, NULL, NULL);
		bufferevent_free(link->bev);
	}
	if (link->reader != NULL)
		redisReaderFree(link->reader);
	free(link);
}
