/* SPDX-License-Identifier: ISC */
/*
 * The TLS of a connection: the upgrade in place, and records out of bytes and
 * bytes out of records.  Knows BoringSSL's wants; when they are served is
 * conn.c's.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "certs/chain.h"
#include "proxy/tls/client.h"
#include "proxy/tls/conn_state.h"
#include "proxy/tls/error.h"

static void
fail_tls(struct conn *conn, const char *fallback)
{
	char text[TLS_ERROR_MAX];

	conn_fail(conn, tls_error_text(text, fallback, &conn->is_weak));
}

int
conn_start_tls(struct conn *conn, struct tls_client *client,
    const struct tls_target *target)
{
	char *copy = NULL;
	BIO *bio;
	SSL *ssl;

	if (conn->state != CONN_STATE_OPEN || conn->ssl != NULL ||
	    buf_len(&conn->in) != 0 || buf_len(&conn->out) != 0) {
		errno = EPROTO;
		return -1;
	}
	if (target->sni != NULL && (copy = strdup(target->sni)) == NULL)
		return -1;
	if ((ssl = tls_client_start(client, target)) == NULL) {
		free(copy);
		return -1;
	}
	wire_init(&conn->wire, conn->fd, &conn->out);
	if ((bio = wire_bio(&conn->wire)) == NULL) {
		free(copy);
		SSL_free(ssl);
		errno = ENOMEM;
		return -1;
	}
	SSL_set_bio(ssl, bio, bio);
	conn->ssl = ssl;
	conn->sni = copy;
	conn->state = CONN_STATE_HANDSHAKE;
	conn_update_reading(conn);
	/* Through the loop, so that no event arrives before this returns. */
	event_active(&conn->readable, EV_READ, 0);
	return 0;
}

static bool
take_tls_facts(struct conn *conn)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(conn->ssl);
	uint16_t group = SSL_get_curve_id(conn->ssl);
	const char *name = group != 0 ? SSL_get_curve_name(group) : NULL;

	conn->tls.version = SSL_get_version(conn->ssl);
	conn->tls.cipher = cipher != NULL ? SSL_CIPHER_get_name(cipher) : "";
	conn->tls.group = name != NULL ? name : "";
	conn->tls.sni = conn->sni != NULL ? conn->sni : "";
	conn->tls.is_resumed = SSL_session_reused(conn->ssl) == 1;
	conn->tls.chain = chain_from_buffers(
	    SSL_get0_peer_certificates(conn->ssl));
	conn->has_tls = conn->tls.chain != NULL;
	return conn->has_tls;
}

size_t
conn_seal(struct conn *conn, const uint8_t *data, size_t len)
{
	int n;

	if (len > RECORD_MAX)
		len = RECORD_MAX;
	if (buf_room(&conn->out) < len + RECORD_EXTRA)
		return 0;
	ERR_clear_error();
	if ((n = SSL_write(conn->ssl, data, (int)len)) > 0)
		return (size_t)n;
	fail_tls(conn, "out of memory");
	return 0;
}

bool
conn_handshake(struct conn *conn)
{
	int result;

	ERR_clear_error();
	result = SSL_do_handshake(conn->ssl);
	/* Its alert, too, is to reach the server. */
	if (conn_send_out(conn) == -1)
		return false;
	if (result == 1) {
		if (!take_tls_facts(conn)) {
			conn_fail(conn,
			    errno == E2BIG
				? "the server's certificate chain is too long"
				: "the server sent no usable certificate "
				  "chain");
			return false;
		}
		conn->state = CONN_STATE_OPEN;
		conn_update_reading(conn);
		conn->handler(conn->arg, conn, CONN_TLS_UP);
		return conn->state == CONN_STATE_OPEN;
	}
	switch (SSL_get_error(conn->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return true;
	case SSL_ERROR_WANT_WRITE:
		conn_want_write(conn);
		return true;
	case SSL_ERROR_SYSCALL:
		fail_tls(conn, errno != 0 && result == -1
				   ? strerror(errno)
				   : "the server closed the connection during "
				     "the handshake");
		return false;
	default:
		fail_tls(conn,
		    "the server closed the connection during the handshake");
		return false;
	}
}

enum got
conn_read_tls(struct conn *conn, uint8_t *to, size_t size, size_t *len)
{
	int n;

	ERR_clear_error();
	if ((n = SSL_read(conn->ssl, to, (int)size)) > 0) {
		*len = (size_t)n;
		return GOT_BYTES;
	}
	switch (SSL_get_error(conn->ssl, n)) {
	case SSL_ERROR_WANT_READ:
		return GOT_NOTHING;
	case SSL_ERROR_WANT_WRITE:
		conn_want_write(conn);
		return GOT_NOTHING;
	case SSL_ERROR_ZERO_RETURN:
		return GOT_END;
	case SSL_ERROR_SYSCALL:
		/* SMTP frames its own replies: a bare FIN cuts nothing off. */
		if (n == 0 || errno == 0)
			return GOT_END;
		fail_tls(conn, strerror(errno));
		return GOT_FAILURE;
	default:
		fail_tls(conn, "TLS error");
		return GOT_FAILURE;
	}
}

bool
conn_tls_pending(const struct conn *conn)
{
	return conn->ssl != NULL &&
	       (SSL_pending(conn->ssl) > 0 || buf_len(&conn->wire.in) > 0);
}

bool
conn_tls_is_drained(const struct conn *conn)
{
	return conn->wire.is_drained && !conn_tls_pending(conn);
}

void
conn_tls_finish(struct conn *conn)
{
	if (conn->ssl == NULL)
		return;
	ERR_clear_error();
	(void)SSL_shutdown(conn->ssl);
	ERR_clear_error();
}

void
conn_tls_clear(struct conn *conn)
{
	SSL_free(conn->ssl);
	wire_clear(&conn->wire);
	chain_free(conn->tls.chain);
	free(conn->sni);
}

bool
conn_is_weak(const struct conn *conn)
{
	return conn->is_weak;
}

const struct conn_tls *
conn_tls(const struct conn *conn)
{
	return conn->has_tls ? &conn->tls : NULL;
}
