/* SPDX-License-Identifier: ISC */
/*
 * The client's commands: one table says which may come when and what answers
 * them.  What carries an address is answered here until the far end is proved
 * for every recipient.
 */

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy/base/log.h"
#include "proxy/config.h"
#include "proxy/session/policy_client.h"
#include "proxy/session/session_state.h"
#include "proxy/smtp/domain.h"
#include "proxy/smtp/line.h"
#include "proxy/tls/conn.h"

/* When a command may be taken. */
enum {
	NEEDS_HELLO = 1 << 0, /* 503 before EHLO or HELO */
	NEEDS_SILENCE = 1 << 1, /* waits for all replies still due */
	NEEDS_NO_MAIL = 1 << 2, /* 503 inside a transaction */
	NEEDS_RULE = 1 << 3, /* a server block's, as it is now */
};

struct rule_row {
	void (*act)(
	    struct session *, const struct command *, const struct line *);
	int needs;
};

/* A reply to the command that is being taken. */
#define ANSWER(session, ...)                                                   \
	session_answer((session), (session)->current, __VA_ARGS__)

static bool
is_for_everyone(const struct session *session)
{
	return session->rule != NULL && session->is_up &&
	       session->is_proved_by_rule;
}

/* The line as it came, with its CRLF, which stands right behind it. */
static int
pass_line(struct session *session, enum reply_for kind, const struct line *line)
{
	return session_send(session, kind, session->current,
	    session_config(session)->timeouts.reply, (const char *)line->text,
	    line->used);
}

static void
verb_hello(struct session *session, const struct command *command,
    const struct line *line)
{
	free(session->next_hello);
	session->next_hello = strndup(command->name.text, command->name.len);
	session->next_is_helo = command->verb == VERB_HELO;
	if (session->next_hello == NULL) {
		ANSWER(session, 451, "4.3.0", "out of memory");
		return;
	}
	session_goto(session, SESSION_HELLO);
	if (session->is_up) {
		/* Again, inside the session that is up (RFC 5321 4.1.4). */
		(void)pass_line(session, REPLY_FOR_HELLO, line);
		return;
	}
	session_take_hello(session);
	server_leg_hello(session->server, session->hello, session->is_helo);
}

void
session_take_hello(struct session *session)
{
	free(session->hello);
	session->hello = session->next_hello;
	session->next_hello = NULL;
	session->is_helo = session->next_is_helo;
	transaction_clear(&session->transaction);
}

/* RFC 5321 4.1.1.1: HELO is answered with the server's name alone. */
static void
answer_helo(struct session *session, uint32_t id, const struct reply *reply)
{
	const char *text;
	size_t len;

	if ((text = reply_text_line(reply, 0, &len)) == NULL)
		len = 0;
	session_answer(
	    session, id, 250, NULL, "%.*s", (int)len, text != NULL ? text : "");
}

void
session_answer_hello(struct session *session, uint32_t id,
    const struct ehlo *ehlo, const struct reply *reply)
{
	struct buf out;
	bool shows_auth = is_for_everyone(session) &&
	                  session->rule->decision.allows_auth;

	if (session->is_helo) {
		memset(&session->shown, 0, sizeof(session->shown));
		answer_helo(session, id, reply);
		return;
	}
	session->shown = *ehlo;
	if (!shows_auth)
		session->shown.capabilities &= ~(uint32_t)EHLO_AUTH;
	buf_init(&out, REPLY_BYTES_MAX);
	if (ehlo_format(ehlo, reply, shows_auth, &out) == -1)
		session_end(
		    session, "out of memory", 421, "4.3.0", "out of memory");
	else
		session_answer_raw(session, id, buf_data(&out), buf_len(&out));
	buf_clear(&out);
}

void
session_say_hello(struct session *session)
{
	session->is_up = true;
	session_note_server(session);
	if (session->rule != NULL && !session_prove_rule(session))
		return;
	session_answer_hello(session, session->current,
	    server_leg_ehlo(session->server),
	    server_leg_ehlo_reply(session->server));
	if (session->state == SESSION_HELLO)
		session_goto(session, SESSION_READY);
}

void
session_on_hello_refused(struct session *session, const struct reply *reply)
{
	session_answer_raw(session, session->current, buf_data(&reply->text),
	    buf_len(&reply->text));
	if (reply->code == 421)
		session_close(session, "refused by the server at EHLO");
	else
		session_goto(session, SESSION_READY);
}

/* The parameters must be ones that the server offered inside TLS. */
static bool
check_parameters(struct session *session, const struct command *command)
{
	const struct parameter *parameter;
	size_t i;

	for (i = 0; i < command->parameter_count; i++) {
		parameter = &command->parameters[i];
		if (ehlo_allows_parameter(
			&session->shown, command->verb, parameter))
			continue;
		ANSWER(session, 555, "5.5.4",
		    "the server does not offer the parameter %.*s",
		    (int)parameter->key.len, parameter->key.text);
		return false;
	}
	return true;
}

