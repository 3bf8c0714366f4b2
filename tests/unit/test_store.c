/* SPDX-License-Identifier: ISC */
/* Trust files: read whole or refused, and anchors found by subject. */

#include "certs/store.h"

#include <openssl/x509.h>

#include "certs/cert.h"
#include "tests/unit/cases.h"

#define BEGIN "-----BEGIN CERTIFICATE-----\n"
#define END   "-----END CERTIFICATE-----\n"

static struct store *
read_store(const char *text)
{
	char error[STORE_ERROR_MAX];
	struct store *store = store_from_pem(text, strlen(text), error);

	if (store == NULL)
		fail_msg("%s", error);
	assert_string_equal(error, "");
	return store;
}

static void
refuse(const char *text, const char *why)
{
	char error[STORE_ERROR_MAX];

	assert_null(store_from_pem(text, strlen(text), error));
	assert_string_equal(error, why);
}

static void
test_errors(void **state)
{
	(void)state;
	refuse("", "no certificate in it");
	refuse("hello\n", "no certificate in it");
	refuse(BEGIN "YWE=\n" END, "none of its 1 certificates can be read");
	refuse(BEGIN "Y*E=\n" END BEGIN "YWE=\n" END BEGIN,
	    "none of its 3 certificates can be read");
}

static void
test_skipped(void **state)
{
	char *good, text[8192];
	struct store *store;
	size_t len;

	(void)state;
	good = case_text("good", "trust", &len);
	snprintf(text, sizeof(text), "%s%s%s", BEGIN "YWE=\n" END, good,
	    BEGIN "Y*E=\n" END);
	store = read_store(text);
	assert_int_equal(store_count(store), 1);
	assert_int_equal(store_skipped(store), 2);
	assert_ptr_equal(store_ref(store), store);
	store_free(store);
	assert_int_equal(store_count(store), 1);
	store_free(store);
	store_free(NULL);
	free(good);
}

static void
test_given_twice(void **state)
{
	char *good, text[8192];
	struct store *store;
	size_t len;

	(void)state;
	good = case_text("good", "trust", &len);
	snprintf(text, sizeof(text), "%s%s%s", good, good, good);
	store = read_store(text);
	assert_int_equal(store_count(store), 1);
	assert_int_equal(store_skipped(store), 0);
	store_free(store);
	free(good);
}

static void
test_too_many(void **state)
{
	char *one, *many;
	size_t len, count = STORE_CERTS_MAX + 1;

	(void)state;
	one = case_text("good", "trust", &len);
	many = malloc(len * count + 1);
	assert_non_null(many);
	for (size_t i = 0; i < count; i++)
		memcpy(many + i * len, one, len);
	many[len * count] = '\0';
	refuse(many, "more than 8192 certificates");
	many[len * STORE_CERTS_MAX] = '\0';
	store_free(read_store(many));
	free(many);
	free(one);
}

/* So many anchors are found by each subject, and they have it. */
static void
check_finds(const struct store *store, const char *const *subjects,
    const size_t *counts, size_t count)
{
	X509_NAME *name;
	const struct cert *found;
	size_t found_count;
	char text[CERT_NAME_MAX];

	for (size_t i = 0; i < count; i++) {
		name = X509_NAME_new();
		assert_non_null(name);
		assert_int_equal(
		    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
			(const uint8_t *)subjects[i], -1, -1, 0),
		    1);
		found = store_find(store, name, &found_count);
		assert_int_equal(found_count, counts[i]);
		assert_true((found == NULL) == (counts[i] == 0));
		for (size_t j = 0; j < found_count; j++)
			assert_string_equal(
			    cert_subject_text(&found[j], text) + 3,
			    subjects[i]);
		X509_NAME_free(name);
	}
}

static void
test_find(void **state)
{
	static const char *const subjects[] = {"Stranger Root", "Lab Second CA",
	    "Lab Root", "Lab", "Lab Roots", "Anchor"};
	static const size_t many[] = {1, 1, 1, 0, 0, 0};
	static const size_t same[] = {0, 0, 0, 0, 0, 8};
	struct store *store;
	char *text;
	size_t len;

	(void)state;
	text = case_text("good_many_roots", "trust", &len);
	store = read_store(text);
	check_finds(store, subjects, many, 6);
	store_free(store);
	free(text);
	text = case_text("same_subject_many_anchors", "trust", &len);
	store = read_store(text);
	check_finds(store, subjects, same, 6);
	store_free(store);
	free(text);
}

/* Two anchors, of which one ends a day before the other is looked at. */
static void
test_ends(void **state)
{
	char *text, name[STORE_NAME_MAX];
	struct store *store;
	int64_t end, last;
	size_t len;

	(void)state;
	text = case_text("cross_expired_root", "trust", &len);
	store = read_store(text);
	assert_int_equal(store_count(store), 2);
	assert_true(store_next_end(store, CASE_AT - 2 * CASE_DAY, &end, name));
	assert_string_equal(name, "CN=Gone Root");
	assert_in_range(end, CASE_AT - CASE_DAY - 1, CASE_AT - CASE_DAY);
	assert_int_equal(store_count_ended(store, end), 0);
	assert_int_equal(store_count_ended(store, end + 1), 1);
	assert_true(store_next_end(store, end + 1, &last, name));
	assert_string_equal(name, "CN=New Root");
	assert_true(last > CASE_AT);
	assert_int_equal(store_count_ended(store, last), 1);
	assert_int_equal(store_count_ended(store, last + 1), 2);
	assert_false(store_next_end(store, last + 1, &last, name));
	store_free(store);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_errors),
	    cmocka_unit_test(test_skipped),
	    cmocka_unit_test(test_given_twice),
	    cmocka_unit_test(test_too_many),
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_ends),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
