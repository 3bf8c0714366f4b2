/* SPDX-License-Identifier: ISC */
/*
 * Knows what each kind of decision cannot do without.
 */

#include "proxy/policy/decision_make.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "proxy/base/log.h"

#define RAW_TEXT_MAX 1024 /* a text before it is escaped and cut */

uint32_t
decide_clamp_ttl(uint32_t ttl, uint32_t max)
{
	if (ttl > max)
		return max;
	return ttl < DECIDE_TTL_MIN ? DECIDE_TTL_MIN : ttl;
}

static void
set_text_list(struct decision *decision, const char *text, va_list ap)
{
	char raw[RAW_TEXT_MAX];

	vsnprintf(raw, sizeof(raw), text, ap);
	log_escape(decision->text, sizeof(decision->text), raw, strlen(raw));
}

void
decide_set_text(struct decision *decision, const char *text, ...)
{
	va_list ap;

	va_start(ap, text);
	set_text_list(decision, text, ap);
	va_end(ap);
}

/* The bytes of TLSA records are none before one is added. */
static void
clear(struct decision *decision, enum decision_kind kind, uint32_t ttl)
{
	memset(decision, 0, offsetof(struct decision, tlsa_bytes));
	decision->kind = kind;
	decision->ttl = ttl;
}

void
decide_begin(struct decision *decision, enum evidence evidence,
    enum level level, uint32_t ttl)
{
	clear(decision, DECISION_LEVEL, decide_clamp_ttl(ttl, DECIDE_TTL_MAX));
	decision->evidence = evidence;
	decision->level = level;
}

void
decide_no_rule(struct decision *decision, uint32_t ttl)
{
	clear(
	    decision, DECISION_NO_RULE, decide_clamp_ttl(ttl, DECIDE_TTL_MAX));
}

static void
set_status(struct decision *decision, const char *status)
{
	strlcpy(decision->status, status, sizeof(decision->status));
}

void
decide_refuse(struct decision *decision, const char *status, bool is_permanent,
    const char *why, ...)
{
	va_list ap;

	clear(decision, DECISION_REFUSE, DECIDE_TTL_NEGATIVE);
	decision->is_permanent = is_permanent;
	set_status(decision, status);
	va_start(ap, why);
	set_text_list(decision, why, ap);
	va_end(ap);
}

void
decide_temporary(
    struct decision *decision, const char *status, const char *why, ...)
{
	va_list ap;

	clear(decision, DECISION_TEMPORARY, DECIDE_TTL_MIN);
	set_status(decision, status);
	va_start(ap, why);
	set_text_list(decision, why, ap);
	va_end(ap);
}

void
decide_add_name(struct decision *decision, const char *name)
{
	strlcpy(
	    decision->names[decision->name_count++], name, DECISION_NAME_MAX);
}
