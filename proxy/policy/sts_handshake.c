/* SPDX-License-Identifier: ISC */
/*
 * GnuTLS takes an RSA key of any size, with an exponent as long, and checks
 * the server's signature by it before anybody could look at the certificate:
 * one that costs nothing to make, self-signed and all, then holds the whole
 * process for minutes.  And libcurl, asked for a new handshake by a server
 * whose certificate was good, does it without going back to the loop.  GnuTLS
 * has a hook that sees each handshake message before it is acted on, but
 * libcurl does not let its caller near a session before the handshake is over.
 *
 * So this file defines gnutls_init.  A symbol that an executable exports comes
 * before those of its libraries, whenever it is bound (-z now, or at the first
 * call): libcurl's calls come here, and go on to GnuTLS's own.  That libcurl
 * asks for it by version (gnutls_init@GNUTLS_3_4) makes no difference, since a
 * definition without any version satisfies all.  The linker exports it by
 * itself, because libgnutls, on its command line, defines the same name.
 * Nothing but libcurl uses GnuTLS's sessions in postern-policy.
 *
 * None of this is taken for granted: sts_handshake_init looks whether the name
 * leads here, and a session whose certificates were not seen here gets no
 * request sent (sts_handshake_is_checked).
 */

#include "proxy/policy/sts_handshake.h"

#include <dlfcn.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * libcurl tells of a session only what GnuTLS calls the fault, so each has one
 * that nothing else in a client's handshake is called.
 */
enum fault {
	FAULT_KEY = GNUTLS_E_CONSTRAINT_ERROR,
	FAULT_SIZE = GNUTLS_E_HANDSHAKE_TOO_LARGE,
	FAULT_CERTIFICATE = GNUTLS_E_CERTIFICATE_ERROR,
	FAULT_AGAIN = GNUTLS_E_UNSAFE_RENEGOTIATION_DENIED,
};

#define STRING(number) #number
#define TEXT(number)   STRING(number)

/* clang-format off */
static const struct {
	enum fault fault;
	const char *text;
} faults[] = {
	{ FAULT_KEY, "the certificate's key is not one postern checks (RSA up "
	    "to " TEXT(STS_RSA_BITS_MAX) " bits with an exponent up to "
	    TEXT(STS_RSA_EXPONENT_MAX) ", ECDSA, EdDSA)" },
	{ FAULT_SIZE, "the server's TLS messages are longer than postern reads "
	    "(" TEXT(STS_TLS_MESSAGE_MAX) " bytes)" },
	{ FAULT_CERTIFICATE, "the certificate cannot be read" },
	{ FAULT_AGAIN, "the server asks for another TLS handshake" },
};
/* clang-format on */

/* A client keeps nothing in GnuTLS's data base: its pointer is free. */
static char checked;

static int (*gnutls_own_init)(gnutls_session_t *, unsigned int);

/* The server's certificates. */

static int
check_rsa(gnutls_pubkey_t key)
{
	gnutls_datum_t modulus, exponent;
	int result = 0;

	if (gnutls_pubkey_export_rsa_raw2(
		key, &modulus, &exponent, GNUTLS_EXPORT_FLAG_NO_LZ) < 0)
		return FAULT_CERTIFICATE;
	if (modulus.size > STS_RSA_BITS_MAX / 8 ||
	    exponent.size > STS_RSA_EXPONENT_MAX / 8)
		result = FAULT_KEY;
	gnutls_free(modulus.data);
	gnutls_free(exponent.data);
	return result;
}

static int
check_key(gnutls_pubkey_t key)
{
	int kind = gnutls_pubkey_get_pk_algorithm(key, NULL);

	if (kind == GNUTLS_PK_RSA || kind == GNUTLS_PK_RSA_PSS)
		return check_rsa(key);
	/* Of these GnuTLS knows the curves by name, and each is small. */
	return kind == GNUTLS_PK_ECDSA || kind == GNUTLS_PK_EDDSA_ED25519 ||
	               kind == GNUTLS_PK_EDDSA_ED448
	           ? 0
	           : FAULT_KEY;
}

