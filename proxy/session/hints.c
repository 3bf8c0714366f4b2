/* SPDX-License-Identifier: ISC */
/*
 * A table with one place for each hash: what collides is forgotten, which
 * costs a re-dial and nothing else.
 */

#include "proxy/session/hints.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/address.h"
#include "proxy/policy/decision.h"

struct hint {
	struct address address;
	char name[DECISION_NAME_MAX];
	uint8_t policy[TLS_POLICY_LEN];
};

struct hints {
	struct hint table[HINTS_MAX];
};

struct hints *
hints_new(void)
{
	return calloc(1, sizeof(struct hints));
}

void
hints_free(struct hints *hints)
{
	free(hints);
}

static size_t
place(const struct address *address)
{
	size_t hash = 5381, i;

	for (i = 0; i < sizeof(address->ip); i++)
		hash = hash * 33 + address->ip[i];
	return (hash + address->port) % HINTS_MAX;
}

void
hints_put(struct hints *hints, const struct address *address, const char *name,
    const uint8_t policy[TLS_POLICY_LEN])
{
	struct hint *hint = &hints->table[place(address)];

	hint->address = *address;
	strlcpy(hint->name, name, sizeof(hint->name));
	memcpy(hint->policy, policy, sizeof(hint->policy));
}

void
hints_drop(struct hints *hints, const struct address *address)
{
	struct hint *hint = &hints->table[place(address)];

	if (address_equal(&hint->address, address))
		hint->name[0] = '\0';
}

void
hints_get(const struct hints *hints, struct tls_target *target)
{
	const struct hint *hint = &hints->table[place(&target->address)];

	target->sni = NULL;
	if (hint->name[0] == '\0' ||
	    !address_equal(&hint->address, &target->address))
		return;
	target->sni = hint->name;
	memcpy(target->policy, hint->policy, sizeof(target->policy));
}
