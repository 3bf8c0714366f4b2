/* SPDX-License-Identifier: ISC */
/*
 * The trust anchors that DANE-TA records stand for.  Most are certificates.  A
 * record may also be a public key and nothing else ("2 1 0"): path validation
 * wants a certificate, and so one is put around the key here for each name by
 * which a sent certificate calls its issuer.  It is never sent, kept or shown
 * to anybody, and nobody looks at an anchor's signature.
 */

#include "certs/dane.h"

#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pool.h>

#include "certs/cert.h"
#include "certs/chain.h"
#include "certs/store.h"

#define ANCHORS_MAX (CHAIN_CERTS_MAX + VERIFY_TLSA_MAX + DANE_KEYS_MAX)

#define TAG_VERSION    (CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0)
#define TAG_EXTENSIONS (CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 3)
#define TAG_KEY_ID     (CBS_ASN1_CONTEXT_SPECIFIC | 0)
#define TAG_KEY_ISSUER (CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 1)
#define TAG_KEY_SERIAL (CBS_ASN1_CONTEXT_SPECIFIC | 2)
#define TAG_DIRECTORY  (CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 4)

struct anchors {
	CRYPTO_BUFFER *buffers[ANCHORS_MAX]; /* a reference each */
	size_t count;
	size_t keys; /* of them, for keys alone */
};

/* What a certificate says of its issuer's. */
struct issuer {
	CBS name;
	CBS its_issuer; /* its own issuer's name */
	CBS serial; /* without the tag */
};

static void
anchors_add(struct anchors *anchors, CRYPTO_BUFFER *buffer)
{
	anchors->buffers[anchors->count++] = buffer;
}

static void
anchors_clear(struct anchors *anchors)
{
	for (size_t i = 0; i < anchors->count; i++)
		CRYPTO_BUFFER_free(anchors->buffers[i]);
}

static bool
is_leaf(const CBS *der, const struct cert *sent)
{
	return CBS_mem_equal(der, CBS_data(&sent->der), CBS_len(&sent->der));
}

static void
add_sent(struct anchors *anchors, const struct dane *dane,
    const struct cert *sent, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		if (is_leaf(&sent[i].der, sent) ||
		    dane_match_anchor(dane, &sent[i]) == NULL)
			continue;
		CRYPTO_BUFFER_up_ref(sent[i].buffer);
		anchors_add(anchors, sent[i].buffer);
	}
}

static bool
is_full(const struct tlsa *record, enum tlsa_selector selector)
{
	return record->usage == TLSA_DANE_TA && record->matching == TLSA_FULL &&
	       record->selector == selector;
}

/* "2 0 0".  What is no certificate is for the store to leave out. */
static int
add_certificates(
    struct anchors *anchors, const struct dane *dane, const struct cert *sent)
{
	const struct tlsa *record;
	CRYPTO_BUFFER *buffer;
	CBS der;

	for (size_t i = 0; i < dane->count; i++) {
		record = &dane->records[i];
		CBS_init(&der, record->data, record->len);
		if (!is_full(record, TLSA_CERTIFICATE) || is_leaf(&der, sent))
			continue;
		if ((buffer = CRYPTO_BUFFER_new_from_CBS(&der, NULL)) == NULL)
			return -1;
		anchors_add(anchors, buffer);
	}
	return 0;
}

/*
 * An authority key identifier may name the issuer's certificate by its issuer
 * and serial number as well, and X509_verify_cert holds the anchor to that.
 */
static void
read_key_identifier(struct issuer *issuer, const struct cert *cert)
{
	CBS whole, fields, names, name;
	int is_present;
	unsigned tag;

	whole = cert_extension(cert, NID_authority_key_identifier);
	if (!CBS_get_asn1(&whole, &fields, CBS_ASN1_SEQUENCE) ||
	    !CBS_get_optional_asn1(&fields, NULL, NULL, TAG_KEY_ID) ||
	    !CBS_get_optional_asn1(
		&fields, &names, &is_present, TAG_KEY_ISSUER))
		return;
	while (is_present && CBS_get_any_asn1(&names, &name, &tag)) {
		if (tag == TAG_DIRECTORY) {
			issuer->its_issuer = name;
			break;
		}
	}
	if (CBS_peek_asn1_tag(&fields, TAG_KEY_SERIAL))
		CBS_get_asn1(&fields, &issuer->serial, TAG_KEY_SERIAL);
}

static struct issuer
issuer_of(const struct cert *cert)
{
	static const uint8_t one[] = {1};
	struct issuer issuer = {
	    .name = cert->issuer, .its_issuer = cert->issuer};

	CBS_init(&issuer.serial, one, sizeof(one));
	read_key_identifier(&issuer, cert);
	return issuer;
}

static bool
add_bytes(CBB *out, const CBS *bytes)
{
	return CBB_add_bytes(out, CBS_data(bytes), CBS_len(bytes)) == 1;
}

/* Of some kind that a certificate may be signed with. */
static bool
add_algorithm(CBB *out)
{
	static const uint8_t ed25519[] = {
	    0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70};

	return CBB_add_bytes(out, ed25519, sizeof(ed25519)) == 1;
}

