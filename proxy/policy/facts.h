/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_FACTS_H
#define POSTERN_FACTS_H

/*
 * What `postern probe` asks postern-policy beside decisions: what the DNS and
 * MTA-STS say of a domain, for people to read.  The answer comes in parts,
 * since it may be larger than one message.  Nothing is decided by it.
 */

#include <stdbool.h>
#include <stddef.h>

#include "proxy/policy/decide.h"
#include "proxy/policy/decision.h"
#include "proxy/policy/mta_sts.h"
#include "proxy/policy/sts_policy.h"

struct ipc_message;
struct ipc_reader;

#define FACTS_OPEN_MAX 4 /* questions of one asker open at once */

/* The parts of one answer have the question's id. */
enum facts_message {
	POLICY_ASK_FACTS = 120, /* str domain, as POLICY_ASK_DOMAIN has it */
	POLICY_FACTS_HEAD, /* of the MX lookup; once, before the hosts */
	POLICY_FACTS_HOST, /* one MX host; as many as the head says */
	POLICY_FACTS_STS, /* the MTA-STS policy; once, at any time */
};

/* An answer, as far as it has come. */
struct facts {
	bool has_head;
	bool has_sts;
	size_t host_count; /* of mx.host_count that have come */
	struct mx_facts mx; /* hosts, and the bytes of each, are owned */
	struct mta_sts_facts sts; /* policy is NULL or the one below */
	struct sts_policy policy;
};

/* NULL: ENOMEM. */
struct facts *facts_new(void);
void facts_free(struct facts *);

/*
 * facts_put_* write one part each.  What went wrong is escaped as for the log.
 */
void facts_put_head(struct ipc_message *, const struct mx_facts *);
void facts_put_host(struct ipc_message *, const struct mx_host *);
void facts_put_sts(struct ipc_message *, const struct mta_sts_facts *);

/*
 * facts_take_* read one part into the answer.  Return 0, or -1 where the
 * message is malformed, or no such part was due (the reader is then bad); and
 * where memory is short.  The end of the message is the caller's to check.
 */
int facts_take_head(struct facts *, struct ipc_reader *);
int facts_take_host(struct facts *, struct ipc_reader *);
int facts_take_sts(struct facts *, struct ipc_reader *);
bool facts_are_complete(const struct facts *);

#endif
