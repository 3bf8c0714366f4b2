/* SPDX-License-Identifier: ISC */
/* UCL: which tree a text is, on which lines, and which texts are none. */

#include "proxy/config_ucl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mutate.h"

/*
 * A tree as text: every node with its line, strings in quotes, objects in
 * braces, arrays in brackets.
 */
static void
print(const struct ucl_node *node, FILE *out)
{
	const struct ucl_node *inner;

	fprintf(out, "%u:", node->line);
	if (node->key != NULL)
		fprintf(out, "%s=", node->key);
	if (node->type == UCL_WORD)
		fputs(node->text, out);
	else if (node->type == UCL_STRING)
		fprintf(out, "\"%s\"", node->text);
	else {
		fputc(node->type == UCL_OBJECT ? '{' : '[', out);
		for (inner = node->first; inner != NULL; inner = inner->next) {
			print(inner, out);
			if (inner->next != NULL)
				fputc(' ', out);
		}
		fputc(node->type == UCL_OBJECT ? '}' : ']', out);
	}
}

/* The tree of a text, or its error; the caller frees it. */
static char *
tree(const char *text, size_t text_len)
{
	struct ucl_node *top, *node;
	unsigned int line;
	char error[UCL_ERROR_MAX], *out;
	size_t len;
	FILE *fp = open_memstream(&out, &len);

	if ((top = ucl_parse(text, text_len, &line, error)) == NULL)
		fprintf(fp, "%u! %s", line, error);
	else
		for (node = top->first; node != NULL; node = node->next) {
			print(node, fp);
			if (node->next != NULL)
				fputc(' ', fp);
		}
	ucl_node_free(top);
	fclose(fp);
	return out;
}

static void
assert_tree(const char *text, const char *expected)
{
	char *out = tree(text, strlen(text));

	assert_string_equal(out, expected);
	free(out);
}

struct row {
	const char *text, *expected;
};

