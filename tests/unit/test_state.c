/* SPDX-License-Identifier: ISC */
/*
 * What is kept: real files in a directory of their own, spoilt, shared, full
 * and killed over; and the same from inside the jail.
 */

#include "proxy/policy/state.h"

#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/sandbox.h"
#include "tests/unit/folder.h"

#define NOW       INT64_C(1800000000)
#define NO_JAIL   90 /* exit codes of a child that got nowhere */
#define NO_MOUNTS 91

static struct {
	char dir[64];
	char file[80];
	char bad[80];
	char said[80]; /* what was logged, while somebody listens */
	int stderr_fd;
} f;

static void
path_of(char *out, size_t size, const char *name)
{
	snprintf(out, size, "%s/%s", f.dir, name);
}

static int
setup(void **state)
{
	(void)state;
	strlcpy(f.dir, "/tmp/postern-test-XXXXXX", sizeof(f.dir));
	if (mkdtemp(f.dir) == NULL)
		return -1;
	path_of(f.file, sizeof(f.file), STATE_FILE);
	path_of(f.bad, sizeof(f.bad), STATE_FILE ".bad");
	path_of(f.said, sizeof(f.said), "said");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	clock_fake(-1, -1);
	return folder_remove(f.dir);
}

/* What is logged between these two is told as text. */
static void
listen_to_log(void)
{
	int fd = open(f.said, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	assert_int_not_equal(fd, -1);
	fflush(stderr);
	f.stderr_fd = dup(STDERR_FILENO);
	dup2(fd, STDERR_FILENO);
	close(fd);
}

static const char *
what_was_logged(void)
{
	static char text[4096];
	ssize_t len;
	int fd;

	dup2(f.stderr_fd, STDERR_FILENO);
	close(f.stderr_fd);
	fd = open(f.said, O_RDONLY);
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[len > 0 ? len : 0] = '\0';
	return text;
}

static size_t
count_lines(const char *text)
{
	size_t lines = 0;

	for (; *text != '\0'; text++)
		lines += *text == '\n';
	return lines;
}

static struct state *
must_open(void)
{
	char error[STATE_ERROR_MAX] = "";
	struct state *state = state_open(f.dir, error);

	if (state == NULL)
		fail_msg("%s", error);
	return state;
}

static void
must_not_open(const char *why)
{
	char error[STATE_ERROR_MAX] = "";

	assert_null(state_open(f.dir, error));
	if (strstr(error, why) == NULL)
		fail_msg("%s: not: %s", error, why);
}

static struct state_policy
policy_of(const char *domain, int64_t fetched, const char *text)
{
	struct state_policy policy = {
	    .id = "20260101T000000",
	    .fetched = fetched,
	    .expires = fetched + 86400,
	    .len = strlen(text),
	    .text = text,
	};

	strlcpy(policy.domain, domain, sizeof(policy.domain));
	return policy;
}

static int
put(struct state *state, const char *domain, int64_t fetched, const char *text)
{
	struct state_policy policy = policy_of(domain, fetched, text);

	return state_put_policy(state, &policy);
}

static struct state_observed
row_of(const char *domain, const char *why, uint64_t count, int64_t at)
{
	struct state_observed row = {
	    .server = "mx.a.example[192.0.2.1]",
	    .evidence = "mx",
	    .word = "certificate-host-mismatch",
	    .count = count,
	    .first = at,
	    .last = at,
	};

	strlcpy(row.domain, domain, sizeof(row.domain));
	strlcpy(row.why, why, sizeof(row.why));
	return row;
}

static int
add(struct state *state, const char *domain, const char *why, uint64_t count,
    int64_t at)
{
	struct state_observed row = row_of(domain, why, count, at);

	return state_add_observed(state, &row);
}

/* Readers' lists: "domain:text ", "domain:why:count:first:last ". */

struct list {
	char text[1024];
	size_t count;
	size_t max; /* 0: all */
};

static bool
list_policy(void *arg, const struct state_policy *policy)
{
	struct list *list = arg;
	size_t used = strlen(list->text);

	if (used < sizeof(list->text) / 2)
		snprintf(list->text + used, sizeof(list->text) - used,
		    "%s:%s:%.*s ", policy->domain, policy->id,
		    policy->len < 100 ? (int)policy->len : 0, policy->text);
	return ++list->count != list->max;
}

static bool
list_observed(void *arg, const struct state_observed *row)
{
	struct list *list = arg;
	size_t used = strlen(list->text);

	if (used < sizeof(list->text) / 2)
		snprintf(list->text + used, sizeof(list->text) - used,
		    "%s:%s:%llu:%lld:%lld ", row->domain, row->why,
		    (unsigned long long)row->count, (long long)row->first,
		    (long long)row->last);
	return ++list->count != list->max;
}

static void
assert_policies(struct state *state, const char *want)
{
	struct list list = {.count = 0};

	assert_int_equal(state_each_policy(state, NOW, list_policy, &list), 0);
	assert_string_equal(list.text, want);
}

static void
assert_observed(struct state *state, const char *want)
{
	struct list list = {.count = 0};

	assert_int_equal(state_each_observed(state, list_observed, &list), 0);
	assert_string_equal(list.text, want);
}

static size_t
count_policies(struct state *state)
{
	struct list list = {.count = 0};

	assert_int_equal(state_each_policy(state, 0, list_policy, &list), 0);
	return list.count;
}

static size_t
count_observed(struct state *state)
{
	struct list list = {.count = 0};

	assert_int_equal(state_each_observed(state, list_observed, &list), 0);
	return list.count;
}

/* SQL by another hand. */
static void
execute(const char *sql)
{
	char *error = NULL;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(f.file, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
		fail_msg("%s", error);
	sqlite3_close(db);
}

static bool
exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* Rows. */

static void
test_policies(void **unused)
{
	struct state *state = must_open();
	struct state_policy policy;
	struct list list = {.max = 1};

	(void)unused;
	assert_policies(state, "");
	assert_int_equal(put(state, "a.example", NOW - 20, "one"), 0);
	assert_int_equal(put(state, "b.example", NOW - 10, "two"), 0);
	assert_int_equal(put(state, "old.example", NOW - 86400, "gone"), 0);
	assert_policies(state,
	    "b.example:20260101T000000:two a.example:20260101T000000:one ");
	state_close(state);

	state = must_open();
	policy = policy_of("a.example", NOW, "three\n");
	strlcpy(policy.id, "2", sizeof(policy.id));
	assert_int_equal(state_put_policy(state, &policy), 0);
	assert_policies(
	    state, "a.example:2:three\n b.example:20260101T000000:two ");
	assert_int_equal(state_each_policy(state, NOW, list_policy, &list), 0);
	assert_string_equal(list.text, "a.example:2:three\n ");
	assert_int_equal(state_drop_policy(state, "a.example", NOW + 86399), 0);
	assert_policies(
	    state, "a.example:2:three\n b.example:20260101T000000:two ");
	assert_int_equal(state_drop_policy(state, "a.example", NOW + 86400), 0);
	assert_int_equal(
	    state_drop_policy(state, "none.example", INT64_MAX), 0);
	assert_policies(state, "b.example:20260101T000000:two ");
	state_close(state);
}

static bool
check_bytes(void *arg, const struct state_policy *policy)
{
	const struct state_policy *want = arg;

	assert_string_equal(policy->domain, want->domain);
	assert_string_equal(policy->id, want->id);
	assert_int_equal(policy->fetched, want->fetched);
	assert_int_equal(policy->expires, want->expires);
	assert_int_equal(policy->len, want->len);
	assert_memory_equal(policy->text, want->text, want->len);
	return true;
}

static void
test_one_policy(void **unused)
{
	struct state *state = must_open();
	struct state_policy policy = policy_of("a.example", NOW, "one");
	struct list list = {.count = 0};

	(void)unused;
	assert_int_equal(put(state, "b.example", NOW, "two"), 0);
	assert_int_equal(state_put_policy(state, &policy), 0);
	assert_int_equal(state_get_policy(state, "a.example", NOW + 86399,
			     check_bytes, &policy),
	    1);
	assert_int_equal(
	    state_get_policy(state, "b.example", NOW, list_policy, &list), 1);
	assert_string_equal(list.text, "b.example:20260101T000000:two ");
	assert_int_equal(
	    state_get_policy(state, "a.example", NOW + 86400, NULL, NULL), 0);
	assert_int_equal(
	    state_get_policy(state, "c.example", NOW, NULL, NULL), 0);
	/* It is written again: nobody reads on. */
	assert_int_equal(put(state, "a.example", NOW, "three"), 0);
	state_close(state);
	execute("UPDATE policy SET text = zeroblob(20000)");
	state = must_open();
	assert_int_equal(
	    state_get_policy(state, "a.example", NOW, NULL, NULL), 0);
	state_close(state);
}

static void
test_longest_policy(void **unused)
{
	static char text[STS_TEXT_MAX + 1];
	struct state *state = must_open();
	struct state_policy policy = {.fetched = NOW, .expires = INT64_MAX};

	(void)unused;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i % 251); /* NULs too */
	memset(policy.domain, 'a', sizeof(policy.domain) - 1);
	memset(policy.id, 'b', sizeof(policy.id) - 1);
	policy.text = text;
	policy.len = STS_TEXT_MAX + 1;
	assert_int_equal(state_put_policy(state, &policy), -1);
	policy.len--;
	assert_int_equal(state_put_policy(state, &policy), 0);
	assert_int_equal(
	    state_each_policy(state, NOW, check_bytes, &policy), 0);
	policy.len = 0;
	assert_int_equal(state_put_policy(state, &policy), 0);
	assert_int_equal(
	    state_each_policy(state, NOW, check_bytes, &policy), 0);
	assert_int_equal(count_policies(state), 1);
	state_close(state);
}

static void
test_observed(void **unused)
{
	struct state *state = must_open();
	struct list list = {.max = 2};

	(void)unused;
	assert_observed(state, "");
	assert_int_equal(add(state, "b.example", "x", 1, 100), 0);
	assert_int_equal(add(state, "b.example", "y", 2, 200), 0);
	assert_int_equal(add(state, "a.example", "x", 3, 50), 0);
	assert_int_equal(add(state, "b.example", "x", 4, 300), 0);
	assert_int_equal(add(state, "b.example", "y", 0, 10), 0);
	assert_observed(state,
	    "a.example:x:3:50:50 b.example:x:5:100:300 b.example:y:2:10:200 ");
	assert_int_equal(state_each_observed(state, list_observed, &list), 0);
	assert_int_equal(list.count, 2);
	assert_int_equal(put(state, "a.example", NOW, "kept"), 0);
	assert_int_equal(state_clear_observed(state), 0);
	assert_observed(state, "");
	assert_policies(state, "a.example:20260101T000000:kept ");
	state_close(state);
}

static void
test_count_stays_a_number(void **unused)
{
	struct state *state = must_open();

	(void)unused;
	assert_int_equal(add(state, "a.example", "", UINT64_MAX, 1), 0);
	assert_int_equal(add(state, "a.example", "", UINT64_MAX, 1), 0);
	assert_observed(state, "a.example::9007199254740992:1:1 ");
	state_close(state);
}

/* Whatever somebody else wrote there, no value leaves its bounds. */
static void
test_foreign_values(void **unused)
{
	struct state *state = must_open();

	(void)unused;
	state_close(state);
	execute("INSERT INTO policy VALUES (hex(zeroblob(200)), 'x', 1, 2e18, "
		"'t'), ('b', hex(zeroblob(50)), 1, 2e18, 't'), "
		"('c', 'x', 'y', 'z', zeroblob(65537)), "
		"('d', x'00ff', -1, 2e18, 5)");
	execute("INSERT INTO observed VALUES (hex(zeroblob(200)), '', '', '', "
		"'', 1, 1, 1), ('b', '', hex(zeroblob(16)), '', '', 1, 1, 1), "
		"('d', '', '', '', '', -5, 'z', 1e300)");
	state = must_open();
	assert_int_equal(count_policies(state), 1);
	assert_int_equal(count_observed(state), 1);
	state_close(state);
}

static void
test_null_state(void **unused)
{
	(void)unused;
	assert_int_equal(put(NULL, "a.example", NOW, ""), -1);
	assert_int_equal(state_drop_policy(NULL, "a.example", INT64_MAX), -1);
	assert_int_equal(add(NULL, "a.example", "", 1, 1), -1);
	assert_int_equal(state_clear_observed(NULL), -1);
	assert_int_equal(state_each_policy(NULL, 0, NULL, NULL), -1);
	assert_int_equal(state_get_policy(NULL, "a", 0, NULL, NULL), -1);
	assert_int_equal(state_each_observed(NULL, NULL, NULL), -1);
	state_close(NULL);
}

/* Bounds. */

static void
test_oldest_rows_go(void **unused)
{
	struct state *state = must_open();
	struct list list = {.max = 1};

	(void)unused;
	state_close(state);
	execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM "
		"n WHERE i < 65536) INSERT INTO policy SELECT 'n' || i, '', i, "
		"2e18, '' FROM n");
	execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM "
		"n WHERE i < 65536) INSERT INTO observed SELECT 'n' || i, '', "
		"'', '', '', 1, 1, i FROM n");
	state = must_open();
	assert_int_equal(count_policies(state), STATE_POLICIES_MAX);
	assert_int_equal(count_observed(state), STATE_OBSERVED_MAX);
	/* An old row in a new version adds none. */
	assert_int_equal(put(state, "n1", NOW, "new"), 0);
	assert_int_equal(count_policies(state), STATE_POLICIES_MAX);

	assert_int_equal(put(state, "m", NOW + 1, ""), 0);
	assert_int_equal(add(state, "m", "", 1, NOW), 0);
	assert_true(count_policies(state) <= STATE_POLICIES_MAX);
	assert_true(count_observed(state) <= STATE_OBSERVED_MAX);
	assert_true(
	    count_policies(state) > (size_t)STATE_POLICIES_MAX / 10 * 9);
	assert_true(
	    count_observed(state) > (size_t)STATE_OBSERVED_MAX / 10 * 9);
	state_drop_policy(state, "m", INT64_MAX);
	assert_int_equal(state_each_policy(state, NOW, list_policy, &list), 0);
	assert_string_equal(list.text, "n1:20260101T000000:new ");
	state_close(state);
	execute("CREATE TEMP TABLE one (x CHECK (x)); INSERT INTO one SELECT "
		"count(*) = 0 FROM policy WHERE domain = 'n2'; "
		"INSERT INTO one SELECT count(*) = 0 FROM observed WHERE "
		"domain = 'n1'; INSERT INTO one SELECT count(*) = 1 FROM "
		"observed WHERE domain = 'n65536'");
}

