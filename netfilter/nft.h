/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_NFT_H
#define POSTERN_NFT_H

/*
 * Transactions in nft's language: all of one takes effect, or none.
 */

#include <stdbool.h>
#include <stddef.h>

#define NFT_ERROR_MAX 512

/* Whether this process holds a capability(7), effective. */
bool nft_has_capability(unsigned int capability);

/*
 * nft_run loads a transaction.  Needs CAP_NET_ADMIN.  Returns 0, or -1 with
 * the reason in error: nft's first line.
 */
int nft_run(const char *text, char error[NFT_ERROR_MAX]);

/*
 * nft_check asks the kernel whether it would take a transaction, and changes
 * nothing.  As nft_run.
 */
int nft_check(const char *text, char error[NFT_ERROR_MAX]);

#endif
