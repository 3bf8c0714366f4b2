/* SPDX-License-Identifier: ISC */
/*
 * postern-gate: says of each new connection what becomes of it, before
 * anything is accepted, and watches the DNS answers that pass for the names
 * that servers are likely to be called by.  It reads headers and DNS messages
 * from anyone, and must keep CAP_NET_ADMIN to give verdicts: so it has no
 * files, no program and no socket but those it opened before it locked itself
 * in.  Whatever becomes of it, the kernel lets no packet past an unread queue.
 */

#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "netfilter/admission.h"
#include "netfilter/dns_tap.h"
#include "netfilter/dns_watch.h"
#include "netfilter/gate_relays.h"
#include "netfilter/packet.h"
#include "netfilter/queue.h"
#include "netfilter/sources.h"
#include "proxy/base/child.h"
#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/sandbox.h"
#include "proxy/config.h"

#define INTERFACES_MAX 64 /* whose names are remembered */
#define INTERFACE_MS   1000 /* for so long: they can be renamed */
#define REASON_MAX     256
#define DNS_PORT       53
/* More than mail needs: each goes to every relay, and anybody may forge them.
 */
#define HINTS_PER_S 2000
/* For how long, at the start, packets wait for a relay that has room. */
#define START_WAIT_S 2

struct interface {
	uint32_t index; /* 0: a free place */
	int64_t until_ms;
	char name[IF_NAMESIZE];
};

struct gate {
	struct event_base *base;
	struct child *child;
	struct config *config;
	struct admission *admission;
	struct sources *sources;
	struct gate_relays *relays;
	struct dns_watch *watch;
	struct dns_tap *tap; /* NULL: nothing is watched */
	struct queue *queues[CONFIG_QUEUES_MAX];
	struct event *queue_events[CONFIG_QUEUES_MAX];
	size_t queue_count;
	struct event *start; /* what ends the wait; NULL: it is over */
	bool has_told_mark; /* that the rules know another */
	int64_t hints_from_ms; /* the second that hints are counted in */
	uint32_t hints;
	struct interface interfaces[INTERFACES_MAX];
};

static const char *
interface_name(struct gate *gate, uint32_t index, int64_t now_ms)
{
	struct interface *known = &gate->interfaces[index % INTERFACES_MAX];

	if (index == 0)
		return "";
	if (known->index == index && known->until_ms > now_ms)
		return known->name;
	known->index = index;
	known->until_ms = now_ms + INTERFACE_MS;
	if (if_indextoname(index, known->name) == NULL)
		known->name[0] = '\0';
	return known->name;
}

/* What is asked about, while it is. */
struct inquiry {
	struct packet packet;
	struct admission_word word;
	char reason[REASON_MAX]; /* why it is not let in */
	int64_t now_ms;
};

static void
say_rule(struct inquiry *inquiry, const char *kind,
    const struct admission_rule *rule)
{
	snprintf(inquiry->reason, sizeof(inquiry->reason),
	    "%s block \"%s\" (%s)", kind, rule->name, rule->origin);
}

/* Each client's limits, those of its block before the general ones. */
static bool
is_within_limits(struct gate *gate, struct inquiry *inquiry)
{
	const struct admission_rule *rule = inquiry->word.client;
	const struct address *client = &inquiry->packet.source;
	uint32_t rate = gate->config->limits.connection_rate;
	uint32_t sessions = gate->config->limits.sessions_per_client *
	                    (uint32_t)gate_relays_count(gate->relays);

	if (rule != NULL && rule->connection_rate != 0)
		rate = rule->connection_rate;
	if (rule != NULL && rule->sessions != 0)
		sessions = rule->sessions;
	if (inquiry->word.verdict == CONFIG_INTERCEPT &&
	    sources_sessions(gate->sources, client) >= sessions) {
		snprintf(inquiry->reason, sizeof(inquiry->reason),
		    "it has %u sessions already (%s)", sessions,
		    rule != NULL && rule->sessions != 0
			? rule->origin
			: "limits.sessions_per_client, of all relays");
		return false;
	}
	if (!sources_take(gate->sources, client, rate, inquiry->now_ms)) {
		snprintf(inquiry->reason, sizeof(inquiry->reason),
		    "more than %u new connections a second (%s)", rate,
		    rule != NULL && rule->connection_rate != 0
			? rule->origin
			: "limits.connection_rate");
		return false;
	}
	return true;
}

