/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_SESSION_STATE_H
#define POSTERN_SESSION_STATE_H

/*
 * The inside of a session, shared by the files that make it up: session.c
 * (life and strategy), session_verbs.c (commands), session_recipient.c (who
 * is let through), session_redial.c (another connection for it),
 * session_message.c (DATA and BDAT),
 * session_upstream.c (the server), session_record.c (the log).
 */

#include <stdbool.h>
#include <stdint.h>

#include "proxy/session/answers.h"
#include "proxy/session/reap.h"
#include "proxy/session/server_leg.h"
#include "proxy/session/session.h"
#include "proxy/session/stream.h"
#include "proxy/session/transaction.h"
#include "proxy/session/verdict.h"
#include "proxy/smtp/command.h"

struct known;
struct question;

#define QUIT_TIMEOUT_S 10 /* for the server's goodbye */

/* What the session waits for. */
#define SESSION_STATES(X)                                                      \
	X(SERVER_RULE) /* does a server block name D? */                       \
	X(GREETING) /* the server's */                                         \
	X(READY) /* the client's next command */                               \
	X(HELLO) /* the server to come up, for EHLO or HELO */                 \
	X(DECISION) /* postern-policy, for RCPT */                             \
	X(SETTLE) /* replies still due, before a re-dial */                    \
	X(REDIAL) /* another connection, with another SNI */                   \
	X(REPLAY) /* the other connection to take MAIL and RCPT again */       \
	X(DATA) /* the server's answer to DATA */                              \
	X(STREAM) /* message bytes */                                          \
	X(FINAL) /* the server's word on the message */                        \
	X(AUTH) /* the server's next step of AUTH */                           \
	X(AUTH_LINE) /* the client's */                                        \
	X(QUIT) /* the server's goodbye */                                     \
	X(FINISH) /* the client to have read our last words */                 \
	X(DEAD)

enum session_state {
#define X(name) SESSION_##name,
	SESSION_STATES(X)
#undef X
};

/* What a server's reply is for: server_ref.kind. */
enum reply_for {
	REPLY_FOR_CLIENT, /* to the command whose answer's id it carries */
	REPLY_FOR_MAIL,
	REPLY_FOR_RCPT, /* id: answer; the recipient is the oldest open */
	REPLY_FOR_DATA,
	REPLY_FOR_CHUNK,
	REPLY_FOR_LAST_CHUNK,
	REPLY_FOR_FINAL,
	REPLY_FOR_HELLO,
	REPLY_FOR_AUTH,
	REPLY_FOR_QUIT,
	REPLY_FOR_REPLAY, /* unseen by the client */
};

/* The RCPT that is being decided; commands behind it wait. */
struct asking {
	uint32_t answer;
	char *line; /* owned */
	size_t len;
	char what[DECISION_NAME_MAX + ADDRESS_TEXT_MAX];
	char *mailbox; /* owned: local part, for the log */
	struct known *known; /* reference */
	struct question *question;
	size_t next_sni; /* of the decision's candidates */
	bool tried_fresh; /* in place of a session that was resumed */
	bool is_deferred; /* another connection could not be had */
	struct verdict verdict;
};

/* Of the last server that was up and the last verdict, for the record. */
struct seen {
	int64_t up; /* monotonic ms, of the first one; 0: none yet */
	bool has_tls;
	bool is_resumed;
	const char *version; /* static, as are the next two */
	const char *cipher;
	const char *group;
	char sni[DECISION_NAME_MAX];
	char certificate[65]; /* SHA-256, in hexadecimal */

	const char *outcome; /* static; NULL: no verdict yet */
	enum evidence evidence;
	enum result_word word;
	char name[DECISION_NAME_MAX];
	char from[DECISION_NAME_MAX];
	char to[DECISION_NAME_MAX + ADDRESS_TEXT_MAX];
};

struct session {
	enum session_state state;
	const struct session_context *context;
	struct settings *settings; /* reference */
	char id[24];
	struct address client_address;
	struct address server_address; /* D */
	unsigned depth; /* of a possible loop */
	struct conn *client;
	struct server_leg *server;
	struct server_leg *other; /* being dialled to take server's place */
	struct answers answers;
	uint32_t current; /* answer to EHLO, DATA, AUTH, QUIT, BDAT */

	char *hello; /* owned: the client's name; NULL: not yet */
	char *next_hello; /* owned: in an EHLO that is not yet answered */
	bool next_is_helo;
	bool is_helo;
	bool is_up; /* the server has been shown to the client */
	bool tried_bare; /* without SNI */
	bool tried_greeting_name;
	bool tried_clear;
	char greeting_name[DECISION_NAME_MAX];
	struct server_fault tls_fault; /* why a clear leg has no TLS */
	bool has_tls_fault;
	struct ehlo shown; /* capabilities the client was told */

	struct known *rule; /* of a server block; NULL: none names D */
	struct question *question; /* for it */
	bool is_proved_by_rule;
	bool is_authenticated;

	struct transaction transaction;
	struct asking asking;
	struct stream stream;
	bool is_discarding; /* a chunk that nobody gets */
	size_t replays_due;

