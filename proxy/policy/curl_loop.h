/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_CURL_LOOP_H
#define POSTERN_CURL_LOOP_H

/*
 * libcurl's transfers in the caller's event loop, in one thread.
 */

#include <curl/curl.h>

struct curl_loop;
struct event_base;

/*
 * curl_loop_new readies libcurl; base is borrowed.  end is called, from the
 * event loop, for each transfer that has ended, with its CURLOPT_PRIVATE; it
 * is to remove the transfer.  To be called before the process locks itself in.
 * NULL: libcurl could not be had.
 */
struct curl_loop *
curl_loop_new(struct event_base *, void (*end)(void *transfer, CURLcode));
/* curl_loop_free ends one that has no transfer; NULL is fine. */
void curl_loop_free(struct curl_loop *);

/* curl_loop_add starts a transfer; 0 or -1. */
int curl_loop_add(struct curl_loop *, CURL *);
/* curl_loop_remove stops one, if it was added; it stays the caller's. */
void curl_loop_remove(struct curl_loop *, CURL *);

#endif
