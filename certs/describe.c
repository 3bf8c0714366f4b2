/* SPDX-License-Identifier: ISC */
/*
 * Copies what cert.c and name.c read into plain values, for those above that
 * never see BoringSSL.
 */

#include "certs/describe.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <string.h>

#include "certs/cert.h"
#include "certs/chain.h"
#include "certs/name.h"

static_assert(DESCRIBE_TEXT_MAX == CERT_NAME_MAX, "a subject's text fits");

static void
add_name(void *arg, const char *name)
{
	struct description *description = arg;

	if (description->name_count == DESCRIBE_NAMES_MAX)
		description->names_left_out++;
	else
		strlcpy(description->names[description->name_count++], name,
		    DESCRIBE_NAME_MAX);
}

void
describe_cert(
    const struct chain *chain, size_t i, struct description *description)
{
	struct cert cert;
	const uint8_t *der;
	size_t len;

	memset(description, 0, sizeof(*description));
	der = chain_der(chain, i, &len);
	SHA256(der, len, description->sha256);
	description->has_key = cert_spki_sha256(
				   der, len, description->spki_sha256) == 0;
	if (cert_init(&cert, chain_buffer(chain, i)) == 0) {
		description->is_readable = true;
		cert_subject_text(&cert, description->subject);
		cert_issuer_text(&cert, description->issuer);
		description->from = cert.from;
		description->until = cert.until;
		name_list_each(CBS_data(&cert.names), CBS_len(&cert.names),
		    add_name, description);
	}
	cert_clear(&cert);
	ERR_clear_error();
}
