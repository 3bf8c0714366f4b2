/* SPDX-License-Identifier: ISC */
/*
 * Every combination of what the DNS, MTA-STS and the operator may say, by the
 * lookups and the decisions of the daemon, against one table.  A combination
 * is named by a word for each of its parts; the first row that fits says what
 * must come of it.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/policy/blocks.h"
#include "proxy/policy/decide.h"
#include "proxy/policy/mta_sts.h"
#include "proxy/policy/mx_lookup.h"
#include "proxy/session/verdict.h"
#include "tests/unit/fake_dns.h"

#define NOW    1000000
#define DOMAIN "a.example"
#define HOST   "mx.a.example"
#define OWN    "_25._tcp.mx.a.example"

/* The parts, and the words that each may be. */
enum part {
	MX,
	ADDRESS,
	TLSA,
	STS,
	RULE,
	SETTING,
	PARTS
};

#define WORDS_MAX 8

static const char *const part_names[PARTS] = {
    "mx", "address", "tlsa", "sts", "rule", "setting"};

static const char *const words[PARTS][WORDS_MAX] = {
    /* implied: no MX record, and the domain's own addresses */
    [MX] = {"secure", "insecure", "implied", "implied-insecure", "bogus",
	"failed", "null", "nxdomain"},
    [ADDRESS] = {"secure", "insecure", "bogus", "failed"},
    [TLSA] = {"usable", "unusable", "insecure", "nodata", "nxdomain", "bogus",
	"failed"},
    [STS] = {"absent", "unfetched", "unknown", "none", "testing",
	"testing-other", "enforce", "enforce-other"},
    [RULE] = {"-", "names", "trust", "encrypt", "none", "observe"},
    [SETTING] = {"-", "testing=enforce", "require_dnssec", "enforce=false"},
};

/* What must come of it; by_name stands for mx or mx+dnssec. */
struct outcome {
	enum decision_kind kind;
	enum evidence evidence;
	const char *status; /* TEMPORARY, REFUSE */
	enum result_word word;
};

static const struct row {
	/* "*", a word, or words with '|' between them. */
	const char *mx, *address, *tlsa, *sts, *rule, *setting;
	struct outcome outcome;
} table[] = {
/* clang-format off */
#define LEVEL(evidence) {DECISION_LEVEL, evidence, "", RESULT_NONE}
#define TEMPORARY(evidence, status, word) \
	{DECISION_TEMPORARY, evidence, status, word}
#define REFUSE(evidence, status, word) {DECISION_REFUSE, evidence, status, word}
#define SIGNED   "secure|implied"
#define UNSIGNED "insecure|implied-insecure"
#define UNASKED  "absent|unfetched|none|testing|testing-other"

    /* The operator's word comes first, and needs no other. */
    {"*", "*", "*", "*", "names|encrypt|none", "*",
	LEVEL(EVIDENCE_OPERATOR)},

    /* Without hosts nothing is decided but that. */
    {"bogus", "*", "*", "*", "*", "*",
	TEMPORARY(EVIDENCE_MX, "7.5", RESULT_DNSSEC_INVALID)},
    {"failed", "*", "*", "*", "*", "*",
	TEMPORARY(EVIDENCE_MX, "4.3", RESULT_NONE)},
    {"null", "*", "*", "*", "*", "*",
	REFUSE(EVIDENCE_MX_DNSSEC, "1.10", RESULT_NONE)},
    {"nxdomain", "*", "*", "*", "*", "*",
	REFUSE(EVIDENCE_MX_DNSSEC, "1.2", RESULT_NONE)},

    /* A trust file of the domain's own goes by the MX names alone. */
    {UNSIGNED, "*", "*", "*", "trust", "require_dnssec",
	REFUSE(EVIDENCE_MX, "7.5", RESULT_DNSSEC_INVALID)},
    {"*", "*", "*", "*", "trust", "*", LEVEL(EVIDENCE_OPERATOR)},

    /* DANE, where MX and addresses are signed; MTA-STS never overrides it. */
    {SIGNED, "bogus", "*", "*", "*", "*",
	TEMPORARY(EVIDENCE_DANE, "7.5", RESULT_DNSSEC_INVALID)},
    {SIGNED, "failed", "*", "*", "*", "*",
	TEMPORARY(EVIDENCE_DANE, "4.3", RESULT_NONE)},
    {SIGNED, "secure", "usable", "*", "*", "*", LEVEL(EVIDENCE_DANE)},
    {SIGNED, "secure", "bogus", "*", "*", "*",
	TEMPORARY(EVIDENCE_DANE, "7.5", RESULT_DNSSEC_INVALID)},
    {SIGNED, "secure", "failed", "*", "*", "*",
	TEMPORARY(EVIDENCE_DANE, "4.3", RESULT_NONE)},

    /* MTA-STS, where it is enforced; whether it is must be known. */
    {"*", "*", "*", "unknown", "*", "*",
	TEMPORARY(EVIDENCE_MTA_STS, "4.3", RESULT_NONE)},
    {"*", "*", "*", "enforce", "*", "*", LEVEL(EVIDENCE_MTA_STS)},
    {"*", "*", "*", "enforce-other", "*", "*",
	REFUSE(EVIDENCE_MTA_STS, "7.1", RESULT_VALIDATION_FAILURE)},
    {"*", "*", "*", "testing", "*", "testing=enforce",
	LEVEL(EVIDENCE_MTA_STS)},
    {"*", "*", "*", "testing-other", "*", "testing=enforce",
	REFUSE(EVIDENCE_MTA_STS, "7.1", RESULT_VALIDATION_FAILURE)},

    /* The MX names, signed or not. */
    {UNSIGNED, "*", "*", UNASKED, "*", "require_dnssec",
	REFUSE(EVIDENCE_MX, "7.5", RESULT_DNSSEC_INVALID)},
    {SIGNED, "*", "*", UNASKED, "*", "*", LEVEL(EVIDENCE_MX_DNSSEC)},
    {UNSIGNED, "*", "*", UNASKED, "*", "*", LEVEL(EVIDENCE_MX)},
    /* clang-format on */
};

