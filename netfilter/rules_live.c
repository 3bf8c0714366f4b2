/* SPDX-License-Identifier: ISC */
/*
 * Both tables are dumped by the same kernel and compared as text, each part by
 * its first line.
 */

#include "netfilter/rules_live.h"

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <linux/capability.h>
#include <net/if.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "netfilter/rules_dump.h"
#include "proxy/spawn.h"

#define TABLE_PART "table" /* its own lines */

/* What a child says first of what it then writes. */
enum listing {
	LISTING_TEXT = 'T',
	LISTING_ERROR = 'E',
};

static int
fail(char error[RULES_ERROR_MAX], const char *what, const char *why)
{
	snprintf(error, RULES_ERROR_MAX, "%s: %.*s", what,
	    (int)strcspn(why, "\n"), why);
	return -1;
}

/* Comparing. */

/* A chain, a set or the like: its first line, and the lines inside of it. */
struct part {
	const char *name;
	size_t name_len;
	const char *body;
	size_t body_len;
	bool is_matched;
};

struct parts {
	struct part *list; /* owned; the first is the table's own lines */
	size_t count;
	char *own; /* owned: the table's own lines */
};

static const char *
line_end(const char *line)
{
	return line + strcspn(line, "\n");
}

/* "\tchain forward {", not "\t\t...": the length of "chain forward", or 0. */
static size_t
head_len(const char *line)
{
	size_t len = (size_t)(line_end(line) - line);

	if (len < 4 || line[0] != '\t' || line[1] == '\t' ||
	    strncmp(line + len - 2, " {", 2) != 0)
		return 0;
	return len - 3;
}

static bool
is_foot(const char *line)
{
	return strncmp(line, "\t}\n", 3) == 0 || strcmp(line, "\t}") == 0;
}

static int
add_part(struct parts *parts, const struct part *part)
{
	struct part *list = reallocarray(
	    parts->list, parts->count + 1, sizeof(*list));

	if (list == NULL)
		return -1;
	parts->list = list;
	list[parts->count++] = *part;
	return 0;
}

static const char *
next_line(const char *line)
{
	line = line_end(line);
	return *line == '\n' ? line + 1 : line;
}

/* Reads the part that begins with this line; the line behind it, or NULL. */
static const char *
read_part(struct parts *parts, const char *line)
{
	struct part part = {.name = line + 1, .name_len = head_len(line)};

	part.body = line = next_line(line);
	while (*line != '\0' && !is_foot(line))
		line = next_line(line);
	part.body_len = (size_t)(line - part.body);
	return add_part(parts, &part) == -1 ? NULL : next_line(line);
}

static void
parts_clear(struct parts *parts)
{
	free(parts->list);
	free(parts->own);
}

/* Borrows text. */
static int
parts_read(struct parts *parts, const char *text)
{
	struct part own = {
	    .name = TABLE_PART, .name_len = sizeof(TABLE_PART) - 1};
	const char *line = text, *next;

	memset(parts, 0, sizeof(*parts));
	if ((parts->own = calloc(1, strlen(text) + 1)) == NULL ||
	    add_part(parts, &own) == -1)
		return -1;
	for (; line != NULL && *line != '\0'; line = next) {
		next = next_line(line);
		if (head_len(line) > 0)
			next = read_part(parts, line);
		else if (line[0] == '\t')
			strncat(parts->own, line, (size_t)(next - line));
	}
	parts->list[0].body = parts->own;
	parts->list[0].body_len = strlen(parts->own);
	return line == NULL ? -1 : 0;
}

static struct part *
find_part(struct parts *parts, const struct part *like)
{
	struct part *part;
	size_t i;

	for (i = 0; i < parts->count; i++) {
		part = &parts->list[i];
		if (part->name_len == like->name_len &&
		    memcmp(part->name, like->name, like->name_len) == 0)
			return part;
	}
	return NULL;
}

static void
tell(rules_each each, void *arg, enum rules_difference difference,
    const struct part *part)
{
	char name[256];

	snprintf(name, sizeof(name), "%.*s", (int)part->name_len, part->name);
	if (each != NULL)
		each(arg, difference, name);
}

static int
compare_parts(
    struct parts *wanted, struct parts *live, rules_each each, void *arg)
{
	struct part *part, *other;
	int count = 0;
	size_t i;