/* Refused before it is accepted, the sender turns to another MX at once. */
static bool
is_there_room(const struct gate *gate, struct inquiry *inquiry)
{
	const char *why = NULL;

	if (inquiry->word.verdict != CONFIG_INTERCEPT)
		return true;
	if (gate_relays_count(gate->relays) == 0)
		why = "no postern-relay serves now";
	else if (!gate_relays_have_room(gate->relays))
		why = "every postern-relay is full (limits.sessions)";
	else
		return true;
	strlcpy(inquiry->reason, why, sizeof(inquiry->reason));
	return false;
}

static bool
is_let_in(struct gate *gate, struct inquiry *inquiry)
{
	if (inquiry->word.destination != NULL)
		say_rule(inquiry, "destination", inquiry->word.destination);
	else if (inquiry->word.verdict == CONFIG_REJECT)
		say_rule(inquiry, "client", inquiry->word.client);
	else
		return is_there_room(gate, inquiry) &&
		       is_within_limits(gate, inquiry);
	return false;
}

static void
record(const char *verdict, const struct inquiry *inquiry, const char *reason,
    uint32_t unsaid)
{
	struct log_record line;
	char text[ADDRESS_TEXT_MAX];

	log_record_begin(&line, "admission");
	log_record_str(&line, "verdict", verdict);
	log_record_str(
	    &line, "client", address_text(&inquiry->packet.source, text));
	log_record_str(
	    &line, "server", address_text(&inquiry->packet.target, text));
	log_record_str(&line, "reason", reason);
	if (unsaid > 0)
		log_record_num(&line, "likewise", unsaid);
	log_record_end(&line);
}

static struct queue_answer
reject(struct gate *gate, const struct inquiry *inquiry, uint32_t mark)
{
	uint32_t unsaid;

	if (sources_may_tell(gate->sources, &inquiry->packet.source,
		inquiry->now_ms, &unsaid))
		record("reject", inquiry, inquiry->reason, unsaid);
	return (struct queue_answer){
	    QUEUE_REPEAT, true, mark | gate->config->mark};
}

/* Mail that goes out unseen is told of, each time. */
static struct queue_answer
exempt(struct gate *gate, struct inquiry *inquiry, uint32_t mark)
{
	say_rule(inquiry, "client", inquiry->word.client);
	record("exempt", inquiry, inquiry->reason, 0);
	return (struct queue_answer){
	    QUEUE_ACCEPT, true, mark | gate->config->mark};
}

/*
 * Refused once, and put to the gate again instead of being reset: rules that
 * know another mark would send it round for ever.
 */
static bool
came_back(struct gate *gate, const struct queue_packet *queued)
{
	if ((queued->mark & gate->config->mark) == 0)
		return false;
	if (!gate->has_told_mark)
		log_warnx("what is refused is dropped, not reset: the rules in "
			  "place are not for mark = 0x%x (postern rules apply "
			  "loads those that are)",
		    gate->config->mark);
	gate->has_told_mark = true;
	return true;
}

