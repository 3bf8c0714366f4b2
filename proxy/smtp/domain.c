/* SPDX-License-Identifier: ISC */
/*
 * From the domain that somebody wrote to the name to ask DNS for.  IDNA is
 * libidn2's (UTS #46, as the MTAs do it); its result is judged again here,
 * since its tables map many a character to ASCII, '@' and '/' among them.
 */

#include "proxy/smtp/domain.h"

#include <ctype.h>
#include <idn2.h>
#include <string.h>

#define NAME_LEN_MAX 253 /* RFC 1035 2.3.4: 255 octets on the wire */

/* A name that ends in a number is an IPv4 address to somebody. */
static bool
ends_in_number(const char *name)
{
	const char *label = strrchr(name, '.');

	label = label != NULL ? label + 1 : name;
	return label[strspn(label, "0123456789")] == '\0';
}

static bool
is_ascii(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text >= 0x80)
			return false;
	return true;
}

static int
put_name(const char *name, char out[DOMAIN_ASCII_MAX])
{
	struct slice slice = {name, strlen(name)};
	size_t i;

	if (slice.len > 0 && name[slice.len - 1] == '.')
		slice.len--;
	if (slice.len == 0 || slice.len > NAME_LEN_MAX ||
	    name[slice.len - 1] == '.' || path_check_name(slice) != NULL)
		return -1;
	for (i = 0; i < slice.len; i++)
		out[i] = tolower((unsigned char)name[i]);
	out[i] = '\0';
	if (ends_in_number(out)) {
		out[0] = '\0';
		return -1;
	}
	return 0;
}

int
command_domain_ascii(const struct path *path, char out[DOMAIN_ASCII_MAX])
{
	char name[DOMAIN_MAX + 1], *ascii;
	int ret;

	out[0] = '\0';
	if (path->domain_kind != DOMAIN_NAME || path->domain.len > DOMAIN_MAX)
		return -1;
	memcpy(name, path->domain.text, path->domain.len);
	name[path->domain.len] = '\0';
	if (is_ascii(name))
		return put_name(name, out);
	if (idn2_to_ascii_8z(
		name, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
		return -1;
	ret = put_name(ascii, out);
	idn2_free(ascii);
	return ret;
}
