/* SPDX-License-Identifier: ISC */
/*
 * Told an address by CURLOPT_RESOLVE, libcurl keeps it for good, for all of a
 * multi handle's transfers; a share makes it this one's.
 */

#include "proxy/policy/curl_names.h"

#include <stdio.h>

#include "proxy/policy/dns_name.h"
#include "proxy/policy/host_lookup.h"

#define LINE_MAX_OF(count) (DNS_NAME_MAX + 8 + (count) * (ADDRESS_TEXT_MAX + 3))

int
curl_names_set(struct curl_names *names, CURL *easy, const char *host,
    uint16_t port, const struct host_addresses *found)
{
	char line[LINE_MAX_OF(2 * HOST_ADDRESSES_MAX)], text[ADDRESS_TEXT_MAX];
	size_t i, used;

	used = (size_t)snprintf(line, sizeof(line), "%s:%d:", host, port);
	for (i = 0; i < found->count; i++) {
		address_ip_text(&found->addresses[i], text);
		used += (size_t)snprintf(line + used, sizeof(line) - used,
		    found->addresses[i].family == AF_INET6 ? "[%s]," : "%s,",
		    text);
	}
	line[used - 1] = '\0'; /* the last comma */
	if ((names->share = curl_share_init()) == NULL ||
	    (names->list = curl_slist_append(NULL, line)) == NULL ||
	    curl_share_setopt(names->share, CURLSHOPT_SHARE,
		CURL_LOCK_DATA_DNS) != CURLSHE_OK)
		return -1;
	return curl_easy_setopt(easy, CURLOPT_SHARE, names->share) ==
	                   CURLE_OK &&
	               curl_easy_setopt(easy, CURLOPT_RESOLVE, names->list) ==
	                   CURLE_OK
	           ? 0
	           : -1;
}

void
curl_names_clear(struct curl_names *names)
{
	curl_share_cleanup(names->share);
	curl_slist_free_all(names->list);
}
