/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_BRIDGE_H
#define POSTERN_BRIDGE_H

/*
 * A bridge of this host, as it is now: its address and its ports.
 */

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BRIDGE_PORTS_MAX 256
#define BRIDGE_ERROR_MAX 256

struct bridge {
	uint8_t mac[6];
	size_t port_count;
	char *ports[BRIDGE_PORTS_MAX]; /* owned; names */
};

/*
 * bridge_look reads it.  Returns 0; or -1 with the reason in error and
 * *is_absent saying whether there is no interface of that name: then it may
 * come yet.
 */
int bridge_look(const char *name, struct bridge *, bool *is_absent,
    char error[BRIDGE_ERROR_MAX]);
void bridge_clear(struct bridge *);

/*
 * bridge_print returns a number that changes, but for chance, when the rules
 * for that bridge do: another interface of the name, another address or other
 * ports.  0: it is not there, or cannot be looked at.
 */
uint64_t bridge_print(const char *name);

/*
 * bridge_trouble says which setting of this host keeps postern from standing
 * in a bridge: text with the remedy (static), or NULL where there is none.
 */
const char *bridge_trouble(void);

#endif
