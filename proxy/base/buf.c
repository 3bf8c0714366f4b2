/* SPDX-License-Identifier: ISC */
/*
 * One contiguous block, grown by doubling up to the buffer's maximum and given
 * back as soon as nothing is held.  Bytes move only when the end is reached,
 * and then to the front of the same block where they fit.
 */

#include "proxy/base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_CAP_MIN 256

void
buf_init(struct buf *buf, size_t max)
{
	memset(buf, 0, sizeof(*buf));
	buf->max = max;
}

void
buf_clear(struct buf *buf)
{
	free(buf->base);
	buf_init(buf, buf->max);
}

const uint8_t *
buf_data(const struct buf *buf)
{
	static const uint8_t nothing[1];

	return buf->base == NULL ? nothing : buf->base + buf->start;
}

size_t
buf_len(const struct buf *buf)
{
	return buf->len;
}

size_t
buf_room(const struct buf *buf)
{
	return buf->max - buf->len;
}

/* need is at most max, so that the doubling ends. */
static int
grow(struct buf *buf, size_t need)
{
	size_t cap = buf->cap < BUF_CAP_MIN ? BUF_CAP_MIN : buf->cap;
	uint8_t *base;

	while (cap < need && cap <= buf->max / 2)
		cap *= 2;
	if (cap < need || cap > buf->max)
		cap = buf->max;
	if ((base = malloc(cap > 0 ? cap : 1)) == NULL)
		return -1;
	if (buf->base != NULL)
		memcpy(base, buf->base + buf->start, buf->len);
	free(buf->base);
	buf->base = base;
	buf->start = 0;
	buf->cap = cap;
	return 0;
}

uint8_t *
buf_reserve(struct buf *buf, size_t want)
{
	if (want > buf_room(buf)) {
		errno = ENOBUFS;
		return NULL;
	}
	if (buf->base == NULL || want > buf->cap - buf->len) {
		if (grow(buf, buf->len + want) == -1)
			return NULL;
	} else if (want > buf->cap - buf->len - buf->start) {
		memmove(buf->base, buf->base + buf->start, buf->len);
		buf->start = 0;
	}
	return buf->base + buf->start + buf->len;
}

void
buf_commit(struct buf *buf, size_t n)
{
	buf->len += n;
	if (buf->len == 0)
		buf_clear(buf);
}

int
buf_add(struct buf *buf, const void *data, size_t len)
{
	uint8_t *end;

	if (len == 0)
		return 0;
	if ((end = buf_reserve(buf, len)) == NULL)
		return -1;
	memcpy(end, data, len);
	buf_commit(buf, len);
	return 0;
}

int
buf_addf(struct buf *buf, const char *format, ...)
{
	va_list ap;
	char *text;
	int len, ret;

	va_start(ap, format);
	len = vasprintf(&text, format, ap);
	va_end(ap);
	if (len == -1)
		return -1;
	ret = buf_add(buf, text, (size_t)len);
	free(text);
	return ret;
}

void
buf_consume(struct buf *buf, size_t n)
{
	buf->start += n;
	buf->len -= n;
	if (buf->len == 0)
		buf_clear(buf);
}
