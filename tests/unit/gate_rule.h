/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_TEST_GATE_RULE_H
#define POSTERN_TEST_GATE_RULE_H

/* A client or destination block in one line. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/config.h"

static inline void
gate_rule_add(char ***list, size_t *count, const char *text)
{
	char **longer = realloc(*list, (*count + 1) * sizeof(*longer));

	assert_non_null(longer);
	longer[(*count)++] = strdup(text);
	*list = longer;
}

/* Words by what they look like: "10.0.0.0/8 if:lan0 mark:0x1/0x1". */
static inline void
gate_rule_fill(
    struct admission_rule *rule, const char *words, enum config_verdict verdict)
{
	char copy[512], *word, *rest = copy;

	*rule = (struct admission_rule){.name = strdup("name"),
	    .origin = strdup("conf:1"),
	    .verdict = verdict};
	strlcpy(copy, words, sizeof(copy));
	while ((word = strsep(&rest, " ")) != NULL) {
		if (word[0] == '\0')
			continue;
		if (strncmp(word, "if:", 3) == 0)
			gate_rule_add(&rule->interfaces, &rule->interface_count,
			    word + 3);
		else if (strncmp(word, "mark:", 5) == 0)
			gate_rule_add(
			    &rule->marks, &rule->mark_count, word + 5);
		else
			gate_rule_add(&rule->matches, &rule->match_count, word);
	}
}

#endif
