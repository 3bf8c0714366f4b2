/* SPDX-License-Identifier: ISC */
/*
 * Verdicts by TLSA records.  Each row is a case of make_certs.py, judged for
 * mx.example.org at CASE_AT; the text is part of what is told.
 */

#include "certs/dane.h"

#include <openssl/pool.h>
#include <time.h>

#include "certs/chain.h"
#include "certs/store.h"
#include "certs/verify.h"
#include "tests/unit/cases.h"
#include "tests/unit/starve.h"

#define CPU_SECONDS_MAX 2 /* for one verdict, under sanitizers too */
#define RECORDS_MAX     VERIFY_TLSA_MAX

#define NONE       "certificate matches no TLSA record of mx.example.org: it is "
#define BY_ROOT    ": \"CN=Private CA\" < \"CN=Private Root\""
#define BY_CA      ": \"CN=Private CA\""
#define UNUSABLE   "no usable TLSA record of mx.example.org"
#define ONE_RECORD ", the record is 3 1 1 "

struct row {
	const char *title;
	enum verify_result result;
	const char *text;
};

static const char *const host_names[] = {CASE_HOST};

/* A case's files, read. */
struct loaded {
	struct chain *chain;
	struct tlsa records[RECORDS_MAX];
	size_t count;
	uint8_t data[RECORDS_MAX][TLSA_DATA_MAX];
};

static struct loaded *
load(const char *title)
{
	struct loaded *loaded = calloc(1, sizeof(*loaded));
	char *text, *line, *rest;
	size_t len;

	assert_non_null(loaded);
	text = case_text(title, "chain", &len);
	assert_non_null(loaded->chain = chain_from_pem(text, len));
	free(text);
	text = rest = case_file(title, "tlsa", &len);
	while ((line = strsep(&rest, "\n")) != NULL && line[0] != '\0') {
		assert_true(loaded->count < RECORDS_MAX);
		/* An empty one is for the DNS alone to have. */
		if (tlsa_from_text(&loaded->records[loaded->count], line,
			loaded->data[loaded->count]) == -1)
			fail_msg("%s: %s", title, line);
		loaded->count++;
	}
	free(text);
	return loaded;
}

static void
unload(struct loaded *loaded)
{
	chain_free(loaded->chain);
	free(loaded);
}

