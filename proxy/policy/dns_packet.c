/* SPDX-License-Identifier: ISC */
/*
 * The packet is walked once from end to end, so that whatever breaks the
 * format anywhere is refused before anything is believed; then the answer
 * section is searched for the question's name, and for what its CNAMEs lead
 * to.  Names are compared as wire labels in lower case; only what becomes part
 * of the value is turned into text, and only where it may name a host.
 */

#include "proxy/policy/dns_packet.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WIRE_NAME_MAX 255
#define LABEL_POINTER 0xc0
#define TYPE_SOA      6
#define CLASS_IN      1
#define FLAG_QR       0x8000
#define FLAG_TC       0x0200
#define RCODE_MASK    0x000f
#define RCODE_OK      0
#define RCODE_NAME    3

struct wire {
	const uint8_t *data;
	size_t len;
	size_t pos;
};

struct name {
	size_t len;
	uint8_t labels[WIRE_NAME_MAX]; /* lower case, root label included */
};

struct rr {
	struct name owner;
	uint16_t type;
	uint16_t class;
	uint32_t ttl;
	size_t rdata; /* offset in the packet */
	uint16_t rdata_len;
};

static int
get_u8(struct wire *wire, uint8_t *out)
{
	if (wire->pos >= wire->len)
		return -1;
	*out = wire->data[wire->pos++];
	return 0;
}

static int
get_u16(struct wire *wire, uint16_t *out)
{
	uint8_t high, low;

	if (get_u8(wire, &high) == -1 || get_u8(wire, &low) == -1)
		return -1;
	*out = (uint16_t)(high << 8 | low);
	return 0;
}

static int
get_u32(struct wire *wire, uint32_t *out)
{
	uint16_t high, low;

	if (get_u16(wire, &high) == -1 || get_u16(wire, &low) == -1)
		return -1;
	*out = (uint32_t)high << 16 | low;
	return 0;
}

static int
skip(struct wire *wire, size_t len)
{
	if (len > wire->len - wire->pos)
		return -1;
	wire->pos += len;
	return 0;
}

static int
name_add_label(struct name *name, struct wire *wire, uint8_t len)
{
	uint8_t c;

	/* One byte stays free for the root label. */
	if (name->len + 1 + len >= WIRE_NAME_MAX)
		return -1;
	name->labels[name->len++] = len;
	for (; len > 0; len--) {
		if (get_u8(wire, &c) == -1)
			return -1;
		if (c >= 'A' && c <= 'Z')
			c = (uint8_t)(c - 'A' + 'a');
		name->labels[name->len++] = c;
	}
	return 0;
}

/* The labels up to the root or a pointer; its first byte is left in len. */
static int
get_labels(struct wire *wire, struct name *name, uint8_t *len)
{
	for (;;) {
		if (get_u8(wire, len) == -1)
			return -1;
		if (*len == 0 || (*len & LABEL_POINTER) == LABEL_POINTER)
			return 0;
		if ((*len & LABEL_POINTER) != 0 ||
		    name_add_label(name, wire, *len) == -1)
			return -1;
	}
}

/*
 * RFC 1035 4.1.4.  A pointer must lead before the part of the name that it
 * ends, so that following pointers comes to an end by itself.
 */
static int
get_name(struct wire *wire, struct name *name)
{
	struct wire part = *wire;
	size_t start = wire->pos, end = 0;
	uint8_t len, low;

	name->len = 0;
	for (;;) {
		if (get_labels(&part, name, &len) == -1)
			return -1;
		if (len == 0)
			break;
		if (get_u8(&part, &low) == -1)
			return -1;
		if (end == 0)
			end = part.pos;
		part.pos = (size_t)(len & ~LABEL_POINTER) << 8 | low;
		if (part.pos >= start)
			return -1;
		start = part.pos;
	}
	name->labels[name->len++] = 0;
	wire->pos = end != 0 ? end : part.pos;
	return 0;
}

static bool
name_equal(const struct name *a, const struct name *b)
{
	return a->len == b->len && memcmp(a->labels, b->labels, a->len) == 0;
}

