/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_STS_ANSWER_H
#define POSTERN_STS_ANSWER_H

/*
 * What the head of a policy host's HTTP answer must be: RFC 8461 3.3.
 */

#include <stddef.h>

/*
 * sts_answer_fault writes to out why an answer with this status and
 * Content-Type (NULL: it has none) is not a policy file; "" where it may be.
 */
void sts_answer_fault(long status, const char *type, char *out, size_t size);

#endif
