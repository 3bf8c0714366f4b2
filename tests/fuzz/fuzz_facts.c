/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as one part of a domain's facts, the first of them saying which.
 * What is taken must be written back as the very same bytes.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/ipc.h"
#include "proxy/policy/facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct ipc_message message;

static int
take(struct facts *facts, uint8_t part, struct ipc_reader *reader)
{
	static struct mx_facts one = {.host_count = 1};

	ipc_compose(&message, POLICY_FACTS_HEAD, 0);
	switch (part % 3) {
	case 0:
		if (facts_take_head(facts, reader) == -1)
			return -1;
		facts_put_head(&message, &facts->mx);
		return ipc_end(reader);
	case 1:
		facts->has_head = true;
		facts->mx = one;
		facts->mx.hosts = calloc(1, sizeof(*facts->mx.hosts));
		if (facts->mx.hosts == NULL ||
		    facts_take_host(facts, reader) == -1)
			return -1;
		facts_put_host(&message, &facts->mx.hosts[0]);
		return ipc_end(reader);
	default:
		if (facts_take_sts(facts, reader) == -1)
			return -1;
		facts_put_sts(&message, &facts->sts);
		return ipc_end(reader);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ipc_reader reader = {.data = data + 1, .len = len - 1};
	struct facts *facts;

	if (len == 0 || (facts = facts_new()) == NULL)
		return 0;
	if (take(facts, data[0], &reader) == 0 &&
	    (message.is_bad || message.len != reader.len ||
		memcmp(message.data, reader.data, reader.len) != 0))
		abort();
	facts_free(facts);
	return 0;
}
