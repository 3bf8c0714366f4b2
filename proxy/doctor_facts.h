/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_DOCTOR_FACTS_H
#define POSTERN_DOCTOR_FACTS_H

/*
 * What answers about names that are known to be so or so tell of the way to
 * the DNS.  Pure.
 */

#include "proxy/doctor_report.h"
#include "proxy/policy/facts.h"

#define DOCTOR_CHECK_DNS     "dns"
#define DOCTOR_CHECK_BOGUS   "bogus"
#define DOCTOR_CHECK_TLSA    "tlsa"
#define DOCTOR_CHECK_MTA_STS "mta-sts"

/*
 * The root signs what is said of it, whether it is there (arpa is in the true
 * one) or not, and no resolver has an answer of its own.
 */
#define DOCTOR_SIGNED_NAME "arpa"

enum doctor_facts {
	DOCTOR_FACTS_SECURE, /* signed: the resolvers together */
	DOCTOR_FACTS_RESOLVER, /* the same, one of several */
	DOCTOR_FACTS_BOGUS, /* signed wrongly */
	DOCTOR_FACTS_DANE, /* signed, with MX hosts that are, too */
	DOCTOR_FACTS_MTA_STS, /* with a policy */
};

/*
 * doctor_facts_judge adds what the facts of a name come to; NULL, where
 * postern-policy ended before it answered.  whom: the resolver that was asked
 * ("192.0.2.53:53"), or "".
 */
void doctor_facts_judge(struct report *, enum doctor_facts, const char *name,
    const char *whom, const struct facts *);
/* doctor_facts_late, where no answer came within so many seconds. */
void doctor_facts_late(struct report *, enum doctor_facts, const char *name,
    const char *whom, uint32_t seconds);

#endif
