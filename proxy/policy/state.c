/* SPDX-License-Identifier: ISC */
/*
 * What the rows mean: values into the parameters of statements and out of
 * their columns.  What comes out was written by a process that strangers talk
 * to: each value is bounded again.
 */

#include "proxy/policy/state.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/policy/state_change.h"
#include "proxy/policy/state_file.h"

#define COUNT_MAX (INT64_C(1) << 53) /* recipients of one row */

static void
bind_text(sqlite3_stmt *statement, int column, const char *text)
{
	sqlite3_bind_text(statement, column, text, -1, SQLITE_STATIC);
}

/* Policies. */

static void
bind_policy(sqlite3_stmt *statement, const void *value)
{
	const struct state_policy *policy = value;

	bind_text(statement, 1, policy->domain);
	bind_text(statement, 2, policy->id);
	sqlite3_bind_int64(statement, 3, policy->fetched);
	sqlite3_bind_int64(statement, 4, policy->expires);
	sqlite3_bind_blob64(
	    statement, 5, policy->text, policy->len, SQLITE_STATIC);
}

int
state_put_policy(struct state *state, const struct state_policy *policy)
{
	const struct state_row row = {
	    .table = POLICY,
	    .update = UPDATE_POLICY,
	    .insert = INSERT_POLICY,
	    .bind = bind_policy,
	    .value = policy,
	};

	if (policy->len > STS_TEXT_MAX)
		return -1;
	return state_apply(state, state_put_row, &row);
}

struct drop {
	const char *domain;
	int64_t expires;
};

static int
drop_policy(struct state *state, const void *arg)
{
	const struct drop *drop = arg;
	int rc;

	bind_text(state->statements[DROP_POLICY], 1, drop->domain);
	sqlite3_bind_int64(state->statements[DROP_POLICY], 2, drop->expires);
	if ((rc = state_run(state, DROP_POLICY)) == SQLITE_OK)
		state->rows[POLICY] -= sqlite3_changes(state->db);
	return rc;
}

int
state_drop_policy(struct state *state, const char *domain, int64_t expires)
{
	const struct drop drop = {.domain = domain, .expires = expires};

	return state_apply(state, drop_policy, &drop);
}

/* What does not fit was written by somebody else: false. */
static bool
get_text(sqlite3_stmt *statement, int column, char *out, size_t size)
{
	const unsigned char *text = sqlite3_column_text(statement, column);

	return text != NULL && strlcpy(out, (const char *)text, size) < size;
}

static bool
get_policy(sqlite3_stmt *statement, struct state_policy *policy)
{
	const void *text;
	int len;

	if (!get_text(statement, 0, policy->domain, sizeof(policy->domain)) ||
	    !get_text(statement, 1, policy->id, sizeof(policy->id)))
		return false;
	policy->fetched = sqlite3_column_int64(statement, 2);
	policy->expires = sqlite3_column_int64(statement, 3);
	text = sqlite3_column_blob(statement, 4);
	len = sqlite3_column_bytes(statement, 4);
	policy->text = text == NULL ? "" : text;
	policy->len = (size_t)len;
	return len <= STS_TEXT_MAX;
}

int
state_get_policy(struct state *state, const char *domain, int64_t now,
    bool (*take)(void *, const struct state_policy *), void *arg)
{
	struct state_policy policy;
	sqlite3_stmt *statement;
	int rc, found = 0;

	if (state == NULL)
		return -1;
	statement = state->statements[GET_POLICY];
	sqlite3_bind_int64(statement, 1, now);
	bind_text(statement, 2, domain);
	rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW && get_policy(statement, &policy)) {
		(void)take(arg, &policy);
		found = 1;
	}
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? found : -1;
}

int
state_each_policy(struct state *state, int64_t now,
    bool (*each)(void *, const struct state_policy *), void *arg)
{
	struct state_policy policy;
	sqlite3_stmt *statement;
	int rc = SQLITE_ROW;

	if (state == NULL)
		return -1;
	statement = state->statements[EACH_POLICY];
	sqlite3_bind_int64(statement, 1, now);
	while (
	    rc == SQLITE_ROW && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
		if (get_policy(statement, &policy) && !each(arg, &policy))
			rc = SQLITE_DONE;
	}
	sqlite3_reset(statement);
	return rc == SQLITE_DONE ? 0 : -1;
}

