/* SPDX-License-Identifier: ISC */
/*
 * Verdicts on chains, good and hostile.  Each row is a case of make_certs.py,
 * judged for mx.example.org at CASE_AT; the text is part of what is told.
 */

#include "certs/verify.h"

#include <arpa/inet.h>
#include <openssl/mem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <time.h>

#include "certs/chain.h"
#include "certs/store.h"
#include "tests/unit/cases.h"
#include "tests/unit/starve.h"

#define CPU_SECONDS_MAX 2 /* for one verdict, under sanitizers too */

static const struct row {
	const char *title;
	enum verify_result result;
	const char *text;
} rows[] = {
    {"good", VERIFY_PROVED, "\"CN=Lab CA\" < \"CN=Lab Root\""},
    {"good_root_sent", VERIFY_PROVED, "\"CN=Lab CA\" < \"CN=Lab Root\""},
    {"good_direct", VERIFY_PROVED, "\"CN=Lab Root\""},
    {"good_many_roots", VERIFY_PROVED, "\"CN=Lab CA\" < \"CN=Lab Root\""},
    {"wrong_order", VERIFY_PROVED,
	"\"CN=Lab Second CA\" < \"CN=Lab CA\" < \"CN=Lab Root\""},
    {"repeated", VERIFY_PROVED, "\"CN=Lab CA\" < \"CN=Lab Root\""},
    {"junk", VERIFY_PROVED, "\"CN=Lab CA\" < \"CN=Lab Root\""},
    {"junk_most", VERIFY_PROVED, "\"CN=Lab CA\" < \"CN=Lab Root\""},
    {"unreadable_ca", VERIFY_FAILURE,
	"certificate 2 of the chain cannot be read"},
    {"unreadable_leaf", VERIFY_FAILURE, "certificate cannot be read"},
    {"trailing_byte", VERIFY_FAILURE, "certificate cannot be read"},
    {"no_intermediate", VERIFY_NOT_TRUSTED,
	"issuer \"CN=Lab CA\" of the certificate is not in the trust "
	"file and was not sent"},
    {"no_upper_intermediate", VERIFY_NOT_TRUSTED,
	"issuer \"CN=Lab CA\" of the last certificate is not in the "
	"trust file and was not sent"},
    {"unknown_root", VERIFY_NOT_TRUSTED,
	"the root \"CN=Lab Root\" that was sent is not in the trust "
	"file"},
    {"no_root_known", VERIFY_NOT_TRUSTED,
	"issuer \"CN=Lab Root\" of the last certificate is not in "
	"the trust file and was not sent"},
    {"trusted_intermediate", VERIFY_PROVED, "\"CN=Lab CA\""},
    {"trusted_intermediate_alone", VERIFY_PROVED, "\"CN=Lab CA\""},
    {"trusted_leaf", VERIFY_PROVED, "itself in the trust file"},
    {"trusted_other_leaf", VERIFY_NOT_TRUSTED,
	"issuer \"CN=Lab CA\" of the certificate is not in the trust "
	"file and was not sent"},
    {"damaged_leaf", VERIFY_NOT_TRUSTED,
	"signature of the certificate is not by intermediate "
	"\"CN=Lab CA\""},
    {"damaged_ca", VERIFY_NOT_TRUSTED,
	"signature of the intermediate \"CN=Lab CA\" is not by trust "
	"anchor \"CN=Lab Root\""},
    {"impostor_root", VERIFY_NOT_TRUSTED,
	"signature of the intermediate \"CN=Lab CA\" is not by trust "
	"anchor \"CN=Lab Root\""},
    {"impostor_root_sent", VERIFY_NOT_TRUSTED,
	"signature of the intermediate \"CN=Lab CA\" is not by trust "
	"anchor \"CN=Lab Root\""},
    {"other_key_root", VERIFY_NOT_TRUSTED,
	"issuer \"CN=Lab Root\" of the last certificate has another key "
	"than the one in the trust file"},
    {"mixed_algorithms", VERIFY_NOT_TRUSTED,
	"signature of the certificate is not by intermediate "
	"\"CN=Lab CA\""},
    {"self_signed", VERIFY_NOT_TRUSTED, "self-signed certificate"},
    {"self_signed_trusted", VERIFY_PROVED, "itself in the trust file"},
    {"self_signed_other_trusted", VERIFY_NOT_TRUSTED,
	"self-signed certificate"},
    {"self_signed_ca", VERIFY_NOT_TRUSTED, "self-signed certificate"},
    {"self_signed_ca_trusted", VERIFY_FAILURE,
	"certificate is a CA certificate, not a server's"},
    {"self_signed_expired_trusted", VERIFY_EXPIRED,
	"certificate expired on 2027-01-14 08:00:00Z"},
    {"self_signed_plain_trusted", VERIFY_PROVED, "itself in the trust file"},
    {"self_signed_sha1_trusted", VERIFY_PROVED, "itself in the trust file"},
    {"self_issued", VERIFY_PROVED, "\"CN=a server\" < \"CN=Lab Root\""},
    {"self_issued_ca_unknown", VERIFY_NOT_TRUSTED,
	"issuer \"CN=Lab Root\" of the last certificate is not in the trust "
	"file and was not sent"},
    {"self_issued_unknown", VERIFY_NOT_TRUSTED,
	"issuer \"CN=a server\" of the certificate is not in the trust file "
	"and was not sent"},
    {"self_issued_direct", VERIFY_PROVED, "\"CN=a server\""},
    {"self_issued_expired", VERIFY_EXPIRED,
	"certificate expired on 2027-01-14 08:00:00Z"},
    {"self_issued_other_key", VERIFY_NOT_TRUSTED,
	"signature of the certificate is not by trust anchor \"CN=a server\""},
    {"self_issued_no_ids", VERIFY_PROVED, "\"CN=a server\""},
    {"self_signed_other_ca", VERIFY_NOT_TRUSTED, "self-signed certificate"},
    {"trusted_leaf_signs", VERIFY_FAILURE,
	"trust anchor \"CN=a server\" is not a CA certificate"},
    {"leaf_expired", VERIFY_EXPIRED,
	"certificate expired on 2027-01-14 08:00:00Z"},
    {"leaf_early", VERIFY_EXPIRED,
	"certificate is not valid before 2027-01-16 08:00:00Z"},
    {"leaf_edge", VERIFY_PROVED, "\"CN=Lab CA\" < \"CN=Lab Root\""},
    {"ca_expired", VERIFY_EXPIRED,
	"intermediate \"CN=Lab Old CA\" expired on 2027-01-14 "
	"08:00:00Z"},
    {"ca_early", VERIFY_EXPIRED,
	"intermediate \"CN=Lab Early CA\" is not valid before "
	"2027-01-16 08:00:00Z"},
    {"root_expired", VERIFY_EXPIRED,
	"trust anchor \"CN=Gone Root\" expired on 2027-01-14 "
	"08:00:00Z"},
    {"no_common_moment", VERIFY_EXPIRED,
	"trust anchor \"CN=Apart Root\" expired on 2026-12-06 "
	"08:00:00Z"},
    {"expired_wrong_key", VERIFY_NOT_TRUSTED,
	"signature of the certificate is not by intermediate "
	"\"CN=Lab CA\""},
    {"expired_sha1", VERIFY_FAILURE, "certificate is signed with SHA-1"},
    {"date_no_seconds", VERIFY_FAILURE, ""},
    {"date_offset", VERIFY_FAILURE, ""},
    {"date_fraction", VERIFY_FAILURE, ""},
    {"date_no_such_day", VERIFY_FAILURE, ""},
    {"date_generalized", VERIFY_PROVED, "\"CN=Lab CA\" < \"CN=Lab Root\""},
    {"cross_expired_root", VERIFY_PROVED,
	"\"CN=Issuing CA\" < \"CN=New Root\""},
    {"cross_unknown_root", VERIFY_PROVED,
	"\"CN=Issuing CA\" < \"CN=New Root\""},
    {"cross_old_trust", VERIFY_EXPIRED,
	"trust anchor \"CN=Gone Root\" expired on 2027-01-14 "
	"08:00:00Z"},
    {"two_ways_bad_first", VERIFY_PROVED,
	"\"CN=Issuing CA\" < \"CN=New Root\""},
    {"two_ways_bad_last", VERIFY_PROVED, "\"CN=Issuing CA\" < \"CN=New Root\""},
    {"two_ways_expired_first", VERIFY_PROVED,
	"\"CN=Issuing CA\" < \"CN=New Root\""},
    {"two_ways_weak_first", VERIFY_PROVED,
	"\"CN=Issuing CA\" < \"CN=New Root\""},
    {"two_ways_damaged_first", VERIFY_PROVED,
	"\"CN=Issuing CA\" < \"CN=New Root\""},
    {"circle", VERIFY_NOT_TRUSTED,
	"the certificates that were sent go in a circle"},
    {"circle_with_exit", VERIFY_PROVED, "\"CN=One\" < \"CN=Other\""},
    {"maze", VERIFY_FAILURE, "gave up after 2048 certificates on paths"},
    {"maze_with_anchor", VERIFY_FAILURE, "gave up after 11 paths"},
    {"maze_most", VERIFY_FAILURE, "gave up after 2048 certificates on paths"},
    {"maze_most_with_anchor", VERIFY_FAILURE,
	"gave up after 2048 certificates on paths"},
    {"same_subject", VERIFY_PROVED, "\"CN=Same\" < \"CN=Anchor\""},
    {"same_subject_none", VERIFY_NOT_TRUSTED,
	"signature of the certificate is not by intermediate "
	"\"CN=Same\""},
    {"same_subject_many_anchors", VERIFY_FAILURE, "gave up after 16 paths"},
    {"same_subject_by_key", VERIFY_PROVED, "\"CN=Same\" < \"CN=Anchor\""},
    {"depth_most", VERIFY_PROVED,
	"\"CN=Level 6\" < \"CN=Level 5\" < \"CN=Level 4\" < "
	"\"CN=Level 3\" < \"CN=Level 2\" < \"CN=Level 1\" < "
	"\"CN=Level 0\""},
    {"depth_over", VERIFY_NOT_TRUSTED,
	"no path of at most 8 certificates to a trusted root"},
    {"rollover", VERIFY_PROVED, "\"CN=Renewed\" < \"CN=Renewed\""},
    {"name_other", VERIFY_HOST_MISMATCH,
	"certificate is for mail.example.net, www.example.net, "
	"a.example.net, b.example.net (1 more), not for "
	"mx.example.org"},
    {"name_last", VERIFY_PROVED, "\"CN=Lab CA\" < \"CN=Lab Root\""},
    {"name_case", VERIFY_PROVED, "\"CN=Lab CA\" < \"CN=Lab Root\""},
    {"name_dot", VERIFY_PROVED, "\"CN=Lab CA\" < \"CN=Lab Root\""},
    {"name_nul", VERIFY_HOST_MISMATCH,
	"certificate is for mx.example.org\\x00.evil.example, not "
	"for mx.example.org"},
    {"name_nul_end", VERIFY_HOST_MISMATCH,
	"certificate is for mx.example.org\\x00, not for "
	"mx.example.org"},
    {"name_wildcard", VERIFY_PROVED, "\"CN=Lab CA\" < \"CN=Lab Root\""},
    {"name_wildcard_deep", VERIFY_HOST_MISMATCH,
	"certificate is for *.org, not for mx.example.org"},
    {"name_wildcard_partial", VERIFY_HOST_MISMATCH,
	"certificate is for m*.example.org, not for mx.example.org"},
    {"name_escape", VERIFY_HOST_MISMATCH,
	"certificate is for \\x1b]0;x\\x07.example, not for "
	"mx.example.org"},
    {"name_address", VERIFY_HOST_MISMATCH,
	"certificate is for 192.0.2.1, 2001:db8::1, not for "
	"mx.example.org"},
    {"name_address_as_dns", VERIFY_HOST_MISMATCH,
	"certificate is for 192.0.2.1, 2001:db8::1, not for "
	"mx.example.org"},
    {"name_address_as_text", VERIFY_HOST_MISMATCH,
	"certificate is for mx.example.org, not for mx.example.org"},
    {"name_bad_entries", VERIFY_PROVED, "\"CN=Lab CA\" < \"CN=Lab Root\""},
    {"name_x400", VERIFY_PROVED, "\"CN=Lab CA\" < \"CN=Lab Root\""},
    {"name_email", VERIFY_HOST_MISMATCH,
	"certificate has no name in subjectAltName; not for "
	"mx.example.org"},
    {"name_punycode", VERIFY_PROVED, "\"CN=Lab CA\" < \"CN=Lab Root\""},
    {"name_cn_only", VERIFY_HOST_MISMATCH,
	"certificate has no name in subjectAltName; not for "
	"mx.example.org"},
    {"name_none", VERIFY_HOST_MISMATCH,
	"certificate has no name in subjectAltName; not for "
	"mx.example.org"},
    {"name_malformed", VERIFY_FAILURE, "certificate has a malformed extension"},
    {"rsa_2048_leaf", VERIFY_PROVED, "\"CN=Lab CA\" < \"CN=Lab Root\""},
    {"rsa_2048_ca", VERIFY_PROVED, "\"CN=Middle\" < \"CN=Lab Root\""},
    {"rsa_2048_root", VERIFY_PROVED, "\"CN=Top\""},
    {"rsa_1024_leaf", VERIFY_FAILURE,
	"certificate has an RSA key shorter than 2048 bits"},
    {"rsa_1024_ca", VERIFY_FAILURE,
	"intermediate \"CN=Middle\" has an RSA key shorter than 2048 "
	"bits"},
    {"rsa_1024_root", VERIFY_FAILURE,
	"trust anchor \"CN=Top\" has an RSA key shorter than 2048 "
	"bits"},
    {"p384_leaf", VERIFY_PROVED, "\"CN=Lab CA\" < \"CN=Lab Root\""},
    {"p384_ca", VERIFY_PROVED, "\"CN=Middle\" < \"CN=Lab Root\""},
    {"p384_root", VERIFY_PROVED, "\"CN=Top\""},
    {"p521_leaf", VERIFY_PROVED, "\"CN=Lab CA\" < \"CN=Lab Root\""},
    {"p521_ca", VERIFY_PROVED, "\"CN=Middle\" < \"CN=Lab Root\""},
    {"p521_root", VERIFY_PROVED, "\"CN=Top\""},
    {"p224_leaf", VERIFY_FAILURE,
	"certificate has a key on a curve that is not accepted"},
    {"p224_ca", VERIFY_FAILURE,
	"intermediate \"CN=Middle\" has a key on a curve that is not "
	"accepted"},
    {"p224_root", VERIFY_FAILURE,
	"trust anchor \"CN=Top\" has a key on a curve that is not "
	"accepted"},
    {"secp256k1_leaf", VERIFY_FAILURE,
	"certificate has a public key that cannot be read"},
    {"secp256k1_ca", VERIFY_FAILURE,
	"intermediate \"CN=Middle\" has a public key that cannot be "
	"read"},
    {"secp256k1_root", VERIFY_FAILURE,
	"trust anchor \"CN=Top\" has a public key that cannot be read"},
    {"ed25519_leaf", VERIFY_PROVED, "\"CN=Lab CA\" < \"CN=Lab Root\""},
    {"ed25519_ca", VERIFY_PROVED, "\"CN=Middle\" < \"CN=Lab Root\""},
    {"ed25519_root", VERIFY_PROVED, "\"CN=Top\""},
    {"explicit_leaf", VERIFY_FAILURE,
	"certificate has explicit curve parameters"},
    {"explicit_ca", VERIFY_FAILURE,
	"intermediate \"CN=Middle\" has explicit curve parameters"},
    {"explicit_root", VERIFY_FAILURE,
	"trust anchor \"CN=Top\" has explicit curve parameters"},
    {"rsa_9000_leaf", VERIFY_FAILURE,
	"certificate has an RSA key longer than 8192 bits"},
    {"md5_leaf", VERIFY_FAILURE, "certificate is signed with MD5"},
    {"md5_ca", VERIFY_FAILURE, "intermediate \"CN=RSA CA\" is signed with MD5"},
    {"md5_root", VERIFY_PROVED, "\"CN=RSA Root\""},
    {"sha1_leaf", VERIFY_FAILURE, "certificate is signed with SHA-1"},
    {"sha1_ca", VERIFY_FAILURE,
	"intermediate \"CN=RSA CA\" is signed with SHA-1"},
    {"sha1_root", VERIFY_PROVED, "\"CN=RSA Root\""},
    {"pss_sha256_leaf", VERIFY_PROVED, "\"CN=RSA Root\""},
    {"pss_sha256_ca", VERIFY_PROVED, "\"CN=RSA CA\" < \"CN=RSA Root\""},
    {"pss_sha256_root", VERIFY_PROVED, "\"CN=RSA Root\""},
    {"pss_sha512_leaf", VERIFY_PROVED, "\"CN=RSA Root\""},
    {"pss_sha512_ca", VERIFY_PROVED, "\"CN=RSA CA\" < \"CN=RSA Root\""},
    {"pss_sha512_root", VERIFY_PROVED, "\"CN=RSA Root\""},
    {"pss_default_leaf", VERIFY_FAILURE,
	"certificate is signed in a way that is not accepted"},
    {"pss_default_ca", VERIFY_FAILURE,
	"intermediate \"CN=RSA CA\" is signed in a way that is not "
	"accepted"},
    {"pss_default_root", VERIFY_PROVED, "\"CN=RSA Root\""},
    {"pss_sha1_leaf", VERIFY_FAILURE,
	"certificate is signed in a way that is not accepted"},
    {"pss_sha1_ca", VERIFY_FAILURE,
	"intermediate \"CN=RSA CA\" is signed in a way that is not "
	"accepted"},
    {"pss_sha1_root", VERIFY_PROVED, "\"CN=RSA Root\""},
    {"pss_sha1_mask_leaf", VERIFY_FAILURE,
	"certificate is signed in a way that is not accepted"},
    {"pss_sha1_mask_ca", VERIFY_FAILURE,
	"intermediate \"CN=RSA CA\" is signed in a way that is not "
	"accepted"},
    {"pss_sha1_mask_root", VERIFY_PROVED, "\"CN=RSA Root\""},
    {"sha1_ec_leaf", VERIFY_FAILURE, "certificate is signed with SHA-1"},
    {"leaf_plain", VERIFY_PROVED, "\"CN=Lab CA\" < \"CN=Lab Root\""},
    {"leaf_ca", VERIFY_FAILURE,
	"certificate is a CA certificate, not a server's"},
    {"leaf_ca_no_usage", VERIFY_FAILURE,
	"certificate is a CA certificate, not a server's"},
    {"leaf_encipher", VERIFY_PROVED, "\"CN=Lab CA\" < \"CN=Lab Root\""},
    {"leaf_sign_only", VERIFY_FAILURE,
	"certificate is not for TLS (key usage)"},
    {"leaf_client", VERIFY_FAILURE,
	"certificate is not for TLS servers (extended key usage)"},
    {"leaf_any_purpose", VERIFY_FAILURE,
	"certificate is not for TLS servers (extended key usage)"},
    {"leaf_both_purposes", VERIFY_PROVED, "\"CN=Lab CA\" < \"CN=Lab Root\""},
    {"leaf_unknown_critical", VERIFY_FAILURE,
	"certificate has an unknown critical extension"},
    {"leaf_unknown", VERIFY_PROVED, "\"CN=Lab CA\" < \"CN=Lab Root\""},
    {"leaf_twice", VERIFY_FAILURE, "certificate has a malformed extension"},
    {"leaf_twice_unknown", VERIFY_FAILURE,
	"certificate has an extension twice"},
    {"leaf_many_extensions", VERIFY_FAILURE,
	"certificate has too many extensions"},
    {"leaf_path_length", VERIFY_FAILURE,
	"certificate has a malformed extension"},
    {"leaf_v1", VERIFY_FAILURE, "certificate is not of version 3"},
    {"ca_v1", VERIFY_FAILURE, "intermediate \"CN=Middle\" is not of version 3"},
    {"ca_plain", VERIFY_FAILURE,
	"intermediate \"CN=Middle\" is not a CA certificate"},
    {"ca_no_usage", VERIFY_PROVED, "\"CN=Middle\" < \"CN=Lab Root\""},
    {"ca_not_ca", VERIFY_FAILURE,
	"intermediate \"CN=Middle\" is not a CA certificate"},
    {"ca_no_sign", VERIFY_FAILURE,
	"intermediate \"CN=Middle\" may not sign certificates (key "
	"usage)"},
    {"ca_client", VERIFY_FAILURE,
	"intermediate \"CN=Middle\" is not for TLS servers (extended "
	"key usage)"},
    {"ca_server", VERIFY_PROVED, "\"CN=Middle\" < \"CN=Lab Root\""},
    {"ca_unknown_critical", VERIFY_FAILURE,
	"intermediate \"CN=Middle\" has an unknown critical extension"},
    {"ca_policy", VERIFY_FAILURE,
	"intermediate \"CN=Middle\" has policy constraints"},
    {"leaf_signs_leaf", VERIFY_FAILURE,
	"intermediate \"CN=server\" is not a CA certificate"},
    {"root_v1", VERIFY_FAILURE,
	"trust anchor \"CN=Odd Root\" is not of version 3"},
    {"root_plain", VERIFY_FAILURE,
	"trust anchor \"CN=Odd Root\" is not a CA certificate"},
    {"root_no_usage", VERIFY_PROVED, "\"CN=Odd Root\""},
    {"root_unknown_critical", VERIFY_FAILURE,
	"trust anchor \"CN=Odd Root\" has an unknown critical "
	"extension"},
    {"root_client", VERIFY_FAILURE,
	"trust anchor \"CN=Odd Root\" is not for TLS servers "
	"(extended key usage)"},
    {"length_kept", VERIFY_PROVED, "\"CN=None Below\" < \"CN=Lab Root\""},
    {"length_passed", VERIFY_FAILURE,
	"intermediate \"CN=None Below\" does not allow so long a "
	"path below it"},
    {"length_self_issued", VERIFY_PROVED,
	"\"CN=None Below\" < \"CN=None Below\" < \"CN=Lab Root\""},
    {"length_self_issued_passed", VERIFY_FAILURE,
	"intermediate \"CN=None Below\" does not allow so long a "
	"path below it"},
    {"length_root_kept", VERIFY_PROVED, "\"CN=Short Root\""},
    {"length_root_passed", VERIFY_FAILURE,
	"trust anchor \"CN=Short Root\" does not allow so long a "
	"path below it"},
    {"limit_permitted", VERIFY_PROVED, "\"CN=Limited\" < \"CN=Lab Root\""},
    {"limit_permitted_dot", VERIFY_PROVED, "\"CN=Limited\" < \"CN=Lab Root\""},
    {"limit_not_permitted", VERIFY_FAILURE,
	"certificate has a name that the name constraints above"},
    {"limit_excluded", VERIFY_FAILURE,
	"intermediate \"CN=Limited\" excludes a name of the certificate"},
    {"limit_excluded_dot", VERIFY_FAILURE,
	"intermediate \"CN=Limited\" excludes a name of the certificate"},
    {"limit_excluded_base_dot", VERIFY_FAILURE,
	"intermediate \"CN=Limited\" excludes a name of the certificate"},
    {"limit_excluded_below_dot", VERIFY_FAILURE,
	"intermediate \"CN=Limited\" excludes a name of the certificate"},
    {"limit_excluded_below_itself", VERIFY_PROVED,
	"\"CN=Limited\" < \"CN=Lab Root\""},
    {"limit_excluded_all", VERIFY_FAILURE,
	"intermediate \"CN=Limited\" excludes a name of the certificate"},
    {"limit_excluded_part", VERIFY_PROVED, "\"CN=Limited\" < \"CN=Lab Root\""},
    {"limit_excluded_bad", VERIFY_FAILURE,
	"intermediate \"CN=Limited\" excludes what is not a DNS name"},
    {"limit_excluded_root", VERIFY_FAILURE,
	"intermediate \"CN=Limited\" excludes a name of the certificate"},
    {"limit_excluded_other", VERIFY_PROVED, "\"CN=Limited\" < \"CN=Lab Root\""},
    {"limit_one_not_permitted", VERIFY_FAILURE,
	"certificate has a name that the name constraints above"},
    {"limit_wildcard_kept", VERIFY_PROVED, "\"CN=Limited\" < \"CN=Lab Root\""},
    {"limit_wildcard_excluded", VERIFY_FAILURE,
	"intermediate \"CN=Limited\" excludes a name of the certificate"},
    {"limit_wildcard_excluded_dot", VERIFY_FAILURE,
	"intermediate \"CN=Limited\" excludes a name of the certificate"},
    {"limit_wildcard_not_excluded", VERIFY_PROVED,
	"\"CN=Limited\" < \"CN=Lab Root\""},
    {"limit_wildcard_other_kind", VERIFY_PROVED,
	"\"CN=Limited\" < \"CN=Lab Root\""},
    {"limit_cn_only", VERIFY_FAILURE,
	"certificate: Issuer has name constraints but leaf has no "
	"SANs"},
    {"limit_address", VERIFY_FAILURE,
	"certificate: unsupported name constraint type"},
    {"limit_address_unused", VERIFY_PROVED, "\"CN=Limited\" < \"CN=Lab Root\""},
    {"limit_x400", VERIFY_PROVED, "\"CN=Limited\" < \"CN=Lab Root\""},
    {"limit_email_punycode", VERIFY_PROVED, "\"CN=Limited\" < \"CN=Lab Root\""},
    {"limit_bad_base", VERIFY_FAILURE,
	"certificate has a name that the name constraints above"},
    {"limit_root", VERIFY_FAILURE,
	"certificate has a name that the name constraints above"},
    {"limit_explosion", VERIFY_FAILURE,
	"certificate has too many names to hold against name constraints"},
    {"limit_many", VERIFY_PROVED, "\"CN=Limited\" < \"CN=Lab Root\""},
    {"limit_bad_length", VERIFY_PROVED, "\"CN=Limited\" < \"CN=Lab Root\""},
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static const char *const host_names[] = {CASE_HOST};

/* A case's files, read. */
struct loaded {
	struct chain *chain;
	struct store *trust;
};

static struct loaded
load(const char *title)
{
	char error[STORE_ERROR_MAX], *text;
	struct loaded loaded;
	size_t len;

	text = case_text(title, "chain", &len);
	loaded.chain = chain_from_pem(text, len);
	assert_non_null(loaded.chain);
	free(text);
	text = case_text(title, "trust", &len);
	loaded.trust = store_from_pem(text, len, error);
	assert_non_null(loaded.trust);
	free(text);
	return loaded;
}

static void
unload(struct loaded *loaded)
{
	chain_free(loaded->chain);
	store_free(loaded->trust);
}

static struct verify_request
request_for(const struct loaded *loaded)
{
	struct verify_request request = {.trust = loaded->trust,
	    .names = host_names,
	    .name_count = 1,
	    .at = CASE_AT};

	return request;
}

/* What must hold of every report. */
static void
check_report(const char *title, const struct verify_report *report)
{
	size_t len = strnlen(report->text, VERIFY_TEXT_MAX);

	if (len == 0 || len == VERIFY_TEXT_MAX)
		fail_msg("%s: text of %zu bytes", title, len);
	for (size_t i = 0; i < len; i++) {
		if (report->text[i] < ' ' || report->text[i] > '~')
			fail_msg(
			    "%s: text with byte %d", title, report->text[i]);
	}
	if ((verify_result_word(report->result)[0] == '\0') !=
	    (report->result == VERIFY_PROVED))
		fail_msg(
		    "%s: word %s", title, verify_result_word(report->result));
	if (report->result != VERIFY_PROVED &&
	    (report->matched[0] != '\0' || report->from != 0 ||
		report->until != 0))
		fail_msg("%s: refused, but matched", title);
}

/* A verdict holds from the first to the last second that it says, only. */
static void
check_span(const char *title, const struct loaded *loaded,
    const struct verify_report *proved)
{
	struct verify_request request = request_for(loaded);
	struct verify_report report;

	assert_true(proved->from <= CASE_AT && CASE_AT <= proved->until);
	for (int i = 0; i < 4; i++) {
		request.at = i < 2 ? proved->from - (i == 1)
		                   : proved->until + (i == 3);
		verify_chain(loaded->chain, &request, &report);
		if ((report.result == VERIFY_PROVED) != (i % 2 == 0) ||
		    (i % 2 == 1 && report.result != VERIFY_EXPIRED))
			fail_msg("%s: %s at %lld: %s", title,
			    verify_result_word(report.result),
			    (long long)request.at, report.text);
	}
}

static void
test_rows(void **state)
{
	struct verify_request request;
	struct verify_report report;
	struct loaded loaded;
	clock_t began;

	(void)state;
	for (size_t i = 0; i < ROW_COUNT; i++) {
		loaded = load(rows[i].title);
		request = request_for(&loaded);
		began = clock();
		verify_chain(loaded.chain, &request, &report);
		if (clock() - began > CPU_SECONDS_MAX * CLOCKS_PER_SEC)
			fail_msg("%s: takes too long", rows[i].title);
		if (report.result != rows[i].result ||
		    strstr(report.text, rows[i].text) == NULL)
			fail_msg("%s: %s: %s", rows[i].title,
			    verify_result_word(report.result), report.text);
		check_report(rows[i].title, &report);
		if (report.result == VERIFY_PROVED) {
			assert_string_equal(report.matched, CASE_HOST);
			check_span(rows[i].title, &loaded, &report);
		}
		unload(&loaded);
	}
}

static enum verify_result
judge(const char *title, struct verify_request *wanted,
    struct verify_report *report)
{
	struct loaded loaded = load(title);

	wanted->trust = loaded.trust;
	wanted->at = CASE_AT;
	verify_chain(loaded.chain, wanted, report);
	check_report(title, report);
	unload(&loaded);
	return report->result;
}

static void
test_names(void **state)
{
	static const char *const second[] = {
	    "mx.example.net", "b.example.org."};
	static const char *const none[] = {
	    "mx.example.net", "", "*", "*.example.org", "192.0.2.1"};
	struct verify_request request = {.names = second, .name_count = 2};
	struct verify_report report;

	(void)state;
	assert_int_equal(judge("name_last", &request, &report), VERIFY_PROVED);
	assert_string_equal(report.matched, "b.example.org.");
	request.names = none;
	request.name_count = 5;
	assert_int_equal(
	    judge("name_last", &request, &report), VERIFY_HOST_MISMATCH);
	assert_non_null(strstr(report.text, "not for mx.example.net (4 more)"));
	request.names = none + 4;
	request.name_count = 1;
	assert_int_equal(judge("name_address_as_dns", &request, &report),
	    VERIFY_HOST_MISMATCH);
	assert_int_equal(
	    judge("name_address", &request, &report), VERIFY_HOST_MISMATCH);
	/* No name asked for: the trust file alone. */
	request.name_count = 0;
	assert_int_equal(judge("name_none", &request, &report), VERIFY_PROVED);
	assert_string_equal(report.matched, "");
	assert_int_equal(
	    judge("unknown_root", &request, &report), VERIFY_NOT_TRUSTED);
}

static void
test_addresses(void **state)
{
	static const struct {
		const char *title, *ip;
		enum verify_result result;
	} asked[] = {
	    {"name_address", "192.0.2.1", VERIFY_PROVED},
	    {"name_address", "2001:db8::1", VERIFY_PROVED},
	    {"name_address", "192.0.2.2", VERIFY_HOST_MISMATCH},
	    {"name_address", "::ffff:192.0.2.1", VERIFY_HOST_MISMATCH},
	    {"name_address", "2001:db8::2", VERIFY_HOST_MISMATCH},
	    {"name_address_as_dns", "192.0.2.1", VERIFY_HOST_MISMATCH},
	    {"name_address_as_dns", "2001:db8::1", VERIFY_HOST_MISMATCH},
	    {"good", "192.0.2.1", VERIFY_HOST_MISMATCH},
	};
	struct verify_request request = {.name_count = 0};
	struct verify_report report;
	uint8_t ip[16];
	bool is_v6;

	(void)state;
	request.ip = ip;
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		is_v6 = strchr(asked[i].ip, ':') != NULL;
		assert_int_equal(
		    inet_pton(is_v6 ? AF_INET6 : AF_INET, asked[i].ip, ip), 1);
		request.ip_len = is_v6 ? 16 : 4;
		assert_int_equal(
		    judge(asked[i].title, &request, &report), asked[i].result);
		if (report.result == VERIFY_PROVED)
			assert_string_equal(report.matched, asked[i].ip);
		else
			assert_non_null(strstr(report.text, "not for "));
	}
	/* A name or the address. */
	request.names = host_names;
	request.name_count = 1;
	inet_pton(AF_INET, "192.0.2.1", ip);
	request.ip_len = 4;
	assert_int_equal(
	    judge("name_address", &request, &report), VERIFY_PROVED);
	assert_string_equal(report.matched, "192.0.2.1");
	assert_int_equal(judge("good", &request, &report), VERIFY_PROVED);
	assert_string_equal(report.matched, CASE_HOST);
}

