/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_DOCTOR_LINK_H
#define POSTERN_DOCTOR_LINK_H

/* A network interface as the kernel has it now. */

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

struct link_state {
	unsigned int index;
	bool is_up; /* as its administrator wants it */
	bool has_carrier;
	bool has_xdp; /* a program looks at packets before any rule */
	bool is_bridge;
	/* Whose port it is, "" for none; and of which kind: "bridge", "vrf". */
	char master[IF_NAMESIZE];
	char master_kind[16];
};

/*
 * link_look returns 0, or -1 with errno set: ENODEV, where there is no such
 * interface.
 */
int link_look(const char *name, struct link_state *);

/* Whether large receive offload is on: 1 or 0; -1 with errno set. */
int link_has_lro(const char *name);

#endif
