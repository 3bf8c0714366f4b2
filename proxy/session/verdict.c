/* SPDX-License-Identifier: ISC */
/*
 * Knows what each level asks for and how to say that it was not met.  Who may
 * receive, and by which evidence, was decided elsewhere.
 */

#include "proxy/session/verdict.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "certs/chain.h"
#include "certs/store.h"
#include "proxy/session/verdict_cache.h"

static_assert(DECISION_TLSA_MAX <= VERIFY_TLSA_MAX, "all records of a name");

static const enum result_word words[] = {
    [VERIFY_PROVED] = RESULT_NONE,
    [VERIFY_HOST_MISMATCH] = RESULT_CERTIFICATE_HOST_MISMATCH,
    [VERIFY_EXPIRED] = RESULT_CERTIFICATE_EXPIRED,
    [VERIFY_NOT_TRUSTED] = RESULT_CERTIFICATE_NOT_TRUSTED,
    [VERIFY_FAILURE] = RESULT_VALIDATION_FAILURE,
};

/* "mx1.example.org[192.0.2.9]", or the address alone. */
static void
name_far_end(char *out, size_t size, const struct decision *decision,
    const struct far_end *far)
{
	char ip[ADDRESS_TEXT_MAX];

	snprintf(out, size, "%s[%s]",
	    decision->sni_count > 0 ? decision->names[0] : "",
	    address_ip_text(&far->address, ip));
}

/* What is judged, by what, on which terms. */
struct judging {
	struct verdict *verdict;
	const struct decision *decision;
	const char *what;
	const struct far_end *far;
	const struct store *trust;
	const struct verdict_terms *terms;
	struct verdict_cache *cache;
	int64_t now;
	size_t *spent; /* on the far end's chain, for all its hosts */
};

/*
 * 4xx unless the operator wants refusals to bounce, and even then where
 * waiting may mend it.
 */
static void
refuse(const struct judging *judging, bool may_mend, const char *detail)
{
	struct verdict *verdict = judging->verdict;
	bool bounces = judging->terms->on_refusal == CONFIG_BOUNCE && !may_mend;

	verdict->passes = false;
	verdict->code = bounces ? 550 : 451;
	snprintf(verdict->status, sizeof(verdict->status), "%d.%s",
	    bounces ? 5 : 4, detail);
}

static void __attribute__((format(printf, 2, 3)))
say(struct verdict *verdict, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(verdict->text, sizeof(verdict->text), fmt, ap);
	va_end(ap);
}

static void
judge_without_tls(const struct judging *judging)
{
	const struct decision *decision = judging->decision;
	const struct far_end *far = judging->far;
	struct verdict *verdict = judging->verdict;

	if (decision->level == LEVEL_NONE) {
		verdict->passes = verdict->is_exception = true;
		say(verdict, "clear text allowed by the operator's rule");
		return;
	}
	verdict->word = far->fault_word;
	/* A handshake that failed may do better with the right SNI. */
	verdict->is_identity = far->fault_word != RESULT_STARTTLS_NOT_SUPPORTED;
	refuse(judging, decision->is_unconfirmed,
	    far->fault_word == RESULT_STARTTLS_NOT_SUPPORTED ? "7.4"
	    : far->fault_is_weak                             ? "7.6"
							     : "7.5");
	say(verdict, "%s: %s must be reached over TLS: %s: %s", judging->what,
	    verdict->peer, result_word_text(verdict->word), far->fault_text);
}

/*
 * A request without any identity would prove every certificate: only the
 * operator may ask for that, by a private trust file or a pin.
 */
static bool
names_someone(const struct decision *decision)
{
	return decision->name_count > 0 || decision->has_address ||
	       (decision->evidence == EVIDENCE_OPERATOR &&
		   (decision->pin_count > 0 || decision->trust[0] != '\0'));
}

/* Verifies once; a refusal is told unless an earlier one was. */
static bool
is_proved(const struct judging *judging, const struct verify_request *request,
    enum evidence evidence)
{
	struct verdict *verdict = judging->verdict;
	struct verify_report report;

	if (judging->cache != NULL)
		verdict_cache_verify(
		    judging->cache, judging->far->chain, request, &report);
	else
		verify_chain(judging->far->chain, request, &report);
	if (report.result == VERIFY_PROVED) {
		verdict->passes = true;
		verdict->is_identity = false;
		verdict->evidence = evidence;
		verdict->word = RESULT_NONE;
		strlcpy(verdict->name, report.matched, sizeof(verdict->name));
		say(verdict, "proved by %s: %s", evidence_text(evidence),
		    report.text);
		return true;
	}
	if (verdict->word != RESULT_NONE)
		return false;
	verdict->evidence = evidence;
	verdict->word = words[report.result];
	verdict->is_identity = true;
	refuse(judging, judging->decision->is_unconfirmed, "7.5");
	say(verdict, "%s: %s not proved by %s: %s: %s", judging->what,
	    verdict->peer, evidence_text(evidence),
	    result_word_text(verdict->word), report.text);
	return false;
}

