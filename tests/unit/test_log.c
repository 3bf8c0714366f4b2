/* SPDX-License-Identifier: ISC */
/*
 * What reaches stderr, the journal and syslog, byte for byte: standard error
 * is a memory file here, and the system log a socket in a private /dev.
 */

#include "proxy/base/log.h"

#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/clock.h"

#define WALL 1700000000 /* 2023-11-14T22:13:20Z */

static int own_stderr, memory;
static char output[64 * 1024];

/* What was written to stderr since the last call. */
static const char *
written(void)
{
	ssize_t n = pread(memory, output, sizeof(output) - 1, 0);

	assert_true(n >= 0);
	output[n] = '\0';
	assert_int_equal(ftruncate(memory, 0), 0);
	assert_int_equal(lseek(memory, 0, SEEK_SET), 0);
	return output;
}

static int
setup(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	own_stderr = dup(STDERR_FILENO);
	memory = memfd_create("stderr", MFD_CLOEXEC);
	if (own_stderr == -1 || memory == -1 ||
	    dup2(memory, STDERR_FILENO) == -1)
		return -1;
	clock_fake(0, WALL);
	log_set_verbose(false);
	log_init("postern-test", LOG_TO_AUTO, LOG_FORMAT_TEXT);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	clock_fake(-1, -1);
	dup2(own_stderr, STDERR_FILENO);
	close(own_stderr);
	close(memory);
	return 0;
}

/* "%d" in the wanted line is this process. */
static void
assert_written(const char *wanted)
{
	char line[sizeof(output)];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(line, sizeof(line), wanted, (int)getpid());
#pragma GCC diagnostic pop
	assert_string_equal(written(), line);
}

static void
test_messages(void **state)
{
	(void)state;
	log_info("hello %s", "world");
	assert_written("2023-11-14T22:13:20Z postern-test[%d]: hello world\n");
	log_warnx("one");
	assert_written("2023-11-14T22:13:20Z postern-test[%d]: one\n");
	errno = ENOENT;
	log_warn("two");
	assert_int_equal(errno, ENOENT);
	assert_written("2023-11-14T22:13:20Z postern-test[%d]: "
		       "two: No such file or directory\n");
}

static void
test_verbose(void **state)
{
	(void)state;
	log_debug("unseen");
	assert_string_equal(written(), "");
	assert_false(log_is_verbose());
	log_set_verbose(true);
	assert_true(log_is_verbose());
	log_debug("seen");
	assert_written("2023-11-14T22:13:20Z postern-test[%d]: seen\n");
}

static void
test_errno_is_kept(void **state)
{
	struct log_record record;

	(void)state;
	log_set_verbose(true);
	close(STDERR_FILENO); /* each write fails */
	errno = EXDEV;
	log_debug("x");
	assert_int_equal(errno, EXDEV);
	log_info("x");
	assert_int_equal(errno, EXDEV);
	log_warnx("x");
	assert_int_equal(errno, EXDEV);
	log_warn("x");
	assert_int_equal(errno, EXDEV);
	log_record_begin(&record, "session");
	log_record_num(&record, "n", 1);
	log_record_end(&record);
	assert_int_equal(errno, EXDEV);
}

