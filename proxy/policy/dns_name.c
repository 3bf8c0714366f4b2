/* SPDX-License-Identifier: ISC */
/*
 * The check that stands between the DNS and everything that postern prints or
 * sends.  It allows letters by list, so that nothing needs to be thought of
 * that might do harm further on.
 */

#include "proxy/policy/dns_name.h"

#include <stddef.h>
#include <string.h>

#define NAME_BYTES_MAX  253 /* RFC 1035 3.1, as text without the last dot */
#define LABEL_BYTES_MAX 63

static bool
label_is_host(const char *label, size_t len)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";

	return len >= 1 && len <= LABEL_BYTES_MAX &&
	       strspn(label, allowed) >= len;
}

bool
dns_name_is_host(const char *name)
{
	const char *label = name;
	size_t len;

	if (strlen(name) > NAME_BYTES_MAX)
		return false;
	for (;;) {
		len = strcspn(label, ".");
		if (!label_is_host(label, len))
			return false;
		if (label[len] == '\0')
			return strspn(label, "0123456789") < len;
		label += len + 1;
	}
}

/* Is the label there, which is followed by one of two letters, a registry's? */
static bool
label_is_registry(const char *label, size_t len)
{
	static const char *const words[] = {
	    "ac", "co", "com", "edu", "go", "gov", "ne", "net", "or", "org"};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i]) == len &&
		    memcmp(words[i], label, len) == 0)
			return true;
	return false;
}

/* The beginning of the label that ends there. */
static const char *
label_before(const char *name, const char *end)
{
	while (end > name && end[-1] != '.')
		end--;
	return end;
}

const char *
dns_name_party(const char *name)
{
	const char *last, *second;

	last = label_before(name, name + strlen(name));
	if (last == name)
		return name;
	second = label_before(name, last - 1);
	if (second == name || strlen(last) != 2 ||
	    !label_is_registry(second, (size_t)(last - 1 - second)))
		return second;
	return label_before(name, second - 1);
}
