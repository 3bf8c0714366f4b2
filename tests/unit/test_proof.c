/* SPDX-License-Identifier: ISC */
/* The search for a proof: its bounds, its dates, and which reason it tells. */

#include "certs/proof.h"

#include "tests/unit/parsed.h"

static struct verify_report report;

/* The proof is good until the next call. */
static struct proof *
prove(const char *title, int64_t at)
{
	static struct verify_request request;
	static struct parsed *parsed;
	static struct proof proof;

	if (parsed != NULL) {
		proof_clear(&proof);
		parsed_free(parsed);
		parsed = NULL;
	}
	if (title == NULL)
		return NULL;
	parsed = parse(title);
	request.trust = parsed->trust;
	request.at = at;
	memset(&report, 0, sizeof(report));
	assert_int_equal(
	    proof_init(&proof, parsed->chain, &request, &report), 0);
	proof_find_path(&proof);
	return &proof;
}

static int
teardown(void **state)
{
	(void)state;
	prove(NULL, 0);
	return 0;
}

/* What is spent where the first path is good, and at most where none is. */
static void
test_bounds(void **state)
{
	static const struct {
		const char *title;
		size_t paths, work;
		bool is_proved;
	} rows[] = {
	    {"good", 1, 2, true},
	    {"good_direct", 1, 1, true},
	    {"trusted_leaf", 1, 0, true},
	    {"depth_most", 1, 7, true},
	    {"two_ways_damaged_first", 2, 4, true},
	    {"same_subject", 15, 30, true},
	    {"same_subject_many_anchors", VERIFY_PATHS_MAX, 32, false},
	    {"maze_with_anchor", VERIFY_PATHS_MAX, VERIFY_WORK_MAX, false},
	    {"self_signed", 0, 0, false},
	};
	struct proof *proof;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		proof = prove(rows[i].title, CASE_AT);
		if (proof->paths > rows[i].paths ||
		    proof->work > rows[i].work ||
		    (rows[i].is_proved && (proof->paths != rows[i].paths ||
					      proof->work != rows[i].work)) ||
		    proof->is_proved != rows[i].is_proved)
			fail_msg("%s: %zu paths, %zu checks", rows[i].title,
			    proof->paths, proof->work);
	}
}

/* The narrowest dates of the path that holds, not of one tried before. */
static void
test_dates(void **state)
{
	(void)state;
	prove("good", CASE_AT);
	assert_int_equal(report.from, CASE_AT - 30 * CASE_DAY);
	assert_int_equal(report.until, CASE_AT + 60 * CASE_DAY - 1);
	prove("leaf_edge", CASE_AT);
	assert_int_equal(report.from, CASE_AT);
	assert_int_equal(report.until, CASE_AT + 1);
	prove("two_ways_expired_first", CASE_AT);
	assert_int_equal(report.from, CASE_AT - 30 * CASE_DAY);
	assert_int_equal(report.until, CASE_AT + 60 * CASE_DAY - 1);
}

/* The more telling reason stays, whichever path came last. */
static void
test_most_telling(void **state)
{
	static const struct {
		const char *title;
		enum telling told;
		enum verify_result result;
	} rows[] = {
	    {"no_intermediate", TELLING_NO_PATH, VERIFY_NOT_TRUSTED},
	    {"damaged_leaf", TELLING_SIGNATURE, VERIFY_NOT_TRUSTED},
	    {"same_subject_none", TELLING_SIGNATURE, VERIFY_NOT_TRUSTED},
	    {"maze", TELLING_GAVE_UP, VERIFY_FAILURE},
	    {"same_subject_many_anchors", TELLING_GAVE_UP, VERIFY_FAILURE},
	    {"sha1_leaf", TELLING_FORBIDDEN, VERIFY_FAILURE},
	    {"limit_excluded", TELLING_FORBIDDEN, VERIFY_FAILURE},
	    {"leaf_expired", TELLING_OUTDATED, VERIFY_EXPIRED},
	    {"cross_old_trust", TELLING_OUTDATED, VERIFY_EXPIRED},
	    {"expired_wrong_key", TELLING_SIGNATURE, VERIFY_NOT_TRUSTED},
	    {"expired_sha1", TELLING_FORBIDDEN, VERIFY_FAILURE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct proof *proof = prove(rows[i].title, CASE_AT);

		if (proof->told != rows[i].told ||
		    report.result != rows[i].result || proof->is_proved)
			fail_msg("%s: %d: %s", rows[i].title, proof->told,
			    report.text);
	}
}

static void
test_unread(void **state)
{
	struct proof *proof;

	(void)state;
	proof = prove("junk", CASE_AT);
	assert_true(proof->is_proved);
	assert_int_equal(proof->unread, 2);
	assert_int_equal(proof->count, 4);
	proof = prove("good", CASE_AT);
	assert_int_equal(proof->unread, 0);
	assert_int_equal(proof->count, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_dates),
	    cmocka_unit_test(test_most_telling),
	    cmocka_unit_test(test_unread),
	};

	return cmocka_run_group_tests_name("proof", tests, NULL, teardown);
}
