/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_CONFINE_H
#define POSTERN_CONFINE_H

#include "proxy/plan.h"

/*
 * confine is for a command that is about to read what comes from the network,
 * as the children of `postern run` do: it gives up root for the user that the
 * program was planned to run as, and locks this process into a relay's jail,
 * where it can print and little else.  Returns 0, or -1 with the reason in
 * error.
 */
int confine(const struct spawn *, char error[PLAN_ERROR_MAX]);

#endif