/* The root becomes "".  False where the name is none that a host can have. */
static bool
name_to_text(const struct name *name, char text[DNS_NAME_MAX])
{
	size_t pos = 0, out = 0;
	uint8_t len;

	text[0] = '\0';
	if (name->len == 1)
		return true;
	while ((len = name->labels[pos++]) != 0) {
		/* A dot or NUL inside a label would forge another name. */
		if (memchr(name->labels + pos, '.', len) != NULL ||
		    memchr(name->labels + pos, '\0', len) != NULL)
			return false;
		memcpy(text + out, name->labels + pos, len);
		out += len;
		pos += len;
		text[out++] = '.';
	}
	text[out - 1] = '\0';
	return dns_name_is_host(text);
}

static int
get_rr(struct wire *wire, struct rr *rr)
{
	if (get_name(wire, &rr->owner) == -1 ||
	    get_u16(wire, &rr->type) == -1 || get_u16(wire, &rr->class) == -1 ||
	    get_u32(wire, &rr->ttl) == -1 ||
	    get_u16(wire, &rr->rdata_len) == -1)
		return -1;
	if (rr->ttl > INT32_MAX)
		rr->ttl = 0; /* RFC 2181 8 */
	rr->rdata = wire->pos;
	return skip(wire, rr->rdata_len);
}

/* The name that fills rdata from offset on to its very end. */
static int
rdata_name(const struct wire *packet, const struct rr *rr, size_t offset,
    struct name *name)
{
	struct wire rdata = *packet;

	rdata.pos = rr->rdata + offset;
	if (offset >= rr->rdata_len || get_name(&rdata, name) == -1)
		return -1;
	return rdata.pos == rr->rdata + rr->rdata_len ? 0 : -1;
}

static int
read_address(
    const struct wire *packet, const struct rr *rr, struct dns_record *record)
{
	const uint8_t *rdata = packet->data + rr->rdata;
	struct sockaddr_in sin = {.sin_family = AF_INET};
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6};

	if (rr->type == DNS_A) {
		if (rr->rdata_len != sizeof(sin.sin_addr))
			return -1;
		memcpy(&sin.sin_addr, rdata, sizeof(sin.sin_addr));
		return address_from_sockaddr(
		    &record->address, (struct sockaddr *)&sin);
	}
	if (rr->rdata_len != sizeof(sin6.sin6_addr))
		return -1;
	memcpy(&sin6.sin6_addr, rdata, sizeof(sin6.sin6_addr));
	return address_from_sockaddr(
	    &record->address, (struct sockaddr *)&sin6);
}

static int
mx_compare(const struct dns_record *a, const struct dns_record *b)
{
	if (a->preference != b->preference)
		return a->preference < b->preference ? -1 : 1;
	return strcmp(a->name, b->name);
}

/* Keeps the best DNS_RECORDS_MAX in order. */
static void
add_sorted(struct dns_answer *answer, const struct dns_record *record)
{
	size_t at = answer->count;

	while (at > 0 && mx_compare(record, &answer->records[at - 1]) < 0)
		at--;
	if (answer->count == DNS_RECORDS_MAX) {
		answer->more++;
		if (at == DNS_RECORDS_MAX)
			return;
		answer->count--;
	}
	memmove(&answer->records[at + 1], &answer->records[at],
	    (answer->count - at) * sizeof(*record));
	answer->records[at] = *record;
	answer->count++;
}

static int
add_mx(
    const struct wire *packet, const struct rr *rr, struct dns_answer *answer)
{
	struct wire rdata = *packet;
	struct dns_record record = {.preference = 0};
	struct name host;

	rdata.pos = rr->rdata;
	if (rr->rdata_len < sizeof(record.preference) ||
	    get_u16(&rdata, &record.preference) == -1 ||
	    rdata_name(packet, rr, sizeof(record.preference), &host) == -1)
		return -1;
	if (name_to_text(&host, record.name))
		add_sorted(answer, &record);
	else
		answer->bad_count++;
	return 0;
}

static int
add_bytes(struct dns_answer *answer, const uint8_t *bytes, size_t len)
{
	if (len > DNS_BYTES_MAX - answer->byte_count)
		return -1;
	memcpy(answer->bytes + answer->byte_count, bytes, len);
	answer->byte_count += len;
	return 0;
}

