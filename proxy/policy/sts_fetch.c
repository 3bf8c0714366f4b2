/* SPDX-License-Identifier: ISC */
/*
 * libcurl behind sts_fetch.h.  It never resolves a name, which it would do in a
 * thread: each transfer gets the addresses that the validating resolver found,
 * in a cache of its own that ends with it.  Nothing is kept from one fetch to
 * the next: no connection, no TLS session, no cookie.
 */

#include "proxy/policy/sts_fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/config.h"
#include "proxy/policy/curl_loop.h"
#include "proxy/policy/dns_name.h"
#include "proxy/policy/host_lookup.h"
#include "proxy/policy/sts_certificate.h"
#include "proxy/policy/sts_policy.h"

#define HOST_PREFIX "mta-sts."
#define PATH        "/.well-known/mta-sts.txt"
#define URL_MAX     (sizeof("https://" PATH) + DNS_NAME_MAX)
#define URL_SHOWN   100 /* bytes of a URL in a message */
#define TYPE        "text/plain"
#define PORT        443
#define RESOLVE_MAX                                                            \
	(DNS_NAME_MAX + 8 + 2 * HOST_ADDRESSES_MAX * (ADDRESS_TEXT_MAX + 3))

struct sts_fetcher {
	struct event_base *base; /* borrowed, as is the next */
	struct dns *dns;
	struct curl_loop *loop; /* owned */
	struct timeval timeout;
	int trust; /* the trust file's text; owned */
	char trust_path[STS_TRUST_PATH_MAX];
	size_t count; /* fetches that are open */
};

struct fetch {
	struct sts_fetcher *fetcher; /* borrowed */
	char host[DNS_NAME_MAX];
	char url[URL_MAX];
	struct event *deadline; /* owned, as is all that follows */
	CURL *easy;
	CURLSH *share; /* the cache of addresses */
	struct curl_slist *resolve;
	char *text;
	size_t len;
	size_t header_bytes;
	bool is_looking; /* for addresses */
	bool is_checked; /* the certificate was found good */
	struct sts_fetched result;
	char error[CURL_ERROR_SIZE]; /* libcurl's */
	/* NULL: told already, at the deadline. */
	void (*done)(void *, const struct sts_fetched *);
	void *arg;
};

static void
fetch_free(struct fetch *fetch)
{
	struct sts_fetcher *fetcher = fetch->fetcher;

	if (fetch->easy != NULL) {
		curl_loop_remove(fetcher->loop, fetch->easy);
		curl_easy_cleanup(fetch->easy);
	}
	/* Only now does nobody use them. */
	curl_share_cleanup(fetch->share);
	curl_slist_free_all(fetch->resolve);
	if (fetch->deadline != NULL)
		event_free(fetch->deadline);
	free(fetch->text);
	free(fetch);
	fetcher->count--;
}

/* Says what failed; of several faults the first is the cause of the others. */
static void __attribute__((format(printf, 3, 4)))
fail(struct fetch *fetch, enum result_word word, const char *format, ...)
{
	char text[STS_WHY_MAX], line[STS_WHY_MAX + URL_SHOWN + 2];
	va_list args;

	if (fetch->result.word != RESULT_NONE)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(line, sizeof(line), "%.*s: %s", URL_SHOWN, fetch->url, text);
	log_escape(
	    fetch->result.why, sizeof(fetch->result.why), line, strlen(line));
	fetch->result.word = word;
}

static void
fail_fetch(struct fetch *fetch, const char *why)
{
	fail(fetch, RESULT_STS_POLICY_FETCH_ERROR, "%s", why);
}

static void
fail_here(struct fetch *fetch, const char *why)
{
	if (fetch->result.word == RESULT_NONE)
		fetch->result.is_local = true;
	fail_fetch(fetch, why);
}

static void
tell(struct fetch *fetch)
{
	void (*done)(void *, const struct sts_fetched *) = fetch->done;

	fetch->done = NULL;
	if (done == NULL)
		return;
	if (fetch->result.word == RESULT_NONE) {
		fetch->result.text = fetch->len > 0 ? fetch->text : "";
		fetch->result.len = fetch->len;
	}
	done(fetch->arg, &fetch->result);
}

static void
finish(struct fetch *fetch)
{
	tell(fetch);
	fetch_free(fetch);
}

