/* SPDX-License-Identifier: ISC */
/* certs/path.c: which paths are proposed, in which order, and how many. */

#include "certs/path.h"

#include "tests/unit/parsed.h"

#define PATHS_MAX 64

/* What was proposed; certificates are known by their place. */
static struct path paths[PATHS_MAX];
static size_t count;
static size_t stop_after;

static enum path_answer
try_path(void *arg, const struct path *path)
{
	assert_ptr_equal(arg, &paths);
	assert_true(path->len <= VERIFY_DEPTH_MAX);
	if (count < PATHS_MAX)
		paths[count] = *path;
	return ++count == stop_after ? PATH_STOP : PATH_NEXT;
}

static struct path_search
search_for(const struct parsed *parsed)
{
	struct path_search search = {
	    .leaf = &parsed->sent[0],
	    .sent = &parsed->sent[1],
	    .sent_count = parsed->count - 1,
	    .trust = parsed->trust,
	    .at = CASE_AT,
	    .try = try_path,
	    .arg = &paths,
	};

	count = 0;
	return search;
}

/* "0 2 A": the leaf, the third that was sent, an anchor. */
static void
check_path(
    const struct parsed *parsed, const struct path *path, const char *wanted)
{
	char text[PATHS_MAX] = "";

	for (size_t i = 0; i < path->len; i++) {
		const struct cert *cert = path->certs[i];
		size_t used = strlen(text);

		if (cert >= parsed->sent && cert < &parsed->sent[parsed->count])
			snprintf(text + used, sizeof(text) - used, "%s%zu",
			    i == 0 ? "" : " ", (size_t)(cert - parsed->sent));
		else
			strlcat(text, i == 0 ? "A" : " A", sizeof(text));
	}
	assert_string_equal(text, wanted);
}

static void
test_proposals(void **state)
{
	static const struct {
		const char *title;
		bool takes_faulty;
		const char *paths[3]; /* all of them */
	} rows[] = {
	    {"good", false, {"0 1 A"}},
	    {"good_direct", false, {"0 A"}},
	    {"good_root_sent", false, {"0 1 A"}},
	    {"wrong_order", false, {"0 3 2 A"}},
	    {"repeated", false, {"0 1 A", "0 2 A", "0 4 A"}},
	    {"trusted_leaf", false, {"A"}},
	    {"trusted_intermediate", false, {"0 A"}},
	    {"self_signed", false, {NULL}},
	    {"self_signed_trusted", false, {"A"}},
	    {"self_issued", false, {"0 1 A"}},
	    {"no_intermediate", false, {NULL}},
	    {"other_key_root", false, {NULL}},
	    {"impostor_root_sent", false, {"0 1 A"}},
	    /* Anchors come first. */
	    {"cross_expired_root", false, {"0 1 A"}},
	    {"cross_expired_root", true, {"0 1 A", "0 1 2 A"}},
	    {"two_ways_bad_first", false, {"0 2 A"}},
	    {"two_ways_bad_first", true, {"0 1 A", "0 2 A"}},
	    {"two_ways_weak_first", false, {"0 2 A"}},
	    {"circle", false, {NULL}},
	    {"circle_with_exit", false, {"0 1 A"}},
	    {"rollover", false, {"0 1 A"}},
	    {"leaf_expired", false, {NULL}},
	    {"leaf_expired", true, {"0 1 A"}},
	    {"root_v1", false, {NULL}},
	    {"root_v1", true, {"0 A"}},
	    {"depth_most", false, {"0 1 2 3 4 5 6 A"}},
	    {"depth_over", false, {NULL}},
	};
	struct path_search search;
	struct parsed *parsed;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		parsed = parse(rows[i].title);
		search = search_for(parsed);
		search.takes_faulty = rows[i].takes_faulty;
		path_search(&search);
		for (size_t j = 0; j < 3 && rows[i].paths[j] != NULL; j++) {
			if (j >= count)
				fail_msg("%s: no %s", rows[i].title,
				    rows[i].paths[j]);
			check_path(parsed, &paths[j], rows[i].paths[j]);
		}
		if (count < 3 && rows[i].paths[count] != NULL)
			fail_msg("%s: %zu paths", rows[i].title, count);
		if (count > 0 && count <= 3 && rows[i].paths[count - 1] == NULL)
			fail_msg("%s: %zu paths", rows[i].title, count);
		assert_int_equal(search.path.len, 0);
		parsed_free(parsed);
	}
}

