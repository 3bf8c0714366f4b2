/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_LOG_H
#define POSTERN_LOG_H

/*
 * Where every program of postern says what happened: plain messages for the
 * operator, and one-line records (key=value or JSON) for each verdict and
 * session.  Everything that came from the network is escaped on its way out:
 * text lines are printable ASCII (other bytes as \xHH), JSON lines are valid
 * UTF-8 (control characters as \u00HH, bytes that are not UTF-8 as U+FFFD).
 *
 *	[time] program[pid]: session id=7f3a client=192.0.2.1 helo="a b"
 *	{"time":...,"program":...,"pid":...,"record":"session","id":...}
 *	{"time":...,"program":...,"pid":...,"level":...,"message":...}
 *
 * A text line carries the time only where nobody behind it adds one.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_LINE_MAX 4096 /* bytes of one line; what is longer is cut */

enum log_to {
	LOG_TO_AUTO, /* stderr; with <N> prefixes where it is the journal */
	LOG_TO_STDERR,
	LOG_TO_SYSLOG, /* syslog(3), facility mail */
};

enum log_format {
	LOG_FORMAT_TEXT, /* key=value */
	LOG_FORMAT_JSON, /* one object a line */
};

/*
 * log_init names this program in its lines (program is borrowed for the life
 * of the process) and opens the destination, which it must do before the
 * sandbox closes the way to /dev/log.  log_set_verbose lets log_debug speak.
 * May be called again to change any of them.  Never fails: where the
 * destination cannot be opened, lines go to stderr.
 */
void log_init(const char *program, enum log_to, enum log_format);
void log_set_verbose(bool);
bool log_is_verbose(void);

/*
 * One message a line, printf-style; no newline at the end.  log_warn adds
 * ": " and the text of errno.  errno is preserved by all of them.
 */
void log_debug(const char *, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *, ...) __attribute__((format(printf, 1, 2)));
void log_warnx(const char *, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *, ...) __attribute__((format(printf, 1, 2)));
void log_errx(const char *, ...) __attribute__((format(printf, 1, 2)));

/*
 * fatal and fatalx log and exit(1).  For broken invariants and for a start
 * that cannot go on; nothing that a peer sends may lead here.
 */
void fatal(const char *, ...) __attribute__((format(printf, 1, 2), noreturn));
void fatalx(const char *, ...) __attribute__((format(printf, 1, 2), noreturn));

/*
 * A record: begun with the name of what it records ("session", "verdict"),
 * filled field by field, written by log_record_end.  Lives on the caller's
 * stack; a field that does not fit LOG_LINE_MAX any more is left out whole and
 * the line then ends in truncated=yes.  A NULL or empty value is left out too.
 */
struct log_record {
	char text[LOG_LINE_MAX]; /* private */
	size_t len;
	bool is_truncated;
	enum log_format format;
};

void log_record_begin(struct log_record *, const char *what);
void log_record_str(struct log_record *, const char *key, const char *);
void log_record_mem(struct log_record *, const char *key, const void *, size_t);
void log_record_num(struct log_record *, const char *key, uint64_t);
void log_record_end(struct log_record *);

/*
 * log_escape writes len bytes of data to out as printable ASCII, NUL-ended,
 * at most size bytes: control characters, DEL, backslash and bytes over 0x7e
 * become \xHH.  Returns out.
 */
const char *log_escape(char *out, size_t size, const void *data, size_t len);
/* Nothing but printable ASCII, as what was escaped is. */
bool log_is_printable(const char *);

#endif
