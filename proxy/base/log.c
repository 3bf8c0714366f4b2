/* SPDX-License-Identifier: ISC */
/*
 * Lines to stderr, the journal or syslog(3).  This file decides how bytes look
 * in a line: text lines are printable ASCII and nothing else; JSON lines are
 * valid UTF-8, in which a byte that is not becomes U+FFFD.  Each line leaves
 * in one write, so that the lines of several processes do not mix.
 */

#include "proxy/base/log.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <paths.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "proxy/base/clock.h"

/* The journal's name for every line of the unit: its ExecStart's. */
#define UNIT_PROGRAM "postern"

#define PROGRAM_MAX 48 /* characters of the program's name in a line */
#define PREFIX_MAX  128 /* "<6>", time, name, process id */
#define TRAILER_MAX 24 /* truncated=yes, quotes and braces */
#define TIME_MAX    32
#define ESCAPE_MAX  8 /* one byte's longest form, with its NUL */

static struct {
	const char *program; /* borrowed */
	enum log_format format;
	bool is_syslog;
	bool is_journal; /* stderr leads there: "<N>"; see text_prefix */
	bool is_verbose;
} state = {.program = "postern"};

/* A line in the making: a piece fits whole or ends it. */
struct sink {
	char *text;
	size_t len;
	size_t max;
	bool is_full;
};

static void
sink_put(struct sink *sink, const char *piece, size_t len)
{
	if (sink->is_full || len > sink->max - sink->len) {
		sink->is_full = true;
		return;
	}
	memcpy(sink->text + sink->len, piece, len);
	sink->len += len;
}

static void
sink_puts(struct sink *sink, const char *piece)
{
	sink_put(sink, piece, strlen(piece));
}