static struct queue_answer
judge(void *arg, const struct queue_packet *queued)
{
	static const struct queue_answer drop = {.verdict = QUEUE_DROP};
	static const struct queue_answer intercept = {.verdict = QUEUE_ACCEPT};
	struct gate *gate = arg;
	struct inquiry inquiry = {.now_ms = clock_monotonic_ms()};
	struct admission_packet asked;

	if (came_back(gate, queued))
		return drop;
	if (!packet_parse(queued->data, queued->len, &inquiry.packet) ||
	    inquiry.packet.protocol != IPPROTO_TCP ||
	    (inquiry.packet.tcp_flags & (PACKET_SYN | PACKET_ACK)) !=
		PACKET_SYN) {
		log_debug("a packet that is no connection's first: dropped");
		return drop;
	}
	asked = (struct admission_packet){
	    .source = inquiry.packet.source,
	    .target = inquiry.packet.target,
	    .interface = interface_name(
		gate, queued->interface, inquiry.now_ms),
	    .mark = queued->mark & ~gate->config->mark,
	};
	inquiry.word = admission_judge(gate->admission, &asked);
	if (!is_let_in(gate, &inquiry))
		return reject(gate, &inquiry, queued->mark);
	if (inquiry.word.verdict == CONFIG_EXEMPT)
		return exempt(gate, &inquiry, queued->mark);
	return intercept;
}

static bool
may_hint(struct gate *gate)
{
	const int64_t now_ms = clock_monotonic_ms();

	if (now_ms - gate->hints_from_ms >= 1000) {
		gate->hints_from_ms = now_ms;
		gate->hints = 0;
	}
	return gate->hints++ < HINTS_PER_S;
}

static void
on_hint(void *arg, const struct dns_hint *hint)
{
	struct gate *gate = arg;
	char text[ADDRESS_TEXT_MAX];

	if (!may_hint(gate))
		return;
	log_debug("hint: %s is %s", address_ip_text(&hint->address, text),
	    hint->name);
	gate_relays_hint(gate->relays, hint);
}

/* Over TCP, where the answer is one segment: its length stands before it. */
static void
on_answer(void *arg, const uint8_t *data, size_t len)
{
	struct gate *gate = arg;
	struct packet packet;
	const uint8_t *message;
	size_t message_len;

	if (!packet_parse(data, len, &packet) || !packet.is_whole ||
	    packet.source.port != DNS_PORT)
		return;
	message = packet.payload;
	message_len = packet.payload_len;
	if (packet.protocol == IPPROTO_TCP) {
		if (message_len < 2 ||
		    message_len - 2 != (size_t)(message[0] << 8 | message[1]))
			return;
		message += 2;
		message_len -= 2;
	}
	dns_watch_message(gate->watch, message, message_len,
	    clock_monotonic_ms(), on_hint, gate);
}

/* To lose the tap is to lose hints. */
static void
read_tap(struct gate *gate)
{
	if (gate->tap != NULL && dns_tap_read(gate->tap, on_answer, gate) == -1)
		log_warn("watching DNS answers");
}

static void
on_tap(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	read_tap(arg);
}

/*
 * A hint is there before the packet it is for.  No priority sees to that:
 * whoever floods the gate with answers would keep it from all else.
 */
static void
on_queue(evutil_socket_t fd, short what, void *arg)
{
	struct gate *gate = arg;
	size_t i;

	(void)what;
	read_tap(gate);
	for (i = 0; i < gate->queue_count; i++) {
		if (queue_fd(gate->queues[i]) != (int)fd)
			continue;
		if (queue_serve(gate->queues[i], judge, gate) == -1)
			fatal("queue %zu", gate->config->gate.queue + i);
	}
}

static struct event *
new_event(struct gate *gate, int fd, event_callback_fn callback)
{
	struct event *event;

	event = event_new(gate->base, fd, EV_READ | EV_PERSIST, callback, gate);
	if (event == NULL)
		fatalx("no event");
	return event;
}

/* From now on packets are judged. */
static void
serve(struct gate *gate)
{
	size_t i;

	if (gate->start == NULL)
		return;
	event_free(gate->start);
	gate->start = NULL;
	for (i = 0; i < gate->queue_count; i++)
		event_add(gate->queue_events[i], NULL);
}

