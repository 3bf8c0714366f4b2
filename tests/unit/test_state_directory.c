/* SPDX-License-Identifier: ISC */
/* Who gets a directory made, and what is never given away. */

#include "proxy/state_directory.h"

#include <sys/stat.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/log.h"
#include "proxy/spawn.h"
#include "tests/unit/folder.h"

static char dir[64], path[96];

static const struct spawn other = {.changes_user = true, .uid = 1, .gid = 2};
static const struct spawn same = {.changes_user = false, .uid = 1, .gid = 2};

static int
setup(void **state)
{
	(void)state;
	strlcpy(dir, "/tmp/postern-test-XXXXXX", sizeof(dir));
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/state", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	return folder_remove(dir);
}

static void
assert_is(const char *name, uid_t uid, gid_t gid, mode_t mode)
{
	struct stat st;

	assert_int_equal(stat(name, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(st.st_uid, uid);
	assert_int_equal(st.st_gid, gid);
	assert_int_equal(st.st_mode & 07777, mode);
}

static void
need_root(void)
{
	if (geteuid() != 0)
		skip();
}

static void
test_for_another_user(void **state)
{
	(void)state;
	need_root();
	state_directory_make(path, &other);
	assert_is(path, 1, 2, 0700);
	state_directory_make(path, &other);
	assert_is(path, 1, 2, 0700);
}

static void
test_for_this_user(void **state)
{
	mode_t old = umask(0);

	(void)state;
	strlcat(path, "//", sizeof(path));
	state_directory_make(path, &same);
	umask(old);
	assert_is(path, geteuid(), getegid(), 0700);
}

static void
test_what_is_there_stays(void **state)
{
	char target[96];

	(void)state;
	need_root();
	assert_int_equal(mkdir(path, 0755), 0);
	state_directory_make(path, &other);
	assert_is(path, 0, 0, 0755);
	assert_int_equal(rmdir(path), 0);

	snprintf(target, sizeof(target), "%s/target", dir);
	assert_int_equal(symlink(target, path), 0);
	state_directory_make(path, &other);
	assert_int_equal(access(target, F_OK), -1);
	assert_int_equal(mkdir(target, 0755), 0);
	state_directory_make(path, &other);
	assert_is(target, 0, 0, 0755);
}

static void
test_not_where_others_write(void **state)
{
	(void)state;
	need_root();
	assert_int_equal(chmod(dir, 0777), 0);
	state_directory_make(path, &other);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(chown(dir, 1, 1), 0);
	state_directory_make(path, &other);
	assert_int_equal(access(path, F_OK), -1);
}

static void
test_nowhere(void **state)
{
	(void)state;
	strlcat(path, "/below", sizeof(path));
	state_directory_make(path, &other);
	assert_int_equal(access(path, F_OK), -1);
	state_directory_make("/", &other);
	assert_is("/", 0, 0, 0755);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_for_another_user),
	    TEST(test_for_this_user),
	    TEST(test_what_is_there_stays),
	    TEST(test_not_where_others_write),
	    TEST(test_nowhere),
	};

	log_init("test", LOG_TO_STDERR, LOG_FORMAT_TEXT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
