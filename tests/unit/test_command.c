/* SPDX-License-Identifier: ISC */
/* Commands: verbs, arguments, parameters, and what is refused how. */

#include "proxy/smtp/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/mutate.h"

static enum command_result
parse_mem(const void *text, size_t len, struct command *cmd)
{
	struct line line = {text, len, len + 2};

	return command_parse(&line, cmd);
}

static enum command_result
parse(const char *text, struct command *cmd)
{
	return parse_mem(text, strlen(text), cmd);
}

static bool
equal(struct slice slice, const char *text)
{
	return slice.len == strlen(text) &&
	       (slice.len == 0 || memcmp(slice.text, text, slice.len) == 0);
}

static void
test_verbs(void **state)
{
	static const struct {
		const char *text;
		enum verb verb;
		const char *args;
	} rows[] = {
	    {"EHLO mx.example", VERB_EHLO, "mx.example"},
	    {"helo [192.0.2.1]", VERB_HELO, "[192.0.2.1]"},
	    {"MaIl FROM:<>", VERB_MAIL, "FROM:<>"},
	    {"RCPT TO:<a@b>  ", VERB_RCPT, "TO:<a@b>"},
	    {"DATA", VERB_DATA, ""},
	    {"data  ", VERB_DATA, ""},
	    {"BDAT 1", VERB_BDAT, "1"},
	    {"RSET", VERB_RSET, ""},
	    {"NOOP", VERB_NOOP, ""},
	    {"NOOP  a  b ", VERB_NOOP, "a  b"},
	    {"QUIT", VERB_QUIT, ""},
	    {"VRFY j\xc3\xbcrgen", VERB_VRFY, "j\xc3\xbcrgen"},
	    {"EXPN list", VERB_EXPN, "list"},
	    {"HELP", VERB_HELP, ""},
	    {"HELP mail", VERB_HELP, "mail"},
	    {"AUTH PLAIN", VERB_AUTH, "PLAIN"},
	    {"STARTTLS", VERB_STARTTLS, ""},
	    {"UNKNOWN", VERB_UNKNOWN, ""},
	    {"XCLIENT ADDR=192.0.2.1", VERB_UNKNOWN, "ADDR=192.0.2.1"},
	    {"GET / HTTP/1.1", VERB_UNKNOWN, "/ HTTP/1.1"},
	    {"DAT", VERB_UNKNOWN, ""},
	    {"DATAA", VERB_UNKNOWN, ""},
	    {"MAIL:", VERB_UNKNOWN, ""},
	};
	struct command cmd;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (parse(rows[i].text, &cmd) != COMMAND_OK)
			fail_msg("%s: %s", rows[i].text, cmd.reason);
		assert_int_equal(cmd.verb, rows[i].verb);
		assert_true(equal(
		    (struct slice){cmd.args, cmd.args_len}, rows[i].args));
		assert_null(cmd.reason);
	}
	assert_string_equal(verb_text(VERB_STARTTLS), "STARTTLS");
	assert_string_equal(verb_text(VERB_UNKNOWN), "UNKNOWN");
}

