/* SPDX-License-Identifier: ISC */
/* Capabilities: what is read, what is shown, and what a parameter needs. */

#include "proxy/smtp/ehlo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/buf.h"
#include "proxy/smtp/reply.h"

#include "tests/unit/mutate.h"

#define OUT_MAX 65536

static struct reply reply;
static struct ehlo ehlo;

/* Reads text, which ends in a last line, as the reply to EHLO. */
static void
read_ehlo(const char *text)
{
	size_t used;

	reply_clear(&reply);
	assert_int_equal(
	    reply_feed(&reply, (const uint8_t *)text, strlen(text), &used),
	    REPLY_READY);
	ehlo_parse(&reply, &ehlo);
}

static void
check_shown(bool with_auth, const char *want)
{
	struct buf out;

	buf_init(&out, OUT_MAX);
	assert_int_equal(ehlo_format(&ehlo, &reply, with_auth, &out), 0);
	if (buf_len(&out) != strlen(want) ||
	    memcmp(buf_data(&out), want, strlen(want)) != 0)
		fail_msg("shown: %.*s", (int)buf_len(&out),
		    (const char *)buf_data(&out));
	buf_clear(&out);
}

static void
test_all(void **state)
{
	(void)state;
	read_ehlo("250-mx.example Hello there [192.0.2.1]\r\n"
		  "250-PIPELINING\r\n"
		  "250-size 52428800\r\n"
		  "250-STARTTLS\r\n"
		  "250-8BITMIME\r\n"
		  "250-SMTPUTF8\r\n"
		  "250-DSN\r\n"
		  "250-ENHANCEDSTATUSCODES\r\n"
		  "250-CHUNKING\r\n"
		  "250-BINARYMIME\r\n"
		  "250-DELIVERBY 240\r\n"
		  "250-MT-PRIORITY MIXER\r\n"
		  "250-FUTURERELEASE 604800 2030-01-01T00:00:00Z\r\n"
		  "250-LIMITS RCPTMAX=20\r\n"
		  "250-REQUIRETLS\r\n"
		  "250-XCLIENT NAME ADDR\r\n"
		  "250-VRFY\r\n"
		  "250-ETRN\r\n"
		  "250-X-ANONYMOUSTLS\r\n"
		  "250 AUTH plain LOGIN\r\n");
	assert_int_equal(ehlo.capabilities, (1 << EHLO_BIT_COUNT) - 1);
	assert_true(ehlo.size_limit == 52428800);
	assert_string_equal(ehlo.auth, "PLAIN LOGIN");
	check_shown(true, "250-mx.example Hello there [192.0.2.1]\r\n"
			  "250-PIPELINING\r\n"
			  "250-size 52428800\r\n"
			  "250-8BITMIME\r\n"
			  "250-SMTPUTF8\r\n"
			  "250-DSN\r\n"
			  "250-ENHANCEDSTATUSCODES\r\n"
			  "250-CHUNKING\r\n"
			  "250-BINARYMIME\r\n"
			  "250-DELIVERBY 240\r\n"
			  "250-MT-PRIORITY MIXER\r\n"
			  "250-FUTURERELEASE 604800 2030-01-01T00:00:00Z\r\n"
			  "250-LIMITS RCPTMAX=20\r\n"
			  "250 AUTH PLAIN LOGIN\r\n");
}

/* The last line that is shown is the last one, wherever it stood. */
static void
test_last_line(void **state)
{
	(void)state;
	read_ehlo("250-mx\r\n250-DSN\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n");
	check_shown(false, "250-mx\r\n250 DSN\r\n");
	read_ehlo("250-mx\r\n250 STARTTLS\r\n");
	check_shown(true, "250 mx\r\n");
	read_ehlo("250 SIZE 1\r\n");
	assert_int_equal(ehlo.capabilities, 0);
	check_shown(true, "250 SIZE 1\r\n");
	read_ehlo("250\r\n");
	check_shown(true, "250 \r\n");
}

