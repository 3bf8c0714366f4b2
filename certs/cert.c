/* SPDX-License-Identifier: ISC */
/*
 * What a certificate must be before any path through it is tried: the rules
 * that X509_verify_cert has not, or has for some certificates of a path only.
 */

#include "certs/cert.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "certs/date.h"
#include "proxy/base/log.h"

/* The parts of a certificate that are judged as they were sent. */
struct parts {
	CBS algorithm; /* of the signature */
	CBS issuer;
	CBS spki;
};

static int
parts_read(struct parts *parts, CBS der)
{
	CBS cert, tbs, skipped;

	if (!CBS_get_asn1(&der, &cert, CBS_ASN1_SEQUENCE) ||
	    CBS_len(&der) != 0 ||
	    !CBS_get_asn1(&cert, &tbs, CBS_ASN1_SEQUENCE) ||
	    !CBS_get_asn1_element(
		&cert, &parts->algorithm, CBS_ASN1_SEQUENCE) ||
	    /* version, serial, signature, issuer, validity, subject */
	    !CBS_get_optional_asn1(&tbs, NULL, NULL,
		CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0) ||
	    !CBS_get_asn1(&tbs, &skipped, CBS_ASN1_INTEGER) ||
	    !CBS_get_asn1(&tbs, &skipped, CBS_ASN1_SEQUENCE) ||
	    !CBS_get_asn1_element(&tbs, &parts->issuer, CBS_ASN1_SEQUENCE) ||
	    !CBS_get_asn1(&tbs, &skipped, CBS_ASN1_SEQUENCE) ||
	    !CBS_get_asn1(&tbs, &skipped, CBS_ASN1_SEQUENCE) ||
	    !CBS_get_asn1_element(&tbs, &parts->spki, CBS_ASN1_SEQUENCE))
		return -1;
	return 0;
}

int
cert_find_spki(const uint8_t *der, size_t len, CBS *spki)
{
	struct parts parts;
	CBS cert;

	CBS_init(&cert, der, len);
	if (parts_read(&parts, cert) == -1)
		return -1;
	*spki = parts.spki;
	return 0;
}

int
cert_spki_sha256(const uint8_t *der, size_t len, uint8_t out[32])
{
	CBS spki;

	if (cert_find_spki(der, len, &spki) == -1)
		return -1;
	SHA256(CBS_data(&spki), CBS_len(&spki), out);
	return 0;
}

/*
 * RSASSA-PSS says its hash in parameters, whose defaults are SHA-1.  Accepted
 * are the three encodings that RFC 8446 4.2.3 leaves for TLS: one hash for
 * both uses, and a salt of its length.
 */
static bool
is_strong_pss(const CBS *algorithm)
{
	/* Where they are in der. */
	enum {
		HASH = 29,
		MASK_HASH = 59,
		SALT = 66
	};
	static const struct {
		uint8_t hash, salt;
	} kinds[] = {{1, 32}, {2, 48}, {3, 64}};
	uint8_t der[] = {0x30, 0x41, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7,
	    0x0d, 0x01, 0x01, 0x0a, 0x30, 0x34, 0xa0, 0x0f, 0x30, 0x0d, 0x06,
	    0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x00, 0x05,
	    0x00, 0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
	    0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86,
	    0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x00, 0x05, 0x00, 0xa2, 0x03,
	    0x02, 0x01, 0x00};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		der[HASH] = der[MASK_HASH] = kinds[i].hash;
		der[SALT] = kinds[i].salt;
		if (CBS_mem_equal(algorithm, der, sizeof(der)))
			return true;
	}
	return false;
}