static bool
add_validity(CBB *out)
{
	static const uint8_t always[] = "\x30\x20\x17\x0d"
					"500101000000Z"
					"\x18\x0f"
					"99991231235959Z";

	return CBB_add_bytes(out, always, sizeof(always) - 1) == 1;
}

/* basicConstraints: a CA. */
static bool
add_extensions(CBB *out)
{
	static const uint8_t ca[] = {0x30, 0x11, 0x30, 0x0f, 0x06, 0x03, 0x55,
	    0x1d, 0x13, 0x01, 0x01, 0xff, 0x04, 0x05, 0x30, 0x03, 0x01, 0x01,
	    0xff};
	CBB extensions;

	return CBB_add_asn1(out, &extensions, TAG_EXTENSIONS) == 1 &&
	       CBB_add_bytes(&extensions, ca, sizeof(ca)) == 1 &&
	       CBB_flush(out) == 1;
}

static bool
add_tbs(CBB *out, const struct issuer *issuer, const CBS *spki)
{
	CBB tbs, version, serial;

	return CBB_add_asn1(out, &tbs, CBS_ASN1_SEQUENCE) == 1 &&
	       CBB_add_asn1(&tbs, &version, TAG_VERSION) == 1 &&
	       CBB_add_asn1_uint64(&version, X509_VERSION_3) == 1 &&
	       CBB_add_asn1(&tbs, &serial, CBS_ASN1_INTEGER) == 1 &&
	       add_bytes(&serial, &issuer->serial) && CBB_flush(&tbs) == 1 &&
	       add_algorithm(&tbs) && add_bytes(&tbs, &issuer->its_issuer) &&
	       add_validity(&tbs) && add_bytes(&tbs, &issuer->name) &&
	       add_bytes(&tbs, spki) && add_extensions(&tbs) &&
	       CBB_flush(out) == 1;
}

/* An empty signature: nobody looks at it. */
static bool
add_anchor(CBB *out, const struct issuer *issuer, const CBS *spki)
{
	CBB cert, signature;

	return CBB_add_asn1(out, &cert, CBS_ASN1_SEQUENCE) == 1 &&
	       add_tbs(&cert, issuer, spki) && add_algorithm(&cert) &&
	       CBB_add_asn1(&cert, &signature, CBS_ASN1_BITSTRING) == 1 &&
	       CBB_add_u8(&signature, 0) == 1 && CBB_flush(out) == 1;
}

/* The certificate that stands for a key under this name; NULL: no memory. */
static CRYPTO_BUFFER *
make_anchor(const struct issuer *issuer, const CBS *spki)
{
	CRYPTO_BUFFER *buffer = NULL;
	CBB out;

	CBB_zero(&out);
	if (CBB_init(&out, 512) == 1 && add_anchor(&out, issuer, spki))
		buffer = CRYPTO_BUFFER_new(CBB_data(&out), CBB_len(&out), NULL);
	CBB_cleanup(&out);
	return buffer;
}

static bool
is_public_key(CBS spki)
{
	EVP_PKEY *key = EVP_parse_public_key(&spki);

	EVP_PKEY_free(key);
	return key != NULL && CBS_len(&spki) == 0;
}

static bool
was_sent(const CBS *spki, const struct cert *sent, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (CBS_mem_equal(&sent[i].spki, CBS_data(spki), CBS_len(spki)))
			return true;
	}
	return false;
}

/* "2 1 0", for all that may have been signed with it. */
static int
add_key(struct anchors *anchors, const CBS *spki, const struct cert *sent,
    size_t count)
{
	CRYPTO_BUFFER *buffer;
	struct issuer issuer;

	for (size_t i = 0; i < count && anchors->keys < DANE_KEYS_MAX; i++) {
		if (sent[i].is_self_signed)
			continue;
		issuer = issuer_of(&sent[i]);
		if ((buffer = make_anchor(&issuer, spki)) == NULL)
			return -1;
		anchors_add(anchors, buffer);
		anchors->keys++;
	}
	return 0;
}

static int
add_keys(struct anchors *anchors, const struct dane *dane,
    const struct cert *sent, size_t count)
{
	const struct tlsa *record;
	CBS spki;

	for (size_t i = 0; i < dane->count; i++) {
		record = &dane->records[i];
		CBS_init(&spki, record->data, record->len);
		if (is_full(record, TLSA_SPKI) && is_public_key(spki) &&
		    !was_sent(&spki, sent, count) &&
		    add_key(anchors, &spki, sent, count) == -1)
			return -1;
	}
	return 0;
}

struct store *
dane_anchors(const struct dane *dane, const struct cert *sent, size_t count,
    bool *has_sent)
{
	struct anchors anchors = {.count = 0};
	struct store *store = NULL;

	add_sent(&anchors, dane, sent, count);
	*has_sent = anchors.count > 0;
	if (add_certificates(&anchors, dane, sent) == 0 &&
	    add_keys(&anchors, dane, sent, count) == 0)
		store = store_from_buffers(anchors.buffers, anchors.count);
	anchors_clear(&anchors);
	return store;
}
