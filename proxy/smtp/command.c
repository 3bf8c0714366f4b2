/* SPDX-License-Identifier: ISC */
/*
 * One command.  The line is judged as a whole first, so that the parsers of
 * each verb see printable bytes only; a table says which of them is whose.
 */

#include "proxy/smtp/command.h"

#include <ctype.h>
#include <string.h>

#define MECHANISM_MAX 20 /* RFC 4422 3.1 */

static const char *const verbs[] = {
#define X(name) [VERB_##name] = #name,
    COMMAND_VERBS(X)
#undef X
};

const char *
verb_text(enum verb verb)
{
	return verbs[verb];
}

static enum verb
find_verb(struct slice word)
{
	enum verb verb;

	for (verb = 0; verb < VERB_UNKNOWN; verb++)
		if (slice_is(word, verbs[verb]))
			break;
	return verb;
}

static enum command_result
refuse(struct command *cmd, enum command_result result, int code,
    const char *status, const char *reason)
{
	cmd->code = code;
	cmd->status = status;
	cmd->reason = reason;
	return result;
}

/* 5.5.4: invalid command arguments. */
static enum command_result
bad_args(struct command *cmd, const char *reason)
{
	return refuse(cmd, COMMAND_SYNTAX, 501, "5.5.4", reason);
}

/*
 * The length of the character that text (not empty) starts with, or 0 where
 * it is a control character or not UTF-8 (RFC 3629 section 4).
 */