static void
verb_mail(struct session *session, const struct command *command,
    const struct line *line)
{
	uint64_t limit = session->shown.size_limit;

	if (!check_parameters(session, command))
		return;
	if (command->path.needs_utf8 &&
	    command_parameter(command, "SMTPUTF8") == NULL) {
		ANSWER(session, 553, "5.6.7",
		    "an address beyond ASCII needs SMTPUTF8");
		return;
	}
	if (command->has_size && limit != 0 && command->size > limit) {
		ANSWER(session, 552, "5.3.4",
		    "the message is larger than the server's limit of %llu "
		    "bytes",
		    (unsigned long long)limit);
		return;
	}
	session->redials = 0;
	if (transaction_begin(&session->transaction, (const char *)line->text,
		line->used) == -1) {
		ANSWER(session, 452, "4.3.1", "out of memory");
		return;
	}
	if (command->path.domain_kind == DOMAIN_LITERAL)
		log_escape(session->transaction.sender,
		    sizeof(session->transaction.sender),
		    command->path.domain.text, command->path.domain.len);
	else
		(void)command_domain_ascii(
		    &command->path, session->transaction.sender);
	ANSWER(session, 250, "2.1.0", "Ok");
}

static void
verb_rcpt(struct session *session, const struct command *command,
    const struct line *line)
{
	if (session->transaction.mail == MAIL_NONE) {
		ANSWER(session, 503, "5.5.1", "MAIL comes first");
		return;
	}
	if (session->transaction.is_chunking) {
		ANSWER(session, 503, "5.5.1", "RCPT after BDAT");
		return;
	}
	if (!check_parameters(session, command))
		return;
	session_rcpt(session, command, line);
}

static void
verb_data(struct session *session, const struct command *command,
    const struct line *line)
{
	(void)command;
	(void)line;
	session_data(session);
}

static void
verb_bdat(struct session *session, const struct command *command,
    const struct line *line)
{
	(void)line;
	session_bdat(session, command);
}

static void
verb_rset(struct session *session, const struct command *command,
    const struct line *line)
{
	bool is_sent = session->transaction.mail != MAIL_NONE &&
	               session->transaction.mail != MAIL_HELD;

	(void)command;
	transaction_clear(&session->transaction);
	if (is_sent)
		(void)pass_line(session, REPLY_FOR_CLIENT, line);
	else
		ANSWER(session, 250, "2.0.0", "Ok");
}

/* Keeps the server awake too, without whatever came with it. */
static void
verb_noop(struct session *session, const struct command *command,
    const struct line *line)
{
	(void)command;
	(void)line;
	if (session->is_up)
		(void)session_send(session, REPLY_FOR_CLIENT, session->current,
		    session_config(session)->timeouts.reply, "NOOP\r\n", 6);
	else
		ANSWER(session, 250, "2.0.0", "Ok");
}

static void
verb_quit(struct session *session, const struct command *command,
    const struct line *line)
{
	(void)command;
	(void)line;
	if (session->is_up) {
		session_goto(session, SESSION_QUIT);
		(void)session_send(session, REPLY_FOR_QUIT, session->current,
		    QUIT_TIMEOUT_S, "QUIT\r\n", 6);
		return;
	}
	ANSWER(session, 221, "2.0.0", "Bye");
	session_close(session, "quit");
}

static void
verb_vrfy(struct session *session, const struct command *command,
    const struct line *line)
{
	if (is_for_everyone(session))
		(void)pass_line(session, REPLY_FOR_CLIENT, line);
	else if (command->verb == VERB_VRFY)
		ANSWER(session, 252, "2.5.2",
		    "cannot verify; the mail will be tried (postern)");
	else
		ANSWER(session, 502, "5.5.1", "not available (postern)");
}

static void
verb_help(struct session *session, const struct command *command,
    const struct line *line)
{
	(void)command;
	(void)line;
	ANSWER(session, 214, "2.0.0",
	    "postern stands in this path and lets mail out only over proved "
	    "TLS; see postern(8)");
}

static void
verb_auth(struct session *session, const struct command *command,
    const struct line *line)
{
	(void)command;
	if ((session->shown.capabilities & EHLO_AUTH) == 0 ||
	    session->is_helo || !is_for_everyone(session)) {
		ANSWER(session, 502, "5.5.1",
		    "AUTH is not offered on this connection (postern)");
		return;
	}
	session_goto(session, SESSION_AUTH);
	(void)pass_line(session, REPLY_FOR_AUTH, line);
}

static void
verb_starttls(struct session *session, const struct command *command,
    const struct line *line)
{
	(void)command;
	(void)line;
	ANSWER(session, 502, "5.5.1",
	    "STARTTLS is not offered here: postern does it towards the "
	    "server");
}

static void
count_bad(struct session *session)
{
	if (++session->bad_commands >= SESSION_REFUSALS_MAX)
		session_end(session, "too many bad commands", 421, "4.7.0",
		    "too many bad commands");
}

static void
verb_unknown(struct session *session, const struct command *command,
    const struct line *line)
{
	(void)command;
	(void)line;
	ANSWER(session, 502, "5.5.1", "command not known (postern)");
	count_bad(session);
}

