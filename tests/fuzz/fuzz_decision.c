/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as a decision.  What is taken must be one that decision_put writes
 * back as the very same bytes.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/ipc.h"
#include "proxy/policy/decision.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct decision decision;
	static struct ipc_message message;
	struct ipc_reader reader = {.data = data, .len = len};

	if (decision_get(&reader, &decision) == -1 || ipc_end(&reader) == -1)
		return 0;
	ipc_compose(&message, POLICY_ANSWER, 0);
	decision_put(&message, &decision);
	if (message.is_bad || message.len != len ||
	    memcmp(message.data, data, len) != 0)
		abort();
	return 0;
}
