/* SPDX-License-Identifier: ISC */
/*
 * Knows BoringSSL's BIO and which errors of a socket pass.
 */

#include "proxy/tls/wire.h"

#include <sys/socket.h>

#include <errno.h>

#include <openssl/bio.h>

#include "proxy/base/buf.h"

static int
wire_read(BIO *bio, char *to, int size)
{
	struct wire *wire = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	n = recv(wire->fd, to, (size_t)size, 0);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_read(bio);
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
