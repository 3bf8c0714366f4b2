/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_TLS_CLIENT_H
#define POSTERN_TLS_CLIENT_H

/*
 * How postern speaks TLS towards servers: versions, ciphers, groups, and the
 * sessions that may be resumed.  It accepts any certificate: who the far end
 * is, is judged afterwards, before anything of an envelope is sent (and again
 * for a resumed session, on the chain that came with it).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/address.h"

struct ssl_st;
struct tls_client;

#define TLS_SESSIONS_MAX 512 /* resumable sessions kept by one relay */
#define TLS_POLICY_LEN   32

/*
 * Whom a connection is made to.  A session is resumed only where all of it is
 * the same as when it was made: the policy is a digest of what the far end is
 * to be proved by (policy_tag.h), all zero where that is not known yet.
 */
struct tls_target {
	struct address address;
	const char *sni; /* NULL: none */
	uint8_t policy[TLS_POLICY_LEN];
	bool is_fresh; /* no session is resumed, and one that is kept goes */
};

/* tls_client_new returns NULL with errno set and an error logged. */
struct tls_client *tls_client_new(void);
void tls_client_free(struct tls_client *);

/*
 * tls_client_start makes the TLS state of one connection, ready to handshake.
 * A session of the same target is offered for resumption.  The target is
 * copied.  The caller frees the state with SSL_free.  NULL: ENOMEM.
 */
struct ssl_st *tls_client_start(struct tls_client *, const struct tls_target *);

/* tls_client_drop forgets the session that is kept for a target. */
void tls_client_drop(struct tls_client *, const struct tls_target *);

/*
 * tls_client_forget drops every resumable session: call it when what was
 * trusted changes.
 */
void tls_client_forget(struct tls_client *);

#endif