static const struct row trees[] = {
    {"", ""},
    {" \t\r\n;;,\n", ""},
    {"\xef\xbb\xbf"
     "a=1",
	"1:a=1"},
    /* the spellings of one setting */
    {"a=1", "1:a=1"},
    {"a = 1;", "1:a=1"},
    {"a: 1,", "1:a=1"},
    {"a 1\n", "1:a=1"},
    {"\"a\" : \"1\"", "1:a=\"1\""},
    {"'a' '1'", "1:a=\"1\""},
    {"{\"a\":1}", "1:a=1"},
    {"\n { a = 1 }\n# end\n", "2:a=1"},
    {"a=1;b=2\nc=3", "1:a=1 1:b=2 2:c=3"},
    {"a=1\na=2", "1:a=1 2:a=2"},
    /* words */
    {"a = /usr/share/dns/root.key", "1:a=/usr/share/dns/root.key"},
    {"a = 2001:db8::/32", "1:a=2001:db8::/32"},
    {"a = ab+/==", "1:a=ab+/=="},
    {"a = b/*c", "1:a=b/*c"},
    {"a = b# c", "1:a=b"},
    {"a = $HOME ${B}", "1! ';' or a new line is missing before '$'"},
    {"a = $HOME", "1:a=$HOME"},
    /* sections and their names */
    {"s { a = 1 }", "1:s={1:a=1}"},
    {"s {}t{}", "1:s={} 1:t={}"},
    {"s = { a 1; b 2 }", "1:s={1:a=1 1:b=2}"},
    {"s\n\n{\na 1\n}", "1:s={4:a=1}"},
    {"s =\n{\na 1\n}", "1:s={3:a=1}"},
    {"s \"n\" { a 1 }", "1:s={1:n={1:a=1}}"},
    {"s *.n # {\n /* { */\n{\na 1 }", "1:s={1:*.n={4:a=1}}"},
    {"s n {\n}\ns m {\n}", "1:s={1:n={}} 3:s={3:m={}}"},
    {"s { n { a 1 }\n m { a 2 } }", "1:s={1:n={1:a=1} 2:m={2:a=2}}"},
    {"s <<EOD\nn\nEOD\n{ }", "1:s={1:n={}}"},
    /* arrays */
    {"a = []", "1:a=[]"},
    {"a [1, \"2\"\n3,\n\n[4],]", "1:a=[1:1 1:\"2\" 2:3 4:[4:4]]"},
    {"a =\n[\n{ b = 1 },\n{ b = 2 }\n]", "1:a=[3:{3:b=1} 4:{4:b=2}]"},
    /* comments */
    {"# a = 1 {\nb = 2 # c = 3 }\nd = 4", "2:b=2 3:d=4"},
    {"/* { \n /* \" \n */ \n } */ a = /* [ */ 1 /* ] */", "4:a=1"},
    {"a # b\n= 1", "1! no value is given for 'a'"},
    {"a = /* \n */ 1", "1! no value is given for 'a'"},
    {"a = \"# /* {\" # b", "1:a=\"# /* {\""},
    /* strings */
    {"a = \"\"; b = ''", "1:a=\"\" 1:b=\"\""},
    {"a = \"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "1:a=\"\"\\/\b\f\n\r\t\""},
    {"a = \"\\u0041\\u00e9\\u20AC\"", "1:a=\"A\xc3\xa9\xe2\x82\xac\""},
    {"a = 'b\\n\"c\\'d\\\\'", "1:a=\"b\\n\"c'd\\\\\""},
    {"a = \"\\\\\"\nb = 1", "1:a=\"\\\" 2:b=1"},
    /* documents: the line ends at either side are no part of them */
    {"a = <<EOD\nb { # \"\n  EOD\nEODE\nEOD\nc = 1",
	"1:a=\"b { # \"\n  EOD\nEODE\" 6:c=1"},
    {"a = <<EOD\nEOD\nc = 1", "1:a=\"\" 3:c=1"},
    {"a = <<EOD\n\nEOD\n", "1:a=\"\""},
    {"a = <<EOD\n\nb\n\nEOD\n", "1:a=\"\nb\n\""},
    {"a = <<EOD\nb\nEOD", "1:a=\"b\""},
    {"s { a <<E\nb\nE\n} c 1", "1:s={1:a=\"b\"} 4:c=1"},
    /* line ends as Windows has them */
    {"a = 1\r\nb {\r\n c = \"2\"\r\n}\r\n# d\r\ne = [\r\n3,\r\n4\r\n]\r\n",
	"1:a=1 2:b={3:c=\"2\"} 6:e=[7:3 8:4]"},
    {"a = <<EOD\r\nb\r\nc\r\nEOD\r\nd = 1\r\n", "1:a=\"b\r\nc\" 5:d=1"},
};

