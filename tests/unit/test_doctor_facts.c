/* SPDX-License-Identifier: ISC */
/* What answers come to: which fail, which pass, and which prove nothing. */

#include "proxy/doctor_facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NAME     "a.example"
#define RESOLVER "192.0.2.53:53"

static struct report report;

static int
setup(void **state)
{
	(void)state;
	memset(&report, 0, sizeof(report));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	report_clear(&report);
	return 0;
}

/* Judges one answer, and forgets what came of the last. */
static const struct finding *
judge(enum doctor_facts kind, const char *whom, const struct facts *facts)
{
	report_clear(&report);
	doctor_facts_judge(&report, kind, NAME, whom, facts);
	assert_int_equal(report.count, 1);
	return &report.findings[0];
}

static void
expect(const struct finding *finding, const char *check,
    enum finding_status status, const char *words)
{
	assert_string_equal(finding->check, check);
	assert_int_equal(finding->status, status);
	if (strstr(finding->found, words) == NULL)
		fail_msg("\"%s\" is not in: %s", words, finding->found);
	assert_int_equal(finding->remedy[0] != '\0', status == FINDING_FAIL);
}

static void
set_mx(struct facts *facts, enum dns_status status, bool is_secure)
{
	memset(facts, 0, sizeof(*facts));
	facts->mx.status = status;
	facts->mx.is_secure = is_secure;
	if (status == DNS_BOGUS || status == DNS_FAILED)
		strlcpy(facts->mx.why, "said so", sizeof(facts->mx.why));
}

static void
test_signed(void **state)
{
	const enum dns_status fine[] = {DNS_FOUND, DNS_NODATA, DNS_NXDOMAIN};
	struct facts facts;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
		set_mx(&facts, fine[i], true);
		expect(judge(DOCTOR_FACTS_SECURE, "", &facts), "dns",
		    FINDING_PASS, "the DNS");
		expect(judge(DOCTOR_FACTS_RESOLVER, RESOLVER, &facts), "dns",
		    FINDING_PASS, "the resolver " RESOLVER);
		set_mx(&facts, fine[i], false);
		expect(judge(DOCTOR_FACTS_SECURE, "", &facts), "dns",
		    FINDING_FAIL, "not proved by DNSSEC");
	}
	set_mx(&facts, DNS_BOGUS, false);
	expect(judge(DOCTOR_FACTS_RESOLVER, RESOLVER, &facts), "dns",
	    FINDING_FAIL, "the resolver " RESOLVER " says of " NAME);
	assert_non_null(strstr(report.findings[0].remedy, "strips"));
	expect(judge(DOCTOR_FACTS_SECURE, "", &facts), "dns", FINDING_FAIL,
	    "wrong by DNSSEC: said so");
	assert_null(strstr(report.findings[0].remedy, "strips"));
	set_mx(&facts, DNS_FAILED, false);
	expect(judge(DOCTOR_FACTS_SECURE, "", &facts), "dns", FINDING_FAIL,
	    "no answer from the DNS: said so");
}

static void
test_bogus(void **state)
{
	struct facts facts;

	(void)state;
	set_mx(&facts, DNS_BOGUS, false);
	expect(judge(DOCTOR_FACTS_BOGUS, "", &facts), "bogus", FINDING_PASS,
	    "not believed");
	set_mx(&facts, DNS_FAILED, false);
	expect(judge(DOCTOR_FACTS_BOGUS, "", &facts), "bogus", FINDING_NOTE,
	    "got no answer: said so");
	set_mx(&facts, DNS_NXDOMAIN, true);
	expect(judge(DOCTOR_FACTS_BOGUS, "", &facts), "bogus", FINDING_NOTE,
	    "is not there");
	set_mx(&facts, DNS_FOUND, true);
	expect(judge(DOCTOR_FACTS_BOGUS, "", &facts), "bogus", FINDING_NOTE,
	    "as it should be");
	set_mx(&facts, DNS_FOUND, false);
	expect(judge(DOCTOR_FACTS_BOGUS, "", &facts), "bogus", FINDING_FAIL,
	    "was believed");
	set_mx(&facts, DNS_NXDOMAIN, false);
	expect(judge(DOCTOR_FACTS_BOGUS, "", &facts), "bogus", FINDING_FAIL,
	    "was believed");
}