struct combination {
	const char *part[PARTS];
};

static bool is_used[sizeof(table) / sizeof(table[0])];
static struct mx_facts *mx; /* owned */
static bool mx_is_done;

static bool
is(const struct combination *combination, enum part part, const char *word)
{
	return strcmp(combination->part[part], word) == 0;
}

static bool
starts(const struct combination *combination, enum part part, const char *word)
{
	return strncmp(combination->part[part], word, strlen(word)) == 0;
}

/* The name of a combination; valid until the next call. */
static const char *
name_of(const struct combination *combination)
{
	static char name[512];
	size_t used = 0;
	int i;

	for (i = 0; i < PARTS; i++)
		used += (size_t)snprintf(name + used, sizeof(name) - used,
		    "%s%s=%s", i > 0 ? " " : "", part_names[i],
		    combination->part[i]);
	return name;
}

static bool
fits(const char *pattern, const char *word)
{
	size_t len = strlen(word), part;

	if (strcmp(pattern, "*") == 0)
		return true;
	for (;; pattern += part + 1) {
		part = strcspn(pattern, "|");
		if (part == len && strncmp(pattern, word, len) == 0)
			return true;
		if (pattern[part] == '\0')
			return false;
	}
}

static const struct outcome *
expected(const struct combination *combination)
{
	const struct row *row;
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		row = &table[i];
		if (fits(row->mx, combination->part[MX]) &&
		    fits(row->address, combination->part[ADDRESS]) &&
		    fits(row->tlsa, combination->part[TLSA]) &&
		    fits(row->sts, combination->part[STS]) &&
		    fits(row->rule, combination->part[RULE]) &&
		    fits(row->setting, combination->part[SETTING])) {
			is_used[i] = true;
			return &row->outcome;
		}
	}
	fail_msg("no row for %s", name_of(combination));
	return NULL;
}

/* The DNS of a combination. */

static void
begin_state(const char *state)
{
	if (strcmp(state, "bogus") == 0)
		begin(DNS_BOGUS, false, 0);
	else if (strcmp(state, "failed") == 0)
		begin(DNS_FAILED, false, 0);
	else if (strcmp(state, "nxdomain") == 0)
		begin(DNS_NXDOMAIN, true, 300);
	else if (strcmp(state, "nodata") == 0)
		begin(DNS_NODATA, true, 300);
	else
		begin(DNS_FOUND, strcmp(state, "insecure") != 0, 300);
}

static void
answer_mx(const struct combination *combination)
{
	if (starts(combination, MX, "implied"))
		begin(DNS_NODATA, is(combination, MX, "implied"), 300);
	else
		begin_state(combination->part[MX]);
	if (answer.status == DNS_FOUND) {
		strlcpy(answer.records[0].name,
		    is(combination, MX, "null") ? "" : HOST, DNS_NAME_MAX);
		answer.count = 1;
	}
	reply(DOMAIN, DNS_MX);
}

