/* SPDX-License-Identifier: ISC */
/* The byte queue, against a plain model of one, and at its edges. */

#include "proxy/base/buf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MODEL_MAX 5000

static void
assert_holds(const struct buf *buf, const char *text)
{
	assert_int_equal(buf_len(buf), strlen(text));
	assert_memory_equal(buf_data(buf), text, strlen(text));
}

static void
test_add_consume(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, 10);
	assert_non_null(buf_data(&buf));
	assert_int_equal(buf_room(&buf), 10);
	assert_int_equal(buf_add(&buf, "hello", 5), 0);
	assert_int_equal(buf_addf(&buf, "%d", 42), 0);
	assert_holds(&buf, "hello42");
	assert_int_equal(buf_room(&buf), 3);
	buf_consume(&buf, 4);
	assert_holds(&buf, "o42");
	assert_int_equal(buf_room(&buf), 7);
	buf_clear(&buf);
	assert_int_equal(buf_len(&buf), 0);
	assert_int_equal(buf_room(&buf), 10);
}

static void
test_maximum(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, 8);
	assert_int_equal(buf_add(&buf, "12345678", 8), 0);
	errno = 0;
	assert_int_equal(buf_add(&buf, "9", 1), -1);
	assert_int_equal(errno, ENOBUFS);
	errno = 0;
	assert_int_equal(buf_addf(&buf, "%c", '9'), -1);
	assert_int_equal(errno, ENOBUFS);
	errno = 0;
	assert_null(buf_reserve(&buf, SIZE_MAX));
	assert_int_equal(errno, ENOBUFS);
	assert_int_equal(buf_add(&buf, "", 0), 0);
	assert_holds(&buf, "12345678");
	/* What was consumed makes room again, in the same block. */
	buf_consume(&buf, 3);
	assert_int_equal(buf_addf(&buf, "%s", "abc"), 0);
	assert_holds(&buf, "45678abc");
	assert_int_equal(buf.cap, 8);
	buf_clear(&buf);
}

static void
test_nothing_held_is_nothing_allocated(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, 100);
	assert_null(buf.base);
	assert_int_equal(buf_add(&buf, "", 0), 0);
	assert_null(buf.base);
	assert_int_equal(buf_add(&buf, "abc", 3), 0);
	assert_non_null(buf.base);
	buf_consume(&buf, 2);
	assert_non_null(buf.base);
	buf_consume(&buf, 1);
	assert_null(buf.base);
	/* A read that brought nothing leaves nothing. */
	assert_non_null(buf_reserve(&buf, 50));
	buf_commit(&buf, 0);
	assert_null(buf.base);
}

static void
test_growth(void **state)
{
	struct buf buf;
	size_t moves = 0, i;
	uint8_t *last = NULL;

	(void)state;
	buf_init(&buf, 100000);
	for (i = 0; i < 100000; i++) {
		assert_int_equal(buf_add(&buf, "x", 1), 0);
		if (buf.base != last)
			moves++;
		last = buf.base;
		assert_true(buf.cap <= 100000);
	}
	assert_true(moves < 12);
	assert_int_equal(buf_room(&buf), 0);
	buf_clear(&buf);
}

/* Bytes already consumed are used again before more memory is asked for. */
static void
test_compacts_first(void **state)
{
	struct buf buf;
	uint8_t block[256];
	const uint8_t *base;

	(void)state;
	memset(block, 'x', sizeof(block));
	buf_init(&buf, 1 << 20);
	assert_int_equal(buf_add(&buf, block, sizeof(block)), 0);
	assert_int_equal(buf.cap, sizeof(block));
	base = buf.base;
	buf_consume(&buf, 200);
	assert_int_equal(buf_add(&buf, block, 200), 0);
	assert_ptr_equal(buf.base, base);
	assert_int_equal(buf_len(&buf), 256);
	buf_clear(&buf);
}

static void
test_reserve_commit(void **state)
{
	struct buf buf;
	uint8_t *end;

	(void)state;
	buf_init(&buf, 600);
	assert_int_equal(buf_add(&buf, "ab", 2), 0);
	assert_non_null(end = buf_reserve(&buf, 598));
	memset(end, 'z', 598);
	end[0] = 'c';
	end[1] = 'd';
	buf_commit(&buf, 2);
	assert_holds(&buf, "abcd");
	buf_clear(&buf);
}

#ifndef POSTERN_SANITIZE /* its allocator ends the program instead */
static void
test_no_memory(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, SIZE_MAX);
	assert_int_equal(buf_add(&buf, "abc", 3), 0);
	errno = 0;
	assert_null(buf_reserve(&buf, SIZE_MAX / 2));
	assert_int_equal(errno, ENOMEM);
	assert_holds(&buf, "abc");
	buf_clear(&buf);
}
#endif

/* The same steps on a buffer and on an array must tell the same story. */
static void
test_model(void **state)
{
	struct buf buf;
	uint8_t model[MODEL_MAX], block[1500];
	size_t model_len = 0, n, i, step;

	(void)state;
	srandom(1);
	buf_init(&buf, MODEL_MAX);
	for (step = 0; step < 20000; step++) {
		n = (size_t)random() % sizeof(block);
		for (i = 0; i < n; i++)
			block[i] = (uint8_t)random();
		if (random() % 2 == 0) {
			if (n > MODEL_MAX - model_len) {
				assert_int_equal(buf_add(&buf, block, n), -1);
			} else {
				assert_int_equal(buf_add(&buf, block, n), 0);
				memcpy(model + model_len, block, n);
				model_len += n;
			}
		} else {
			n = n < model_len ? n : model_len;
			buf_consume(&buf, n);
			model_len -= n;
			memmove(model, model + n, model_len);
		}
		assert_int_equal(buf_len(&buf), model_len);
		assert_int_equal(buf_room(&buf), MODEL_MAX - model_len);
		assert_memory_equal(buf_data(&buf), model, model_len);
	}
	buf_clear(&buf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_add_consume),
	    cmocka_unit_test(test_maximum),
	    cmocka_unit_test(test_nothing_held_is_nothing_allocated),
	    cmocka_unit_test(test_growth),
	    cmocka_unit_test(test_compacts_first),
	    cmocka_unit_test(test_reserve_commit),
#ifndef POSTERN_SANITIZE
	    cmocka_unit_test(test_no_memory),
#endif
	    cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