/* A host with TLSA records: they, and nothing else, prove it. */
static bool
is_proved_by_tlsa(const struct judging *judging, size_t name)
{
	const struct decision *decision = judging->decision;
	const char *names[1 + DECISION_ALSO_MAX];
	struct tlsa records[DECISION_TLSA_MAX];
	struct verify_request request = {
	    .names = names,
	    .name_count = 1 + decision->also_count,
	    .tlsa = records,
	    .tlsa_count = decision_get_tlsa(decision, name, records),
	    .at = judging->now,
	    .spent = judging->spent,
	};
	size_t i;

	names[0] = decision->names[name];
	for (i = 0; i < decision->also_count; i++)
		names[1 + i] = decision->also[i];
	if (!is_proved(judging, &request, EVIDENCE_DANE))
		return false;
	/* What the next connection asks for by SNI. */
	strlcpy(judging->verdict->name, decision->names[name],
	    sizeof(judging->verdict->name));
	return true;
}

/* The names without TLSA records, the address, the pins: all but DANE. */
static bool
is_proved_by_names(const struct judging *judging)
{
	const struct decision *decision = judging->decision;
	const char *names[DECISION_NAMES_MAX];
	struct verify_request request = {
	    .trust = decision->is_pin_only ? NULL : judging->trust,
	    .names = names,
	    .ip = decision->has_address ? decision->address.ip : NULL,
	    .ip_len = decision->has_address ? address_ip_len(&decision->address)
	                                    : 0,
	    .pins = decision->pins,
	    .pin_count = decision->pin_count,
	    .at = judging->now,
	    .spent = judging->spent,
	};
	size_t i;

	for (i = 0; i < decision->name_count; i++)
		if (decision->by_tlsa[i].count == 0)
			names[request.name_count++] = decision->names[i];
	/* Where all names have TLSA records there is nobody left to name. */
	if (request.name_count == 0 && decision->name_count > 0)
		return false;
	return is_proved(judging, &request, decision->evidence);
}

static void
judge_certificate(const struct judging *judging)
{
	const struct decision *decision = judging->decision;
	size_t i;

	for (i = 0; i < decision->name_count; i++)
		if (decision->by_tlsa[i].count > 0 &&
		    is_proved_by_tlsa(judging, i))
			return;
	(void)is_proved_by_names(judging);
}

/* A decision that is none for this session, or no longer. */
static void
judge_outdated(const struct judging *judging)
{
	refuse(judging, true, "3.5");
	say(judging->verdict, "%s: the rules have just changed; try again",
	    judging->what);
}

static bool
is_over(const struct judging *judging)
{
	const struct decision *decision = judging->decision;

	return decision->until != 0 && judging->now >= decision->until;
}

static void
judge_level(const struct judging *judging)
{
	const struct decision *decision = judging->decision;
	struct verdict *verdict = judging->verdict;

	if (is_over(judging)) {
		judge_outdated(judging);
		return;
	}
	if (judging->far->chain == NULL) {
		judge_without_tls(judging);
	} else if (decision->level != LEVEL_VERIFY) {
		verdict->passes = verdict->is_exception = true;
		say(verdict, "TLS to anyone allowed by the operator's rule");
	} else if (!names_someone(decision) ||
		   (judging->trust == NULL && !decision->is_pin_only)) {
		judge_outdated(judging);
	} else {
		judge_certificate(judging);
	}
}

static void
judge(const struct judging *judging)
{
	const struct decision *decision = judging->decision;
	const char *word = result_word_text(decision->word);
	bool has_word = decision->word != RESULT_NONE;

	switch (decision->kind) {
	case DECISION_TEMPORARY:
	case DECISION_REFUSE:
		judging->verdict->word = decision->word;
		refuse(judging,
		    decision->kind == DECISION_TEMPORARY ||
			!decision->is_permanent,
		    decision->status);
		say(judging->verdict, "%s: %s%s%s", judging->what,
		    has_word ? word : "", has_word ? ": " : "", decision->text);
		return;
	case DECISION_NO_RULE:
		/* The configuration changed between decision and verdict. */
		judge_outdated(judging);
		return;
	case DECISION_LEVEL:
		judge_level(judging);
		return;
	}
}

void
verdict_judge(struct verdict *verdict, const struct decision *decision,
    const char *what, const struct far_end *far, const struct store *trust,
    const struct verdict_terms *terms, struct verdict_cache *cache, int64_t now)
{
	size_t spent = 0;
	const struct judging judging = {
	    .verdict = verdict,
	    .decision = decision,
	    .what = what != NULL ? what : "any recipient",
	    .far = far,
	    .trust = trust,
	    .terms = terms,
	    .cache = cache,
	    .now = now,
	    .spent = &spent,
	};

	memset(verdict, 0, sizeof(*verdict));
	verdict->evidence = decision->evidence;
	name_far_end(verdict->peer, sizeof(verdict->peer), decision, far);
	if (decision->kind == DECISION_LEVEL)
		strlcpy(verdict->note, decision->text, sizeof(verdict->note));
	judge(&judging);
	if (verdict->passes ||
	    (terms->enforces && (!decision->is_observed || is_over(&judging))))
		return;
	verdict->passes = verdict->is_exception = true;
	verdict->would_refuse = true;
}
