/* SPDX-License-Identifier: ISC */
/* The command as it is called, on files that the state itself has made. */

#include "proxy/cmd.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/log.h"
#include "proxy/policy/state.h"
#include "tests/unit/folder.h"

static struct {
	char dir[64];
	char setting[128];
	char conf[96];
	char out[16384];
	char err[4096];
} f;

static int
setup(void **state)
{

	(void)state;
	strlcpy(f.dir, "/tmp/postern-test-XXXXXX", sizeof(f.dir));
	if (mkdtemp(f.dir) == NULL)
		return -1;
	snprintf(
	    f.setting, sizeof(f.setting), "state_directory = \"%s/db\"", f.dir);
	snprintf(f.conf, sizeof(f.conf), "%s/postern.conf", f.dir);
	snprintf(f.out, sizeof(f.out), "%s/db", f.dir);
	return mkdir(f.out, 0700);
}

static int
teardown(void **state)
{
	(void)state;
	return folder_remove(f.dir);
}

static void
redirect(int fd, const char *name)
{
	char path[96];
	int file;

	snprintf(path, sizeof(path), "%s/%s", f.dir, name);
	file = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);
	dup2(file, fd);
	close(file);
}

static void
read_back(const char *name, char *out, size_t size)
{
	char path[96];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", f.dir, name);
	fd = open(path, O_RDONLY);
	len = read(fd, out, size - 1);
	out[len > 0 ? len : 0] = '\0';
	close(fd);
}

