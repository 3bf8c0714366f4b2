/* SPDX-License-Identifier: ISC */
/*
 * syn SOURCE TARGET PORT RATE COUNT: sends that many first packets of TCP
 * connections at an even rate (0: as fast as it can), each from a port of its
 * own, and says how long the first answer to each took.  It opens no
 * connection: the host's own TCP answers what comes back with a reset.  Needs
 * CAP_NET_RAW.  Writes one line of JSON, times in microseconds.
 */

#include <sys/socket.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PORT_FIRST 2000
#define PORTS      60000 /* used in turns */
#define NS         1000000000LL
#define LINGER     NS /* for the last answers */

struct run {
	int fd;
	struct in_addr source;
	struct sockaddr_in target;
	int64_t sent_at[PORTS]; /* 0: answered, or never sent */
	int64_t *took; /* owned */
	size_t answered;
	size_t resets;
	size_t sent;
	size_t count;
};

static int64_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS + t.tv_nsec;
}

static uint32_t
add(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *at = data;

	for (; len > 1; at += 2, len -= 2)
		sum += (uint32_t)(at[0] << 8 | at[1]);
	return sum;
}

static uint16_t
checksum(const struct run *run, const struct tcphdr *tcp)
{
	uint32_t sum = IPPROTO_TCP + sizeof(*tcp);

	sum = add(sum, &run->source, 4);
	sum = add(sum, &run->target.sin_addr, 4);
	sum = add(sum, tcp, sizeof(*tcp));
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void
send_one(struct run *run)
{
	size_t slot = run->sent % PORTS;
	struct tcphdr tcp = {
	    .th_sport = htons((uint16_t)(PORT_FIRST + slot)),
	    .th_dport = run->target.sin_port,
	    .th_seq = htonl((uint32_t)run->sent * 2654435761U),
	    .th_off = sizeof(tcp) / 4,
	    .th_flags = TH_SYN,
	    .th_win = htons(64240),
	};
	struct sockaddr_in to = run->target;

	to.sin_port = 0; /* which a raw socket does not have */
	tcp.th_sum = checksum(run, &tcp);
	run->sent_at[slot] = now();
	if (sendto(run->fd, &tcp, sizeof(tcp), 0, (struct sockaddr *)&to,
		sizeof(to)) == -1 &&
	    errno != ENOBUFS && errno != EAGAIN)
		err(1, "sendto");
	run->sent++;
}

static void
take_answers(struct run *run)
{
	const struct tcphdr *tcp;
	const struct ip *ip;
	uint8_t packet[256];
	int64_t at;
	ssize_t n;
	size_t slot, head;

	while ((n = recv(run->fd, packet, sizeof(packet), MSG_DONTWAIT)) > 0) {
		at = now();
		ip = (const struct ip *)packet;
		head = (size_t)ip->ip_hl * 4;
		tcp = (const struct tcphdr *)(packet + head);
		if ((size_t)n < head + sizeof(*tcp) ||
		    ip->ip_src.s_addr != run->target.sin_addr.s_addr ||
		    tcp->th_sport != run->target.sin_port ||
		    ntohs(tcp->th_dport) < PORT_FIRST)
			continue;
		slot = (size_t)(ntohs(tcp->th_dport) - PORT_FIRST);
		if (slot >= PORTS || run->sent_at[slot] == 0)
			continue;
		run->resets += (tcp->th_flags & TH_RST) != 0;
		run->took[run->answered++] = at - run->sent_at[slot];
		run->sent_at[slot] = 0;
	}
}

static int
compare(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double
percentile(const struct run *run, unsigned int per_mille)
{
	size_t at;

	if (run->answered == 0)
		return 0;
	at = (run->answered - 1) * per_mille / 1000;
	return (double)run->took[at] / 1000;
}

static void
go(struct run *run, int64_t rate)
{
	const int64_t began = now();
	int64_t end;

	while (run->sent < run->count) {
		while (
		    rate > 0 && now() < began + (int64_t)run->sent * NS / rate)
			take_answers(run);
		send_one(run);
		if (rate == 0 && run->sent % 64 != 0)
			continue;
		take_answers(run);
	}
	end = now();
	while (run->answered < run->sent && now() < end + LINGER)
		take_answers(run);
	qsort(run->took, run->answered, sizeof(*run->took), compare);
	printf("{\"seconds\": %.6f, \"sent\": %zu, \"answered\": %zu, "
	       "\"resets\": %zu, \"p50\": %.1f, \"p99\": %.1f, "
	       "\"max\": %.1f}\n",
	    (double)(end - began) / (double)NS, run->sent, run->answered,
	    run->resets, percentile(run, 500), percentile(run, 990),
	    percentile(run, 1000));
}

static int64_t
number(const char *text, int64_t max)
{
	const char *why;
	int64_t value = strtonum(text, 0, max, &why);

	if (why != NULL)
		errx(2, "%s is %s", text, why);
	return value;
}

int
main(int argc, char *argv[])
{
	static struct run run;
	const int bytes = 16 << 20;
	int64_t rate;

	if (argc != 6)
		errx(2, "usage: syn SOURCE TARGET PORT RATE COUNT");
	run.target.sin_family = AF_INET;
	if (inet_pton(AF_INET, argv[1], &run.source) != 1 ||
	    inet_pton(AF_INET, argv[2], &run.target.sin_addr) != 1)
		errx(2, "not an IPv4 address");
	run.target.sin_port = htons((uint16_t)number(argv[3], UINT16_MAX));
	rate = number(argv[4], 100000000);
	run.count = (size_t)number(argv[5], 1000000000);
	if ((run.took = calloc(run.count + 1, sizeof(*run.took))) == NULL)
		err(1, NULL);
	run.fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP);
	if (run.fd == -1)
		err(1, "socket");
	(void)setsockopt(
	    run.fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	go(&run, rate);
	free(run.took);
	return 0;
}
