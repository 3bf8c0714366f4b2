/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as a TXT record and as a policy file.  A policy that is taken can
 * be written down again and says the same then.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/policy/dns_name.h"
#include "proxy/policy/sts_policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_record(const uint8_t *data, size_t len)
{
	char id[STS_ID_MAX + 1], text[STS_ID_MAX + 16], again[STS_ID_MAX + 1];

	if (sts_id_from_txt(data, len, id) != 1) {
		if (id[0] != '\0')
			abort();
		return;
	}
	snprintf(text, sizeof(text), "v=STSv1;id=%s", id);
	if (sts_id_from_txt((uint8_t *)text, strlen(text), again) != 1 ||
	    strcmp(id, again) != 0)
		abort();
}

static void
check_again(const struct sts_policy *policy)
{
	static struct sts_policy again;
	static char text[STS_TEXT_MAX];
	const char *why;
	size_t i, len;

	len = sts_policy_write(policy, text);
	if (sts_policy_parse(&again, text, len, &why) == -1 ||
	    again.mode != policy->mode || again.max_age != policy->max_age ||
	    again.mx_count != policy->mx_count)
		abort();
	for (i = 0; i < policy->mx_count; i++)
		if (strcmp(again.mx[i], policy->mx[i]) != 0)
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct sts_policy policy;
	const char *why;
	size_t i;

	check_record(data, len);
	if (sts_policy_parse(&policy, (const char *)data, len, &why) == -1) {
		if (why == NULL)
			abort();
		return 0;
	}
	for (i = 0; i < policy.mx_count; i++) {
		if (policy.mx[i][0] != '*' && !dns_name_is_host(policy.mx[i]))
			abort();
		if (policy.mx[i][0] != '*' &&
		    !sts_policy_has(&policy, policy.mx[i]))
			abort();
	}
	check_again(&policy);
	return 0;
}
