/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_RULES_GATE_H
#define POSTERN_RULES_GATE_H

/*
 * What postern-gate needs of the table in gateway mode, in nft's language.
 * Each writes nothing where there is no queue on this host, or nobody who is
 * exempted.
 */

#include <stdio.h>

struct config;
struct rules_host;

/* Whole chains: first packets to the queue, DNS answers to the log group. */
void
rules_gate_chains(FILE *, const struct config *, const struct rules_host *);
/* Rules of `prerouting`: those that may be exempted are led to `exempt`. */
void
rules_gate_exempt(FILE *, const struct config *, const struct rules_host *);
/* Rules of `forward`: what was exempted is let through. */
void
rules_gate_forward(FILE *, const struct config *, const struct rules_host *);

#endif
