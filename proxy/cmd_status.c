/* SPDX-License-Identifier: ISC */
/*
 * postern status: what the `postern run` of this place says of itself in its
 * title, and whether the rules lead to it.  It asks nobody, so that no door
 * has to stand open for it, and needs no privilege: a container's probe has
 * none.
 */

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/address.h"
#include "proxy/cmd.h"
#include "proxy/cmd_options.h"
#include "proxy/title.h"

#define DIAL_SECONDS 2

static const char usage[] =
    "usage: postern status [-c FILE] [-i IFACE]... [--mode MODE]\n"
    "                      [-o SETTING]...\n";

static const char help[] =
    "\n"
    "Says whether a `postern run` serves in this network and process\n"
    "namespace, and whether the rules are in place: they let nobody dial the\n"
    "port that postern listens on.  To be run by root, or by the user that "
    "run\n"
    "was started by.\n"
    "\n" OPTIONS_HELP "      --help              this text\n"
    "\n"
    "Ends with 0 when it serves and the rules are in place, 1 when not, 2 "
    "when\n"
    "the command line is wrong.\n";

/* What a process calls itself: its arguments, as far as they fit. */
static bool
read_title(int proc, const char *pid, char title[TITLE_MAX])
{
	char path[sizeof("/cmdline") + NAME_MAX];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "%s/cmdline", pid);
	if ((fd = openat(proc, path, O_RDONLY | O_CLOEXEC)) == -1)
		return false;
	len = read(fd, title, TITLE_MAX - 1);
	close(fd);
	if (len < 0)
		return false;
	title[len] = '\0';
	for (char *c = title; *c != '\0'; c++)
		if (iscntrl((unsigned char)*c))
			*c = '?';
	return true;
}

enum place {
	PLACE_OURS,
	PLACE_ANOTHER,
	PLACE_UNKNOWN, /* the kernel shows it to the same user and root only */
};

static enum place
network_of(int proc, const char *pid)
{
	char path[sizeof("/ns/net") + NAME_MAX];
	struct stat theirs, ours;

	snprintf(path, sizeof(path), "%s/ns/net", pid);
	if (fstatat(proc, path, &theirs, 0) == -1 ||
	    fstatat(proc, "self/ns/net", &ours, 0) == -1)
		return PLACE_UNKNOWN;
	return theirs.st_ino == ours.st_ino ? PLACE_OURS : PLACE_ANOTHER;
}

/* Anybody may call himself anything, but not in the name of root or us. */
static bool
is_trusted(int proc, const char *pid)
{
	struct stat st;

	return fstatat(proc, pid, &st, 0) == 0 &&
	       (st.st_uid == 0 || st.st_uid == geteuid());
}

/* What a process of /proc says of itself, if it is a postern of this place. */
static const char *
find_text(int proc, const char *pid, char title[TITLE_MAX], enum place *place)
{
	const char *text;

	if (strspn(pid, "0123456789") == 0 || !read_title(proc, pid, title) ||
	    (text = title_text(title)) == NULL || !is_trusted(proc, pid) ||
	    (*place = network_of(proc, pid)) == PLACE_ANOTHER)
		return NULL;
	return text;
}

/* Prints what each says of itself; false: none, or one does not serve. */
static bool
print_processes(void)
{
	char title[TITLE_MAX];
	const struct dirent *entry;
	const char *text;
	enum place place;
	bool is_well = true;
	size_t count = 0;
	DIR *proc;

	if ((proc = opendir("/proc")) == NULL) {
		fprintf(stderr, "postern: /proc: %s\n", strerror(errno));
		return false;
	}
	while ((entry = readdir(proc)) != NULL) {
		text = find_text(dirfd(proc), entry->d_name, title, &place);
		if (text == NULL)
			continue;
		printf("postern[%s]: %s%s\n", entry->d_name, text,
		    place == PLACE_OURS
			? ""
			: " (of this network or another: ask as root)");
		is_well = is_well && place == PLACE_OURS &&
		          title_is_ready(text);
		count++;
	}
	closedir(proc);
	if (count == 0)
		puts("no `postern run` is up here");
	return is_well && count > 0;
}

/* The errno of a connection to the listener, by hand; 0: it came about. */
static int
dial(const char *text, uint16_t port)
{
	struct timeval limit = {.tv_sec = DIAL_SECONDS};
	struct sockaddr_storage ss;
	struct address address;
	socklen_t len;
	int fd, ret = 0;

	if (address_from_text(&address, text) == -1)
		return EINVAL;
	address.port = port;
	len = address_to_sockaddr(&address, &ss);
	if ((fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1)
		return errno;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ==
		-1 ||
	    connect(fd, (struct sockaddr *)&ss, len) == -1)
		ret = errno;
	close(fd);
	return ret;
}

/* The rules refuse such a connection; without them the listener takes it. */
static bool
print_rules(uint16_t port)
{
	static const char *const addresses[] = {"127.0.0.1", "::1"};
	size_t count = 0;

	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		int r = dial(addresses[i], port);

		if (r == ECONNREFUSED) {
			count++;
			continue;
		}
		if (r == EAFNOSUPPORT || r == EADDRNOTAVAIL || r == ENETUNREACH)
			continue; /* the host does without that family */
		if (r == 0)
			printf("rules: NOT in place: port %u of %s can be "
			       "dialled, and mail goes past postern; load "
			       "them with `postern rules apply`\n",
			    port, addresses[i]);
		else
			printf("rules: cannot tell: port %u of %s: %s\n", port,
			    addresses[i], strerror(r));
		return false;
	}
	puts(count > 0 ? "rules: in place"
		       : "rules: cannot tell: there is no loopback address");
	return count > 0;
}

int
cmd_status(int argc, char **argv)
{
	struct options options = {0};
	struct config *config;
	enum cmd_exit code;
	bool is_well, knows_mode;

	if (!options_read(&options, argc, argv, usage, help, &code))
		return code;
	if (optind != argc) {
		fputs(usage, stderr);
		return CMD_USAGE;
	}
	/* A file that is being edited is no reason not to answer. */
	if ((config = options_glean(&options, &knows_mode)) == NULL) {
		fputs("postern: out of memory\n", stderr);
		return CMD_FAILED;
	}
	/* Where nobody listens, a refusal tells nothing of the rules. */
	is_well = print_processes() && print_rules(config->listen_port);
	config_free(config);
	return is_well && fflush(stdout) != EOF ? CMD_OK : CMD_FAILED;
}
