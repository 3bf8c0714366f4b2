/* SPDX-License-Identifier: ISC */
/*
 * Opens, makes, checks and puts aside.
 *
 * The journal is a write-ahead log: nobody waits for a reader, and a change
 * waits for no disk but at the log's checkpoints, which a short log keeps
 * short.  What a power failure takes is the last changes, never the whole.
 * The log and its index are kept when the last process ends.  So all files are
 * open before a process locks itself in, and a start on a full disk, which
 * could not make them again, still has the policies.
 *
 * The file was written by a process that reads what strangers send: nothing
 * that its schema could make SQLite do is trusted.
 */

#include "proxy/policy/state_file.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proxy/base/log.h"

#define APPLICATION     0x706f7374 /* "post" */
#define VERSION         1
#define CACHE_KIB       1024
#define LOG_BYTES       (1U << 20) /* that it keeps when it starts over */
#define READER_BUSY_MS  5000 /* there, somebody only waits for a list */
#define BAD_SUFFIX      ".bad"
#define LOCK_TRIES      50
#define NEW_FILE_ROUNDS 2 /* as found, and once made anew */

enum soundness {
	SOUND,
	FRESH, /* nothing in it yet */
	DAMAGED, /* or something else altogether */
	NEWER,
	UNREADABLE,
};

static const char schema[] =
    "CREATE TABLE policy ("
    " domain TEXT NOT NULL PRIMARY KEY, id TEXT NOT NULL,"
    " fetched INTEGER NOT NULL, expires INTEGER NOT NULL, text BLOB NOT NULL);"
    "CREATE INDEX policy_age ON policy (fetched);"
    "CREATE TABLE observed ("
    " domain TEXT NOT NULL, server TEXT NOT NULL, evidence TEXT NOT NULL,"
    " word TEXT NOT NULL, why TEXT NOT NULL, recipients INTEGER NOT NULL,"
    " first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL,"
    " UNIQUE (domain, server, evidence, word, why));"
    "CREATE INDEX observed_age ON observed (last_seen);";

static int
fail(char error[STATE_ERROR_MAX], const char *path, const char *what)
{
	snprintf(error, STATE_ERROR_MAX, "%.300s: %s", path, what);
	return -1;
}

/* What SQLite says, and the system behind it. */
static int
fail_sqlite(char error[STATE_ERROR_MAX], const char *path, sqlite3 *db)
{
	int number = sqlite3_system_errno(db);

	snprintf(error, STATE_ERROR_MAX, "%.200s: %s%s%s", path,
	    sqlite3_errmsg(db), number != 0 ? ": " : "",
	    number != 0 ? strerror(number) : "");
	return -1;
}

/* The directory. */

static int
fail_directory(char error[STATE_ERROR_MAX], const char *path, const char *what)
{
	snprintf(error, STATE_ERROR_MAX,
	    "%.120s: %s: make it with `install -d -m 700 -o %u %.120s`, or set "
	    "state_directory",
	    path, what, (unsigned int)geteuid(), path);
	return -1;
}

/*
 * Whoever else could write there could have this process open, and change,
 * files of its own by other names.
 */
static int
check_directory(int fd, const char *path, char error[STATE_ERROR_MAX])
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return fail(error, path, strerror(errno));
	if (st.st_uid != geteuid())
		return fail_directory(error, path, "belongs to another user");
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return fail_directory(error, path, "others may write to it");
	/* Who can open it can hold its lock, and so every start. */
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return fail_directory(error, path, "others may look into it");
	return 0;
}

/*
 * The lock keeps two processes from putting aside the same file.  It is held
 * while one opens it; whoever holds it for longer must not hold up a start.
 */
static int
lock_directory(int fd, const char *path, char error[STATE_ERROR_MAX])
{
	const struct timespec pause = {
	    .tv_nsec = STATE_LOCK_MS / LOCK_TRIES * 1000000L};

	for (int tries = 0; flock(fd, LOCK_EX | LOCK_NB) == -1; tries++) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return fail(error, path, strerror(errno));
		if (tries == LOCK_TRIES)
			return fail(error, path,
			    "another process keeps it locked: find it with "
			    "`fuser -v`, end it, and reload");
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int
open_directory(
    const char *path, enum state_file_use use, char error[STATE_ERROR_MAX])
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1) {
		if (use == STATE_FILE_KEEP)
			fail_directory(error, path, strerror(errno));
		else
			fail(error, path, strerror(errno));
		return -1;
	}
	if (use != STATE_FILE_KEEP)
		return fd;
	if (check_directory(fd, path, error) == 0 &&
	    lock_directory(fd, path, error) == 0)
		return fd;
	close(fd);
	return -1;
}

