/* SPDX-License-Identifier: ISC */
/*
 * The verdict on a chain: a path that proves it, then the names and the pins;
 * or its TLSA records.
 */

#include "certs/verify.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "certs/cert.h"
#include "certs/chain.h"
#include "certs/dane.h"
#include "certs/name.h"
#include "certs/proof.h"
#include "certs/store.h"
#include "proxy/base/log.h"

const char *
verify_result_word(enum verify_result result)
{
	switch (result) {
	case VERIFY_PROVED:
		return "";
	case VERIFY_HOST_MISMATCH:
		return "certificate-host-mismatch";
	case VERIFY_EXPIRED:
		return "certificate-expired";
	case VERIFY_NOT_TRUSTED:
		return "certificate-not-trusted";
	case VERIFY_FAILURE:
		return "validation-failure";
	}
	return "validation-failure";
}

__attribute__((format(printf, 3, 4))) static enum verify_result
refuse(struct verify_report *report, enum verify_result result,
    const char *format, ...)
{
	va_list arguments;

	report->result = result;
	va_start(arguments, format);
	vsnprintf(report->text, sizeof(report->text), format, arguments);
	va_end(arguments);
	return result;
}

static bool
has_asked_name(const struct verify_request *request, const CBS *names,
    char matched[VERIFY_NAME_MAX])
{
	const uint8_t *der = CBS_data(names);
	size_t len = CBS_len(names);

	matched[0] = '\0';
	if (request->name_count == 0 && request->ip == NULL)
		return true;
	for (size_t i = 0; i < request->name_count; i++) {
		if (name_list_has_host(der, len, request->names[i])) {
			snprintf(
			    matched, VERIFY_NAME_MAX, "%s", request->names[i]);
			return true;
		}
	}
	return request->ip != NULL &&
	       name_list_has_ip(der, len, request->ip, request->ip_len) &&
	       inet_ntop(request->ip_len == 4 ? AF_INET : AF_INET6, request->ip,
		   matched, VERIFY_NAME_MAX) != NULL;
}

static const char *
asked_text(const struct verify_request *request, char out[VERIFY_NAME_MAX])
{
	size_t more = request->name_count;

	if (request->name_count > 0) {
		log_escape(out, VERIFY_NAME_MAX, request->names[0],
		    strlen(request->names[0]));
		more--;
	} else if (inet_ntop(request->ip_len == 4 ? AF_INET : AF_INET6,
		       request->ip, out, VERIFY_NAME_MAX) == NULL)
		out[0] = '\0';
	if (request->name_count > 0 && request->ip != NULL)
		more++;
	if (more > 0)
		snprintf(out + strlen(out), VERIFY_NAME_MAX - strlen(out),
		    " (%zu more)", more);
	return out;
}

static enum verify_result
refuse_names(struct proof *proof)
{
	const CBS *names = &proof->certs[0].names;
	char has[VERIFY_NAME_MAX / 2], asked[VERIFY_NAME_MAX];

	asked_text(proof->request, asked);
	name_list_text(CBS_data(names), CBS_len(names), has, sizeof(has));
	if (has[0] == '\0')
		return refuse(proof->report, VERIFY_HOST_MISMATCH,
		    "certificate has no name in subjectAltName; not for %s",
		    asked);
	return refuse(proof->report, VERIFY_HOST_MISMATCH,
	    "certificate is for %s, not for %s", has, asked);
}

static enum verify_result
check_pin(const struct chain *chain, const struct verify_request *request,
    struct verify_report *report)
{
	char hex[2 * 32 + 1];
	const uint8_t *der;
	uint8_t key[32];
	size_t len;

	der = chain_der(chain, 0, &len);
	if (cert_spki_sha256(der, len, key) == -1)
		return refuse(
		    report, VERIFY_FAILURE, "certificate cannot be read");
	for (size_t i = 0; i < request->pin_count; i++) {
		if (memcmp(key, request->pins[i], sizeof(key)) == 0)
			return report->result = VERIFY_PROVED;
	}
	for (size_t i = 0; i < sizeof(key); i++)
		snprintf(hex + 2 * i, 3, "%02x", key[i]);
	return refuse(report, VERIFY_NOT_TRUSTED,
	    "the certificate's key sha256:%s is not pinned", hex);
}

static enum verify_result
check_pin_alone(const struct chain *chain, const struct verify_request *request,
    struct verify_report *report)
{
	if (request->pin_count == 0)
		return refuse(report, VERIFY_FAILURE,
		    "neither trust nor a pin to prove it by");
	if (check_pin(chain, request, report) != VERIFY_PROVED)
		return report->result;
	snprintf(report->text, sizeof(report->text), "its pinned key");
	report->from = INT64_MIN;
	report->until = INT64_MAX;
	return VERIFY_PROVED;
}

static enum verify_result
check_proof(struct proof *proof, const struct chain *chain)
{
	const struct verify_request *request = proof->request;
	struct verify_report *report = proof->report;

	if (proof_find_path(proof) != VERIFY_PROVED)
		return report->result;
	if (!has_asked_name(request, &proof->certs[0].names, report->matched))
		return refuse_names(proof);
	if (request->pin_count > 0)
		return check_pin(chain, request, report);
	return report->result = VERIFY_PROVED;
}

static enum verify_result
check_chain(const struct chain *chain, const struct verify_request *request,
    struct verify_report *report)
{
	struct proof proof;

	if (proof_init(&proof, chain, request, report) == 0)
		check_proof(&proof, chain);
	else
		refuse(report, VERIFY_FAILURE, "certificate cannot be read");
	proof_clear(&proof);
	return report->result;
}

