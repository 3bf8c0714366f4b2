/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_TEST_FOLDER_H
#define POSTERN_TEST_FOLDER_H

/* For tests that work in a folder of their own: its end. */

#include <sys/stat.h>

#include <ftw.h>
#include <stdio.h>

static inline int
folder_remove_entry(
    const char *path, const struct stat *st, int kind, struct FTW *place)
{
	(void)st;
	(void)kind;
	(void)place;
	return remove(path);
}

/* With all that is in it; 0, or -1 with errno set. */
static inline int
folder_remove(const char *path)
{
	return nftw(path, folder_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
