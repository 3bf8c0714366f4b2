/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_TITLE_H
#define POSTERN_TITLE_H

/*
 * The title of `postern run`, which ps(1) shows and `postern status` reads:
 * "postern: " and how things stand.
 */

#include <stdbool.h>

#define TITLE_MAX 512 /* with the program's name, and a NUL */

/*
 * title_init makes room; to be called before anything keeps a pointer to an
 * argument or to the environment.
 */
void title_init(int argc, char **argv);

/* title_set shows a word, one of these first, and what else there is to say. */
#define TITLE_STARTING "starting"
#define TITLE_READY    "ready" /* a relay, the policy and the gate serve */
#define TITLE_DOWN     "not ready" /* they did, and will again */
#define TITLE_STOPPING "stopping"
void title_set(const char *word, const char *rest);

/*
 * title_text finds what title_set set in a process's arguments; the result
 * points into them.  NULL: that is no such title.
 */
const char *title_text(const char *arguments);
bool title_is_ready(const char *text);

#endif