static struct verify_request
request_for(const struct loaded *loaded)
{
	struct verify_request request = {.names = host_names,
	    .name_count = 1,
	    .tlsa = loaded->records,
	    .tlsa_count = loaded->count,
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
	if (report->result != VERIFY_PROVED &&
	    (report->matched[0] != '\0' || report->from != 0 ||
		report->until != 0))
		fail_msg("%s: refused, but matched", title);
	if (report->result == VERIFY_PROVED &&
	    strcmp(report->matched, CASE_HOST) != 0)
		fail_msg("%s: matched %s", title, report->matched);
}

/* A verdict holds from the first to the last second that it says, only. */
static void
check_span(const char *title, const struct loaded *loaded,
    const struct verify_report *proved)
{
	struct verify_request request = request_for(loaded);
	struct verify_report report;

	assert_true(proved->from <= CASE_AT && CASE_AT <= proved->until);
	if (strncmp(proved->text, "TLSA 3 ", 7) == 0) {
		assert_true(proved->from == INT64_MIN);
		assert_true(proved->until == INT64_MAX);
		return;
	}
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
judge_row(const struct row *row)
{
	struct loaded *loaded = load(row->title);
	struct verify_request request = request_for(loaded);
	struct verify_report report;
	clock_t began = clock();

	verify_chain(loaded->chain, &request, &report);
	if (clock() - began > CPU_SECONDS_MAX * CLOCKS_PER_SEC)
		fail_msg("%s: takes too long", row->title);
	if (report.result != row->result ||
	    strstr(report.text, row->text) == NULL)
		fail_msg("%s: %s: %s", row->title,
		    verify_result_word(report.result), report.text);
	check_report(row->title, &report);
	if (report.result == VERIFY_PROVED)
		check_span(row->title, loaded, &report);
	unload(loaded);
}

#define JUDGE(rows)                                                            \
	for (size_t i_ = 0; i_ < sizeof(rows) / sizeof((rows)[0]); i_++)       \
	judge_row(&(rows)[i_])

static void
test_d7_private_ca_by_usage_2(void **state)
{
	static const struct row rows[] = {
	    {"dane_root_cert_0", VERIFY_PROVED, "TLSA 2 0 0 3082"},
	    {"dane_root_cert_1", VERIFY_PROVED, BY_ROOT},
	    {"dane_root_cert_2", VERIFY_PROVED, "TLSA 2 0 2 "},
	    {"dane_root_key_0", VERIFY_PROVED, "TLSA 2 1 0 3059"},
	    {"dane_root_key_1", VERIFY_PROVED, BY_ROOT},
	    {"dane_root_key_2", VERIFY_PROVED, "TLSA 2 1 2 "},
	    {"dane_ca_cert_0", VERIFY_PROVED, "TLSA 2 0 0 3082"},
	    {"dane_ca_cert_1", VERIFY_PROVED, BY_CA},
	    {"dane_ca_cert_2", VERIFY_PROVED, BY_CA},
	    {"dane_ca_key_0", VERIFY_PROVED, BY_CA},
	    {"dane_ca_key_1", VERIFY_PROVED, BY_CA},
	    {"dane_ca_key_2", VERIFY_PROVED, BY_CA},
	    {"dane_ca_of_more", VERIFY_PROVED, BY_CA},
	    {"dane_other_root", VERIFY_NOT_TRUSTED, NONE "3 0 1 "},
	    {"dane_root_not_sent", VERIFY_NOT_TRUSTED, NONE "3 0 1 "},
	    {"dane_alone", VERIFY_NOT_TRUSTED, NONE "3 0 1 "},
	};

	(void)state;
	JUDGE(rows);
}

/* The chain as it comes: in any order, with more than is needed. */
static void
test_shapes(void **state)
{
	static const struct row rows[] = {
	    {"dane_reordered", VERIFY_PROVED,
		": \"CN=Second CA\" < \"CN=Private CA\" < "
		"\"CN=Private Root\""},
	    {"dane_junk", VERIFY_PROVED,
		": \"CN=Second CA\" < \"CN=Private CA\""},
	    {"dane_leads_nowhere", VERIFY_NOT_TRUSTED,
		"issuer \"CN=Private CA\" of the certificate "
		"matches no TLSA record and was not sent"},
	    {"dane_leads_elsewhere", VERIFY_NOT_TRUSTED,
		"issuer \"CN=Private Root\" of the last "
		"certificate matches no TLSA record and was "
		"not sent"},
	    {"dane_root_elsewhere", VERIFY_NOT_TRUSTED,
		"the root \"CN=Private Root\" that was sent matches no TLSA "
		"record"},
	    {"dane_twin", VERIFY_NOT_TRUSTED,
		"issuer \"CN=Private CA\" of the certificate has another key "
		"than the one of its TLSA record"},
	    {"dane_cross_sent", VERIFY_PROVED, BY_ROOT},
	    {"dane_cross_key", VERIFY_PROVED, BY_ROOT},
	    {"dane_cross_up", VERIFY_PROVED,
		": \"CN=Private CA\" < \"CN=Private Root\" < "
		"\"CN=Stranger Root\""},
	    {"dane_cross_expired", VERIFY_PROVED, BY_ROOT},
	    {"dane_second_of_3", VERIFY_PROVED, "TLSA 3 1 1 "},
	    {"dane_second_of_2", VERIFY_PROVED, BY_CA},
	};

	(void)state;
	JUDGE(rows);
}

/* 2 0 0 */
static void
test_full_certificate_not_sent(void **state)
{
	static const struct row rows[] = {
	    {"dane_full_root", VERIFY_PROVED, BY_ROOT},
	    {"dane_full_ca", VERIFY_PROVED, BY_CA},
	    {"dane_full_root_alone", VERIFY_NOT_TRUSTED, NONE "3 0 1 "},
	    {"dane_full_expired", VERIFY_EXPIRED,
		"trust anchor \"CN=Gone Root\" expired on"},
	    {"dane_full_junk", VERIFY_NOT_TRUSTED, NONE "3 0 1 "},
	    {"dane_full_short", VERIFY_NOT_TRUSTED, NONE "3 0 1 "},
	    {"dane_full_long", VERIFY_NOT_TRUSTED, NONE "3 0 1 "},
	    {"dane_full_unread", VERIFY_FAILURE,
		"certificate 2 of the chain cannot be read"},
	    {"dane_full_impostor", VERIFY_NOT_TRUSTED, NONE "3 0 1 "},
	};

	(void)state;
	JUDGE(rows);
}

/* 2 1 0 */
static void
test_full_key_not_sent(void **state)
{
	static const struct row rows[] = {
	    {"dane_key_root", VERIFY_PROVED, BY_ROOT},
	    {"dane_key_ca", VERIFY_PROVED, BY_CA},
	    {"dane_key_second", VERIFY_PROVED,
		": \"CN=Second CA\" < \"CN=Private CA\" < \"CN=Private Root\""},
	    {"dane_key_two", VERIFY_PROVED,
		": \"CN=Second CA\" < \"CN=Private CA\" < \"CN=Private Root\""},
	    {"dane_key_wrong", VERIFY_NOT_TRUSTED, NONE "3 1 1 "},
	    {"dane_key_wrong_kind", VERIFY_NOT_TRUSTED, NONE "3 1 1 "},
	    {"dane_key_short", VERIFY_NOT_TRUSTED, NONE "3 1 1 "},
	    {"dane_key_long", VERIFY_NOT_TRUSTED, NONE "3 1 1 "},
	    {"dane_key_junk", VERIFY_NOT_TRUSTED, NONE "3 1 1 "},
	    {"dane_key_damaged", VERIFY_NOT_TRUSTED, NONE "3 1 1 "},
	    {"dane_key_expired_leaf", VERIFY_EXPIRED,
		"certificate expired on 2027-01-14"},
	    {"dane_key_name", VERIFY_HOST_MISMATCH,
		"certificate is for mx.example.net, not for mx.example.org"},
	    {"dane_key_weak", VERIFY_FAILURE,
		"trust anchor \"CN=Weak Root\" has an RSA key shorter than "
		"2048"},
	    {"dane_key_sha1", VERIFY_FAILURE,
		"certificate is signed with SHA-1"},
	    {"dane_key_by_serial", VERIFY_PROVED, BY_CA},
	    {"dane_key_by_name", VERIFY_PROVED, BY_CA},
	    {"dane_key_id_empty", VERIFY_FAILURE, "malformed extension"},
	    {"dane_key_id_open", VERIFY_FAILURE, "malformed extension"},
	    {"dane_key_id_names", VERIFY_FAILURE, "malformed extension"},
	    {"dane_key_id_name", VERIFY_NOT_TRUSTED, NONE},
	    {"dane_key_sent_expired", VERIFY_EXPIRED,
		"trust anchor \"CN=Private CA\" expired on"},
	    {"dane_depth_most", VERIFY_PROVED,
		"\"CN=Level 6\" < \"CN=Level 5\""},
	    {"dane_depth_over", VERIFY_NOT_TRUSTED, NONE "3 1 1 "},
	    {"dane_key_maze", VERIFY_FAILURE, "gave up after 16 paths"},
	};

	(void)state;
	JUDGE(rows);
}

static void
test_leaf_is_no_authority(void **state)
{
	static const struct row rows[] = {
	    {"dane_leaf_as_ta_cert_0", VERIFY_NOT_TRUSTED, NONE "3 0 1 "},
	    {"dane_leaf_as_ta_key_0", VERIFY_NOT_TRUSTED, NONE "3 1 1 "},
	    {"dane_leaf_as_ta_cert_1", VERIFY_NOT_TRUSTED, NONE "3 0 1 "},
	    {"dane_leaf_as_ta_key_1", VERIFY_NOT_TRUSTED, NONE "3 1 1 "},
	    {"dane_leaf_as_ta_cert_2", VERIFY_NOT_TRUSTED, NONE "3 0 2 "},
	    {"dane_leaf_as_ta_key_2", VERIFY_NOT_TRUSTED, NONE "3 1 2 "},
	    {"dane_lone_cert_0", VERIFY_NOT_TRUSTED, NONE "3 0 1 "},
	    {"dane_lone_key_0", VERIFY_NOT_TRUSTED, NONE "3 1 1 "},
	    {"dane_lone_cert_1", VERIFY_NOT_TRUSTED, NONE "3 0 1 "},
	    {"dane_lone_key_1", VERIFY_NOT_TRUSTED, NONE "3 1 1 "},
	    {"dane_lone_cert_2", VERIFY_NOT_TRUSTED, NONE "3 0 2 "},
	    {"dane_lone_key_2", VERIFY_NOT_TRUSTED, NONE "3 1 2 "},
	    {"dane_lone_plain_cert_0", VERIFY_NOT_TRUSTED, NONE "3 0 1 "},
	    {"dane_lone_plain_key_0", VERIFY_NOT_TRUSTED, NONE "3 1 1 "},
	    {"dane_lone_plain_cert_1", VERIFY_NOT_TRUSTED, NONE "3 0 1 "},
	    {"dane_lone_plain_key_1", VERIFY_NOT_TRUSTED, NONE "3 1 1 "},
	    {"dane_lone_plain_cert_2", VERIFY_NOT_TRUSTED, NONE "3 0 2 "},
	    {"dane_lone_plain_key_2", VERIFY_NOT_TRUSTED, NONE "3 1 2 "},
	    {"dane_own_cert_0", VERIFY_NOT_TRUSTED, NONE "3 0 1 "},
	    {"dane_own_key_0", VERIFY_NOT_TRUSTED, NONE "3 1 1 "},
	    {"dane_own_cert_1", VERIFY_NOT_TRUSTED, NONE "3 0 1 "},
	    {"dane_own_key_1", VERIFY_NOT_TRUSTED, NONE "3 1 1 "},
	    {"dane_own_cert_2", VERIFY_NOT_TRUSTED, NONE "3 0 2 "},
	    {"dane_own_key_2", VERIFY_NOT_TRUSTED, NONE "3 1 2 "},
	};

	(void)state;
	JUDGE(rows);
}

static void
test_usage_3(void **state)
{
	static const struct row rows[] = {
	    {"dane_leaf_cert_0", VERIFY_PROVED, "TLSA 3 0 0 "},
	    {"dane_leaf_key_0", VERIFY_PROVED, "TLSA 3 1 0 "},
	    {"dane_leaf_cert_1", VERIFY_PROVED, "TLSA 3 0 1 "},
	    {"dane_leaf_key_1", VERIFY_PROVED, "TLSA 3 1 1 "},
	    {"dane_leaf_cert_2", VERIFY_PROVED, "TLSA 3 0 2 "},
	    {"dane_leaf_key_2", VERIFY_PROVED, "TLSA 3 1 2 "},
	    {"dane_other_key", VERIFY_NOT_TRUSTED, NONE "3 1 1 "},
	    {"dane_other_key_512", VERIFY_NOT_TRUSTED, NONE "3 1 2 "},
	    {"dane_other_cert", VERIFY_NOT_TRUSTED, NONE "3 0 1 "},
	    {"dane_other_cert_full", VERIFY_NOT_TRUSTED, NONE "3 0 1 "},
	    {"dane_ee_short", VERIFY_NOT_TRUSTED, NONE},
	    {"dane_ee_long", VERIFY_NOT_TRUSTED, NONE},
	    {"dane_ee_key_short", VERIFY_NOT_TRUSTED, NONE},
	    {"dane_ee_key_long", VERIFY_NOT_TRUSTED, NONE},
	    {"dane_ee_not_first", VERIFY_NOT_TRUSTED, NONE "3 1 1 "},
	};

	(void)state;
	JUDGE(rows);
}

static void
test_d10_usage_3_ignores_name_and_dates(void **state)
{
	static const struct row rows[] = {
	    {"dane_ee_bad_cert", VERIFY_PROVED, "TLSA 3 0 1 "},
	    {"dane_ee_bad_key", VERIFY_PROVED, "TLSA 3 1 1 "},
	    {"dane_ee_lone_cert", VERIFY_PROVED, "TLSA 3 0 1 "},
	    {"dane_ee_lone_key", VERIFY_PROVED, "TLSA 3 1 1 "},
	    {"dane_ee_unread_key", VERIFY_PROVED, "TLSA 3 1 1 "},
	    {"dane_ee_unread_cert", VERIFY_PROVED, "TLSA 3 0 1 "},
	    {"dane_ee_unread_other", VERIFY_NOT_TRUSTED, NONE "3 1 1 "},
	    {"dane_ee_junk_cert", VERIFY_PROVED, "TLSA 3 0 1 "},
	    {"dane_ee_junk_key", VERIFY_NOT_TRUSTED, NONE "3 0 1 "},
	    {"dane_ee_empty", VERIFY_NOT_TRUSTED, NONE "3 0 1 "},
	};

	(void)state;
	JUDGE(rows);
}

static void
test_d10_usage_2_does_not(void **state)
{
	static const struct row rows[] = {
	    {"dane_ta_expired_leaf", VERIFY_EXPIRED,
		"certificate expired on 2027-01-14"},
	    {"dane_ta_early_leaf", VERIFY_EXPIRED,
		"certificate is not valid before 2027-01-16"},
	    {"dane_ta_expired_ca", VERIFY_EXPIRED,
		"intermediate \"CN=Private CA\" expired on"},
	    {"dane_ta_expired_anchor", VERIFY_EXPIRED,
		"trust anchor \"CN=Private CA\" expired on"},
	    {"dane_ta_expired_root", VERIFY_EXPIRED,
		"trust anchor \"CN=Gone Root\" expired on"},
	    {"dane_ta_name", VERIFY_HOST_MISMATCH,
		"certificate is for mx.example.net, not for mx.example.org"},
	    {"dane_ta_cn_only", VERIFY_HOST_MISMATCH,
		"certificate has no name in subjectAltName"},
	    {"dane_ta_wildcard", VERIFY_PROVED, BY_CA},
	    {"dane_ta_unread", VERIFY_FAILURE, "certificate cannot be read"},
	};

	(void)state;
	JUDGE(rows);
}

static void
test_usage_2_is_as_strict_as_trust(void **state)
{
	static const struct row rows[] = {
	    {"dane_ta_damaged", VERIFY_NOT_TRUSTED,
		"signature of the certificate is not by trust anchor "
		"\"CN=Private CA\""},
	    {"dane_ta_damaged_ca", VERIFY_NOT_TRUSTED,
		"signature of the intermediate \"CN=Private CA\" is not by "
		"trust anchor \"CN=Private Root\""},
	    {"dane_ta_sha1", VERIFY_FAILURE,
		"certificate is signed with SHA-1"},
	    {"dane_ta_rsa_1024", VERIFY_FAILURE,
		"has an RSA key shorter than 2048 bits"},
	    {"dane_ta_leaf_signs", VERIFY_FAILURE,
		"trust anchor \"CN=server\" is not a CA certificate"},
	    {"dane_ta_leaf_between", VERIFY_FAILURE,
		"intermediate \"CN=server\" is not a CA certificate"},
	    {"dane_ta_constraints", VERIFY_FAILURE,
		"certificate has a name that the name constraints above"},
	    {"dane_ta_length", VERIFY_FAILURE,
		"does not allow so long a path below it"},
	    {"dane_ta_client", VERIFY_FAILURE, "is not for TLS servers"},
	};

	(void)state;
	JUDGE(rows);
}

static void
test_d8_either_of_2_and_3(void **state)
{
	static const struct row rows[] = {
	    {"dane_both_by_3", VERIFY_PROVED, "TLSA 3 1 1 "},
	    {"dane_both_by_2", VERIFY_PROVED, BY_CA},
	    {"dane_both_no", VERIFY_NOT_TRUSTED, NONE "3 1 1 "},
	    {"dane_both_no_turned", VERIFY_NOT_TRUSTED, NONE "3 1 1 "},
	    {"dane_full_3_is_no_anchor", VERIFY_NOT_TRUSTED, NONE "3 0 1 "},
	    {"dane_key_3_is_no_anchor", VERIFY_NOT_TRUSTED, NONE "3 1 1 "},
	    {"dane_both_expired", VERIFY_EXPIRED, "certificate expired on"},
	    {"dane_both_name_by_3", VERIFY_PROVED, "TLSA 3 1 1 "},
	};

	(void)state;
	JUDGE(rows);
}

static void
test_d9_unusable(void **state)
{
	static const struct row rows[] = {
	    {"dane_unusable_pkix_ta", VERIFY_FAILURE, UNUSABLE},
	    {"dane_unusable_pkix_ee", VERIFY_FAILURE, UNUSABLE},
	    {"dane_unusable_usage_4", VERIFY_FAILURE, UNUSABLE},
	    {"dane_unusable_usage_255", VERIFY_FAILURE, UNUSABLE},
	    {"dane_unusable_selector_2", VERIFY_FAILURE, UNUSABLE},
	    {"dane_unusable_matching_3", VERIFY_FAILURE, UNUSABLE},
	    {"dane_unusable_short", VERIFY_FAILURE, UNUSABLE},
	    {"dane_unusable_long", VERIFY_FAILURE, UNUSABLE},
	    {"dane_unusable_ta_short", VERIFY_FAILURE, UNUSABLE},
	    {"dane_unusable_ta_long", VERIFY_FAILURE, UNUSABLE},
	    {"dane_unusable_short_512", VERIFY_FAILURE, UNUSABLE},
	    {"dane_unusable_digest_as_512", VERIFY_FAILURE, UNUSABLE},
	    {"dane_unusable_also_pkix_ta", VERIFY_NOT_TRUSTED, ONE_RECORD},
	    {"dane_unusable_also_pkix_ee", VERIFY_NOT_TRUSTED, ONE_RECORD},
	    {"dane_unusable_also_usage_4", VERIFY_NOT_TRUSTED, ONE_RECORD},
	    {"dane_unusable_also_usage_255", VERIFY_NOT_TRUSTED, ONE_RECORD},
	    {"dane_unusable_also_selector_2", VERIFY_NOT_TRUSTED, ONE_RECORD},
	    {"dane_unusable_also_matching_3", VERIFY_NOT_TRUSTED, ONE_RECORD},
	    {"dane_unusable_also_short", VERIFY_NOT_TRUSTED, ONE_RECORD},
	    {"dane_unusable_also_long", VERIFY_NOT_TRUSTED, ONE_RECORD},
	    {"dane_unusable_also_ta_short", VERIFY_NOT_TRUSTED, ONE_RECORD},
	    {"dane_unusable_also_ta_long", VERIFY_NOT_TRUSTED, ONE_RECORD},
	    {"dane_unusable_also_short_512", VERIFY_NOT_TRUSTED, ONE_RECORD},
	    {"dane_unusable_also_digest_as_512", VERIFY_NOT_TRUSTED,
		ONE_RECORD},
	    {"dane_unusable_and_good", VERIFY_PROVED, "TLSA 3 1 1 "},
	};

	(void)state;
	JUDGE(rows);
}

static void
test_d11_digest_agility(void **state)
{
	static const struct row rows[] = {
	    {"dane_agility_weak", VERIFY_NOT_TRUSTED, NONE "3 1 2 "},
	    {"dane_agility_weak_last", VERIFY_NOT_TRUSTED, NONE "3 1 2 "},
	    {"dane_agility_strong", VERIFY_PROVED, "TLSA 3 1 2 "},
	    {"dane_agility_both_strong", VERIFY_PROVED, "TLSA 3 1 2 "},
	    {"dane_agility_selector", VERIFY_PROVED, "TLSA 3 0 1 "},
	    {"dane_agility_usage", VERIFY_PROVED, BY_CA},
	    {"dane_agility_full", VERIFY_PROVED, "TLSA 3 1 0 "},
	    {"dane_agility_full_wrong", VERIFY_PROVED, "TLSA 3 1 1 "},
	    {"dane_agility_ta", VERIFY_NOT_TRUSTED, NONE "3 0 2 "},
	    {"dane_agility_bad_512", VERIFY_PROVED, "TLSA 3 1 1 "},
	};

	(void)state;
	JUDGE(rows);
}

/* Whom a trust file knows is nothing to TLSA records; nor are pins. */
static void
test_d7_records_alone(void **state)
{
	char error[STORE_ERROR_MAX], *text;
	struct loaded *other = load("dane_other_root");
	struct verify_request request = request_for(other);
	struct verify_report report;
	static const uint8_t ip[] = {192, 0, 2, 1};
	uint8_t pins[1][32] = {{1}};
	struct store *trust;
	struct chain *chain;
	size_t len;

	(void)state;
	text = case_text("good", "trust", &len);
	assert_non_null(trust = store_from_pem(text, len, error));
	free(text);
	text = case_text("good", "chain", &len);
	assert_non_null(chain = chain_from_pem(text, len));
	free(text);
	request.trust = trust;
	assert_int_equal(
	    verify_chain(chain, &request, &report), VERIFY_NOT_TRUSTED);
	check_report("public", &report);
	request.tlsa_count = 0;
	assert_int_equal(verify_chain(chain, &request, &report), VERIFY_PROVED);
	unload(other);
	chain_free(chain);
	other = load("dane_ca_cert_1");
	request = request_for(other);
	request.trust = trust;
	request.pins = pins;
	request.pin_count = 1;
	assert_int_equal(
	    verify_chain(other->chain, &request, &report), VERIFY_PROVED);
	/* An address proves nothing either. */
	request.names = (const char *const[]){"mx.example.net"};
	request.ip = ip;
	request.ip_len = sizeof(ip);
	assert_int_equal(verify_chain(other->chain, &request, &report),
	    VERIFY_HOST_MISMATCH);
	assert_non_null(strstr(report.text, "not for mx.example.net"));
	assert_null(strstr(report.text, "more"));
	unload(other);
	store_free(trust);
}

static void
test_names(void **state)
{
	static const char *const names[] = {
	    "base.example", "mx.example.org", "\x1b.example"};
	struct loaded *ta = load("dane_ca_cert_1"),
		      *ee = load("dane_ee_bad_key"),
		      *no = load("dane_other_key");
	struct verify_request request = request_for(ta);
	struct verify_report report;

	(void)state;
	request.names = names;
	request.name_count = 2;
	assert_int_equal(
	    verify_chain(ta->chain, &request, &report), VERIFY_PROVED);
	assert_string_equal(report.matched, "mx.example.org");
	request.tlsa = ee->records;
	assert_int_equal(
	    verify_chain(ee->chain, &request, &report), VERIFY_PROVED);
	assert_string_equal(report.matched, "base.example");
	request.tlsa = no->records;
	assert_int_equal(
	    verify_chain(ta->chain, &request, &report), VERIFY_NOT_TRUSTED);
	assert_non_null(strstr(report.text, "TLSA record of base.example: "));
	request.names = names + 2;
	request.name_count = 1;
	assert_int_equal(
	    verify_chain(ta->chain, &request, &report), VERIFY_NOT_TRUSTED);
	check_report("escape", &report);
	/* Without a name there is no base domain. */
	request.name_count = 0;
	request.tlsa = ee->records;
	assert_int_equal(
	    verify_chain(ee->chain, &request, &report), VERIFY_FAILURE);
	check_report("no name", &report);
	request.tlsa = ta->records;
	assert_int_equal(
	    verify_chain(ta->chain, &request, &report), VERIFY_FAILURE);
	unload(ta);
	unload(ee);
	unload(no);
}

static void
test_longest_texts(void **state)
{
	char base[VERIFY_NAME_MAX];
	struct loaded *bad = load("dane_both_no");
	struct verify_request request = request_for(bad);
	struct verify_report report;

	(void)state;
	memset(base, 'a', sizeof(base));
	base[sizeof(base) - 1] = '\0';
	request.names = (const char *const[]){base};
	verify_chain(bad->chain, &request, &report);
	assert_int_equal(report.result, VERIFY_NOT_TRUSTED);
	check_report("long", &report);
	assert_non_null(strstr(report.text, "it is 3 1 1 "));
	unload(bad);
	bad = load("dane_both_no");
	request = request_for(bad);
	verify_chain(bad->chain, &request, &report);
	assert_non_null(strstr(report.text, " (1 more)"));
	unload(bad);
}

/* No more records than a bound, which itself is good. */
static void
test_too_many_records(void **state)
{
	struct tlsa records[VERIFY_TLSA_MAX + 1];
	struct loaded *good = load("dane_leaf_key_1");
	struct verify_request request = request_for(good);
	struct verify_report report;

	(void)state;
	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++)
		records[i] = good->records[0];
	request.tlsa = records;
	request.tlsa_count = VERIFY_TLSA_MAX;
	assert_int_equal(
	    verify_chain(good->chain, &request, &report), VERIFY_PROVED);
	request.tlsa_count++;
	assert_int_equal(
	    verify_chain(good->chain, &request, &report), VERIFY_FAILURE);
	assert_non_null(strstr(report.text, "more than 64 TLSA records"));
	unload(good);
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
		assert_non_null(copy = malloc(len));
		memcpy(copy, der, len);
		if (i == at)
			copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
		sk_CRYPTO_BUFFER_push(
		    buffers, CRYPTO_BUFFER_new(copy, len, NULL));
		free(copy);
	}
	assert_non_null(flipped = chain_from_buffers(buffers));
	sk_CRYPTO_BUFFER_pop_free(buffers, CRYPTO_BUFFER_free);
	return flipped;
}

