/* SPDX-License-Identifier: ISC */
/*
 * One address in the text: the connection, the certificates, the verdict.
 */

#include "proxy/probe_text.h"

#include <string.h>

#include "certs/date.h"
#include "certs/describe.h"

/* The names that a certificate is for, the first few. */
static const char *
names_text(const struct description *cert, char *out, size_t size)
{
	size_t i, used = 0, shown = 4;

	strlcpy(out, "nobody", size);
	for (i = 0; i < cert->name_count && i < shown && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%s",
		    i == 0 ? "" : ", ", cert->names[i]);
	if (cert->name_count > shown && used < size)
		snprintf(out + used, size - used, " (%zu more)",
		    cert->name_count - shown + cert->names_left_out);
	return out;
}

static void
put_leaf(FILE *out, const struct description *cert)
{
	char names[PROBE_LINE_MAX / 2], key[65], date[DATE_TEXT_MAX];

	if (!cert->is_readable)
		probe_text_put(
		    out, COLUMN_OF_ADDRESS, "certificate: cannot be read");
	else
		probe_text_put(out, COLUMN_OF_ADDRESS,
		    "certificate for %s; until %s; issued by \"%s\"",
		    names_text(cert, names, sizeof(names)),
		    date_text(cert->until, date), cert->issuer);
	if (cert->has_key) {
		probe_text_put(
		    out, COLUMN_OF_ADDRESS, "its key, as for TLSA 3 1 1:");
		probe_text_put(out, COLUMN_KEY, "%s",
		    probe_text_hex(cert->spki_sha256, 32, key, sizeof(key)));
	}
}

/* The first server of the same host that showed the same chain, if before. */
static const struct probe_server *
shown_before(
    const struct probe_result *result, const struct probe_server *server)
{
	const struct probe_server *other;
	size_t i;

	for (other = result->servers; other < server; other++) {
		if (other->host != server->host ||
		    other->cert_count != server->cert_count ||
		    other->certs_left_out != server->certs_left_out)
			continue;
		for (i = 0; i < server->cert_count; i++)
			if (memcmp(other->certs[i].sha256,
				server->certs[i].sha256,
				sizeof(server->certs[i].sha256)) != 0)
				break;
		if (i == server->cert_count)
			return other;
	}
	return NULL;
}

static void
put_chain(FILE *out, const struct probe_result *result,
    const struct probe_server *server)
{
	const struct probe_server *other;
	const struct description *cert;
	char ip[ADDRESS_TEXT_MAX];
	char date[DATE_TEXT_MAX];
	size_t i;

	if (server->cert_count == 0)
		return;
	if ((other = shown_before(result, server)) != NULL) {
		probe_text_put(out, COLUMN_OF_ADDRESS,
		    "the same certificates as %s",
		    address_ip_text(&other->address, ip));
		return;
	}
	put_leaf(out, &server->certs[0]);
	for (i = 1; i < server->cert_count; i++) {
		cert = &server->certs[i];
		if (cert->is_readable)
			probe_text_put(out, COLUMN_OF_ADDRESS,
			    "with \"%s\"; until %s; issued by \"%s\"",
			    cert->subject, date_text(cert->until, date),
			    cert->issuer);
		else
			probe_text_put(out, COLUMN_OF_ADDRESS,
			    "with one that cannot be read");
	}
	if (server->certs_left_out > 0)
		probe_text_put(out, COLUMN_OF_ADDRESS, "and %zu more",
		    server->certs_left_out);
}

static void
put_tls(FILE *out, const struct probe_server *server)
{
	char tries[PROBE_LINE_MAX / 2] = "";
	size_t i;

	if (server->version[0] != '\0')
		probe_text_put(out, COLUMN_OF_ADDRESS, "%s, %s%s%s, SNI %s",
		    server->version, server->group,
		    server->group[0] != '\0' ? ", " : "", server->cipher,
		    server->sni[0] != '\0' ? server->sni : "none");
	if (server->try_count > 1) {
		for (i = 0; i < server->try_count; i++) {
			strlcat(tries, i == 0 ? "" : ", ", sizeof(tries));
			strlcat(tries,
			    server->tries[i][0] != '\0' ? server->tries[i]
							: "none",
			    sizeof(tries));
		}
		probe_text_put(
		    out, COLUMN_OF_ADDRESS, "tried with SNI %s", tries);
	}
}

/*
 * A refusal as it is told to senders begins with what stands above it already:
 * the domain, the host, and the word.
 */
static const char *
detail(const struct verdict *verdict)
{
	const char *word = result_word_text(verdict->word), *at;

	if (verdict->word != RESULT_NONE &&
	    (at = strstr(verdict->text, word)) != NULL &&
	    strncmp(at + strlen(word), ": ", 2) == 0)
		return at + strlen(word) + 2;
	return verdict->text;
}

static void
put_reply(FILE *out, const struct verdict *verdict)
{
	if (verdict->would_refuse)
		probe_text_put(
		    out, COLUMN_OF_ADDRESS, "which is only told: mail passes");
	else if (verdict->code != 0)
		probe_text_put(out, COLUMN_OF_ADDRESS,
		    "so the sender gets %d%s%s", verdict->code,
		    verdict->status[0] != '\0' ? " " : "", verdict->status);
}

static void
put_verdict(FILE *out, const struct probe_server *server)
{
	const struct verdict *verdict = &server->verdict;
	const char *word = result_word_text(verdict->word);

	if (verdict->note[0] != '\0')
		probe_text_put(
		    out, COLUMN_OF_ADDRESS, "note: %s", verdict->note);
	switch (server->outcome) {
	case PROBE_PROVED:
		probe_text_put(out, COLUMN_OF_ADDRESS, "%s", verdict->text);
		return;
	case PROBE_EXCEPTION:
		probe_text_put(out, COLUMN_OF_ADDRESS,
		    "NOT PROVED, but may pass: %s", verdict->text);
		return;
	case PROBE_NO_SERVER:
		probe_text_put(
		    out, COLUMN_OF_ADDRESS, "NOT PROVED: %s", verdict->text);
		put_reply(out, verdict);
		return;
	case PROBE_UNFINISHED:
		probe_text_put(
		    out, COLUMN_OF_ADDRESS, "NOT PROVED: %s", verdict->text);
		return;
	case PROBE_REFUSED:
		break;
	}
	probe_text_put(out, COLUMN_OF_ADDRESS, "NOT PROVED%s%s%s%s: %s",
	    verdict->evidence != EVIDENCE_NONE ? " by " : "",
	    verdict->evidence != EVIDENCE_NONE
		? evidence_text(verdict->evidence)
		: "",
	    verdict->word != RESULT_NONE ? ": " : "",
	    verdict->word != RESULT_NONE ? word : "", detail(verdict));
	put_reply(out, verdict);
}

void
probe_text_server(FILE *out, const struct probe_result *result,
    const struct probe_server *server)
{
	const struct mx_host *host = server->host;
	char ip[ADDRESS_TEXT_MAX];

	address_ip_text(&server->address, ip);
	if (host == NULL)
		probe_text_put(out, COLUMN_ADDRESS, "%s", ip);
	else
		probe_text_put(out, COLUMN_ADDRESS, "%s (%s)", ip,
		    probe_text_signed(server->address.family == AF_INET
					  ? host->ipv4.is_secure
					  : host->ipv6.is_secure));
	put_tls(out, server);
	put_chain(out, result, server);
	put_verdict(out, server);
}