/* The database. */

static int
execute(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* The one number that a query yields; SQLITE_ROW, or an error's code. */
static int
get_number(sqlite3 *db, const char *sql, int64_t *out)
{
	sqlite3_stmt *statement;
	int rc;

	rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
	if (rc != SQLITE_OK)
		return rc;
	if ((rc = sqlite3_step(statement)) == SQLITE_ROW)
		*out = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return rc;
}

static int
has_text(sqlite3 *db, const char *sql, const char *want, bool *is_so)
{
	sqlite3_stmt *statement;
	const unsigned char *text;
	int rc;

	*is_so = false;
	rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
	if (rc != SQLITE_OK)
		return rc;
	if ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
		text = sqlite3_column_text(statement, 0);
		*is_so = text != NULL && strcmp((const char *)text, want) == 0;
	}
	sqlite3_finalize(statement);
	return rc;
}

static enum soundness
judge_code(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return SOUND;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return DAMAGED;
	default:
		return UNREADABLE;
	}
}

static enum soundness
judge(sqlite3 *db, bool is_thorough)
{
	int64_t application = 0, version = 0, tables = 0, own = 0;
	bool is_whole = true;
	int rc;

	if ((rc = get_number(db, "PRAGMA application_id", &application)) !=
		SQLITE_ROW ||
	    (rc = get_number(db, "PRAGMA user_version", &version)) !=
		SQLITE_ROW ||
	    (rc = get_number(db, "SELECT count(*) FROM sqlite_schema",
		 &tables)) != SQLITE_ROW ||
	    (rc = get_number(db,
		 "SELECT count(*) FROM sqlite_schema WHERE type = 'table' "
		 "AND name IN ('policy', 'observed')",
		 &own)) != SQLITE_ROW)
		return judge_code(rc);
	if (application == 0 && version == 0 && tables == 0)
		return FRESH;
	if (application != APPLICATION || version < 1)
		return DAMAGED;
	if (version > VERSION)
		return NEWER;
	if (own != 2)
		return DAMAGED;
	if (is_thorough && (rc = has_text(db, "PRAGMA integrity_check(1)", "ok",
				&is_whole)) != SQLITE_ROW)
		return judge_code(rc);
	return is_whole ? SOUND : DAMAGED;
}

static void
distrust(sqlite3 *db)
{
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	execute(db, "PRAGMA cell_size_check = ON");
}

/* Of the connection only; nothing is read or written yet. */
static void
set_up(sqlite3 *db, enum state_file_use use)
{
	char sql[256];
	int is_kept = 1;

	sqlite3_extended_result_codes(db, 1);
	sqlite3_busy_timeout(
	    db, use == STATE_FILE_KEEP ? STATE_BUSY_MS : READER_BUSY_MS);
	sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &is_kept);
	distrust(db);
	snprintf(sql, sizeof(sql),
	    "PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;"
	    "PRAGMA cache_size = -%d; PRAGMA secure_delete = OFF;"
	    "PRAGMA journal_size_limit = %u;"
	    "PRAGMA query_only = %d",
	    CACHE_KIB, LOG_BYTES, use == STATE_FILE_READ);
	execute(db, sql);
}

/* Of the file, as far as it is not so already. */
static enum soundness
begin_log(sqlite3 *db)
{
	char sql[128];
	bool is_so;
	int rc;

	snprintf(sql, sizeof(sql),
	    "PRAGMA page_size = %u; PRAGMA auto_vacuum = NONE",
	    STATE_PAGE_BYTES);
	if ((rc = execute(db, sql)) != SQLITE_OK ||
	    (rc = has_text(db, "PRAGMA journal_mode = WAL", "wal", &is_so)) !=
		SQLITE_ROW)
		return judge_code(rc);
	if (!is_so)
		return UNREADABLE;
	snprintf(sql, sizeof(sql),
	    "PRAGMA synchronous = NORMAL; PRAGMA max_page_count = %u",
	    STATE_BYTES_MAX / STATE_PAGE_BYTES);
	return judge_code(execute(db, sql));
}

static enum soundness
make_tables(sqlite3 *db)
{
	char sql[sizeof(schema) + 128];
	int rc;

	snprintf(sql, sizeof(sql),
	    "BEGIN IMMEDIATE; %s PRAGMA application_id = %d;"
	    "PRAGMA user_version = %d; COMMIT",
	    schema, APPLICATION, VERSION);
	if ((rc = execute(db, sql)) != SQLITE_OK)
		return judge_code(rc);
	return SOUND;
}