static void
test_refused(void **state)
{
	static const struct {
		const char *text;
		enum command_result want;
		int code;
		const char *status;
	} rows[] = {
	    {"", COMMAND_SYNTAX, 500, "5.5.2"},
	    {" DATA", COMMAND_SYNTAX, 500, "5.5.2"},
	    {"NOOP \t", COMMAND_SYNTAX, 500, "5.5.2"},
	    {"NOOP \x1b]0;x", COMMAND_SYNTAX, 500, "5.5.2"},
	    {"NOOP \x7f", COMMAND_SYNTAX, 500, "5.5.2"},
	    {"EHLO", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"EHLO ", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"EHLO a b", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"HELO m\xc3\xbcller", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"EHLO \xc3\xbc", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"DATA x", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"RSET x", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"QUIT x", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"STARTTLS x", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"VRFY", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"EXPN ", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"MAIL", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"MAIL <a@b>", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"MAIL FROM <a@b>", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"MAIL FROM :<a@b>", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"MAIL TO:<a@b>", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"RCPT FROM:<a@b>", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"MAIL FROM:", COMMAND_ADDRESS, 553, "5.1.7"},
	    {"MAIL FROM:a@b", COMMAND_ADDRESS, 553, "5.1.7"},
	    {"RCPT TO:a@b", COMMAND_ADDRESS, 553, "5.1.3"},
	    {"RCPT TO:<>", COMMAND_ADDRESS, 553, "5.1.3"},
	    {"RCPT TO:<a>", COMMAND_ADDRESS, 553, "5.1.3"},
	    {"RCPT TO:<a@b@c>", COMMAND_ADDRESS, 553, "5.1.3"},
	    {"RCPT TO:<a@b>,<c@d>", COMMAND_ADDRESS, 553, "5.1.3"},
	    {"RCPT TO:<a@b><c@d>", COMMAND_ADDRESS, 553, "5.1.3"},
	    {"RCPT TO:<a@b> <c@d>", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"RCPT TO:<a@b>x", COMMAND_ADDRESS, 553, "5.1.3"},
	    {"RCPT TO:<a@b>SIZE=1", COMMAND_ADDRESS, 553, "5.1.3"},
	    {"RCPT TO:<a@b> NOTIFY=", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"RCPT TO:<a@b> =x", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"RCPT TO:<a@b> -X=x", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"RCPT TO:<a@b> X_Y=x", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"RCPT TO:<a@b> X=y=z", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"RCPT TO:<a@b> X = y", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"RCPT TO:<a@b> \xc3\xbc=x", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"RCPT TO:<a@b> X=1 Y x=2", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"RCPT TO:<a@b> X X", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"MAIL FROM:<a@b> SIZE", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"MAIL FROM:<a@b> SIZE=-1", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"MAIL FROM:<a@b> SIZE=1k", COMMAND_SYNTAX, 501, "5.5.4"},
	    {"MAIL FROM:<a@b> SIZE=18446744073709551616", COMMAND_SYNTAX, 501,
		"5.5.4"},
	};
	struct command cmd;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (parse(rows[i].text, &cmd) != rows[i].want)
			fail_msg("passed: %s", rows[i].text);
		assert_int_equal(cmd.code, rows[i].code);
		assert_string_equal(cmd.status, rows[i].status);
		assert_non_null(cmd.reason);
	}
}

/*
 * Row 39 and row 42: no byte below space, no DEL and no C1 control passes,
 * in whichever command, at whichever place.
 */
static void
test_row39_control_characters(void **state)
{
	static const char *const lines[] = {
	    "MAIL FROM:<a@b.example> AUTH=a@b",
	    "RCPT TO:<\"a b\"@b.example> ORCPT=rfc822;a",
	    "EHLO mx.example",
	    "NOOP text",
	    "AUTH PLAIN AGEAYg==",
	    "XVERB text",
	};
	struct command cmd;
	char text[64];
	size_t i, at, len;
	int c;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		len = strlen(lines[i]);
		for (at = 0; at < len; at++)
			for (c = 0; c < 0xa0; c++) {
				if (c >= ' ' && c < 0x7f)
					continue;
				memcpy(text, lines[i], len);
				text[at] = c;
				assert_int_equal(
				    parse_mem(text, len, &cmd), COMMAND_SYNTAX);
				assert_int_equal(cmd.code, 500);
			}
	}
}