static void
test_journal(void **state)
{
	struct stat st;
	struct log_record record;
	char stream[64];

	(void)state;
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev,
	    (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init("postern-test", LOG_TO_AUTO, LOG_FORMAT_TEXT);
	log_set_verbose(true);
	log_debug("a");
	assert_written("<7>postern-test: a\n");
	log_info("a");
	assert_written("<6>postern-test: a\n");
	log_warnx("a");
	assert_written("<4>postern-test: a\n");
	log_record_begin(&record, "verdict");
	log_record_end(&record);
	assert_written("<6>postern-test: verdict\n");
	/* This name the journal gives by itself. */
	log_init("postern", LOG_TO_AUTO, LOG_FORMAT_TEXT);
	log_info("a");
	assert_written("<6>a\n");
	log_init("postern-test", LOG_TO_AUTO, LOG_FORMAT_JSON);
	log_info("a");
	assert_written("<6>{\"time\":\"2023-11-14T22:13:20Z\","
		       "\"program\":\"postern-test\",\"pid\":%d,"
		       "\"level\":\"info\",\"message\":\"a\"}\n");

	/* Asked for stderr plainly, or it is another stream: no prefix. */
	log_init("postern-test", LOG_TO_STDERR, LOG_FORMAT_TEXT);
	log_info("a");
	assert_written("2023-11-14T22:13:20Z postern-test[%d]: a\n");
	setenv("JOURNAL_STREAM", "1:1", 1);
	log_init("postern-test", LOG_TO_AUTO, LOG_FORMAT_TEXT);
	log_info("a");
	assert_written("2023-11-14T22:13:20Z postern-test[%d]: a\n");
}

static void
test_message_escapes(void **state)
{
	(void)state;
	log_info("a\r\nb \x1b]0;x\x07 \x7f \x80\xff c\\d \"e\"");
	assert_written("2023-11-14T22:13:20Z postern-test[%d]: a\\x0d\\x0ab "
		       "\\x1b]0;x\\x07 \\x7f \\x80\\xff c\\d \"e\"\n");
	log_init("postern-test", LOG_TO_AUTO, LOG_FORMAT_JSON);
	log_info("a\n\"b\"\\");
	assert_written("{\"time\":\"2023-11-14T22:13:20Z\","
		       "\"program\":\"postern-test\",\"pid\":%d,"
		       "\"level\":\"info\","
		       "\"message\":\"a\\u000a\\\"b\\\"\\\\\"}\n");
}

static void
test_record_text(void **state)
{
	struct log_record record;

	(void)state;
	log_record_begin(&record, "session");
	log_record_str(&record, "id", "7f3a");
	log_record_str(&record, "client", "[2001:db8::1]:25");
	log_record_str(&record, "none", NULL);
	log_record_str(&record, "empty", "");
	log_record_mem(&record, "empty", NULL, 3);
	log_record_str(&record, "space", "a b");
	log_record_str(&record, "equal", "a=b");
	log_record_str(&record, "quote", "a\"b");
	log_record_str(&record, "backslash", "a\\b");
	log_record_mem(&record, "bytes", "\0\n\x7f\xc3\xa9", 5);
	log_record_mem(&record, "part", "abcdef", 3);
	log_record_num(&record, "zero", 0);
	log_record_num(&record, "most", UINT64_MAX);
	log_record_end(&record);
	assert_written("2023-11-14T22:13:20Z postern-test[%d]: session "
		       "id=7f3a client=[2001:db8::1]:25 space=\"a b\" "
		       "equal=\"a=b\" quote=\"a\\\"b\" backslash=\"a\\\\b\" "
		       "bytes=\"\\x00\\x0a\\x7f\\xc3\\xa9\" part=abc zero=0 "
		       "most=18446744073709551615\n");
}

static void
test_record_json(void **state)
{
	struct log_record record;

	(void)state;
	log_init("postern-test", LOG_TO_AUTO, LOG_FORMAT_JSON);
	log_record_begin(&record, "session");
	log_record_str(&record, "id", "a b");
	log_record_str(&record, "none", NULL);
	log_record_mem(&record, "bytes", "\0\x1b\x7f\"\\", 5);
	log_record_num(&record, "n", 12);
	log_record_end(&record);
	assert_written("{\"time\":\"2023-11-14T22:13:20Z\","
		       "\"program\":\"postern-test\",\"pid\":%d,"
		       "\"record\":\"session\",\"id\":\"a b\","
		       "\"bytes\":\"\\u0000\\u001b\\u007f\\\"\\\\\","
		       "\"n\":12}\n");
}

/* Only what RFC 3629 allows stands as it is; C1 controls are escaped. */
static void
test_json_utf8(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
	    {"\xc3\xa9", "\xc3\xa9"},
	    {"\xe2\x82\xac", "\xe2\x82\xac"},
	    {"\xed\x9f\xbf\xee\x80\x80", "\xed\x9f\xbf\xee\x80\x80"},
	    {"\xf0\x9f\x93\xa7", "\xf0\x9f\x93\xa7"},
	    {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
	    {"\xc2\x9b\x33\x31m", "\\u009b31m"},
	    {"\xc2\xa0", "\xc2\xa0"},
	    {"\x80", "\\ufffd"},
	    {"\xff\xfe", "\\ufffd\\ufffd"},
	    {"\xc3", "\\ufffd"},
	    {"\xc3(", "\\ufffd("},
	    {"\xe2\x82", "\\ufffd\\ufffd"},
	    {"\xe2\x28\xa1", "\\ufffd(\\ufffd"},
	    {"\xc0\xaf", "\\ufffd\\ufffd"}, /* overlong */
	    {"\xe0\x80\xaf", "\\ufffd\\ufffd\\ufffd"},
	    {"\xf0\x80\x80\xaf", "\\ufffd\\ufffd\\ufffd\\ufffd"},
	    {"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"}, /* surrogate */
	    {"\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"},
	    {"\xf0\x9f\x93(", "\\ufffd\\ufffd\\ufffd("},
	};
	struct log_record record;
	char wanted[128];
	const char *line;
	size_t i;

	(void)state;
	log_init("postern-test", LOG_TO_AUTO, LOG_FORMAT_JSON);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		log_record_begin(&record, "x");
		log_record_str(&record, "k", rows[i].in);
		log_record_end(&record);
		snprintf(wanted, sizeof(wanted),
		    "\"record\":\"x\",\"k\":\"%s\"}\n", rows[i].out);
		line = strstr(written(), "\"record\"");
		assert_non_null(line);
		assert_string_equal(line, wanted);
	}
}

