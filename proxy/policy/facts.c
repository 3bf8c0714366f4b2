/* SPDX-License-Identifier: ISC */
/*
 * Facts as messages, field by field in the order of their structs.  As with
 * decisions, the reader trusts nothing: what it takes is printed, dialled and
 * asked for by SNI.
 */

#include "proxy/policy/facts.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/ipc.h"
#include "proxy/base/ipc_address.h"
#include "proxy/base/log.h"
#include "proxy/policy/dns_name.h"

#define STRING_HEAD  4 /* at most, before the bytes of a string */
#define WHY_MAX      1024 /* of any of them */
#define ADDRESS_SIZE (1 + STRING_HEAD + 16 + 2 + 4)

/*
 * All TLSA records of a host come out of one DNS answer, whose bytes are
 * bounded; see struct dns_answer.
 */
static_assert(2 * (16 + MX_ADDRESSES_MAX * ADDRESS_SIZE + DNS_WHY_MAX) +
		      4 * (STRING_HEAD + DECISION_NAME_MAX) + MX_WHY_MAX +
		      MX_TLSA_MAX * (3 + STRING_HEAD) + DNS_BYTES_MAX + 256 <=
		  IPC_MESSAGE_MAX,
    "the largest host must fit");
static_assert(
    STS_MX_MAX * (STRING_HEAD + STS_PATTERN_MAX) + STS_ID_MAX + WHY_MAX + 256 <=
	IPC_MESSAGE_MAX,
    "the largest MTA-STS policy must fit");
static_assert(sizeof(((struct mta_sts_facts *)NULL)->why) <= WHY_MAX &&
		  MX_WHY_MAX <= WHY_MAX,
    "all that went wrong must fit");

struct facts *
facts_new(void)
{
	return calloc(1, sizeof(struct facts));
}

void
facts_free(struct facts *facts)
{
	size_t i;

	if (facts == NULL)
		return;
	for (i = 0; i < facts->host_count; i++)
		free(facts->mx.hosts[i].bytes);
	free(facts->mx.hosts);
	free(facts);
}

/* What is printable may have been escaped before, and is not again. */
static void
put_why(struct ipc_message *message, const char *why)
{
	char text[WHY_MAX];

	if (log_is_printable(why))
		strlcpy(text, why, sizeof(text));
	else
		log_escape(text, sizeof(text), why, strlen(why));
	ipc_put_str(message, text);
}

void
facts_put_head(struct ipc_message *message, const struct mx_facts *facts)
{
	ipc_put_u8(message, (uint8_t)facts->status);
	ipc_put_u8(message, facts->is_secure);
	ipc_put_u8(message, facts->is_null);
	put_why(message, facts->why);
	ipc_put_u32(message, facts->ttl);
	ipc_put_u8(message, facts->has_unknown);
	ipc_put_str(message, facts->canonical);
	ipc_put_u8(message, (uint8_t)facts->host_count);
	ipc_put_u16(message, facts->more);
}

static void
put_addresses(struct ipc_message *message, const struct mx_addresses *addresses)
{
	size_t i;

	ipc_put_u8(message, (uint8_t)addresses->status);
	ipc_put_u8(message, addresses->is_secure);
	ipc_put_u8(message, addresses->is_alias);
	ipc_put_str(message, addresses->canonical);
	ipc_put_u8(message, (uint8_t)addresses->count);
	ipc_put_u16(message, addresses->more);
	for (i = 0; i < addresses->count; i++)
		ipc_put_address(message, &addresses->list[i]);
	put_why(message, addresses->why);
}

void
facts_put_host(struct ipc_message *message, const struct mx_host *host)
{
	size_t i;

	ipc_put_str(message, host->name);
	ipc_put_u16(message, host->preference);
	ipc_put_u8(message, host->has_destination);
	put_addresses(message, &host->ipv4);
	put_addresses(message, &host->ipv6);
	ipc_put_u8(message, (uint8_t)host->tlsa);
	ipc_put_u8(message, host->tlsa_is_bogus);
	put_why(message, host->tlsa_why);
	ipc_put_str(message, host->base);
	ipc_put_u8(message, (uint8_t)host->record_count);
	for (i = 0; i < host->record_count; i++) {
		ipc_put_u8(message, host->records[i].usage);
		ipc_put_u8(message, host->records[i].selector);
		ipc_put_u8(message, host->records[i].matching);
		ipc_put_mem(
		    message, host->records[i].data, host->records[i].len);
	}
}

