/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_STS_CERTIFICATE_H
#define POSTERN_STS_CERTIFICATE_H

/*
 * What RFC 8461 3.3 asks of a policy host's certificate and libcurl's own
 * check leaves out; and the roots for both.
 */

#include <stddef.h>

#define STS_TRUST_PATH_MAX 32

struct config_trust;

extern const char sts_certificate_wrong_name[]; /* what is wrong then */

/*
 * sts_certificate_check judges the certificate of a GnuTLS session
 * (gnutls_session_t) that libcurl has verified: it must be one for web
 * servers, and carry host as a DNS name in subjectAltName, where libcurl would
 * take a common name too.  Returns NULL, or a static text of what is wrong.
 */
const char *sts_certificate_check(void *session, const char *host);

/*
 * sts_certificate_fault writes what libcurl's verification result means to
 * out: "The certificate is NOT trusted. ...".  "" where it says nothing.
 */
void sts_certificate_fault(long verify_result, char *out, size_t size);

/*
 * sts_trust_open keeps a trust file's text in a memory file and writes the
 * path by which this process can read it, be it locked in, to path.  Returns
 * the descriptor, which the caller closes; or -1 with a message, also where
 * GnuTLS finds no certificates in it.
 */
int sts_trust_open(const struct config_trust *, char path[STS_TRUST_PATH_MAX],
    char *error, size_t size);

#endif
