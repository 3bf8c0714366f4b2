/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_RULES_DUMP_H
#define POSTERN_RULES_DUMP_H

/*
 * What nf_tables of this network namespace hold, read by netlink as the kernel
 * has it: libnftables translates for people, and may fail at what others put
 * there.  Needs CAP_NET_ADMIN.
 */

/*
 * rules_dump writes the table `inet postern` as text that is the same for
 * tables that do the same: a line a rule, its expressions as the kernel's
 * bytes; anonymous sets where they are used; no handles, counters, comments,
 * or elements that packets made.
 *
 *	table inet postern {
 *		2=00000000
 *		chain forward {
 *			4=...
 *			meta:1=... cmp:...
 *		}
 *	}
 *
 * Returns the text (free it), or NULL with errno set: ENOENT, where there is
 * no such table.
 */
char *rules_dump(void);

#endif
