/* SPDX-License-Identifier: ISC */
/* What a transaction keeps, lets go of, and when it binds a connection. */

#include "proxy/session/transaction.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/session/policy_client.h"

static struct known *
known_of(enum level level)
{
	struct known *known = policy_temporary("3.0", "test");

	assert_non_null(known);
	known->decision.kind = DECISION_LEVEL;
	known->decision.level = level;
	return known;
}

static void
test_holds(void **state)
{
	struct transaction transaction;
	struct known *known = known_of(LEVEL_VERIFY);

	(void)state;
	transaction_init(&transaction);
	assert_int_equal(transaction.mail, MAIL_NONE);
	assert_int_equal(
	    transaction_begin(&transaction, "MAIL FROM:<>\r\nRCPT", 14), 0);
	assert_int_equal(transaction.mail, MAIL_HELD);
	assert_string_equal(transaction.mail_line, "MAIL FROM:<>\r\n");
	assert_int_equal(
	    transaction_add(&transaction, "RCPT\r\n", 6, known, "a.example"),
	    0);
	assert_int_equal(known->refs, 2);
	transaction_clear(&transaction);
	assert_int_equal(known->refs, 1);
	assert_int_equal(transaction.mail, MAIL_NONE);
	known_unref(known);
}

static void
test_bound(void **state)
{
	struct transaction transaction;
	struct known *known = known_of(LEVEL_VERIFY);
	int i;

	(void)state;
	transaction_init(&transaction);
	transaction_begin(&transaction, "M\r\n", 3);
	for (i = 0; i < TRANSACTION_RECIPIENTS_MAX; i++)
		assert_int_equal(transaction_add(&transaction, "R\r\n", 3,
				     known, "a.example"),
		    i);
	assert_int_equal(
	    transaction_add(&transaction, "R\r\n", 3, known, "a.example"), -1);
	assert_int_equal(errno, ENOBUFS);
	transaction_clear(&transaction);
	assert_int_equal(known->refs, 1);
	known_unref(known);
}

/* Only a proved recipient of another decision that may yet count binds. */
static void
test_binds(void **state)
{
	struct transaction transaction;
	struct known *first = known_of(LEVEL_VERIFY);
	struct known *second = known_of(LEVEL_VERIFY);
	struct known *lax = known_of(LEVEL_ENCRYPT);

	(void)state;
	transaction_init(&transaction);
	transaction_begin(&transaction, "M\r\n", 3);
	assert_false(transaction_binds(&transaction, second));
	transaction_add(&transaction, "R\r\n", 3, lax, "lax.example");
	assert_false(transaction_binds(&transaction, second));
	transaction_add(&transaction, "R\r\n", 3, first, "a.example");
	assert_false(transaction_binds(&transaction, first));
	assert_true(transaction_binds(&transaction, second));
	transaction.recipients[1].is_answered = true;
	assert_false(transaction_binds(&transaction, second));
	transaction.recipients[1].is_accepted = true;
	assert_true(transaction_binds(&transaction, second));
	transaction_clear(&transaction);
	known_unref(first);
	known_unref(second);
	known_unref(lax);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_holds),
	    cmocka_unit_test(test_bound),
	    cmocka_unit_test(test_binds),
	};

	return cmocka_run_group_tests_name("transaction", tests, NULL, NULL);
}