/*
 * Where a whole certificate is in a record, and where a path leads up to a
 * key, no bit of what was sent or of the record is idle.
 */
static void
test_every_bit_counts(void **state)
{
	static const char *const titles[] = {"dane_leaf_cert_1",
	    "dane_leaf_cert_0", "dane_leaf_key_1", "dane_ca_cert_1",
	    "dane_key_root"};

	(void)state;
	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++) {
		struct loaded *good = load(titles[i]);
		struct verify_request request = request_for(good);
		struct verify_report report;
		struct tlsa *record = &good->records[0];
		struct chain *flipped;
		size_t len;

		for (size_t bit = 0; bit < (size_t)record->len * 8; bit++) {
			good->data[0][bit / 8] ^= (uint8_t)(1 << bit % 8);
			verify_chain(good->chain, &request, &report);
			if (report.result == VERIFY_PROVED)
				fail_msg("%s: record bit %zu", titles[i], bit);
			check_report(titles[i], &report);
			good->data[0][bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		for (size_t at = 0; at < chain_count(good->chain) &&
				    strcmp(titles[i], "dane_leaf_key_1") != 0;
		     at++) {
			chain_der(good->chain, at, &len);
			for (size_t bit = 0; bit < len * 8; bit++) {
				flipped = flip(good->chain, at, bit);
				verify_chain(flipped, &request, &report);
				if (report.result == VERIFY_PROVED)
					fail_msg("%s: bit %zu of %zu",
					    titles[i], bit, at);
				check_report(titles[i], &report);
				chain_free(flipped);
			}
		}
		unload(good);
	}
}

/* A record that is cut, or grows, at any byte. */
static void
test_every_length(void **state)
{
	static const char *const titles[] = {"dane_leaf_cert_0",
	    "dane_leaf_key_0", "dane_leaf_key_1", "dane_leaf_key_2",
	    "dane_full_root", "dane_key_root", "dane_root_cert_0"};

	(void)state;
	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++) {
		struct loaded *good = load(titles[i]);
		struct verify_request request = request_for(good);
		struct tlsa *record = &good->records[0];
		struct verify_report report;
		uint16_t whole = record->len;

		for (record->len = 0; record->len < whole + 8; record->len++) {
			verify_chain(good->chain, &request, &report);
			if ((report.result == VERIFY_PROVED) !=
			    (record->len == whole))
				fail_msg("%s: %u bytes: %s", titles[i],
				    record->len, report.text);
			check_report(titles[i], &report);
		}
		unload(good);
	}
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
 * See test_verify.c for what may be told, and what may not.  The verdict may be
 * the right one without what was lost: another path, or the copy of an anchor.
 */
static enum starved
starve_verify(const char *title, long after)
{
	struct loaded *loaded = load(title);
	struct verify_request request = request_for(loaded);
	struct verify_report unstarved, report;

	verify_chain(loaded->chain, &request, &unstarved);
	allocations_left = after;
	verify_chain(loaded->chain, &request, &report);
	allocations_left = -1;
	if (!has_failed)
		return STARVED_NEVER;
	if (report.result == VERIFY_FAILURE ||
	    report.result == VERIFY_NOT_TRUSTED)
		return STARVED_REFUSED;
	if (report.result == unstarved.result)
		return STARVED_PARTLY;
	print_error("%s: allocation %ld: %s: %s\n", title, after,
	    verify_result_word(report.result), report.text);
	return STARVED_WRONG;
}

static void
test_out_of_memory(void **state)
{
	static const char *const titles[] = {"dane_root_cert_1",
	    "dane_full_root", "dane_key_root", "dane_ta_expired_anchor",
	    "dane_key_expired_leaf", "dane_ta_name", "dane_key_name",
	    "dane_other_root", "dane_ta_damaged", "dane_key_damaged",
	    "dane_key_wrong", "dane_key_by_serial"};

	(void)state;
	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
		starve_all(starve_verify, titles[i]);
	fails_for_good = true;
	starve_all(starve_verify, "dane_root_cert_1");
	starve_all(starve_verify, "dane_key_root");
	fails_for_good = false;
	/* The leaf's own record needs none. */
	assert_int_equal(
	    starve_apart(starve_verify, "dane_leaf_key_1", 0), STARVED_NEVER);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_d7_private_ca_by_usage_2),
	    cmocka_unit_test(test_shapes),
	    cmocka_unit_test(test_full_certificate_not_sent),
	    cmocka_unit_test(test_full_key_not_sent),
	    cmocka_unit_test(test_leaf_is_no_authority),
	    cmocka_unit_test(test_usage_3),
	    cmocka_unit_test(test_d10_usage_3_ignores_name_and_dates),
	    cmocka_unit_test(test_d10_usage_2_does_not),
	    cmocka_unit_test(test_usage_2_is_as_strict_as_trust),
	    cmocka_unit_test(test_d8_either_of_2_and_3),
	    cmocka_unit_test(test_d9_unusable),
	    cmocka_unit_test(test_d11_digest_agility),
	    cmocka_unit_test(test_d7_records_alone),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_longest_texts),
	    cmocka_unit_test(test_too_many_records),
	    cmocka_unit_test(test_every_bit_counts),
	    cmocka_unit_test(test_every_length),
	    cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests_name("dane", tests, NULL, NULL);
}