static void
test_auth(void **state)
{
	(void)state;
	read_ehlo("250-mx\r\n"
		  "250-AUTH=LOGIN PLAIN\r\n"
		  "250-DSN\r\n"
		  "250 AUTH PLAIN  SCRAM-SHA-256 bad/one X.Y\r\n");
	assert_int_equal(ehlo.capabilities, EHLO_AUTH | EHLO_DSN);
	assert_string_equal(ehlo.auth, "LOGIN PLAIN SCRAM-SHA-256");
	check_shown(true,
	    "250-mx\r\n250-AUTH LOGIN PLAIN SCRAM-SHA-256\r\n250 DSN\r\n");
	check_shown(false, "250-mx\r\n250 DSN\r\n");
	read_ehlo("250-mx\r\n250 AUTH X X Y\r\n");
	assert_string_equal(ehlo.auth, "X Y");
	read_ehlo("250-mx\r\n250 AUTH X\r\n");
	assert_int_equal(ehlo.capabilities, EHLO_AUTH);
	read_ehlo("250-mx\r\n250 AUTH\r\n");
	assert_int_equal(ehlo.capabilities, 0);
	read_ehlo("250-mx\r\n250 AUTH=\r\n");
	assert_int_equal(ehlo.capabilities, 0);
}

static void
test_auth_bounded(void **state)
{
	char text[8192];
	size_t len, i;

	(void)state;
	len = snprintf(text, sizeof(text), "250-mx\r\n");
	for (i = 0; i < 200; i++)
		len += snprintf(text + len, sizeof(text) - len,
		    "250-AUTH MECHANISM-%zu\r\n", i);
	snprintf(text + len, sizeof(text) - len, "250 AUTH PLAIN\r\n");
	read_ehlo(text);
	assert_in_range(strlen(ehlo.auth), 230, EHLO_AUTH_MAX - 1);
	assert_non_null(strstr(ehlo.auth, "MECHANISM-0 MECHANISM-1 "));

	/* Filled to the last byte, and not beyond. */
	len = snprintf(text, sizeof(text), "250-mx\r\n250-AUTH");
	for (i = 0; i < 12; i++)
		len += snprintf(text + len, sizeof(text) - len,
		    " MECHANISM-OF-20-%04zu", i);
	snprintf(text + len, sizeof(text) - len, " FOUR\r\n250 AUTH=TRI\r\n");
	read_ehlo(text);
	assert_int_equal(strlen(ehlo.auth), EHLO_AUTH_MAX - 1);
	assert_non_null(strstr(ehlo.auth, "-0011 TRI"));
}

static void
test_size(void **state)
{
	static const struct {
		const char *line;
		bool has_size;
		uint64_t limit;
	} rows[] = {
	    {"SIZE", true, 0},
	    {"SIZE ", true, 0},
	    {"SIZE 0", true, 0},
	    {"SIZE 0100 ", true, 100},
	    {"SIZE 18446744073709551615", true, UINT64_MAX},
	    {"SIZE 18446744073709551616", false, 0},
	    {"SIZE 10M", false, 0},
	    {"SIZE -1", false, 0},
	    {"SIZE 1 2", false, 0},
	    {"SIZE=1", false, 0},
	    {"SIZES 1", false, 0},
	    {" SIZE 1", false, 0},
	    {"SIZE 1\xc2\xa0", false, 0},
	    {"SIZE\t1", false, 0},
	};
	char text[128];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(
		    text, sizeof(text), "250-mx\r\n250 %s\r\n", rows[i].line);
		read_ehlo(text);
		assert_int_equal(
		    ehlo.capabilities, rows[i].has_size ? EHLO_SIZE : 0);
		assert_true(ehlo.size_limit == rows[i].limit);
		check_shown(true, rows[i].has_size ? text : "250 mx\r\n");
	}
}