/*
 * A gate that has just started knows of no relay, though they run: what comes
 * until they are heard of waits in the queue, instead of being refused.
 */
static void
on_told(void *arg)
{
	struct gate *gate = arg;

	if (gate_relays_have_room(gate->relays))
		serve(gate);
}

static void
on_start(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	serve(arg);
}

static void
open_queues(struct gate *gate)
{
	static const struct timeval wait = {.tv_sec = START_WAIT_S};
	const struct config *config = gate->config;
	char error[QUEUE_ERROR_MAX];
	struct queue *queue;
	uint32_t i;

	for (i = 0; i < config->gate.queues; i++) {
		queue = queue_open((uint16_t)(config->gate.queue + i), error);
		if (queue == NULL)
			fatalx("%s", error);
		gate->queue_events[gate->queue_count] = new_event(
		    gate, queue_fd(queue), on_queue);
		gate->queues[gate->queue_count++] = queue;
	}
	if ((gate->start = evtimer_new(gate->base, on_start, gate)) == NULL ||
	    evtimer_add(gate->start, &wait) == -1)
		fatalx("no timer");
}

static void
open_tap(struct gate *gate)
{
	char error[DNS_TAP_ERROR_MAX];

	if (!gate->config->gate.watch_dns)
		return;
	gate->tap = dns_tap_open((uint16_t)gate->config->gate.queue, error);
	if (gate->tap == NULL)
		log_warnx("no DNS answers are watched: %s", error);
	else
		event_add(new_event(gate, dns_tap_fd(gate->tap), on_tap), NULL);
}

static int
take_config(struct gate *gate, struct config *config)
{
	struct admission *admission;

	if ((admission = admission_new(config)) == NULL) {
		config_free(config);
		return -1;
	}
	admission_free(gate->admission);
	config_free(gate->config);
	gate->admission = admission;
	gate->config = config;
	log_set_verbose(config->log.verbose);
	return 0;
}

static int
on_config(void *arg, uint32_t generation, int fd)
{
	struct gate *gate = arg;
	const bool is_first = gate->config == NULL;
	struct config *config;
	const char *why;

	(void)generation;
	if ((config = config_from_fd(fd)) == NULL) {
		log_warn("cannot read the configuration");
		return -1;
	}
	if (take_config(gate, config) == -1) {
		log_warnx("configuration not taken: out of memory");
		return is_first ? -1 : 0; /* the one in force is still good */
	}
	if (!is_first)
		return 0;
	log_init("postern-gate", config->log.to, config->log.format);
	open_queues(gate);
	open_tap(gate);
	if (sandbox_enter(SANDBOX_GATE, (const char *const[]){NULL}, &why) ==
	    -1)
		fatal("cannot enter the sandbox: %s", why);
	child_ready(gate->child);
	return 0;
}

static int
on_relay(void *arg, int fd)
{
	struct gate *gate = arg;

	if (gate_relays_attach(gate->relays, fd) == -1)
		log_warn("cannot take up a channel to a relay");
	return 0;
}

/* Nothing is under way here; the parent has taken the queue away before. */
static void
on_drain(void *arg, bool is_now)
{
	struct gate *gate = arg;

	(void)is_now;
	child_drained(gate->child);
}

static const struct child_handlers handlers = {
    .config = on_config,
    .relay = on_relay,
    .drain = on_drain,
};

int
main(void)
{
	static struct gate gate;

	if ((gate.base = event_base_new()) == NULL)
		fatalx("cannot make an event loop");
	gate.child = child_start(gate.base, "postern-gate", &handlers, &gate);
	if ((gate.sources = sources_new()) == NULL ||
	    (gate.relays = gate_relays_new(
		 gate.base, gate.sources, on_told, &gate)) == NULL ||
	    (gate.watch = dns_watch_new()) == NULL)
		fatalx("out of memory");
	event_base_dispatch(gate.base);
	return 0;
}
