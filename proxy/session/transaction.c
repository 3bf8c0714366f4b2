/* SPDX-License-Identifier: ISC */
/*
 * Knows what a transaction is made of; what to do about it is the session's.
 */

#include "proxy/session/transaction.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/session/policy_client.h"

void
transaction_init(struct transaction *transaction)
{
	memset(transaction, 0, sizeof(*transaction));
}

void
transaction_clear(struct transaction *transaction)
{
	size_t i;

	for (i = 0; i < transaction->recipient_count; i++) {
		free(transaction->recipients[i].line);
		free(transaction->recipients[i].what);
		known_unref(transaction->recipients[i].known);
	}
	free(transaction->recipients);
	free(transaction->mail_line);
	free(transaction->refusal);
	known_unref(transaction->exhausted);
	transaction_init(transaction);
}

void
transaction_exhaust(struct transaction *transaction, struct known *known)
{
	known_ref(known);
	known_unref(transaction->exhausted);
	transaction->exhausted = known;
}

int
transaction_begin(struct transaction *transaction, const char *line, size_t len)
{
	transaction_clear(transaction);
	if ((transaction->mail_line = strndup(line, len)) == NULL)
		return -1;
	transaction->mail = MAIL_HELD;
	return 0;
}

int
transaction_add(struct transaction *transaction, const char *line, size_t len,
    struct known *known, const char *what)
{
	struct recipient *recipient, *bigger;
	size_t room;

	if (transaction->recipient_count == TRANSACTION_RECIPIENTS_MAX) {
		errno = ENOBUFS;
		return -1;
	}
	if (transaction->recipient_count == transaction->recipient_room) {
		room = transaction->recipient_room * 2 + 4;
		bigger = reallocarray(
		    transaction->recipients, room, sizeof(*bigger));
		if (bigger == NULL)
			return -1;
		transaction->recipients = bigger;
		transaction->recipient_room = room;
	}
	recipient = &transaction->recipients[transaction->recipient_count];
	memset(recipient, 0, sizeof(*recipient));
	recipient->line = strndup(line, len);
	recipient->what = strdup(what);
	if (recipient->line == NULL || recipient->what == NULL) {
		free(recipient->line);
		free(recipient->what);
		return -1;
	}
	recipient->known = known_ref(known);
	return (int)transaction->recipient_count++;
}

int
transaction_refuse(
    struct transaction *transaction, const void *reply, size_t len)
{
	transaction->mail = MAIL_REFUSED;
	if ((transaction->refusal = malloc(len)) == NULL)
		return -1;
	memcpy(transaction->refusal, reply, len);
	transaction->refusal_len = len;
	return 0;
}

bool
transaction_binds(
    const struct transaction *transaction, const struct known *known)
{
	const struct recipient *recipient;
	size_t i;

	for (i = 0; i < transaction->recipient_count; i++) {
		recipient = &transaction->recipients[i];
		if (recipient->known != known &&
		    (!recipient->is_answered || recipient->is_accepted) &&
		    recipient->known->decision.level == LEVEL_VERIFY)
			return true;
	}
	return false;
}