/* The one that shares the key identifier, before those that may be meant. */
static void
test_named_key_first(void **state)
{
	struct parsed *parsed = parse("same_subject_by_key");
	struct path_search search = search_for(parsed);

	(void)state;
	path_search(&search);
	assert_ptr_equal(paths[0].certs[1], &parsed->sent[4]);
	parsed_free(parsed);
}

static void
test_stop_and_reject(void **state)
{
	struct parsed *parsed = parse("same_subject");
	struct path_search search = search_for(parsed);

	(void)state;
	path_search(&search);
	assert_int_equal(count, 15);
	search = search_for(parsed);
	stop_after = 4;
	path_search(&search);
	assert_int_equal(count, 4);
	stop_after = 0;
	/* No path goes by a signature that is known to be bad. */
	search = search_for(parsed);
	path_reject(&search, &parsed->sent[0], &parsed->sent[1]);
	path_reject(&search, &parsed->sent[0], &parsed->sent[15]);
	path_reject(&search, &parsed->sent[1], &parsed->sent[2]);
	path_search(&search);
	assert_int_equal(count, 13);
	check_path(parsed, &paths[0], "0 2 A");
	check_path(parsed, &paths[12], "0 14 A");
	/* What cannot be remembered is forgotten. */
	for (size_t i = 0; i < VERIFY_WORK_MAX + 5; i++)
		path_reject(&search, &parsed->sent[0], &parsed->sent[3]);
	assert_int_equal(search.bad_count, VERIFY_WORK_MAX);
	parsed_free(parsed);
}

static void
test_bounds(void **state)
{
	struct parsed *parsed = parse("maze");
	struct path_search search = search_for(parsed);

	(void)state;
	path_search(&search);
	assert_true(search.has_given_up);
	assert_int_equal(search.steps, PATH_STEPS_MAX);
	assert_int_equal(count, 0);
	parsed_free(parsed);
	parsed = parse("maze_most_with_anchor");
	search = search_for(parsed);
	path_search(&search);
	assert_true(search.has_given_up);
	assert_int_equal(search.steps, PATH_STEPS_MAX);
	assert_true(count < PATH_STEPS_MAX);
	parsed_free(parsed);
	parsed = parse("good");
	search = search_for(parsed);
	path_search(&search);
	assert_false(search.has_given_up);
	assert_int_equal(search.steps, 2);
	parsed_free(parsed);
}

static void
test_dead_ends(void **state)
{
	static const struct {
		const char *title, *end;
	} rows[] = {
	    {"no_intermediate", "0"},
	    {"no_upper_intermediate", "0 1"},
	    {"no_root_known", "0 1"},
	    {"self_signed", "0"},
	    {"self_issued_unknown", "0"},
	    {"circle", "0 1 2"},
	    {"two_ways_unknown", "0 1 3"},
	    {"good", ""},
	};
	struct path_search search;
	struct parsed *parsed;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		parsed = parse(rows[i].title);
		search = search_for(parsed);
		path_search(&search);
		check_path(parsed, &search.dead_end, rows[i].end);
		parsed_free(parsed);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_proposals),
	    cmocka_unit_test(test_named_key_first),
	    cmocka_unit_test(test_stop_and_reject),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_dead_ends),
	};

	return cmocka_run_group_tests_name("path_search", tests, NULL, NULL);
}
