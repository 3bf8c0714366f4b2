/* SPDX-License-Identifier: ISC */
/*
 * libcurl behind sts_transfer.h.  It never resolves a name, which it would do
 * in a thread: each transfer gets the addresses that the validating resolver
 * found, in a cache of its own that ends with it.  Nothing is kept from one to
 * the next: no connection, no TLS session, no cookie.
 */

#include "proxy/policy/sts_transfer.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/config.h"
#include "proxy/policy/curl_loop.h"
#include "proxy/policy/curl_names.h"
#include "proxy/policy/dns_name.h"
#include "proxy/policy/host_lookup.h"
#include "proxy/policy/sts_answer.h"
#include "proxy/policy/sts_certificate.h"
#include "proxy/policy/sts_handshake.h"
#include "proxy/policy/sts_policy.h"
#include "proxy/policy/sts_socket.h"

#define HOST_PREFIX "mta-sts."
#define PATH        "/.well-known/mta-sts.txt"
#define URL_MAX     (sizeof("https://" PATH) + DNS_NAME_MAX)
#define URL_SHOWN   100 /* bytes of a URL in a message */
#define PORT        443

struct sts_transfers {
	struct event_base *base; /* borrowed, as is the next */
	struct dns *dns;
	struct curl_loop *loop; /* owned */
	struct timeval timeout;
	int trust; /* the trust file's text; owned */
	char trust_path[STS_TRUST_PATH_MAX];
};

struct transfer {
	struct sts_transfers *transfers; /* borrowed */
	char host[DNS_NAME_MAX];
	char url[URL_MAX];
	struct event *deadline; /* owned, as is all that follows */
	CURL *easy;
	struct curl_names names;
	char *text;
	size_t len;
	size_t header_bytes;
	struct sts_sockets sockets;
	bool is_looking; /* for addresses */
	bool is_checked; /* the certificate was found good */
	struct sts_fetched result;
	char error[CURL_ERROR_SIZE]; /* libcurl's */
	/* NULL: told already, at the deadline. */
	void (*done)(void *, const struct sts_fetched *);
	void *arg;
};

static void
transfer_free(struct transfer *transfer)
{
	struct sts_transfers *transfers = transfer->transfers;

	if (transfer->easy != NULL) {
		curl_loop_remove(transfers->loop, transfer->easy);
		curl_easy_cleanup(transfer->easy);
	}
	/* Only now does nobody use them. */
	curl_names_clear(&transfer->names);
	if (transfer->deadline != NULL)
		event_free(transfer->deadline);
	free(transfer->text);
	free(transfer);
}

/* Says what failed; of several faults the first is the cause of the others. */
static void __attribute__((format(printf, 3, 4)))
fail(struct transfer *transfer, enum result_word word, const char *format, ...)
{
	char text[STS_WHY_MAX], line[STS_WHY_MAX + URL_SHOWN + 2];
	va_list args;

	if (transfer->result.word != RESULT_NONE)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(
	    line, sizeof(line), "%.*s: %s", URL_SHOWN, transfer->url, text);
	log_escape(transfer->result.why, sizeof(transfer->result.why), line,
	    strlen(line));
	transfer->result.word = word;
}

static void
fail_fetch(struct transfer *transfer, const char *why)
{
	fail(transfer, RESULT_STS_POLICY_FETCH_ERROR, "%s", why);
}

static void
fail_here(struct transfer *transfer, const char *why)
{
	if (transfer->result.word == RESULT_NONE)
		transfer->result.is_local = true;
	fail_fetch(transfer, why);
}

static enum sts_reach
reach_of(const struct transfer *transfer)
{
	curl_off_t connected = 0;

	if (!sts_sockets_are_tried(&transfer->sockets))
		return STS_REACH_UNTRIED;
	curl_easy_getinfo(transfer->easy, CURLINFO_CONNECT_TIME_T, &connected);
	return connected > 0 ? STS_REACH_HOST : STS_REACH_NOBODY;
}

