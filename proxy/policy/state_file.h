/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_STATE_FILE_H
#define POSTERN_STATE_FILE_H

/*
 * The file behind state.h, as a database that is sound, of this version, and
 * set up so that it can be used from within a jail and by several processes.
 */

#include "proxy/policy/state.h"

struct sqlite3;

enum state_file_use {
	STATE_FILE_KEEP, /* it is made, and made anew where damaged */
	STATE_FILE_CHANGE,
	STATE_FILE_READ,
};

/*
 * state_file_open returns a database with the tables policy and observed; the
 * caller ends it by sqlite3_close.  NULL with a message, and errno ENOENT
 * where there is no file.
 */
struct sqlite3 *state_file_open(
    const char *directory, enum state_file_use, char error[STATE_ERROR_MAX]);

#endif