	for (i = 0; i < wanted->count; i++) {
		part = &wanted->list[i];
		other = find_part(live, part);
		if (other != NULL)
			other->is_matched = true;
		if (other != NULL && other->body_len == part->body_len &&
		    memcmp(other->body, part->body, part->body_len) == 0)
			continue;
		tell(each, arg, other == NULL ? RULES_MISSING : RULES_CHANGED,
		    part);
		count++;
	}
	for (i = 0; i < live->count; i++)
		if (!live->list[i].is_matched) {
			tell(each, arg, RULES_STRANGE, &live->list[i]);
			count++;
		}
	return count;
}

int
rules_difference_each(
    const char *wanted, const char *live, rules_each each, void *arg)
{
	struct parts want, have = {0};
	int count = -1;

	if (parts_read(&want, wanted) == 0 && parts_read(&have, live) == 0)
		count = compare_parts(&want, &have, each, arg);
	parts_clear(&want);
	parts_clear(&have);
	if (count == -1)
		errno = ENOMEM;
	return count;
}

/* The table that is wanted. */

/* root's own, or where a sidecar's root may not, in a user namespace. */
static int
new_namespace(void)
{
	if (unshare(CLONE_NEWNET) == 0)
		return 0;
	return unshare(CLONE_NEWUSER | CLONE_NEWNET);
}

/* Of that namespace, for the route that leads there. */
static int
raise_loopback(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd, ret;

	if ((fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) == -1)
		return -1;
	ret = ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
	return ret;
}

static void __attribute__((noreturn))
list_elsewhere(int out, const struct config *config, rules_applying apply)
{
	char error[RULES_ERROR_MAX] = "";
	char *said = NULL;

	if (new_namespace() == -1 || raise_loopback() == -1)
		fail(error, "a network namespace to compare in",
		    strerror(errno));
	else if (apply(config, error) == 0 && (said = rules_dump()) == NULL)
		fail(error, "nf_tables", strerror(errno));
	dprintf(out, "%c%s", said != NULL ? LISTING_TEXT : LISTING_ERROR,
	    said != NULL ? said : error);
	_exit(0);
}

static char *
read_all(int fd)
{
	char buf[4096], *text = NULL;
	size_t len;
	ssize_t n;
	FILE *out;

	if ((out = open_memstream(&text, &len)) == NULL)
		return NULL;
	while (
	    (n = read(fd, buf, sizeof(buf))) > 0 || (n == -1 && errno == EINTR))
		if (n > 0)
			fwrite(buf, 1, (size_t)n, out);
	if (fclose(out) == EOF || n == -1) {
		free(text);
		return NULL;
	}
	return text;
}

/* The table once that was called, or NULL. */
static char *
list_wanted(const struct config *config, rules_applying apply,
    char error[RULES_ERROR_MAX])
{
	char *said = NULL;
	int fds[2];
	pid_t pid;

	if (pipe(fds) == -1) {
		fail(error, "pipe", strerror(errno));
		return NULL;
	}
	if ((pid = fork()) == 0) {
		close(fds[0]);
		list_elsewhere(fds[1], config, apply);
	}
	close(fds[1]);
	if (pid != -1) {
		said = read_all(fds[0]);
		while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
			;
	}
	close(fds[0]);
	if (said != NULL && said[0] == LISTING_TEXT) {
		memmove(said, said + 1, strlen(said));
		return said;
	}
	fail(error, "nothing to compare with",
	    said != NULL && said[0] == LISTING_ERROR ? said + 1 : "no answer");
	free(said);
	return NULL;
}

static enum rules_live
compare(const struct config *config, rules_applying apply, const char *live,
    rules_each each, void *arg, char error[RULES_ERROR_MAX])
{
	enum rules_live result = RULES_LIVE_UNCOMPARED;
	char *wanted;

	if ((wanted = list_wanted(config, apply, error)) == NULL)
		return result;
	switch (rules_difference_each(wanted, live, each, arg)) {
	case -1:
		fail(error, "rules", strerror(errno));
		break;
	case 0:
		result = RULES_LIVE_SAME;
		break;
	default:
		result = RULES_LIVE_DIFFERS;
	}
	free(wanted);
	return result;
}

enum rules_live
rules_live(const struct config *config, rules_applying apply, rules_each each,
    void *arg, char error[RULES_ERROR_MAX])
{
	enum rules_live result;
	char *live;

	error[0] = '\0';
	if (!spawn_has_capability(CAP_NET_ADMIN)) {
		fail(error, "needs root", "CAP_NET_ADMIN");
		return RULES_LIVE_UNKNOWN;
	}
	if ((live = rules_dump()) == NULL) {
		if (errno == ENOENT)
			return RULES_LIVE_NONE;
		fail(error, "nf_tables", strerror(errno));
		return RULES_LIVE_UNKNOWN;
	}
	result = compare(config, apply, live, each, arg, error);
	free(live);
	return result;
}