static int
check_certificate(const gnutls_datum_t *der)
{
	gnutls_x509_crt_t certificate = NULL;
	gnutls_pubkey_t key = NULL;
	int result = GNUTLS_E_MEMORY_ERROR;

	if (gnutls_x509_crt_init(&certificate) < 0 ||
	    gnutls_pubkey_init(&key) < 0)
		goto out;
	result = FAULT_CERTIFICATE;
	if (gnutls_x509_crt_import(certificate, der, GNUTLS_X509_FMT_DER) < 0)
		goto out;
	result = FAULT_KEY; /* of a kind that GnuTLS does not know */
	if (gnutls_pubkey_import_x509(key, certificate, 0) == 0)
		result = check_key(key);
out:
	gnutls_pubkey_deinit(key);
	gnutls_x509_crt_deinit(certificate);
	return result;
}

/* Skips a vector that begins with its length in so many bytes. */
static int
take_vector(gnutls_datum_t *rest, size_t width, gnutls_datum_t *vector)
{
	size_t len = 0, i;

	if (rest->size < width)
		return -1;
	for (i = 0; i < width; i++)
		len = len << 8 | rest->data[i];
	if (rest->size - width < len)
		return -1;
	vector->data = rest->data + width;
	vector->size = (unsigned int)len;
	rest->data += width + len;
	rest->size -= (unsigned int)(width + len);
	return 0;
}

/* RFC 5246 7.4.2; in TLS 1.3 with a context, and extensions: RFC 8446 4.4.2. */
static int
check_certificates(gnutls_session_t session, const gnutls_datum_t *message)
{
	bool is_13 = gnutls_protocol_get_version(session) >= GNUTLS_TLS1_3;
	gnutls_datum_t rest = *message, list, one, skipped;
	int result;

	if ((is_13 && take_vector(&rest, 1, &skipped) == -1) ||
	    take_vector(&rest, 3, &list) == -1)
		return FAULT_CERTIFICATE;
	while (list.size > 0) {
		if (take_vector(&list, 3, &one) == -1 ||
		    (is_13 && take_vector(&list, 2, &skipped) == -1))
			return FAULT_CERTIFICATE;
		if ((result = check_certificate(&one)) != 0)
			return result;
	}
	gnutls_db_set_ptr(session, &checked);
	return 0;
}

/*
 * Each message of the handshake, before it is acted on: 0, or what the
 * handshake is to end with.
 */
static int
on_message(gnutls_session_t session, unsigned int type, unsigned int when,
    unsigned int is_incoming, const gnutls_datum_t *message)
{
	(void)when;
	if (!is_incoming)
		return type == GNUTLS_HANDSHAKE_CLIENT_HELLO &&
		               sts_handshake_is_checked(session)
		           ? FAULT_AGAIN
		           : 0;
	if (message->size > STS_TLS_MESSAGE_MAX)
		return FAULT_SIZE;
	if (type == GNUTLS_HANDSHAKE_COMPRESSED_CERTIFICATE_PKT)
		return FAULT_CERTIFICATE; /* nobody asked for that */
	if (type == GNUTLS_HANDSHAKE_CERTIFICATE_PKT)
		return check_certificates(session, message);
	return 0;
}

/* In place of GnuTLS's own, which it calls: see above. */
int
gnutls_init(gnutls_session_t *session, unsigned int flags)
{
	int result;

	if (gnutls_own_init == NULL)
		return GNUTLS_E_INTERNAL_ERROR; /* sts_handshake_init first */
	result = gnutls_own_init(session, flags);
	if (result >= 0)
		gnutls_handshake_set_hook_function(*session,
		    GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_PRE, on_message);
	return result;
}

const char *
sts_handshake_init(void)
{
	int (*own)(gnutls_session_t *, unsigned int) = gnutls_init;
	void *found;

	if ((found = dlsym(RTLD_NEXT, "gnutls_init")) == NULL)
		return "GnuTLS has no gnutls_init";
	memcpy(&gnutls_own_init, &found, sizeof(found));
	found = dlsym(RTLD_DEFAULT, "gnutls_init");
	if (memcmp(&found, &own, sizeof(found)) != 0)
		return "libcurl's TLS sessions cannot be bounded: this program "
		       "does not export its own gnutls_init";
	return NULL;
}

bool
sts_handshake_is_checked(void *session)
{
	return gnutls_db_get_ptr(session) == &checked;
}

const char *
sts_handshake_fault(const char *error)
{
	const char *text;
	size_t i, len = strlen(error);

	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		text = gnutls_strerror(faults[i].fault);
		if (len >= strlen(text) &&
		    strcmp(error + len - strlen(text), text) == 0)
			return faults[i].text;
	}
	return NULL;
}