/* RFC 1035 3.3.14: one or more strings, which follow each other here. */
static int
add_strings(
    const struct wire *packet, const struct rr *rr, struct dns_answer *answer)
{
	const uint8_t *rdata = packet->data + rr->rdata;
	size_t left = rr->rdata_len, len;

	if (left == 0)
		return -1;
	while (left > 0) {
		len = *rdata++;
		left--;
		if (len > left || add_bytes(answer, rdata, len) == -1)
			return -1;
		rdata += len;
		left -= len;
	}
	return 0;
}

static int
read_alias(
    const struct wire *packet, const struct rr *rr, struct dns_record *record)
{
	struct name target;

	if (rdata_name(packet, rr, 0, &target) == -1)
		return -1;
	if (!name_to_text(&target, record->name))
		record->name[0] = '\0';
	return 0;
}

/* The type's own part of a record. */
static int
read_record(const struct wire *packet, const struct rr *rr,
    struct dns_answer *answer, struct dns_record *record)
{
	switch ((enum dns_type)rr->type) {
	case DNS_A:
	case DNS_AAAA:
		return read_address(packet, rr, record);
	case DNS_CNAME:
		return read_alias(packet, rr, record);
	case DNS_TLSA:
		return add_bytes(
		    answer, packet->data + rr->rdata, rr->rdata_len);
	case DNS_TXT:
		return add_strings(packet, rr, answer);
	case DNS_MX:
		break;
	}
	return -1;
}

static int
add_record(
    const struct wire *packet, const struct rr *rr, struct dns_answer *answer)
{
	struct dns_record record = {.offset = answer->byte_count};

	if (rr->type == DNS_MX)
		return add_mx(packet, rr, answer);
	if (answer->count == DNS_RECORDS_MAX) {
		answer->more++;
		return 0;
	}
	if (read_record(packet, rr, answer, &record) == -1)
		return -1;
	record.len = answer->byte_count - record.offset;
	answer->records[answer->count++] = record;
	return 0;
}

/*
 * One look through the answer section for records of name, which becomes the
 * target where the name is an alias.
 */
enum found {
	FOUND_BAD = -1,
	FOUND_NOTHING,
	FOUND_ALIAS,
	FOUND_RECORDS
};

static enum found
search(struct wire answers, size_t count, uint16_t type, struct name *name,
    struct dns_answer *answer)
{
	const struct wire packet = answers;
	struct name target;
	struct rr rr;
	enum found found = FOUND_NOTHING;

	for (; count > 0; count--) {
		if (get_rr(&answers, &rr) == -1)
			return FOUND_BAD;
		if (rr.class != CLASS_IN || !name_equal(&rr.owner, name))
			continue;
		if (rr.type == type) {
			if (add_record(&packet, &rr, answer) == -1)
				return FOUND_BAD;
			found = FOUND_RECORDS;
		} else if (rr.type == DNS_CNAME && found == FOUND_NOTHING) {
			if (rdata_name(&packet, &rr, 0, &target) == -1)
				return FOUND_BAD;
			found = FOUND_ALIAS;
		} else {
			continue;
		}
		if (rr.ttl < answer->ttl)
			answer->ttl = rr.ttl;
	}
	if (found == FOUND_ALIAS)
		*name = target;
	return found;
}

void
dns_answer_fail(struct dns_answer *answer, const char *why, ...)
{
	va_list ap;

	memset(answer, 0, sizeof(*answer));
	answer->status = DNS_FAILED;
	va_start(ap, why);
	vsnprintf(answer->why, sizeof(answer->why), why, ap);
	va_end(ap);
}

static void
fail_rcode(struct dns_answer *answer, unsigned int rcode)
{
	static const char *const names[] = {
	    [1] = "FORMERR",
	    [2] = "SERVFAIL",
	    [4] = "NOTIMP",
	    [5] = "REFUSED",
	};

	if (rcode < sizeof(names) / sizeof(names[0]) && names[rcode] != NULL)
		dns_answer_fail(answer, "%s", names[rcode]);
	else
		dns_answer_fail(answer, "response code %u", rcode);
}

/*
 * The walk over all records.  A negative answer lives as long as the SOA
 * record beside it says (RFC 2308 5).
 */
