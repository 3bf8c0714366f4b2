/* SPDX-License-Identifier: ISC */
/*
 * Knows the TLS parameters that postern offers a server, and keeps sessions
 * for resumption by server address, port, SNI and policy.  A session is used
 * once (RFC 8446 C.4), so that an observer cannot link connections by it.
 */

#include "proxy/tls/client.h"

#include <sys/queue.h>
#include <sys/tree.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>

#include "proxy/base/address.h"
#include "proxy/base/log.h"

/* Forward secrecy and authenticated encryption only (RFC 9325 4.2). */
static const char cipher_list[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

#ifdef SSL_GROUP_X25519_MLKEM768
static const char group_list[] = "X25519MLKEM768:X25519:P-256:P-384";
#else
static const char group_list[] = "X25519:P-256:P-384";
#endif

static const uint16_t signature_algorithms[] = {
    SSL_SIGN_ECDSA_SECP256R1_SHA256,
    SSL_SIGN_RSA_PSS_RSAE_SHA256,
    SSL_SIGN_RSA_PKCS1_SHA256,
    SSL_SIGN_ECDSA_SECP384R1_SHA384,
    SSL_SIGN_RSA_PSS_RSAE_SHA384,
    SSL_SIGN_RSA_PKCS1_SHA384,
    SSL_SIGN_ED25519,
    SSL_SIGN_RSA_PSS_RSAE_SHA512,
    SSL_SIGN_RSA_PKCS1_SHA512,
};

/* A resumable session and whose it is. */
struct saved {
	RB_ENTRY(saved) node;
	TAILQ_ENTRY(saved) age;
	struct tls_target target;
	char *sni; /* owned; "" for none */
	SSL_SESSION *session; /* owned */
};
RB_HEAD(saved_tree, saved);

struct tls_client {
	SSL_CTX *ctx;
	CRYPTO_BUFFER_POOL *pool; /* one copy of each certificate */
	struct saved_tree tree;
	TAILQ_HEAD(saved_list, saved) ages; /* oldest first */
	size_t count;
};

/* Rides on the SSL: where a new session of it belongs. */
struct destination {
	struct tls_client *client; /* borrowed; outlives its connections */
	struct tls_target target;
	char sni[];
};

static int destination_index = -1;

static int
saved_compare(struct saved *a, struct saved *b)
{
	int order;

	if ((order = address_compare(&a->target.address, &b->target.address)) !=
		0 ||
	    (order = memcmp(
		 a->target.policy, b->target.policy, TLS_POLICY_LEN)) != 0)
		return order;
	return strcmp(a->sni, b->sni);
}

RB_PROTOTYPE(saved_tree, saved, node, saved_compare)
RB_GENERATE(saved_tree, saved, node, saved_compare)

static void
saved_drop(struct tls_client *client, struct saved *saved)
{
	RB_REMOVE(saved_tree, &client->tree, saved);
	TAILQ_REMOVE(&client->ages, saved, age);
	client->count--;
	SSL_SESSION_free(saved->session);
	free(saved->sni);
	free(saved);
}

static struct saved *
saved_find(
    struct tls_client *client, const struct tls_target *target, char *sni)
{
	struct saved key = {.target = *target, .sni = sni};

	return RB_FIND(saved_tree, &client->tree, &key);
}

/* Takes the session over, as BoringSSL asks, by returning 1. */
static int
on_new_session(SSL *ssl, SSL_SESSION *session)
{
	struct destination *to = SSL_get_ex_data(ssl, destination_index);
	struct tls_client *client;
	struct saved *saved;

	if (to == NULL)
		return 0;
	client = to->client;
	if ((saved = saved_find(client, &to->target, to->sni)) != NULL)
		saved_drop(client, saved);
	if (client->count >= TLS_SESSIONS_MAX)
		saved_drop(client, TAILQ_FIRST(&client->ages));
	if ((saved = calloc(1, sizeof(*saved))) == NULL)
		return 0;
	if ((saved->sni = strdup(to->sni)) == NULL) {
		free(saved);
		return 0;
	}
	saved->target = to->target;
	saved->session = session;
	RB_INSERT(saved_tree, &client->tree, saved);
	TAILQ_INSERT_TAIL(&client->ages, saved, age);
	client->count++;
	return 1;
}

static void
destination_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index,
    long argl, void *argp)
{
	(void)parent;
	(void)ad;
	(void)index;
	(void)argl;
	(void)argp;
	free(ptr);
}