/* The key's hash by another way than the code's. */
static void
leaf_pin(const struct chain *chain, uint8_t pin[32])
{
	X509 *leaf = X509_parse_from_buffer(chain_buffer(chain, 0));
	uint8_t *spki = NULL;
	int len;

	assert_non_null(leaf);
	len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &spki);
	assert_true(len > 0);
	SHA256(spki, (size_t)len, pin);
	OPENSSL_free(spki);
	X509_free(leaf);
}

static void
test_pins(void **state)
{
	struct loaded good = load("good"), lone = load("unknown_root");
	struct verify_request request = request_for(&good);
	struct verify_report report;
	uint8_t pins[2][32] = {{0}};

	(void)state;
	request.pins = pins;
	request.pin_count = 2;
	assert_int_equal(
	    verify_chain(good.chain, &request, &report), VERIFY_NOT_TRUSTED);
	check_report("pin", &report);
	leaf_pin(good.chain, pins[1]);
	assert_int_equal(
	    verify_chain(good.chain, &request, &report), VERIFY_PROVED);
	/* With trust, a pin excuses nothing. */
	request.trust = lone.trust;
	assert_int_equal(
	    verify_chain(good.chain, &request, &report), VERIFY_NOT_TRUSTED);
	request = request_for(&good);
	request.pins = pins;
	request.pin_count = 2;
	request.names = (const char *const[]){"mx.example.net"};
	assert_int_equal(
	    verify_chain(good.chain, &request, &report), VERIFY_HOST_MISMATCH);
	request.names = host_names;
	request.at = 0;
	assert_int_equal(
	    verify_chain(good.chain, &request, &report), VERIFY_EXPIRED);
	unload(&good);
	unload(&lone);
}

