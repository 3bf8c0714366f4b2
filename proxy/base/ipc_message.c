/* SPDX-License-Identifier: ISC */
/*
 * The form of a message: a header of type (u16), length of the whole (u16) and
 * id (u32), then the fields; every number is in network byte order, so that no
 * field's alignment matters.  What messages mean is the handlers' business,
 * how they travel the channel's.
 */

#include <string.h>

#include "proxy/base/ipc.h"
#include "proxy/base/ipc_header.h"
#include "proxy/base/log.h"

/* Encoding. */

static void
store(uint8_t *out, uint64_t value, size_t len)
{
	while (len-- > 0) {
		out[len] = (uint8_t)value;
		value >>= 8;
	}
}

static uint64_t
load(const uint8_t *in, size_t len)
{
	uint64_t value = 0;

	while (len-- > 0)
		value = value << 8 | *in++;
	return value;
}

void
ipc_compose(struct ipc_message *message, uint16_t type, uint32_t id)
{
	message->type = type;
	message->id = id;
	message->len = 0;
	message->is_bad = false;
	message->fd_count = 0;
}

static uint8_t *
append(struct ipc_message *message, size_t len)
{
	uint8_t *end = message->data + message->len;

	if (message->is_bad ||
	    len > IPC_MESSAGE_MAX - IPC_HEADER_LEN - message->len) {
		message->is_bad = true;
		return NULL;
	}
	message->len += len;
	return end;
}

static void
put_number(struct ipc_message *message, uint64_t value, size_t len)
{
	uint8_t *out = append(message, len);

	if (out != NULL)
		store(out, value, len);
}

void
ipc_put_u8(struct ipc_message *message, uint8_t value)
{
	put_number(message, value, 1);
}

void
ipc_put_u16(struct ipc_message *message, uint16_t value)
{
	put_number(message, value, 2);
}

void
ipc_put_u32(struct ipc_message *message, uint32_t value)
{
	put_number(message, value, 4);
}

void
ipc_put_u64(struct ipc_message *message, uint64_t value)
{
	put_number(message, value, 8);
}

void
ipc_put_mem(struct ipc_message *message, const void *data, size_t len)
{
	uint8_t *out;

	/* What two bytes cannot say does not fit a message either. */
	put_number(message, len, 2);
	if ((out = append(message, len)) != NULL && len > 0)
		memcpy(out, data, len);
}

void
ipc_put_str(struct ipc_message *message, const char *text)
{
	ipc_put_mem(message, text, strlen(text));
}

void
ipc_put_fd(struct ipc_message *message, int fd)
{
	if (fd == -1 || message->fd_count == IPC_FDS_MAX) {
		message->is_bad = true;
		return;
	}
	message->fds[message->fd_count++] = fd;
}

/* Decoding. */

static const uint8_t *
take(struct ipc_reader *reader, size_t len)
{
	const uint8_t *at = reader->data + reader->pos;

	if (reader->is_bad || len > reader->len - reader->pos) {
		reader->is_bad = true;
		return NULL;
	}
	reader->pos += len;
	return at;
}

static uint64_t
get_number(struct ipc_reader *reader, size_t len)
{
	const uint8_t *at = take(reader, len);

	return at == NULL ? 0 : load(at, len);
}

uint8_t
ipc_get_u8(struct ipc_reader *reader)
{
	return (uint8_t)get_number(reader, 1);
}

uint8_t
ipc_get_upto(struct ipc_reader *reader, uint8_t max)
{
	uint8_t value = ipc_get_u8(reader);

	if (value <= max)
		return value;
	reader->is_bad = true;
	return 0;
}

bool
ipc_get_bool(struct ipc_reader *reader)
{
	return ipc_get_upto(reader, 1) == 1;
}

uint16_t
ipc_get_u16(struct ipc_reader *reader)
{
	return (uint16_t)get_number(reader, 2);
}

uint32_t
ipc_get_u32(struct ipc_reader *reader)
{
	return (uint32_t)get_number(reader, 4);
}

uint64_t
ipc_get_u64(struct ipc_reader *reader)
{
	return get_number(reader, 8);
}

const void *
ipc_get_mem(struct ipc_reader *reader, size_t *len)
{
	size_t wanted = get_number(reader, 2);
	const uint8_t *at = take(reader, wanted);

	*len = at == NULL ? 0 : wanted;
	return at == NULL ? "" : (const void *)at;
}

void
ipc_get_str(struct ipc_reader *reader, char *out, size_t size)
{
	size_t len;
	const char *at = ipc_get_mem(reader, &len);

	if (len >= size || memchr(at, '\0', len) != NULL) {
		reader->is_bad = true;
		len = 0;
	}
	if (size == 0)
		return;
	memcpy(out, at, len);
	out[len] = '\0';
}

void
ipc_get_text(struct ipc_reader *reader, char *out, size_t size)
{
	ipc_get_str(reader, out, size);
	if (log_is_printable(out))
		return;
	reader->is_bad = true;
	out[0] = '\0';
}

int
ipc_get_fd(struct ipc_reader *reader)
{
	int fd;

	if (reader->is_bad || reader->fd_pos == reader->fd_count) {
		reader->is_bad = true;
		return -1;
	}
	fd = reader->fds[reader->fd_pos];
	reader->fds[reader->fd_pos++] = -1;
	return fd;
}

int
ipc_end(const struct ipc_reader *reader)
{
	if (reader->is_bad || reader->pos != reader->len ||
	    reader->fd_pos != reader->fd_count)
		return -1;
	return 0;
}

/* The header. */

void
ipc_write_header(
    const struct ipc_message *message, uint8_t header[IPC_HEADER_LEN])
{
	store(header, message->type, 2);
	store(header + 2, IPC_HEADER_LEN + message->len, 2);
	store(header + 4, message->id, 4);
}

int
ipc_read_header(struct ipc_reader *reader, const uint8_t *packet, size_t len)
{
	if (len < IPC_HEADER_LEN || load(packet + 2, 2) != len)
		return -1;
	reader->type = (uint16_t)load(packet, 2);
	reader->id = (uint32_t)load(packet + 4, 4);
	reader->data = packet + IPC_HEADER_LEN;
	reader->len = len - IPC_HEADER_LEN;
	return 0;
}