/* Fails where it is this machine's fault that nobody was reached. */
static void
check_sockets(struct transfer *transfer)
{
	char fault[STS_WHY_MAX];

	if (reach_of(transfer) != STS_REACH_NOBODY)
		return;
	sts_sockets_fault(&transfer->sockets, fault, sizeof(fault));
	if (fault[0] != '\0')
		fail_here(transfer, fault);
}

static void
tell(struct transfer *transfer)
{
	void (*done)(void *, const struct sts_fetched *) = transfer->done;

	transfer->done = NULL;
	if (done == NULL)
		return;
	transfer->result.reach = reach_of(transfer);
	if (transfer->result.word == RESULT_NONE) {
		transfer->result.text = transfer->len > 0 ? transfer->text : "";
		transfer->result.len = transfer->len;
	}
	done(transfer->arg, &transfer->result);
}

static void
finish(struct transfer *transfer)
{
	tell(transfer);
	transfer_free(transfer);
}

/* What the server sends. */

/* Fails where the answer's head is not that of a policy file. */
static void
check_head(struct transfer *transfer)
{
	char fault[STS_WHY_MAX];
	const char *type = NULL;
	long status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_TYPE, &type);
	sts_answer_fault(status, type, fault, sizeof(fault));
	if (fault[0] != '\0')
		fail_fetch(transfer, fault);
}

static size_t
on_body(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	char *text;

	size *= count;
	check_head(transfer);
	if (transfer->result.word != RESULT_NONE)
		return CURL_WRITEFUNC_ERROR;
	if (size > STS_BYTES_MAX - transfer->len) {
		fail_fetch(transfer, "it is longer than 65536 bytes");
		return CURL_WRITEFUNC_ERROR;
	}
	if ((text = realloc(transfer->text, transfer->len + size + 1)) ==
	    NULL) {
		fail_here(transfer, "out of memory");
		return CURL_WRITEFUNC_ERROR;
	}
	transfer->text = text;
	memcpy(text + transfer->len, data, size);
	transfer->len += size;
	return size;
}

static size_t
on_header(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *transfer = arg;

	(void)data;
	size *= count;
	transfer->header_bytes += size;
	if (transfer->header_bytes <= STS_HEADERS_MAX)
		return size;
	fail_fetch(transfer, "its header lines are longer than 65536 bytes");
	return 0;
}

/* TLS is up, and no request sent yet. */
static int
on_connected(
    void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
	struct transfer *transfer = arg;
	struct curl_tlssessioninfo *info = NULL;
	const char *fault = "libcurl is not built with GnuTLS";

	(void)remote_ip;
	(void)local_ip;
	(void)remote_port;
	(void)local_port;
	curl_easy_getinfo(transfer->easy, CURLINFO_TLS_SSL_PTR, &info);
	if (info != NULL && info->backend == CURLSSLBACKEND_GNUTLS) {
		if (!sts_handshake_is_checked(info->internals)) {
			fail_here(
			    transfer, "its TLS handshake was not watched");
			return CURL_PREREQFUNC_ABORT;
		}
		fault = sts_certificate_check(info->internals, transfer->host);
	}
	if (fault == NULL) {
		transfer->is_checked = true;
		return CURL_PREREQFUNC_OK;
	}
	fail(transfer, RESULT_STS_WEBPKI_INVALID, "%s", fault);
	return CURL_PREREQFUNC_ABORT;
}

static void
fail_verification(struct transfer *transfer)
{
	char fault[STS_WHY_MAX];
	long result = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_SSL_VERIFYRESULT, &result);
	sts_certificate_fault(result, fault, sizeof(fault));
	/* libcurl then tells the subject, which nobody looked at. */
	if (strstr(transfer->error, "does not match target host") != NULL)
		strlcpy(fault, sts_certificate_wrong_name, sizeof(fault));
	fail(transfer, RESULT_STS_WEBPKI_INVALID, "%s",
	    fault[0] != '\0' ? fault : transfer->error);
}

