/* SPDX-License-Identifier: ISC */
/*
 * postern-relay: accepts what netfilter hands over and runs the sessions.  It
 * reads bytes from anyone, so its jail leaves it sockets and nothing else: no
 * file, no program, no privilege but the one to send in a client's name.
 */

#include <sys/socket.h>
#include <sys/tree.h>

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "netfilter/origin.h"
#include "proxy/base/child.h"
#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/sandbox.h"
#include "proxy/config.h"
#include "proxy/session/clients.h"
#include "proxy/session/endpoints.h"
#include "proxy/session/gate_client.h"
#include "proxy/session/hints.h"
#include "proxy/session/policy_client.h"
#include "proxy/session/reap.h"
#include "proxy/session/session.h"
#include "proxy/session/settings.h"
#include "proxy/session/verdict_cache.h"
#include "proxy/smtp/reply.h"
#include "proxy/tls/client.h"

#define LISTENERS_MAX    8
#define ACCEPTS_PER_TURN 32 /* then sessions get their turn */
#define ACCEPT_PAUSE_MS  500 /* while there are no descriptors */
#define MALLOC_KEEPS     (4 << 20) /* bytes */
/* Longer than the parent ever waits before it starts postern-policy again. */
#define POLICY_WAIT_S 45
/* For a gate that has ended to be found so, and started again. */
#define GATE_WAIT_S 2

/* A session, to be found for the drain. */
struct open {
	RB_ENTRY(open) node;
	struct session *session;
};
RB_HEAD(opens, open);

struct relay {
	struct event_base *base;
	struct child *child;
	struct settings *settings;
	struct session_context context;
	struct endpoints endpoints;
	struct event *listeners[LISTENERS_MAX]; /* own their fds */
	size_t listener_count;
	struct event *pause;
	struct clients *clients;
	struct opens opens;
	uint32_t sessions;
	bool is_ready;
	bool is_draining;
	bool gives_up; /* to be started again: see on_policy_wait */
	struct event *drain_timer;
	struct event *policy_wait;
	struct gate_client *gate;
	struct event *gate_wait;
	bool is_paused; /* without descriptors */
};

static int
open_compare(struct open *a, struct open *b)
{
	return a->session < b->session ? -1 : a->session > b->session;
}

/* The analyzer loses sight of what a tree holds. */
/* NOLINTBEGIN(clang-analyzer-unix.Malloc) */
RB_PROTOTYPE(opens, open, node, open_compare)
RB_GENERATE(opens, open, node, open_compare)
/* NOLINTEND(clang-analyzer-unix.Malloc) */

/* The gate keeps away what would only be turned away. */
static void
tell_gate_full(struct relay *relay)
{
	gate_client_full(relay->gate,
	    relay->is_draining || relay->is_paused || !relay->is_ready ||
		relay->sessions >= relay->settings->config->limits.sessions);
}

static void
tell_gate(struct relay *relay, const struct address *client)
{
	gate_client_sessions(
	    relay->gate, client, clients_sessions(relay->clients, client));
	tell_gate_full(relay);
}

/* The last session is gone and none will come: so does the process. */
static void
check_drained(struct relay *relay)
{
	if (!relay->is_draining || relay->sessions > 0)
		return;
	if (relay->gives_up)
		fatalx("ended, to be started with a channel to postern-policy");
	child_drained(relay->child);
}

static void
on_session_end(
    void *arg, struct session *session, const struct address *address)
{
	struct relay *relay = arg;
	struct open key = {.session = session}, *open;

	if ((open = RB_FIND(opens, &relay->opens, &key)) != NULL) {
		RB_REMOVE(opens, &relay->opens, open);
		free(open);
	}
	relay->sessions--;
	clients_end(relay->clients, address);
	tell_gate(relay, address);
	child_status(relay->child, relay->sessions);
	check_drained(relay);
}

