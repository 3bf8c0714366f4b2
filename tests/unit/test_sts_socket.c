/* SPDX-License-Identifier: ISC */
/* Sockets for libcurl, and what is known where there are none. */

#include "proxy/policy/sts_socket.h"

#include <sys/resource.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct sts_sockets sockets;
static char fault[256];

static int
setup(void **state)
{
	(void)state;
	memset(&sockets, 0, sizeof(sockets));
	return 0;
}

static curl_socket_t
open_to(const char *text)
{
	struct curl_sockaddr to = {.family = AF_INET,
	    .socktype = SOCK_STREAM,
	    .protocol = IPPROTO_TCP,
	    .addrlen = sizeof(struct sockaddr_in)};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(443)};

	assert_int_equal(inet_pton(AF_INET, text, &in.sin_addr), 1);
	memcpy(&to.addr, &in, sizeof(in));
	return sts_socket_open(&sockets, CURLSOCKTYPE_IPCXN, &to);
}

static const char *
told(void)
{
	sts_sockets_fault(&sockets, fault, sizeof(fault));
	return fault;
}

static void
test_route(void **state)
{
	curl_socket_t fd;

	(void)state;
	assert_false(sts_sockets_are_tried(&sockets));
	assert_string_equal(told(), "");
	fd = open_to("127.0.0.1");
	assert_int_not_equal(fd, CURL_SOCKET_BAD);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	assert_true(sts_sockets_are_tried(&sockets));
	assert_string_equal(told(), "");
}

/* A datagram socket may not be connected there; a stream libcurl may try. */
static void
test_no_route(void **state)
{
	curl_socket_t fd;

	(void)state;
	fd = open_to("255.255.255.255");
	assert_int_not_equal(fd, CURL_SOCKET_BAD);
	close(fd);
	assert_true(sts_sockets_are_tried(&sockets));
	assert_string_equal(
	    told(), "this machine has no route to any of its addresses");
	fd = open_to("127.0.0.1");
	close(fd);
	assert_string_equal(told(), "");
}

static void
test_no_descriptor(void **state)
{
	struct rlimit before, none;
	curl_socket_t fd;
	int saved;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	fd = open_to("127.0.0.1");
	saved = errno;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(fd, CURL_SOCKET_BAD);
	assert_int_equal(saved, EMFILE);
	assert_true(sts_sockets_are_tried(&sockets));
	assert_string_equal(
	    told(), "this machine has no socket for it: Too many open files");
	/* Another address does not make up for it: it was not all tried. */
	fd = open_to("127.0.0.1");
	close(fd);
	assert_string_equal(
	    told(), "this machine has no socket for it: Too many open files");
}

static void
test_no_family(void **state)
{
	struct curl_sockaddr to = {.family = AF_MAX, .socktype = SOCK_STREAM};

	(void)state;
	assert_int_equal(sts_socket_open(&sockets, CURLSOCKTYPE_IPCXN, &to),
	    CURL_SOCKET_BAD);
	assert_string_equal(
	    told(), "this machine has no route to any of its addresses");
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_route),
	    TEST(test_no_route),
	    TEST(test_no_descriptor),
	    TEST(test_no_family),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
