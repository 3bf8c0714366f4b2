/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_POLICY_TAG_H
#define POSTERN_POLICY_TAG_H

/*
 * A decision's proof as a digest: two that ask the same of a far end share it,
 * whatever domains they are for.  TLS sessions are kept apart by it.
 */

#include <stdint.h>

#include "proxy/tls/client.h"

struct decision;

void policy_tag(const struct decision *, uint8_t out[TLS_POLICY_LEN]);

#endif