static void
test_pin_alone(void **state)
{
	struct loaded bad = load("self_signed");
	struct verify_request request = {.at = 0};
	struct verify_report report;
	uint8_t pin[1][32];

	(void)state;
	assert_int_equal(
	    verify_chain(bad.chain, &request, &report), VERIFY_FAILURE);
	check_report("no pin", &report);
	leaf_pin(bad.chain, pin[0]);
	request.pins = pin;
	request.pin_count = 1;
	assert_int_equal(
	    verify_chain(bad.chain, &request, &report), VERIFY_PROVED);
	assert_true(report.from == INT64_MIN && report.until == INT64_MAX);
	check_report("pin alone", &report);
	for (size_t bit = 0; bit < 256; bit++) {
		pin[0][bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(verify_chain(bad.chain, &request, &report),
		    VERIFY_NOT_TRUSTED);
		pin[0][bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	unload(&bad);
	bad = load("unreadable_leaf");
	assert_int_equal(
	    verify_chain(bad.chain, &request, &report), VERIFY_FAILURE);
	unload(&bad);
	bad = load("trailing_byte");
	assert_int_equal(
	    verify_chain(bad.chain, &request, &report), VERIFY_FAILURE);
	unload(&bad);
}

/* The chain with one bit of certificate `at` turned over. */
static struct chain *
flip(const struct chain *chain, size_t at, size_t bit)
{
	STACK_OF(CRYPTO_BUFFER) *buffers = sk_CRYPTO_BUFFER_new_null();
	struct chain *flipped;

	for (size_t i = 0; i < chain_count(chain); i++) {
		const uint8_t *der;
		uint8_t *copy;
		size_t len;

		der = chain_der(chain, i, &len);
		copy = malloc(len);
		assert_non_null(copy);
		memcpy(copy, der, len);
		if (i == at)
			copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
		sk_CRYPTO_BUFFER_push(
		    buffers, CRYPTO_BUFFER_new(copy, len, NULL));
		free(copy);
	}
	flipped = chain_from_buffers(buffers);
	assert_non_null(flipped);
	sk_CRYPTO_BUFFER_pop_free(buffers, CRYPTO_BUFFER_free);
	return flipped;
}

static void
test_every_bit_counts(void **state)
{
	struct loaded good = load("good");
	struct verify_request request = request_for(&good);
	struct verify_report report;
	struct chain *flipped;
	size_t len;

	(void)state;
	for (size_t at = 0; at < chain_count(good.chain); at++) {
		chain_der(good.chain, at, &len);
		for (size_t bit = 0; bit < len * 8; bit++) {
			flipped = flip(good.chain, at, bit);
			verify_chain(flipped, &request, &report);
			if (report.result == VERIFY_PROVED)
				fail_msg("bit %zu of %zu", bit, at);
			check_report("flipped", &report);
			chain_free(flipped);
		}
	}
	unload(&good);
}

/* No bytes at all where certificates should be. */
static void
test_empty(void **state)
{
	STACK_OF(CRYPTO_BUFFER) *buffers = sk_CRYPTO_BUFFER_new_null();
	struct loaded good = load("good");
	struct verify_request request = request_for(&good);
	struct verify_report report;
	struct chain *chain;

	(void)state;
	for (int i = 0; i < 3; i++)
		sk_CRYPTO_BUFFER_push(
		    buffers, CRYPTO_BUFFER_new(NULL, 0, NULL));
	chain = chain_from_buffers(buffers);
	assert_int_equal(
	    verify_chain(chain, &request, &report), VERIFY_FAILURE);
	check_report("empty", &report);
	chain_free(chain);
	sk_CRYPTO_BUFFER_pop_free(buffers, CRYPTO_BUFFER_free);
	unload(&good);
}

/* Several requests of one chain have no more signatures checked than one. */
static void
test_29_work_is_shared(void **state)
{
	struct loaded good = load("good");
	struct verify_request request = request_for(&good);
	struct verify_report report;
	size_t spent = 0;

	(void)state;
	request.spent = &spent;
	assert_int_equal(
	    verify_chain(good.chain, &request, &report), VERIFY_PROVED);
	assert_in_range(spent, 1, VERIFY_DEPTH_MAX);
	spent = VERIFY_WORK_MAX;
	assert_int_equal(
	    verify_chain(good.chain, &request, &report), VERIFY_FAILURE);
	assert_non_null(strstr(report.text, "gave up"));
	assert_int_equal(spent, VERIFY_WORK_MAX);
	unload(&good);
}

static void
test_leaf_names(void **state)
{
	char names[VERIFY_TEXT_MAX];
	struct loaded loaded;

	(void)state;
	loaded = load("name_last");
	assert_string_equal(verify_leaf_names(loaded.chain, names),
	    "a.example.org, b.example.org, mx.example.org");
	unload(&loaded);
	loaded = load("unreadable_leaf");
	assert_string_equal(verify_leaf_names(loaded.chain, names), "");
	unload(&loaded);
}

#ifdef POSTERN_SANITIZE
static void
test_out_of_memory(void **state)
{
	(void)state;
	skip();
}
#else
/*
 * Not all of BoringSSL tells when memory runs out: in the arithmetic of a
 * signature, say, it is as if the signature were wrong.  What may never be
 * told is that the chain is good, or good but for its date or names.
 */
static enum starved
starve_verify(const char *title, long after)
{
	struct loaded loaded = load(title);
	struct verify_request request = request_for(&loaded);
	struct verify_report report;

	allocations_left = after;
	verify_chain(loaded.chain, &request, &report);
	allocations_left = -1;
	if (!has_failed)
		return STARVED_NEVER;
	if (report.result == VERIFY_FAILURE ||
	    report.result == VERIFY_NOT_TRUSTED)
		return STARVED_REFUSED;
	print_error("%s: allocation %ld: %s: %s\n", title, after,
	    verify_result_word(report.result), report.text);
	return STARVED_WRONG;
}

/* No store, or one that lacks what it says it lacks. */
static enum starved
starve_store(const char *title, long after)
{
	char error[STORE_ERROR_MAX], *text;
	struct store *store;
	size_t len;

	text = case_text(title, "trust", &len);
	allocations_left = after;
	store = store_from_pem(text, len, error);
	allocations_left = -1;
	if (!has_failed)
		return STARVED_NEVER;
	if (store == NULL && strcmp(error, "out of memory") == 0)
		return STARVED_REFUSED;
	if (store != NULL && store_count(store) + store_skipped(store) == 3)
		return STARVED_PARTLY;
	print_error("%s: allocation %ld: store\n", title, after);
	return STARVED_WRONG;
}

static void
test_out_of_memory(void **state)
{
	static const char *const titles[] = {"good", "leaf_expired",
	    "name_other", "self_signed", "unknown_root", "limit_excluded"};

	(void)state;
	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
		starve_all(starve_verify, titles[i]);
	starve_all(starve_store, "good_many_roots");
	fails_for_good = true;
	starve_all(starve_verify, "good");
	starve_all(starve_store, "good_many_roots");
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_pins),
	    cmocka_unit_test(test_pin_alone),
	    cmocka_unit_test(test_every_bit_counts),
	    cmocka_unit_test(test_empty),
	    cmocka_unit_test(test_29_work_is_shared),
	    cmocka_unit_test(test_leaf_names),
	    cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
