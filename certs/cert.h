/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_CERT_H
#define POSTERN_CERT_H

/*
 * One certificate, parsed once, and what is against it whatever path it is
 * on.  Private to certs.
 */

#include <openssl/bytestring.h>
#include <openssl/pool.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CERT_RSA_BITS_MIN   2048
#define CERT_RSA_BITS_MAX   8192 /* larger ones only cost time */
#define CERT_EXTENSIONS_MAX 64
#define CERT_NAME_MAX       96

struct cert {
	X509 *x509; /* owned */
	CRYPTO_BUFFER *buffer; /* a reference */
	CBS der; /* all of it, and parts of it: in buffer */
	CBS issuer;
	CBS spki;
	CBS names; /* subjectAltName's value, or empty; in x509 */
	CBS constraints; /* nameConstraints' value, or empty; in x509 */
	int64_t from, until; /* good while from <= now <= until */
	long path_length; /* -1: none */
	bool is_self_issued;
	bool is_self_signed; /* says so; nobody looked at the signature */
	/* What to hold against it (static texts), or NULL. */
	const char *fault; /* on any path */
	const char *signature_fault; /* where its signature counts */
	const char *leaf_fault; /* as a server's certificate */
	const char *issuer_fault; /* as the issuer of another */
};

/*
 * cert_init parses one certificate, which keeps a reference to the buffer.
 * Returns 0, or -1 where it is no certificate at all; what can be read but
 * not be used has a fault.
 */
int cert_init(struct cert *, CRYPTO_BUFFER *);
void cert_clear(struct cert *);

/*
 * cert_fault tells why the certificate must not stand in this place, or NULL:
 * "is not a CA certificate".  An anchor is trusted as it is, so its signature
 * does not count.
 */
const char *cert_fault(const struct cert *, bool is_leaf, bool is_anchor);

/*
 * cert_names_issuer: the names and key identifiers of the two fit.
 * cert_names_key_of is the stronger claim that both name the same key.
 */
bool cert_names_issuer(const struct cert *, const struct cert *issuer);
bool cert_names_key_of(const struct cert *, const struct cert *issuer);

/*
 * cert_signed_itself looks at the signature where the certificate does not say
 * enough: a server may have the name of the authority that issued its
 * certificate.
 */
bool cert_signed_itself(const struct cert *);

/* The value of an extension by its NID, or empty; in x509. */
CBS cert_extension(const struct cert *, int nid);

/* Printable ASCII, cut to size; "CN=Lab CA,O=Lab".  Return out. */
const char *cert_subject_text(const struct cert *, char out[CERT_NAME_MAX]);
const char *cert_issuer_text(const struct cert *, char out[CERT_NAME_MAX]);

/*
 * cert_find_spki finds the SubjectPublicKeyInfo as it stands in the DER of a
 * certificate, of which nothing else need make sense; cert_spki_sha256 hashes
 * it.  Return 0 or -1.
 */
int cert_find_spki(const uint8_t *der, size_t len, CBS *spki);
int cert_spki_sha256(const uint8_t *der, size_t len, uint8_t out[32]);

#endif
