/* SPDX-License-Identifier: ISC */
/*
 * postern observed: what passed only because nothing was enforced yet, by
 * recipients' domains, out of the file that postern-policy keeps.
 *
 * That file is written by a process that strangers talk to, and it lies in a
 * directory of that process's user.  So root reads it as that user, with no
 * more to lose than that process has.  All is read before the first line is
 * written: a pager that is not paged must not hold up the file.
 */

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "certs/date.h"
#include "proxy/base/log.h"
#include "proxy/cmd.h"
#include "proxy/cmd_options.h"
#include "proxy/policy/state.h"

static const char usage[] =
    "usage: postern observed [-c FILE] [-o SETTING]... [--json | --clear]\n";

static const char help[] =
    "\n"
    "Lists what was let pass by observation and would be refused if it were\n"
    "enforced: recipients' domains, and for each the servers and why.\n"
    "\n"
    "  -c, --config FILE       read FILE, not " CONFIG_PATH "\n"
    "  -o, --option SETTING    'name = value', as in the file\n"
    "      --json              as an array of objects\n"
    "      --clear             forget it instead, to observe anew\n"
    "      --help              this text\n"
    "\n"
    "Ends with 0 when it was done, 1 when it could not be, 2 when the command\n"
    "line is wrong or FILE cannot be read.  Is to be run by root, or by the\n"
    "user that state_directory belongs to.\n";

#define OPTION_JSON  (OPTIONS_MODE + 1)
#define OPTION_CLEAR (OPTIONS_MODE + 2)

#define ROWS_FIRST  64
#define ESCAPED_MAX (4 * DECISION_NAME_MAX + 4 * ADDRESS_TEXT_MAX + 1)

struct rows {
	struct state_observed *rows; /* owned */
	size_t count, room;
};

struct wish {
	struct options options;
	bool is_json;
	bool is_clear;
};

/* Rows. */

static bool
add_row(void *arg, const struct state_observed *row)
{
	struct rows *rows = arg;
	struct state_observed *grown;
	size_t room = rows->room == 0 ? ROWS_FIRST : rows->room * 2;

	if (rows->count == rows->room) {
		grown = reallocarray(rows->rows, room, sizeof(*grown));
		if (grown == NULL)
			return false;
		rows->rows = grown;
		rows->room = room;
	}
	rows->rows[rows->count++] = *row;
	return rows->count < STATE_OBSERVED_MAX;
}

/* How many of them, from the first one on, are of its domain. */
static size_t
count_domain(const struct state_observed *rows, size_t count)
{
	size_t n = 1;

	while (n < count && strcmp(rows[n].domain, rows[0].domain) == 0)
		n++;
	return n;
}

static uint64_t
count_recipients(const struct state_observed *rows, size_t count)
{
	uint64_t recipients = 0;

	for (size_t i = 0; i < count; i++)
		recipients += rows[i].count;
	return recipients;
}

static const char *
escape(const char *text, char out[ESCAPED_MAX])
{
	return log_escape(out, ESCAPED_MAX, text, strlen(text));
}

/* Text. */

static void
print_count(uint64_t count, const char *what)
{
	printf("%llu %s%s", (unsigned long long)count, what,
	    count == 1 ? "" : "s");
}

static void
print_row(const struct state_observed *row)
{
	char text[ESCAPED_MAX], first[DATE_TEXT_MAX], last[DATE_TEXT_MAX];

	printf("%8llu  %s", (unsigned long long)row->count,
	    escape(row->server, text));
	if (strcmp(row->evidence, "none") != 0)
		printf("  by %s", escape(row->evidence, text));
	if (strcmp(row->word, "none") != 0)
		printf("  %s", escape(row->word, text));
	putchar('\n');
	if (row->why[0] != '\0')
		printf("%10s%s\n", "", escape(row->why, text));
	printf("%10s%s", "", date_text(row->first, first));
	if (row->last != row->first)
		printf(" to %s", date_text(row->last, last));
	putchar('\n');
}