/* What the server sends. */

static bool
is_plain_text(const char *type)
{
	if (strncasecmp(type, TYPE, strlen(TYPE)) != 0)
		return false;
	type += strlen(TYPE);
	type += strspn(type, " \t");
	return *type == '\0' || *type == ';';
}

/* Fails where the answer's head is not that of a policy file. */
static void
check_head(struct fetch *fetch)
{
	const char *type = NULL;
	long status = 0;

	curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(fetch->easy, CURLINFO_CONTENT_TYPE, &type);
	if (status >= 300 && status < 400) {
		fail(fetch, RESULT_STS_POLICY_FETCH_ERROR,
		    "HTTP %ld: redirects are not followed (RFC 8461 3.3)",
		    status);
	} else if (status != 200) {
		fail(fetch, RESULT_STS_POLICY_FETCH_ERROR, "HTTP %ld, not 200",
		    status);
	} else if (type == NULL) {
		fail_fetch(fetch, "it has no Content-Type, not " TYPE);
	} else if (!is_plain_text(type)) {
		fail(fetch, RESULT_STS_POLICY_FETCH_ERROR,
		    "its Content-Type is %.60s, not " TYPE, type);
	}
}

static size_t
on_body(char *data, size_t size, size_t count, void *arg)
{
	struct fetch *fetch = arg;
	char *text;

	size *= count;
	check_head(fetch);
	if (fetch->result.word != RESULT_NONE)
		return CURL_WRITEFUNC_ERROR;
	if (size > STS_BYTES_MAX - fetch->len) {
		fail_fetch(fetch, "it is longer than 65536 bytes");
		return CURL_WRITEFUNC_ERROR;
	}
	if ((text = realloc(fetch->text, fetch->len + size + 1)) == NULL) {
		fail_here(fetch, "out of memory");
		return CURL_WRITEFUNC_ERROR;
	}
	fetch->text = text;
	memcpy(text + fetch->len, data, size);
	fetch->len += size;
	return size;
}

static size_t
on_header(char *data, size_t size, size_t count, void *arg)
{
	struct fetch *fetch = arg;

	(void)data;
	size *= count;
	fetch->header_bytes += size;
	if (fetch->header_bytes <= STS_HEADERS_MAX)
		return size;
	fail_fetch(fetch, "its header lines are longer than 65536 bytes");
	return 0;
}

/* TLS is up, and no request sent yet. */
static int
on_connected(
    void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
	struct fetch *fetch = arg;
	struct curl_tlssessioninfo *info = NULL;
	const char *fault = "libcurl is not built with GnuTLS";

	(void)remote_ip;
	(void)local_ip;
	(void)remote_port;
	(void)local_port;
	curl_easy_getinfo(fetch->easy, CURLINFO_TLS_SSL_PTR, &info);
	if (info != NULL && info->backend == CURLSSLBACKEND_GNUTLS)
		fault = sts_certificate_check(info->internals, fetch->host);
	if (fault == NULL) {
		fetch->is_checked = true;
		return CURL_PREREQFUNC_OK;
	}
	fail(fetch, RESULT_STS_WEBPKI_INVALID, "%s", fault);
	return CURL_PREREQFUNC_ABORT;
}

static void
fail_verification(struct fetch *fetch)
{
	char fault[STS_WHY_MAX];
	long result = 0;

	curl_easy_getinfo(fetch->easy, CURLINFO_SSL_VERIFYRESULT, &result);
	sts_certificate_fault(result, fault, sizeof(fault));
	/* libcurl then tells the subject, which nobody looked at. */
	if (strstr(fetch->error, "does not match target host") != NULL)
		strlcpy(fault, sts_certificate_wrong_name, sizeof(fault));
	fail(fetch, RESULT_STS_WEBPKI_INVALID, "%s",
	    fault[0] != '\0' ? fault : fetch->error);
}

static bool
is_local(CURLcode code)
{
	return code == CURLE_OUT_OF_MEMORY || code == CURLE_FAILED_INIT ||
	       code == CURLE_SSL_CACERT_BADFILE ||
	       code == CURLE_SSL_ENGINE_INITFAILED ||
	       code == CURLE_COULDNT_RESOLVE_HOST;
}

