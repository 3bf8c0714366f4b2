/* SPDX-License-Identifier: ISC */
/*
 * Tables with one place for each hash: what collides is forgotten, which
 * costs a re-dial and nothing else.
 */

#include "proxy/session/hints.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/address.h"
#include "proxy/base/clock.h"
#include "proxy/policy/decision.h"

struct hint {
	struct address address;
	char name[DECISION_NAME_MAX];
	uint8_t policy[TLS_POLICY_LEN];
};

struct guess {
	struct address address; /* without port */
	int64_t until_ms;
	char name[DECISION_NAME_MAX];
};

struct hints {
	struct hint table[HINTS_MAX];
	struct guess guesses[HINTS_MAX];
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

static struct guess *
guess_place(struct hints *hints, const struct address *address)
{
	struct address key = *address;

	key.port = 0;
	return &hints->guesses[place(&key)];
}

/* NULL where there is none that still counts. */
static struct guess *
guess_of(struct hints *hints, const struct address *address)
{
	struct guess *guess = guess_place(hints, address);

	return guess->name[0] != '\0' &&
	               address_ip_equal(&guess->address, address) &&
	               guess->until_ms > clock_monotonic_ms()
	           ? guess
	           : NULL;
}

void
hints_guess(struct hints *hints, const struct address *address,
    const char *name, int64_t until_ms)
{
	struct guess *guess = guess_place(hints, address);

	guess->address = *address;
	guess->until_ms = until_ms;
	strlcpy(guess->name, name, sizeof(guess->name));
}

void
hints_put(struct hints *hints, const struct address *address, const char *name,
    const uint8_t policy[TLS_POLICY_LEN])
{
	struct hint *hint = &hints->table[place(address)];
	struct guess *guess = guess_of(hints, address);

	hint->address = *address;
	strlcpy(hint->name, name, sizeof(hint->name));
	memcpy(hint->policy, policy, sizeof(hint->policy));
	if (guess != NULL && strcmp(guess->name, name) != 0)
		guess->name[0] = '\0';
}

void
hints_drop(struct hints *hints, const struct address *address)
{
	struct hint *hint = &hints->table[place(address)];
	struct guess *guess = guess_of(hints, address);

	if (guess != NULL)
		guess->name[0] = '\0';
	if (address_equal(&hint->address, address))
		hint->name[0] = '\0';
}

void
hints_get(struct hints *hints, struct tls_target *target)
{
	const struct hint *hint = &hints->table[place(&target->address)];
	const struct guess *guess = guess_of(hints, &target->address);
	bool is_proved;

	is_proved = hint->name[0] != '\0' &&
	            address_equal(&hint->address, &target->address);
	target->sni = NULL;
	if (is_proved)
		target->sni = hint->name;
	if (guess != NULL) {
		is_proved = is_proved && strcmp(guess->name, hint->name) == 0;
		target->sni = guess->name;
	}
	if (is_proved)
		memcpy(target->policy, hint->policy, sizeof(target->policy));
}