static enum soundness
look_into(sqlite3 *db, enum state_file_use use)
{
	enum soundness soundness = SOUND;
	unsigned char byte;

	/* While /dev/urandom can still be opened. */
	sqlite3_randomness(sizeof(byte), &byte);
	set_up(db, use);
	if (use == STATE_FILE_KEEP)
		soundness = begin_log(db);
	if (soundness == SOUND)
		soundness = judge(db, use == STATE_FILE_KEEP);
	if (soundness == FRESH && use == STATE_FILE_KEEP)
		soundness = make_tables(db);
	return soundness;
}

/* The file. */

/* One of ours, made where there is none; SQLite must not make its own. */
static int
check_file(int directory, const char *path, enum state_file_use use,
    char error[STATE_ERROR_MAX])
{
	int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, fd, saved;
	struct stat st;

	if (use == STATE_FILE_KEEP)
		flags |= O_CREAT;
	fd = openat(directory, STATE_FILE, flags, 0600);
	if (fd == -1 || fstat(fd, &st) == -1) {
		saved = errno;
		fail(error, path, strerror(saved));
		if (fd != -1)
			close(fd);
		errno = saved;
		return -1;
	}
	close(fd);
	errno = 0;
	if (!S_ISREG(st.st_mode))
		return fail(error, path, "is not a file");
	if (use == STATE_FILE_KEEP && st.st_uid != geteuid())
		return fail(error, path,
		    "belongs to another user: give it to postern's, or move "
		    "it away");
	return 0;
}

/* The log goes with the file that it belongs to; its index is made anew. */
static int
put_aside(int directory, const char *path, char error[STATE_ERROR_MAX])
{
	if (renameat(directory, STATE_FILE, directory, STATE_FILE BAD_SUFFIX) ==
	    -1)
		return fail(error, path, strerror(errno));
	if (renameat(directory, STATE_FILE "-wal", directory,
		STATE_FILE BAD_SUFFIX "-wal") == -1)
		unlinkat(directory, STATE_FILE BAD_SUFFIX "-wal", 0);
	unlinkat(directory, STATE_FILE "-shm", 0);
	unlinkat(directory, STATE_FILE "-journal", 0);
	log_warnx("%s is damaged: it is now %s" BAD_SUFFIX ", and a new one "
		  "begins; MTA-STS policies will be fetched again, and what "
		  "was observed is forgotten",
	    path, path);
	return 0;
}

static void
explain(enum soundness soundness, sqlite3 *db, const char *path,
    char error[STATE_ERROR_MAX])
{
	switch (soundness) {
	case SOUND:
		break;
	case FRESH:
		fail(error, path, "is empty");
		break;
	case DAMAGED:
		fail(error, path, "is damaged, or not postern's");
		break;
	case NEWER:
		fail(error, path,
		    "is of a newer postern: it is left alone; run that one, "
		    "or move the file away");
		break;
	case UNREADABLE:
		if (sqlite3_errcode(db) == SQLITE_OK ||
		    sqlite3_errcode(db) == SQLITE_ROW ||
		    sqlite3_errcode(db) == SQLITE_DONE)
			fail(error, path,
			    "this file system has no shared memory: set "
			    "state_directory to a local one");
		else
			fail_sqlite(error, path, db);
		break;
	}
}

static sqlite3 *
open_in(int directory, const char *path, enum state_file_use use,
    char error[STATE_ERROR_MAX])
{
	const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
	enum soundness soundness;
	sqlite3 *db;

	for (int round = 1; round <= NEW_FILE_ROUNDS; round++) {
		if (check_file(directory, path, use, error) == -1)
			return NULL;
		soundness = UNREADABLE;
		if (sqlite3_open_v2(path, &db, flags, NULL) == SQLITE_OK)
			soundness = look_into(db, use);
		if (soundness == SOUND)
			return db;
		explain(soundness, db, path, error);
		sqlite3_close(db);
		if (soundness != DAMAGED || use != STATE_FILE_KEEP ||
		    put_aside(directory, path, error) == -1)
			break;
	}
	errno = EINVAL;
	return NULL;
}

sqlite3 *
state_file_open(
    const char *directory, enum state_file_use use, char error[STATE_ERROR_MAX])
{
	char path[PATH_MAX];
	sqlite3 *db;
	int fd, length, saved;

	length = snprintf(path, sizeof(path), "%s/%s", directory, STATE_FILE);
	if (length < 0 || (size_t)length >= sizeof(path)) {
		fail(error, directory, "too long");
		errno = ENAMETOOLONG;
		return NULL;
	}
	if ((fd = open_directory(directory, use, error)) == -1)
		return NULL;
	db = open_in(fd, path, use, error);
	saved = errno;
	close(fd);
	errno = saved;
	return db;
}