static const struct rule_row rules[] = {
    [VERB_EHLO] = {verb_hello, NEEDS_SILENCE},
    [VERB_HELO] = {verb_hello, NEEDS_SILENCE},
    [VERB_MAIL] = {verb_mail,
	NEEDS_HELLO | NEEDS_SILENCE | NEEDS_NO_MAIL | NEEDS_RULE},
    [VERB_RCPT] = {verb_rcpt, NEEDS_HELLO | NEEDS_RULE},
    [VERB_DATA] = {verb_data, NEEDS_HELLO},
    [VERB_BDAT] = {verb_bdat, 0},
    [VERB_RSET] = {verb_rset, NEEDS_SILENCE},
    [VERB_NOOP] = {verb_noop, 0},
    [VERB_QUIT] = {verb_quit, NEEDS_SILENCE},
    [VERB_VRFY] = {verb_vrfy, NEEDS_HELLO | NEEDS_RULE},
    [VERB_EXPN] = {verb_vrfy, NEEDS_HELLO | NEEDS_RULE},
    [VERB_HELP] = {verb_help, 0},
    [VERB_AUTH] = {verb_auth,
	NEEDS_HELLO | NEEDS_SILENCE | NEEDS_NO_MAIL | NEEDS_RULE},
    [VERB_STARTTLS] = {verb_starttls, 0},
    [VERB_UNKNOWN] = {verb_unknown, 0},
};

/*
 * A client that does not end its lines in CRLF is hung up on: where its next
 * command begins is anyone's guess.
 */
static void
refuse_line(struct session *session, enum line_result result, size_t max)
{
	(void)answers_owe(&session->answers);
	if (result == LINE_TOO_LONG)
		session_end(session, "malformed command line", 421, "4.5.2",
		    "command line longer than %zu bytes", max);
	else
		session_end(session, "malformed command line", 421, "4.5.2",
		    "%s in a command: only CRLF ends a line",
		    line_result_text(result));
}

static void
act(struct session *session, const struct command *command,
    const struct line *line)
{
	const struct rule_row *rule = &rules[command->verb];

	session->current = answers_owe(&session->answers);
	if ((rule->needs & NEEDS_HELLO) != 0 && !session->is_up)
		ANSWER(session, 503, "5.5.1", "EHLO or HELO comes first");
	else if ((rule->needs & NEEDS_NO_MAIL) != 0 &&
		 session->transaction.mail != MAIL_NONE)
		ANSWER(session, 503, "5.5.1",
		    "a transaction is open: RSET comes first");
	else
		rule->act(session, command, line);
}

/* AUTH may bring a token with it that no other line has room for. */
static size_t
line_max(const uint8_t *data, size_t len)
{
	static const char verb[] = "AUTH ";

	return len >= strlen(verb) &&
	               strncasecmp((const char *)data, verb, strlen(verb)) == 0
	           ? LINE_AUTH_MAX
	           : LINE_COMMAND_MAX;
}

bool
session_take_command(struct session *session)
{
	const uint8_t *data;
	struct command command;
	struct line line;
	enum command_result parsed;
	enum line_result result;
	size_t len, max;

	data = conn_input(session->client, &len);
	if (len == 0)
		return false;
	max = line_max(data, len);
	result = line_next(data, len, max, &line);
	if (result == LINE_MORE)
		return false;
	if (result != LINE_READY) {
		refuse_line(session, result, max);
		return false;
	}
	parsed = command_parse(&line, &command);
	if ((rules[command.verb].needs & NEEDS_SILENCE) != 0 &&
	    (answers_owed(&session->answers) > 0 ||
		(session->server != NULL &&
		    server_leg_pending(session->server) > 0)))
		return false;
	if ((rules[command.verb].needs & NEEDS_RULE) != 0 &&
	    session_refresh_rule(session))
		return false;
	if (parsed == COMMAND_OK)
		act(session, &command, &line);
	else {
		session->current = answers_owe(&session->answers);
		if (command.verb == VERB_BDAT)
			session_end(session, "malformed BDAT", 421, "4.5.4",
			    "%s: the chunk's length is not known",
			    command.reason);
		else
			ANSWER(session, command.code, command.status, "%s",
			    command.reason);
		count_bad(session);
	}
	/* The line was borrowed until here. */
	conn_consume(session->client, line.used);
	if (session->state == SESSION_READY)
		session_set_patience(session);
	return true;
}

bool
session_take_auth_line(struct session *session)
{
	const uint8_t *data;
	struct line line;
	enum line_result result;
	size_t len;

	data = conn_input(session->client, &len);
	result = line_next(data, len, LINE_AUTH_MAX, &line);
	if (result == LINE_MORE) {
		if (conn_is_eof(session->client))
			session_close(session, "the client closed");
		return false;
	}
	session->current = answers_owe(&session->answers);
	if (result != LINE_READY) {
		session_end(session, "malformed AUTH line", 421, "4.5.2",
		    "malformed line in AUTH");
		return false;
	}
	session_goto(session, SESSION_AUTH);
	if (pass_line(session, REPLY_FOR_AUTH, &line) == -1)
		return false;
	conn_consume(session->client, line.used);
	return true;
}
