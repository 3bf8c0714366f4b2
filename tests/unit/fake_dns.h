/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_TEST_FAKE_DNS_H
#define POSTERN_TEST_FAKE_DNS_H

/*
 * A DNS for unit tests: it keeps what is asked, and the test answers in the
 * order that it likes.  To be included by one source of a program, in place of
 * proxy/policy/dns.c.
 */

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "proxy/policy/dns.h"

#define ASKED_MAX 512

static struct {
	char name[DNS_NAME_MAX];
	enum dns_type type;
	void (*done)(void *, const struct dns_answer *);
	void *arg;
} asked[ASKED_MAX];
static size_t asked_count;
static size_t room = 1000; /* questions that the DNS still takes */

static struct dns_answer answer;
int
dns_ask(struct dns *dns, const char *name, enum dns_type type,
    void (*done)(void *, const struct dns_answer *), void *arg)
{
	(void)dns;
	if (room == 0) {
		errno = EAGAIN;
		return -1;
	}
	room--;
	assert_true(asked_count < ASKED_MAX);
	strlcpy(asked[asked_count].name, name, sizeof(asked[0].name));
	asked[asked_count].type = type;
	asked[asked_count].done = done;
	asked[asked_count++].arg = arg;
	return 0;
}

/* Builds an answer. */
static void
begin(enum dns_status status, bool is_secure, uint32_t ttl)
{
	memset(&answer, 0, sizeof(answer));
	answer.status = status;
	answer.is_secure = is_secure;
	answer.ttl = ttl;
	strlcpy(answer.why, "because", sizeof(answer.why));
}

static __attribute__((unused)) void
add_address(const char *text)
{
	assert_int_equal(
	    address_from_text(&answer.records[answer.count++].address, text),
	    0);
}

static __attribute__((unused)) void
lead_to(const char *canonical)
{
	answer.is_alias = true;
	strlcpy(answer.canonical, canonical, sizeof(answer.canonical));
}

static __attribute__((unused)) bool
is_asked(const char *name, enum dns_type type)
{
	size_t i;

	for (i = 0; i < asked_count; i++)
		if (asked[i].done != NULL && asked[i].type == type &&
		    strcmp(asked[i].name, name) == 0)
			return true;
	return false;
}

/* Gives the answer to the open question of that name and type. */
static void
reply(const char *name, enum dns_type type)
{
	void (*done)(void *, const struct dns_answer *);
	size_t i;

	for (i = 0; i < asked_count; i++) {
		if (asked[i].done == NULL || asked[i].type != type ||
		    strcmp(asked[i].name, name) != 0)
			continue;
		done = asked[i].done;
		asked[i].done = NULL;
		done(asked[i].arg, &answer);
		return;
	}
	fail_msg("%s %d was not asked for", name, (int)type);
}

#endif