/* A connection that gets no session still gets a reason, if it fits. */
static void
turn_away(
    int fd, const struct address *client, const char *status, const char *why)
{
	char reply[REPLY_FORMAT_MAX], text[ADDRESS_TEXT_MAX];
	size_t len;

	log_warnx("%s turned away: %s", address_text(client, text), why);
	len = reply_format(
	    reply, sizeof(reply), 421, status, "%s (postern)", why);
	(void)send(fd, reply, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static void
start_session(struct relay *relay, int fd, const struct address *peer,
    const struct address *origin, unsigned depth)
{
	struct open *open;

	if ((open = calloc(1, sizeof(*open))) == NULL ||
	    clients_begin(relay->clients, peer) == -1) {
		free(open);
		turn_away(fd, peer, "4.3.0", "out of memory");
		return;
	}
	/* Counted first: the session may end before session_new returns. */
	relay->sessions++;
	tell_gate(relay, peer);
	open->session = session_new(
	    &relay->context, relay->settings, fd, peer, origin, depth);
	if (open->session == NULL) {
		log_warn("cannot start a session");
		free(open);
		relay->sessions--;
		clients_end(relay->clients, peer);
		tell_gate(relay, peer);
		return;
	}
	/* NOLINTBEGIN(clang-analyzer-unix.Malloc): the trees have them */
	RB_INSERT(opens, &relay->opens, open);
	child_status(relay->child, relay->sessions);
}
/* NOLINTEND(clang-analyzer-unix.Malloc) */

static void
take_connection(struct relay *relay, int fd, const struct address *peer)
{
	const struct config *config = relay->settings->config;
	struct address origin;
	unsigned depth;

	if (origin_of(fd, config->mode == CONFIG_LOCAL, &origin) == -1) {
		turn_away(fd, peer, "4.4.6",
		    errno == EDESTADDRREQ
			? "this is postern itself, not a mail server"
			: "cannot tell where this connection was going");
		return;
	}
	depth = endpoints_depth(&relay->endpoints, peer, &origin);
	if (depth >= ENDPOINT_DEPTH_MAX) {
		turn_away(fd, peer, "4.4.6",
		    "routing loop: postern's own connection came back to it; "
		    "see whether the rules have its user and mark");
		return;
	}
	if (relay->sessions >= config->limits.sessions) {
		turn_away(
		    fd, peer, "4.3.2", "too many sessions (limits.sessions)");
		return;
	}
	if (clients_sessions(relay->clients, peer) >=
	    config->limits.sessions_per_client)
		turn_away(fd, peer, "4.7.0",
		    "too many sessions from this client "
		    "(limits.sessions_per_client)");
	else
		start_session(relay, fd, peer, &origin, depth);
}

static void
watch_listeners(struct relay *relay, bool on)
{
	size_t i;

	for (i = 0; i < relay->listener_count; i++)
		if (on)
			event_add(relay->listeners[i], NULL);
		else
			event_del(relay->listeners[i]);
}

static void
on_pause_end(evutil_socket_t fd, short what, void *arg)
{
	struct relay *relay = arg;

	(void)fd;
	(void)what;
	relay->is_paused = false;
	tell_gate_full(relay);
	watch_listeners(relay, true);
}

/*
 * Out of descriptors: the connections wait in the backlog, which is closed,
 * not open; accepting again at once would only spin.
 */
static void
pause_accepting(struct relay *relay)
{
	struct timeval tv = {.tv_usec = ACCEPT_PAUSE_MS * 1000L};

	log_warn("accept: waiting %d ms; raise LimitNOFILE or lower "
		 "limits.sessions",
	    ACCEPT_PAUSE_MS);
	watch_listeners(relay, false);
	relay->is_paused = true;
	tell_gate_full(relay);
	evtimer_add(relay->pause, &tv);
}

static void
on_accept(evutil_socket_t listener, short what, void *arg)
{
	struct relay *relay = arg;
	struct sockaddr_storage storage;
	struct address peer;
	socklen_t len;
	int fd, i;

	(void)what;
	for (i = 0; i < ACCEPTS_PER_TURN; i++) {
		len = sizeof(storage);
		fd = accept4((int)listener, (struct sockaddr *)&storage, &len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1) {
			if (errno == EMFILE || errno == ENFILE ||
			    errno == ENOBUFS || errno == ENOMEM)
				pause_accepting(relay);
			return;
		}
		if (address_from_sockaddr(&peer, (struct sockaddr *)&storage) ==
		    -1)
			close(fd);
		else
			take_connection(relay, fd, &peer);
	}
}

/* Ready once there are rules to judge by and somebody to ask. */
static void
check_ready(struct relay *relay)
{
	if (relay->is_ready || relay->settings == NULL ||
	    relay->listener_count == 0 ||
	    !policy_client_is_attached(relay->context.policy))
		return;
	relay->is_ready = true;
	watch_listeners(relay, true);
	tell_gate_full(relay);
	child_ready(relay->child);
}

static uint32_t
upstream_mark(const struct config *config)
{
	if (config->mode == CONFIG_BRIDGE)
		return config->mark; /* leads out by the bridge */
	return config->mode == CONFIG_LOCAL &&
	               config->own_connections == CONFIG_OWN_MARK
	           ? config->mark
	           : 0;
}

static int
on_config(void *arg, uint32_t generation, int fd)
{
	struct relay *relay = arg;
	struct config *config;
	struct settings *settings;
	const char *why;
	char error[STORE_ERROR_MAX];
	bool is_first = relay->settings == NULL;

	if ((config = config_from_fd(fd)) == NULL) {
		log_warn("cannot read the configuration");
		return -1;
	}
	if ((settings = settings_new(config, generation, error)) == NULL) {
		log_warnx("configuration not taken: %s", error);
		/* The one in force is still good. */
		return is_first ? -1 : 0;
	}
	settings_unref(relay->settings);
	relay->settings = settings;
	/* What was trusted, and who may receive, may have changed. */
	tls_client_forget(relay->context.tls);
	verdict_cache_forget(relay->context.verdicts);
	policy_client_forget(relay->context.policy);
	log_set_verbose(config->log.verbose);
	if (!is_first) {
		tell_gate_full(relay);
		return 0;
	}
	log_init("postern-relay", config->log.to, config->log.format);
	relay->context.mark = upstream_mark(config);
	if (sandbox_enter(SANDBOX_RELAY, (const char *const[]){NULL}, &why) ==
	    -1)
		fatal("cannot enter the sandbox: %s", why);
	return 0;
}

static int
on_listener(void *arg, int fd)
{
	struct relay *relay = arg;
	struct event *event;

	if (relay->listener_count == LISTENERS_MAX ||
	    (event = event_new(relay->base, fd, EV_READ | EV_PERSIST, on_accept,
		 relay)) == NULL) {
		close(fd);
		return -1;
	}
	relay->listeners[relay->listener_count++] = event;
	if (relay->is_ready)
		event_add(event, NULL);
	check_ready(relay);
	return 0;
}

static int
on_policy(void *arg, int fd)
{
	struct relay *relay = arg;

	if (policy_client_attach(relay->context.policy, fd) == -1) {
		log_warn("cannot take up the channel to postern-policy");
		return 0;
	}
	evtimer_del(relay->policy_wait);
	check_ready(relay);
	return 0;
}

static void
on_gate_lost(void *arg)
{
	static const struct timeval wait = {.tv_sec = GATE_WAIT_S};
	struct relay *relay = arg;

	if (!relay->is_draining)
		evtimer_add(relay->gate_wait, &wait);
}

/*
 * Without the channel the gate takes this relay for gone, and keeps from it
 * what comes.  Where the gate has ended, its successor brings another channel;
 * where it has not, the parent has to.
 */
static void
on_gate_wait(evutil_socket_t fd, short what, void *arg)
{
	struct relay *relay = arg;

	(void)fd;
	(void)what;
	if (!gate_client_is_attached(relay->gate) && !relay->is_draining)
		child_want_gate(relay->child);
}

static void
tell_client(void *arg, const struct address *client, uint32_t sessions)
{
	struct relay *relay = arg;

	gate_client_sessions(relay->gate, client, sessions);
}

static int
on_gate(void *arg, int fd)
{
	struct relay *relay = arg;

	if (gate_client_attach(relay->gate, fd) == -1)
		log_warn("cannot take up the channel to postern-gate");
	else
		clients_each(relay->clients, tell_client, relay);
	return 0;
}

/* Whatever port of the server is meant. */
static void
on_hint(void *arg, const struct address *address, const char *name,
    uint32_t seconds)
{
	struct relay *relay = arg;

	hints_guess(relay->context.hints, address, name,
	    clock_monotonic_ms() + (int64_t)seconds * 1000);
}

static const struct gate_client_handlers gate_handlers = {
    .hinted = on_hint,
    .lost = on_gate_lost,
};

static void
drain_all(struct relay *relay, bool is_now)
{
	struct open *open, *next;

	RB_FOREACH_SAFE (open, opens, &relay->opens, next)
		session_drain(open->session, is_now);
}

static void
on_drain_timeout(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	drain_all(arg, true);
}

static void
stop_accepting(struct relay *relay)
{
	struct timeval tv = {0};
	size_t i;

	evtimer_del(relay->pause);
	evtimer_del(relay->policy_wait);
	for (i = 0; i < relay->listener_count; i++) {
		evutil_socket_t fd = event_get_fd(relay->listeners[i]);

		event_free(relay->listeners[i]);
		close((int)fd);
	}
	relay->listener_count = 0;
	relay->is_draining = true;
	tell_gate_full(relay);
	if (relay->settings != NULL) {
		tv.tv_sec = relay->settings->config->timeouts.drain;
		evtimer_add(relay->drain_timer, &tv);
	}
}

static void
on_drain(void *arg, bool is_now)
{
	struct relay *relay = arg;

	if (!relay->is_draining)
		stop_accepting(relay);
	relay->gives_up = false; /* the parent wants it gone */
	drain_all(relay, is_now);
	check_drained(relay);
}

static void
on_policy_lost(void *arg)
{
	static const struct timeval wait = {.tv_sec = POLICY_WAIT_S};
	struct relay *relay = arg;

	if (!relay->is_draining)
		evtimer_add(relay->policy_wait, &wait);
}

/*
 * The channel to postern-policy closed and no other came.  So that process has
 * not ended, or its successor would have brought one: one of the two said what
 * the other could not read.  What cannot ask can let nobody through; started
 * again it can.
 */
static void
on_policy_wait(evutil_socket_t fd, short what, void *arg)
{
	struct relay *relay = arg;

	(void)fd;
	(void)what;
	log_warnx(
	    "no channel to postern-policy for %d s: ending", POLICY_WAIT_S);
	stop_accepting(relay);
	relay->gives_up = true;
	drain_all(relay, false);
	check_drained(relay);
}

static const struct child_handlers handlers = {
    .config = on_config,
    .listener = on_listener,
    .policy = on_policy,
    .gate = on_gate,
    .drain = on_drain,
};

/*
 * Buffers live from the first byte in them to the last, some microseconds in
 * the middle of a message.  malloc would give each back to the kernel, and
 * every page of the next would be faulted in anew.
 */
static void
keep_freed_memory(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, MALLOC_KEEPS);
	(void)mallopt(M_TRIM_THRESHOLD, MALLOC_KEEPS);
}

int
main(void)
{
	static struct relay relay;
	struct session_context *context = &relay.context;

	keep_freed_memory();
	if ((relay.base = event_base_new()) == NULL)
		fatalx("cannot make an event loop");
	RB_INIT(&relay.opens);
	endpoints_init(&relay.endpoints);
	context->base = relay.base;
	context->endpoints = &relay.endpoints;
	context->on_end = on_session_end;
	context->arg = &relay;
	relay.child = child_start(
	    relay.base, "postern-relay", &handlers, &relay);
	relay.pause = evtimer_new(relay.base, on_pause_end, &relay);
	relay.drain_timer = evtimer_new(relay.base, on_drain_timeout, &relay);
	relay.policy_wait = evtimer_new(relay.base, on_policy_wait, &relay);
	relay.gate_wait = evtimer_new(relay.base, on_gate_wait, &relay);
	if (relay.pause == NULL || relay.drain_timer == NULL ||
	    relay.policy_wait == NULL || relay.gate_wait == NULL ||
	    (context->reaper = reaper_new(relay.base)) == NULL ||
	    (context->tls = tls_client_new()) == NULL ||
	    (context->policy = policy_client_new(
		 relay.base, on_policy_lost, &relay)) == NULL ||
	    (context->verdicts = verdict_cache_new()) == NULL ||
	    (context->hints = hints_new()) == NULL ||
	    (relay.clients = clients_new()) == NULL ||
	    (relay.gate = gate_client_new(
		 relay.base, &gate_handlers, &relay)) == NULL)
		fatalx("out of memory");
	event_base_dispatch(relay.base);
	return 0;
}
