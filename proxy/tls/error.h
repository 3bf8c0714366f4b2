/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_TLS_ERROR_H
#define POSTERN_TLS_ERROR_H

/*
 * What BoringSSL says went wrong, in words for a mail administrator.
 */

#include <stdbool.h>
#include <stddef.h>

#define TLS_ERROR_MAX 160

/*
 * tls_error_text empties the thread's error queue into out: what the peer did
 * or lacked, e.g. "the server speaks no TLS 1.2 or newer".  Where the queue
 * is empty, fallback is the text.  *is_weak says whether it is that the peer
 * has only versions or algorithms below what postern takes.  Returns out.
 */
const char *
tls_error_text(char out[TLS_ERROR_MAX], const char *fallback, bool *is_weak);

#endif