void
facts_put_sts(struct ipc_message *message, const struct mta_sts_facts *facts)
{
	const struct sts_policy *policy = facts->policy;
	size_t i;

	ipc_put_u8(message, (uint8_t)facts->status);
	ipc_put_u8(message, (uint8_t)facts->word);
	put_why(message, facts->why);
	ipc_put_u32(message, facts->ttl);
	if (facts->status != MTA_STS_FOUND)
		return;
	ipc_put_str(message, facts->id);
	ipc_put_u64(message, (uint64_t)facts->expires);
	ipc_put_u8(message, facts->is_fresh);
	ipc_put_u8(message, (uint8_t)policy->mode);
	ipc_put_u32(message, policy->max_age);
	ipc_put_u8(message, (uint8_t)policy->mx_count);
	for (i = 0; i < policy->mx_count; i++)
		ipc_put_str(message, policy->mx[i]);
}

/* A host's name; or none, where that is allowed. */
static void
get_name(struct ipc_reader *reader, char out[DECISION_NAME_MAX], bool or_none)
{
	ipc_get_str(reader, out, DECISION_NAME_MAX);
	if (!dns_name_is_host(out) && !(or_none && out[0] == '\0'))
		reader->is_bad = true;
}

static int
refuse(struct ipc_reader *reader)
{
	reader->is_bad = true;
	return -1;
}

int
facts_take_head(struct facts *facts, struct ipc_reader *reader)
{
	struct mx_facts *mx = &facts->mx;

	if (facts->has_head)
		return refuse(reader);
	mx->status = ipc_get_upto(reader, DNS_FAILED);
	mx->is_secure = ipc_get_bool(reader);
	mx->is_null = ipc_get_bool(reader);
	ipc_get_text(reader, mx->why, sizeof(mx->why));
	mx->ttl = ipc_get_u32(reader);
	mx->has_unknown = ipc_get_bool(reader);
	get_name(reader, mx->canonical, true);
	mx->host_count = ipc_get_upto(reader, DECISION_NAMES_MAX);
	mx->more = ipc_get_u16(reader);
	if (reader->is_bad || (mx->is_null && mx->host_count > 0))
		return refuse(reader);
	mx->hosts = calloc(mx->host_count + 1, sizeof(*mx->hosts));
	if (mx->hosts == NULL)
		return refuse(reader);
	facts->has_head = true;
	return 0;
}

static void
get_addresses(struct ipc_reader *reader, struct mx_addresses *addresses,
    sa_family_t family)
{
	size_t i;

	addresses->status = ipc_get_upto(reader, DNS_FAILED);
	addresses->is_secure = ipc_get_bool(reader);
	addresses->is_alias = ipc_get_bool(reader);
	get_name(reader, addresses->canonical, true);
	addresses->count = ipc_get_upto(reader, MX_ADDRESSES_MAX);
	addresses->more = ipc_get_u16(reader);
	for (i = 0; i < addresses->count && !reader->is_bad; i++)
		if (ipc_get_address(reader, &addresses->list[i]) == -1 ||
		    addresses->list[i].family != family)
			reader->is_bad = true;
	ipc_get_text(reader, addresses->why, sizeof(addresses->why));
}

