/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_DECISION_H
#define POSTERN_DECISION_H

/*
 * What postern-policy answers: which far ends may receive mail for a
 * recipient's domain, or for everything sent to a server, by which evidence.
 * A plain value, and its form as a message.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/address.h"
#include "proxy/config.h"
#include "proxy/policy/tlsa.h"

struct ipc_message;
struct ipc_reader;

#define DECISION_NAMES_MAX  32
#define DECISION_NAME_MAX   256 /* a DNS name as text, NUL included */
#define DECISION_TEXT_MAX   256
#define DECISION_PATH_MAX   1024
#define DECISION_ALSO_MAX   2
#define DECISION_TLSA_MAX   64 /* records of all names together */
#define DECISION_TLSA_BYTES 16384 /* of their data */

enum evidence {
	EVIDENCE_NONE,
	EVIDENCE_OPERATOR, /* a server or domain block */
	EVIDENCE_MX, /* MX names out of unsigned DNS */
	EVIDENCE_MX_DNSSEC, /* MX names out of signed DNS */
	EVIDENCE_ADDRESS, /* an address literal: the address itself */
	EVIDENCE_DANE, /* RFC 7672 */
	EVIDENCE_MTA_STS, /* RFC 8461, mode enforce */
};
/* "none", "operator", "mx", "mx+dnssec", "address", "dane", "mta-sts". */
const char *evidence_text(enum evidence);

/* RFC 8460 4.3 result types, and none. */
enum result_word {
	RESULT_NONE, /* proved, or not a matter of TLS */
	RESULT_STARTTLS_NOT_SUPPORTED,
	RESULT_CERTIFICATE_HOST_MISMATCH,
	RESULT_CERTIFICATE_EXPIRED,
	RESULT_CERTIFICATE_NOT_TRUSTED,
	RESULT_VALIDATION_FAILURE,
	RESULT_DNSSEC_INVALID,
	RESULT_TLSA_INVALID,
	RESULT_DANE_REQUIRED,
	RESULT_STS_POLICY_FETCH_ERROR,
	RESULT_STS_POLICY_INVALID,
	RESULT_STS_WEBPKI_INVALID,
};
const char *result_word_text(enum result_word);

enum decision_kind {
	DECISION_LEVEL, /* level says what the far end must show */
	DECISION_NO_RULE, /* answer to a server question: no block names it */
	DECISION_TEMPORARY, /* cannot be told now: 4xx */
	DECISION_REFUSE, /* policy says no (null MX, no such domain,
	                    require_dnssec); text says why */
};

/* The TLSA records of one of a decision's names: 0 of them, by evidence. */
struct decision_range {
	uint8_t first;
	uint8_t count;
};

struct decision_tlsa {
	uint8_t usage;
	uint8_t selector;
	uint8_t matching;
	uint16_t offset; /* into tlsa_bytes */
	uint16_t len;
};

struct decision {
	enum decision_kind kind;
	enum evidence evidence;
	enum level level;
	bool is_server; /* from a server block: every recipient */
	bool allows_auth;
	bool is_permanent; /* REFUSE: waiting will not mend it */
	/*
	 * LEVEL: what it rests on was not looked at lately (RFC 8461 5.1), so
	 * that no refusal by it is for good.
	 */
	bool is_unconfirmed;
	/*
	 * Of any kind: what is not proved is not refused, only told
	 * (level = observe).
	 */
	bool is_observed;
	enum result_word word; /* TEMPORARY and REFUSE */
	/*
	 * LEVEL_VERIFY: the leaf must carry one of names and chain to trust;
	 * with pins, its key must be one of them too.  Pins with neither names
	 * nor trust given by the operator suffice alone (pin_only).
	 */
	size_t name_count;
	char names[DECISION_NAMES_MAX][DECISION_NAME_MAX];
	bool has_address; /* or must carry this address */
	struct address address;
	size_t pin_count;
	uint8_t pins[CONFIG_PINS_MAX][32];
	bool is_pin_only;
	char trust[DECISION_PATH_MAX]; /* "": the default */
	/*
	 * A name with TLSA records is a TLSA base domain (RFC 7672 2.2.3),
	 * proved by these and nothing else; with usage DANE-TA(2) the leaf may
	 * also carry one of the names in also (3.2.2): the recipient's domain
	 * and what its CNAMEs lead to.  The records are usable ones.
	 */
	struct decision_range by_tlsa[DECISION_NAMES_MAX];
	size_t also_count;
	char also[DECISION_ALSO_MAX][DECISION_NAME_MAX];
	size_t tlsa_count;
	struct decision_tlsa tlsa[DECISION_TLSA_MAX];
	/* SNI candidates are the first sni_count of names, best first. */
	size_t sni_count;
	/*
	 * The status code's class is the caller's; subject.detail of RFC 3463
	 * for TEMPORARY and REFUSE ("4.3", "7.5", "1.2").
	 */
	char status[8];
	char text[DECISION_TEXT_MAX]; /* why; printable ASCII */
	uint32_t ttl; /* seconds the relay may keep it */
	/* The wall time from which an exception is none; 0: no end. */
	int64_t until;
	size_t tlsa_len;
	uint8_t tlsa_bytes[DECISION_TLSA_BYTES];
};

/* The relay's questions and their one answer; ids are the relay's. */
enum policy_message {
	POLICY_ASK_SERVER = 100, /* address D */
	POLICY_ASK_DOMAIN, /* address D, str domain (A-labels, lower
	                      case, no dot at the end) */
	POLICY_ASK_LITERAL, /* address D, address of the literal */
	POLICY_ANSWER, /* a decision */
	/*
	 * No question, and without an answer: str domain, str server, u8
	 * evidence, u8 result word, str why; what was let pass by observation.
	 */
	POLICY_OBSERVED,
};

/*
 * decision_add_tlsa appends a record, which must follow those of the same
 * name; false where there is no room.  decision_get_tlsa fills out with the
 * records of names[name], their data borrowed from the decision, and returns
 * how many they are.
 */
bool decision_has_room(const struct decision *, const struct tlsa *);
bool decision_add_tlsa(struct decision *, size_t name, const struct tlsa *);
size_t decision_get_tlsa(
    const struct decision *, size_t name, struct tlsa out[DECISION_TLSA_MAX]);

/*
 * An encoded decision leaves out unused array rows.  decision_get returns 0,
 * or -1 where the message is malformed (the reader is then bad too).
 */
void decision_put(struct ipc_message *, const struct decision *);
int decision_get(struct ipc_reader *, struct decision *);

#endif
