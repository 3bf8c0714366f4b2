/* SPDX-License-Identifier: ISC */
/*
 * Knows order, not meaning.
 */

#include "proxy/session/answers.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/tls/conn.h"

void
answers_init(struct answers *answers)
{
	memset(answers, 0, sizeof(*answers));
}

void
answers_clear(struct answers *answers)
{
	size_t i;

	for (i = 0; i < ANSWERS_MAX; i++)
		free(answers->ring[i].text);
	answers_init(answers);
}

size_t
answers_owed(const struct answers *answers)
{
	return answers->next - answers->first;
}

size_t
answers_room(const struct answers *answers)
{
	return ANSWERS_MAX - answers_owed(answers);
}

uint32_t
answers_owe(struct answers *answers)
{
	return answers->next++;
}

/* Writes what is due at the front. */
static int
write_due(struct answers *answers, struct conn *client)
{
	struct answer *answer;
	int ret;

	while (answers_owed(answers) > 0) {
		answer = &answers->ring[answers->first % ANSWERS_MAX];
		if (answer->text == NULL)
			break;
		ret = conn_write(client, answer->text, answer->len);
		free(answer->text);
		answer->text = NULL;
		answers->first++;
		if (ret == -1)
			return -1;
	}
	return 0;
}

int
answers_give(struct answers *answers, uint32_t id, struct conn *client,
    const char *text, size_t len)
{
	struct answer *answer;

	if (id - answers->first >= answers_owed(answers))
		return 0;
	answer = &answers->ring[id % ANSWERS_MAX];
	if (answer->text != NULL)
		return 0;
	if (id == answers->first) {
		/* The common case copies nothing. */
		answers->first++;
		if (conn_write(client, text, len) == -1)
			return -1;
		return write_due(answers, client);
	}
	if ((answer->text = malloc(len)) == NULL)
		return -1;
	memcpy(answer->text, text, len);
	answer->len = len;
	return 0;
}