static const struct row errors[] = {
    {"a", "1! no value is given for 'a'"},
    {"\na\nb = 1", "2! no value is given for 'a'"},
    {"a =\nb = 1", "1! no value is given for 'a'"},
    {"a = ; b = 1", "1! no value is given for 'a'"},
    {"s { a }", "1! no value is given for 'a'"},
    {"s { a = }", "1! no value is given for 'a'"},
    {"\x1b[1m = 1", "1! a word is missing before '\\x1b'"},
    {"a = b c", "1! ';' or a new line is missing before 'c'"},
    {"a = \"b\"c", "1! ';' or a new line is missing before 'c'"},
    {"a = [1 2]", "1! ';' or a new line is missing before '2'"},
    {"a = [1] b = 2", "1! ';' or a new line is missing before 'b'"},
    {"s \"a\" \"b\" {}", "1! ';' or a new line is missing before '\"b\"'"},
    {"a = b = c", "1! ';' or a new line is missing before '='"},
    {"= 1", "1! a word is missing before '='"},
    {"\n}", "2! '}' closes nothing"},
    {"a = [\n}\n]", "2! '}' closes nothing"},
    {"s {\n ]\n}", "2! ']' closes nothing"},
    {"{ a = 1 }\n}", "2! the end is expected before '}'"},
    {"{ a = 1 } b = 2", "1! the end is expected before 'b'"},
    {"[ 1 ]", "1! a word is missing before '['"},
    {"a 1\nb {\n c {\n d 1\n }\n", "2! what opens here lacks its '}'"},
    {"b\n{\n", "2! what opens here lacks its '}'"},
    {"a = [\n1,\n", "1! what opens here lacks its ']'"},
    {"\n/* a\n/* b */\n", "2! comment is not closed"},
    {"\na = \"b\nc\"", "2! string is not closed"},
    {"\na = \"b\\\"", "2! string is not closed"},
    {"\na = \"b\\", "2! string is not closed"},
    {"\na = 'b\\\nc'", "2! string is not closed"},
    {"a = \"\\x41\"", "1! string has a bad escape"},
    {"a = \"\\u0000\"", "1! string has a bad escape"},
    {"a = \"\\u00g0\"", "1! string has a bad escape"},
    {"a = \"\\u004\"", "1! string has a bad escape"},
    {"a = \"\\ud83d\\ude00\"", "1! string has a bad escape"},
    {"a = <<EOD", "1! << wants a word in capitals and a line end"},
    {"a = <<eod\neod\n", "1! << wants a word in capitals and a line end"},
    {"a = <<EOD x\nEOD\n", "1! << wants a word in capitals and a line end"},
    {"\na = <<EOD\nb\nEOD x\n", "2! no line ends the document << 'EOD'"},
    {"\n.include \"/etc/passwd\"",
	"2! no macros and includes here; a setting is expected before"
	" '.include'"},
    {"s { .include(try=true) \"x\" }",
	"1! no macros and includes here; a setting is expected before"
	" '.include(try=true)'"},
};

static void
test_trees(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++)
		assert_tree(trees[i].text, trees[i].expected);
}

static void
test_errors(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		assert_tree(errors[i].text, errors[i].expected);
}

static void
test_nul(void **state)
{
	static const char text[] = "a = 1\n\0b = 2";
	char *out = tree(text, sizeof(text) - 1);

	(void)state;
	assert_string_equal(out, "1! has a NUL byte: not a text file");
	free(out);
}

/* Depth is bounded at both ends of the bound. */
static void
test_depth(void **state)
{
	char text[2 * UCL_DEPTH_MAX + 8], *out;
	size_t depth, len;

	(void)state;
	for (depth = UCL_DEPTH_MAX; depth <= UCL_DEPTH_MAX + 1; depth++) {
		len = (size_t)snprintf(text, sizeof(text), "a=");
		memset(text + len, '[', depth);
		memset(text + len + depth, ']', depth);
		out = tree(text, len + 2 * depth);
		if (depth > UCL_DEPTH_MAX)
			assert_string_equal(out, "1! too deep");
		else
			assert_non_null(strstr(out, "[1:["));
		free(out);
	}
}

static void
try(const uint8_t *data, size_t len)
{
	free(tree((const char *)data, len));
}

/* Cut off at every byte, and with every bit flipped: it ends, unharmed. */
static void
test_spoilt(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++)
		mutate(trees[i].text, strlen(trees[i].text), try);
}

/*
 * A setting keeps its line behind whatever comes before it: n lines of any of
 * the texts put it on line n + 1.
 */
static void
test_lines(void **state)
{
	char text[512], expected[64], *out;
	const char *c;
	unsigned int line;
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(trees) / sizeof(trees[0]); i++) {
		if (trees[i].text[strspn(trees[i].text, " \n")] == '{' ||
		    strchr(trees[i].expected, '!') != NULL)
			continue; /* a whole of its own, or none */
		line = 2;
		for (c = trees[i].text; *c != '\0'; c++)
			line += *c == '\n';
		len = (size_t)snprintf(
		    text, sizeof(text), "%s\nlast = 1", trees[i].text);
		snprintf(expected, sizeof(expected), "%u:last=1", line);
		out = tree(text, len);
		assert_true(strlen(out) >= strlen(expected));
		assert_string_equal(
		    out + strlen(out) - strlen(expected), expected);
		free(out);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_trees),
	    cmocka_unit_test(test_errors),
	    cmocka_unit_test(test_nul),
	    cmocka_unit_test(test_depth),
	    cmocka_unit_test(test_spoilt),
	    cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