/* The handshake proves possession of the key only; see the header. */
static enum ssl_verify_result_t
accept_any(SSL *ssl, uint8_t *alert)
{
	(void)ssl;
	(void)alert;
	return ssl_verify_ok;
}

static int
configure(struct tls_client *client)
{
	SSL_CTX *ctx = client->ctx;

	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_strict_cipher_list(ctx, cipher_list) != 1 ||
	    SSL_CTX_set1_curves_list(ctx, group_list) != 1 ||
	    SSL_CTX_set_verify_algorithm_prefs(ctx, signature_algorithms,
		sizeof(signature_algorithms) /
		    sizeof(signature_algorithms[0])) != 1)
		return -1;
	SSL_CTX_set_custom_verify(ctx, SSL_VERIFY_PEER, accept_any);
	SSL_CTX_set_session_cache_mode(
	    ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_new_session);
	SSL_CTX_set0_buffer_pool(ctx, client->pool);
	return 0;
}

struct tls_client *
tls_client_new(void)
{
	struct tls_client *client;

	if (destination_index == -1)
		destination_index = SSL_get_ex_new_index(
		    0, NULL, NULL, NULL, destination_free);
	if ((client = calloc(1, sizeof(*client))) == NULL)
		return NULL;
	RB_INIT(&client->tree);
	TAILQ_INIT(&client->ages);
	client->pool = CRYPTO_BUFFER_POOL_new();
	client->ctx = SSL_CTX_new(TLS_with_buffers_method());
	if (destination_index == -1 || client->pool == NULL ||
	    client->ctx == NULL || configure(client) == -1) {
		log_warnx("TLS cannot be set up: %s",
		    ERR_reason_error_string(ERR_get_error()));
		tls_client_free(client);
		errno = ENOMEM;
		return NULL;
	}
	return client;
}

void
tls_client_forget(struct tls_client *client)
{
	struct saved *saved;

	while ((saved = TAILQ_FIRST(&client->ages)) != NULL)
		saved_drop(client, saved);
}

void
tls_client_free(struct tls_client *client)
{
	if (client == NULL)
		return;
	tls_client_forget(client);
	SSL_CTX_free(client->ctx);
	CRYPTO_BUFFER_POOL_free(client->pool);
	free(client);
}

void
tls_client_drop(struct tls_client *client, const struct tls_target *target)
{
	char none[] = "", *sni = none, *copy = NULL;
	struct saved *saved;

	if (target->sni != NULL && (sni = copy = strdup(target->sni)) == NULL) {
		/* What cannot be looked for goes with all the others. */
		tls_client_forget(client);
		return;
	}
	if ((saved = saved_find(client, target, sni)) != NULL)
		saved_drop(client, saved);
	free(copy);
}

/* Offers the session that is kept for where the connection goes. */
static void
resume(struct tls_client *client, SSL *ssl, struct destination *to)
{
	struct saved *saved = saved_find(client, &to->target, to->sni);

	if (saved == NULL)
		return;
	if (!to->target.is_fresh)
		SSL_set_session(ssl, saved->session);
	saved_drop(client, saved);
}

struct ssl_st *
tls_client_start(struct tls_client *client, const struct tls_target *target)
{
	const char *sni = target->sni;
	struct destination *to = NULL;
	SSL *ssl;
	size_t len;

	len = sni != NULL ? strlen(sni) : 0;
	if ((ssl = SSL_new(client->ctx)) == NULL ||
	    (to = calloc(1, sizeof(*to) + len + 1)) == NULL)
		goto fail;
	to->client = client;
	to->target = *target;
	to->target.sni = NULL; /* the copy behind it counts */
	memcpy(to->sni, sni != NULL ? sni : "", len);
	if (SSL_set_ex_data(ssl, destination_index, to) != 1) {
		free(to);
		goto fail;
	}
	/* From here on to goes with the SSL. */
	if (sni != NULL && SSL_set_tlsext_host_name(ssl, sni) != 1)
		goto fail;
	SSL_set_connect_state(ssl);
	/* The handshake's own state is not needed once TLS is up. */
	SSL_set_shed_handshake_config(ssl, 1);
	resume(client, ssl, to);
	return ssl;
fail:
	ERR_clear_error();
	SSL_free(ssl);
	errno = ENOMEM;
	return NULL;
}
