/* SPDX-License-Identifier: ISC */
/*
 * Files of proc(5), read as texts.  A process may end at any moment: whatever
 * cannot be read of it then means that it is not there.
 */

#include "proxy/doctor_proc.h"

#include <sys/stat.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/title.h"

#define PROGRAM "postern"
#define DELETED " (deleted)"

ssize_t
proc_read(const char *path, char out[PROC_TEXT_MAX])
{
	size_t len = 0;
	ssize_t n;
	int fd, saved;

	out[0] = '\0';
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return -1;
	while ((n = read(fd, out + len, PROC_TEXT_MAX - 1 - len)) > 0)
		len += (size_t)n;
	saved = errno;
	close(fd);
	errno = saved;
	out[len] = '\0';
	return n == -1 ? -1 : (ssize_t)len;
}

int
proc_number(long long *value, const char *format, ...)
{
	char path[PATH_MAX], text[PROC_TEXT_MAX], *end;
	va_list ap;

	va_start(ap, format);
	vsnprintf(path, sizeof(path), format, ap);
	va_end(ap);
	if (proc_read(path, text) == -1)
		return -1;
	*value = strtoll(text, &end, 10);
	if (end != text)
		return 0;
	errno = EINVAL;
	return -1;
}

/* Texts. */

/* What stands behind "KEY:" and blanks at the beginning of a line, or NULL. */
static const char *
value_of(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (; text != NULL && *text != '\0'; text = strchr(text, '\n')) {
		if (*text == '\n')
			text++;
		if (strncmp(text, key, len) == 0 && text[len] == ':')
			return text + len + 1 + strspn(text + len + 1, " \t");
	}
	return NULL;
}

/* The start of the word with this number, from 0, in a line; its end if none.
 */
static const char *
word_of(const char *line, int number)
{
	for (line += strspn(line, " \t"); number > 0; number--) {
		line += strcspn(line, " \t\n");
		line += strspn(line, " \t");
	}
	return line;
}

int
proc_status_read(const char *text, struct proc *proc)
{
	const char *state = value_of(text, "State");
	const char *parent = value_of(text, "PPid");
	const char *uid = value_of(text, "Uid");
	const char *seccomp = value_of(text, "Seccomp");
	const char *capabilities = value_of(text, "CapEff");

	if (state == NULL || parent == NULL || uid == NULL)
		return -1;
	uid = word_of(uid, 1); /* the real one comes first */
	if (!isdigit((unsigned char)*uid))
		return -1;
	proc->state = state[0];
	proc->parent = (pid_t)strtol(parent, NULL, 10);
	proc->uid = (uid_t)strtoul(uid, NULL, 10);
	/* A kernel without seccomp has no such line. */
	proc->seccomp = seccomp == NULL ? 0 : (int)strtol(seccomp, NULL, 10);
	proc->capabilities = capabilities == NULL
	                         ? 0
	                         : strtoull(capabilities, NULL, 16);
	return 0;
}

int
proc_limits_read(const char *text, unsigned long long *files)
{
	static const char name[] = "Max open files";
	const char *line = strstr(text, name);
	char *end;

	if (line == NULL)
		return -1;
	line += sizeof(name) - 1;
	line += strspn(line, " ");
	*files = ULLONG_MAX;
	if (strncmp(line, "unlimited", 9) == 0)
		return 0;
	*files = strtoull(line, &end, 10);
	return end == line ? -1 : 0;
}

void
proc_program_read(const char *link, char name[PROC_NAME_MAX], bool *is_replaced)
{
	const char *slash = strrchr(link, '/');
	size_t len;

	strlcpy(name, slash == NULL ? link : slash + 1, PROC_NAME_MAX);
	len = strlen(name);
	*is_replaced = len > sizeof(DELETED) - 1 &&
	               strcmp(name + len - (sizeof(DELETED) - 1), DELETED) == 0;
	if (*is_replaced)
		name[len - (sizeof(DELETED) - 1)] = '\0';
}

/* The number of the word in a line of words, from 0; -1: it is not there. */
static int
column_of(const char *line, const char *word)
{
	size_t len = strlen(word), n;
	int column;

	for (column = 0; *line != '\0' && *line != '\n'; column++) {
		n = strcspn(line, " \n");
		if (n == len && memcmp(line, word, n) == 0)
			return column;
		line += n + strspn(line + n, " ");
	}
	return -1;
}

