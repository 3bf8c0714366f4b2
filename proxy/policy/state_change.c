/* SPDX-License-Identifier: ISC */
/*
 * Each change is one transaction of prepared statements.  A failure is told
 * once, and then nothing is tried for a while, so that a disk that is slow to
 * fail does not hold up the loop at each recipient.
 *
 * How many rows there are is counted here and not in the file; what another
 * process adds during a reload is only seen by the next count.
 */

#include "proxy/policy/state_change.h"

#include <string.h>

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/policy/dns_name.h"

#define LOG_PAGES  256 /* until they are copied into the file */
#define TRIM_PART  64 /* of a full table goes at once */
#define PARTY_PART 8 /* and of a large party's policies */
#define PARTY_MIN  (STATE_BYTES_MAX / 128) /* bytes that make one large */
#define ROW_BYTES  256 /* that a policy takes besides its text */

static const char *const sqls[STATEMENT_COUNT] = {
#define X(name, sql) [name] = (sql),
    STATEMENTS(X)
#undef X
};

static const struct {
	enum statement count, trim;
	int64_t max;
} tables[TABLE_COUNT] = {
    [POLICY] = {COUNT_POLICIES, TRIM_POLICIES, STATE_POLICIES_MAX},
    [OBSERVED] = {COUNT_OBSERVED, TRIM_OBSERVED, STATE_OBSERVED_MAX},
};

/* Statements. */

