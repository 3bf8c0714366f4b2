/* SPDX-License-Identifier: ISC */
/*
 * What is offered to a server, and whose session is resumed with whom: both
 * ends in memory, without sockets.
 */

#include "proxy/tls/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/address.h"
#include "tests/unit/tls_server.h"

static SSL_CTX *server_ctx;
static struct tls_client *client;

/* One connection, and what the server saw of it. */
struct link {
	SSL *near;
	SSL *far;
	bool is_up;
};

static struct address
address_of(const char *ip, uint16_t port)
{
	struct address address;

	assert_int_equal(address_from_text(&address, ip), 0);
	address.port = port;
	return address;
}

/* What the links of a test are made with, but for address and SNI. */
static struct tls_target common;

static void
link_start(struct link *link, const struct address *to, const char *sni)
{
	struct tls_target target = common;
	BIO *near, *far;

	target.address = *to;
	target.sni = sni;
	link->is_up = false;
	link->near = tls_client_start(client, &target);
	link->far = SSL_new(server_ctx);
	assert_true(link->near != NULL && link->far != NULL);
	assert_int_equal(BIO_new_bio_pair(&near, 65536, &far, 65536), 1);
	SSL_set_bio(link->near, near, near);
	SSL_set_bio(link->far, far, far);
	SSL_set_accept_state(link->far);
}

/* The handshake, and every ticket that comes behind it. */
static void
link_run(struct link *link)
{
	int i, near = 0, far = 0;
	char byte;

	for (i = 0; i < 10 && (near != 1 || far != 1); i++) {
		near = SSL_do_handshake(link->near);
		far = SSL_do_handshake(link->far);
	}
	link->is_up = near == 1 && far == 1;
	if (link->is_up) {
		(void)SSL_write(link->far, "", 0);
		assert_int_equal(SSL_read(link->near, &byte, 1), -1);
	}
	ERR_clear_error();
}

static void
link_end(struct link *link)
{
	SSL_free(link->near);
	SSL_free(link->far);
}

/* Connects, and tells whether a session was resumed. */
static bool
resumes(const struct address *to, const char *sni)
{
	struct link link;
	bool is_resumed;

	link_start(&link, to, sni);
	link_run(&link);
	assert_true(link.is_up);
	is_resumed = SSL_session_reused(link.near) == 1;
	assert_int_equal(SSL_session_reused(link.far), is_resumed);
	/* Whoever it is, is judged by this, resumed or not. */
	assert_int_equal(
	    sk_CRYPTO_BUFFER_num(SSL_get0_peer_certificates(link.near)), 1);
	link_end(&link);
	return is_resumed;
}

static int
setup(void **state)
{
	(void)state;
	memset(&common, 0, sizeof(common));
	server_ctx = tls_server_new(false);
	client = tls_client_new();
	return client == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	tls_client_free(client);
	SSL_CTX_free(server_ctx);
	return 0;
}

/* CVE-2025-23419 and its kin: one server's session is no other one's. */
static void
test_resumed_by_server_and_name(void **state)
{
	const struct address a = address_of("192.0.2.1", 25);
	const struct address others[] = {
	    address_of("192.0.2.2", 25),
	    address_of("192.0.2.1", 587),
	    address_of("2001:db8::1", 25),
	};
	static const char *const names[] = {
	    NULL, "mx.b.example", "mx.a.example2", "x.mx.a.example"};
	size_t i;

	(void)state;
	assert_false(resumes(&a, "mx.a.example"));
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_false(resumes(&others[i], "mx.a.example"));
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_false(resumes(&a, names[i]));
	assert_true(resumes(&a, "mx.a.example"));
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_true(resumes(&others[i], "mx.a.example"));
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_true(resumes(&a, names[i]));
}

/* RFC 8446 C.4: two connections by one ticket are one client's. */
static void
test_session_is_used_once(void **state)
{
	const struct address a = address_of("192.0.2.1", 25);
	struct link first, second;

	(void)state;
	assert_false(resumes(&a, "mx.example"));
	link_start(&first, &a, "mx.example");
	link_start(&second, &a, "mx.example");
	link_run(&first);
	link_run(&second);
	assert_true(first.is_up && second.is_up);
	assert_int_equal(SSL_session_reused(first.near), 1);
	assert_int_equal(SSL_session_reused(second.near), 0);
	link_end(&first);
	link_end(&second);
	/* A server that gives one session only has given it. */
	assert_int_equal(SSL_CTX_set_num_tickets(server_ctx, 0), 1);
	assert_true(resumes(&a, "mx.example"));
	assert_false(resumes(&a, "mx.example"));
}

static void
test_forget(void **state)
{
	const struct address a = address_of("192.0.2.1", 25);
	const struct address b = address_of("192.0.2.2", 25);

	(void)state;
	assert_false(resumes(&a, "mx.example"));
	assert_false(resumes(&b, NULL));
	tls_client_forget(client);
	assert_false(resumes(&a, "mx.example"));
	assert_false(resumes(&b, NULL));
	assert_true(resumes(&a, "mx.example"));
}

/* Not for who is to be proved by something else. */
static void
test_19_policies_are_kept_apart(void **state)
{
	const struct address a = address_of("192.0.2.1", 25);

	(void)state;
	assert_false(resumes(&a, "mx.example"));
	common.policy[TLS_POLICY_LEN - 1] = 1;
	assert_false(resumes(&a, "mx.example"));
	assert_true(resumes(&a, "mx.example"));
	common.policy[TLS_POLICY_LEN - 1] = 0;
	assert_true(resumes(&a, "mx.example"));
}

