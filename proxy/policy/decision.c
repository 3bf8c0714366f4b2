/* SPDX-License-Identifier: ISC */
/*
 * The decision as a message, field by field in the order of the struct.  The
 * reader trusts nothing: postern-policy has handled bytes from the DNS, and
 * what it answers ends up in SMTP replies, log lines and TLS handshakes.
 */

#include "proxy/policy/decision.h"

#include <assert.h>
#include <string.h>

#include "proxy/base/ipc.h"
#include "proxy/base/ipc_address.h"
#include "proxy/policy/dns_name.h"

static_assert(DECISION_NAME_MAX >= DNS_NAME_MAX, "a DNS name must fit");
static_assert(
    (DECISION_NAMES_MAX + DECISION_ALSO_MAX) * (DECISION_NAME_MAX + 4) +
	    CONFIG_PINS_MAX * 34 + DECISION_PATH_MAX + DECISION_TLSA_MAX * 5 +
	    DECISION_TLSA_BYTES + DECISION_TEXT_MAX + 256 <=
	IPC_MESSAGE_MAX,
    "the largest decision must fit");

const char *
evidence_text(enum evidence evidence)
{
	switch (evidence) {
	case EVIDENCE_NONE:
		return "none";
	case EVIDENCE_OPERATOR:
		return "operator";
	case EVIDENCE_MX:
		return "mx";
	case EVIDENCE_MX_DNSSEC:
		return "mx+dnssec";
	case EVIDENCE_ADDRESS:
		return "address";
	case EVIDENCE_DANE:
		return "dane";
	case EVIDENCE_MTA_STS:
		return "mta-sts";
	}
	return "none";
}

const char *
result_word_text(enum result_word word)
{
	switch (word) {
	case RESULT_NONE:
		return "none";
	case RESULT_STARTTLS_NOT_SUPPORTED:
		return "starttls-not-supported";
	case RESULT_CERTIFICATE_HOST_MISMATCH:
		return "certificate-host-mismatch";
	case RESULT_CERTIFICATE_EXPIRED:
		return "certificate-expired";
	case RESULT_CERTIFICATE_NOT_TRUSTED:
		return "certificate-not-trusted";
	case RESULT_VALIDATION_FAILURE:
		return "validation-failure";
	case RESULT_DNSSEC_INVALID:
		return "dnssec-invalid";
	case RESULT_TLSA_INVALID:
		return "tlsa-invalid";
	case RESULT_DANE_REQUIRED:
		return "dane-required";
	case RESULT_STS_POLICY_FETCH_ERROR:
		return "sts-policy-fetch-error";
	case RESULT_STS_POLICY_INVALID:
		return "sts-policy-invalid";
	case RESULT_STS_WEBPKI_INVALID:
		return "sts-webpki-invalid";
	}
	return "none";
}

bool
decision_has_room(const struct decision *decision, const struct tlsa *record)
{
	return decision->tlsa_count < DECISION_TLSA_MAX &&
	       record->len <= DECISION_TLSA_BYTES - decision->tlsa_len;
}

bool
decision_add_tlsa(
    struct decision *decision, size_t name, const struct tlsa *record)
{
	struct decision_range *range = &decision->by_tlsa[name];
	struct decision_tlsa *row;

	if (!decision_has_room(decision, record))
		return false;
	if (range->count == 0)
		range->first = (uint8_t)decision->tlsa_count;
	range->count++;
	row = &decision->tlsa[decision->tlsa_count++];
	row->usage = record->usage;
	row->selector = record->selector;
	row->matching = record->matching;
	row->offset = (uint16_t)decision->tlsa_len;
	row->len = record->len;
	memcpy(
	    decision->tlsa_bytes + decision->tlsa_len, record->data, row->len);
	decision->tlsa_len += row->len;
	return true;
}