int
state_run(struct state *state, enum statement which)
{
	sqlite3_stmt *statement = state->statements[which];
	int rc = sqlite3_step(statement);

	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int
get_number(struct state *state, enum statement which, int64_t *out)
{
	sqlite3_stmt *statement = state->statements[which];
	int rc = sqlite3_step(statement);

	if (rc == SQLITE_ROW)
		*out = sqlite3_column_int64(statement, 0);
	sqlite3_reset(statement);
	return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static int
prepare_all(struct state *state)
{
	int rc;

	for (size_t i = 0; i < STATEMENT_COUNT; i++) {
		rc = sqlite3_prepare_v3(state->db, sqls[i], -1,
		    SQLITE_PREPARE_PERSISTENT, &state->statements[i], NULL);
		if (rc != SQLITE_OK)
			return rc;
	}
	return SQLITE_OK;
}

static int
count_rows(struct state *state)
{
	int rc = SQLITE_OK;

	for (size_t i = 0; i < TABLE_COUNT && rc == SQLITE_OK; i++)
		rc = get_number(state, tables[i].count, &state->rows[i]);
	return rc;
}

/* party(domain), as dns_name_party. */
static void
party_of(sqlite3_context *context, int count, sqlite3_value **values)
{
	const unsigned char *domain = sqlite3_value_text(values[0]);

	(void)count;
	if (domain != NULL)
		sqlite3_result_text(context,
		    dns_name_party((const char *)domain), -1, SQLITE_TRANSIENT);
}

/* At most so many rows go of the party with most, where it is a large one. */
static int
trim_party(struct state *state, int64_t rows, bool *is_done)
{
	sqlite3_stmt *find = state->statements[LARGEST_PARTY];
	sqlite3_stmt *delete = state->statements[TRIM_PARTY];
	int64_t part;
	int rc;

	*is_done = false;
	sqlite3_bind_int64(find, 1, ROW_BYTES);
	rc = sqlite3_step(find);
	if (rc == SQLITE_ROW && sqlite3_column_int64(find, 2) >= PARTY_MIN) {
		part = sqlite3_column_int64(find, 1) / PARTY_PART + 1;
		sqlite3_bind_int64(delete, 1, part < rows ? part : rows);
		sqlite3_bind_value(delete, 2, sqlite3_column_value(find, 0));
		*is_done = true;
	}
	sqlite3_reset(find);
	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE ? SQLITE_OK : rc;
	return *is_done ? state_run(state, TRIM_PARTY) : SQLITE_OK;
}

/*
 * What has expired goes first.  Else one who has mail sent to very many
 * domains of his own shall push out his own policies only: each that goes
 * before its time is a downgrade.
 */
static int
trim_policies(struct state *state, int64_t rows, bool *is_done)
{
	int rc;

	sqlite3_bind_int64(state->statements[TRIM_EXPIRED], 1, rows);
	sqlite3_bind_int64(state->statements[TRIM_EXPIRED], 2, clock_wall());
	if ((rc = state_run(state, TRIM_EXPIRED)) != SQLITE_OK)
		return rc;
	rows -= sqlite3_changes(state->db);
	*is_done = rows <= 0;
	return *is_done ? SQLITE_OK : trim_party(state, rows, is_done);
}

/* At most so many rows go, and at least one where there is any. */
static int
trim(struct state *state, enum table table, int64_t rows)
{
	bool is_done = false;
	int rc;

	if (table == POLICY &&
	    (rc = trim_policies(state, rows, &is_done)) != SQLITE_OK)
		return rc;
	if (!is_done) {
		sqlite3_bind_int64(
		    state->statements[tables[table].trim], 1, rows);
		rc = state_run(state, tables[table].trim);
		if (rc != SQLITE_OK)
			return rc;
	}
	return get_number(state, tables[table].count, &state->rows[table]);
}

/* Success and failure. */

static void
note_failure(struct state *state, int rc)
{
	state->retry_at = clock_monotonic_ms() + STATE_RETRY_MS;
	if (state->is_failing)
		return;
	state->is_failing = true;
	if ((rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB)
		log_warnx("%s is damaged: nothing more is kept there; a "
			  "reload puts it aside and begins anew",
		    sqlite3_db_filename(state->db, "main"));
	else
		log_warnx("%s: %s: what it would keep is in memory only, "
			  "until there is room and it can be written again",
		    sqlite3_db_filename(state->db, "main"), sqlite3_errstr(rc));
}

static void
note_success(struct state *state)
{
	if (state->is_failing)
		log_info("%s can be written again",
		    sqlite3_db_filename(state->db, "main"));
	state->is_failing = false;
}

/* Changes. */

static int
try_change(struct state *state, state_change *act, const void *arg)
{
	int64_t rows[TABLE_COUNT];
	int rc;

	memcpy(rows, state->rows, sizeof(rows));
	if ((rc = state_run(state, BEGIN)) != SQLITE_OK)
		return rc;
	if ((rc = act(state, arg)) == SQLITE_OK &&
	    (rc = state_run(state, COMMIT)) == SQLITE_OK)
		return SQLITE_OK;
	/* Some errors have done that already. */
	if (sqlite3_get_autocommit(state->db) == 0)
		state_run(state, ROLLBACK);
	memcpy(state->rows, rows, sizeof(rows));
	return rc;
}

/*
 * Copies the log beside the file into it.  The log starts over once all of it
 * was copied, which a reader holds up; one that never ends must not fill the
 * disk.
 */
static void
copy_log(struct state *state)
{
	int frames, copied;

	if (sqlite3_wal_checkpoint_v2(state->db, "main",
		SQLITE_CHECKPOINT_PASSIVE, &frames, &copied) == SQLITE_OK)
		state->log_pages = copied == frames ? 0 : frames;
}

static int
on_committed(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct state *state = arg;

	(void)db;
	(void)name;
	state->log_pages = pages;
	if (pages >= LOG_PAGES)
		copy_log(state);
	return SQLITE_OK;
}

static bool
has_long_log(struct state *state)
{
	if ((unsigned int)state->log_pages <=
	    STATE_WAL_BYTES_MAX / STATE_PAGE_BYTES)
		return false;
	copy_log(state);
	return state->log_pages != 0;
}

static int
make_room(struct state *state, const void *arg)
{
	int rc = SQLITE_OK;

	(void)arg;
	for (size_t i = 0; i < TABLE_COUNT && rc == SQLITE_OK; i++)
		rc = trim(state, i, state->rows[i] / TRIM_PART + 1);
	return rc;
}

/* Is it the file that is full, and not the disk?  A row takes many pages. */
static bool
is_full(struct state *state)
{
	int64_t pages = 0;

	return get_number(state, PAGES, &pages) == SQLITE_OK &&
	       pages >=
	           (STATE_BYTES_MAX - 2 * STS_BYTES_MAX) / STATE_PAGE_BYTES;
}

int
state_apply(struct state *state, state_change *act, const void *arg)
{
	int rc;

	if (state == NULL ||
	    (state->is_failing && clock_monotonic_ms() < state->retry_at))
		return -1;
	rc = has_long_log(state) ? SQLITE_BUSY : try_change(state, act, arg);
	if (rc == SQLITE_FULL && is_full(state) &&
	    (rc = try_change(state, make_room, NULL)) == SQLITE_OK)
		rc = try_change(state, act, arg);
	if (rc != SQLITE_OK) {
		note_failure(state, rc);
		return -1;
	}
	note_success(state);
	return 0;
}

int
state_put_row(struct state *state, const void *arg)
{
	const struct state_row *row = arg;
	int64_t max = tables[row->table].max;
	int rc;

	row->bind(state->statements[row->update], row->value);
	if ((rc = state_run(state, row->update)) != SQLITE_OK ||
	    sqlite3_changes(state->db) > 0)
		return rc;
	row->bind(state->statements[row->insert], row->value);
	if ((rc = state_run(state, row->insert)) != SQLITE_OK)
		return rc;
	if (++state->rows[row->table] <= max)
		return SQLITE_OK;
	return trim(state, row->table, max / TRIM_PART);
}

int
state_prepare(struct state *state)
{
	int rc;

	rc = sqlite3_create_function_v2(state->db, "party", 1,
	    SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY, NULL,
	    party_of, NULL, NULL, NULL);
	if (rc != SQLITE_OK || (rc = prepare_all(state)) != SQLITE_OK ||
	    (rc = count_rows(state)) != SQLITE_OK)
		return rc;
	sqlite3_wal_hook(state->db, on_committed, state);
	return SQLITE_OK;
}
