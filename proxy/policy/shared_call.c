/* SPDX-License-Identifier: ISC */
/* The two commands, and what they are made of. */

#include "proxy/policy/shared_call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/clock.h"
#include "proxy/policy/redis_link.h"
#include "proxy/policy/shared_value.h"

struct shared_call *
shared_call_question(const char *domain)
{
	struct shared_call *call;

	if (strlen(domain) >= sizeof(call->domain)) {
		errno = EAGAIN;
		return NULL;
	}
	if ((call = calloc(1, sizeof(*call))) == NULL)
		return NULL;
	strlcpy(call->domain, domain, sizeof(call->domain));
	call->asked = clock_monotonic_ms();
	return call;
}

struct shared_call *
shared_call_offer(const struct state_policy *policy)
{
	static char value[SHARED_VALUE_MAX];
	struct shared_call *call;
	size_t len;

	if ((len = shared_value_write(policy, clock_wall(), value)) == 0 ||
	    (call = shared_call_question(policy->domain)) == NULL)
		return NULL;
	if ((call->value = malloc(len)) == NULL) {
		shared_call_free(call);
		return NULL;
	}
	memcpy(call->value, value, len);
	call->len = len;
	call->expires = policy->expires;
	return call;
}

void
shared_call_free(struct shared_call *call)
{
	free(call->value);
	free(call);
}

static int
send_question(struct shared_call *call, struct redis_link *link)
{
	char key[SHARED_KEY_MAX], last[16];
	struct redis_word words[4] = {{"GETRANGE", 8}, {key, 0}, {"0", 1}};

	/* One byte past what is taken shows that it is too long. */
	words[1].len = strlen(shared_key(call->domain, key));
	words[3].text = last;
	words[3].len = (size_t)snprintf(
	    last, sizeof(last), "%d", SHARED_VALUE_MAX);
	return redis_link_send(link, words, 4);
}

static int
send_offer(struct shared_call *call, struct redis_link *link)
{
	char key[SHARED_KEY_MAX], seconds[24];
	struct redis_word words[5] = {{"SET", 3}, {key, 0},
	    {call->value, call->len}, {"EX", 2}, {seconds, 0}};
	int64_t left = call->expires - clock_wall();

	if (left <= 0)
		return -1;
	words[1].len = strlen(shared_key(call->domain, key));
	words[4].len = (size_t)snprintf(
	    seconds, sizeof(seconds), "%lld", (long long)left);
	return redis_link_send(link, words, 5);
}

int
shared_call_send(struct shared_call *call, struct redis_link *link)
{
	int rc;

	if (call->done != NULL)
		return send_question(call, link);
	rc = send_offer(call, link);
	free(call->value);
	call->value = NULL;
	return rc;
}