static void sink_printf(struct sink *sink, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* For what is short by its nature. */
static void
sink_printf(struct sink *sink, const char *format, ...)
{
	char piece[PREFIX_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(piece, sizeof(piece), format, ap);
	va_end(ap);
	sink_puts(sink, piece);
}

static bool
is_printable(uint8_t c)
{
	return c >= 0x20 && c <= 0x7e;
}

static void
sink_put_hex(struct sink *sink, uint8_t c)
{
	char piece[ESCAPE_MAX];

	snprintf(piece, sizeof(piece), "\\x%02x", c);
	sink_puts(sink, piece);
}

/* special: the printable characters that get a backslash. */
static void
sink_put_text(
    struct sink *sink, const uint8_t *data, size_t len, const char *special)
{
	char escaped[2] = "\\";
	size_t i;

	for (i = 0; i < len && !sink->is_full; i++) {
		escaped[1] = (char)data[i];
		if (!is_printable(data[i]))
			sink_put_hex(sink, data[i]);
		else if (strchr(special, data[i]) != NULL)
			sink_put(sink, escaped, 2);
		else
			sink_put(sink, escaped + 1, 1);
	}
}

/* The length of the valid UTF-8 sequence at data, or 0 (RFC 3629). */
static size_t
utf8_len(const uint8_t *data, size_t len)
{
	/* The second byte's range is what rules out overlong forms. */
	static const struct {
		uint8_t first_min, first_max, second_min, second_max;
		uint8_t len;
	} forms[] = {
	    {0xc2, 0xdf, 0x80, 0xbf, 2},
	    {0xe0, 0xe0, 0xa0, 0xbf, 3},
	    {0xe1, 0xec, 0x80, 0xbf, 3},
	    {0xed, 0xed, 0x80, 0x9f, 3},
	    {0xee, 0xef, 0x80, 0xbf, 3},
	    {0xf0, 0xf0, 0x90, 0xbf, 4},
	    {0xf1, 0xf3, 0x80, 0xbf, 4},
	    {0xf4, 0xf4, 0x80, 0x8f, 4},
	};
	size_t i, j;

	if (data[0] < 0x80)
		return 1;
	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (data[0] >= forms[i].first_min &&
		    data[0] <= forms[i].first_max)
			break;
	if (i == sizeof(forms) / sizeof(forms[0]) || len < forms[i].len ||
	    data[1] < forms[i].second_min || data[1] > forms[i].second_max)
		return 0;
	for (j = 2; j < forms[i].len; j++)
		if ((data[j] & 0xc0) != 0x80)
			return 0;
	return forms[i].len;
}

/* U+0080 to U+009F move a terminal's cursor as ESC does. */
static bool
is_c1_control(const uint8_t *data, size_t len)
{
	return len == 2 && data[0] == 0xc2 && data[1] < 0xa0;
}

static void
sink_put_unicode(struct sink *sink, uint8_t c)
{
	char piece[ESCAPE_MAX];

	snprintf(piece, sizeof(piece), "\\u%04x", c);
	sink_puts(sink, piece);
}

static void
sink_put_json(struct sink *sink, const uint8_t *data, size_t len)
{
	char escaped[2] = "\\";
	size_t i, n;

	for (i = 0; i < len && !sink->is_full; i += n) {
		escaped[1] = (char)data[i];
		n = utf8_len(data + i, len - i);
		if (n == 0) {
			sink_puts(sink, "\\ufffd");
			n = 1;
		} else if (is_c1_control(data + i, n))
			sink_put_unicode(sink, data[i + 1]);
		else if (n > 1)
			sink_put(sink, (const char *)data + i, n);
		else if (!is_printable(data[i]))
			sink_put_unicode(sink, data[i]);
		else if (data[i] == '"' || data[i] == '\\')
			sink_put(sink, escaped, 2);
		else
			sink_put(sink, escaped + 1, 1);
	}
}

static const char *
time_text(char out[TIME_MAX])
{
	time_t now = (time_t)clock_wall();
	struct tm tm;

	if (gmtime_r(&now, &tm) == NULL ||
	    strftime(out, TIME_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		strlcpy(out, "-", TIME_MAX);
	return out;
}

static void
json_begin(struct sink *sink)
{
	char now[TIME_MAX];

	sink_printf(sink, "{\"time\":\"%s\",\"program\":\"%.*s\",\"pid\":%d",
	    time_text(now), PROGRAM_MAX, state.program, (int)getpid());
}

static void
write_line(const char *line, size_t len)
{
	/* What stderr does not take is lost: there is nobody to tell. */
	while (write(STDERR_FILENO, line, len) == -1 && errno == EINTR)
		continue;
}

/*
 * The journal has the time and the process id of a line already, and the name
 * of the unit's first program, whichever wrote it.
 */
static void
text_prefix(struct sink *sink)
{
	char now[TIME_MAX];

	if (!state.is_journal)
		sink_printf(sink, "%s %.*s[%d]: ", time_text(now), PROGRAM_MAX,
		    state.program, (int)getpid());
	else if (strcmp(state.program, UNIT_PROGRAM) != 0)
		sink_printf(sink, "%.*s: ", PROGRAM_MAX, state.program);
}

/* text is escaped already, and with PREFIX_MAX fits a line. */
static void
emit(int priority, enum log_format format, const char *text, size_t len)
{
	char line[LOG_LINE_MAX];
	struct sink sink = {.text = line, .max = sizeof(line) - 1};

	if (state.is_syslog) {
		syslog(priority, "%.*s", (int)len, text);
		return;
	}
	if (state.is_journal)
		sink_printf(&sink, "<%d>", priority);
	if (format == LOG_FORMAT_TEXT)
		text_prefix(&sink);
	sink_put(&sink, text, len);
	line[sink.len++] = '\n';
	write_line(line, sink.len);
}

static const char *
level_word(int priority)
{
	switch (priority) {
	case LOG_DEBUG:
		return "debug";
	case LOG_INFO:
		return "info";
	case LOG_WARNING:
		return "warning";
	}
	return "error";
}

/* error: the errno to name, or 0. */
static void
message(int priority, int error, const char *format, va_list ap)
{
	char raw[LOG_LINE_MAX];
	char text[LOG_LINE_MAX];
	struct sink sink = {
	    .text = text, .max = sizeof(text) - PREFIX_MAX - TRAILER_MAX};
	size_t len;

	vsnprintf(raw, sizeof(raw), format, ap);
	len = strlen(raw);
	if (error != 0)
		snprintf(raw + len, sizeof(raw) - len, ": %s", strerror(error));
	len = strlen(raw);
	if (state.format == LOG_FORMAT_TEXT) {
		sink_put_text(&sink, (const uint8_t *)raw, len, "");
	} else {
		json_begin(&sink);
		sink_printf(&sink, ",\"level\":\"%s\",\"message\":\"",
		    level_word(priority));
		sink_put_json(&sink, (const uint8_t *)raw, len);
		/* Cut or not, it ends as an object does. */
		sink.is_full = false;
		sink.max += TRAILER_MAX;
		sink_puts(&sink, "\"}");
	}
	emit(priority, state.format, text, sink.len);
}

/* Does stderr lead to the journal?  systemd.exec(5), $JOURNAL_STREAM. */
static bool
stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char own[64];
	struct stat st;

	if (stream == NULL || fstat(STDERR_FILENO, &st) == -1)
		return false;
	snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)st.st_dev,
	    (uintmax_t)st.st_ino);
	return strcmp(own, stream) == 0;
}

/* openlog(3) does not tell whether anybody listens. */
static bool
syslog_is_there(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX, .sun_path = _PATH_LOG};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool is_there;

	is_there = fd != -1 &&
	           connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0;
	if (fd != -1)
		close(fd);
	return is_there;
}

void
log_init(const char *program, enum log_to to, enum log_format format)
{
	/* The zone's file cannot be read once the sandbox is closed. */
	tzset();
	if (state.is_syslog)
		closelog();
	state.program = program;
	state.format = format;
	state.is_journal = to == LOG_TO_AUTO && stderr_is_journal();
	state.is_syslog = to == LOG_TO_SYSLOG && syslog_is_there();
	if (state.is_syslog)
		openlog(program, LOG_PID | LOG_NDELAY, LOG_MAIL);
}