static void
answer_tlsa(const struct combination *combination, const char *name)
{
	begin_state(combination->part[TLSA]);
	if (answer.status == DNS_FOUND) {
		answer.bytes[0] = is(combination, TLSA, "unusable") ? 1 : 3;
		answer.bytes[1] = answer.bytes[2] = 1;
		answer.byte_count = answer.records[0].len = 3 + 32;
		answer.count = 1;
	}
	reply(name, DNS_TLSA);
}

static void
on_mx(void *arg, struct mx_facts *facts)
{
	assert_ptr_equal(arg, &mx);
	mx = facts;
	mx_is_done = true;
}

static void
look_up(const struct combination *combination)
{
	const char *host, *tlsa;
	struct address address;

	assert_int_equal(address_from_text(&address, "192.0.2.1"), 0);
	address.port = 25;
	asked_count = 0;
	mx_is_done = false;
	assert_int_equal(
	    mx_lookup_start(NULL, DOMAIN, &address, on_mx, &mx), 0);
	answer_mx(combination);
	host = starts(combination, MX, "implied") ? DOMAIN : HOST;
	tlsa = starts(combination, MX, "implied") ? "_25._tcp." DOMAIN : OWN;
	if (mx_is_done)
		return;
	begin_state(combination->part[ADDRESS]);
	if (answer.status == DNS_FOUND)
		add_address("192.0.2.1");
	reply(host, DNS_A);
	if (answer.status == DNS_FOUND)
		begin(DNS_NODATA, answer.is_secure, 300);
	if (is_asked(host, DNS_AAAA))
		reply(host, DNS_AAAA);
	if (is_asked(tlsa, DNS_TLSA))
		answer_tlsa(combination, tlsa);
	assert_true(mx_is_done);
}

/* MTA-STS and the operator. */

static void
fill_sts(const struct combination *combination, struct mta_sts_facts *facts,
    struct sts_policy *policy)
{
	bool is_other = strstr(combination->part[STS], "-other") != NULL;

	memset(facts, 0, sizeof(*facts));
	memset(policy, 0, sizeof(*policy));
	facts->ttl = 300;
	facts->status = MTA_STS_FOUND;
	facts->policy = policy;
	strlcpy(facts->id, "1", sizeof(facts->id));
	policy->mx_count = 1;
	strlcpy(policy->mx[0], is_other ? "*.other.example" : HOST,
	    sizeof(policy->mx[0]));
	if (!is_other && starts(combination, MX, "implied"))
		strlcpy(policy->mx[0], DOMAIN, sizeof(policy->mx[0]));
	if (starts(combination, STS, "enforce")) {
		policy->mode = STS_ENFORCE;
	} else if (starts(combination, STS, "testing")) {
		policy->mode = STS_TESTING;
	} else if (is(combination, STS, "none")) {
		policy->mode = STS_NONE;
		policy->mx_count = 0;
	} else {
		facts->status = is(combination, STS, "unknown")
		                    ? MTA_STS_UNKNOWN
		                    : MTA_STS_ABSENT;
		facts->policy = NULL;
		if (is(combination, STS, "unfetched"))
			facts->word = RESULT_STS_POLICY_FETCH_ERROR;
		if (!is(combination, STS, "absent"))
			strlcpy(facts->why, "why", sizeof(facts->why));
	}
}

static void
fill_config(const struct combination *combination, struct config *config,
    struct rule *rule)
{
	static char *names[] = {"operator.example"};
	static char trust[] = "/trust.pem", domain[] = DOMAIN, origin[] = "f:1";

	memset(config, 0, sizeof(*config));
	memset(rule, 0, sizeof(*rule));
	config->enforce = !is(combination, SETTING, "enforce=false");
	config->require_dnssec = is(combination, SETTING, "require_dnssec");
	config->mta_sts.enforces_testing = is(
	    combination, SETTING, "testing=enforce");
	if (is(combination, RULE, "-"))
		return;
	config->domains = rule;
	config->domain_count = 1;
	rule->name = domain;
	rule->origin = origin;
	if (is(combination, RULE, "names")) {
		rule->names = names;
		rule->name_count = 1;
	} else if (is(combination, RULE, "trust")) {
		rule->trust = trust;
	} else if (is(combination, RULE, "encrypt")) {
		rule->level = LEVEL_ENCRYPT;
	} else if (is(combination, RULE, "none")) {
		rule->level = LEVEL_NONE;
	} else {
		rule->level = LEVEL_OBSERVE;
	}
}

/* Decides with no more facts than are asked for. */
static void
decide(const struct combination *combination, const struct config *config,
    struct decision *decision)
{
	char error[BLOCKS_ERROR_MAX];
	struct blocks *blocks = blocks_new(config, error);
	struct mta_sts_facts sts;
	struct sts_policy policy;

