/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_RULES_BYPASS_H
#define POSTERN_RULES_BYPASS_H

/*
 * rules_bypass_each finds in all tables of this network namespace what takes
 * packets past all rules: flowtables (kind "flowtable"), and `fwd` in the
 * netdev hooks (kind "fwd").  name is "inet fw ft", or the chain's, once;
 * borrowed.  Needs CAP_NET_ADMIN.  Returns 0, or -1 with errno set.
 */
typedef void (*rules_bypass)(void *arg, const char *kind, const char *name);
int rules_bypass_each(rules_bypass, void *arg);

#endif