static void
test_utf8(void **state)
{
	static const char *const good[] = {
	    "\xc2\xa0",
	    "\xdf\xbf",
	    "\xe0\xa0\x80",
	    "\xed\x9f\xbf",
	    "\xee\x80\x80",
	    "\xef\xbf\xbf",
	    "\xf0\x90\x80\x80",
	    "\xf4\x8f\xbf\xbf",
	};
	static const char *const bad[] = {
	    "\x80",
	    "\xbf",
	    "\xc0\x80",
	    "\xc1\xbf",
	    "\xc2",
	    "\xc2\x9f",
	    "\xc2\xc2",
	    "\xdf\x7f",
	    "\xdf\xc0",
	    "\xe0\x9f\xbf",
	    "\xe1\x80",
	    "\xe1\x80\x7f",
	    "\xe1\x80\xc0",
	    "\xed\xa0\x80",
	    "\xed\xbf\xbf",
	    "\xf0\x8f\xbf\xbf",
	    "\xf1\x80\x80",
	    "\xf1\x80\x80\xc0",
	    "\xf4\x90\x80\x80",
	    "\xf5\x80\x80\x80",
	    "\xfe",
	    "\xff",
	};
	struct command cmd;
	char text[64];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(text, sizeof(text), "RCPT TO:<%s@b>", good[i]);
		assert_int_equal(parse(text, &cmd), COMMAND_OK);
		assert_true(cmd.path.needs_utf8);
		snprintf(text, sizeof(text), "NOOP %s", good[i]);
		assert_int_equal(parse(text, &cmd), COMMAND_OK);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "RCPT TO:<%s@b>", bad[i]);
		assert_int_equal(parse(text, &cmd), COMMAND_SYNTAX);
		/* cut off by the end of the line */
		snprintf(text, sizeof(text), "NOOP %s", bad[i]);
		assert_int_equal(parse(text, &cmd), COMMAND_SYNTAX);
	}
}

static void
test_parameters(void **state)
{
	const struct parameter *parameter;
	struct command cmd;

	(void)state;
	assert_int_equal(parse("MAIL FROM: <a@b>  size=0042  BODY=8bitmime"
			       " SMTPUTF8 AUTH=<> ENVID=+3D\xc3\xbc ",
			     &cmd),
	    COMMAND_OK);
	assert_true(equal(cmd.path.raw, "<a@b>"));
	assert_int_equal(cmd.parameter_count, 5);
	assert_true(cmd.has_size);
	assert_int_equal(cmd.size, 42);
	parameter = command_parameter(&cmd, "SIZE");
	assert_true(equal(parameter->key, "size"));
	assert_true(equal(parameter->value, "0042"));
	parameter = command_parameter(&cmd, "smtputf8");
	assert_false(parameter->has_value);
	assert_int_equal(parameter->value.len, 0);
	parameter = command_parameter(&cmd, "AUTH");
	assert_true(parameter->has_value);
	assert_true(equal(parameter->value, "<>"));
	parameter = command_parameter(&cmd, "ENVID");
	assert_true(equal(parameter->value, "+3D\xc3\xbc"));
	assert_null(command_parameter(&cmd, "RET"));
	assert_null(command_parameter(&cmd, "SIZ"));
	assert_null(command_parameter(&cmd, "SIZES"));

	assert_int_equal(
	    parse("MAIL FROM:<> SIZE=18446744073709551615", &cmd), COMMAND_OK);
	assert_true(cmd.size == UINT64_MAX);
	assert_true(cmd.path.is_null);
	assert_int_equal(parse("RCPT TO:<a@b> SIZE=x", &cmd), COMMAND_OK);
	assert_false(cmd.has_size);
}

static void
test_parameters_max(void **state)
{
	char text[LINE_COMMAND_MAX];
	struct command cmd;
	size_t len, i;

	(void)state;
	len = snprintf(text, sizeof(text), "RCPT TO:<a@b>");
	for (i = 0; i < PARAMETERS_MAX; i++)
		len += snprintf(text + len, sizeof(text) - len, " X%zu=y", i);
	assert_int_equal(parse(text, &cmd), COMMAND_OK);
	assert_int_equal(cmd.parameter_count, PARAMETERS_MAX);
	snprintf(text + len, sizeof(text) - len, " Y");
	assert_int_equal(parse(text, &cmd), COMMAND_SYNTAX);
	assert_string_equal(cmd.reason, "too many parameters");
}

