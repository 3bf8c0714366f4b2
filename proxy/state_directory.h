/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_STATE_DIRECTORY_H
#define POSTERN_STATE_DIRECTORY_H

/*
 * The directory that outlives postern's processes (state_directory): made by
 * the one that may, for the one that uses it.
 */

struct spawn;

/*
 * state_directory_make makes the directory where there is nothing by its name,
 * for the user that the child will run as, and for nobody else.  What is there
 * already is left as it is.  As root it makes one in a directory of root's
 * only.  A failure is no matter for the caller: the child, which judges what
 * it finds, goes on without, and says what to do.
 */
void state_directory_make(const char *path, const struct spawn *child);

#endif
