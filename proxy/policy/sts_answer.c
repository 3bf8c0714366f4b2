/* SPDX-License-Identifier: ISC */
/*
 * A redirect is an answer like others that are no policy: to follow one would
 * hand the domain's policy to whoever it names.
 */

#include "proxy/policy/sts_answer.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define TYPE "text/plain"

/* Whatever parameters it has: RFC 9110 8.3. */
static bool
is_plain_text(const char *type)
{
	if (strncasecmp(type, TYPE, strlen(TYPE)) != 0)
		return false;
	type += strlen(TYPE);
	type += strspn(type, " \t");
	return *type == '\0' || *type == ';';
}

void
sts_answer_fault(long status, const char *type, char *out, size_t size)
{
	out[0] = '\0';
	if (status >= 300 && status < 400)
		snprintf(out, size,
		    "HTTP %ld: redirects are not followed (RFC 8461 3.3)",
		    status);
	else if (status != 200)
		snprintf(out, size, "HTTP %ld, not 200", status);
	else if (type == NULL)
		snprintf(out, size, "it has no Content-Type, not " TYPE);
	else if (!is_plain_text(type))
		snprintf(
		    out, size, "its Content-Type is %.60s, not " TYPE, type);
}
