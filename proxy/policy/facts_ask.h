/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_FACTS_ASK_H
#define POSTERN_FACTS_ASK_H

/*
 * Collects what `postern probe` wants to see of a domain (facts.h) and sends
 * it part by part.  Every question gets one whole answer: what cannot be
 * looked up is told as unknown.
 */

#include <stdint.h>

struct dns;
struct facts_asker;
struct ipc_message;
struct mta_sts;

/* dns and sts are borrowed.  NULL: ENOMEM. */
struct facts_asker *facts_asker_new(struct dns *, struct mta_sts *);
/* facts_asker_free ends one that has no open question; NULL is fine. */
void facts_asker_free(struct facts_asker *);

/*
 * facts_ask copies the domain, and calls send with each part of the answer,
 * perhaps before it returns, unless facts_forget comes first, which send may
 * call.  Returns 0, or -1 with errno EAGAIN (FACTS_OPEN_MAX of arg's are
 * open) or ENOMEM, and send will not be called.
 */
int facts_ask(struct facts_asker *, uint32_t id, const char *domain,
    void (*send)(void *arg, const struct ipc_message *), void *arg);

/* facts_forget: nothing will be sent any more to arg. */
void facts_forget(struct facts_asker *, const void *arg);

#endif
