/* SPDX-License-Identifier: ISC */
/*
 * Only what cannot be the fault of a single name fails: one that has gone or
 * changed is a note, since it proves nothing.
 */

#include "proxy/doctor_facts.h"

#include <inttypes.h>

#define WHO_MAX 128

static const char *const checks[] = {
    [DOCTOR_FACTS_SECURE] = DOCTOR_CHECK_DNS,
    [DOCTOR_FACTS_RESOLVER] = DOCTOR_CHECK_DNS,
    [DOCTOR_FACTS_BOGUS] = DOCTOR_CHECK_BOGUS,
    [DOCTOR_FACTS_DANE] = DOCTOR_CHECK_TLSA,
    [DOCTOR_FACTS_MTA_STS] = DOCTOR_CHECK_MTA_STS,
};

/* DNSSEC from the root. */

/* "the resolver 192.0.2.53:53", or whoever answers. */
static const char *
who(const char *whom, char out[WHO_MAX])
{
	snprintf(out, WHO_MAX, "%s%s",
	    whom[0] != '\0' ? "the resolver " : "the DNS", whom);
	return out;
}

static void
remedy_unreached(struct report *report, const char *whom)
{
	if (whom[0] != '\0')
		report_remedy(report,
		    "see whether it answers this host (`dig @ADDRESS arpa "
		    "MX`), or name another in dns.forward");
	else
		report_remedy(report,
		    "let this host's UDP and TCP out to port 53, or name a "
		    "resolver in dns.forward");
}

static void
remedy_bogus(struct report *report, const char *whom)
{
	if (whom[0] != '\0')
		report_remedy(report,
		    "it strips DNSSEC signatures, or forges answers: name "
		    "another in dns.forward, or none, so that postern asks "
		    "the root servers itself");
	else
		report_remedy(report,
		    "see that the clock is right and dns.trust_anchor up to "
		    "date, and that nothing on the way answers in place of "
		    "the name servers");
}

static void
judge_signed(struct report *report, const char *name, const char *whom,
    const struct mx_facts *mx)
{
	char text[WHO_MAX];

	who(whom, text);
	switch (mx->status) {
	case DNS_BOGUS:
		report_fail(report, DOCTOR_CHECK_DNS,
		    "what %s says of %s is wrong by DNSSEC: %s", text, name,
		    mx->why);
		remedy_bogus(report, whom);
		return;
	case DNS_FAILED:
		report_fail(report, DOCTOR_CHECK_DNS, "no answer from %s: %s",
		    text, mx->why);
		remedy_unreached(report, whom);
		return;
	case DNS_FOUND:
	case DNS_NODATA:
	case DNS_NXDOMAIN:
		break;
	}
	if (mx->is_secure) {
		report_pass(report, DOCTOR_CHECK_DNS,
		    "answers of %s are proved by DNSSEC from the root", text);
		return;
	}
	report_fail(report, DOCTOR_CHECK_DNS,
	    "what %s says of %s is not proved by DNSSEC", text, name);
	report_remedy(report,
	    "dns.trust_anchor must hold the key of the root (package "
	    "dns-root-data)");
}

/* A forger's domain. */

static void
judge_bogus(struct report *report, const char *name, const struct mx_facts *mx)
{
	switch (mx->status) {
	case DNS_BOGUS:
		report_pass(report, DOCTOR_CHECK_BOGUS,
		    "%s, which is signed wrongly, is not believed", name);
		return;
	case DNS_FAILED:
		report_note(report, DOCTOR_CHECK_BOGUS,
		    "%s, which is signed wrongly, got no answer: %s", name,
		    mx->why);
		return;
	case DNS_FOUND:
	case DNS_NODATA:
	case DNS_NXDOMAIN:
		break;
	}
	if (mx->is_secure) {
		report_note(report, DOCTOR_CHECK_BOGUS,
		    mx->status == DNS_NXDOMAIN
			? "%s is not there, which is proved: nothing was tried "
			  "(--bogus names another)"
			: "%s is signed as it should be: nothing was tried "
			  "(--bogus names another)",
		    name);
		return;
	}
	report_fail(report, DOCTOR_CHECK_BOGUS,
	    "%s, which is signed wrongly, was believed", name);
	report_remedy(report,
	    "DNSSEC is not at work: see that dns.trust_anchor holds the key "
	    "of the root");
}

/* TLSA. */

static size_t
count_tlsa(const struct mx_facts *mx, enum mx_tlsa tlsa)
{
	size_t count = 0, i;

	for (i = 0; i < mx->host_count; i++)
		if (mx->hosts[i].tlsa == tlsa)
			count++;
	return count;
}