/* What is not printable ASCII, too long or there twice is not shown. */
static void
test_sanitised(void **state)
{
	char text[2048], name[1024];

	(void)state;
	read_ehlo(
	    "250-m\xc3\xbc\t~\r\n250-DELIVERBY \xe4\r\n250-DSN\r\n"
	    "250-SIZE 5\r\n250-SIZE 9\r\n250-dsn x\r\n250 CHUNKING\t\r\n");
	assert_int_equal(ehlo.capabilities, EHLO_DSN | EHLO_SIZE);
	assert_true(ehlo.size_limit == 5);
	check_shown(true, "250-m???~\r\n250-DSN\r\n250 SIZE 5\r\n");

	read_ehlo("250-mx\r\n250 LIMITS ~\r\n");
	check_shown(true, "250-mx\r\n250 LIMITS ~\r\n");
	memset(name, 'a', sizeof(name));
	snprintf(text, sizeof(text),
	    "250-%.600s\r\n250-LIMITS %.500s\r\n250 LIMITS %.499s\r\n", name,
	    name, name);
	read_ehlo(text);
	assert_int_equal(ehlo.capabilities, EHLO_LIMITS);
	snprintf(text, sizeof(text), "250-%.506s\r\n250 LIMITS %.499s\r\n",
	    name, name);
	check_shown(true, text);
}

/* Row 16: what a middlebox left of STARTTLS is not STARTTLS. */
static void
test_row16_mangled(void **state)
{
	(void)state;
	read_ehlo("250-mx\r\n250-XXXXXXXA\r\n250-STARTTLSX\r\n250 START\r\n");
	assert_int_equal(ehlo.capabilities, 0);
	read_ehlo("250-mx\r\n250 StartTLS\r\n");
	assert_int_equal(ehlo.capabilities, EHLO_STARTTLS);
}

static bool
allows(
    uint32_t capabilities, enum verb verb, const char *key, const char *value)
{
	struct ehlo now = {.capabilities = capabilities};
	struct parameter parameter = {.key = {key, strlen(key)}};

	if (value != NULL) {
		parameter.has_value = true;
		parameter.value = (struct slice){value, strlen(value)};
	}
	return ehlo_allows_parameter(&now, verb, &parameter);
}

static void
test_parameters(void **state)
{
	static const struct {
		enum verb verb;
		const char *key, *value;
		uint32_t needs; /* any one of them; 0: never allowed */
	} rows[] = {
	    {VERB_MAIL, "SIZE", "1", EHLO_SIZE},
	    {VERB_MAIL, "body", "7bit", EHLO_8BITMIME | EHLO_BINARYMIME},
	    {VERB_MAIL, "BODY", "8BITMIME", EHLO_8BITMIME},
	    {VERB_MAIL, "BODY", "BINARYMIME", EHLO_BINARYMIME},
	    {VERB_MAIL, "BODY", "9BIT", 0},
	    {VERB_MAIL, "BODY", NULL, 0},
	    {VERB_MAIL, "SMTPUTF8", NULL, EHLO_SMTPUTF8},
	    {VERB_MAIL, "RET", "HDRS", EHLO_DSN},
	    {VERB_MAIL, "ENVID", "x", EHLO_DSN},
	    {VERB_RCPT, "NOTIFY", "NEVER", EHLO_DSN},
	    {VERB_RCPT, "ORCPT", "rfc822;a", EHLO_DSN},
	    {VERB_MAIL, "BY", "120;R", EHLO_DELIVERBY},
	    {VERB_MAIL, "MT-PRIORITY", "3", EHLO_MT_PRIORITY},
	    {VERB_MAIL, "HOLDFOR", "1", EHLO_FUTURERELEASE},
	    {VERB_MAIL, "HOLDUNTIL", "x", EHLO_FUTURERELEASE},
	    {VERB_MAIL, "AUTH", "<>", EHLO_AUTH},
	    {VERB_RCPT, "SIZE", "1", 0},
	    {VERB_RCPT, "RET", "HDRS", 0},
	    {VERB_MAIL, "NOTIFY", "NEVER", 0},
	    {VERB_MAIL, "REQUIRETLS", NULL, 0},
	    {VERB_MAIL, "XOORG", "x", 0},
	};
	size_t i;
	uint32_t bit;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (bit = 1; bit < 1 << EHLO_BIT_COUNT; bit <<= 1)
			assert_int_equal(allows(bit, rows[i].verb, rows[i].key,
					     rows[i].value),
			    (rows[i].needs & bit) != 0);
}

