/* SPDX-License-Identifier: ISC */
/*
 * Knows the form of TLSA records and which of them SMTP counts.
 */

#include "proxy/policy/tlsa.h"

#define SHA256_LEN 32
#define SHA512_LEN 64

bool
tlsa_is_usable(const struct tlsa *tlsa)
{
	if ((tlsa->usage != TLSA_DANE_TA && tlsa->usage != TLSA_DANE_EE) ||
	    tlsa->selector > TLSA_SPKI)
		return false;
	switch (tlsa->matching) {
	case TLSA_FULL:
		return tlsa->len > 0;
	case TLSA_SHA256:
		return tlsa->len == SHA256_LEN;
	case TLSA_SHA512:
		return tlsa->len == SHA512_LEN;
	}
	return false;
}
