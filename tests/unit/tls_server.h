/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_TEST_TLS_SERVER_H
#define POSTERN_TEST_TLS_SERVER_H

/*
 * For tests of the client's side of TLS: a server with a certificate of its
 * own making.
 */

#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

static inline EVP_PKEY *
tls_server_key(bool is_rsa)
{
	EVP_PKEY *key = EVP_PKEY_new();
	BIGNUM *e = BN_new();
	EC_KEY *ec;
	RSA *rsa;

	assert_true(key != NULL && e != NULL);
	if (is_rsa) {
		rsa = RSA_new();
		assert_true(BN_set_word(e, RSA_F4) &&
			    RSA_generate_key_ex(rsa, 2048, e, NULL) &&
			    EVP_PKEY_assign_RSA(key, rsa));
	} else {
		ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
		assert_true(
		    EC_KEY_generate_key(ec) && EVP_PKEY_assign_EC_KEY(key, ec));
	}
	BN_free(e);
	return key;
}

/* A server whose certificate nobody vouches for; SSL_CTX_free it. */
static inline SSL_CTX *
tls_server_new(bool is_rsa)
{
	EVP_PKEY *key = tls_server_key(is_rsa);
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	X509 *x = X509_new();

	assert_true(ctx != NULL && x != NULL);
	assert_true(X509_set_version(x, 2) && X509_set_pubkey(x, key) &&
		    X509_gmtime_adj(X509_get_notBefore(x), -3600) != NULL &&
		    X509_gmtime_adj(X509_get_notAfter(x), 3600) != NULL &&
		    X509_sign(x, key, EVP_sha256()) > 0);
	assert_int_equal(SSL_CTX_use_certificate(ctx, x), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
	X509_free(x);
	EVP_PKEY_free(key);
	return ctx;
}

#endif