/* Its exit code; what it wrote is in f. */
static int
observed(const char *first, const char *second, const char *third)
{
	char *argv[] = {(char *)"observed", (char *)first, (char *)second,
	    (char *)third, NULL};
	int argc = 1, status;
	pid_t pid;

	while (argv[argc] != NULL)
		argc++;
	fflush(NULL);
	if ((pid = fork()) == 0) {
		redirect(STDOUT_FILENO, "out");
		redirect(STDERR_FILENO, "err");
		exit(cmd_observed(argc, argv));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	read_back("out", f.out, sizeof(f.out));
	read_back("err", f.err, sizeof(f.err));
	return WEXITSTATUS(status);
}

static void
add(struct state *state, const char *domain, const char *server,
    const char *word, uint64_t count, int64_t at)
{
	struct state_observed row = {
	    .evidence = "mx",
	    .why = "it is for b.example\x1b",
	    .count = count,
	    .first = at,
	    .last = at,
	};

	strlcpy(row.domain, domain, sizeof(row.domain));
	strlcpy(row.server, server, sizeof(row.server));
	strlcpy(row.word, word, sizeof(row.word));
	assert_int_equal(state_add_observed(state, &row), 0);
}

static void
fill(void)
{
	char path[96], error[STATE_ERROR_MAX];
	struct state *state;

	snprintf(path, sizeof(path), "%s/db", f.dir);
	assert_non_null(state = state_open(path, error));
	add(state, "b.example", "mx[192.0.2.1]", "none", 1, 1800000000);
	add(state, "a.example", "mx1[192.0.2.2]", "validation-failure", 2,
	    1800000000);
	add(state, "a.example", "mx1[192.0.2.2]", "validation-failure", 3,
	    1800086400);
	add(state, "a.example", "mx2[192.0.2.3]", "starttls-not-supported", 1,
	    1800000001);
	state_close(state);
}

static void
test_list(void **state)
{
	(void)state;
	fill();
	assert_int_equal(observed("-o", f.setting, NULL), CMD_OK);
	assert_string_equal(f.err, "");
	assert_string_equal(f.out,
	    "a.example: 6 recipients, last 2027-01-16 08:00:00Z\n"
	    "       5  mx1[192.0.2.2]  by mx  validation-failure\n"
	    "          it is for b.example\\x1b\n"
	    "          2027-01-15 08:00:00Z to 2027-01-16 08:00:00Z\n"
	    "       1  mx2[192.0.2.3]  by mx  starttls-not-supported\n"
	    "          it is for b.example\\x1b\n"
	    "          2027-01-15 08:00:01Z\n"
	    "\n"
	    "b.example: 1 recipient, last 2027-01-15 08:00:00Z\n"
	    "       1  mx[192.0.2.1]  by mx\n"
	    "          it is for b.example\\x1b\n"
	    "          2027-01-15 08:00:00Z\n"
	    "\n"
	    "7 recipients in 2 domains would have been refused\n");
}

static void
test_json(void **state)
{
	json_t *array, *row;

	(void)state;
	fill();
	assert_int_equal(observed("--json", "-o", f.setting), CMD_OK);
	assert_string_equal(f.err, "");
	assert_non_null(
	    array = json_loads(f.out, JSON_REJECT_DUPLICATES, NULL));
	assert_int_equal(json_array_size(array), 3);
	row = json_array_get(array, 0);
	assert_int_equal(json_object_size(row), 8);
#define TEXT(key) json_string_value(json_object_get(row, key))
	assert_string_equal(TEXT("domain"), "a.example");
	assert_string_equal(TEXT("server"), "mx1[192.0.2.2]");
	assert_string_equal(TEXT("evidence"), "mx");
	assert_string_equal(TEXT("word"), "validation-failure");
	assert_string_equal(TEXT("why"), "it is for b.example\\x1b");
	assert_string_equal(TEXT("first"), "2027-01-15T08:00:00Z");
	assert_string_equal(TEXT("last"), "2027-01-16T08:00:00Z");
	assert_int_equal(
	    json_integer_value(json_object_get(row, "recipients")), 5);
	json_decref(array);
}

static void
test_clear(void **state)
{
	(void)state;
	fill();
	assert_int_equal(observed("--clear", "-o", f.setting), CMD_OK);
	assert_string_equal(f.out, "");
	assert_string_equal(f.err, "");
	assert_int_equal(observed("-o", f.setting, NULL), CMD_OK);
	assert_string_equal(
	    f.out, "nothing was observed that would be refused\n");
	assert_int_equal(observed("--json", "-o", f.setting), CMD_OK);
	assert_string_equal(f.out, "[]\n");
}

static void
test_no_file(void **state)
{
	char where[160];

	(void)state;
	snprintf(where, sizeof(where), "there is no %s/db/" STATE_FILE, f.dir);
	assert_int_equal(observed("-o", f.setting, NULL), CMD_OK);
	assert_non_null(strstr(f.out, where));
	assert_int_equal(observed("--clear", "-o", f.setting), CMD_OK);
	assert_non_null(strstr(f.out, where));
	assert_int_equal(observed("--json", "-o", f.setting), CMD_OK);
	assert_string_equal(f.out, "[]\n");
	assert_non_null(strstr(f.err, where));
}

/* Root has no business there as root. */
static void
test_owner(void **state)
{
	char path[96], file[112], log[128], index[128];
	struct stat st;

	(void)state;
	if (geteuid() != 0)
		skip();
	fill();
	assert_int_equal(chmod(f.dir, 0755), 0);
	snprintf(path, sizeof(path), "%s/db", f.dir);
	snprintf(file, sizeof(file), "%s/state.db", path);
	snprintf(log, sizeof(log), "%s-wal", file);
	snprintf(index, sizeof(index), "%s-shm", file);
	assert_int_equal(chown(path, 1, 2), 0);
	assert_int_equal(chown(file, 1, 2), 0);
	assert_int_equal(unlink(log), 0);
	assert_int_equal(unlink(index), 0);
	assert_int_equal(observed("-o", f.setting, NULL), CMD_OK);
	assert_non_null(strstr(f.out, "7 recipients"));
	assert_int_equal(stat(index, &st), 0);
	assert_int_equal(st.st_uid, 1);
	/* What that user could not read is not read for it. */
	assert_int_equal(chown(file, 0, 0), 0);
	assert_int_equal(observed("-o", f.setting, NULL), CMD_FAILED);
	assert_non_null(strstr(f.err, "Permission denied"));
}

static void
test_damaged(void **state)
{
	char path[96];
	FILE *file;

	(void)state;
	snprintf(path, sizeof(path), "%s/db/" STATE_FILE, f.dir);
	file = fopen(path, "w");
	fputs("these are notes, and not few of them", file);
	fclose(file);
	assert_int_equal(observed("-o", f.setting, NULL), CMD_FAILED);
	assert_non_null(strstr(f.err, "damaged, or not postern's"));
	assert_string_equal(f.out, "");
}

static void
write_conf(const char *text)
{
	FILE *file = fopen(f.conf, "w");

	fputs(text, file);
	fclose(file);
}

static void
test_configuration(void **state)
{
	char text[256];

	(void)state;
	fill();
	/* A gateway without interfaces would not run, by this file alone. */
	snprintf(text, sizeof(text), "%s\nworkers = many\n", f.setting);
	write_conf(text);
	assert_int_equal(observed("-c", f.conf, NULL), CMD_OK);
	assert_non_null(strstr(f.out, "7 recipients"));
	assert_int_equal(observed("-c", "/nonexistent", NULL), CMD_USAGE);
	assert_non_null(strstr(f.err, "/nonexistent: No such file"));
	assert_int_equal(observed("-o", "state_dir = 1", NULL), CMD_USAGE);
	assert_non_null(strstr(f.err, "unknown setting"));
}

static void
test_usage(void **state)
{
	(void)state;
	assert_int_equal(observed("--json", "--clear", NULL), CMD_USAGE);
	assert_non_null(strstr(f.err, "usage: "));
	assert_int_equal(observed("more", NULL, NULL), CMD_USAGE);
	assert_int_equal(observed("-x", NULL, NULL), CMD_USAGE);
	assert_int_equal(observed("--help", NULL, NULL), CMD_OK);
	assert_non_null(strstr(f.out, "--clear"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_list),
	    TEST(test_json),
	    TEST(test_clear),
	    TEST(test_no_file),
	    TEST(test_owner),
	    TEST(test_damaged),
	    TEST(test_configuration),
	    TEST(test_usage),
	};

	log_init("test", LOG_TO_STDERR, LOG_FORMAT_TEXT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