static void
test_tlsa(void **state)
{
	struct mx_host hosts[3];
	struct facts facts;

	(void)state;
	memset(hosts, 0, sizeof(hosts));
	hosts[0].tlsa = MX_TLSA_FOUND;
	hosts[1].tlsa = MX_TLSA_NONE;
	hosts[2].tlsa = MX_TLSA_NOT_ASKED;
	set_mx(&facts, DNS_FOUND, true);
	facts.mx.hosts = hosts;
	facts.mx.host_count = 3;
	expect(judge(DOCTOR_FACTS_DANE, "", &facts), "tlsa", FINDING_PASS,
	    "1 of 3");
	hosts[0].tlsa = MX_TLSA_NOT_ASKED;
	expect(judge(DOCTOR_FACTS_DANE, "", &facts), "tlsa", FINDING_PASS,
	    "0 of 3");
	hosts[1].tlsa = MX_TLSA_NOT_ASKED;
	expect(judge(DOCTOR_FACTS_DANE, "", &facts), "tlsa", FINDING_NOTE,
	    "nothing was tried");
	hosts[0].tlsa = MX_TLSA_FOUND;
	hosts[2].tlsa = MX_TLSA_UNKNOWN;
	strlcpy(hosts[2].name, "mx3." NAME, sizeof(hosts[2].name));
	strlcpy(hosts[2].tlsa_why, "SERVFAIL", sizeof(hosts[2].tlsa_why));
	expect(judge(DOCTOR_FACTS_DANE, "", &facts), "tlsa", FINDING_FAIL,
	    "of mx3." NAME ", for " NAME ", cannot be looked up: SERVFAIL");
	set_mx(&facts, DNS_FAILED, false);
	expect(judge(DOCTOR_FACTS_DANE, "", &facts), "tlsa", FINDING_NOTE,
	    "nothing was tried: said so");
}

static void
test_mta_sts(void **state)
{
	struct facts facts;

	(void)state;
	set_mx(&facts, DNS_FOUND, false);
	facts.sts.status = MTA_STS_FOUND;
	expect(judge(DOCTOR_FACTS_MTA_STS, "", &facts), "mta-sts", FINDING_PASS,
	    "was fetched");
	facts.sts.status = MTA_STS_ABSENT;
	expect(judge(DOCTOR_FACTS_MTA_STS, "", &facts), "mta-sts", FINDING_NOTE,
	    "has no policy");
	facts.sts.word = RESULT_STS_POLICY_FETCH_ERROR;
	strlcpy(facts.sts.why, "refused", sizeof(facts.sts.why));
	expect(judge(DOCTOR_FACTS_MTA_STS, "", &facts), "mta-sts", FINDING_FAIL,
	    "cannot be had: refused");
	facts.sts.status = MTA_STS_UNKNOWN;
	expect(judge(DOCTOR_FACTS_MTA_STS, "", &facts), "mta-sts", FINDING_FAIL,
	    "cannot be had: refused");
	/* That is told of the DNS. */
	facts.mx.status = DNS_FAILED;
	expect(judge(DOCTOR_FACTS_MTA_STS, "", &facts), "mta-sts", FINDING_NOTE,
	    "not tried");
}

static void
test_no_answer(void **state)
{
	(void)state;
	expect(judge(DOCTOR_FACTS_SECURE, "", NULL), "dns", FINDING_FAIL,
	    "ended before it answered");
	expect(judge(DOCTOR_FACTS_BOGUS, "", NULL), "bogus", FINDING_NOTE,
	    "not tried");
	report_clear(&report);
	doctor_facts_late(&report, DOCTOR_FACTS_RESOLVER, NAME, RESOLVER, 7);
	expect(&report.findings[0], "dns", FINDING_FAIL,
	    "no answer from the resolver " RESOLVER " within 7 s");
	report_clear(&report);
	doctor_facts_late(&report, DOCTOR_FACTS_DANE, NAME, "", 7);
	expect(&report.findings[0], "tlsa", FINDING_NOTE, "within 7 s");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_signed, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_bogus, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_tlsa, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_mta_sts, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_answer, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