size_t
decision_get_tlsa(const struct decision *decision, size_t name,
    struct tlsa out[DECISION_TLSA_MAX])
{
	const struct decision_range *range = &decision->by_tlsa[name];
	const struct decision_tlsa *row;
	size_t i;

	for (i = 0; i < range->count; i++) {
		row = &decision->tlsa[range->first + i];
		out[i] = (struct tlsa){
		    .usage = row->usage,
		    .selector = row->selector,
		    .matching = row->matching,
		    .len = row->len,
		    .data = decision->tlsa_bytes + row->offset,
		};
	}
	return range->count;
}

static void
put_tlsa(
    struct ipc_message *message, const struct decision *decision, size_t name)
{
	struct tlsa records[DECISION_TLSA_MAX];
	size_t i, count = decision_get_tlsa(decision, name, records);

	ipc_put_u8(message, (uint8_t)count);
	for (i = 0; i < count; i++) {
		ipc_put_u8(message, records[i].usage);
		ipc_put_u8(message, records[i].selector);
		ipc_put_u8(message, records[i].matching);
		ipc_put_mem(message, records[i].data, records[i].len);
	}
}

void
decision_put(struct ipc_message *message, const struct decision *decision)
{
	size_t i;

	ipc_put_u8(message, (uint8_t)decision->kind);
	ipc_put_u8(message, (uint8_t)decision->evidence);
	ipc_put_u8(message, (uint8_t)decision->level);
	ipc_put_u8(message, decision->is_server);
	ipc_put_u8(message, decision->allows_auth);
	ipc_put_u8(message, decision->is_permanent);
	ipc_put_u8(message, decision->is_unconfirmed);
	ipc_put_u8(message, decision->is_observed);
	ipc_put_u8(message, (uint8_t)decision->word);
	ipc_put_u8(message, (uint8_t)decision->name_count);
	for (i = 0; i < decision->name_count; i++) {
		ipc_put_str(message, decision->names[i]);
		put_tlsa(message, decision, i);
	}
	ipc_put_u8(message, (uint8_t)decision->also_count);
	for (i = 0; i < decision->also_count; i++)
		ipc_put_str(message, decision->also[i]);
	ipc_put_u8(message, decision->has_address);
	if (decision->has_address)
		ipc_put_address(message, &decision->address);
	ipc_put_u8(message, (uint8_t)decision->pin_count);
	for (i = 0; i < decision->pin_count; i++)
		ipc_put_mem(
		    message, decision->pins[i], sizeof(decision->pins[i]));
	ipc_put_u8(message, decision->is_pin_only);
	ipc_put_str(message, decision->trust);
	ipc_put_u8(message, (uint8_t)decision->sni_count);
	ipc_put_str(message, decision->status);
	ipc_put_str(message, decision->text);
	ipc_put_u32(message, decision->ttl);
	ipc_put_u64(message, (uint64_t)decision->until);
}

/* A name that no host can have makes the reader bad. */
static void
get_name(struct ipc_reader *reader, char out[DECISION_NAME_MAX])
{
	ipc_get_str(reader, out, DECISION_NAME_MAX);
	if (!dns_name_is_host(out))
		reader->is_bad = true;
}

/* Records that prove nothing have no business here. */
static void
get_tlsa(struct ipc_reader *reader, struct decision *decision, size_t name)
{
	struct tlsa record;
	const void *data;
	size_t count, len;

	for (count = ipc_get_upto(reader, DECISION_TLSA_MAX);
	     count > 0 && !reader->is_bad; count--) {
		record.usage = ipc_get_u8(reader);
		record.selector = ipc_get_u8(reader);
		record.matching = ipc_get_u8(reader);
		data = ipc_get_mem(reader, &len);
		record.len = (uint16_t)len;
		record.data = data;
		if (reader->is_bad || len > TLSA_DATA_MAX ||
		    !tlsa_is_usable(&record) ||
		    !decision_add_tlsa(decision, name, &record))
			reader->is_bad = true;
	}
}