/* The latest comes first. */
static void
print_domain(const struct state_observed *rows, size_t count)
{
	char domain[ESCAPED_MAX], last[DATE_TEXT_MAX];

	printf("%s: ", escape(rows[0].domain, domain));
	print_count(count_recipients(rows, count), "recipient");
	printf(", last %s\n", date_text(rows[0].last, last));
	for (size_t i = 0; i < count; i++)
		print_row(&rows[i]);
	putchar('\n');
}

static void
print_text(const struct rows *rows)
{
	size_t domains = 0, count;

	if (rows->count == 0) {
		puts("nothing was observed that would be refused");
		return;
	}
	for (size_t i = 0; i < rows->count; i += count, domains++) {
		count = count_domain(&rows->rows[i], rows->count - i);
		print_domain(&rows->rows[i], count);
	}
	print_count(count_recipients(rows->rows, rows->count), "recipient");
	fputs(" in ", stdout);
	print_count(domains, "domain");
	puts(" would have been refused");
}

/* JSON. */

/* "2026-11-02T03:04:05Z" (RFC 3339) */
static json_t *
make_date(int64_t when)
{
	char text[DATE_TEXT_MAX], *space;

	date_text(when, text);
	if ((space = strchr(text, ' ')) != NULL)
		*space = 'T';
	return json_string(text);
}

static int
set_text(json_t *object, const char *key, const char *value)
{
	char text[ESCAPED_MAX];

	return json_object_set_new(
	    object, key, json_string(escape(value, text)));
}

/* NULL: ENOMEM. */
static json_t *
make_object(const struct state_observed *row)
{
	json_t *object = json_object();

	if (set_text(object, "domain", row->domain) == 0 &&
	    set_text(object, "server", row->server) == 0 &&
	    set_text(object, "evidence", row->evidence) == 0 &&
	    set_text(object, "word", row->word) == 0 &&
	    set_text(object, "why", row->why) == 0 &&
	    json_object_set_new(object, "recipients",
		json_integer((json_int_t)row->count)) == 0 &&
	    json_object_set_new(object, "first", make_date(row->first)) == 0 &&
	    json_object_set_new(object, "last", make_date(row->last)) == 0)
		return object;
	json_decref(object);
	return NULL;
}

