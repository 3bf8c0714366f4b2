/* SPDX-License-Identifier: ISC */
/*
 * Root gives nothing away but what it has just made itself: the directory
 * above is opened once and must be one that nobody else can change, so that
 * the name means the same thing throughout.
 */

#include "proxy/state_directory.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/spawn.h"

/* Splits "/var/lib/postern" in place, before the last name; NULL: none. */
static char *
split(char *path)
{
	size_t len = strlen(path);
	char *slash;

	while (len > 0 && path[len - 1] == '/')
		path[--len] = '\0';
	if ((slash = strrchr(path, '/')) == NULL)
		return NULL;
	*slash = '\0';
	return slash + 1;
}

/* The directory above, or -1 where it is none to make one in for another. */
static int
open_above(const char *path, const struct spawn *child)
{
	struct stat st;
	int fd;

	fd = open(
	    path[0] == '\0' ? "/" : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || !child->changes_user)
		return fd;
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
	    (st.st_mode & (S_IWGRP | S_IWOTH)) == 0)
		return fd;
	close(fd);
	errno = EPERM;
	return -1;
}

static int
give_away(int above, const char *name, const struct spawn *child)
{
	int fd, saved, ret;

	fd = openat(
	    above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return -1;
	ret = fchown(fd, child->uid, child->gid);
	saved = errno;
	close(fd);
	errno = saved;
	return ret;
}

static int
make(int above, const char *name, const struct spawn *child)
{
	int saved;

	if (mkdirat(above, name, 0700) == -1)
		return errno == EEXIST ? 0 : -1;
	if (!child->changes_user || give_away(above, name, child) == 0)
		return 0;
	saved = errno;
	unlinkat(above, name, AT_REMOVEDIR);
	errno = saved;
	return -1;
}

void
state_directory_make(const char *path, const struct spawn *child)
{
	char above[PATH_MAX];
	char *name;
	int fd;

	if (strlcpy(above, path, sizeof(above)) >= sizeof(above) ||
	    (name = split(above)) == NULL || name[0] == '\0')
		return;
	fd = open_above(above, child);
	if (fd == -1 || make(fd, name, child) == -1)
		log_info("%s cannot be made: %s", path, strerror(errno));
	if (fd != -1)
		close(fd);
}
