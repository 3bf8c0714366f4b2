/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_STATE_CHANGE_H
#define POSTERN_STATE_CHANGE_H

/*
 * What the state's own files share, and nobody else includes: the statements,
 * and how one change of several is made, or not at all.
 */

#include <sqlite3.h>

#include "proxy/policy/state.h"

#define OLDEST(table, age)                                                     \
	"DELETE FROM " table " WHERE rowid IN (SELECT rowid FROM " table       \
	" ORDER BY " age " LIMIT ?1)"
#define OBSERVED_KEY                                                           \
	" domain = ?1 AND server = ?2 AND evidence = ?3 AND word = ?4 AND "    \
	"why = ?5"

/* clang-format off */
#define STATEMENTS(X)							\
	X(BEGIN, "BEGIN IMMEDIATE")					\
	X(COMMIT, "COMMIT")						\
	X(ROLLBACK, "ROLLBACK")						\
	X(UPDATE_POLICY, "UPDATE policy SET id = ?2, fetched = ?3, "	\
	    "expires = ?4, text = ?5 WHERE domain = ?1")		\
	X(INSERT_POLICY, "INSERT INTO policy (domain, id, fetched, "	\
	    "expires, text) VALUES (?1, ?2, ?3, ?4, ?5)")		\
	X(DROP_POLICY, "DELETE FROM policy WHERE domain = ?1 "		\
	    "AND expires <= ?2")						\
	X(EACH_POLICY, "SELECT domain, id, fetched, expires, text "	\
	    "FROM policy WHERE expires > ?1 ORDER BY fetched DESC")	\
	X(GET_POLICY, "SELECT domain, id, fetched, expires, text "	\
	    "FROM policy WHERE expires > ?1 AND domain = ?2")		\
	X(COUNT_POLICIES, "SELECT count(*) FROM policy")		\
	X(LARGEST_PARTY, "SELECT party(domain), count(*), "		\
	    "sum(length(text) + ?1) FROM policy GROUP BY 1 "		\
	    "ORDER BY 3 DESC LIMIT 1")					\
	X(TRIM_EXPIRED, "DELETE FROM policy WHERE rowid IN (SELECT "	\
	    "rowid FROM policy WHERE expires <= ?2 ORDER BY expires "	\
	    "LIMIT ?1)")						\
	X(TRIM_PARTY, "DELETE FROM policy WHERE rowid IN (SELECT rowid " \
	    "FROM policy WHERE party(domain) = ?2 ORDER BY fetched "	\
	    "LIMIT ?1)")						\
	X(TRIM_POLICIES, OLDEST("policy", "fetched"))			\
	X(UPDATE_OBSERVED, "UPDATE observed SET "			\
	    "recipients = min(recipients + ?6, ?9), "			\
	    "first_seen = min(first_seen, ?7), "			\
	    "last_seen = max(last_seen, ?8) WHERE" OBSERVED_KEY)	\
	X(INSERT_OBSERVED, "INSERT INTO observed (domain, server, "	\
	    "evidence, word, why, recipients, first_seen, last_seen) "	\
	    "VALUES (?1, ?2, ?3, ?4, ?5, min(?6, ?9), ?7, ?8)")		\
	X(EACH_OBSERVED, "SELECT domain, server, evidence, word, why, "	\
	    "recipients, first_seen, last_seen FROM observed "		\
	    "ORDER BY domain, last_seen DESC")				\
	X(COUNT_OBSERVED, "SELECT count(*) FROM observed")		\
	X(TRIM_OBSERVED, OLDEST("observed", "last_seen"))		\
	X(CLEAR_OBSERVED, "DELETE FROM observed")			\
	X(PAGES, "PRAGMA page_count")
/* clang-format on */

enum statement {
#define X(name, sql) name,
	STATEMENTS(X)
#undef X
	STATEMENT_COUNT
};

enum table {
	POLICY,
	OBSERVED,
	TABLE_COUNT
};

struct state {
	sqlite3 *db; /* owned */
	sqlite3_stmt *statements[STATEMENT_COUNT]; /* owned */
	int64_t rows[TABLE_COUNT];
	bool is_failing; /* and was told */
	int64_t retry_at; /* monotonic; where it is failing */
	int log_pages; /* of the log, not yet in the file */
};

/* What one transaction does; SQLITE_OK, or an error's code. */
typedef int state_change(struct state *, const void *arg);

/* One of two statements with the same parameters. */
struct state_row {
	enum table table;
	enum statement update, insert;
	void (*bind)(sqlite3_stmt *, const void *value);
	const void *value;
};

/* state_prepare returns SQLITE_OK, or an error's code; close ends it. */
int state_prepare(struct state *);

/*
 * state_run runs a statement that yields no row and forgets its parameters;
 * SQLITE_OK, or an error's code.
 */
int state_run(struct state *, enum statement);

/*
 * state_apply makes a change; state may be NULL.  0, or -1: nothing was
 * changed, which was logged where that is news.
 */
int state_apply(struct state *, state_change *act, const void *arg);
/* state_put_row is a change; arg is a struct state_row. */
int state_put_row(struct state *, const void *arg);

#endif
