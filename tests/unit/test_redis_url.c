/* SPDX-License-Identifier: ISC */
/* URLs of a Redis, good, bad and spoilt; and what of them may be printed. */

#include "proxy/policy/redis_url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/mutate.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define LABEL63                                                                \
	"a23456789012345678901234567890123456789012345678901234567890123"
#define NAME253                                                                \
	LABEL63 "." LABEL63 "." LABEL63 ".b2345678901234567890123456"          \
		"7890123456789012345678901234567890c"

static void
test_good(void **state)
{
	static const struct {
		const char *text;
		struct redis_url want;
	} rows[] = {
	    {"redis://cache.example", {"cache.example", 6379, 0, "", ""}},
	    {"redis://Cache.Example.", {"cache.example", 6379, 0, "", ""}},
	    {"redis://localhost/", {"localhost", 6379, 0, "", ""}},
	    {"redis://a_b-c.example:1/65535",
		{"a_b-c.example", 1, 65535, "", ""}},
	    {"redis://192.0.2.1:65535/2", {"192.0.2.1", 65535, 2, "", ""}},
	    {"redis://[2001:DB8::1]", {"2001:db8::1", 6379, 0, "", ""}},
	    {"redis://[2001:db8::1]:7/0", {"2001:db8::1", 7, 0, "", ""}},
	    {"redis://:secret@a.example", {"a.example", 6379, 0, "", "secret"}},
	    {"redis://me:a:b@a.example", {"a.example", 6379, 0, "me", "a:b"}},
	    {"redis://m%40:%2f%3A%25%ff@a.example",
		{"a.example", 6379, 0, "m@", "/:%\xff"}},
	    {"redis://:p@ss@a.example", {"a.example", 6379, 0, "", "p@ss"}},
	    {"redis://:s@[::1]:7", {"::1", 7, 0, "", "s"}},
	    {"redis://" NAME253, {NAME253, 6379, 0, "", ""}},
	};
	struct redis_url url;
	const char *fault;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		if ((fault = redis_url_parse(rows[i].text, &url)) != NULL)
			fail_msg("%s %s", rows[i].text, fault);
		assert_string_equal(url.host, rows[i].want.host);
		assert_int_equal(url.port, rows[i].want.port);
		assert_int_equal(url.db, rows[i].want.db);
		assert_string_equal(url.user, rows[i].want.user);
		assert_string_equal(url.password, rows[i].want.password);
	}
}

static void
test_bad(void **state)
{
	static const struct {
		const char *text;
		const char *fault;
	} rows[] = {
	    {"", "is not redis://"},
	    {"cache.example", "is not redis://"},
	    {"redis:/a.example", "is not redis://"},
	    {"REDIS://a.example", "is not redis://"},
	    {"rediss://a.example", "TLS"},
	    {"redis://", "host"},
	    {"redis:///1", "host"},
	    {"redis://:6379", "host"},
	    {"redis://a..b", "host"},
	    {"redis://.a", "host"},
	    {"redis://a b", "host"},
	    {"redis://b\xc3\xbc.example", "host"},
	    {"redis://192.0.2.256", "host"},
	    {"redis://1234", "host"},
	    {"redis://2001:db8::1", "host"},
	    {"redis://[192.0.2.1]", "host"},
	    {"redis://[::1", "host"},
	    {"redis://[::1]x", "host"},
	    {"redis://[]", "host"},
	    {"redis://[a.example]", "host"},
	    {"redis://" NAME253 "x", "host"},
	    {"redis://x" LABEL63, "host"},
	    {"redis://a.example:", "port"},
	    {"redis://a.example:0", "port"},
	    {"redis://a.example:65536", "port"},
	    {"redis://a.example:4294967297", "port"},
	    {"redis://a.example:+1", "port"},
	    {"redis://a.example:7x", "port"},
	    {"redis://a.example/x", "database"},
	    {"redis://a.example/-1", "database"},
	    {"redis://a.example/65536", "database"},
	    {"redis://a.example/1/2", "database"},
	    {"redis://a.example?db=1", "database"},
	    {"redis://a.example#1", "database"},
	    {"redis://@a.example", "no password"},
	    {"redis://me@a.example", "no password"},
	    {"redis://me:@a.example", "empty password"},
	    {"redis://:a/b@a.example", "%XX"},
	    {"redis://:a#b@a.example", "%XX"},
	    {"redis://:a b@a.example", "%XX"},
	    {"redis://:a%@a.example", "%XX"},
	    {"redis://:a%2@a.example", "%XX"},
	    {"redis://:a%2g@a.example", "%XX"},
	    {"redis://:a%00b@a.example", "%XX"},
	};
	static const struct redis_url cleared;
	struct redis_url url;
	const char *fault;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		memset(&url, 0x55, sizeof(url));
		fault = redis_url_parse(rows[i].text, &url);
		if (fault == NULL || strstr(fault, rows[i].fault) == NULL)
			fail_msg("%s: %s", rows[i].text,
			    fault == NULL ? "no fault" : fault);
		assert_memory_equal(&url, &cleared, sizeof(url));
	}
}

