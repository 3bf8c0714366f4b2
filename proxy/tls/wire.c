/* SPDX-License-Identifier: ISC */
/*
 * Knows BoringSSL's BIO and which errors of a socket pass.
 */

#include "proxy/tls/wire.h"

#include <sys/socket.h>

#include <errno.h>
#include <string.h>

#include <openssl/bio.h>

void
wire_init(struct wire *wire, int fd, struct buf *out)
{
	memset(wire, 0, sizeof(*wire));
	wire->fd = fd;
	wire->out = out;
	buf_init(&wire->in, WIRE_READ_SIZE);
}

void
wire_clear(struct wire *wire)
{
	buf_clear(&wire->in);
}

/* Nothing is left from the last call: asks the kernel. */
static int
read_socket(BIO *bio, struct wire *wire, uint8_t *to, size_t size)
{
	static uint8_t taken[WIRE_READ_SIZE];
	ssize_t n;

	n = recv(wire->fd, taken, sizeof(taken), 0);
	wire->is_drained = n < (ssize_t)sizeof(taken);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_read(bio);
	if (n <= 0)
		return (int)n;
	if ((size_t)n > size) {
		if (buf_add(&wire->in, taken + size, (size_t)n - size) == -1)
			return -1;
		n = (ssize_t)size;
	}
	memcpy(to, taken, (size_t)n);
	return (int)n;
}

static int
wire_read(BIO *bio, char *to, int size)
{
	struct wire *wire = BIO_get_data(bio);
	size_t n = buf_len(&wire->in);

	BIO_clear_retry_flags(bio);
	if (size <= 0)
		return 0;
	if (n == 0)
		return read_socket(bio, wire, (uint8_t *)to, (size_t)size);
	if (n > (size_t)size)
		n = (size_t)size;
	memcpy(to, buf_data(&wire->in), n);
	buf_consume(&wire->in, n);
	return (int)n;
}

static int
wire_write(BIO *bio, const char *from, int len)
{
	struct wire *wire = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (buf_add(wire->out, from, (size_t)len) == 0)
		return len;
	/* There is no room before some of it is sent. */
	if (buf_len(wire->out) > 0)
		BIO_set_retry_write(bio);
	return -1;
}

static long
wire_control(BIO *bio, int command, long number, void *what)
{
	(void)bio;
	(void)number;
	(void)what;
	return command == BIO_CTRL_FLUSH;
}

struct bio_st *
wire_bio(struct wire *wire)
{
	static BIO_METHOD *method;
	BIO *bio;

	if (method == NULL) {
		if ((method = BIO_meth_new(0, "wire")) == NULL)
			return NULL;
		BIO_meth_set_read(method, wire_read);
		BIO_meth_set_write(method, wire_write);
		BIO_meth_set_ctrl(method, wire_control);
	}
	if ((bio = BIO_new(method)) == NULL)
		return NULL;
	BIO_set_data(bio, wire);
	BIO_set_init(bio, 1);
	return bio;
}