	uint32_t redials;
	uint32_t bad_commands;
	bool is_draining;
	bool is_running; /* guard of session_run */
	bool runs_again;
	bool waits_for_room; /* see session_run */

	/* For the session's record. */
	struct seen seen;
	int64_t started;
	uint32_t messages;
	uint32_t recipients;
	uint32_t refused;
	uint32_t would_refuse;
	const char *end; /* static: why it ended */
	char end_text[SERVER_TEXT_MAX];
	struct reap_link reap;
};

/* session.c */
void session_goto(struct session *, enum session_state);
void session_run(struct session *);
/* Sets the client's deadline anew, by the state. */
void session_set_patience(struct session *);
/* A reply of our own to the command with this answer id. */
void session_answer(struct session *, uint32_t id, int code, const char *status,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* A server's reply, as it came. */
void session_answer_raw(struct session *, uint32_t id, const void *, size_t);
/*
 * Says code (with status and text) as the last thing and ends the session:
 * in place of the oldest answer owed, or unasked.
 */
void
session_end(struct session *, const char *why, int code, const char *status,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Ends it without a word more than is already queued. */
void session_close(struct session *, const char *why);
const struct config *session_config(const struct session *);
/* Who the server is, for people: "192.0.2.9:25". */
const char *session_peer(const struct session *, char[ADDRESS_TEXT_MAX]);

/* session_record.c */
/* The server is up: keeps what the records say of it. */
void session_note_server(struct session *);
/* The same of one that was only looked at. */
void session_note_leg(struct session *, struct server_leg *);
/* One line: what was judged, for which recipient's domain, how it came out. */
void session_record_verdict(
    struct session *, const struct verdict *, const char *what);
/* One line for the whole session, from its end. */
void session_record_end(struct session *);

/* session_upstream.c */
/* Asks by which rule the whole connection is judged, if any, and dials. */
void session_begin(struct session *);
/*
 * Asks again for a rule that has had its time, or was asked for before a
 * reload; true: wait for it.
 */
bool session_refresh_rule(struct session *);
/* How D is dialled; its address need not be set. */
struct session_dialling {
	struct tls_target target;
	bool is_clear;
	bool allows_clear;
};
/* Dials D into *leg; -1 with errno set. */
int session_dial(
    struct session *, struct server_leg **leg, const struct session_dialling *);
/* Sends a line upstream; on failure the session has ended and -1 returns. */
int session_send(struct session *, enum reply_for, uint32_t id,
    uint32_t timeout_s, const char *line, size_t len);
/* The far end of a leg, for a verdict. */
void
session_far_end(const struct session *, struct server_leg *, struct far_end *);

/* session_verbs.c */
/* Takes one command out of the client's input; false: there is none yet. */
bool session_take_command(struct session *);
/* The client's line inside an AUTH exchange; false: none yet. */
bool session_take_auth_line(struct session *);
/* The server is up: the client may know. */
void session_say_hello(struct session *);
/* Answers EHLO or HELO from the server's reply, through the allow list. */
void session_answer_hello(
    struct session *, uint32_t id, const struct ehlo *, const struct reply *);
/* The name that the client gave is now its own. */
void session_take_hello(struct session *);
void session_on_hello_refused(struct session *, const struct reply *);

/* session_recipient.c */
void
session_rcpt(struct session *, const struct command *, const struct line *);
void session_judge(struct session *);
/* Judges a leg by a decision; what is the domain. */
void session_judge_leg(struct session *, struct verdict *, struct server_leg *,
    const struct decision *, const char *what);
/* Passed: MAIL, once, and RCPT go out together. */
void session_let_through(struct session *);
/*
 * A domain that this connection cannot serve beside those before it: the
 * client is to send it apart (RFC 5321 4.5.3.1.10).  What is observed passes.
 */
void session_send_apart(struct session *);
void session_let_through_apart(struct session *);
/* No other connection can do better: refuses, or lets pass what is observed. */
void session_conclude(struct session *);
void session_asking_clear(struct session *);
/*
 * Judges a far end by a server block's decision.  What it says is said with
 * 421, which is no bounce whatever on_refusal is.
 */
void session_judge_server(struct session *, struct verdict *,
    const struct decision *, const struct far_end *);
/* Proves a server block's far end, right after the handshake. */
bool session_prove_rule(struct session *);

/* session_redial.c */
/*
 * Dials D again for the recipient that is being decided, with what it did not
 * try yet; false: there is nothing left, and the verdict stands.
 */
bool session_redial(struct session *);
void session_drop_tls(struct session *, struct server_leg *);
void
session_on_other(struct session *, enum server_event, const struct reply *);
void session_on_replay(struct session *, const struct reply *);

/* session_message.c */
void session_data(struct session *);
void session_bdat(struct session *, const struct command *);
void session_stream(struct session *);
void session_on_data_reply(struct session *, const struct reply *);
void session_on_chunk_reply(
    struct session *, uint32_t id, bool is_last, const struct reply *);
void session_on_unasked(struct session *, const struct reply *);
void session_on_final_reply(struct session *, const struct reply *);

#endif
