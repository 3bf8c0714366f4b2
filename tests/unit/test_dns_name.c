/* SPDX-License-Identifier: ISC */
/* Whose a name is. */

#include "proxy/policy/dns_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
	const char *name;
	const char *party;
} parties[] = {
    {"", ""},
    {"example", "example"},
    {"a.example", "a.example"},
    {"b.a.example", "a.example"},
    {"d.c.b.a.example", "a.example"},
    {"co.uk", "co.uk"},
    {"a.co.uk", "a.co.uk"},
    {"c.b.a.co.uk", "a.co.uk"},
    {"b.a.uk", "a.uk"},
    {"b.a.co.example", "co.example"},
    {"b.a.com.de", "a.com.de"},
    {"b.a.come.de", "come.de"},
    {"b.a.c.de", "c.de"},
    {"..", "."},
};

static void
test_party(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(parties) / sizeof(parties[0]); i++)
		assert_string_equal(
		    dns_name_party(parties[i].name), parties[i].party);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_party),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
