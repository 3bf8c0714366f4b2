/* SPDX-License-Identifier: ISC */
/*
 * sink ADDRESS PORT CHAIN KEY: an SMTP server for measurements.  It takes
 * every message, in clear or after STARTTLS, keeps none, and says "ready" on
 * standard output when it listens.  One thread, as little work as it can.
 */

#include <sys/epoll.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ssl.h>

#define INPUT_MAX 65536

struct client {
	int fd;
	SSL *ssl;
	bool is_shaking;
	bool is_data;
	bool is_over;
	size_t len; /* bytes of an unfinished line, or the end's candidates */
	char held[4096];
};

static SSL_CTX *context;
static char input[INPUT_MAX];

static void
say(struct client *client, const char *text)
{
	size_t len = strlen(text);

	/* Replies are short and read at once: they always fit. */
	if ((client->ssl != NULL
		    ? SSL_write(client->ssl, text, (int)len)
		    : (int)write(client->fd, text, len)) != (int)len)
		client->is_over = true;
}

static void
command(struct client *client, const char *line)
{
	int on = 1;

	if (strncasecmp(line, "EHLO", 4) == 0)
		say(client,
		    client->ssl != NULL
			? "250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
			: "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n"
			  "250 STARTTLS\r\n");
	else if (strncasecmp(line, "STARTTLS", 8) == 0) {
		say(client, "220 go\r\n");
		client->ssl = SSL_new(context);
		SSL_set_fd(client->ssl, client->fd);
		SSL_set_accept_state(client->ssl);
		client->is_shaking = true;
		(void)setsockopt(
		    client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	} else if (strncasecmp(line, "DATA", 4) == 0) {
		say(client, "354 go\r\n");
		client->is_data = true;
		client->len = 2;
		memcpy(client->held, "\r\n", 2);
	} else if (strncasecmp(line, "QUIT", 4) == 0) {
		say(client, "221 bye\r\n");
		client->is_over = true;
	} else
		say(client, "250 ok\r\n");
}

/* Returns how much of data belongs to the message. */
static size_t
take_data(struct client *client, const char *data, size_t len)
{
	static const char end[] = "\r\n.\r\n";
	const char *found;
	char seam[16];
	size_t n, head;

	/* The end may lie across two reads: four bytes of each will tell. */
	head = len < 5 ? len : 5;
	memcpy(seam, client->held, client->len);
	memcpy(seam + client->len, data, head);
	n = client->len + head;
	if ((found = memmem(seam, n, end, 5)) != NULL)
		n = (size_t)(found - seam) + 5 - client->len;
	else if ((found = memmem(data, len, end, 5)) != NULL)
		n = (size_t)(found - data) + 5;
	else {
		if (len >= 4) {
			memcpy(client->held, data + len - 4, 4);
			client->len = 4;
		} else {
			n = client->len + len;
			memmove(client->held, seam + (n > 4 ? n - 4 : 0),
			    n > 4 ? 4 : n);
			client->len = n > 4 ? 4 : n;
		}
		return len;
	}
	client->is_data = false;
	client->len = 0;
	say(client, "250 taken\r\n");
	return n;
}

static size_t
take_line(struct client *client, const char *data, size_t len)
{
	const char *end = memchr(data, '\n', len);
	size_t n = end != NULL ? (size_t)(end - data) + 1 : len;

	if (client->len + n >= sizeof(client->held)) {
		client->is_over = true;
		return len;
	}
	memcpy(client->held + client->len, data, n);
	client->len += n;
	if (end != NULL) {
		client->held[client->len] = '\0';
		client->len = 0;
		command(client, client->held);
	}
	return n;
}

static void
serve(struct client *client)
{
	size_t done;
	ssize_t n;

	while (!client->is_over) {
		if (client->is_shaking) {
			if (SSL_do_handshake(client->ssl) != 1)
				return;
			client->is_shaking = false;
		}
		errno = 0;
		n = client->ssl != NULL
		        ? SSL_read(client->ssl, input, sizeof(input))
		        : read(client->fd, input, sizeof(input));
		if (n <= 0) {
			if (client->ssl != NULL
				? SSL_get_error(client->ssl, (int)n) !=
				      SSL_ERROR_WANT_READ
				: errno != EAGAIN)
				client->is_over = true;
			return;
		}
		for (done = 0; done < (size_t)n && !client->is_over;)
			done += client->is_data
			            ? take_data(client, input + done,
					  (size_t)n - done)
			            : take_line(client, input + done,
					  (size_t)n - done);
	}
}

static int
listen_on(const char *ip, const char *port)
{
	struct sockaddr_in name = {.sin_family = AF_INET};
	int fd, on = 1;

	name.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	if (inet_pton(AF_INET, ip, &name.sin_addr) != 1)
		errx(1, "%s: not an address", ip);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (fd == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    bind(fd, (struct sockaddr *)&name, sizeof(name)) == -1 ||
	    listen(fd, 4096) == -1)
		err(1, "%s:%s", ip, port);
	return fd;
}

static void
take_clients(int listener, int poll)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct client *client;
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) != -1) {
		if ((client = calloc(1, sizeof(*client))) == NULL)
			err(1, NULL);
		client->fd = fd;
		event.data.ptr = client;
		if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) == -1)
			err(1, "epoll_ctl");
		say(client, "220 sink\r\n");
	}
}

int
main(int argc, char **argv)
{
	struct epoll_event event = {.events = EPOLLIN}, events[64];
	struct client *client;
	int listener, poll, n, i;

	if (argc != 5)
		errx(2, "usage: sink address port chain key");
	signal(SIGPIPE, SIG_IGN);
	context = SSL_CTX_new(TLS_method());
	if (context == NULL ||
	    SSL_CTX_use_certificate_chain_file(context, argv[3]) != 1 ||
	    SSL_CTX_use_PrivateKey_file(context, argv[4], SSL_FILETYPE_PEM) !=
		1)
		errx(1, "cannot load %s and %s", argv[3], argv[4]);
	listener = listen_on(argv[1], argv[2]);
	if ((poll = epoll_create1(0)) == -1 ||
	    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event) == -1)
		err(1, "epoll");
	printf("ready, BoringSSL API %d\n", BORINGSSL_API_VERSION);
	fflush(stdout);
	while ((n = epoll_wait(poll, events, 64, -1)) != -1 || errno == EINTR)
		for (i = 0; i < n; i++) {
			if ((client = events[i].data.ptr) == NULL) {
				take_clients(listener, poll);
				continue;
			}
			serve(client);
			if (client->is_over) {
				SSL_free(client->ssl);
				close(client->fd);
				free(client);
			}
		}
	err(1, "epoll_wait");
}
