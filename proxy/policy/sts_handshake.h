/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_STS_HANDSHAKE_H
#define POSTERN_STS_HANDSHAKE_H

/*
 * Bounds on what a policy host may have libcurl do in a TLS handshake.
 */

#include <stdbool.h>

#define STS_RSA_BITS_MAX     8192
#define STS_RSA_EXPONENT_MAX 64 /* bits */
#define STS_TLS_MESSAGE_MAX  32768 /* bytes of a handshake message */

/*
 * sts_handshake_init has every GnuTLS session of this process bounded from now
 * on.  To be called before the first one and before the process locks itself
 * in.  Returns NULL, or a static text of why that cannot be.
 */
const char *sts_handshake_init(void);

/* Whether a session's (gnutls_session_t) certificates were found in bounds. */
bool sts_handshake_is_checked(void *session);

/*
 * What went over the bounds, a static text, where a transfer ended with this
 * error of libcurl's; else NULL.
 */
const char *sts_handshake_fault(const char *error);

#endif
