/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_GENERATION_H
#define POSTERN_GENERATION_H

/*
 * One version of the settings as the parent holds it: read, judged to be
 * usable by every child, and sealed in the memory file that they get.
 */

#include <stdint.h>

#include "proxy/config_file.h"

struct config;
struct parent_options;

struct generation {
	uint32_t number;
	struct config *config; /* owned; NULL: there is none */
	/*
	 * Owned; -1: not sealed yet.  relay_fd is what relays get, who have no
	 * use for the password of a Redis.
	 */
	int fd;
	int relay_fd;
};

/*
 * generation_load reads the file and the options, and makes out of
 * own_connections = auto what it is here.  Returns 0, or -1 with the reason
 * in error and the generation empty.
 */
int generation_load(struct generation *, uint32_t number,
    const struct parent_options *, char error[CONFIG_ERROR_MAX]);

/* generation_seal makes both fds out of config; as generation_load. */
int generation_seal(struct generation *, char error[CONFIG_ERROR_MAX]);

/* generation_clear leaves it empty; an empty one stays so. */
void generation_clear(struct generation *);

#endif
