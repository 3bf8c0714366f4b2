/* SPDX-License-Identifier: ISC */
/* PEM: blocks found, decoded or called bad; nothing read past the text. */

#include "certs/pem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END   "-----END CERTIFICATE-----"

/* A letter a block: its content's first byte, or '!' for a bad one. */
static void
read_all(const char *text, size_t len, char *out)
{
	enum pem_result result;
	char *exact = malloc(len + 1); /* so that ASan sees an overrun */
	struct pem pem;
	uint8_t *der;
	size_t der_len;

	assert_non_null(exact);
	memcpy(exact, text, len);
	pem_init(&pem, exact, len);
	while ((result = pem_next(&pem, &der, &der_len)) != PEM_END) {
		assert_true(result == PEM_BLOCK || result == PEM_BAD);
		assert_true((result == PEM_BLOCK) == (der != NULL));
		*out++ = der == NULL ? '!' : (char)der[0];
		free(der);
	}
	assert_null(der);
	*out = '\0';
	free(exact);
}

static void
test_texts(void **state)
{
	static const struct {
		const char *text, *blocks;
	} rows[] = {
	    {"", ""},
	    {"nothing here", ""},
	    {BEGIN "\nYWJj\n" END "\n", "a"},
	    {BEGIN "YWJj" END, "a"},
	    {BEGIN "\r\nYW\r\nJj \t\r\n" END "\r\n", "a"},
	    {"subject=x\n" BEGIN "\nYQ==\n" END "\nnoise\n" BEGIN
	     "\nYg==\n" END,
		"ab"},
	    {BEGIN "\n" END, "!"},
	    {BEGIN "\nYWJ\n" END, "!"},
	    {BEGIN "\nYW*j\n" END, "!"},
	    {BEGIN "\nYWJj", "!"},
	    {BEGIN "\nYWJj\n-----END CERTIFICATE----\n", "!"},
	    {BEGIN "\nY=Jj\n" END BEGIN "\nYg==\n" END, "!b"},
	    {BEGIN "\n" BEGIN "\nYg==\n" END, "!"},
	    {END BEGIN "YQ==" END, "a"},
	    {"-----BEGIN PRIVATE KEY-----\nYQ==\n"
	     "-----END PRIVATE KEY-----\n",
		""},
	    {"-----BEGIN TRUSTED CERTIFICATE-----\nYQ==\n"
	     "-----END TRUSTED CERTIFICATE-----\n",
		""},
	};
	char blocks[16];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		read_all(rows[i].text, strlen(rows[i].text), blocks);
		assert_string_equal(blocks, rows[i].blocks);
	}
}

static void
test_cut_anywhere(void **state)
{
	static const char text[] = BEGIN "\nYWJj\n" END "\n";
	size_t begin_len = strlen(BEGIN), whole = strlen(text) - 1;
	char blocks[16];

	(void)state;
	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		read_all(text, len, blocks);
		assert_string_equal(blocks, len < begin_len ? ""
					    : len < whole   ? "!"
							    : "a");
	}
}

static void
test_nul(void **state)
{
	static const char text[] = "\0\0" BEGIN "\nYW\0Jj\n" END BEGIN
				   "\nYg==\n" END;
	char blocks[16];

	(void)state;
	read_all(text, sizeof(text) - 1, blocks);
	assert_string_equal(blocks, "!b");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_texts),
	    cmocka_unit_test(test_cut_anywhere),
	    cmocka_unit_test(test_nul),
	};

	return cmocka_run_group_tests_name("pem", tests, NULL, NULL);
}