static void
test_covers(void **state)
{
	static const struct {
		struct ehlo now, before;
		bool want;
	} rows[] = {
	    {{0, 0, ""}, {0, 0, ""}, true},
	    {{EHLO_DSN, 0, ""}, {0, 0, ""}, true},
	    {{0, 0, ""}, {EHLO_DSN, 0, ""}, false},
	    {{EHLO_DSN, 0, ""}, {EHLO_DSN | EHLO_CHUNKING, 0, ""}, false},
	    /* never shown, so never missed */
	    {{0, 0, ""}, {EHLO_STARTTLS | EHLO_REQUIRETLS, 0, ""}, true},
	    {{EHLO_SIZE, 9, ""}, {EHLO_SIZE, 9, ""}, true},
	    {{EHLO_SIZE, 10, ""}, {EHLO_SIZE, 9, ""}, true},
	    {{EHLO_SIZE, 0, ""}, {EHLO_SIZE, 9, ""}, true},
	    {{EHLO_SIZE, 8, ""}, {EHLO_SIZE, 9, ""}, false},
	    {{EHLO_SIZE, 8, ""}, {EHLO_SIZE, 0, ""}, false},
	    {{EHLO_AUTH, 0, "LOGIN PLAIN"}, {EHLO_AUTH, 0, "PLAIN"}, true},
	    {{EHLO_AUTH, 0, "LOGIN"}, {EHLO_AUTH, 0, "LOGIN PLAIN"}, false},
	    {{EHLO_AUTH, 0, "LOGIN"}, {EHLO_AUTH, 0, "X"}, false},
	    {{EHLO_AUTH, 0, "PLAINER"}, {EHLO_AUTH, 0, "PLAIN"}, false},
	    {{0, 0, ""}, {0, 0, "PLAIN"}, true},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(
		    ehlo_covers(&rows[i].now, &rows[i].before), rows[i].want);
}

static void
test_no_room(void **state)
{
	struct buf out;

	(void)state;
	read_ehlo("250-mx.example\r\n250 DSN\r\n");
	buf_init(&out, 20);
	assert_int_equal(ehlo_format(&ehlo, &reply, true, &out), -1);
	buf_clear(&out);
}

/*
 * What is shown of a spoilt reply is a reply with the same capabilities,
 * printable, and none that is not shown.
 */
static void
try_ehlo(const uint8_t *data, size_t len)
{
	struct ehlo shown;
	struct buf out;
	size_t used;

	reply_clear(&reply);
	if (reply_feed(&reply, data, len, &used) != REPLY_READY)
		return;
	ehlo_parse(&reply, &ehlo);
	buf_init(&out, OUT_MAX);
	assert_int_equal(ehlo_format(&ehlo, &reply, true, &out), 0);
	reply_clear(&reply);
	assert_int_equal(
	    reply_feed(&reply, buf_data(&out), buf_len(&out), &used),
	    REPLY_READY);
	assert_int_equal(used, buf_len(&out));
	ehlo_parse(&reply, &shown);
	assert_int_equal(shown.capabilities,
	    ehlo.capabilities & ~(EHLO_STARTTLS | EHLO_REQUIRETLS));
	assert_true(shown.size_limit == ehlo.size_limit);
	assert_string_equal(shown.auth, ehlo.auth);
	buf_clear(&out);
}

static void
test_mutants(void **state)
{
	static const char s[] =
	    "250-mx.example\r\n250-SIZE 10\r\n250-AUTH PLAIN X\r\n"
	    "250-AUTH=LOGIN\r\n250-STARTTLS\r\n250-DSN\r\n250 LIMITS A=1\r\n";

	(void)state;
	mutate(s, sizeof(s) - 1, try_ehlo);
}

static int
setup(void **state)
{
	(void)state;
	reply_init(&reply);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	reply_clear(&reply);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all),
	    cmocka_unit_test(test_last_line),
	    cmocka_unit_test(test_auth),
	    cmocka_unit_test(test_auth_bounded),
	    cmocka_unit_test(test_size),
	    cmocka_unit_test(test_sanitised),
	    cmocka_unit_test(test_row16_mangled),
	    cmocka_unit_test(test_parameters),
	    cmocka_unit_test(test_covers),
	    cmocka_unit_test(test_no_room),
	    cmocka_unit_test(test_mutants),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
