/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_TRANSACTION_H
#define POSTERN_TRANSACTION_H

/*
 * One mail transaction (RFC 5321 3.3): the MAIL that is held until somebody
 * is proved, what the server said to it, and the recipients that were let
 * through.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/policy/decision.h"

struct known;
struct slice;

#define TRANSACTION_RECIPIENTS_MAX 1000 /* RFC 5321 4.5.3.1.8 asks for 100 */

enum mail_state {
	MAIL_NONE, /* no transaction */
	MAIL_HELD, /* answered here, not sent */
	MAIL_SENT, /* the server has yet to answer */
	MAIL_TAKEN,
	MAIL_REFUSED, /* refusal is the answer to every RCPT */
};

struct recipient {
	char *line; /* owned: RCPT as it came, CRLF included */
	struct known *known; /* reference: by which decision it passed */
	char *what; /* owned: its domain, for people */
	bool is_answered;
	bool is_accepted;
};

struct transaction {
	enum mail_state mail;
	char *mail_line; /* owned, CRLF included */
	char sender[DECISION_NAME_MAX]; /* domain, for the log */
	char *refusal; /* owned: the server's reply to MAIL */
	size_t refusal_len;
	struct recipient *recipients; /* owned: those sent on */
	size_t recipient_count;
	size_t recipient_room;
	size_t accepted;
	bool has_temporary; /* some RCPT was refused with 4xx */
	bool is_chunking; /* BDAT has begun */
	/* Reference: the decision that no connection proves; NULL: none. */
	struct known *exhausted;
};

void transaction_init(struct transaction *);
/* Forgets everything: RSET, the end of a message, EHLO. */
void transaction_clear(struct transaction *);

/* Holds a MAIL line (with CRLF).  0, or -1: ENOMEM. */
int transaction_begin(struct transaction *, const char *line, size_t len);
/*
 * Adds a recipient that is about to be sent; known is referenced.  Returns its
 * index, or -1 with errno ENOMEM, or ENOBUFS past the maximum.
 */
int transaction_add(struct transaction *, const char *line, size_t len,
    struct known *, const char *what);
/* Keeps the server's refusal of MAIL.  0, or -1: ENOMEM. */
int transaction_refuse(struct transaction *, const void *reply, size_t);

/* Keeps that every connection was tried for this decision; referenced. */
void transaction_exhaust(struct transaction *, struct known *);

/*
 * Is there a recipient already sent on, whose decision is not the same one,
 * that has to be proved?  Then another connection cannot take this one's
 * place inside the transaction.
 */
bool transaction_binds(const struct transaction *, const struct known *);

#endif