static size_t
count_in(struct state *state, const char *party)
{
	struct list list = {.count = 0};
	char domain[64];
	size_t found = 0;

	for (int i = 1; i <= 1000; i++) {
		snprintf(domain, sizeof(domain), "n%d.%s", i, party);
		if (state_get_policy(state, domain, 0, list_policy, &list) == 1)
			found++;
	}
	return found;
}

/* The newest are one party's: it is that party's which go. */
static void
test_no_party_pushes_out_another(void **unused)
{
	struct state *state = must_open();

	(void)unused;
	state_close(state);
	execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM "
		"n WHERE i < 1000) INSERT INTO policy SELECT 'n' || i || "
		"'.co.uk', '', i, 2e18, 'text' FROM n UNION ALL SELECT "
		"'n' || i || '.com', '', i, 2e18, 'text' FROM n");
	execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM "
		"n WHERE i < 63536) INSERT INTO policy SELECT 'n' || i || "
		"'.evil.com', '', 5000 + i, 2e18, 'text' FROM n");
	state = must_open();
	assert_int_equal(count_policies(state), STATE_POLICIES_MAX);
	for (int i = 0; i < 3000; i++) {
		char domain[64];

		snprintf(domain, sizeof(domain), "m%d.a.evil.com", i);
		assert_int_equal(put(state, domain, NOW, "text"), 0);
	}
	assert_true(count_policies(state) <= STATE_POLICIES_MAX);
	assert_int_equal(count_in(state, "co.uk"), 1000);
	assert_int_equal(count_in(state, "com"), 1000);
	assert_int_equal(count_in(state, "evil.com"), 0); /* its oldest */
	state_close(state);
}