void
log_set_verbose(bool is_verbose)
{
	state.is_verbose = is_verbose;
}

bool
log_is_verbose(void)
{
	return state.is_verbose;
}

void
log_debug(const char *format, ...)
{
	int saved = errno;
	va_list ap;

	if (!state.is_verbose)
		return;
	va_start(ap, format);
	message(LOG_DEBUG, 0, format, ap);
	va_end(ap);
	errno = saved;
}

void
log_info(const char *format, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, format);
	message(LOG_INFO, 0, format, ap);
	va_end(ap);
	errno = saved;
}

void
log_warnx(const char *format, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, format);
	message(LOG_WARNING, 0, format, ap);
	va_end(ap);
	errno = saved;
}

void
log_warn(const char *format, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, format);
	message(LOG_WARNING, saved, format, ap);
	va_end(ap);
	errno = saved;
}

void
log_errx(const char *format, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, format);
	message(LOG_ERR, 0, format, ap);
	va_end(ap);
	errno = saved;
}

void
fatal(const char *format, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, format);
	message(LOG_ERR, saved, format, ap);
	va_end(ap);
	exit(1);
}

void
fatalx(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	message(LOG_ERR, 0, format, ap);
	va_end(ap);
	exit(1);
}

static struct sink
record_sink(struct log_record *record)
{
	return (struct sink){.text = record->text,
	    .len = record->len,
	    .max = sizeof(record->text) - PREFIX_MAX - TRAILER_MAX};
}

/* A field that does not fit hides itself only, not those after it. */
static void
record_keep(struct log_record *record, const struct sink *sink)
{
	if (sink->is_full)
		record->is_truncated = true;
	else
		record->len = sink->len;
}

void
log_record_begin(struct log_record *record, const char *what)
{
	struct sink sink;

	record->len = 0;
	record->is_truncated = false;
	record->format = state.format;
	sink = record_sink(record);
	if (record->format == LOG_FORMAT_TEXT) {
		sink_puts(&sink, what);
	} else {
		json_begin(&sink);
		sink_printf(&sink, ",\"record\":\"%s\"", what);
	}
	record_keep(record, &sink);
}

/* Would a reader that splits at spaces and '=' misread it bare? */
static bool
needs_quotes(const uint8_t *data, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (!is_printable(data[i]) || strchr(" \"=\\", data[i]) != NULL)
			return true;
	return false;
}

void
log_record_mem(
    struct log_record *record, const char *key, const void *data, size_t len)
{
	struct sink sink = record_sink(record);

	if (data == NULL || len == 0)
		return;
	if (record->format == LOG_FORMAT_JSON) {
		sink_printf(&sink, ",\"%s\":\"", key);
		sink_put_json(&sink, data, len);
		sink_puts(&sink, "\"");
	} else if (needs_quotes(data, len)) {
		sink_printf(&sink, " %s=\"", key);
		sink_put_text(&sink, data, len, "\"\\");
		sink_puts(&sink, "\"");
	} else {
		sink_printf(&sink, " %s=", key);
		sink_put(&sink, data, len);
	}
	record_keep(record, &sink);
}

void
log_record_str(struct log_record *record, const char *key, const char *value)
{
	if (value != NULL)
		log_record_mem(record, key, value, strlen(value));
}

void
log_record_num(struct log_record *record, const char *key, uint64_t value)
{
	struct sink sink = record_sink(record);

	sink_printf(&sink,
	    record->format == LOG_FORMAT_JSON ? ",\"%s\":%ju" : " %s=%ju", key,
	    (uintmax_t)value);
	record_keep(record, &sink);
}

void
log_record_end(struct log_record *record)
{
	int saved = errno;
	struct sink sink = record_sink(record);

	sink.max += TRAILER_MAX;
	if (record->format == LOG_FORMAT_JSON) {
		if (record->is_truncated)
			sink_puts(&sink, ",\"truncated\":true");
		sink_puts(&sink, "}");
	} else if (record->is_truncated)
		sink_puts(&sink, " truncated=yes");
	emit(LOG_INFO, record->format, record->text, sink.len);
	errno = saved;
}

bool
log_is_printable(const char *text)
{
	for (; *text != '\0'; text++)
		if (!is_printable((uint8_t)*text))
			return false;
	return true;
}

const char *
log_escape(char *out, size_t size, const void *data, size_t len)
{
	struct sink sink = {.text = out, .max = size > 0 ? size - 1 : 0};
	const char *bytes = data;
	size_t i;

	for (i = 0; i < len && !sink.is_full; i++) {
		if (is_printable((uint8_t)bytes[i]) && bytes[i] != '\\')
			sink_put(&sink, bytes + i, 1);
		else
			sink_put_hex(&sink, (uint8_t)bytes[i]);
	}
	if (size > 0)
		out[sink.len] = '\0';
	return out;
}
