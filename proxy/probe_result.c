/* SPDX-License-Identifier: ISC */
/*
 * What the parts of a result come to together.
 */

#include "proxy/probe.h"

const char *
probe_outcome_text(enum probe_outcome outcome)
{
	switch (outcome) {
	case PROBE_PROVED:
		return "proved";
	case PROBE_EXCEPTION:
		return "exception";
	case PROBE_REFUSED:
		return "refused";
	case PROBE_NO_SERVER:
		return "no-server";
	}
	return "";
}

/* Of the servers of this host (NULL: of none), how many, and proved. */
static void
count(const struct probe_result *result, const struct mx_host *host,
    size_t *tried, size_t *proved)
{
	size_t i;

	*tried = *proved = 0;
	for (i = 0; i < result->server_count; i++)
		if (result->servers[i].host == host) {
			++*tried;
			*proved += result->servers[i].outcome == PROBE_PROVED;
		}
}

bool
probe_host_is_proved(
    const struct probe_result *result, const struct mx_host *host)
{
	size_t tried, proved;

	count(result, host, &tried, &proved);
	return tried > 0 && proved == tried;
}

size_t
probe_count_proved(const struct probe_result *result)
{
	size_t i, proved = 0;

	for (i = 0; i < result->host_count; i++)
		proved += probe_host_is_proved(result, result->hosts[i]);
	return proved;
}

bool
probe_is_proved(const struct probe_result *result)
{
	size_t tried, proved;

	count(result, NULL, &tried, &proved);
	return result->server_count > 0 && result->left_out == 0 &&
	       proved == tried &&
	       probe_count_proved(result) == result->host_count;
}
