/* SPDX-License-Identifier: ISC */
/*
 * Sockets of an interception, without any: the listener's place, and what a
 * connection that nothing led to it looks like.  Real ones are made in
 * tests/e2e/test_rules.py.
 */

#include "netfilter/origin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const sa_family_t families[] = {AF_INET, AF_INET6};

static struct address
name_of(int fd)
{
	struct sockaddr_storage ss;
	struct address address;
	socklen_t len = sizeof(ss);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(
	    address_from_sockaddr(&address, (struct sockaddr *)&ss), 0);
	return address;
}

static int
option_of(int fd, int level, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, option, &value, &len), 0);
	return value;
}

static struct address
parse(const char *text)
{
	struct address address;

	assert_int_equal(address_from_text(&address, text), 0);
	return address;
}

/* Where the machine the tests run on has no such family. */
static bool
is_absent(int fd)
{
	return fd == -1 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL);
}

static void
test_listens_on_loopback_only(void **state)
{
	static const char *const own[] = {"127.0.0.1", "::1"};
	struct address expected, found;
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < 2; i++) {
		fd = origin_listen(families[i], 0, false, 0);
		if (i == 1 && is_absent(fd))
			continue;
		assert_int_not_equal(fd, -1);
		found = name_of(fd);
		expected = parse(own[i]);
		assert_true(address_ip_equal(&found, &expected));
		assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		assert_int_equal(option_of(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
		if (i == 1)
			assert_int_equal(
			    option_of(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
		close(fd);
	}
}

static void
test_many_listeners_share_a_port(void **state)
{
	uint16_t port;
	int one, other;

	(void)state;
	one = origin_listen(AF_INET, 0, false, 0);
	assert_int_not_equal(one, -1);
	port = name_of(one).port;
	other = origin_listen(AF_INET, port, false, 0);
	assert_int_not_equal(other, -1);
	assert_int_equal(name_of(other).port, port);
	close(one);
	close(other);
}

static void
test_listens_for_tproxy(void **state)
{
	int fd;

	(void)state;
	fd = origin_listen(AF_INET, 0, true, 0);
	if (fd == -1 && errno == EPERM)
		skip();
	assert_int_equal(option_of(fd, IPPROTO_IP, IP_TRANSPARENT), 1);
	close(fd);
	fd = origin_listen(AF_INET6, 0, true, 0);
	if (is_absent(fd))
		return;
	assert_int_equal(option_of(fd, IPPROTO_IPV6, IPV6_TRANSPARENT), 1);
	close(fd);
}

static void
test_unknown_family(void **state)
{
	(void)state;
	assert_int_equal(origin_listen(AF_UNIX, 10025, false, 0), -1);
	assert_int_equal(errno, EAFNOSUPPORT);
}

/* Dials a listener, by hand as it were, and accepts. */
static int
accept_from_here(int listener)
{
	struct pollfd pfd = {.fd = listener, .events = POLLIN};
	struct sockaddr_storage ss;
	struct address address = name_of(listener);
	socklen_t len = address_to_sockaddr(&address, &ss);
	int client, fd;

	client = socket(address.family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(poll(&pfd, 1, 10000), 1);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_int_not_equal(fd, -1);
	close(client);
	return fd;
}

static void
test_dialled_by_hand_has_no_origin(void **state)
{
	struct address origin;
	int listener, fd, is_redirected;
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		listener = origin_listen(families[i], 0, false, 0);
		if (i == 1 && is_absent(listener))
			continue;
		fd = accept_from_here(listener);
		for (is_redirected = 0; is_redirected < 2; is_redirected++) {
			memset(&origin, 0xff, sizeof(origin));
			errno = 0;
			assert_int_equal(
			    origin_of(fd, is_redirected, &origin), -1);
			assert_int_equal(errno, EDESTADDRREQ);
			assert_int_equal(origin.family, AF_UNSPEC);
		}
		close(fd);
		close(listener);
	}
}

static void
test_not_a_socket(void **state)
{
	struct address origin;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(origin_of(fd, false, &origin), -1);
	assert_int_equal(errno, ENOTSOCK);
	close(fd);
}

static void
test_dials_plainly(void **state)
{
	struct address dst = parse("192.0.2.1");
	int fd;

	(void)state;
	fd = origin_dial_socket(&dst, NULL, 0);
	assert_int_not_equal(fd, -1);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_DOMAIN), AF_INET);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_MARK), 0);
	assert_int_equal(option_of(fd, IPPROTO_IP, IP_TRANSPARENT), 0);
	close(fd);
}

static void
test_dials_in_the_clients_name(void **state)
{
	static const char *const pairs[][2] = {
	    {"192.0.2.1", "198.51.100.7"},
	    {"2001:db8::1", "2001:db8:1::7"},
	};
	struct address dst, source, found;
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < 2; i++) {
		dst = parse(pairs[i][0]);
		source = parse(pairs[i][1]);
		source.port = 4025; /* the client's own, which is taken */
		fd = origin_dial_socket(&dst, &source, 0x40);
		if (fd == -1 && errno == EPERM)
			skip();
		if (i == 1 && is_absent(fd))
			continue;
		assert_int_not_equal(fd, -1);
		found = name_of(fd);
		assert_true(address_ip_equal(&found, &source));
		assert_int_equal(found.port, 0);
		assert_int_equal(option_of(fd, SOL_SOCKET, SO_MARK), 0x40);
		close(fd);
	}
}

static void
test_dials_one_family(void **state)
{
	struct address dst = parse("192.0.2.1");
	struct address source = parse("2001:db8:1::7");

	(void)state;
	assert_int_equal(origin_dial_socket(&dst, &source, 0), -1);
	assert_int_equal(errno, EAFNOSUPPORT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_listens_on_loopback_only),
	    cmocka_unit_test(test_many_listeners_share_a_port),
	    cmocka_unit_test(test_listens_for_tproxy),
	    cmocka_unit_test(test_unknown_family),
	    cmocka_unit_test(test_dialled_by_hand_has_no_origin),
	    cmocka_unit_test(test_not_a_socket),
	    cmocka_unit_test(test_dials_plainly),
	    cmocka_unit_test(test_dials_in_the_clients_name),
	    cmocka_unit_test(test_dials_one_family),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