static void
fail_tlsa(struct report *report, const char *name, const struct mx_facts *mx)
{
	const struct mx_host *host = mx->hosts;

	while (host->tlsa != MX_TLSA_UNKNOWN)
		host++;
	report_fail(report, DOCTOR_CHECK_TLSA,
	    "TLSA records of %s, for %s, cannot be looked up: %s", host->name,
	    name, host->tlsa_why);
	report_remedy(report,
	    "mail to domains with DNSSEC is put off: a firewall or resolver "
	    "on the way loses questions of a type that it does not know");
}

static void
judge_dane(struct report *report, const char *name, const struct mx_facts *mx)
{
	size_t found = count_tlsa(mx, MX_TLSA_FOUND);

	if (count_tlsa(mx, MX_TLSA_UNKNOWN) > 0)
		fail_tlsa(report, name, mx);
	else if (found + count_tlsa(mx, MX_TLSA_NONE) > 0)
		report_pass(report, DOCTOR_CHECK_TLSA,
		    "of %s come back: %zu of %zu MX hosts have them", name,
		    found, mx->host_count);
	else
		report_note(report, DOCTOR_CHECK_TLSA,
		    "%s has no signed MX hosts that were found: nothing was "
		    "tried%s%s (--dane names another)",
		    name, mx->why[0] == '\0' ? "" : ": ", mx->why);
}

/* HTTPS. */

static void
judge_mta_sts(
    struct report *report, const char *name, const struct facts *facts)
{
	const struct mta_sts_facts *sts = &facts->sts;
	const struct mx_facts *mx = &facts->mx;

	if (sts->status == MTA_STS_FOUND && sts->word == RESULT_NONE) {
		report_pass(report, DOCTOR_CHECK_MTA_STS,
		    "the policy of %s was fetched over HTTPS", name);
		return;
	}
	if (sts->status == MTA_STS_ABSENT && sts->word == RESULT_NONE) {
		report_note(report, DOCTOR_CHECK_MTA_STS,
		    "%s has no policy: port 443 was not tried (--mta-sts names "
		    "another)",
		    name);
		return;
	}
	/* Not even the record could be had: that is told of the DNS. */
	if (mx->status == DNS_FAILED || mx->status == DNS_BOGUS) {
		report_note(report, DOCTOR_CHECK_MTA_STS,
		    "%s cannot be looked up: port 443 was not tried", name);
		return;
	}
	report_fail(report, DOCTOR_CHECK_MTA_STS,
	    "the policy of %s cannot be had: %s", name, sts->why);
	report_remedy(report,
	    "let this host's own TCP out to port 443; until then domains "
	    "whose policy is not known yet are judged without");
}

static bool
is_of_all(enum doctor_facts kind)
{
	return kind == DOCTOR_FACTS_SECURE || kind == DOCTOR_FACTS_RESOLVER;
}

/* Once is enough. */
static void
tell_ended(struct report *report, enum doctor_facts kind, const char *name)
{
	if (!is_of_all(kind)) {
		report_note(report, checks[kind],
		    "%s was not tried: postern-policy ended", name);
		return;
	}
	report_fail(
	    report, checks[kind], "postern-policy ended before it answered");
	report_remedy(report,
	    "standard error has what it said; see that `user` can read "
	    "dns.trust_anchor and dns.root_hints");
}

void
doctor_facts_judge(struct report *report, enum doctor_facts kind,
    const char *name, const char *whom, const struct facts *facts)
{
	if (facts == NULL) {
		tell_ended(report, kind, name);
		return;
	}
	switch (kind) {
	case DOCTOR_FACTS_SECURE:
	case DOCTOR_FACTS_RESOLVER:
		judge_signed(report, name, whom, &facts->mx);
		return;
	case DOCTOR_FACTS_BOGUS:
		judge_bogus(report, name, &facts->mx);
		return;
	case DOCTOR_FACTS_DANE:
		judge_dane(report, name, &facts->mx);
		return;
	case DOCTOR_FACTS_MTA_STS:
		judge_mta_sts(report, name, facts);
		return;
	}
}

/* Of the names in particular, a slow one is no fault of this host's. */
void
doctor_facts_late(struct report *report, enum doctor_facts kind,
    const char *name, const char *whom, uint32_t seconds)
{
	char text[WHO_MAX];

	if (!is_of_all(kind)) {
		report_note(report, checks[kind],
		    "%s: no answer within %" PRIu32 " s (see --limit)", name,
		    seconds);
		return;
	}
	report_fail(report, checks[kind],
	    "no answer from %s within %" PRIu32 " s (see --limit)",
	    who(whom, text), seconds);
	remedy_unreached(report, whom);
}
