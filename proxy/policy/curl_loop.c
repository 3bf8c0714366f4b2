/* SPDX-License-Identifier: ISC */
/*
 * libcurl's multi interface tells which sockets to watch and when to wake it.
 */

#include "proxy/policy/curl_loop.h"

#include <event2/event.h>
#include <stdlib.h>

struct curl_loop {
	struct event_base *base; /* borrowed */
	CURLM *multi; /* owned, as is the next */
	struct event *timer;
	void (*end)(void *, CURLcode);
};

static void
harvest(struct curl_loop *loop)
{
	CURLMsg *message;
	CURLcode code;
	char *transfer;
	int left;

	while ((message = curl_multi_info_read(loop->multi, &left)) != NULL) {
		if (message->msg != CURLMSG_DONE)
			continue;
		code = message->data.result;
		curl_easy_getinfo(
		    message->easy_handle, CURLINFO_PRIVATE, &transfer);
		loop->end(transfer, code);
	}
}

static void
act(struct curl_loop *loop, curl_socket_t fd, int flags)
{
	int running;

	curl_multi_socket_action(loop->multi, fd, flags, &running);
	harvest(loop);
}

static void
on_ready(evutil_socket_t fd, short what, void *arg)
{
	int flags = 0;

	if ((what & EV_READ) != 0)
		flags |= CURL_CSELECT_IN;
	if ((what & EV_WRITE) != 0)
		flags |= CURL_CSELECT_OUT;
	act(arg, fd, flags);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

/*
 * To say that it failed would end every transfer there is: where memory is
 * short, this one ends by its deadline.
 */
static int
on_watch(CURL *easy, curl_socket_t fd, int what, void *arg, void *watch)
{
	struct curl_loop *loop = arg;
	struct event *event = watch;
	short flags = EV_PERSIST;

	(void)easy;
	if (event != NULL)
		event_free(event);
	event = NULL;
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		flags |= EV_READ;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		flags |= EV_WRITE;
	if (what != CURL_POLL_REMOVE)
		event = event_new(loop->base, fd, flags, on_ready, loop);
	curl_multi_assign(loop->multi, fd, event);
	if (event != NULL)
		event_add(event, NULL);
	return 0;
}

static int
on_wake(CURLM *multi, long ms, void *arg)
{
	struct curl_loop *loop = arg;
	struct timeval wait;

	(void)multi;
	if (ms < 0) {
		evtimer_del(loop->timer);
		return 0;
	}
	wait.tv_sec = ms / 1000;
	wait.tv_usec = ms % 1000 * 1000;
	evtimer_add(loop->timer, &wait);
	return 0;
}

#define SET(option, value)                                                     \
	(curl_multi_setopt(loop->multi, (option), (value)) != CURLM_OK)

struct curl_loop *
curl_loop_new(struct event_base *base, void (*end)(void *, CURLcode))
{
	struct curl_loop *loop;

	if ((loop = calloc(1, sizeof(*loop))) == NULL)
		return NULL;
	loop->base = base;
	loop->end = end;
	loop->timer = evtimer_new(base, on_timer, loop);
	if (loop->timer == NULL ||
	    curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK ||
	    (loop->multi = curl_multi_init()) == NULL ||
	    SET(CURLMOPT_SOCKETFUNCTION, on_watch) ||
	    SET(CURLMOPT_SOCKETDATA, loop) ||
	    SET(CURLMOPT_TIMERFUNCTION, on_wake) ||
	    SET(CURLMOPT_TIMERDATA, loop)) {
		curl_loop_free(loop);
		return NULL;
	}
	return loop;
}

void
curl_loop_free(struct curl_loop *loop)
{
	if (loop == NULL)
		return;
	curl_multi_cleanup(loop->multi);
	if (loop->timer != NULL)
		event_free(loop->timer);
	free(loop);
}

int
curl_loop_add(struct curl_loop *loop, CURL *easy)
{
	return curl_multi_add_handle(loop->multi, easy) == CURLM_OK ? 0 : -1;
}

void
curl_loop_remove(struct curl_loop *loop, CURL *easy)
{
	curl_multi_remove_handle(loop->multi, easy);
}
