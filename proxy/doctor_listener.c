/* SPDX-License-Identifier: ISC */
/*
 * The sockets that connections are led to, as sock_diag(7) lists them: on the
 * loopback address of each family, one a relay.
 */

#include <sys/socket.h>

#include <linux/inet_diag.h>
#include <linux/sock_diag.h>

#include <libmnl/libmnl.h>
#include <netinet/in.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "proxy/doctor.h"

#define CHECK      "listener"
#define BUFFER     32768
#define TCP_LISTEN 10 /* enum of the kernel's net/tcp_states.h */

struct listeners {
	sa_family_t family;
	uint16_t port;
	size_t count;
	size_t opaque; /* of them, that are not transparent */
	size_t full; /* whose queue of new connections is full */
	bool has_stranger; /* one is not the wanted user's */
	uid_t wanted, stranger;
};

static bool
is_loopback(sa_family_t family, const __be32 *address)
{
	const uint32_t ipv4 = htonl(INADDR_LOOPBACK);

	if (family == AF_INET)
		return address[0] == ipv4;
	return memcmp(address, &in6addr_loopback, sizeof(in6addr_loopback)) ==
	       0;
}

/* An older kernel does not say: then it counts as transparent. */
static bool
is_transparent(const struct nlmsghdr *nlh)
{
	const struct inet_diag_sockopt *options;
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct inet_diag_msg))
	{
		if (mnl_attr_get_type(attr) != INET_DIAG_SOCKOPT ||
		    mnl_attr_get_payload_len(attr) < sizeof(*options))
			continue;
		options = mnl_attr_get_payload(attr);
		return options->transparent;
	}
	return true;
}

static int
read_socket(const struct nlmsghdr *nlh, void *arg)
{
	const struct inet_diag_msg *socket = mnl_nlmsg_get_payload(nlh);
	struct listeners *found = arg;

	if (socket->idiag_state != TCP_LISTEN ||
	    ntohs(socket->id.idiag_sport) != found->port ||
	    !is_loopback(found->family, socket->id.idiag_src))
		return MNL_CB_OK;
	found->count++;
	if (!is_transparent(nlh))
		found->opaque++;
	/* Of a listener: connections that wait, and how many may. */
	if (socket->idiag_wqueue > 0 &&
	    socket->idiag_rqueue >= socket->idiag_wqueue)
		found->full++;
	if (socket->idiag_uid != found->wanted) {
		found->has_stranger = true;
		found->stranger = socket->idiag_uid;
	}
	return MNL_CB_OK;
}

static int
dump(struct mnl_socket *nl, struct listeners *found)
{
	_Alignas(struct nlmsghdr) char buf[BUFFER];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct inet_diag_req_v2 *request;
	unsigned int port;
	ssize_t n;
	int r;

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = 1;
	request = mnl_nlmsg_put_extra_header(nlh, sizeof(*request));
	request->sdiag_family = (uint8_t)found->family;
	request->sdiag_protocol = IPPROTO_TCP;
	request->idiag_states = 1U << TCP_LISTEN;
	request->id.idiag_sport = htons(found->port);
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) == -1 ||
	    mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) == -1)
		return -1;
	port = mnl_socket_get_portid(nl);
	do {
		n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (n == -1)
			return -1;
		r = mnl_cb_run(buf, (size_t)n, 1, port, read_socket, found);
	} while (r > MNL_CB_STOP);
	return r == MNL_CB_ERROR ? -1 : 0;
}

static int
find(struct listeners *found)
{
	struct mnl_socket *nl;
	int ret, saved;

	if ((nl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC)) == NULL)
		return -1;
	ret = dump(nl, found);
	saved = errno;
	mnl_socket_close(nl);
	errno = saved;
	return ret;
}

/* There may be no listener where the loopback address is not there. */
static bool
has_loopback(sa_family_t family)
{
	struct sockaddr_in6 sin6 = {
	    .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in sin = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	bool has = false;
	int fd;

	if ((fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1)
		return false;
	if (family == AF_INET)
		has = bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0;
	else
		has = bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)) == 0;
	close(fd);
	return has;
}

/* `postern run` opens them, for its relays: its user, or root where unseen. */
static uid_t
wanted_user(const struct doctor *doctor)
{
	const struct proc_list *all = &doctor->processes;
	size_t i;

	for (i = 0; i < all->count; i++)
		if (all->list[i].is_run)
			return all->list[i].uid;
	return 0;
}

static void
judge(struct doctor *doctor, const struct listeners *found, const char *where)
{
	struct report *report = doctor->report;

	if (found->has_stranger) {
		report_fail(report, CHECK,
		    "%s belongs to user id %u, not to that of `postern run` "
		    "(%u)",
		    where, (unsigned int)found->stranger,
		    (unsigned int)found->wanted);
		report_remedy(report,
		    "another program has the port: `ss -ltnpe 'sport = :%u'`; "
		    "end it, or set listen_port",
		    found->port);
	}
	if (doctor->config->mode != CONFIG_LOCAL && found->opaque > 0) {
		report_fail(report, CHECK,
		    "%s is not transparent: it takes no connection to others",
		    where);
		report_remedy(
		    report, "restart postern as root, and in mode gateway");
	}
	if (found->full > 0) {
		report_fail(report, CHECK,
		    "%s: %zu of %zu take no connections, their queues are full",
		    where, found->full, found->count);
		report_remedy(report,
		    "the relays are stuck or have too much to do: see "
		    "`postern doctor`'s line on processes, and "
		    "limits.sessions");
	}
}

static void
check_family(struct doctor *doctor, sa_family_t family, const char *where)
{
	struct listeners found = {
	    .family = family,
	    .port = doctor->config->listen_port,
	    .wanted = wanted_user(doctor),
	};

	if (find(&found) == -1) {
		report_note(doctor->report, CHECK, "%s: sock_diag: %s", where,
		    strerror(errno));
		return;
	}
	if (found.count == 0 && !has_loopback(family)) {
		report_note(doctor->report, CHECK,
		    "%s is not there: postern does without, and the rules "
		    "refuse what needs it",
		    where);
		return;
	}
	if (found.count == 0) {
		report_fail(doctor->report, CHECK,
		    "nobody listens at %s port %u: connections are refused",
		    where, found.port);
		report_remedy(doctor->report,
		    "start or restart postern; with another listen_port than "
		    "it was started with, too");
		return;
	}
	judge(doctor, &found, where);
}

void
doctor_check_listener(struct doctor *doctor)
{
	check_family(doctor, AF_INET, "127.0.0.1");
	check_family(doctor, AF_INET6, "::1");
	if (report_count(doctor->report, CHECK) == 0)
		report_pass(doctor->report, CHECK, "127.0.0.1 and ::1, port %u",
		    doctor->config->listen_port);
}