/* Whatever a record says, usable or not: it is shown, and decides nothing. */
static void
get_records(struct ipc_reader *reader, struct mx_host *host)
{
	size_t count = ipc_get_upto(reader, MX_TLSA_MAX), used = 0, len;
	struct tlsa *record;
	const void *data;

	if (reader->is_bad || count == 0)
		return;
	if ((host->bytes = malloc(DNS_BYTES_MAX)) == NULL) {
		reader->is_bad = true;
		return;
	}
	for (; host->record_count < count && !reader->is_bad;
	     host->record_count++) {
		record = &host->records[host->record_count];
		record->usage = ipc_get_u8(reader);
		record->selector = ipc_get_u8(reader);
		record->matching = ipc_get_u8(reader);
		data = ipc_get_mem(reader, &len);
		if (reader->is_bad || len > TLSA_DATA_MAX ||
		    len > DNS_BYTES_MAX - used) {
			reader->is_bad = true;
			return;
		}
		if (len > 0)
			memcpy(host->bytes + used, data, len);
		record->data = host->bytes + used;
		record->len = (uint16_t)len;
		used += len;
	}
}

static void
get_host(struct ipc_reader *reader, struct mx_host *host)
{
	get_name(reader, host->name, false);
	host->preference = ipc_get_u16(reader);
	host->has_destination = ipc_get_bool(reader);
	get_addresses(reader, &host->ipv4, AF_INET);
	get_addresses(reader, &host->ipv6, AF_INET6);
	host->tlsa = ipc_get_upto(reader, MX_TLSA_FOUND);
	host->tlsa_is_bogus = ipc_get_bool(reader);
	ipc_get_text(reader, host->tlsa_why, sizeof(host->tlsa_why));
	get_name(reader, host->base, true);
	get_records(reader, host);
	if (host->record_count > 0 && host->tlsa != MX_TLSA_FOUND)
		reader->is_bad = true;
}

int
facts_take_host(struct facts *facts, struct ipc_reader *reader)
{
	struct mx_host *host;

	if (!facts->has_head || facts->host_count == facts->mx.host_count)
		return refuse(reader);
	host = &facts->mx.hosts[facts->host_count];
	get_host(reader, host);
	if (!reader->is_bad) {
		facts->host_count++;
		return 0;
	}
	free(host->bytes);
	memset(host, 0, sizeof(*host));
	return -1;
}

/* RFC 8461 3.1: one to 32 letters and digits. */
static bool
is_id(const char *id)
{
	const char *c;

	for (c = id; *c != '\0'; c++)
		if (!isascii((unsigned char)*c) || !isalnum((unsigned char)*c))
			return false;
	return c != id;
}

static bool
is_pattern(const char *pattern)
{
	if (strncmp(pattern, "*.", 2) == 0)
		pattern += 2;
	return dns_name_is_host(pattern);
}

static void
get_policy(struct ipc_reader *reader, struct sts_policy *policy)
{
	size_t i;

	policy->mode = ipc_get_upto(reader, STS_ENFORCE);
	policy->max_age = ipc_get_u32(reader);
	if (policy->max_age > STS_AGE_MAX)
		reader->is_bad = true;
	policy->mx_count = ipc_get_upto(reader, STS_MX_MAX);
	for (i = 0; i < policy->mx_count && !reader->is_bad; i++) {
		ipc_get_str(reader, policy->mx[i], sizeof(policy->mx[i]));
		if (!is_pattern(policy->mx[i]))
			reader->is_bad = true;
	}
}

int
facts_take_sts(struct facts *facts, struct ipc_reader *reader)
{
	struct mta_sts_facts *sts = &facts->sts;

	if (facts->has_sts)
		return refuse(reader);
	sts->status = ipc_get_upto(reader, MTA_STS_UNKNOWN);
	sts->word = ipc_get_upto(reader, RESULT_STS_WEBPKI_INVALID);
	ipc_get_text(reader, sts->why, sizeof(sts->why));
	sts->ttl = ipc_get_u32(reader);
	if (sts->status == MTA_STS_FOUND) {
		ipc_get_str(reader, sts->id, sizeof(sts->id));
		sts->expires = (int64_t)ipc_get_u64(reader);
		sts->is_fresh = ipc_get_bool(reader);
		get_policy(reader, &facts->policy);
		sts->policy = &facts->policy;
		if (!is_id(sts->id))
			reader->is_bad = true;
	}
	facts->has_sts = !reader->is_bad;
	return reader->is_bad ? -1 : 0;
}

bool
facts_are_complete(const struct facts *facts)
{
	return facts->has_head && facts->has_sts &&
	       facts->host_count == facts->mx.host_count;
}
