/* SPDX-License-Identifier: ISC */
/* Which names match, and which never do. */

#include "certs/name.h"

#include <openssl/bytestring.h>
#include <openssl/mem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LABEL_63                                                               \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LABEL_64                                                               \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HOST_251                                                               \
	LABEL_63                                                               \
	"." LABEL_63 "." LABEL_63                                              \
	".aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void
test_hosts(void **state)
{
	static const char long_label[] = LABEL_64 ".org";
	static const char long_host[] = HOST_251 ".bc";
	static const char *const good[] = {"a", "mx.example.org",
	    "mx.example.org.", "MX.EXAMPLE.ORG", "xn--bcher-kva.example",
	    "_dmarc.example", "1.example", "192.0.2.1.example", "a.0xg.b1",
	    "192.0.2.x", LABEL_63 ".org", HOST_251, HOST_251 ".b",
	    HOST_251 ".b."};
	static const char *const bad[] = {"", ".", "..", ".a", "a..b", "a..",
	    "*", "*.example.org", "a.*.org", "m*.example.org", "a b", "a/b",
	    "b\303\274cher.example", "192.0.2.1", "192.0.2.1.", "127.1", "1",
	    "0x7f.1", "a.0x7f", "0x", "a.0X1", "a.123", "::1", "[::1]",
	    "2001:db8::1", "a\n", "a\x7f", long_label, long_host};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(name_is_host(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(name_is_host(bad[i]));
		/* What may not be asked for matches not even itself. */
		assert_false(name_matches(
		    (const uint8_t *)bad[i], strlen(bad[i]), bad[i]));
	}
}

static void
test_matches(void **state)
{
	static const struct {
		const char *san, *host;
		bool matches;
	} rows[] = {
	    {"mx.example.org", "mx.example.org", true},
	    {"MX.example.ORG", "mx.EXAMPLE.org", true},
	    {"mx.example.org.", "mx.example.org", true},
	    {"mx.example.org", "mx.example.org.", true},
	    {"mx.example.org.", "mx.example.org.", true},
	    {"localhost", "localhost", true},
	    {"mx.example.org..", "mx.example.org", false},
	    {".mx.example.org", "mx.example.org", false},
	    {"example.org", "mx.example.org", false},
	    {"mx.example.org", "example.org", false},
	    {"amx.example.org", "mx.example.org", false},
	    {"mx.example.org ", "mx.example.org", false},
	    {"", "mx.example.org", false},
	    {".", "mx.example.org", false},
	    {"*.example.org", "mx.example.org", true},
	    {"*.Example.Org.", "mx.example.org", true},
	    {"*.example.org", "xn--bcher-kva.example.org", true},
	    {"*.example.org", "example.org", false},
	    {"*.example.org", "a.mx.example.org", false},
	    {"*.example.org", ".example.org", false},
	    {"*.example.org", "*.example.org", false},
	    {"*.example.org", "mx.example.net", false},
	    {"*.org", "example.org", false},
	    {"*.org.", "example.org", false},
	    {"*.", "org", false},
	    {"*", "org", false},
	    {"*", "mx.example.org", false},
	    {"*.*.org", "mx.example.org", false},
	    {"mx.*.org", "mx.example.org", false},
	    {"mx.example.*", "mx.example.org", false},
	    {"m*.example.org", "mx.example.org", false},
	    {"*x.example.org", "mx.example.org", false},
	    {"*mx.example.org", "mx.example.org", false},
	    {"**.example.org", "mx.example.org", false},
	    {"xn--*.example.org", "xn--a.example.org", false},
	    {"*..example.org", "mx.example.org", false},
	    {"192.0.2.1", "192.0.2.1", false},
	    {"*.0.2.1", "192.0.2.1", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (name_matches((const uint8_t *)rows[i].san,
			strlen(rows[i].san), rows[i].host) != rows[i].matches)
			fail_msg("%s for %s", rows[i].san, rows[i].host);
	}
}

/* CVE-2009-2408: a NUL, or any other byte, anywhere in an otherwise good name
   makes it another name. */
static void
test_any_byte_counts(void **state)
{
	static const char host[] = "mx.example.org";
	char san[sizeof(host) + 1];

	(void)state;
	for (size_t at = 0; at <= strlen(host); at++) {
		for (int byte = 0; byte < 256; byte++) {
			/* At the very end a dot is as good as none. */
			if (at == strlen(host) && byte == '.')
				continue;
			memcpy(san, host, at);
			san[at] = (char)byte;
			memcpy(san + at + 1, host + at, sizeof(host) - at);
			assert_false(name_matches(
			    (const uint8_t *)san, strlen(host) + 1, host));
		}
	}
}

/* A list of names; kind 'd' dNSName, 'i' iPAddress, 'e' rfc822Name. */
struct entry {
	char kind;
	const char *data;
	size_t len;
};

static uint8_t *
make_list(const struct entry *entries, size_t count, size_t *len)
{
	CBB cbb, list, name;
	uint8_t *der;
	unsigned tag;

	assert_int_equal(CBB_init(&cbb, 64), 1);
	assert_int_equal(CBB_add_asn1(&cbb, &list, CBS_ASN1_SEQUENCE), 1);
	for (size_t i = 0; i < count; i++) {
		tag = entries[i].kind == 'd'   ? 2
		      : entries[i].kind == 'i' ? 7
		                               : 1;
		assert_int_equal(
		    CBB_add_asn1(&list, &name, CBS_ASN1_CONTEXT_SPECIFIC | tag),
		    1);
		assert_int_equal(
		    CBB_add_bytes(&name, (const uint8_t *)entries[i].data,
			entries[i].len),
		    1);
	}
	assert_int_equal(CBB_finish(&cbb, &der, len), 1);
	return der;
}

static const struct entry mixed[] = {
    {'e', "mail.example.org", 16},
    {'d', "a.example.org", 13},
    {'d', "nul.example.org\0.evil", 21},
    {'i', "\xc0\x00\x02\x01", 4},
    {'i', "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16},
    {'i', "text.example.org", 16},
    {'d', "*.b.example.org", 15},
    {'d', "192.0.2.9", 9},
    {'d', "\xc0\x00\x02\x07", 4},
    {'i', "", 0},
    {'i', "\xc0\x00\x02", 3},
};
#define MIXED_COUNT (sizeof(mixed) / sizeof(mixed[0]))

static void
test_lists(void **state)
{
	static const uint8_t v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
	static const uint8_t mapped[16] = {[10] = 0xff, 0xff, 192, 0, 2, 1};
	static const uint8_t v4[] = {192, 0, 2, 1}, other[] = {192, 0, 2, 9};
	static const uint8_t not_ip[] = {192, 0, 2, 7};
	uint8_t *der;
	size_t len;

	(void)state;
	der = make_list(mixed, MIXED_COUNT, &len);
	assert_int_equal(name_list_count(der, len), MIXED_COUNT);
	assert_true(name_list_has_host(der, len, "A.example.org"));
	assert_true(name_list_has_host(der, len, "mx.b.example.org"));
	assert_false(name_list_has_host(der, len, "mail.example.org"));
	assert_false(name_list_has_host(der, len, "nul.example.org"));
	assert_false(name_list_has_host(der, len, "text.example.org"));
	assert_false(name_list_has_host(der, len, "192.0.2.9"));
	assert_false(name_list_has_host(der, len, "192.0.2.1"));
	assert_true(name_list_has_ip(der, len, v4, 4));
	assert_true(name_list_has_ip(der, len, v6, 16));
	assert_false(name_list_has_ip(der, len, other, 4));
	assert_false(name_list_has_ip(der, len, not_ip, 4));
	assert_false(name_list_has_ip(der, len, mapped, 16));
	assert_false(name_list_has_ip(der, len, v6, 4));
	assert_false(name_list_has_ip(der, len, v4, 3));
	assert_false(name_list_has_ip(der, len, v4, 0));
	OPENSSL_free(der);
}

/* A list that is cut, or has a byte wrong, never reads past its end and never
   has a name that it did not have. */
static void
test_damaged_lists(void **state)
{
	uint8_t *der, *copy;
	size_t len;

	(void)state;
	der = make_list(mixed, MIXED_COUNT, &len);
	for (size_t cut = 0; cut < len; cut++) {
		copy = malloc(cut + 1);
		assert_non_null(copy);
		memcpy(copy, der, cut);
		assert_int_equal(name_list_count(copy, cut), 0);
		assert_false(name_list_has_host(copy, cut, "a.example.org"));
		free(copy);
	}
	for (size_t bit = 0; bit < len * 8; bit++) {
		der[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(name_list_has_host(der, len, "x.example.org"));
		assert_true(name_list_count(der, len) <= MIXED_COUNT * 4);
		der[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	OPENSSL_free(der);
	assert_int_equal(name_list_count(NULL, 0), 0);
	assert_false(name_list_has_host(NULL, 0, "a.example.org"));
	assert_int_equal(name_constraints_count(NULL, 0), 0);
}

static void
test_text(void **state)
{
	static const struct entry hostile[] = {
	    {'d', "\x1b]0;x\x07", 6}, {'d', "a\r\nb", 4}};
	char text[256], small[8];
	uint8_t *der;
	size_t len;

	(void)state;
	der = make_list(mixed, MIXED_COUNT, &len);
	assert_string_equal(name_list_text(der, len, text, sizeof(text)),
	    "a.example.org, nul.example.org\\x00.evil, 192.0.2.1, "
	    "2001:db8::1 (6 more)");
	assert_string_equal(
	    name_list_text(der, len, small, sizeof(small)), "a.examp");
	OPENSSL_free(der);
	der = make_list(hostile, 2, &len);
	assert_string_equal(name_list_text(der, len, text, sizeof(text)),
	    "\\x1b]0;x\\x07, a\\x0d\\x0ab");
	OPENSSL_free(der);
	assert_string_equal(name_list_text(NULL, 0, text, sizeof(text)), "");
}

static void
count_names(void *arg, const char *name)
{
	size_t *count = arg;

	++*count;
	if (*count == 1)
		assert_string_equal(name, "a.example.org");
	if (*count == 3)
		assert_string_equal(name, "192.0.2.1");
}

/* All that the text counts, and shows the first of. */
static void
test_each(void **state)
{
	uint8_t *der;
	size_t len, count = 0;

	(void)state;
	der = make_list(mixed, MIXED_COUNT, &len);
	name_list_each(der, len, count_names, &count);
	assert_int_equal(count, 10);
	OPENSSL_free(der);
	name_list_each(NULL, 0, count_names, NULL);
}

/* Name constraints with one excluded subtree, of that kind. */
static uint8_t *
make_constraints(const struct entry *base, size_t *len)
{
	CBB cbb, both, excluded, subtree, name;
	unsigned tag = base->kind == 'd' ? 2 : 1;
	uint8_t *der = NULL;

	assert_true(
	    CBB_init(&cbb, 64) &&
	    CBB_add_asn1(&cbb, &both, CBS_ASN1_SEQUENCE) &&
	    CBB_add_asn1(&both, &excluded,
		CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 1) &&
	    CBB_add_asn1(&excluded, &subtree, CBS_ASN1_SEQUENCE) &&
	    CBB_add_asn1(&subtree, &name, CBS_ASN1_CONTEXT_SPECIFIC | tag) &&
	    CBB_add_bytes(&name, (const uint8_t *)base->data, base->len) &&
	    CBB_finish(&cbb, &der, len));
	return der;
}

#define EXCLUDED "excludes a name of the certificate"
#define NOT_DNS  "excludes what is not a DNS name"

static void
test_excluded(void **state)
{
	static const struct {
		const char *base, *name, *fault;
	} rows[] = {
	    {"example.org", "example.org", EXCLUDED},
	    {"example.org", "mx.example.org", EXCLUDED},
	    {"example.org", "a.mx.example.org", EXCLUDED},
	    {"example.org", "MX.Example.ORG.", EXCLUDED},
	    {"Example.org.", "mx.example.org", EXCLUDED},
	    {"example.org.", "mx.example.org.", EXCLUDED},
	    {"example.org", "myexample.org", NULL},
	    {"example.org", "org", NULL},
	    {"example.org", "example.org.net", NULL},
	    {"example.org", "example.net", NULL},
	    {".example.org", "example.org", NULL},
	    {".example.org", "myexample.org", NULL},
	    {".example.org", "mx.example.org", EXCLUDED},
	    {".example.org.", "mx.example.org.", EXCLUDED},
	    {"", "mx.example.org", EXCLUDED},
	    {".", "mx.example.org", EXCLUDED},
	    {"org", "mx.example.org", EXCLUDED},
	    /* CVE-2025-61727 */
	    {"mx.example.org", "*.example.org", EXCLUDED},
	    {"MX.example.org.", "*.Example.org.", EXCLUDED},
	    {"a.mx.example.org", "*.example.org", NULL},
	    {".mx.example.org", "*.example.org", NULL},
	    {"mx.example.net", "*.example.org", NULL},
	    {"example.org", "*.example.org", EXCLUDED},
	    {"example.org", "*.a.example.org", EXCLUDED},
	    /* What it means cannot be told. */
	    {"*.example.net", "mx.example.org", NOT_DNS},
	    {"*", "mx.example.org", NOT_DNS},
	    {"..", "mx.example.org", NOT_DNS},
	    {"..example.net", "mx.example.org", NOT_DNS},
	    {"example..net", "mx.example.org", NOT_DNS},
	    {"192.0.2.1", "mx.example.org", NOT_DNS},
	    {"example.net ", "mx.example.org", NOT_DNS},
	};
	size_t constraints_len = 0, names_len;
	uint8_t *constraints, *names;
	const char *fault;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct entry base = {
		    'd', rows[i].base, strlen(rows[i].base)};
		/* Names of other kinds are X509_verify_cert's business. */
		const struct entry two[] = {{'e', "example.org", 11},
		    {'d', rows[i].name, strlen(rows[i].name)}};

		constraints = make_constraints(&base, &constraints_len);
		names = make_list(two, 2, &names_len);
		fault = name_constraints_fault(
		    constraints, constraints_len, names, names_len);
		if (fault != rows[i].fault &&
		    (fault == NULL || rows[i].fault == NULL ||
			strcmp(fault, rows[i].fault) != 0))
			fail_msg("%s without %s: %s", rows[i].name,
			    rows[i].base, fault == NULL ? "fine" : fault);
		OPENSSL_free(constraints);
		OPENSSL_free(names);
	}
}

/* None are none; what cannot be read forbids everything. */
static void
test_damaged_constraints(void **state)
{
	static const struct entry base = {'d', "example.net", 11};
	static const struct entry email = {'e', "*", 1};
	static const uint8_t junk[] = {0x30, 0x02, 0x05, 0x00};
	uint8_t *der, *names;
	size_t len = 0, names_len;

	(void)state;
	names = make_list(mixed, MIXED_COUNT, &names_len);
	der = make_constraints(&email, &len);
	assert_null(name_constraints_fault(der, len, names, names_len));
	OPENSSL_free(der);
	der = make_constraints(&base, &len);
	assert_null(name_constraints_fault(NULL, 0, names, names_len));
	assert_null(name_constraints_fault(der, len, names, names_len));
	assert_null(name_constraints_fault(der, len, NULL, 0));
	assert_int_equal(name_constraints_count(der, len), 1);
	for (size_t cut = 1; cut < len; cut++)
		assert_string_equal(
		    name_constraints_fault(der, cut, names, names_len),
		    "has malformed name constraints");
	der[7]++; /* the base is longer than what it is in */
	assert_string_equal(name_constraints_fault(der, len, names, names_len),
	    "has malformed name constraints");
	assert_string_equal(
	    name_constraints_fault(junk, sizeof(junk), names, names_len),
	    "has malformed name constraints");
	OPENSSL_free(der);
	OPENSSL_free(names);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_hosts),
	    cmocka_unit_test(test_matches),
	    cmocka_unit_test(test_any_byte_counts),
	    cmocka_unit_test(test_lists),
	    cmocka_unit_test(test_damaged_lists),
	    cmocka_unit_test(test_text),
	    cmocka_unit_test(test_each),
	    cmocka_unit_test(test_excluded),
	    cmocka_unit_test(test_damaged_constraints),
	};

	return cmocka_run_group_tests_name("name", tests, NULL, NULL);
}