static int
check_records(struct wire wire, size_t answers, size_t authorities,
    size_t additionals, uint32_t *negative_ttl)
{
	struct rr rr;
	size_t i;

	*negative_ttl = DNS_TTL_NEGATIVE;
	if (answers + authorities + additionals > DNS_PACKET_RRS)
		return -1;
	for (i = 0; i < answers + authorities + additionals; i++) {
		if (get_rr(&wire, &rr) == -1)
			return -1;
		if (i >= answers && i < answers + authorities &&
		    rr.type == TYPE_SOA)
			*negative_ttl = rr.ttl;
	}
	return wire.pos == wire.len ? 0 : -1;
}

static int
follow(const struct wire *answers, size_t count, uint16_t type,
    struct name *name, struct dns_answer *answer)
{
	enum found found = FOUND_ALIAS;
	size_t aliases;

	for (aliases = 0; aliases <= DNS_ALIASES_MAX; aliases++) {
		found = search(*answers, count, type, name, answer);
		if (found != FOUND_ALIAS)
			break;
	}
	if (found == FOUND_BAD || found == FOUND_ALIAS)
		return -1;
	answer->is_alias = aliases > 0;
	if (!name_to_text(name, answer->canonical))
		answer->canonical[0] = '\0';
	answer->status = found == FOUND_RECORDS ? DNS_FOUND : DNS_NODATA;
	return 0;
}

/* The head of a message, and the question that it answers. */
struct head {
	uint16_t rcode;
	uint16_t answers;
	uint16_t authorities;
	uint16_t additionals;
	uint16_t type;
	struct name name;
};

/* An answer to one question of class IN; wire is then behind the question. */
static int
get_head(struct wire *wire, struct head *head)
{
	uint16_t id, flags, questions, class;

	if (get_u16(wire, &id) == -1 || get_u16(wire, &flags) == -1 ||
	    get_u16(wire, &questions) == -1 ||
	    get_u16(wire, &head->answers) == -1 ||
	    get_u16(wire, &head->authorities) == -1 ||
	    get_u16(wire, &head->additionals) == -1)
		return -1;
	head->rcode = flags & RCODE_MASK;
	if ((flags & FLAG_QR) == 0 || (flags & FLAG_TC) != 0 ||
	    questions != 1 || get_name(wire, &head->name) == -1 ||
	    get_u16(wire, &head->type) == -1 || get_u16(wire, &class) == -1)
		return -1;
	return class == CLASS_IN ? 0 : -1;
}

static int
parse(struct wire *wire, enum dns_type type, struct dns_answer *answer)
{
	uint32_t negative_ttl;
	struct head head;

	if (get_head(wire, &head) == -1 || head.type != type ||
	    check_records(*wire, head.answers, head.authorities,
		head.additionals, &negative_ttl) == -1)
		return -1;
	if (head.rcode != RCODE_OK && head.rcode != RCODE_NAME) {
		fail_rcode(answer, head.rcode);
		return 0;
	}
	if (follow(wire, head.answers, type, &head.name, answer) == -1)
		return -1;
	if (head.rcode == RCODE_NAME) {
		if (answer->status == DNS_FOUND)
			return -1;
		answer->status = DNS_NXDOMAIN;
	}
	if (answer->status != DNS_FOUND && negative_ttl < answer->ttl)
		answer->ttl = negative_ttl;
	return 0;
}

bool
dns_packet_question(
    const uint8_t *packet, size_t len, uint16_t *type, char name[DNS_NAME_MAX])
{
	struct wire wire = {.data = packet, .len = len};
	struct head head;

	if (get_head(&wire, &head) == -1)
		return false;
	*type = head.type;
	return name_to_text(&head.name, name) && name[0] != '\0';
}

int
dns_packet_parse(const uint8_t *packet, size_t len, enum dns_type type,
    struct dns_answer *answer)
{
	struct wire wire = {.data = packet, .len = len};

	memset(answer, 0, sizeof(*answer));
	answer->ttl = INT32_MAX;
	if (parse(&wire, type, answer) == -1) {
		dns_answer_fail(answer, "malformed answer");
		return -1;
	}
	return 0;
}