int
proc_counter_read(
    const char *text, const char *group, const char *name, uint64_t *value)
{
	const char *head = value_of(text, group), *line;
	int column;

	/* Two lines: the names, then the values. */
	if (head == NULL || (column = column_of(head, name)) == -1 ||
	    (line = value_of(head, group)) == NULL)
		return -1;
	line = word_of(line, column);
	if (!isdigit((unsigned char)*line))
		return -1;
	*value = strtoull(line, NULL, 10);
	return 0;
}

/* Address, index, length, scope, flags, name; a scope of 00 is global. */
bool
proc_has_inet6(const char *text, const char *interface)
{
	size_t len = strlen(interface);
	const char *name;

	for (; text != NULL; text = strchr(text, '\n')) {
		if (*text == '\n')
			text++;
		name = word_of(text, 5);
		if (strncmp(word_of(text, 3), "00 ", 3) == 0 &&
		    strncmp(name, interface, len) == 0 &&
		    (name[len] == '\n' || name[len] == '\0'))
			return true;
	}
	return false;
}

bool
proc_has_route(const char *text, const char *interface)
{
	size_t len = strlen(interface);

	for (; text != NULL; text = strchr(text, '\n')) {
		if (*text == '\n')
			text++;
		if (strncmp(text, interface, len) == 0 && text[len] == '\t')
			return true;
	}
	return false;
}

/* Processes. */

static bool
is_ours(const char *name)
{
	size_t len = sizeof(PROGRAM) - 1;

	return strncmp(name, PROGRAM, len) == 0 &&
	       (name[len] == '\0' || name[len] == '-');
}

/* Its other arguments may hold a password, and are nobody's business. */
static bool
read_verb(struct proc *proc)
{
	char path[64], text[PROC_TEXT_MAX];
	ssize_t len;
	size_t verb;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)proc->pid);
	if ((len = proc_read(path, text)) == -1)
		return false;
	verb = strlen(text) + 1;
	if (strcmp(proc->name, PROGRAM) != 0)
		return true;
	proc->is_run = title_text(text) != NULL ||
	               (verb < (size_t)len && strcmp(text + verb, "run") == 0);
	return true;
}

static bool
read_process(struct proc *proc)
{
	char path[64], text[PROC_TEXT_MAX];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)proc->pid);
	if (proc_read(path, text) == -1 || proc_status_read(text, proc) == -1)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/limits", (int)proc->pid);
	if (proc_read(path, text) == -1 ||
	    proc_limits_read(text, &proc->files) == -1)
		proc->files = 0;
	return read_verb(proc);
}

/* Whoever may not look at the program sees a name of 15 characters. */
static bool
has_our_comm(pid_t pid)
{
	char path[64], text[PROC_TEXT_MAX];

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	if (proc_read(path, text) == -1)
		return false;
	text[strcspn(text, "\n")] = '\0';
	return is_ours(text);
}

static bool
is_in_namespace(pid_t pid, const struct stat *own)
{
	struct stat st;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	return stat(path, &st) == 0 && st.st_ino == own->st_ino &&
	       st.st_dev == own->st_dev;
}

/* Whether it is one of ours. */
static bool
look_at(struct proc_list *found, struct proc *proc, const struct stat *own)
{
	char path[64], link[PATH_MAX];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)proc->pid);
	if ((len = readlink(path, link, sizeof(link) - 1)) == -1) {
		if (errno == EACCES && has_our_comm(proc->pid))
			found->hidden++;
		return false;
	}
	link[len] = '\0';
	proc_program_read(link, proc->name, &proc->is_replaced);
	return is_ours(proc->name) && is_in_namespace(proc->pid, own) &&
	       read_process(proc);
}

static int
add(struct proc_list *found, const struct proc *proc)
{
	struct proc *list = reallocarray(
	    found->list, found->count + 1, sizeof(*list));

	if (list == NULL)
		return -1;
	found->list = list;
	list[found->count++] = *proc;
	return 0;
}

int
proc_scan(struct proc_list *found)
{
	struct dirent *entry;
	struct stat own;
	DIR *dir;
	int ret = 0;

	memset(found, 0, sizeof(*found));
	if (stat("/proc/self/ns/net", &own) == -1 ||
	    (dir = opendir("/proc")) == NULL)
		return -1;
	while (ret == 0 && (entry = readdir(dir)) != NULL) {
		struct proc proc = {
		    .pid = (pid_t)strtol(entry->d_name, NULL, 10)};

		if (proc.pid > 0 && look_at(found, &proc, &own))
			ret = add(found, &proc);
	}
	closedir(dir);
	return ret;
}

void
proc_list_clear(struct proc_list *found)
{
	free(found->list);
	memset(found, 0, sizeof(*found));
}