static void
fail_handshake(struct transfer *transfer)
{
	const char *fault = sts_handshake_fault(transfer->error);

	if (fault == NULL)
		fail_fetch(transfer, transfer->error);
	else if (transfer->is_checked) /* it is about a later one */
		fail_fetch(transfer, fault);
	else
		fail(transfer, RESULT_STS_WEBPKI_INVALID, "%s", fault);
}

static void
on_end(void *arg, CURLcode code)
{
	struct transfer *transfer = arg;
	const char *text = transfer->error;

	if (text[0] == '\0')
		text = curl_easy_strerror(code);
	if (code != CURLE_OK)
		check_sockets(transfer);
	if (code == CURLE_PEER_FAILED_VERIFICATION)
		fail_verification(transfer);
	else if (code == CURLE_SSL_CONNECT_ERROR)
		fail_handshake(transfer);
	else if (sts_code_is_local(code))
		fail_here(transfer, text);
	else if (code != CURLE_OK)
		fail_fetch(transfer, text);
	else if (!transfer->is_checked)
		fail_here(transfer, "libcurl did not have its server checked");
	else
		check_head(transfer);
	finish(transfer);
}

/* The transfer. */

/* One address that swallows packets leaves time for the next. */
static long
connect_timeout_ms(const struct sts_transfers *transfers)
{
	return (long)transfers->timeout.tv_sec * 1000 * 3 / 4;
}

#define SET(option, value)                                                     \
	(curl_easy_setopt(transfer->easy, (option), (value)) != CURLE_OK)

/* The server, and how it is judged. */
static int
set_server(struct transfer *transfer, const struct host_addresses *found)
{
	const struct sts_transfers *transfers = transfer->transfers;

	if (SET(CURLOPT_URL, transfer->url) ||
	    SET(CURLOPT_PROTOCOLS_STR, "https") || SET(CURLOPT_PROXY, "") ||
	    SET(CURLOPT_OPENSOCKETFUNCTION, sts_socket_open) ||
	    SET(CURLOPT_OPENSOCKETDATA, &transfer->sockets) ||
	    SET(CURLOPT_FRESH_CONNECT, 1L) || SET(CURLOPT_FORBID_REUSE, 1L) ||
	    SET(CURLOPT_CONNECTTIMEOUT_MS, connect_timeout_ms(transfers)) ||
	    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) ||
	    SET(CURLOPT_SSL_VERIFYPEER, 1L) ||
	    SET(CURLOPT_SSL_VERIFYHOST, 2L) ||
	    SET(CURLOPT_SSL_SESSIONID_CACHE, 0L) || SET(CURLOPT_CAPATH, NULL) ||
	    SET(CURLOPT_CAINFO, transfers->trust_path) ||
	    SET(CURLOPT_PREREQFUNCTION, on_connected) ||
	    SET(CURLOPT_PREREQDATA, transfer))
		return -1;
	return curl_names_set(
	    &transfer->names, transfer->easy, transfer->host, PORT, found);
}

/* The request, and how its answer is taken. */
static int
set_request(struct transfer *transfer)
{
	return SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) ||
	               SET(CURLOPT_USERAGENT, "postern/" POSTERN_VERSION) ||
	               SET(CURLOPT_FOLLOWLOCATION, 0L) ||
	               SET(CURLOPT_ACCEPT_ENCODING, NULL) ||
	               SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) ||
	               SET(CURLOPT_NOSIGNAL, 1L) ||
	               SET(CURLOPT_NOPROGRESS, 1L) ||
	               SET(CURLOPT_ERRORBUFFER, transfer->error) ||
	               SET(CURLOPT_WRITEFUNCTION, on_body) ||
	               SET(CURLOPT_WRITEDATA, transfer) ||
	               SET(CURLOPT_HEADERFUNCTION, on_header) ||
	               SET(CURLOPT_HEADERDATA, transfer) ||
	               SET(CURLOPT_PRIVATE, transfer)
	           ? -1
	           : 0;
}