static void
on_end(void *arg, CURLcode code)
{
	struct fetch *fetch = arg;
	const char *text = fetch->error;

	if (text[0] == '\0')
		text = curl_easy_strerror(code);
	if (code == CURLE_PEER_FAILED_VERIFICATION)
		fail_verification(fetch);
	else if (is_local(code))
		fail_here(fetch, text);
	else if (code != CURLE_OK)
		fail_fetch(fetch, text);
	else if (!fetch->is_checked)
		fail_here(fetch, "libcurl did not have its server checked");
	else
		check_head(fetch);
	finish(fetch);
}

/* The transfer. */

static int
set_addresses(struct fetch *fetch, const struct host_addresses *found)
{
	char line[RESOLVE_MAX], text[ADDRESS_TEXT_MAX];
	size_t i, used;

	used = (size_t)snprintf(
	    line, sizeof(line), "%s:%d:", fetch->host, PORT);
	for (i = 0; i < found->count; i++) {
		address_ip_text(&found->addresses[i], text);
		used += (size_t)snprintf(line + used, sizeof(line) - used,
		    found->addresses[i].family == AF_INET6 ? "[%s]," : "%s,",
		    text);
	}
	line[used - 1] = '\0'; /* the last comma */
	if ((fetch->share = curl_share_init()) == NULL ||
	    (fetch->resolve = curl_slist_append(NULL, line)) == NULL ||
	    curl_share_setopt(fetch->share, CURLSHOPT_SHARE,
		CURL_LOCK_DATA_DNS) != CURLSHE_OK)
		return -1;
	return curl_easy_setopt(fetch->easy, CURLOPT_SHARE, fetch->share) ==
	                   CURLE_OK &&
	               curl_easy_setopt(fetch->easy, CURLOPT_RESOLVE,
			   fetch->resolve) == CURLE_OK
	           ? 0
	           : -1;
}

/* One address that swallows packets leaves time for the next. */
static long
connect_timeout_ms(const struct sts_fetcher *fetcher)
{
	return (long)fetcher->timeout.tv_sec * 1000 * 3 / 4;
}

#define SET(option, value)                                                     \
	(curl_easy_setopt(fetch->easy, (option), (value)) != CURLE_OK)

/* The server, and how it is judged. */
static int
set_server(struct fetch *fetch, const struct host_addresses *found)
{
	const struct sts_fetcher *fetcher = fetch->fetcher;

	if (SET(CURLOPT_URL, fetch->url) ||
	    SET(CURLOPT_PROTOCOLS_STR, "https") || SET(CURLOPT_PROXY, "") ||
	    SET(CURLOPT_FRESH_CONNECT, 1L) || SET(CURLOPT_FORBID_REUSE, 1L) ||
	    SET(CURLOPT_CONNECTTIMEOUT_MS, connect_timeout_ms(fetcher)) ||
	    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) ||
	    SET(CURLOPT_SSL_VERIFYPEER, 1L) ||
	    SET(CURLOPT_SSL_VERIFYHOST, 2L) ||
	    SET(CURLOPT_SSL_SESSIONID_CACHE, 0L) || SET(CURLOPT_CAPATH, NULL) ||
	    SET(CURLOPT_CAINFO, fetcher->trust_path) ||
	    SET(CURLOPT_PREREQFUNCTION, on_connected) ||
	    SET(CURLOPT_PREREQDATA, fetch))
		return -1;
	return set_addresses(fetch, found);
}

/* The request, and how its answer is taken. */
static int
set_request(struct fetch *fetch)
{
	return SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) ||
	               SET(CURLOPT_USERAGENT, "postern/" POSTERN_VERSION) ||
	               SET(CURLOPT_FOLLOWLOCATION, 0L) ||
	               SET(CURLOPT_ACCEPT_ENCODING, NULL) ||
	               SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) ||
	               SET(CURLOPT_NOSIGNAL, 1L) ||
	               SET(CURLOPT_NOPROGRESS, 1L) ||
	               SET(CURLOPT_ERRORBUFFER, fetch->error) ||
	               SET(CURLOPT_WRITEFUNCTION, on_body) ||
	               SET(CURLOPT_WRITEDATA, fetch) ||
	               SET(CURLOPT_HEADERFUNCTION, on_header) ||
	               SET(CURLOPT_HEADERDATA, fetch) ||
	               SET(CURLOPT_PRIVATE, fetch)
	           ? -1
	           : 0;
}