static bool
ends_in(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* One line of whole fields, whichever of them no longer fits. */
static void
check_truncation(enum log_format format, const char *end, const char *truncated)
{
	struct log_record record;
	char value[LOG_LINE_MAX];
	const char *line;
	size_t i, len, shortest = 0;
	bool has_long, has_after;

	log_init("postern-test", LOG_TO_AUTO, format);
	memset(value, 0x01, sizeof(value)); /* grows when it is escaped */
	for (i = 1; i < sizeof(value); i++) {
		log_record_begin(&record, "session");
		log_record_mem(&record, "long", value, i);
		log_record_str(&record, "after", "seen");
		log_record_end(&record);
		line = written();
		len = strlen(line);
		assert_true(len <= LOG_LINE_MAX);
		assert_ptr_equal(strchr(line, '\n'), line + len - 1);
		has_long = strstr(line, "long") != NULL;
		has_after = strstr(line, "after") != NULL;
		assert_true(has_long || has_after);
		assert_int_equal(
		    ends_in(line, truncated), !(has_long && has_after));
		assert_true(ends_in(line, end) || !has_long || !has_after);
		if (!(has_long && has_after) && shortest == 0)
			shortest = len;
	}
	/* Most of a line was used before a field was left out. */
	assert_in_range(shortest, LOG_LINE_MAX - 256, LOG_LINE_MAX);
}

static void
test_truncation(void **state)
{
	(void)state;
	check_truncation(
	    LOG_FORMAT_TEXT, "\\x01\" after=seen\n", " truncated=yes\n");
	check_truncation(LOG_FORMAT_JSON, "\\u0001\",\"after\":\"seen\"}\n",
	    "\",\"truncated\":true}\n");
}

/* Many fields, so that the cut falls at every place. */
static void
test_many_fields(void **state)
{
	struct log_record record;
	size_t i, len;

	(void)state;
	for (len = 1; len < 40; len++) {
		log_record_begin(&record, "session");
		for (i = 0; i < LOG_LINE_MAX; i++) {
			log_record_mem(&record, "k",
			    "0123456789012345678901234567890123456789", len);
			log_record_num(&record, "n", i);
		}
		log_record_end(&record);
		assert_in_range(
		    strlen(written()), LOG_LINE_MAX - 256, LOG_LINE_MAX);
		assert_true(ends_in(output, " truncated=yes\n"));
	}
}

/* A message too long is cut, but never inside an escape or a quote. */
static void
test_long_message(void **state)
{
	char text[2 * LOG_LINE_MAX];
	const char *line;
	size_t len;

	(void)state;
	memset(text, '\\', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	log_info("%s", text);
	len = strlen(written());
	assert_in_range(len, LOG_LINE_MAX - 256, LOG_LINE_MAX);
	assert_int_equal(output[len - 1], '\n');

	log_init("postern-test", LOG_TO_AUTO, LOG_FORMAT_JSON);
	for (len = 0; len < 8; len++) {
		/* The cut falls at each place of an escape. */
		log_info("%.*s%s", (int)len, "xxxxxxxx", text);
		line = written();
		assert_in_range(strlen(line), LOG_LINE_MAX - 256, LOG_LINE_MAX);
		assert_string_equal(line + strlen(line) - 5, "\\\\\"}\n");
		assert_int_equal((strlen(strchr(line, '\\')) - 3) % 2, 0);
	}
}

static void
test_fatal(void **state)
{
	int status, with_errno;
	pid_t pid;

	(void)state;
	for (with_errno = 0; with_errno < 2; with_errno++) {
		assert_true((pid = fork()) != -1);
		if (pid == 0) {
			errno = EACCES;
			if (with_errno)
				fatal("no %s", "way");
			fatalx("no %s", "way");
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 1);
		written();
		assert_non_null(
		    strstr(output, with_errno ? ": no way: Permission denied\n"
					      : ": no way\n"));
	}
}

static void
test_escape(void **state)
{
	char out[16];

	(void)state;
	assert_string_equal(log_escape(out, sizeof(out), "a b\"", 4), "a b\"");
	assert_string_equal(
	    log_escape(out, sizeof(out), "\x1b\\\x7f", 3), "\\x1b\\x5c\\x7f");
	assert_string_equal(
	    log_escape(out, sizeof(out), "\0\xff", 2), "\\x00\\xff");
	assert_string_equal(log_escape(out, 5, "\x1bz", 2), "\\x1b");
	assert_string_equal(log_escape(out, 4, "\x1bz", 2), "");
	assert_string_equal(log_escape(out, 5, "ab\x1bz", 4), "ab");
	assert_string_equal(log_escape(out, 1, "abc", 3), "");
	assert_string_equal(log_escape(out, sizeof(out), "", 0), "");
	out[0] = 'x';
	log_escape(out, 0, "abc", 3);
	assert_int_equal(out[0], 'x');
}

/* A /dev of this process's own, with or without a system log in it. */
static int
private_dev_log(bool has_log)
{
	struct sockaddr_un sun = {
	    .sun_family = AF_UNIX, .sun_path = "/dev/log"};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd == -1 || unshare(CLONE_NEWNS) == -1 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1 ||
	    mount("dev", "/dev", "tmpfs", 0, NULL) == -1 ||
	    (has_log && bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1))
		_exit(99);
	return fd;
}

static void
syslog_child(bool has_log)
{
	int fd = private_dev_log(has_log);
	char got[512], wanted[512];
	struct log_record record;
	const char *text;
	ssize_t n;

	log_init("postern-test", LOG_TO_SYSLOG, LOG_FORMAT_TEXT);
	log_record_begin(&record, "session");
	log_record_str(&record, "k", "a b");
	log_record_end(&record);
	if (!has_log)
		_exit(strstr(written(), ": session k=\"a b\"\n") ? 0 : 1);
	n = recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT);
	got[n > 0 ? n : 0] = '\0';
	/* <22>: facility mail, severity info. */
	snprintf(wanted, sizeof(wanted), " postern-test[%d]: session k=\"a b\"",
	    (int)getpid());
	text = strstr(got, " postern-test[");
	_exit(strncmp(got, "<22>", 4) == 0 && text != NULL &&
		      strcmp(text, wanted) == 0 && *written() == '\0'
		  ? 0
		  : 1);
}

static void
check_syslog(bool has_log)
{
	pid_t pid;
	int status;

	assert_true((pid = fork()) != -1);
	if (pid == 0)
		syslog_child(has_log);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 99)
		skip(); /* not root: no mount namespace */
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
test_syslog(void **state)
{
	(void)state;
	check_syslog(true);
}

static void
test_no_syslog(void **state)
{
	(void)state;
	check_syslog(false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	    TEST(test_messages),
	    TEST(test_verbose),
	    TEST(test_errno_is_kept),
	    TEST(test_journal),
	    TEST(test_message_escapes),
	    TEST(test_record_text),
	    TEST(test_record_json),
	    TEST(test_json_utf8),
	    TEST(test_truncation),
	    TEST(test_many_fields),
	    TEST(test_long_message),
	    TEST(test_fatal),
	    TEST(test_escape),
	    TEST(test_syslog),
	    TEST(test_no_syslog),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