static void
start_transfer(struct transfer *transfer, const struct host_addresses *found)
{
	if ((transfer->easy = curl_easy_init()) == NULL ||
	    set_server(transfer, found) == -1 || set_request(transfer) == -1) {
		fail_here(transfer, "libcurl cannot be set up");
		finish(transfer);
		return;
	}
	if (curl_loop_add(transfer->transfers->loop, transfer->easy) == -1) {
		fail_here(transfer, "libcurl does not take the transfer");
		finish(transfer);
	}
}

/* The addresses of the policy host. */

static void
on_addresses(void *arg, const struct host_addresses *found)
{
	struct transfer *transfer = arg;

	transfer->is_looking = false;
	if (transfer->done == NULL) {
		transfer_free(transfer);
	} else if (found->count > 0) {
		start_transfer(transfer, found);
	} else {
		if (found->why[0] != '\0')
			fail(transfer, RESULT_STS_POLICY_FETCH_ERROR,
			    "the DNS does not tell the host's address: %s",
			    found->why);
		else
			fail_fetch(transfer, "the host has no address");
		finish(transfer);
	}
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct transfer *transfer = arg;

	(void)fd;
	(void)what;
	check_sockets(transfer);
	fail(transfer, RESULT_STS_POLICY_FETCH_ERROR,
	    "not had within %lld seconds (mta_sts.timeout)",
	    (long long)transfer->transfers->timeout.tv_sec);
	if (transfer->is_looking)
		tell(transfer); /* the DNS still knows it */
	else
		finish(transfer);
}

int
sts_transfer_start(struct sts_transfers *transfers, const char *domain,
    void (*done)(void *, const struct sts_fetched *), void *arg)
{
	struct transfer *transfer;
	int saved;

	if ((transfer = calloc(1, sizeof(*transfer))) == NULL)
		return -1;
	transfer->transfers = transfers;
	transfer->done = done;
	transfer->arg = arg;
	transfer->result.word = RESULT_NONE;
	errno = EINVAL;
	if ((size_t)snprintf(transfer->host, sizeof(transfer->host),
		HOST_PREFIX "%s", domain) >= sizeof(transfer->host))
		goto fail;
	snprintf(transfer->url, sizeof(transfer->url), "https://%s" PATH,
	    transfer->host);
	errno = ENOMEM;
	transfer->deadline = evtimer_new(
	    transfers->base, on_deadline, transfer);
	if (transfer->deadline == NULL ||
	    evtimer_add(transfer->deadline, &transfers->timeout) == -1 ||
	    host_lookup_start(
		transfers->dns, transfer->host, on_addresses, transfer) == -1)
		goto fail;
	transfer->is_looking = true;
	return 0;
fail:
	saved = errno;
	transfer_free(transfer);
	errno = saved;
	return -1;
}

struct sts_transfers *
sts_transfers_new(struct event_base *base, struct dns *dns,
    const struct config *config, char error[STS_ERROR_MAX])
{
	const struct config_trust *trust = config_trust_get(config, NULL);
	struct sts_transfers *transfers;
	const char *why;

	if ((why = sts_handshake_init()) != NULL) {
		snprintf(error, STS_ERROR_MAX, "%s", why);
		return NULL;
	}
	snprintf(error, STS_ERROR_MAX, "libcurl: out of memory");
	if ((transfers = calloc(1, sizeof(*transfers))) == NULL)
		return NULL;
	transfers->base = base;
	transfers->dns = dns;
	transfers->timeout.tv_sec = config->mta_sts.timeout;
	transfers->trust = -1;
	if ((transfers->loop = curl_loop_new(base, on_end)) == NULL)
		goto fail;
	if (trust == NULL) {
		snprintf(error, STS_ERROR_MAX, "no trust file");
		goto fail;
	}
	transfers->trust = sts_trust_open(
	    trust, transfers->trust_path, error, STS_ERROR_MAX);
	if (transfers->trust == -1)
		goto fail;
	return transfers;
fail:
	sts_transfers_free(transfers);
	return NULL;
}

void
sts_transfers_free(struct sts_transfers *transfers)
{
	if (transfers == NULL)
		return;
	curl_loop_free(transfers->loop);
	if (transfers->trust != -1)
		close(transfers->trust);
	free(transfers);
}
