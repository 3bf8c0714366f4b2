/* SPDX-License-Identifier: ISC */
/*
 * What the log gets to know of a session: a line for each verdict and one at
 * its end, which has the last server's TLS and the last verdict, so that it
 * can be read alone.
 */

#include <stdio.h>
#include <string.h>

#include "certs/chain.h"
#include "certs/digest.h"
#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/config.h"
#include "proxy/session/session_state.h"
#include "proxy/tls/conn.h"

void
session_note_leg(struct session *session, struct server_leg *leg)
{
	const struct conn_tls *tls = conn_tls(server_leg_conn(leg));
	struct seen *seen = &session->seen;
	uint8_t digest[DIGEST_LEN];
	size_t i;

	if (seen->up == 0)
		seen->up = clock_monotonic_ms();
	seen->has_tls = tls != NULL;
	if (tls == NULL)
		return;
	strlcpy(seen->sni, tls->sni, sizeof(seen->sni));
	seen->version = tls->version;
	seen->cipher = tls->cipher;
	seen->group = tls->group;
	seen->is_resumed = tls->is_resumed;
	chain_leaf_sha256(tls->chain, digest);
	for (i = 0; i < sizeof(digest); i++)
		snprintf(seen->certificate + 2 * i, 3, "%02x", digest[i]);
}

void
session_note_server(struct session *session)
{
	session_note_leg(session, session->server);
}

static void
put_ends(struct log_record *record, const struct session *session)
{
	char text[ADDRESS_TEXT_MAX];

	log_record_str(
	    record, "client", address_text(&session->client_address, text));
	log_record_str(
	    record, "server", address_text(&session->server_address, text));
}

static void
put_tls(struct log_record *record, const struct session *session)
{
	const struct seen *seen = &session->seen;

	if (!seen->has_tls)
		return;
	log_record_str(record, "sni", seen->sni);
	log_record_str(record, "tls", seen->version);
	log_record_str(record, "cipher", seen->cipher);
	log_record_str(record, "group", seen->group);
	if (seen->is_resumed)
		log_record_str(record, "resumed", "yes");
	log_record_str(record, "certificate", seen->certificate);
}

static void
put_proof(struct log_record *record, enum evidence evidence,
    enum result_word word, const char *name)
{
	log_record_str(record, "evidence", evidence_text(evidence));
	if (word != RESULT_NONE)
		log_record_str(record, "word", result_word_text(word));
	log_record_str(record, "name", name);
}

static const char *
outcome(const struct verdict *verdict)
{
	if (!verdict->passes)
		return "refused";
	if (verdict->would_refuse)
		return "would-refuse";
	return verdict->is_exception ? "exception" : "proved";
}

static void
keep_verdict(
    struct session *session, const struct verdict *verdict, const char *what)
{
	struct seen *seen = &session->seen;

	seen->outcome = outcome(verdict);
	seen->evidence = verdict->evidence;
	seen->word = verdict->word;
	strlcpy(seen->name, verdict->name, sizeof(seen->name));
	strlcpy(seen->from, session->transaction.sender, sizeof(seen->from));
	strlcpy(seen->to, what, sizeof(seen->to));
}

void
session_record_verdict(
    struct session *session, const struct verdict *verdict, const char *what)
{
	struct log_record record;

	keep_verdict(session, verdict, what);
	log_record_begin(&record, "verdict");
	log_record_str(&record, "id", session->id);
	log_record_str(&record, "result", outcome(verdict));
	put_ends(&record, session);
	log_record_str(&record, "from", session->transaction.sender);
	log_record_str(&record, "to", what);
	if (session_config(session)->log.full_addresses)
		log_record_str(&record, "to_local", session->asking.mailbox);
	put_proof(&record, verdict->evidence, verdict->word, verdict->name);
	put_tls(&record, session);
	if (!verdict->passes || verdict->would_refuse) {
		log_record_num(&record, "code", (uint64_t)verdict->code);
		log_record_str(&record, "status", verdict->status);
	}
	log_record_str(&record, "text", verdict->text);
	log_record_str(&record, "note", verdict->note);
	log_record_end(&record);
}

void
session_record_end(struct session *session)
{
	const struct seen *seen = &session->seen;
	struct log_record record;

	log_record_begin(&record, "session");
	log_record_str(&record, "id", session->id);
	put_ends(&record, session);
	log_record_str(&record, "helo", session->hello);
	if (seen->outcome != NULL) {
		log_record_str(&record, "result", seen->outcome);
		log_record_str(&record, "from", seen->from);
		log_record_str(&record, "to", seen->to);
		put_proof(&record, seen->evidence, seen->word, seen->name);
	}
	put_tls(&record, session);
	log_record_num(&record, "messages", session->messages);
	log_record_num(&record, "recipients", session->recipients);
	log_record_num(&record, "refused", session->refused);
	if (session->would_refuse > 0)
		log_record_num(&record, "would_refuse", session->would_refuse);
	log_record_num(&record, "bytes_in", conn_bytes_in(session->client));
	log_record_num(&record, "bytes_out", conn_bytes_out(session->client));
	if (seen->up != 0)
		log_record_num(
		    &record, "up_ms", (uint64_t)(seen->up - session->started));
	log_record_num(
	    &record, "ms", (uint64_t)(clock_monotonic_ms() - session->started));
	log_record_str(&record, "end", session->end);
	log_record_str(&record, "text", session->end_text);
	log_record_end(&record);
}