static size_t
character_len(const uint8_t *text, size_t len)
{
	uint8_t c = text[0], low = 0x80, high = 0xbf;
	size_t n, i;

	if (c < 0x80)
		return c >= ' ' && c != 0x7f ? 1 : 0;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	if (len < n)
		return 0;
	if (c == 0xc2 || c == 0xe0) /* C1 controls; overlong */
		low = 0xa0;
	else if (c == 0xed) /* surrogates */
		high = 0x9f;
	else if (c == 0xf0) /* overlong */
		low = 0x90;
	else if (c == 0xf4) /* beyond U+10FFFF */
		high = 0x8f;
	if (text[1] < low || text[1] > high)
		return 0;
	for (i = 2; i < n; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

static bool
is_clean(const struct line *line)
{
	size_t i, n;

	for (i = 0; i < line->len; i += n)
		if ((n = character_len(line->text + i, line->len - i)) == 0)
			return false;
	return true;
}

static enum command_result
parse_nothing(struct slice args, struct command *cmd)
{
	if (args.len > 0)
		return bad_args(cmd, "command takes no arguments");
	return COMMAND_OK;
}

static enum command_result
parse_anything(struct slice args, struct command *cmd)
{
	(void)args;
	(void)cmd;
	return COMMAND_OK;
}

static enum command_result
parse_something(struct slice args, struct command *cmd)
{
	if (args.len == 0)
		return bad_args(cmd, "argument missing");
	return COMMAND_OK;
}

/* A domain or a literal by RFC 5321; in the field, any word that prints. */
static enum command_result
parse_name(struct slice args, struct command *cmd)
{
	size_t i;

	if (args.len == 0)
		return bad_args(cmd, "name of the client missing");
	if (args.len > DOMAIN_MAX)
		return bad_args(cmd, "name of the client too long");
	for (i = 0; i < args.len; i++)
		if (!isgraph((unsigned char)args.text[i]))
			return bad_args(cmd, "malformed name of the client");
	cmd->name = args;
	return COMMAND_OK;
}

static bool
is_keyword(struct slice key)
{
	size_t i;

	for (i = 0; i < key.len; i++)
		if (!isalnum((unsigned char)key.text[i]) &&
		    (key.text[i] != '-' || i == 0))
			return false;
	return key.len > 0;
}

/* RFC 5321 4.1.2: esmtp-value, spaces being gone already. */
static bool
is_value(struct slice value)
{
	return value.len > 0 && memchr(value.text, '=', value.len) == NULL;
}

static const struct parameter *
find_parameter(const struct command *cmd, struct slice key)
{
	size_t i;

	for (i = 0; i < cmd->parameter_count; i++)
		if (slice_equal(cmd->parameters[i].key, key))
			return &cmd->parameters[i];
	return NULL;
}

const struct parameter *
command_parameter(const struct command *cmd, const char *key)
{
	return find_parameter(cmd, (struct slice){key, strlen(key)});
}

/* KEY or KEY=value; returns NULL, or a static reason. */
static const char *
add_parameter(struct command *cmd, struct slice word)
{
	const char *equals = memchr(word.text, '=', word.len);
	struct parameter parameter = {.key = word};

	if (equals != NULL) {
		parameter.has_value = true;
		parameter.key.len = equals - word.text;
		parameter.value = word;
		slice_skip(&parameter.value, parameter.key.len + 1);
	}
	if (!is_keyword(parameter.key))
		return "malformed parameter";
	if (parameter.has_value && !is_value(parameter.value))
		return "malformed value of a parameter";
	if (find_parameter(cmd, parameter.key) != NULL)
		return "parameter given twice";
	if (cmd->parameter_count == PARAMETERS_MAX)
		return "too many parameters";
	cmd->parameters[cmd->parameter_count++] = parameter;
	return NULL;
}

static enum command_result
parse_parameters(struct slice rest, struct command *cmd)
{
	struct slice word;
	const char *reason;

	while ((word = slice_word(&rest)).len > 0)
		if ((reason = add_parameter(cmd, word)) != NULL)
			return bad_args(cmd, reason);
	return COMMAND_OK;
}

static enum command_result
parse_path(
    struct slice args, bool is_sender, const char *status, struct command *cmd)
{
	const char *reason;

	/* Many a client puts a space behind the colon. */
	slice_trim(&args);
	reason = path_parse(&args, is_sender, &cmd->path);
	if (reason == NULL && args.len > 0 && args.text[0] != ' ')
		reason = "no space behind the address";
	if (reason != NULL)
		return refuse(cmd, COMMAND_ADDRESS, 553, status, reason);
	return parse_parameters(args, cmd);
}

static enum command_result
parse_mail(struct slice args, struct command *cmd)
{
	enum command_result result;
	const struct parameter *size;

	if (!slice_has_prefix(args, "FROM:"))
		return bad_args(cmd, "MAIL without FROM:");
	slice_skip(&args, strlen("FROM:"));
	if ((result = parse_path(args, true, "5.1.7", cmd)) != COMMAND_OK)
		return result;
	if ((size = command_parameter(cmd, "SIZE")) == NULL)
		return COMMAND_OK;
	cmd->has_size = slice_number(size->value, &cmd->size);
	return cmd->has_size ? COMMAND_OK : bad_args(cmd, "malformed SIZE");
}

static enum command_result
parse_rcpt(struct slice args, struct command *cmd)
{
	if (!slice_has_prefix(args, "TO:"))
		return bad_args(cmd, "RCPT without TO:");
	slice_skip(&args, strlen("TO:"));
	return parse_path(args, false, "5.1.3", cmd);
}

/* RFC 3030 section 2. */
static enum command_result
parse_bdat(struct slice args, struct command *cmd)
{
	struct slice size = slice_word(&args), last = slice_word(&args);

	if (!slice_number(size, &cmd->chunk_size))
		return bad_args(cmd, "malformed chunk size");
	cmd->is_last = slice_is(last, "LAST");
	if (args.len > 0 || (last.len > 0 && !cmd->is_last))
		return bad_args(cmd, "only LAST may follow the chunk size");
	return COMMAND_OK;
}

bool
command_is_mechanism(struct slice name)
{
	size_t i;

	for (i = 0; i < name.len; i++)
		if (!isalnum((unsigned char)name.text[i]) &&
		    name.text[i] != '-' && name.text[i] != '_')
			return false;
	return name.len > 0 && name.len <= MECHANISM_MAX;
}

bool
command_is_base64(struct slice text)
{
	size_t i = 0, pad;

	while (i < text.len && (isalnum((unsigned char)text.text[i]) ||
				   text.text[i] == '+' || text.text[i] == '/'))
		i++;
	for (pad = i; pad < text.len && text.text[pad] == '='; pad++)
		;
	return pad == text.len && pad - i <= 2;
}

/* RFC 4954 section 4; an initial response of "=" is an empty one. */
static enum command_result
parse_auth(struct slice args, struct command *cmd)
{
	cmd->mechanism = slice_word(&args);
	cmd->initial = slice_word(&args);
	cmd->has_initial = cmd->initial.len > 0;
	if (!command_is_mechanism(cmd->mechanism))
		return bad_args(cmd, "malformed mechanism");
	if (!command_is_base64(cmd->initial) || args.len > 0)
		return bad_args(cmd, "malformed initial response");
	return COMMAND_OK;
}

static enum command_result (*const parsers[])(
    struct slice, struct command *) = {
    [VERB_EHLO] = parse_name,
    [VERB_HELO] = parse_name,
    [VERB_MAIL] = parse_mail,
    [VERB_RCPT] = parse_rcpt,
    [VERB_DATA] = parse_nothing,
    [VERB_BDAT] = parse_bdat,
    [VERB_RSET] = parse_nothing,
    [VERB_NOOP] = parse_anything,
    [VERB_QUIT] = parse_nothing,
    [VERB_VRFY] = parse_something,
    [VERB_EXPN] = parse_something,
    [VERB_HELP] = parse_anything,
    [VERB_AUTH] = parse_auth,
    [VERB_STARTTLS] = parse_nothing,
    [VERB_UNKNOWN] = parse_anything,
};

enum command_result
command_parse(const struct line *line, struct command *cmd)
{
	struct slice rest = {(const char *)line->text, line->len}, verb;

	*cmd = (struct command){.verb = VERB_UNKNOWN};
	if (!is_clean(line))
		return refuse(cmd, COMMAND_SYNTAX, 500, "5.5.2",
		    "control character or invalid UTF-8 in the command");
	if (rest.len == 0 || rest.text[0] == ' ')
		return refuse(cmd, COMMAND_SYNTAX, 500, "5.5.2",
		    "line without a command");
	verb = slice_word(&rest);
	cmd->verb = find_verb(verb);
	cmd->args = rest.text;
	cmd->args_len = rest.len;
	/* Only AUTH carries more than a line of SMTP holds. */
	if (line->len + 2 > LINE_COMMAND_MAX && cmd->verb != VERB_AUTH)
		return refuse(
		    cmd, COMMAND_SYNTAX, 500, "5.5.2", "command line too long");
	return parsers[cmd->verb](rest, cmd);
}
