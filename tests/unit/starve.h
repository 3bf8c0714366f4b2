/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_TEST_STARVE_H
#define POSTERN_TEST_STARVE_H

/*
 * For tests of certificates: memory that runs out.  This program's malloc is
 * everybody's, BoringSSL's included.  A sanitizer brings its own, and has none
 * of this.
 */

#ifndef POSTERN_SANITIZE
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static long allocations_left = -1; /* until it fails; -1: never */
static bool fails_for_good;
static bool has_failed;

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);

/*
 * BoringSSL asks for no bytes here and there, adds eight of its own to them,
 * and does not mind if it gets none.
 */
static inline bool
fails_now(size_t size)
{
	if (allocations_left < 0 || size <= 8)
		return false;
	if (allocations_left > 0) {
		allocations_left--;
		return false;
	}
	if (!fails_for_good)
		allocations_left = -1;
	has_failed = true;
	return true;
}

void *
malloc(size_t size)
{
	return fails_now(size) ? NULL : __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
	return fails_now(count * size) ? NULL : __libc_calloc(count, size);
}

void *
realloc(void *old, size_t size)
{
	return fails_now(size) ? NULL : __libc_realloc(old, size);
}

enum starved {
	STARVED_NEVER,
	STARVED_REFUSED,
	STARVED_PARTLY,
	STARVED_WRONG
};

/*
 * In a process of its own, since not every BoringSSL survives the lack of
 * memory itself; dead, it lets nobody through.
 */
static inline enum starved
starve_apart(
    enum starved (*starve)(const char *, long), const char *title, long after)
{
	static const struct rlimit no_core;
	int status;
	pid_t pid;

	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL); /* cmocka would tell of it */
		setrlimit(RLIMIT_CORE, &no_core);
		_exit((int)starve(title, after));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? (enum starved)WEXITSTATUS(status)
	                         : STARVED_REFUSED;
}

/* Every allocation on the way fails once. */
static inline void
starve_all(enum starved (*starve)(const char *, long), const char *title)
{
	long after = 0, refused = 0;
	enum starved starved;

	do {
		starved = starve_apart(starve, title, after++);
		assert_int_not_equal(starved, STARVED_WRONG);
		refused += starved == STARVED_REFUSED;
	} while (starved != STARVED_NEVER);
	assert_true(refused > after * 3 / 4);
}
#endif

#endif