static void
start_transfer(struct fetch *fetch, const struct host_addresses *found)
{
	if ((fetch->easy = curl_easy_init()) == NULL ||
	    set_server(fetch, found) == -1 || set_request(fetch) == -1) {
		fail_here(fetch, "libcurl cannot be set up");
		finish(fetch);
		return;
	}
	if (curl_loop_add(fetch->fetcher->loop, fetch->easy) == -1) {
		fail_here(fetch, "libcurl does not take the transfer");
		finish(fetch);
	}
}

/* The addresses of the policy host. */

static void
on_addresses(void *arg, const struct host_addresses *found)
{
	struct fetch *fetch = arg;

	fetch->is_looking = false;
	if (fetch->done == NULL) {
		fetch_free(fetch);
	} else if (found->count > 0) {
		start_transfer(fetch, found);
	} else {
		if (found->why[0] != '\0')
			fail(fetch, RESULT_STS_POLICY_FETCH_ERROR,
			    "the DNS does not tell the host's address: %s",
			    found->why);
		else
			fail_fetch(fetch, "the host has no address");
		finish(fetch);
	}
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct fetch *fetch = arg;

	(void)fd;
	(void)what;
	fail(fetch, RESULT_STS_POLICY_FETCH_ERROR,
	    "not had within %lld seconds (mta_sts.timeout)",
	    (long long)fetch->fetcher->timeout.tv_sec);
	if (fetch->is_looking)
		tell(fetch); /* the DNS still knows it */
	else
		finish(fetch);
}

int
sts_fetch(struct sts_fetcher *fetcher, const char *domain,
    void (*done)(void *, const struct sts_fetched *), void *arg)
{
	struct fetch *fetch;
	int saved;

	if (fetcher->count >= STS_FETCHES_MAX) {
		errno = EAGAIN;
		return -1;
	}
	if ((fetch = calloc(1, sizeof(*fetch))) == NULL)
		return -1;
	fetcher->count++;
	fetch->fetcher = fetcher;
	fetch->done = done;
	fetch->arg = arg;
	fetch->result.word = RESULT_NONE;
	errno = EINVAL;
	if ((size_t)snprintf(fetch->host, sizeof(fetch->host), HOST_PREFIX "%s",
		domain) >= sizeof(fetch->host))
		goto fail;
	snprintf(
	    fetch->url, sizeof(fetch->url), "https://%s" PATH, fetch->host);
	errno = ENOMEM;
	fetch->deadline = evtimer_new(fetcher->base, on_deadline, fetch);
	if (fetch->deadline == NULL ||
	    evtimer_add(fetch->deadline, &fetcher->timeout) == -1 ||
	    host_lookup_start(fetcher->dns, fetch->host, on_addresses, fetch) ==
		-1)
		goto fail;
	fetch->is_looking = true;
	return 0;
fail:
	saved = errno;
	fetch_free(fetch);
	errno = saved;
	return -1;
}

struct sts_fetcher *
sts_fetcher_new(struct event_base *base, struct dns *dns,
    const struct config *config, char error[STS_ERROR_MAX])
{
	const struct config_trust *trust = config_trust_get(config, NULL);
	struct sts_fetcher *fetcher;

	snprintf(error, STS_ERROR_MAX, "libcurl: out of memory");
	if ((fetcher = calloc(1, sizeof(*fetcher))) == NULL)
		return NULL;
	fetcher->base = base;
	fetcher->dns = dns;
	fetcher->timeout.tv_sec = config->mta_sts.timeout;
	fetcher->trust = -1;
	if ((fetcher->loop = curl_loop_new(base, on_end)) == NULL)
		goto fail;
	if (trust == NULL) {
		snprintf(error, STS_ERROR_MAX, "no trust file");
		goto fail;
	}
	fetcher->trust = sts_trust_open(
	    trust, fetcher->trust_path, error, STS_ERROR_MAX);
	if (fetcher->trust == -1)
		goto fail;
	return fetcher;
fail:
	sts_fetcher_free(fetcher);
	return NULL;
}

void
sts_fetcher_free(struct sts_fetcher *fetcher)
{
	if (fetcher == NULL)
		return;
	curl_loop_free(fetcher->loop);
	if (fetcher->trust != -1)
		close(fetcher->trust);
	free(fetcher);
}
