/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_BLOCKS_H
#define POSTERN_BLOCKS_H

/*
 * The operator's `server` and `domain` blocks, sorted for the questions that
 * are asked of them: which block speaks for this destination or this domain
 * at this time?
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/address.h"
#include "proxy/config.h"

#define BLOCKS_ERROR_MAX 256

/* A server block's destination that is a host name. */
struct block_host {
	const char *name; /* borrowed from the configuration */
	const struct rule *rule; /* likewise */
};

struct block_prefix {
	struct prefix prefix;
	const struct rule *rule; /* borrowed from the configuration */
};

struct blocks {
	const struct config *config; /* borrowed */
	struct block_prefix *prefixes; /* owned; longest first */
	size_t prefix_count;
	struct block_host *hosts; /* owned; in the file's order */
	size_t host_count;
};

/*
 * blocks_new reads the destinations of all server blocks and makes sure that
 * every block fits a decision.  config is borrowed for the blocks' life.
 * NULL, with a message in error, where it cannot serve.
 */
struct blocks *blocks_new(const struct config *, char error[BLOCKS_ERROR_MAX]);
void blocks_free(struct blocks *);

/* A block with an end date is none from that second on. */
bool rule_is_current(const struct rule *, int64_t now);

/* The block with the longest prefix around address, or NULL. */
const struct rule *
blocks_find_address(const struct blocks *, const struct address *, int64_t now);

/*
 * The block for domain: of that very name, else with the longest "*." ending,
 * else NULL.  "*.a.example" covers every name below a.example, not itself.
 */
const struct rule *
blocks_find_domain(const struct blocks *, const char *domain, int64_t now);

#endif
