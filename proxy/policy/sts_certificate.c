/* SPDX-License-Identifier: ISC */
/*
 * GnuTLS falls back to the common name where a certificate has no DNS name it
 * can read, and libcurl asks it for no purpose.  So a session that libcurl has
 * found good is looked at again, before the request goes out.
 */

#include "proxy/policy/sts_certificate.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proxy/config.h"
#include "proxy/policy/dns_name.h"

const char sts_certificate_wrong_name[] =
    "the certificate does not carry that host as a DNS name (subjectAltName; "
    "the common name does not count: RFC 8461 3.3)";

/* The same, or "*." before two labels or more, for exactly one label. */
static bool
name_matches(const char *name, const char *host)
{
	const char *dot;

	if (strncmp(name, "*.", 2) != 0)
		return strcasecmp(name, host) == 0;
	dot = strchr(host, '.');
	return dot != NULL && strchr(dot + 1, '.') != NULL &&
	       strcasecmp(name + 2, dot + 1) == 0;
}

static bool
has_name(gnutls_x509_crt_t certificate, const char *host)
{
	char name[DNS_NAME_MAX];
	unsigned int i;
	size_t len;
	int type;

	for (i = 0;; i++) {
		len = sizeof(name) - 1;
		type = gnutls_x509_crt_get_subject_alt_name(
		    certificate, i, name, &len, NULL);
		if (type == GNUTLS_E_SHORT_MEMORY_BUFFER)
			continue; /* too long to be the host's */
		if (type < 0)
			return false;
		name[len < sizeof(name) ? len : sizeof(name) - 1] = '\0';
		/* With a NUL inside it is nobody's. */
		if (type == GNUTLS_SAN_DNSNAME && strlen(name) == len &&
		    name_matches(name, host))
			return true;
	}
}

static const char *
check_names(gnutls_session_t session, const char *host)
{
	const gnutls_datum_t *peer;
	gnutls_x509_crt_t certificate;
	unsigned int count;
	bool matches;

	peer = gnutls_certificate_get_peers(session, &count);
	if (peer == NULL || count == 0)
		return "the server showed no certificate";
	if (gnutls_x509_crt_init(&certificate) < 0)
		return "out of memory";
	matches = gnutls_x509_crt_import(
		      certificate, &peer[0], GNUTLS_X509_FMT_DER) == 0 &&
	          has_name(certificate, host);
	gnutls_x509_crt_deinit(certificate);
	return matches ? NULL : sts_certificate_wrong_name;
}

const char *
sts_certificate_check(void *session, const char *host)
{
	gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID};
	unsigned int status = GNUTLS_CERT_INVALID;

	purpose.data = (unsigned char *)GNUTLS_KP_TLS_WWW_SERVER;
	if (session == NULL ||
	    gnutls_certificate_verify_peers(session, &purpose, 1, &status) < 0)
		return "the certificate cannot be verified";
	if ((status & GNUTLS_CERT_PURPOSE_MISMATCH) != 0)
		return "the certificate is not one for servers (extended key "
		       "usage)";
	if (status != 0)
		return "the certificate is not trusted";
	return check_names(session, host);
}

void
sts_certificate_fault(long verify_result, char *out, size_t size)
{
	gnutls_datum_t text;
	size_t len;

	out[0] = '\0';
	if (verify_result == 0 ||
	    gnutls_certificate_verification_status_print(
		(unsigned int)verify_result, GNUTLS_CRT_X509, &text, 0) < 0)
		return;
	snprintf(out, size, "%.*s", (int)text.size, (const char *)text.data);
	gnutls_free(text.data);
	for (len = strlen(out); len > 0 && out[len - 1] == ' '; len--)
		out[len - 1] = '\0';
}

static const char *
trust_fault(const char *path)
{
	gnutls_certificate_credentials_t credentials;
	int count;

	if (gnutls_certificate_allocate_credentials(&credentials) < 0)
		return "out of memory";
	count = gnutls_certificate_set_x509_trust_file(
	    credentials, path, GNUTLS_X509_FMT_PEM);
	gnutls_certificate_free_credentials(credentials);
	if (count == 0)
		return "no certificate in it";
	return count > 0 ? NULL : gnutls_strerror(count);
}

static int
write_all(int fd, const char *text, size_t len)
{
	ssize_t n;

	for (; len > 0; text += n, len -= (size_t)n)
		if ((n = write(fd, text, len)) <= 0)
			return -1;
	return 0;
}

/*
 * libcurl over GnuTLS takes its roots from a file only, before 8.x: a memory
 * file is one that a process without any may still read, by its descriptor.
 */
int
sts_trust_open(const struct config_trust *trust, char path[STS_TRUST_PATH_MAX],
    char *error, size_t size)
{
	const char *fault;
	int fd;

	if ((fd = memfd_create("trust", MFD_CLOEXEC)) == -1 ||
	    write_all(fd, trust->pem, trust->len) == -1) {
		snprintf(error, size, "memory file: %s", strerror(errno));
		goto fail;
	}
	snprintf(path, STS_TRUST_PATH_MAX, "/proc/self/fd/%d", fd);
	if ((fault = trust_fault(path)) == NULL)
		return fd;
	snprintf(
	    error, size, "trust file %s, for HTTPS: %s", trust->path, fault);
fail:
	if (fd != -1)
		close(fd);
	return -1;
}
