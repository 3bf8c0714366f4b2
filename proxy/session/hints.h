/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_HINTS_H
#define POSTERN_HINTS_H

/*
 * Which name a server at an address was last proved under: a first guess for
 * SNI, never evidence.
 */

struct address;
struct hints;

#define HINTS_MAX 1024

/* NULL: ENOMEM. */
struct hints *hints_new(void);
void hints_free(struct hints *);
/* name is copied; a newer one takes an older one's place. */
void hints_put(struct hints *, const struct address *, const char *name);
void hints_drop(struct hints *, const struct address *);
/* NULL where there is none; valid until the next hints_put. */
const char *hints_get(const struct hints *, const struct address *);

#endif