static int
print_json(const struct rows *rows)
{
	json_t *array = json_array();
	int ret = 0;

	for (size_t i = 0; i < rows->count && ret == 0; i++)
		ret = json_array_append_new(array, make_object(&rows->rows[i]));
	if (ret == 0)
		ret = json_dumpf(array, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(array);
	return ret;
}

/* The file. */

/* -1: this user cannot be left, after a message. */
static int
become_owner(const char *directory)
{
	struct stat st;

	if (geteuid() != 0 || stat(directory, &st) == -1 || st.st_uid == 0)
		return 0;
	if (setgroups(0, NULL) == 0 &&
	    setresgid(st.st_gid, st.st_gid, st.st_gid) == 0 &&
	    setresuid(st.st_uid, st.st_uid, st.st_uid) == 0)
		return 0;
	fprintf(stderr, "postern: observed: cannot become user id %u: %s\n",
	    (unsigned int)st.st_uid, strerror(errno));
	return -1;
}

static enum cmd_exit
failed(const char *error)
{
	fprintf(stderr, "postern: observed: %s\n", error);
	return CMD_FAILED;
}

static enum cmd_exit
print_rows(const struct rows *rows, bool is_json)
{
	if (!is_json)
		print_text(rows);
	else if (print_json(rows) == -1)
		return failed("cannot write JSON");
	if (fflush(stdout) == EOF || ferror(stdout))
		return failed("cannot write it");
	return CMD_OK;
}

static enum cmd_exit
list(struct state *state, bool is_json)
{
	struct rows rows = {.rows = NULL};
	enum cmd_exit code;
	int r;

	r = state_each_observed(state, add_row, &rows);
	state_close(state);
	if (r == -1)
		code = failed("the file cannot be read to its end");
	else
		code = print_rows(&rows, is_json);
	free(rows.rows);
	return code;
}

static enum cmd_exit
clear(struct state *state)
{
	int r = state_clear_observed(state); /* which has logged why not */

	state_close(state);
	return r == -1 ? CMD_FAILED : CMD_OK;
}

static enum cmd_exit
no_file(const char *directory, bool is_json)
{
	fprintf(is_json ? stderr : stdout,
	    "nothing was observed: there is no %s/%s yet; postern makes it "
	    "when it runs, and counts there while enforce = false or a "
	    "domain's level = observe\n",
	    directory, STATE_FILE);
	if (is_json)
		puts("[]");
	return fflush(stdout) == EOF ? CMD_FAILED : CMD_OK;
}

static enum cmd_exit
act(const struct wish *wish, const char *directory)
{
	char error[STATE_ERROR_MAX];
	struct state *state;

	if (become_owner(directory) == -1)
		return CMD_FAILED;
	state = state_open_existing(directory, wish->is_clear, error);
	if (state == NULL && errno == ENOENT)
		return no_file(directory, wish->is_json);
	if (state == NULL)
		return failed(error);
	return wish->is_clear ? clear(state) : list(state, wish->is_json);
}

/* The command line. */

/*
 * Mistakes in the file are no reason to tell nothing, and what `postern run`
 * was given besides it is not known here; mistakes in what was typed are.
 */
static struct config *
read_config(const struct options *options)
{
	static const char typed[] = "command line:";
	char error[CONFIG_ERROR_MAX];
	const char *path = options->path;
	struct config *config;
	bool ignored;

	if (access(path == NULL ? CONFIG_PATH : path, R_OK) == -1 &&
	    (path != NULL || errno != ENOENT)) {
		fprintf(stderr, "postern: %s: %s\n",
		    path == NULL ? CONFIG_PATH : path, strerror(errno));
		return NULL;
	}
	if ((config = options_load(options, error)) != NULL)
		return config;
	if (strncmp(error, typed, strlen(typed)) == 0) {
		fprintf(stderr, "postern: %s\n", error);
		return NULL;
	}
	if ((config = options_glean(options, &ignored)) == NULL)
		fputs("postern: out of memory\n", stderr);
	return config;
}

/* False: over, with this code. */
static bool
read_arguments(struct wish *wish, int argc, char **argv, enum cmd_exit *code)
{
	static const struct option longs[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"option", required_argument, NULL, 'o'},
	    {"json", no_argument, NULL, OPTION_JSON},
	    {"clear", no_argument, NULL, OPTION_CLEAR},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	int ch;

	*code = CMD_USAGE;
	while ((ch = getopt_long(argc, argv, "c:o:h", longs, NULL)) != -1) {
		if (ch == OPTION_JSON)
			wish->is_json = true;
		else if (ch == OPTION_CLEAR)
			wish->is_clear = true;
		else if (ch == 'h') {
			printf("%s%s", usage, help);
			*code = CMD_OK;
			return false;
		} else if (options_common(&wish->options, ch, optarg) !=
			   OPTIONS_TAKEN) {
			fputs(usage, stderr);
			return false;
		}
	}
	if (optind == argc && !(wish->is_json && wish->is_clear))
		return true;
	fputs(usage, stderr);
	return false;
}

int
cmd_observed(int argc, char **argv)
{
	struct wish wish = {.is_json = false};
	struct config *config;
	enum cmd_exit code;

	if (!read_arguments(&wish, argc, argv, &code))
		return code;
	if ((config = read_config(&wish.options)) == NULL)
		return CMD_USAGE;
	code = act(&wish, config->state_directory);
	config_free(config);
	return code;
}
