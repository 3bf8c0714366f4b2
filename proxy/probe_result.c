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
	case PROBE_UNFINISHED:
		return "unfinished";
	}
	return "";
}

bool
probe_wants_family(const struct probe_request *request, sa_family_t family)
{
	sa_family_t wanted = request->address.family;

	if (wanted == AF_UNSPEC)
		wanted = request->family;
	return wanted == AF_UNSPEC || wanted == family;
}

/* Not asked for, or told by the DNS. */
static bool
family_is_known(const struct probe_request *request, sa_family_t family,
    const struct mx_addresses *addresses)
{
	return !probe_wants_family(request, family) ||
	       (addresses->status != DNS_BOGUS &&
		   addresses->status != DNS_FAILED);
}

bool
probe_host_is_known(
    const struct probe_result *result, const struct mx_host *host)
{
	return family_is_known(result->request, AF_INET, &host->ipv4) &&
	       family_is_known(result->request, AF_INET6, &host->ipv6);
}

/* How many addresses of a host have to be proved. */
static size_t
count_wanted(const struct probe_result *result, const struct mx_host *host)
{
	const struct probe_request *request = result->request;
	size_t wanted = 0;

	if (request->address.family != AF_UNSPEC)
		return 1;
	if (probe_wants_family(request, AF_INET))
		wanted += host->ipv4.count + host->ipv4.more;
	if (probe_wants_family(request, AF_INET6))
		wanted += host->ipv6.count + host->ipv6.more;
	return wanted;
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
	return tried > 0 && proved == tried &&
	       tried >= count_wanted(result, host) &&
	       probe_host_is_known(result, host);
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
	       result->hosts_left_out == 0 && proved == tried &&
	       probe_count_proved(result) == result->host_count;
}