/* What was observed. */

static void
bind_observed(sqlite3_stmt *statement, const void *value)
{
	const struct state_observed *row = value;
	uint64_t count = row->count;

	bind_text(statement, 1, row->domain);
	bind_text(statement, 2, row->server);
	bind_text(statement, 3, row->evidence);
	bind_text(statement, 4, row->word);
	bind_text(statement, 5, row->why);
	sqlite3_bind_int64(
	    statement, 6, count > COUNT_MAX ? COUNT_MAX : (int64_t)count);
	sqlite3_bind_int64(statement, 7, row->first);
	sqlite3_bind_int64(statement, 8, row->last);
	sqlite3_bind_int64(statement, 9, COUNT_MAX);
}

int
state_add_observed(struct state *state, const struct state_observed *observed)
{
	const struct state_row row = {
	    .table = OBSERVED,
	    .update = UPDATE_OBSERVED,
	    .insert = INSERT_OBSERVED,
	    .bind = bind_observed,
	    .value = observed,
	};

	return state_apply(state, state_put_row, &row);
}

static bool
get_observed(sqlite3_stmt *statement, struct state_observed *row)
{
	int64_t count;

	if (!get_text(statement, 0, row->domain, sizeof(row->domain)) ||
	    !get_text(statement, 1, row->server, sizeof(row->server)) ||
	    !get_text(statement, 2, row->evidence, sizeof(row->evidence)) ||
	    !get_text(statement, 3, row->word, sizeof(row->word)) ||
	    !get_text(statement, 4, row->why, sizeof(row->why)))
		return false;
	count = sqlite3_column_int64(statement, 5);
	row->count = count < 0 ? 0 : (uint64_t)count;
	row->first = sqlite3_column_int64(statement, 6);
	row->last = sqlite3_column_int64(statement, 7);
	return true;
}

int
state_each_observed(struct state *state,
    bool (*each)(void *, const struct state_observed *), void *arg)
{
	struct state_observed row;
	sqlite3_stmt *statement;
	int rc = SQLITE_ROW;

	if (state == NULL)
		return -1;
	statement = state->statements[EACH_OBSERVED];
	while (
	    rc == SQLITE_ROW && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
		if (get_observed(statement, &row) && !each(arg, &row))
			rc = SQLITE_DONE;
	}
	sqlite3_reset(statement);
	return rc == SQLITE_DONE ? 0 : -1;
}

static int
clear_observed(struct state *state, const void *arg)
{
	int rc;

	(void)arg;
	if ((rc = state_run(state, CLEAR_OBSERVED)) == SQLITE_OK)
		state->rows[OBSERVED] = 0;
	return rc;
}

int
state_clear_observed(struct state *state)
{
	return state_apply(state, clear_observed, NULL);
}

/* Open and close. */

static struct state *
new_state(
    const char *directory, enum state_file_use use, char error[STATE_ERROR_MAX])
{
	struct state *state;
	int saved;

	if ((state = calloc(1, sizeof(*state))) == NULL) {
		snprintf(error, STATE_ERROR_MAX, "out of memory");
		return NULL;
	}
	if ((state->db = state_file_open(directory, use, error)) == NULL) {
		saved = errno;
		free(state);
		errno = saved;
		return NULL;
	}
	if (state_prepare(state) == SQLITE_OK)
		return state;
	snprintf(error, STATE_ERROR_MAX, "%s/%s: %s", directory, STATE_FILE,
	    sqlite3_errmsg(state->db));
	state_close(state);
	errno = EINVAL;
	return NULL;
}

struct state *
state_open(const char *directory, char error[STATE_ERROR_MAX])
{
	return new_state(directory, STATE_FILE_KEEP, error);
}

struct state *
state_open_existing(
    const char *directory, bool may_clear, char error[STATE_ERROR_MAX])
{
	return new_state(
	    directory, may_clear ? STATE_FILE_CHANGE : STATE_FILE_READ, error);
}

void
state_close(struct state *state)
{
	if (state == NULL)
		return;
	for (size_t i = 0; i < STATEMENT_COUNT; i++)
		sqlite3_finalize(state->statements[i]);
	sqlite3_close(state->db);
	free(state);
}