	assert_non_null(blocks);
	if (decide_domain(blocks, DOMAIN, NULL, NULL, NOW, decision) ==
	    DECIDE_ASK) {
		look_up(combination);
		fill_sts(combination, &sts, &policy);
		if (decide_domain(blocks, DOMAIN, mx, NULL, NOW, decision) ==
		    DECIDE_ASK)
			assert_int_equal(decide_domain(blocks, DOMAIN, mx, &sts,
					     NOW, decision),
			    DECIDE_DONE);
		mx_facts_free(mx);
		mx = NULL;
	}
	blocks_free(blocks);
}

/* Where a level is asked for: by which names, and by what. */
static void
check_names(
    const struct combination *combination, const struct decision *decision)
{
	const char *host = starts(combination, MX, "implied") ? DOMAIN : HOST;
	enum level level = LEVEL_VERIFY;

	if (is(combination, RULE, "encrypt"))
		level = LEVEL_ENCRYPT;
	else if (is(combination, RULE, "none"))
		level = LEVEL_NONE;
	assert_int_equal(decision->level, level);
	if (level != LEVEL_VERIFY) {
		assert_int_equal(decision->name_count, 0);
		return;
	}
	if (is(combination, RULE, "names"))
		host = "operator.example";
	assert_int_equal(decision->name_count, 1);
	assert_string_equal(decision->names[0], host);
	assert_int_equal(decision->sni_count, 1);
	assert_int_equal(decision->by_tlsa[0].count,
	    decision->evidence == EVIDENCE_DANE ? 1 : 0);
	assert_int_equal(decision->also_count, 0); /* for DANE-TA alone */
	assert_string_equal(decision->trust,
	    is(combination, RULE, "trust") ? "/trust.pem" : "");
}

/* What comes of it towards a server without TLS. */
static void
check_verdict(const struct combination *combination,
    const struct config *config, const struct decision *decision)
{
	const struct verdict_terms terms = {
	    .on_refusal = CONFIG_DEFER, .enforces = config->enforce};
	const struct far_end far = {
	    .fault_word = RESULT_STARTTLS_NOT_SUPPORTED,
	    .fault_text = "it said no",
	};
	bool allows = decision->kind == DECISION_LEVEL &&
	              decision->level == LEVEL_NONE;
	bool observes = is(combination, RULE, "observe") || !config->enforce;
	struct verdict verdict;

	verdict_judge(
	    &verdict, decision, DOMAIN, &far, NULL, &terms, NULL, NOW);
	assert_int_equal(verdict.passes, allows || observes);
	assert_int_equal(verdict.would_refuse, !allows && observes);
	assert_int_equal(verdict.is_exception, allows || observes);
	if (!allows) {
		assert_int_equal(verdict.code, 451);
		assert_int_equal(
		    verdict.word, decision->kind == DECISION_LEVEL
				      ? RESULT_STARTTLS_NOT_SUPPORTED
				      : decision->word);
	}
}

static void
check(const struct combination *combination)
{
	const struct outcome *want = expected(combination);
	static struct decision decision;
	struct config config;
	struct rule rule;

	fill_config(combination, &config, &rule);
	decide(combination, &config, &decision);
	if (decision.kind != want->kind ||
	    decision.evidence != want->evidence ||
	    strcmp(decision.status, want->status) != 0 ||
	    decision.word != want->word ||
	    decision.is_observed != is(combination, RULE, "observe"))
		fail_msg("%s: kind %d evidence %s status %s word %s: %s",
		    name_of(combination), (int)decision.kind,
		    evidence_text(decision.evidence), decision.status,
		    result_word_text(decision.word), decision.text);
	if (decision.kind == DECISION_LEVEL)
		check_names(combination, &decision);
	else
		assert_int_equal(decision.name_count, 0);
	check_verdict(combination, &config, &decision);
}

static void
check_all(struct combination *combination, int part, size_t *count)
{
	size_t i;

	if (part == PARTS) {
		check(combination);
		++*count;
		return;
	}
	for (i = 0; i < WORDS_MAX && words[part][i] != NULL; i++) {
		combination->part[part] = words[part][i];
		check_all(combination, part + 1, count);
	}
}

static void
test_every_combination(void **state)
{
	struct combination combination;
	size_t count = 0;

	(void)state;
	room = SIZE_MAX;
	check_all(&combination, 0, &count);
	assert_int_equal(count, 8 * 4 * 7 * 8 * 6 * 4);
}

/* No row of the table is there for nothing. */
static void
test_every_row(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_true(is_used[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_combination),
	    cmocka_unit_test(test_every_row),
	};

	return cmocka_run_group_tests_name("decision table", tests, NULL, NULL);
}