static void
test_fresh(void **state)
{
	const struct address a = address_of("192.0.2.1", 25);
	struct tls_target target = {.address = a, .sni = "mx.example"};

	(void)state;
	assert_false(resumes(&a, "mx.example"));
	common.is_fresh = true;
	assert_false(resumes(&a, "mx.example"));
	common.is_fresh = false;
	assert_true(resumes(&a, "mx.example"));
	/* What is dropped is gone, and nothing else. */
	assert_false(resumes(&a, NULL));
	tls_client_drop(client, &target);
	assert_false(resumes(&a, "mx.example"));
	assert_true(resumes(&a, NULL));
	target.sni = NULL;
	tls_client_drop(client, &target);
	assert_false(resumes(&a, NULL));
}

/* The oldest makes room. */
static void
test_sessions_are_bounded(void **state)
{
	struct address a = address_of("192.0.2.1", 0);

	(void)state;
	for (a.port = 1; a.port <= TLS_SESSIONS_MAX + 1; a.port++)
		assert_false(resumes(&a, "mx.example"));
	a.port = 2;
	assert_true(resumes(&a, "mx.example"));
	a.port = 1;
	assert_false(resumes(&a, "mx.example"));
}

static void
test_name(void **state)
{
	static const char *const names[] = {NULL, "mx.example"};
	const struct address a = address_of("192.0.2.1", 25);
	const char *asked;
	struct link link;
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		link_start(&link, &a, names[i]);
		link_run(&link);
		asked = SSL_get_servername(link.far, TLSEXT_NAMETYPE_host_name);
		if (names[i] == NULL)
			assert_null(asked);
		else
			assert_string_equal(asked, names[i]);
		link_end(&link);
	}
}

/* A name that SNI cannot carry opens no connection at all. */
static void
test_name_that_is_none(void **state)
{
	struct tls_target target = {.address = address_of("192.0.2.1", 25)};
	char name[300];

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	target.sni = name;
	assert_null(tls_client_start(client, &target));
	target.sni = "";
	assert_null(tls_client_start(client, &target));
}

static int
on_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
    unsigned in_len, void *arg)
{
	(void)ssl;
	(void)out;
	(void)out_len;
	(void)in;
	(void)in_len;
	*(bool *)arg = true;
	return SSL_TLSEXT_ERR_NOACK;
}

/* CVE-2021-3618: what is offered is SMTP or nothing; here it is nothing. */
static void
test_offers_no_other_protocol(void **state)
{
	const struct address a = address_of("192.0.2.1", 25);
	bool was_offered = false;

	(void)state;
	SSL_CTX_set_alpn_select_cb(server_ctx, on_alpn, &was_offered);
	assert_false(resumes(&a, "mx.example"));
	assert_false(was_offered);
}

static bool
comes_up(const char *sni)
{
	const struct address a = address_of("192.0.2.1", 25);
	struct link link;

	tls_client_forget(client);
	link_start(&link, &a, sni);
	link_run(&link);
	link_end(&link);
	return link.is_up;
}

static void
test_versions(void **state)
{
	static const struct {
		uint16_t version;
		bool is_taken;
	} cases[] = {
	    {TLS1_VERSION, false},
	    {TLS1_1_VERSION, false},
	    {TLS1_2_VERSION, true},
	    {TLS1_3_VERSION, true},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		SSL_CTX_set_min_proto_version(server_ctx, TLS1_VERSION);
		SSL_CTX_set_max_proto_version(server_ctx, cases[i].version);
		SSL_CTX_set_min_proto_version(server_ctx, cases[i].version);
		assert_int_equal(comes_up("mx.example"), cases[i].is_taken);
	}
}

/* RFC 9325: no static RSA, no CBC, in TLS 1.2 either. */
static void
test_ciphers(void **state)
{
	static const struct {
		const char *cipher;
		bool is_taken;
	} cases[] = {
	    {"AES128-SHA", false},
	    {"AES128-GCM-SHA256", false},
	    {"ECDHE-RSA-AES128-SHA", false},
	    {"ECDHE-RSA-AES128-GCM-SHA256", true},
	    {"ECDHE-RSA-CHACHA20-POLY1305", true},
	};
	size_t i;

	(void)state;
	SSL_CTX_free(server_ctx);
	server_ctx = tls_server_new(true);
	SSL_CTX_set_max_proto_version(server_ctx, TLS1_2_VERSION);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(
		    SSL_CTX_set_strict_cipher_list(server_ctx, cases[i].cipher),
		    1);
		assert_int_equal(comes_up(NULL), cases[i].is_taken);
	}
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_resumed_by_server_and_name),
	    TEST(test_session_is_used_once),
	    TEST(test_forget),
	    TEST(test_sessions_are_bounded),
	    TEST(test_19_policies_are_kept_apart),
	    TEST(test_fresh),
	    TEST(test_19_policies_are_kept_apart),
	    TEST(test_fresh),
	    TEST(test_name),
	    TEST(test_name_that_is_none),
	    TEST(test_offers_no_other_protocol),
	    TEST(test_versions),
	    TEST(test_ciphers),
	};

	return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
