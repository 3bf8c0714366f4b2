/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_CURL_NAMES_H
#define POSTERN_CURL_NAMES_H

/*
 * A cache of names of one libcurl transfer's own, which knows one host.
 */

#include <curl/curl.h>
#include <stdint.h>

struct host_addresses;

struct curl_names { /* private; zero at first */
	CURLSH *share; /* owned, as is the next */
	struct curl_slist *list;
};

/*
 * curl_names_set has a transfer find host, at this port, at these addresses
 * and nowhere else.  Returns 0 or -1.
 */
int curl_names_set(struct curl_names *, CURL *, const char *host, uint16_t port,
    const struct host_addresses *);
/* curl_names_clear, once the transfer is gone. */
void curl_names_clear(struct curl_names *);

#endif
