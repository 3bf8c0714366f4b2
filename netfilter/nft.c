/* SPDX-License-Identifier: ISC */
/*
 * libnftables, for one transaction at a time.
 */

#include "netfilter/nft.h"

#include <sys/syscall.h>

#include <linux/capability.h>
#include <nftables/libnftables.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool
nft_has_capability(unsigned int capability)
{
	struct __user_cap_header_struct header = {
	    .version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) == -1)
		return false;
	return (data[CAP_TO_INDEX(capability)].effective &
		   CAP_TO_MASK(capability)) != 0;
}

/* What nft says of a failure is cut to its first line, and else to nothing. */
static int
transact(const char *text, bool is_dry, char error[NFT_ERROR_MAX])
{
	struct nft_ctx *nft;
	const char *said;
	int ret = 0;

	if (!nft_has_capability(CAP_NET_ADMIN)) {
		strlcpy(error, "needs CAP_NET_ADMIN: run it as root",
		    NFT_ERROR_MAX);
		return -1;
	}
	if ((nft = nft_ctx_new(NFT_CTX_DEFAULT)) == NULL ||
	    nft_ctx_buffer_error(nft) != 0 || nft_ctx_buffer_output(nft) != 0) {
		snprintf(
		    error, NFT_ERROR_MAX, "libnftables: %s", strerror(ENOMEM));
		ret = -1;
		goto out;
	}
	nft_ctx_set_dry_run(nft, is_dry);
	if (nft_run_cmd_from_buffer(nft, text) != 0) {
		said = nft_ctx_get_error_buffer(nft);
		snprintf(error, NFT_ERROR_MAX, "nftables: %.*s",
		    (int)strcspn(said, "\n"), said);
		ret = -1;
	}
out:
	if (nft != NULL)
		nft_ctx_free(nft);
	return ret;
}

int
nft_run(const char *text, char error[NFT_ERROR_MAX])
{
	return transact(text, false, error);
}

int
nft_check(const char *text, char error[NFT_ERROR_MAX])
{
	return transact(text, true, error);
}
