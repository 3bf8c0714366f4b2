/* SPDX-License-Identifier: ISC */
/* TLS errors in words: the first one of the queue, and the queue is empty. */

#include "proxy/tls/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

static void
add(int lib, int reason)
{
	ERR_put_error(lib, 0, reason, __FILE__, __LINE__);
}

static void
assert_says(const char *fallback, const char *text)
{
	char out[TLS_ERROR_MAX];
	bool is_weak = true;

	assert_ptr_equal(tls_error_text(out, fallback, &is_weak), out);
	assert_false(is_weak);
	assert_string_equal(out, text);
	assert_int_equal(ERR_peek_error(), 0);
}

static void
test_known(void **state)
{
	(void)state;
	add(ERR_LIB_SSL, SSL_R_WRONG_VERSION_NUMBER);
	assert_says("closed", "the server's answer is not TLS");
	add(ERR_LIB_SSL, SSL_R_NO_RENEGOTIATION);
	assert_says("closed", "the server asked to renegotiate TLS");
}

/* What the server has is not strong enough: that is another refusal. */
static void
test_weak(void **state)
{
	static const int reasons[] = {SSL_R_UNSUPPORTED_PROTOCOL,
	    SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, SSL_R_WRONG_CIPHER_RETURNED,
	    SSL_R_UNKNOWN_CIPHER_RETURNED, SSL_R_WRONG_CURVE,
	    SSL_R_WRONG_SIGNATURE_TYPE};
	char out[TLS_ERROR_MAX];
	bool is_weak;

	(void)state;
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		is_weak = false;
		add(ERR_LIB_SSL, reasons[i]);
		tls_error_text(out, "closed", &is_weak);
		assert_true(is_weak);
		assert_string_not_equal(out, "closed");
	}
	/* The numbers of another library. */
	add(ERR_LIB_BN, SSL_R_UNSUPPORTED_PROTOCOL);
	tls_error_text(out, "closed", &is_weak);
	assert_false(is_weak);
}

/* The numbers mean something else in every library. */
static void
test_other_library(void **state)
{
	(void)state;
	add(ERR_LIB_BN, SSL_R_BAD_SIGNATURE);
	assert_says(NULL,
	    ERR_reason_error_string(ERR_PACK(ERR_LIB_BN, SSL_R_BAD_SIGNATURE)));
}

static void
test_others_keep_their_words(void **state)
{
	(void)state;
	add(ERR_LIB_SSL, SSL_R_DECODE_ERROR);
	assert_says("closed", "DECODE_ERROR");
}

static void
test_first_is_the_cause(void **state)
{
	(void)state;
	add(ERR_LIB_SSL, SSL_R_WRONG_VERSION_NUMBER);
	add(ERR_LIB_SSL, SSL_R_BAD_SIGNATURE);
	assert_says("closed", "the server's answer is not TLS");
	/* Nor is the wake of one the cause of the next. */
	assert_says("closed", "closed");
}

static void
test_nothing_known(void **state)
{
	char longer[TLS_ERROR_MAX + 50], out[TLS_ERROR_MAX];
	bool is_weak;

	(void)state;
	assert_says("closed", "closed");
	assert_says(NULL, "TLS error");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	tls_error_text(out, longer, &is_weak);
	assert_int_equal(strlen(out), TLS_ERROR_MAX - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_known),
	    cmocka_unit_test(test_weak),
	    cmocka_unit_test(test_other_library),
	    cmocka_unit_test(test_others_keep_their_words),
	    cmocka_unit_test(test_first_is_the_cause),
	    cmocka_unit_test(test_nothing_known),
	};

	return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