/* A text of the longest user or password, and one byte more. */
static void
test_lengths(void **state)
{
	struct redis_url url;
	char text[REDIS_URL_MAX + 16], fill[REDIS_URL_MAX];

	(void)state;
	memset(fill, 'a', sizeof(fill));
	snprintf(text, sizeof(text), "redis://%.*s:%.*s@a", REDIS_USER_MAX - 1,
	    fill, REDIS_PASSWORD_MAX - 1, fill);
	assert_null(redis_url_parse(text, &url));
	assert_int_equal(strlen(url.user), REDIS_USER_MAX - 1);
	assert_int_equal(strlen(url.password), REDIS_PASSWORD_MAX - 1);
	snprintf(text, sizeof(text), "redis://%.*s:b@a", REDIS_USER_MAX, fill);
	assert_non_null(redis_url_parse(text, &url));
	snprintf(
	    text, sizeof(text), "redis://:%.*s@a", REDIS_PASSWORD_MAX, fill);
	assert_non_null(redis_url_parse(text, &url));
	snprintf(text, sizeof(text), "redis://a/%0*d", REDIS_URL_MAX, 0);
	assert_non_null(redis_url_parse(text, &url));
}

static void
test_mask(void **state)
{
	static const struct {
		const char *text;
		const char *masked;
	} rows[] = {
	    {"redis://me:secret@a.example:1/2", "redis://***@a.example:1/2"},
	    {"redis://:sec@ret/?@a.example", "redis://***@a.example"},
	    {"rediss://:secret@a.example", "rediss://***@a.example"},
	    {"redis:/:secret@a.example", "***@a.example"},
	    {"me:secret://x@a.example", "***@a.example"},
	    {"secret@", "***@"},
	    {"redis://a.example/1", "redis://a.example/1"},
	    {"", ""},
	};
	const size_t at = (size_t)2 * REDIS_URL_MAX;
	char out[REDIS_URL_MAX], text[3 * REDIS_URL_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_string_equal(
		    redis_url_mask(rows[i].text, out), rows[i].masked);
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(strlen(redis_url_mask(text, out)), sizeof(out) - 1);
	text[at] = '@';
	redis_url_mask(text, out);
	assert_memory_equal(out, "***@aaa", 7);
	memcpy(text + at - 10, "://", 3);
	redis_url_mask(text, out);
	assert_memory_equal(out, "***@aaa", 7);
}

static void
parse_spoilt(const uint8_t *data, size_t len)
{
	char *text = strndup((const char *)data, len), out[REDIS_URL_MAX];
	struct redis_url url;

	if (redis_url_parse(text, &url) == NULL) {
		assert_int_not_equal(url.host[0], '\0');
		assert_int_not_equal(url.port, 0);
	}
	redis_url_mask(text, out);
	free(text);
}

static void
test_spoilt(void **state)
{
	static const char *const texts[] = {
	    "redis://me:s%2fcret@[2001:db8::1]:6379/15",
	    "redis://:secret@mx.a.example:6379/15",
	    "redis://192.0.2.1",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++)
		mutate(texts[i], strlen(texts[i]), parse_spoilt);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_lengths),
	    cmocka_unit_test(test_mask),
	    cmocka_unit_test(test_spoilt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
