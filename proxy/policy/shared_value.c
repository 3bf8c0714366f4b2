/* SPDX-License-Identifier: ISC */
/*
 * The head is read word by word, each with one form only.
 */

#include "proxy/policy/shared_value.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define KEY_PREFIX "postern:mta-sts:"
#define HEAD       "postern-sts 1"
#define DIGITS_MAX 15 /* of a time in seconds */

const char *
shared_key(const char *domain, char out[SHARED_KEY_MAX])
{
	snprintf(out, SHARED_KEY_MAX, "%s%s", KEY_PREFIX, domain);
	return out;
}

/* RFC 8461 3.1: letters and digits. */
static bool
is_id(const char *id)
{
	size_t len = strlen(id);

	if (len == 0 || len > STS_ID_MAX)
		return false;
	for (; *id != '\0'; id++)
		if (!isascii((unsigned char)*id) ||
		    !isalnum((unsigned char)*id))
			return false;
	return true;
}

/* Fetched by now, not yet expired, and not kept longer than any may be. */
static bool
is_possible(const struct state_policy *policy, int64_t now)
{
	return policy->fetched > 0 && policy->fetched <= now + SHARED_SKEW &&
	       policy->expires > now &&
	       policy->expires - policy->fetched <= STS_AGE_MAX &&
	       policy->len > 0 && policy->len <= STS_TEXT_MAX &&
	       is_id(policy->id);
}

size_t
shared_value_write(
    const struct state_policy *policy, int64_t now, char out[SHARED_VALUE_MAX])
{
	int len;

	if (!is_possible(policy, now))
		return 0;
	len = snprintf(out, SHARED_HEAD_MAX,
	    HEAD " %s %s %" PRId64 " %" PRId64 "\n", policy->domain, policy->id,
	    policy->fetched, policy->expires);
	if (len < 0 || len >= SHARED_HEAD_MAX)
		return 0;
	memcpy(out + len, policy->text, policy->len);
	return (size_t)len + policy->len;
}

/* Takes a text off the front; false where another is there. */
static bool
take(const char **at, const char *end, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(end - *at) < len || memcmp(*at, text, len) != 0)
		return false;
	*at += len;
	return true;
}

static bool
take_id(const char **at, const char *end, char out[STS_ID_MAX + 1])
{
	size_t len = 0;

	while (*at + len < end && (*at)[len] != ' ' && len < STS_ID_MAX)
		len++;
	memcpy(out, *at, len);
	out[len] = '\0';
	*at += len;
	return is_id(out);
}

/* Digits without a zero before them, so that each number has one form. */
static bool
take_number(const char **at, const char *end, int64_t *out)
{
	const char *begin = *at;

	*out = 0;
	if (begin < end && *begin == '0')
		return false;
	for (; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
		if (*at - begin == DIGITS_MAX)
			return false;
		*out = *out * 10 + (**at - '0');
	}
	return *at > begin;
}

int
shared_value_read(struct state_policy *policy, const char *data, size_t len,
    const char *domain, int64_t now)
{
	const char *at = data, *end = data + len;

	memset(policy, 0, sizeof(*policy));
	if (strlcpy(policy->domain, domain, sizeof(policy->domain)) >=
	    sizeof(policy->domain))
		return -1;
	if (!take(&at, end, HEAD " ") || !take(&at, end, domain) ||
	    !take(&at, end, " ") || !take_id(&at, end, policy->id) ||
	    !take(&at, end, " ") || !take_number(&at, end, &policy->fetched) ||
	    !take(&at, end, " ") || !take_number(&at, end, &policy->expires) ||
	    !take(&at, end, "\n"))
		return -1;
	policy->text = at;
	policy->len = (size_t)(end - at);
	return is_possible(policy, now) ? 0 : -1;
}