static void
test_expired_go_first(void **unused)
{
	struct state *state = must_open();

	(void)unused;
	state_close(state);
	execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM "
		"n WHERE i < 65536) INSERT INTO policy SELECT 'n' || i || "
		"CASE WHEN i <= 1000 THEN '.old' ELSE '.new' END, '', i, "
		"CASE WHEN i > 64000 THEN 1800000000 ELSE 2e18 END, '' FROM n");
	clock_fake(1000, NOW);
	state = must_open();
	assert_int_equal(put(state, "one.more", NOW, "text"), 0);
	assert_int_equal(count_policies(state), STATE_POLICIES_MAX - 1023);
	assert_int_equal(count_in(state, "old"), 1000);
	state_close(state);
}

static void
test_file_has_a_bound(void **unused)
{
	static char text[STS_TEXT_MAX];
	struct state *state = must_open();
	struct state_policy policy = {.id = "1", .expires = INT64_MAX};
	struct stat st;
	int i, count = STATE_BYTES_MAX / STS_TEXT_MAX + 100;

	(void)unused;
	policy.text = text;
	policy.len = sizeof(text);
	listen_to_log();
	for (i = 0; i < count; i++) {
		snprintf(policy.domain, sizeof(policy.domain), "n%d", i);
		policy.fetched = NOW + i;
		if (state_put_policy(state, &policy) == -1)
			break;
	}
	assert_string_equal(what_was_logged(), "");
	assert_int_equal(i, count);
	assert_int_equal(stat(f.file, &st), 0);
	assert_true(st.st_size <= STATE_BYTES_MAX);
	assert_true(count_policies(state) < (size_t)count);
	state_close(state);
}

