/* SPDX-License-Identifier: ISC */
/*
 * Knows what each level asks for and how to say that it was not met.  Who may
 * receive, and by which evidence, was decided elsewhere.
 */

#include "proxy/session/verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "certs/chain.h"
#include "certs/store.h"
#include "proxy/session/verdict_cache.h"

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

/*
 * 4xx unless the operator wants refusals to bounce, and even then where
 * waiting may mend it.
 */
static void
refuse(struct verdict *verdict, enum config_on_refusal on_refusal,
    bool may_mend, const char *detail)
{
	bool bounces = on_refusal == CONFIG_BOUNCE && !may_mend;

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
judge_without_tls(struct verdict *verdict, const struct decision *decision,
    const char *what, const struct far_end *far,
    enum config_on_refusal on_refusal)
{
	char peer[DECISION_NAME_MAX + ADDRESS_TEXT_MAX];

	name_far_end(peer, sizeof(peer), decision, far);
	if (decision->level == LEVEL_NONE) {
		verdict->passes = verdict->is_exception = true;
		say(verdict, "clear text allowed by the operator's rule");
		return;
	}
	verdict->word = far->fault_word;
	/* A handshake that failed may do better with the right SNI. */
	verdict->is_identity = far->fault_word != RESULT_STARTTLS_NOT_SUPPORTED;
	refuse(verdict, on_refusal, false,
	    far->fault_word == RESULT_STARTTLS_NOT_SUPPORTED ? "7.4"
	    : far->fault_is_weak                             ? "7.6"
							     : "7.5");
	say(verdict, "%s: %s must be reached over TLS: %s: %s", what, peer,
	    result_word_text(verdict->word), far->fault_text);
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

static void
judge_certificate(struct verdict *verdict, const struct decision *decision,
    const char *what, const struct far_end *far, const struct store *trust,
    enum config_on_refusal on_refusal, struct verdict_cache *cache, int64_t now)
{
	const char *names[DECISION_NAMES_MAX];
	char peer[DECISION_NAME_MAX + ADDRESS_TEXT_MAX];
	struct verify_request request = {
	    .trust = decision->is_pin_only ? NULL : trust,
	    .names = names,
	    .name_count = decision->name_count,
	    .ip = decision->has_address ? decision->address.ip : NULL,
	    .ip_len = decision->has_address ? address_ip_len(&decision->address)
	                                    : 0,
	    .pins = decision->pins,
	    .pin_count = decision->pin_count,
	    .at = now,
	};
	struct verify_report report;
	size_t i;

	for (i = 0; i < decision->name_count; i++)
		names[i] = decision->names[i];
	if (cache != NULL)
		verdict_cache_verify(cache, far->chain, &request, &report);
	else
		verify_chain(far->chain, &request, &report);
	if (report.result == VERIFY_PROVED) {
		verdict->passes = true;
		strlcpy(verdict->name, report.matched, sizeof(verdict->name));
		say(verdict, "proved by %s: %s",
		    evidence_text(decision->evidence), report.text);
		return;
	}
	name_far_end(peer, sizeof(peer), decision, far);
	verdict->word = words[report.result];
	verdict->is_identity = true;
	refuse(verdict, on_refusal, false, "7.5");
	say(verdict, "%s: %s not proved by %s: %s: %s", what, peer,
	    evidence_text(decision->evidence), result_word_text(verdict->word),
	    report.text);
}

void
verdict_judge(struct verdict *verdict, const struct decision *decision,
    const char *what, const struct far_end *far, const struct store *trust,
    enum config_on_refusal on_refusal, struct verdict_cache *cache, int64_t now)
{
	memset(verdict, 0, sizeof(*verdict));
	verdict->evidence = decision->evidence;
	verdict->word = decision->word;
	if (what == NULL)
		what = "any recipient";
	switch (decision->kind) {
	case DECISION_TEMPORARY:
	case DECISION_REFUSE:
		refuse(verdict, on_refusal,
		    decision->kind == DECISION_TEMPORARY ||
			!decision->is_permanent,
		    decision->status);
		say(verdict, "%s: %s%s%s", what,
		    decision->word != RESULT_NONE
			? result_word_text(decision->word)
			: "",
		    decision->word != RESULT_NONE ? ": " : "", decision->text);
		return;
	case DECISION_NO_RULE:
		break;
	case DECISION_LEVEL:
		if (decision->until != 0 && now >= decision->until)
			break;
		if (far->chain == NULL)
			judge_without_tls(
			    verdict, decision, what, far, on_refusal);
		else if (decision->level != LEVEL_VERIFY) {
			verdict->passes = verdict->is_exception = true;
			say(verdict, "TLS to anyone allowed by the operator's "
				     "rule");
		} else if (!names_someone(decision) ||
			   (trust == NULL && !decision->is_pin_only))
			break;
		else
			judge_certificate(verdict, decision, what, far, trust,
			    on_refusal, cache, now);
		return;
	}
	/* The configuration changed between decision and verdict. */
	refuse(verdict, on_refusal, true, "3.5");
	say(verdict, "%s: the rules have just changed; try again", what);
}