static void
test_row38_bdat(void **state)
{
	static const struct {
		const char *text;
		enum command_result want;
		uint64_t size;
		bool is_last;
	} rows[] = {
	    {"BDAT 0", COMMAND_OK, 0, false},
	    {"BDAT 0 LAST", COMMAND_OK, 0, true},
	    {"bdat 000100  last ", COMMAND_OK, 100, true},
	    {"BDAT 4294967296", COMMAND_OK, UINT64_C(4294967296), false},
	    {"BDAT 18446744073709551615 LAST", COMMAND_OK, UINT64_MAX, true},
	    {"BDAT 18446744073709551616", COMMAND_SYNTAX, 0, false},
	    {"BDAT 18446744073709551616 LAST", COMMAND_SYNTAX, 0, false},
	    {"BDAT", COMMAND_SYNTAX, 0, false},
	    {"BDAT LAST", COMMAND_SYNTAX, 0, false},
	    {"BDAT -1", COMMAND_SYNTAX, 0, false},
	    {"BDAT +1", COMMAND_SYNTAX, 0, false},
	    {"BDAT 0x10", COMMAND_SYNTAX, 0, false},
	    {"BDAT 1,000", COMMAND_SYNTAX, 0, false},
	    {"BDAT 1LAST", COMMAND_SYNTAX, 0, false},
	    {"BDAT 1 LAS", COMMAND_SYNTAX, 0, false},
	    {"BDAT 1 LASTX", COMMAND_SYNTAX, 0, false},
	    {"BDAT 1 LAST LAST", COMMAND_SYNTAX, 0, false},
	    {"BDAT 1 LAST x", COMMAND_SYNTAX, 0, false},
	    {"BDAT 1 1", COMMAND_SYNTAX, 0, false},
	};
	struct command cmd;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(parse(rows[i].text, &cmd), rows[i].want);
		assert_int_equal(cmd.verb, VERB_BDAT);
		if (rows[i].want != COMMAND_OK)
			continue;
		assert_true(cmd.chunk_size == rows[i].size);
		assert_int_equal(cmd.is_last, rows[i].is_last);
	}
}

static void
test_row41_auth(void **state)
{
	static const struct {
		const char *text;
		enum command_result want;
		const char *mechanism, *initial; /* "": none */
	} rows[] = {
	    {"AUTH PLAIN", COMMAND_OK, "PLAIN", ""},
	    {"AUTH PLAIN ", COMMAND_OK, "PLAIN", ""},
	    {"AUTH scram-sha-256 biwsbj0=", COMMAND_OK, "scram-sha-256",
		"biwsbj0="},
	    {"AUTH EXTERNAL =", COMMAND_OK, "EXTERNAL", "="},
	    {"AUTH PLAIN AGEAYg==", COMMAND_OK, "PLAIN", "AGEAYg=="},
	    {"AUTH PLAIN ab/+", COMMAND_OK, "PLAIN", "ab/+"},
	    {"AUTH X", COMMAND_OK, "X", ""},
	    {"AUTH ABCDEFGHIJKLMNOPQRST", COMMAND_OK, "ABCDEFGHIJKLMNOPQRST",
		""},
	    {"AUTH", COMMAND_SYNTAX, "", ""},
	    {"AUTH =", COMMAND_SYNTAX, "", ""},
	    {"AUTH PL.AIN", COMMAND_SYNTAX, "", ""},
	    {"AUTH ABCDEFGHIJKLMNOPQRSTU", COMMAND_SYNTAX, "", ""},
	    {"AUTH PLAIN ===", COMMAND_SYNTAX, "", ""},
	    {"AUTH PLAIN ab=c", COMMAND_SYNTAX, "", ""},
	    {"AUTH PLAIN a-b_", COMMAND_SYNTAX, "", ""},
	    {"AUTH PLAIN *", COMMAND_SYNTAX, "", ""},
	    {"AUTH PLAIN \xc3\xbc", COMMAND_SYNTAX, "", ""},
	    {"AUTH PLAIN ab== x", COMMAND_SYNTAX, "", ""},
	};
	struct command cmd;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(parse(rows[i].text, &cmd), rows[i].want);
		if (rows[i].want != COMMAND_OK)
			continue;
		assert_true(equal(cmd.mechanism, rows[i].mechanism));
		assert_int_equal(cmd.has_initial, rows[i].initial[0] != '\0');
		if (cmd.has_initial)
			assert_true(equal(cmd.initial, rows[i].initial));
	}
	assert_true(command_is_base64((struct slice){"", 0}));
	assert_false(command_is_base64((struct slice){"a b", 3}));
}

