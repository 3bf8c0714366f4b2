/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_DNS_TAP_H
#define POSTERN_DNS_TAP_H

/*
 * Copies of the DNS answers that pass, from one of the kernel's log groups
 * (NFLOG).  The packets themselves never wait: whether anybody reads, and how
 * fast, is nothing to them.
 */

#include <stddef.h>
#include <stdint.h>

#define DNS_TAP_BURST      16 /* read at once */
#define DNS_TAP_COPY_BYTES 4096 /* of each packet */
#define DNS_TAP_ERROR_MAX  160

struct dns_tap;

/* As queue_open, for log group `number`. */
struct dns_tap *dns_tap_open(uint16_t number, char error[DNS_TAP_ERROR_MAX]);
void dns_tap_close(struct dns_tap *);
int dns_tap_fd(const struct dns_tap *);

/*
 * dns_tap_read hands up to DNS_TAP_BURST packets, from the IP header on, to
 * take.  Returns how many there were, 0: none now, or -1 with errno set.
 */
int dns_tap_read(struct dns_tap *,
    void (*take)(void *arg, const uint8_t *data, size_t len), void *arg);

#endif
