/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_TLS_CLIENT_H
#define POSTERN_TLS_CLIENT_H

/*
 * How postern speaks TLS towards servers: versions, ciphers, groups, and the
 * sessions that may be resumed.  It accepts any certificate: who the far end
 * is, is judged afterwards, before anything of an envelope is sent (and again
 * for a resumed session, on the chain that came with it).
 */

#include <stddef.h>

struct address;
struct ssl_st;
struct tls_client;

#define TLS_SESSIONS_MAX 512 /* resumable sessions kept by one relay */

/* tls_client_new returns NULL with errno set and an error logged. */
struct tls_client *tls_client_new(void);
void tls_client_free(struct tls_client *);

/*
 * tls_client_start makes the TLS state of one connection to server, ready to
 * handshake; sni NULL sends none.  A session of the same server and SNI is
 * offered for resumption.  The caller frees it with SSL_free.  NULL: ENOMEM.
 */
struct ssl_st *tls_client_start(
    struct tls_client *, const struct address *server, const char *sni);

/*
 * tls_client_forget drops every resumable session: call it when what was
 * trusted changes.
 */
void tls_client_forget(struct tls_client *);

#endif
