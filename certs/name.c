/* SPDX-License-Identifier: ISC */
/*
 * Names as bytes with a length, so that a NUL in one is a byte like others and
 * matches nothing.  GeneralNames are told apart by their tag alone: a name of
 * one kind is never read as one of another.
 */

#include "certs/name.h"

#include <arpa/inet.h>
#include <openssl/bytestring.h>
#include <stdio.h>
#include <string.h>

#include "proxy/base/log.h"

#define HOST_MAX      253 /* RFC 1035 2.3.4, as text */
#define LABEL_MAX     63
#define WILDCARD_REST 2 /* labels that must follow "*." */
#define NAMES_SHOWN   4 /* names of a certificate in one text */

#define TAG_DNS       (CBS_ASN1_CONTEXT_SPECIFIC | 2)
#define TAG_IP        (CBS_ASN1_CONTEXT_SPECIFIC | 7)
#define TAG_PERMITTED (CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0)
#define TAG_EXCLUDED  (CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 1)

static bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool
is_label_byte(uint8_t c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

static uint8_t
lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

static void
strip_dot(CBS *name)
{
	if (CBS_len(name) > 0 && CBS_data(name)[CBS_len(name) - 1] == '.')
		CBS_init(name, CBS_data(name), CBS_len(name) - 1);
}

/* Takes the first label of name, and the dot behind it. */
static bool
get_label(CBS *name, CBS *label)
{
	size_t len = 0;

	while (len < CBS_len(name) && is_label_byte(CBS_data(name)[len]))
		len++;
	if (len == 0 || len > LABEL_MAX || !CBS_get_bytes(name, label, len))
		return false;
	if (CBS_len(name) == 0)
		return true;
	return CBS_data(name)[0] == '.' && CBS_skip(name, 1) &&
	       CBS_len(name) > 0;
}

/*
 * How many labels a well-formed host name without a dot at its end has, or 0.
 * A last label of digits, or of 0x and digits, makes an address of it to
 * inet_aton(3) and its like.
 */
static size_t
count_labels(CBS name)
{
	CBS label;
	size_t count = 0, i = 0;

	if (CBS_len(&name) > HOST_MAX)
		return 0;
	do {
		if (!get_label(&name, &label))
			return 0;
		count++;
	} while (CBS_len(&name) > 0);
	if (CBS_len(&label) >= 2 && CBS_data(&label)[0] == '0' &&
	    lower(CBS_data(&label)[1]) == 'x')
		return 0;
	while (i < CBS_len(&label) && is_digit(CBS_data(&label)[i]))
		i++;
	return i == CBS_len(&label) ? 0 : count;
}

static bool
same_name(const CBS *a, const CBS *b)
{
	if (CBS_len(a) != CBS_len(b))
		return false;
	for (size_t i = 0; i < CBS_len(a); i++) {
		if (lower(CBS_data(a)[i]) != lower(CBS_data(b)[i]))
			return false;
	}
	return true;
}

static CBS
host_name(const char *text)
{
	CBS host;

	CBS_init(&host, (const uint8_t *)text, strlen(text));
	strip_dot(&host);
	return host;
}

bool
name_is_host(const char *text)
{
	return count_labels(host_name(text)) > 0;
}

/* Takes "*." from the front of name. */
static bool
get_wildcard(CBS *name)
{
	return CBS_len(name) > 2 && CBS_data(name)[0] == '*' &&
	       CBS_data(name)[1] == '.' && CBS_skip(name, 2);
}

static bool
dns_name_matches(CBS name, CBS host)
{
	CBS label;

	strip_dot(&name);
	if (count_labels(host) == 0)
		return false;
	if (get_wildcard(&name) &&
	    (count_labels(name) < WILDCARD_REST || !get_label(&host, &label)))
		return false;
	return same_name(&name, &host);
}

bool
name_matches(const uint8_t *san, size_t len, const char *host)
{
	CBS name;

	CBS_init(&name, san, len);
	return dns_name_matches(name, host_name(host));
}

/* Opens the SEQUENCE that a GeneralNames value is. */
static bool
open_list(const uint8_t *der, size_t len, CBS *list)
{
	CBS whole;

	CBS_init(&whole, der, len);
	return CBS_get_asn1(&whole, list, CBS_ASN1_SEQUENCE) == 1;
}

static bool
next_name(CBS *list, unsigned *tag, CBS *name)
{
	return CBS_len(list) > 0 && CBS_get_any_asn1(list, name, tag) == 1;
}

bool
name_list_has_host(const uint8_t *der, size_t len, const char *host)
{
	CBS list, name, wanted = host_name(host);
	unsigned tag;

	if (!open_list(der, len, &list))
		return false;
	while (next_name(&list, &tag, &name)) {
		if (tag == TAG_DNS && dns_name_matches(name, wanted))
			return true;
	}
	return false;
}

bool
name_list_has_ip(
    const uint8_t *der, size_t len, const uint8_t *ip, size_t ip_len)
{
	CBS list, name;
	unsigned tag;

	if ((ip_len != 4 && ip_len != 16) || !open_list(der, len, &list))
		return false;
	while (next_name(&list, &tag, &name)) {
		if (tag == TAG_IP && CBS_mem_equal(&name, ip, ip_len))
			return true;
	}
	return false;
}

static const char *
name_text(unsigned tag, const CBS *name, char *out, size_t size)
{
	size_t len = CBS_len(name);

	if (tag == TAG_IP && (len == 4 || len == 16) &&
	    inet_ntop(len == 4 ? AF_INET : AF_INET6, CBS_data(name), out,
		(socklen_t)size) != NULL)
		return out;
	return log_escape(out, size, CBS_data(name), len);
}

const char *
name_list_text(const uint8_t *der, size_t len, char *out, size_t size)
{
	char one[HOST_MAX + 1];
	CBS list, name;
	size_t count = 0, used = 0;
	unsigned tag;

	out[0] = '\0';
	if (!open_list(der, len, &list))
		return out;
	while (next_name(&list, &tag, &name)) {
		if ((tag != TAG_DNS && tag != TAG_IP) ||
		    ++count > NAMES_SHOWN || used >= size)
			continue;
		used += (size_t)snprintf(out + used, size - used, "%s%s",
		    count == 1 ? "" : ", ",
		    name_text(tag, &name, one, sizeof(one)));
	}
	if (count > NAMES_SHOWN && used < size)
		snprintf(out + used, size - used, " (%zu more)",
		    count - NAMES_SHOWN);
	return out;
}

void
name_list_each(const uint8_t *der, size_t len,
    void (*each)(void *, const char *), void *arg)
{
	char one[HOST_MAX + 1];
	CBS list, name;
	unsigned tag;

	if (!open_list(der, len, &list))
		return;
	while (next_name(&list, &tag, &name))
		if (tag == TAG_DNS || tag == TAG_IP)
			each(arg, name_text(tag, &name, one, sizeof(one)));
}

static size_t
count_elements(CBS list)
{
	CBS element;
	size_t count = 0;
	unsigned tag;

	while (next_name(&list, &tag, &element))
		count++;
	return count;
}

size_t
name_list_count(const uint8_t *der, size_t len)
{
	CBS list;

	return open_list(der, len, &list) ? count_elements(list) : 0;
}

size_t
name_constraints_count(const uint8_t *der, size_t len)
{
	CBS constraints, subtrees;
	size_t count = 0;
	unsigned tag;

	if (!open_list(der, len, &constraints))
		return 0;
	while (next_name(&constraints, &tag, &subtrees))
		count += count_elements(subtrees);
	return count;
}

static bool
starts_with_dot(const CBS *name)
{
	return CBS_len(name) > 0 && CBS_data(name)[0] == '.';
}

/* The names below base, and base itself where no dot begins it. */
static bool
is_within(const CBS *name, const CBS *base)
{
	size_t more;
	CBS end;

	if (CBS_len(name) < CBS_len(base))
		return false;
	more = CBS_len(name) - CBS_len(base);
	CBS_init(&end, CBS_data(name) + more, CBS_len(base));
	return same_name(&end, base) && (more == 0 || starts_with_dot(base) ||
					    CBS_data(name)[more - 1] == '.');
}

/* Whether *.rest covers a name of the subtree: base is one label and rest. */
static bool
wildcard_covers(const CBS *rest, CBS base)
{
	CBS label;

	return get_label(&base, &label) && same_name(rest, &base);
}

static bool
list_has_name_within(CBS list, const CBS *base)
{
	CBS name;
	unsigned tag;

	while (next_name(&list, &tag, &name)) {
		if (tag != TAG_DNS)
			continue;
		strip_dot(&name);
		if (CBS_len(base) == 0 || is_within(&name, base) ||
		    (get_wildcard(&name) && wildcard_covers(&name, *base)))
			return true;
	}
	return false;
}

/* The dot that some put before a base is none of a host name's. */
static bool
is_base(CBS base)
{
	if (starts_with_dot(&base))
		CBS_skip(&base, 1);
	return count_labels(base) > 0;
}

static const char *
excluded_fault(CBS subtrees, const CBS *names)
{
	CBS subtree, base;
	unsigned tag;

	while (CBS_len(&subtrees) > 0) {
		if (!CBS_get_asn1(&subtrees, &subtree, CBS_ASN1_SEQUENCE) ||
		    !next_name(&subtree, &tag, &base))
			return "has malformed name constraints";
		if (tag != TAG_DNS)
			continue;
		strip_dot(&base);
		if (CBS_len(&base) > 0 && !is_base(base))
			return "excludes what is not a DNS name";
		if (list_has_name_within(*names, &base))
			return "excludes a name of the certificate";
	}
	return NULL;
}

const char *
name_constraints_fault(const uint8_t *constraints, size_t constraints_len,
    const uint8_t *names, size_t names_len)
{
	CBS both, excluded, list;
	int is_present;

	if (constraints_len == 0)
		return NULL;
	if (!open_list(constraints, constraints_len, &both) ||
	    !CBS_get_optional_asn1(&both, NULL, NULL, TAG_PERMITTED) ||
	    !CBS_get_optional_asn1(
		&both, &excluded, &is_present, TAG_EXCLUDED) ||
	    CBS_len(&both) > 0)
		return "has malformed name constraints";
	if (!is_present)
		return NULL;
	if (!open_list(names, names_len, &list))
		CBS_init(&list, NULL, 0);
	return excluded_fault(excluded, &list);
}