static void
get_names(struct ipc_reader *reader, struct decision *decision)
{
	size_t i;

	decision->name_count = ipc_get_upto(reader, DECISION_NAMES_MAX);
	for (i = 0; i < decision->name_count && !reader->is_bad; i++) {
		get_name(reader, decision->names[i]);
		get_tlsa(reader, decision, i);
	}
	decision->also_count = ipc_get_upto(reader, DECISION_ALSO_MAX);
	for (i = 0; i < decision->also_count && !reader->is_bad; i++)
		get_name(reader, decision->also[i]);
}

static void
get_pins(struct ipc_reader *reader, struct decision *decision)
{
	const void *pin;
	size_t i, len;

	decision->pin_count = ipc_get_upto(reader, CONFIG_PINS_MAX);
	for (i = 0; i < decision->pin_count && !reader->is_bad; i++) {
		pin = ipc_get_mem(reader, &len);
		if (len == sizeof(decision->pins[i]))
			memcpy(decision->pins[i], pin, len);
		else
			reader->is_bad = true;
	}
}

/* RFC 3463 2, without the class: "" or one to three digits, dot, the same. */
static bool
is_status(const char *status)
{
	static const char digits[] = "0123456789";
	size_t subject, detail;

	if (status[0] == '\0')
		return true;
	subject = strspn(status, digits);
	if (subject < 1 || subject > 3 || status[subject] != '.')
		return false;
	status += subject + 1;
	detail = strspn(status, digits);
	return detail >= 1 && detail <= 3 && status[detail] == '\0';
}

/* What each field may be is checked where it is read; this is the rest. */
static bool
is_coherent(const struct decision *decision)
{
	if (decision->sni_count > decision->name_count)
		return false;
	if (decision->has_address && address_ip_len(&decision->address) == 0)
		return false;
	if (decision->is_pin_only && decision->pin_count == 0)
		return false;
	/* A proof asked for must be one that can fail. */
	if (decision->kind == DECISION_LEVEL &&
	    decision->level == LEVEL_VERIFY && decision->name_count == 0 &&
	    !decision->has_address && !decision->is_pin_only)
		return false;
	if (decision->allows_auth && decision->level != LEVEL_VERIFY)
		return false;
	return is_status(decision->status);
}

int
decision_get(struct ipc_reader *reader, struct decision *decision)
{
	/* The bytes are the larger part, and mostly not needed. */
	memset(decision, 0, offsetof(struct decision, tlsa_bytes));
	decision->kind = ipc_get_upto(reader, DECISION_REFUSE);
	decision->evidence = ipc_get_upto(reader, EVIDENCE_MTA_STS);
	decision->level = ipc_get_upto(reader, LEVEL_NONE);
	decision->is_server = ipc_get_bool(reader);
	decision->allows_auth = ipc_get_bool(reader);
	decision->is_permanent = ipc_get_bool(reader);
	decision->is_unconfirmed = ipc_get_bool(reader);
	decision->is_observed = ipc_get_bool(reader);
	decision->word = ipc_get_upto(reader, RESULT_STS_WEBPKI_INVALID);
	get_names(reader, decision);
	decision->has_address = ipc_get_bool(reader);
	if (decision->has_address)
		ipc_get_address(reader, &decision->address);
	get_pins(reader, decision);
	decision->is_pin_only = ipc_get_bool(reader);
	ipc_get_str(reader, decision->trust, sizeof(decision->trust));
	decision->sni_count = ipc_get_upto(reader, DECISION_NAMES_MAX);
	ipc_get_str(reader, decision->status, sizeof(decision->status));
	ipc_get_text(reader, decision->text, sizeof(decision->text));
	decision->ttl = ipc_get_u32(reader);
	decision->until = (int64_t)ipc_get_u64(reader);
	if (!reader->is_bad && !is_coherent(decision))
		reader->is_bad = true;
	return reader->is_bad ? -1 : 0;
}
