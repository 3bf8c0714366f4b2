/* SPDX-License-Identifier: ISC */
/*
 * The table's life: it is handed to libnftables as one transaction that
 * replaces it whole.  This module knows the order in which table, queue and
 * routing may come and go; the text is rules_text.c's, the routing itself
 * route.c's.  It keeps no state: what is in place is in the kernel.
 */

#include "netfilter/rules.h"

#include <linux/capability.h>

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netfilter/nft.h"
#include "netfilter/route.h"
#include "netfilter/rules_queue.h"
#include "netfilter/rules_text.h"

static int set_error(char error[RULES_ERROR_MAX], const char *, ...)
    __attribute__((format(printf, 2, 3)));

static int
set_error(char error[RULES_ERROR_MAX], const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(error, RULES_ERROR_MAX, format, ap);
	va_end(ap);
	return -1;
}

enum config_own
rules_own(const struct config *config)
{
	if (config->own_connections != CONFIG_OWN_AUTO)
		return config->own_connections;
	return nft_has_capability(CAP_NET_RAW) ? CONFIG_OWN_MARK
	                                       : CONFIG_OWN_UID;
}

static enum rules_queue
queue_here(const struct config *config, char error[RULES_ERROR_MAX])
{
	enum rules_queue queue;

	error[0] = '\0';
	if (config->mode != CONFIG_GATEWAY ||
	    config->gate.admission == CONFIG_GATE_OFF)
		return RULES_QUEUE_NONE;
	queue = rules_queue_find();
	if (queue == RULES_QUEUE_NONE)
		set_error(error,
		    "this kernel has no queue for packets (nft_queue, or "
		    "xt_NFQUEUE with nft_compat)");
	return queue;
}

bool
rules_have_gate(const struct config *config, char text[RULES_ERROR_MAX])
{
	const uint32_t first = config->gate.queue;
	const uint32_t last = first + config->gate.queues - 1;
	const enum rules_queue queue = queue_here(config, text);

	if (queue == RULES_QUEUE_NONE) {
		if (text[0] == '\0')
			set_error(text, "%s",
			    config->mode == CONFIG_GATEWAY
				? "gate.admission = off"
				: "none in local mode");
		return false;
	}
	set_error(text, "%s, queues %" PRIu32 "-%" PRIu32 "%s",
	    queue == RULES_QUEUE_NFT ? "nft's queue"
				     : "the xtables target NFQUEUE",
	    first, last,
	    !config->gate.watch_dns || rules_log_find()
		? ""
		: "; DNS answers are not watched, since this kernel has no "
		  "nft_log");
	return true;
}

static int
look_at_host(const struct config *config, struct rules_host *host,
    char error[RULES_ERROR_MAX])
{
	const struct passwd *user;

	*host = (struct rules_host){.own = rules_own(config)};
	host->queue = queue_here(config, error);
	if (host->queue == RULES_QUEUE_NONE &&
	    config->gate.admission == CONFIG_GATE_ON &&
	    config->mode == CONFIG_GATEWAY)
		return -1;
	host->has_log = host->queue != RULES_QUEUE_NONE &&
	                config->gate.watch_dns && rules_log_find();
	if (config->mode != CONFIG_LOCAL)
		return 0;
	errno = 0;
	if ((user = getpwnam(config->user)) == NULL)
		return set_error(error, "user %s: %s", config->user,
		    errno == 0 ? "no such user" : strerror(errno));
	host->uid = user->pw_uid;
	return 0;
}

char *
rules_text_here(const struct config *config, char error[RULES_ERROR_MAX])
{
	struct rules_host host;

	if (look_at_host(config, &host, error) == -1)
		return NULL;
	return rules_text(config, &host, error);
}

static int
apply_routing(const struct config *config, char error[RULES_ERROR_MAX])
{
	const char *absent = NULL, *what;
	int r;

	if (config->mode == CONFIG_GATEWAY)
		r = route_apply(config->mark, config->route_table,
		    config->route_priority, &absent, &what);
	else
		r = route_remove(&what);
	if (r == -1)
		return set_error(error,
		    "%s: %s; the rules are in place: what they cover is "
		    "refused",
		    what,
		    errno == EEXIST ? "another has it (see route_table)"
				    : strerror(errno));
	if (absent != NULL)
		set_error(
		    error, "%s is switched off here, and refused", absent);
	return 0;
}

/*
 * The table first: with it alone, all is refused.  Of a table whose queue is
 * yet to come, new connections are dropped, and their senders try again.
 */
static int
apply(const struct config *config, const struct rules_host *host,
    char error[RULES_ERROR_MAX])
{
	char *text;
	int ret = -1;

	if ((text = rules_text(config, host, error)) == NULL)
		return -1;
	if (nft_run(text, error) == 0 &&
	    (host->queue != RULES_QUEUE_XT ||
		rules_queue_insert(config, error) == 0))
		ret = apply_routing(config, error);
	free(text);
	return ret;
}

int
rules_apply(const struct config *config, char error[RULES_ERROR_MAX])
{
	char why[RULES_ERROR_MAX];
	struct rules_host host;

	error[0] = '\0';
	if (look_at_host(config, &host, why) == -1) {
		strlcpy(error, why, RULES_ERROR_MAX);
		return -1;
	}
	if (apply(config, &host, error) == -1)
		return -1;
	/* What is missing is told where nothing graver is. */
	if (error[0] == '\0' && why[0] != '\0')
		set_error(error,
		    "%s: nobody looks at new connections before they are "
		    "seized, and no DNS answer is watched",
		    why);
	return 0;
}

int
rules_apply_without_gate(
    const struct config *config, char error[RULES_ERROR_MAX])
{
	struct rules_host host;

	error[0] = '\0';
	if (look_at_host(config, &host, error) == -1)
		return -1;
	error[0] = '\0';
	host.queue = RULES_QUEUE_NONE;
	host.has_log = false;
	return apply(config, &host, error);
}

int
rules_close(const struct config *config, bool forwarded, bool own,
    char error[RULES_ERROR_MAX])
{
	char *text;
	int ret;

	if (nft_run("list table inet postern\n", error) == 0)
		return 0; /* whatever it is, it is closed */
	if ((text = rules_text_closed(config, forwarded, own)) == NULL)
		return set_error(error, "%s", strerror(errno));
	ret = nft_run(text, error);
	free(text);
	return ret;
}

/* The table last: without the routing, all is refused. */
int
rules_remove(char error[RULES_ERROR_MAX])
{
	const char *what;

	error[0] = '\0';
	if (!nft_has_capability(CAP_NET_ADMIN))
		return set_error(error, "needs CAP_NET_ADMIN: run it as root");
	if (route_remove(&what) == -1)
		return set_error(error, "%s: %s; the rules stay in place", what,
		    strerror(errno));
	return nft_run(RULES_CLEAR, error);
}
