/* SPDX-License-Identifier: ISC */
/*
 * sts_fetch TRUST ANCHOR RESOLVER PORT TIMEOUT DOMAIN...: fetches the MTA-STS
 * policy files of these domains, all at once, from inside the jail of
 * postern-policy, and writes a line for each: domain, result word, whether the
 * fault is here, how many bytes, and why.
 */

#include <sys/prctl.h>

#include <event2/event.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/sandbox.h"
#include "proxy/config.h"
#include "proxy/policy/dns.h"
#include "proxy/policy/sts_fetch.h"

#define NOBODY    65534
#define TRUST_MAX (1 << 20)

static struct event_base *base;
static int left; /* fetches without a result */

static void
on_done(void *arg, const struct sts_fetched *fetched)
{
	printf("%s %s %d %zu %s\n", (const char *)arg,
	    result_word_text(fetched->word), fetched->is_local, fetched->len,
	    fetched->why);
	fflush(stdout);
	if (--left == 0)
		event_base_loopbreak(base);
}

static void
die(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(EXIT_FAILURE);
}

static void
read_trust(struct config_trust *trust, char *path)
{
	ssize_t n;
	int fd;

	trust->path = path;
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1 ||
	    (trust->pem = malloc(TRUST_MAX)) == NULL ||
	    (n = read(fd, trust->pem, TRUST_MAX)) == -1)
		die(path);
	trust->len = (size_t)n;
	close(fd);
}

/* As `postern run` starts it: no user, no dumps; then the jail. */
static void
lock_in(void)
{
	static const char *const no_paths[] = {NULL};
	const char *why;

	if (setgroups(0, NULL) == -1 || setgid(NOBODY) == -1 ||
	    setuid(NOBODY) == -1)
		die("setuid");
#ifndef POSTERN_SANITIZE
	if (prctl(PR_SET_DUMPABLE, 0) == -1)
		die("PR_SET_DUMPABLE");
#endif
	if (sandbox_enter(SANDBOX_POLICY, no_paths, &why) == -1)
		die(why);
}

int
main(int argc, char *argv[])
{
	char error[STS_ERROR_MAX];
	struct config config = {.trust_count = 1};
	struct config_trust trust;
	struct address forward;
	struct dns_settings settings = {
	    .forward = &forward, .forward_count = 1, .timeout = 5};
	struct sts_fetcher *fetcher;
	struct dns *dns;

	if (argc < 7 || address_from_text(&forward, argv[3]) == -1)
		die("usage");
	read_trust(&trust, argv[1]);
	config.trusts = &trust;
	settings.trust_anchor = argv[2];
	forward.port = (uint16_t)strtoul(argv[4], NULL, 10);
	config.mta_sts.timeout = (uint32_t)strtoul(argv[5], NULL, 10);
	base = event_base_new();
	if ((dns = dns_new(base, &settings, error)) == NULL ||
	    (fetcher = sts_fetcher_new(base, dns, &config, error)) == NULL)
		die(error);
	lock_in();
	for (argv += 6; *argv != NULL; argv++, left++)
		if (sts_fetch(fetcher, *argv, on_done, *argv) == -1)
			die("sts_fetch");
	event_base_dispatch(base);
	sts_fetcher_free(fetcher);
	dns_free(dns);
	event_base_free(base);
	free(trust.pem);
	return EXIT_SUCCESS;
}
