/* SPDX-License-Identifier: ISC */
/*
 * Knows BoringSSL's reason codes and which of them mean something to the
 * person who reads a bounce; the rest keep BoringSSL's own words.
 */

#include "proxy/tls/error.h"

#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

static const struct {
	int reason;
	const char *text;
	bool is_weak; /* nothing that is strong enough is shared */
} reasons[] = {
    {SSL_R_UNSUPPORTED_PROTOCOL, "the server speaks no TLS 1.2 or newer", true},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "the server refused TLS 1.2 and 1.3",
	true},
    {SSL_R_WRONG_VERSION_NUMBER, "the server's answer is not TLS", false},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE,
	"the server shares no cipher or group with us, or wants another "
	"server name",
	false},
    {SSL_R_TLSV1_ALERT_UNRECOGNIZED_NAME,
	"the server does not know the name it was asked for", false},
    {SSL_R_WRONG_CIPHER_RETURNED, "the server chose a forbidden cipher", true},
    {SSL_R_UNKNOWN_CIPHER_RETURNED, "the server chose a forbidden cipher",
	true},
    {SSL_R_WRONG_CURVE, "the server chose a forbidden group", true},
    {SSL_R_WRONG_SIGNATURE_TYPE, "the server signed with a forbidden algorithm",
	true},
    {SSL_R_BAD_SIGNATURE, "the server's handshake signature is wrong", false},
    {SSL_R_NO_RENEGOTIATION, "the server asked to renegotiate TLS", false},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "the server sent no certificate",
	false},
};

const char *
tls_error_text(char out[TLS_ERROR_MAX], const char *fallback, bool *is_weak)
{
	const char *text;
	uint32_t error;
	size_t i;

	/* The first error of the queue is the cause, later ones its wake. */
	error = ERR_get_error();
	ERR_clear_error();
	text = fallback;
	*is_weak = false;
	if (error != 0) {
		text = ERR_reason_error_string(error);
		for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
			if (ERR_GET_LIB(error) == ERR_LIB_SSL &&
			    ERR_GET_REASON(error) == reasons[i].reason) {
				text = reasons[i].text;
				*is_weak = reasons[i].is_weak;
			}
	}
	snprintf(out, TLS_ERROR_MAX, "%s", text != NULL ? text : "TLS error");
	return out;
}