/* The log is bounded by a checkpoint; a reader that stays holds that up. */
static void
test_log_has_a_bound(void **unused)
{
	static char text[STS_TEXT_MAX];
	struct state *state = must_open();
	struct state_policy policy = {.id = "1", .expires = INT64_MAX};
	const int count = STATE_WAL_BYTES_MAX / STS_TEXT_MAX * 2;
	sqlite3_stmt *statement;
	struct stat st;
	char path[96];
	sqlite3 *db;
	int i, done = 0;

	(void)unused;
	path_of(path, sizeof(path), STATE_FILE "-wal");
	policy.text = text;
	policy.len = sizeof(text);
	strlcpy(policy.domain, "a.example", sizeof(policy.domain));
	assert_int_equal(add(state, "a.example", "", 1, NOW), 0);
	for (i = 0; i < count; i++) {
		memset(text, i, sizeof(text)); /* what is the same stays */
		assert_int_equal(state_put_policy(state, &policy), 0);
	}
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size < 4 << 20);

	assert_int_equal(sqlite3_open(f.file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT * FROM observed", -1,
			     &statement, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	listen_to_log();
	for (i = 0; i < count; i++) {
		memset(text, i, sizeof(text));
		done += state_put_policy(state, &policy) == 0;
	}
	assert_int_equal(count_lines(what_was_logged()), 1);
	assert_in_range(done, count / 4, count * 3 / 4);
	assert_int_equal(stat(path, &st), 0);
	assert_true((size_t)st.st_size < STATE_WAL_BYTES_MAX + (1U << 20));

	sqlite3_finalize(statement);
	sqlite3_close(db);
	clock_fake(clock_monotonic_ms() + STATE_RETRY_MS, NOW);
	assert_int_equal(state_put_policy(state, &policy), 0);
	state_close(state);
}

/* Files that are none. */

static void
write_at(const char *path, off_t offset, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(pwrite(fd, data, len, offset), (ssize_t)len);
	close(fd);
}

static void
fill(void)
{
	struct state *state = must_open();
	char domain[32];

	for (int i = 0; i < 200; i++) {
		snprintf(domain, sizeof(domain), "n%d.example", i);
		assert_int_equal(put(state, domain, NOW, "version: STSv1"), 0);
		assert_int_equal(add(state, domain, "why", 1, NOW), 0);
	}
	state_close(state);
}

static void
assert_is_put_aside(void)
{
	struct state *state;
	const char *said;

	listen_to_log();
	state = must_open();
	said = what_was_logged();
	if (strstr(said, "state.db.bad") == NULL)
		fail_msg("said: %s", said);
	assert_int_equal(count_lines(said), 1);
	assert_true(exists(f.bad));
	assert_int_equal(count_policies(state), 0);
	assert_int_equal(put(state, "a.example", NOW, "one"), 0);
	state_close(state);

	listen_to_log();
	state = must_open();
	assert_string_equal(what_was_logged(), "");
	assert_policies(state, "a.example:20260101T000000:one ");
	state_close(state);
}

static void
test_damaged_head(void **unused)
{
	char text[5];
	int fd;

	(void)unused;
	fill();
	write_at(f.file, 0, "spoilt", 6);
	assert_is_put_aside();
	fd = open(f.bad, O_RDONLY);
	assert_int_equal(read(fd, text, sizeof(text)), sizeof(text));
	assert_memory_equal(text, "spoil", sizeof(text));
	close(fd);
}

static void
test_damaged_middle(void **unused)
{
	char junk[512];
	struct stat st;

	(void)unused;
	fill();
	memset(junk, 0xa5, sizeof(junk));
	assert_int_equal(stat(f.file, &st), 0);
	assert_true(st.st_size > (off_t)3 * 4096);
	for (off_t at = 4096; at < st.st_size; at += 4096)
		write_at(f.file, at, junk, sizeof(junk));
	assert_is_put_aside();
}

static void
test_cut_off(void **unused)
{
	(void)unused;
	fill();
	assert_int_equal(truncate(f.file, 5000), 0);
	assert_is_put_aside();
}

static void
test_text_file(void **unused)
{
	(void)unused;
	write_at(f.file, 0, "these are notes\n", 16);
	assert_is_put_aside();
}

static void
test_other_program(void **unused)
{
	(void)unused;
	execute("CREATE TABLE recipes (name)");
	assert_is_put_aside();
}

static void
test_tables_missing(void **unused)
{
	(void)unused;
	fill();
	execute("DROP TABLE observed");
	assert_is_put_aside();
}

static void
test_empty_file(void **unused)
{
	struct state *state;

	(void)unused;
	write_at(f.file, 0, "", 0);
	state = must_open();
	assert_int_equal(put(state, "a.example", NOW, "one"), 0);
	state_close(state);
	assert_false(exists(f.bad));
}

static void
test_newer(void **unused)
{
	char error[STATE_ERROR_MAX];
	struct stat before, after;

	(void)unused;
	fill();
	execute("PRAGMA user_version = 2");
	assert_int_equal(stat(f.file, &before), 0);
	must_not_open("newer postern");
	assert_null(state_open_existing(f.dir, false, error));
	assert_non_null(strstr(error, "newer postern"));
	assert_false(exists(f.bad));
	assert_int_equal(stat(f.file, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
}

/* Each byte of some spoilt: it opens as something, and no value is wild. */
static void
test_spoilt_bytes(void **unused)
{
	char error[STATE_ERROR_MAX];
	struct state *state;
	uint8_t byte;
	struct stat st;
	int fd;

	(void)unused;
	listen_to_log();
	for (off_t at = 0, step = 1; at == 0 || at < st.st_size; at += step) {
		unlink(f.file);
		fill();
		assert_int_equal(stat(f.file, &st), 0);
		step = at < 100 ? 7 : 911;
		fd = open(f.file, O_RDWR);
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 0xff;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		close(fd);
		if ((state = state_open(f.dir, error)) == NULL)
			continue; /* of a newer version, say */
		assert_true(count_policies(state) <= 200);
		state_each_observed(state, list_observed, &(struct list){0});
		put(state, "m.example", NOW, "x");
		add(state, "m.example", "x", 1, NOW);
		state_close(state);
	}
	what_was_logged();
}

/* Directories that will not do. */

static void
test_no_directory(void **unused)
{
	char error[STATE_ERROR_MAX];

	(void)unused;
	assert_null(state_open("/nonexistent/postern", error));
	assert_non_null(strstr(error, "No such file"));
	assert_non_null(
	    strstr(error, "install -d -m 700 -o 0 /nonexistent/postern"));
	assert_null(state_open(f.said, error)); /* nor this one */
	write_at(f.said, 0, "", 0);
	assert_null(state_open(f.said, error));
	assert_non_null(strstr(error, "Not a directory"));
}

static void
test_directory_of_others(void **unused)
{
	(void)unused;
	assert_int_equal(chmod(f.dir, 0770), 0);
	must_not_open("others may write");
	assert_int_equal(chmod(f.dir, 01777), 0);
	must_not_open("others may write");
	assert_int_equal(chmod(f.dir, 0755), 0);
	must_not_open("others may look into it: make it with `install -d -m "
		      "700");
	assert_int_equal(chmod(f.dir, 0740), 0);
	must_not_open("others may look");
	assert_int_equal(chmod(f.dir, 0700), 0);
	if (chown(f.dir, 1, 1) == -1)
		skip();
	must_not_open("belongs to another user");
	assert_false(exists(f.file));
}

/* Whoever holds the lock does not hold up a start for ever. */
static void
test_locked(void **unused)
{
	int fd = open(f.dir, O_RDONLY | O_DIRECTORY);

	(void)unused;
	assert_int_equal(flock(fd, LOCK_EX), 0);
	must_not_open("another process keeps it locked");
	assert_false(exists(f.file));
	close(fd);
	state_close(must_open());
}

static void
test_file_that_is_none(void **unused)
{
	char target[80];

	(void)unused;
	path_of(target, sizeof(target), "target");
	assert_int_equal(symlink(target, f.file), 0);
	must_not_open("symbolic");
	assert_false(exists(target));
	unlink(f.file);
	assert_int_equal(mkfifo(f.file, 0600), 0);
	must_not_open("is not a file");
	unlink(f.file);
	assert_int_equal(mkdir(f.file, 0700), 0);
	must_not_open("");
}

static void
test_modes(void **unused)
{
	static const char *const names[] = {
	    STATE_FILE, STATE_FILE "-wal", STATE_FILE "-shm"};
	struct state *state;
	mode_t old = umask(0);
	struct stat st;
	char path[96];

	(void)unused;
	state = must_open();
	umask(old);
	put(state, "a.example", NOW, "");
	state_close(state);
	for (size_t i = 0; i < 3; i++) {
		path_of(path, sizeof(path), names[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
}

/* Readers. */

static void
test_existing(void **unused)
{
	char error[STATE_ERROR_MAX];
	struct state *state;

	(void)unused;
	errno = 0;
	assert_null(state_open_existing(f.dir, false, error));
	assert_int_equal(errno, ENOENT);
	assert_null(state_open_existing("/nonexistent", false, error));
	assert_int_equal(errno, ENOENT);
	assert_false(exists(f.file));

	fill();
	assert_non_null(state = state_open_existing(f.dir, false, error));
	assert_int_equal(count_observed(state), 200);
	listen_to_log();
	assert_int_equal(state_clear_observed(state), -1);
	what_was_logged();
	state_close(state);
	assert_non_null(state = state_open_existing(f.dir, true, error));
	assert_int_equal(state_clear_observed(state), 0);
	assert_int_equal(count_observed(state), 0);
	state_close(state);

	write_at(f.file, 0, "spoilt", 6);
	assert_null(state_open_existing(f.dir, false, error));
	assert_int_not_equal(errno, ENOENT);
	assert_non_null(strstr(error, "damaged"));
	assert_false(exists(f.bad));
}

static bool
write_meanwhile(void *arg, const struct state_observed *row)
{
	(void)row;
	assert_int_equal(add(arg, "z.example", "meanwhile", 1, NOW), 0);
	assert_int_equal(put(arg, "z.example", NOW, "meanwhile"), 0);
	return true;
}

static void
test_nobody_waits_for_a_reader(void **unused)
{
	char error[STATE_ERROR_MAX];
	struct state *writer, *reader;

	(void)unused;
	fill();
	writer = must_open();
	assert_non_null(reader = state_open_existing(f.dir, false, error));
	assert_int_equal(
	    state_each_observed(reader, write_meanwhile, writer), 0);
	assert_int_equal(count_observed(reader), 201);
	state_close(reader);
	state_close(writer);
}

/* Other processes. */

static int
wait_for(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
test_two_writers(void **unused)
{
	const int each = 500;
	struct state *state;
	int64_t ms = 0;
	pid_t pids[2];

	(void)unused;
	for (size_t i = 0; i < 2; i++) {
		if ((pids[i] = fork()) != 0)
			continue;
		state = must_open(); /* both make it, perhaps */
		for (int n = 0; n < each; n++) {
			while (add(state, "a.example", "x", 1, NOW + n) == -1)
				clock_fake(ms += STATE_RETRY_MS, NOW);
		}
		state_close(state);
		_exit(0);
	}
	assert_int_equal(wait_for(pids[0]), 0);
	assert_int_equal(wait_for(pids[1]), 0);
	state = must_open();
	assert_observed(state, "a.example:x:1000:1800000000:1800000499 ");
	state_close(state);
	assert_false(exists(f.bad));
}

static void
test_killed(void **unused)
{
	struct state *state;
	pid_t pid = fork();

	(void)unused;
	if (pid == 0) {
		state = must_open();
		if (put(state, "a.example", NOW, "one") == 0 &&
		    add(state, "a.example", "x", 1, NOW) == 0)
			kill(getpid(), SIGKILL);
		_exit(1);
	}
	assert_true(WIFSIGNALED(wait_for(pid)));
	state = must_open();
	assert_policies(state, "a.example:20260101T000000:one ");
	assert_observed(state, "a.example:x:1:1800000000:1800000000 ");
	state_close(state);
	assert_false(exists(f.bad));
}

/* A file put aside by the next process takes nothing from that one's. */
static void
test_put_aside_under_another(void **unused)
{
	struct state *old, *new;

	(void)unused;
	fill();
	old = must_open();
	assert_int_equal(put(old, "old.example", NOW, "old"), 0);
	write_at(f.file, 0, "spoilt", 6);
	listen_to_log();
	new = must_open();
	assert_int_equal(put(new, "new.example", NOW, "new"), 0);
	put(old, "old.example", NOW, "older");
	state_close(old);
	assert_int_equal(put(new, "new2.example", NOW, "new"), 0);
	state_close(new);
	new = must_open();
	what_was_logged();
	assert_int_equal(count_policies(new), 2);
	state_close(new);
}

/* Full disks.  Each runs in a child, whose limits and mounts are its own. */

static void
assert_in_child(int (*act)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(act());
	status = wait_for(pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_MOUNTS)
		skip();
	if (WIFSIGNALED(status))
		fail_msg("killed: %s", strsignal(WTERMSIG(status)));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* The file may not grow: told once, tried again later, told again. */
static int
goes_on_when_full(void)
{
	static char text[8192];
	struct state *state = must_open();
	struct rlimit limit;
	struct state_policy policy = {.id = "1", .expires = INT64_MAX};
	const char *said;

	memset(text, 'x', sizeof(text));
	policy.text = text;
	policy.len = sizeof(text);
	strlcpy(policy.domain, "big.example", sizeof(policy.domain));
	if (put(state, "a.example", NOW, "one") != 0)
		return 1;
	clock_fake(1000, NOW);
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = 8192;
	setrlimit(RLIMIT_FSIZE, &limit);
	listen_to_log();
	for (int i = 0; i < 3; i++) {
		if (state_put_policy(state, &policy) != -1 ||
		    add(state, "a.example", "x", 1, NOW) != -1)
			return 2;
		clock_fake(1000 + (i + 1) * STATE_RETRY_MS, NOW);
	}
	said = what_was_logged();
	if (count_lines(said) != 1 || strstr(said, "memory only") == NULL ||
	    strstr(said, f.file) == NULL)
		return 3;
	/* What is there can be read. */
	if (count_policies(state) != 1)
		return 4;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_FSIZE, &limit);
	listen_to_log();
	if (state_put_policy(state, &policy) != 0 ||
	    add(state, "a.example", "x", 1, NOW) != 0)
		return 5;
	said = what_was_logged();
	if (count_lines(said) != 1 || strstr(said, "again") == NULL)
		return 6;
	state_close(state);
	return 0;
}

static void
test_limited_file(void **unused)
{
	struct state *state;

	(void)unused;
	signal(SIGXFSZ, SIG_IGN);
	assert_in_child(goes_on_when_full);
	state = must_open();
	assert_int_equal(count_policies(state), 2);
	assert_int_equal(count_observed(state), 1);
	state_close(state);
}

static bool
mount_small_disk(void)
{
	return unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", f.dir, "tmpfs", 0, "size=256k,mode=700") == 0;
}

static void
fill_disk(const char *path)
{
	static const char bytes[4096];
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	while (write(fd, bytes, sizeof(bytes)) > 0)
		continue;
	close(fd);
}

/* Kept over a restart on a disk without a byte of room, then with some. */
static int
starts_when_full(void)
{
	char ballast[96];
	struct state *state;

	if (!mount_small_disk())
		return NO_MOUNTS;
	path_of(ballast, sizeof(ballast), "ballast");
	state = must_open();
	if (put(state, "a.example", NOW, "one") != 0)
		return 1;
	state_close(state);
	fill_disk(ballast);
	state = must_open();
	if (count_policies(state) != 1)
		return 2;
	clock_fake(1000, NOW);
	f.stderr_fd = -1;
	for (int i = 0; i < 200; i++) /* some room may be left */
		add(state, "b.example", "x", 1, NOW + i);
	if (count_policies(state) != 1)
		return 3;
	unlink(ballast);
	clock_fake(1000 + STATE_RETRY_MS, NOW);
	if (put(state, "b.example", NOW, "two") != 0)
		return 4;
	state_close(state);
	state = must_open();
	return count_policies(state) == 2 ? 0 : 5;
}

static void
test_full_disk(void **unused)
{
	(void)unused;
	assert_in_child(starts_when_full);
}

/* Nor does one begin there. */
static int
begins_when_full(void)
{
	char error[STATE_ERROR_MAX], ballast[96];
	struct state *state;

	if (!mount_small_disk())
		return NO_MOUNTS;
	path_of(ballast, sizeof(ballast), "ballast");
	fill_disk(ballast);
	if (state_open(f.dir, error) != NULL)
		return 1;
	fprintf(stderr, "%s\n", error);
	unlink(ballast);
	state = must_open();
	return put(state, "a.example", NOW, "one") == 0 ? 0 : 2;
}

static void
test_new_on_full_disk(void **unused)
{
	(void)unused;
	assert_in_child(begins_when_full);
}

static int
starts_read_only(void)
{
	char error[STATE_ERROR_MAX];

	if (!mount_small_disk())
		return NO_MOUNTS;
	if (mount(NULL, f.dir, NULL, MS_REMOUNT | MS_RDONLY, NULL) == -1)
		return 1;
	if (state_open(f.dir, error) != NULL)
		return 2;
	return strstr(error, "Read-only") != NULL ? 0 : 3;
}

static void
test_read_only_disk(void **unused)
{
	(void)unused;
	assert_in_child(starts_read_only);
}

/* In the jail. */

static void
enter_jail(void)
{
	static const char *const no_paths[] = {NULL};
	const char *why;

	if (sandbox_enter(SANDBOX_POLICY, no_paths, &why) == 0)
		return;
	fprintf(stderr, "sandbox: %s: %s\n", why, strerror(errno));
	_exit(NO_JAIL);
}

/* Past checkpoints, over the bound of the rows, and to the end. */
static int
works_in_jail(void)
{
	static char text[STS_TEXT_MAX];
	struct state_policy policy = {.id = "1", .expires = INT64_MAX};
	struct state *state = must_open();

	policy.text = text;
	policy.len = sizeof(text);
	enter_jail();
	for (int i = 0; i < 300; i++) {
		snprintf(policy.domain, sizeof(policy.domain), "n%d", i);
		if (state_put_policy(state, &policy) != 0)
			return 1;
		if (add(state, policy.domain, "x", 1, NOW) != 0)
			return 2;
	}
	if (add(state, "m", "x", 1, NOW) != 0)
		return 3;
	if (count_policies(state) != 300)
		return 4;
	if (state_drop_policy(state, "n0", INT64_MAX) != 0)
		return 5;
	state_close(state);
	return 0;
}

static void
test_jail(void **unused)
{
	struct state *state = must_open();

	(void)unused;
	state_close(state);
	execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM "
		"n WHERE i < 65536) INSERT INTO observed SELECT 'o' || i, '', "
		"'', '', '', 1, 1, i FROM n");
	assert_in_child(works_in_jail);
	state = must_open();
	assert_int_equal(count_policies(state), 299);
	assert_true(count_observed(state) <= STATE_OBSERVED_MAX);
	state_close(state);
}

/* Another holds the lock: waited for, told, and lived with. */
static int
waits_in_jail(void)
{
	struct state *state = must_open();

	enter_jail();
	if (put(state, "a.example", NOW, "one") != -1)
		return 1;
	if (count_policies(state) != 0)
		return 2;
	return 0;
}

static void
test_jail_with_another(void **unused)
{
	struct state *state = must_open();
	int up[2], down[2];
	sqlite3 *db;
	char byte;
	pid_t pid;

	(void)unused;
	state_close(state);
	assert_int_equal(pipe(up), 0);
	assert_int_equal(pipe(down), 0);
	if ((pid = fork()) == 0) {
		close(down[1]);
		sqlite3_open(f.file, &db);
		sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
		_exit(write(up[1], "x", 1) == 1 && read(down[0], &byte, 1) == 0
			  ? 0
			  : 1);
	}
	close(down[0]);
	close(up[1]);
	assert_int_equal(read(up[0], &byte, 1), 1);
	assert_in_child(waits_in_jail);
	close(down[1]);
	close(up[0]);
	assert_int_equal(wait_for(pid), 0);
}

static int
is_full_in_jail(void)
{
	static char text[8192];
	struct state *state = must_open();
	struct rlimit limit = {.rlim_cur = 8192, .rlim_max = 8192};
	struct state_policy policy = {.id = "1", .expires = INT64_MAX};

	policy.text = text;
	policy.len = sizeof(text);
	strlcpy(policy.domain, "big.example", sizeof(policy.domain));
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	enter_jail();
	if (state_put_policy(state, &policy) != -1)
		return 1;
	if (count_policies(state) != 0)
		return 2;
	state_close(state);
	return 0;
}

static void
test_jail_when_full(void **unused)
{
	(void)unused;
	assert_in_child(is_full_in_jail);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_policies),
	    TEST(test_one_policy),
	    TEST(test_longest_policy),
	    TEST(test_observed),
	    TEST(test_count_stays_a_number),
	    TEST(test_foreign_values),
	    TEST(test_null_state),
	    TEST(test_oldest_rows_go),
	    TEST(test_no_party_pushes_out_another),
	    TEST(test_expired_go_first),
	    TEST(test_file_has_a_bound),
	    TEST(test_log_has_a_bound),
	    TEST(test_damaged_head),
	    TEST(test_damaged_middle),
	    TEST(test_cut_off),
	    TEST(test_text_file),
	    TEST(test_other_program),
	    TEST(test_tables_missing),
	    TEST(test_empty_file),
	    TEST(test_newer),
	    TEST(test_spoilt_bytes),
	    TEST(test_no_directory),
	    TEST(test_directory_of_others),
	    TEST(test_locked),
	    TEST(test_file_that_is_none),
	    TEST(test_modes),
	    TEST(test_existing),
	    TEST(test_nobody_waits_for_a_reader),
	    TEST(test_two_writers),
	    TEST(test_killed),
	    TEST(test_put_aside_under_another),
	    TEST(test_limited_file),
	    TEST(test_full_disk),
	    TEST(test_new_on_full_disk),
	    TEST(test_read_only_disk),
	    TEST(test_jail),
	    TEST(test_jail_with_another),
	    TEST(test_jail_when_full),
	};

	log_init("test", LOG_TO_STDERR, LOG_FORMAT_TEXT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
