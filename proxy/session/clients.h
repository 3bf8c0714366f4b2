/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_CLIENTS_H
#define POSTERN_CLIENTS_H

/*
 * How many sessions each client has with this relay.  Clients are told apart
 * by address_client; one without sessions is not remembered.
 */

#include <stdint.h>

struct address;
struct clients;

/* NULL: ENOMEM. */
struct clients *clients_new(void);
void clients_free(struct clients *);

uint32_t clients_sessions(const struct clients *, const struct address *);

/* clients_begin counts one more; 0, or -1 (ENOMEM). */
int clients_begin(struct clients *, const struct address *);
/* clients_end takes back what clients_begin has counted. */
void clients_end(struct clients *, const struct address *);

/* Calls each for every client, by its address_client. */
void clients_each(const struct clients *,
    void (*each)(void *arg, const struct address *, uint32_t sessions),
    void *arg);

#endif
