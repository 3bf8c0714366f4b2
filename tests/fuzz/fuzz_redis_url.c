/* SPDX-License-Identifier: ISC */
/* Any text as a URL: what is taken is whole, and no mask shows a password. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/policy/redis_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = strndup((const char *)data, len);
	char masked[REDIS_URL_MAX], *at;
	struct redis_url url;

	if (redis_url_parse(text, &url) == NULL &&
	    (url.host[0] == '\0' || url.port == 0 ||
		(url.user[0] != '\0' && url.password[0] == '\0')))
		abort();
	redis_url_mask(text, masked);
	at = strrchr(masked, '@');
	if (at != NULL && (at - masked < 3 || memcmp(at - 3, "***", 3) != 0))
		abort();
	free(text);
	return 0;
}