/*
 * BoringSSL's functions do not all tell a lack of memory from another answer,
 * but leave it in the error queue.
 */
static bool
has_run_out_of_memory(void)
{
	uint32_t error;

	while ((error = ERR_get_error()) != 0) {
		if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
			return true;
	}
	return false;
}

static enum verify_result
prove_leaf(const struct verify_request *request, const struct tlsa *record,
    struct verify_report *report)
{
	char text[TLSA_TEXT_MAX];

	snprintf(report->text, sizeof(report->text), "TLSA %s",
	    tlsa_text(record, text));
	snprintf(
	    report->matched, sizeof(report->matched), "%s", request->names[0]);
	report->from = INT64_MIN;
	report->until = INT64_MAX;
	return report->result = VERIFY_PROVED;
}

static enum verify_result
refuse_records(const struct dane *dane, const struct chain *chain,
    const struct verify_request *request, struct verify_report *report)
{
	char base[VERIFY_NAME_MAX / 2], text[VERIFY_TEXT_MAX];
	const uint8_t *der;
	size_t len;

	der = chain_der(chain, 0, &len);
	log_escape(
	    base, sizeof(base), request->names[0], strlen(request->names[0]));
	return refuse(report, VERIFY_NOT_TRUSTED,
	    "certificate matches no TLSA record of %s: %s", base,
	    dane_mismatch_text(dane, der, len, text));
}

/* Puts the record that the proof rests on before its path. */
static void
tell_anchor(const struct dane *dane, const struct proof *proof)
{
	const struct tlsa *record = dane_match_anchor(dane, proof->anchor);
	char path[VERIFY_TEXT_MAX - TLSA_TEXT_MAX - 8], text[TLSA_TEXT_MAX];

	strlcpy(path, proof->report->text, sizeof(path));
	snprintf(proof->report->text, VERIFY_TEXT_MAX, "TLSA %s: %s",
	    tlsa_text(record, text), path);
}

/*
 * A path that only a name led to, up to a key that no certificate came with,
 * is none that anybody meant.
 */
static enum verify_result
check_anchors(struct proof *proof, const struct dane *dane,
    const struct chain *chain, const struct verify_request *request)
{
	struct verify_report *report = proof->report;
	struct verify_request by_path = *request;
	struct store *anchors;
	bool has_sent;

	if (has_run_out_of_memory() ||
	    (anchors = dane_anchors(
		 dane, proof->certs, proof->count, &has_sent)) == NULL)
		return refuse(report, VERIFY_FAILURE, "out of memory");
	by_path.trust = anchors;
	by_path.ip = NULL;
	by_path.pin_count = 0;
	proof->request = &by_path;
	if (check_proof(proof, chain) == VERIFY_PROVED)
		tell_anchor(dane, proof);
	else if (report->result == VERIFY_NOT_TRUSTED && !has_sent)
		refuse_records(dane, chain, request, report);
	proof->request = request;
	store_free(anchors);
	return report->result;
}

static enum verify_result
check_tlsa(const struct dane *dane, const struct chain *chain,
    const struct verify_request *request, struct verify_report *report)
{
	const struct tlsa *record;
	struct proof proof;
	const uint8_t *der;
	size_t len;

	der = chain_der(chain, 0, &len);
	if ((record = dane_match_leaf(dane, der, len)) != NULL)
		return prove_leaf(request, record, report);
	if (!dane_has_usage(dane, TLSA_DANE_TA))
		return refuse_records(dane, chain, request, report);
	if (proof_init(&proof, chain, request, report) == 0)
		check_anchors(&proof, dane, chain, request);
	else
		refuse(report, VERIFY_FAILURE, "certificate cannot be read");
	proof_clear(&proof);
	return report->result;
}

static enum verify_result
check_dane(const struct chain *chain, const struct verify_request *request,
    struct verify_report *report)
{
	char base[VERIFY_NAME_MAX];
	struct dane dane;

	if (request->name_count == 0)
		return refuse(report, VERIFY_FAILURE,
		    "TLSA records but no name of theirs");
	if (request->tlsa_count > VERIFY_TLSA_MAX)
		return refuse(report, VERIFY_FAILURE,
		    "more than %d TLSA records", VERIFY_TLSA_MAX);
	dane_init(&dane, request->tlsa, request->tlsa_count);
	if (dane.count > 0)
		return check_tlsa(&dane, chain, request, report);
	log_escape(
	    base, sizeof(base), request->names[0], strlen(request->names[0]));
	return refuse(
	    report, VERIFY_FAILURE, "no usable TLSA record of %s", base);
}

enum verify_result
verify_chain(const struct chain *chain, const struct verify_request *request,
    struct verify_report *report)
{
	memset(report, 0, sizeof(*report));
	report->result = VERIFY_FAILURE;
	ERR_clear_error();
	if (request->tlsa_count > 0)
		check_dane(chain, request, report);
	else if (request->trust == NULL)
		check_pin_alone(chain, request, report);
	else
		check_chain(chain, request, report);
	if (has_run_out_of_memory())
		refuse(report, VERIFY_FAILURE, "out of memory");
	ERR_clear_error();
	if (report->result != VERIFY_PROVED) {
		report->matched[0] = '\0';
		report->from = report->until = 0;
	}
	return report->result;
}

const char *
verify_leaf_names(const struct chain *chain, char out[VERIFY_TEXT_MAX])
{
	struct cert leaf;

	out[0] = '\0';
	if (cert_init(&leaf, chain_buffer(chain, 0)) == 0)
		name_list_text(CBS_data(&leaf.names), CBS_len(&leaf.names), out,
		    VERIFY_TEXT_MAX);
	cert_clear(&leaf);
	ERR_clear_error();
	return out;
}