static void
test_lengths(void **state)
{
	char text[LINE_AUTH_MAX];
	struct command cmd;

	(void)state;
	memset(text, 'a', sizeof(text));
	mutate_put(text, "NOOP ");
	assert_int_equal(
	    parse_mem(text, LINE_COMMAND_MAX - 2, &cmd), COMMAND_OK);
	assert_int_equal(
	    parse_mem(text, LINE_COMMAND_MAX - 1, &cmd), COMMAND_SYNTAX);
	assert_int_equal(cmd.code, 500);
	mutate_put(text, "EHLO ");
	assert_int_equal(parse_mem(text, 5 + DOMAIN_MAX, &cmd), COMMAND_OK);
	assert_ptr_equal(cmd.name.text, text + 5);
	assert_int_equal(cmd.name.len, DOMAIN_MAX);
	assert_int_equal(parse_mem(text, 6 + DOMAIN_MAX, &cmd), COMMAND_SYNTAX);
	mutate_put(text, "AUTH PLAIN ");
	assert_int_equal(parse_mem(text, LINE_AUTH_MAX - 2, &cmd), COMMAND_OK);
	assert_int_equal(cmd.initial.len, LINE_AUTH_MAX - 2 - 11);
}

/* A slice lies within the line or is empty, and holds no control characters. */
static void
check_slice(struct slice slice, const uint8_t *data, size_t len)
{
	size_t i;

	if (slice.len == 0)
		return;
	assert_true((const uint8_t *)slice.text >= data);
	assert_true((const uint8_t *)slice.text + slice.len <= data + len);
	for (i = 0; i < slice.len; i++)
		assert_true((unsigned char)slice.text[i] >= ' ');
}

static void
try_command(const uint8_t *data, size_t len)
{
	struct command cmd;
	size_t i;

	if (parse_mem(data, len, &cmd) != COMMAND_OK) {
		assert_non_null(cmd.reason);
		assert_non_null(cmd.status);
		return;
	}
	check_slice((struct slice){cmd.args, cmd.args_len}, data, len);
	check_slice(cmd.name, data, len);
	check_slice(cmd.path.raw, data, len);
	check_slice(cmd.path.local, data, len);
	check_slice(cmd.path.domain, data, len);
	check_slice(cmd.mechanism, data, len);
	check_slice(cmd.initial, data, len);
	for (i = 0; i < cmd.parameter_count; i++) {
		check_slice(cmd.parameters[i].key, data, len);
		check_slice(cmd.parameters[i].value, data, len);
	}
	if (cmd.verb == VERB_RCPT)
		assert_true(cmd.path.is_postmaster ||
			    cmd.path.domain_kind != DOMAIN_NONE);
}

static void
test_mutants(void **state)
{
	static const char *const lines[] = {
	    "MAIL FROM:<@r.example:\"a\\\" b\"@b.example> SIZE=12 AUTH=<> X",
	    "RCPT TO:<a.b@[IPv6:2001:db8::1]> NOTIFY=SUCCESS,DELAY",
	    "RCPT TO:<j\xc3\xbcrgen@\xe2\x82\xac.example>",
	    "RCPT TO:<Postmaster>",
	    "BDAT 4294967296 LAST",
	    "EHLO [192.0.2.1]",
	    "AUTH PLAIN AGEAYg==",
	    "VRFY a@b",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		mutate(lines[i], strlen(lines[i]), try_command);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_verbs),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_row39_control_characters),
	    cmocka_unit_test(test_utf8),
	    cmocka_unit_test(test_parameters),
	    cmocka_unit_test(test_parameters_max),
	    cmocka_unit_test(test_row38_bdat),
	    cmocka_unit_test(test_row41_auth),
	    cmocka_unit_test(test_lengths),
	    cmocka_unit_test(test_mutants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