static const char *
signature_fault(const X509 *x509, const CBS *algorithm)
{
	switch (X509_get_signature_nid(x509)) {
	case NID_sha256WithRSAEncryption:
	case NID_sha384WithRSAEncryption:
	case NID_sha512WithRSAEncryption:
	case NID_ecdsa_with_SHA256:
	case NID_ecdsa_with_SHA384:
	case NID_ecdsa_with_SHA512:
	case NID_ED25519:
		return NULL;
	case NID_md5WithRSAEncryption:
		return "is signed with MD5";
	case NID_sha1WithRSAEncryption:
	case NID_ecdsa_with_SHA1:
		return "is signed with SHA-1";
	case NID_rsassaPss:
		if (is_strong_pss(algorithm))
			return NULL;
		break;
	}
	return "is signed in a way that is not accepted";
}

static const char *
curve_fault(const EVP_PKEY *key)
{
	switch (EC_GROUP_get_curve_name(
	    EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key)))) {
	case NID_X9_62_prime256v1:
	case NID_secp384r1:
	case NID_secp521r1:
		return NULL;
	}
	return "has a key on a curve that is not accepted";
}

/*
 * Explicit curve parameters (CVE-2020-0601) are refused by their encoding,
 * even where they spell a named curve.
 */
static bool
has_explicit_curve(CBS spki)
{
	static const uint8_t ec_key[] = {
	    0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
	CBS outer, algorithm, oid;

	return CBS_get_asn1(&spki, &outer, CBS_ASN1_SEQUENCE) &&
	       CBS_get_asn1(&outer, &algorithm, CBS_ASN1_SEQUENCE) &&
	       CBS_get_asn1(&algorithm, &oid, CBS_ASN1_OBJECT) &&
	       CBS_mem_equal(&oid, ec_key, sizeof(ec_key)) &&
	       !CBS_peek_asn1_tag(&algorithm, CBS_ASN1_OBJECT);
}

static const char *
key_fault(X509 *x509, const CBS *spki)
{
	EVP_PKEY *key;
	const char *fault = "has a key of a kind that is not accepted";

	if (has_explicit_curve(*spki))
		return "has explicit curve parameters";
	if ((key = X509_get_pubkey(x509)) == NULL)
		return "has a public key that cannot be read";
	switch (EVP_PKEY_id(key)) {
	case EVP_PKEY_RSA:
		fault = NULL;
		if (EVP_PKEY_bits(key) < CERT_RSA_BITS_MIN)
			fault = "has an RSA key shorter than 2048 bits";
		if (EVP_PKEY_bits(key) > CERT_RSA_BITS_MAX)
			fault = "has an RSA key longer than 8192 bits";
		break;
	case EVP_PKEY_EC:
		fault = curve_fault(key);
		break;
	case EVP_PKEY_ED25519:
		fault = NULL;
		break;
	}
	EVP_PKEY_free(key);
	return fault;
}

static bool
is_known_extension(int nid)
{
	switch (nid) {
	case NID_basic_constraints:
	case NID_certificate_policies:
	case NID_ext_key_usage:
	case NID_inhibit_any_policy:
	case NID_key_usage:
	case NID_name_constraints:
	case NID_policy_mappings:
	case NID_subject_alt_name:
		return true;
	}
	return false;
}

static bool
is_repeated(const X509 *x509, int at)
{
	const ASN1_OBJECT *type;

	type = X509_EXTENSION_get_object(X509_get_ext(x509, at));
	for (int i = 0; i < at; i++) {
		if (OBJ_cmp(type,
			X509_EXTENSION_get_object(X509_get_ext(x509, i))) == 0)
			return true;
	}
	return false;
}

static const char *
extensions_fault(const X509 *x509)
{
	int count = X509_get_ext_count(x509), nid;
	X509_EXTENSION *extension;

	if (count > CERT_EXTENSIONS_MAX)
		return "has too many extensions";
	for (int i = 0; i < count; i++) {
		extension = X509_get_ext(x509, i);
		nid = OBJ_obj2nid(X509_EXTENSION_get_object(extension));
		if (is_repeated(x509, i))
			return "has an extension twice";
		/*
		 * Not every BoringSSL follows these, and one that cannot be
		 * followed must be refused (RFC 5280 4.2.1.11).
		 */
		if (nid == NID_policy_constraints)
			return "has policy constraints";
		if (X509_EXTENSION_get_critical(extension) &&
		    !is_known_extension(nid))
			return "has an unknown critical extension";
	}
	return NULL;
}

static const char *
purpose_fault(X509 *x509)
{
	uint32_t usage = X509_get_extended_key_usage(x509);

	if (usage != UINT32_MAX && (usage & XKU_SSL_SERVER) == 0)
		return "is not for TLS servers (extended key usage)";
	return NULL;
}

static const char *
leaf_fault(X509 *x509)
{
	uint32_t usage = X509_get_key_usage(x509); /* all where not given */

	if (X509_get_extension_flags(x509) & EXFLAG_CA)
		return "is a CA certificate, not a server's";
	if ((usage & (X509v3_KU_DIGITAL_SIGNATURE | X509v3_KU_KEY_ENCIPHERMENT |
			 X509v3_KU_KEY_AGREEMENT)) == 0)
		return "is not for TLS (key usage)";
	return NULL;
}

static const char *
issuer_fault(X509 *x509)
{
	if ((X509_get_extension_flags(x509) & EXFLAG_CA) == 0)
		return "is not a CA certificate";
	if ((X509_get_key_usage(x509) & X509v3_KU_KEY_CERT_SIGN) == 0)
		return "may not sign certificates (key usage)";
	return NULL;
}

static const char *
any_fault(X509 *x509, const CBS *spki)
{
	const char *fault;

	if (X509_get_version(x509) != X509_VERSION_3)
		return "is not of version 3";
	if (X509_get_extension_flags(x509) & EXFLAG_INVALID)
		return "has a malformed extension";
	if ((fault = extensions_fault(x509)) != NULL ||
	    (fault = purpose_fault(x509)) != NULL)
		return fault;
	return key_fault(x509, spki);
}

/*
 * RFC 5280 counts the second of notAfter in; X509_verify_cert does not, and so
 * it is left out here too.
 */
static const char *
read_dates(struct cert *cert)
{
	const ASN1_TIME *dates[] = {
	    X509_get0_notBefore(cert->x509), X509_get0_notAfter(cert->x509)};
	int64_t times[2];
	const uint8_t *text;
	size_t len;
	int read;

	for (int i = 0; i < 2; i++) {
		text = ASN1_STRING_get0_data(dates[i]);
		len = (size_t)ASN1_STRING_length(dates[i]);
		if (ASN1_STRING_type(dates[i]) == V_ASN1_UTCTIME)
			read = date_from_utc_time(&times[i], text, len);
		else
			read = date_from_generalized_time(&times[i], text, len);
		if (read == -1)
			return "has a malformed date";
	}
	cert->from = times[0];
	cert->until = times[1] - 1;
	return NULL;
}

CBS
cert_extension(const struct cert *cert, int nid)
{
	const X509 *x509 = cert->x509;
	const ASN1_STRING *value;
	CBS out;
	int at;

	CBS_init(&out, NULL, 0);
	if ((at = X509_get_ext_by_NID(x509, nid, -1)) == -1)
		return out;
	value = X509_EXTENSION_get_data(X509_get_ext(x509, at));
	CBS_init(&out, ASN1_STRING_get0_data(value),
	    (size_t)ASN1_STRING_length(value));
	return out;
}

int
cert_init(struct cert *cert, CRYPTO_BUFFER *buffer)
{
	const char *dates_fault;
	struct parts parts;
	uint32_t flags;
	CBS der;

	memset(cert, 0, sizeof(*cert));
	CRYPTO_BUFFER_init_CBS(buffer, &der);
	if (parts_read(&parts, der) == -1 ||
	    (cert->x509 = X509_parse_from_buffer(buffer)) == NULL)
		return -1;
	CRYPTO_BUFFER_up_ref(buffer);
	cert->buffer = buffer;
	cert->der = der;
	cert->issuer = parts.issuer;
	cert->spki = parts.spki;
	flags = X509_get_extension_flags(cert->x509);
	cert->is_self_issued = (flags & EXFLAG_SI) != 0;
	cert->is_self_signed = (flags & EXFLAG_SS) != 0;
	cert->path_length = X509_get_pathlen(cert->x509);
	cert->names = cert_extension(cert, NID_subject_alt_name);
	cert->constraints = cert_extension(cert, NID_name_constraints);
	dates_fault = read_dates(cert);
	cert->fault = any_fault(cert->x509, &parts.spki);
	if (cert->fault == NULL)
		cert->fault = dates_fault;
	cert->signature_fault = signature_fault(cert->x509, &parts.algorithm);
	cert->leaf_fault = leaf_fault(cert->x509);
	cert->issuer_fault = issuer_fault(cert->x509);
	return 0;
}

void
cert_clear(struct cert *cert)
{
	X509_free(cert->x509);
	CRYPTO_BUFFER_free(cert->buffer);
	memset(cert, 0, sizeof(*cert));
}

const char *
cert_fault(const struct cert *cert, bool is_leaf, bool is_anchor)
{
	if (cert->fault != NULL)
		return cert->fault;
	if (!is_anchor && cert->signature_fault != NULL)
		return cert->signature_fault;
	return is_leaf ? cert->leaf_fault : cert->issuer_fault;
}

/* What is wrong with one of them alone is its fault, and told as such. */
bool
cert_names_issuer(const struct cert *cert, const struct cert *issuer)
{
	int error = X509_check_issued(issuer->x509, cert->x509);

	return error == X509_V_OK || error == X509_V_ERR_KEYUSAGE_NO_CERTSIGN ||
	       error == X509_V_ERR_UNSPECIFIED;
}

bool
cert_names_key_of(const struct cert *cert, const struct cert *issuer)
{
	const ASN1_OCTET_STRING *wanted, *has;

	wanted = X509_get0_authority_key_id(cert->x509);
	has = X509_get0_subject_key_id(issuer->x509);
	return wanted != NULL && has != NULL &&
	       ASN1_OCTET_STRING_cmp(wanted, has) == 0;
}

bool
cert_signed_itself(const struct cert *cert)
{
	EVP_PKEY *key;
	bool did;

	if (cert->is_self_signed || !cert->is_self_issued)
		return cert->is_self_signed;
	if ((key = X509_get_pubkey(cert->x509)) == NULL)
		return false;
	did = X509_verify(cert->x509, key) == 1;
	EVP_PKEY_free(key);
	return did;
}

/* A quote in a name must not end the quotes that a text puts around it. */
static const char *
name_text(const X509_NAME *name, char out[CERT_NAME_MAX])
{
	const uint8_t *text;
	char *quote;
	size_t len;
	BIO *bio;

	out[0] = '\0';
	if ((bio = BIO_new(BIO_s_mem())) == NULL)
		return out;
	if (X509_NAME_print_ex(bio, name, 0,
		XN_FLAG_SEP_COMMA_PLUS | XN_FLAG_DN_REV | XN_FLAG_FN_SN |
		    ASN1_STRFLGS_UTF8_CONVERT) >= 0 &&
	    BIO_mem_contents(bio, &text, &len) == 1) {
		log_escape(out, CERT_NAME_MAX, text, len);
		while ((quote = strchr(out, '"')) != NULL)
			*quote = '\'';
	}
	BIO_free(bio);
	return out;
}

const char *
cert_subject_text(const struct cert *cert, char out[CERT_NAME_MAX])
{
	return name_text(X509_get_subject_name(cert->x509), out);
}

const char *
cert_issuer_text(const struct cert *cert, char out[CERT_NAME_MAX])
{
	return name_text(X509_get_issuer_name(cert->x509), out);
}
