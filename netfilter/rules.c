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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netfilter/bridge.h"
#include "netfilter/nft.h"
#include "netfilter/route.h"
#include "netfilter/rules_bridge.h"
#include "netfilter/rules_queue.h"
#include "netfilter/rules_text.h"

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
	if (config->mode == CONFIG_LOCAL ||
	    config->gate.admission == CONFIG_GATE_OFF)
		return RULES_QUEUE_NONE;
	queue = rules_queue_find();
	if (queue == RULES_QUEUE_NONE)
		rules_fail(error,
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
			rules_fail(text, "%s",
			    config->mode != CONFIG_LOCAL
				? "gate.admission = off"
				: "none in local mode");
		return false;
	}
	rules_fail(text, "%s, queues %" PRIu32 "-%" PRIu32 "%s",
	    queue == RULES_QUEUE_NFT ? "nft's queue"
				     : "the xtables target NFQUEUE",
	    first, last,
	    !config->gate.watch_dns || rules_log_find()
		? ""
		: "; DNS answers are not watched, since this kernel has no "
		  "nft_log");
	return true;
}

/* This host, looked at: what rules_host borrows is here. */
struct here {
	struct rules_host host;
	struct bridge bridge;
	char note[RULES_ERROR_MAX]; /* what this host goes without, or "" */
	bool is_waiting; /* for its bridge */
};

static int
look_at_user(
    const struct config *config, struct here *here, char error[RULES_ERROR_MAX])
{
	const struct passwd *user;

	errno = 0;
	if ((user = getpwnam(config->user)) == NULL)
		return rules_fail(error, "user %s: %s", config->user,
		    errno == 0 ? "no such user" : strerror(errno));
	here->host.uid = user->pw_uid;
	return 0;
}

static int
look_at_bridge(
    const struct config *config, struct here *here, char error[RULES_ERROR_MAX])
{
	char why[BRIDGE_ERROR_MAX];

	if (bridge_trouble() != NULL)
		return rules_fail(error, "%s", bridge_trouble());
	if (bridge_look(
		config->bridge, &here->bridge, &here->is_waiting, why) == 0)
		here->host.bridge = &here->bridge;
	else if (here->is_waiting)
		rules_fail(here->note, "%s", why);
	else
		return rules_fail(error, "%s", why);
	return 0;
}

static int
look_at_gate(
    const struct config *config, struct here *here, char error[RULES_ERROR_MAX])
{
	struct rules_host *host = &here->host;
	char why[RULES_ERROR_MAX];

	host->queue = queue_here(config, why);
	if (host->queue == RULES_QUEUE_NONE &&
	    config->gate.admission == CONFIG_GATE_ON)
		return rules_fail(error, "%s", why);
	if (why[0] != '\0')
		rules_fail(here->note,
		    "%s: nobody looks at new connections before they are "
		    "seized, and no DNS answer is watched",
		    why);
	host->has_log = host->queue != RULES_QUEUE_NONE &&
	                config->gate.watch_dns && rules_log_find();
	return 0;
}

static int
look(
    const struct config *config, struct here *here, char error[RULES_ERROR_MAX])
{
	*here = (struct here){.host.own = rules_own(config)};
	if (config->mode == CONFIG_LOCAL)
		return look_at_user(config, here, error);
	if (look_at_gate(config, here, error) == -1)
		return -1;
	return config->mode == CONFIG_BRIDGE
	           ? look_at_bridge(config, here, error)
	           : 0;
}

char *
rules_text_here(const struct config *config, char error[RULES_ERROR_MAX])
{
	struct here here;
	char *text = NULL;

	if (look(config, &here, error) == 0)
		text = rules_text(config, &here.host, error);
	bridge_clear(&here.bridge);
	return text;
}

/* 1: the bridge is there, but down, and the kernel takes no route by it. */
static int
apply_routing(const struct config *config, char error[RULES_ERROR_MAX])
{
	const struct route_settings settings = {
	    .mark = config->mark,
	    .table = config->route_table,
	    .priority = config->route_priority,
	    .bridge = config->mode == CONFIG_BRIDGE ? config->bridge : NULL,
	};
	const char *absent = NULL, *what;
	int r;

	if (config->mode != CONFIG_LOCAL)
		r = route_apply(&settings, &absent, &what);
	else
		r = route_remove(&what);
	if (r == -1 && errno == ENETDOWN && config->mode == CONFIG_BRIDGE) {
		rules_fail(error,
		    "the bridge %s is down: what its ports carry to and from "
		    "the mail ports is refused until it is up",
		    config->bridge);
		return 1;
	}
	if (r == -1)
		return rules_fail(error,
		    "%s: %s; the rules are in place: what they cover is "
		    "refused",
		    what,
		    errno == EEXIST ? "another has it (see route_table)"
				    : strerror(errno));
	if (absent != NULL)
		rules_fail(
		    error, "%s is switched off here, and refused", absent);
	return 0;
}

/* Kernels may do without nft's bridge family: then there is nothing to do. */
static int
remove_bridge_table(char error[RULES_ERROR_MAX])
{
	char none[RULES_ERROR_MAX];

	if (nft_run("list table bridge postern\n", none) == -1)
		return 0;
	return nft_run(RULES_CLEAR_BRIDGE, error);
}

/*
 * The tables first: with them alone, all is refused.  Of a table whose queue
 * is yet to come, new connections are dropped, and their senders try again.
 */
static int
apply_here(const struct config *config, const struct here *here,
    char error[RULES_ERROR_MAX])
{
	char *text;
	int ret = -1;

	if ((text = rules_text(config, &here->host, error)) == NULL)
		return -1;
	if (nft_run(text, error) == -1 ||
	    (here->host.queue == RULES_QUEUE_XT &&
		rules_queue_insert(config, error) == -1))
		goto out;
	if (here->is_waiting)
		ret = 1;
	else if ((ret = apply_routing(config, error)) == 0 &&
		 config->mode != CONFIG_BRIDGE)
		ret = remove_bridge_table(error);
out:
	free(text);
	return ret;
}

int
rules_apply(const struct config *config, char error[RULES_ERROR_MAX])
{
	struct here here;
	int ret = -1;

	error[0] = '\0';
	if (look(config, &here, error) == 0)
		ret = apply_here(config, &here, error);
	/* What is missing is told where nothing graver is. */
	if (ret != -1 && error[0] == '\0')
		strlcpy(error, here.note, RULES_ERROR_MAX);
	bridge_clear(&here.bridge);
	return ret;
}

int
rules_apply_without_gate(
    const struct config *config, char error[RULES_ERROR_MAX])
{
	struct here here;
	int ret = -1;

	error[0] = '\0';
	if (look(config, &here, error) == 0) {
		here.host.queue = RULES_QUEUE_NONE;
		here.host.has_log = false;
		ret = apply_here(config, &here, error);
	}
	bridge_clear(&here.bridge);
	return ret == -1 ? -1 : 0;
}

/*
 * By a transaction of its own, since a kernel may do without the family; what
 * crosses a bridge can be no mail then but by br_netfilter, and meets the
 * other table.
 */
static int
close_bridge(const struct config *config, char error[RULES_ERROR_MAX])
{
	char *text;
	int ret;

	if ((text = rules_text_closed_bridge(config)) == NULL)
		return rules_fail(error, "%s", strerror(errno));
	ret = nft_run(text, error);
	free(text);
	return ret;
}

int
rules_close(const struct config *config, bool forwarded, bool own,
    char error[RULES_ERROR_MAX])
{
	char *text, why[RULES_ERROR_MAX];
	int ret;

	if (nft_run("list table inet postern\n", error) == 0)
		return 0; /* whatever it is, it is closed */
	if (forwarded && close_bridge(config, why) == -1 &&
	    config->mode == CONFIG_BRIDGE) {
		strlcpy(error, why, RULES_ERROR_MAX);
		return -1;
	}
	if ((text = rules_text_closed(config, forwarded, own)) == NULL)
		return rules_fail(error, "%s", strerror(errno));
	ret = nft_run(text, error);
	free(text);
	return ret;
}

/* The tables last: without the routing, all is refused. */
int
rules_remove(char error[RULES_ERROR_MAX])
{
	const char *what;

	error[0] = '\0';
	if (!nft_has_capability(CAP_NET_ADMIN))
		return rules_fail(error, "needs CAP_NET_ADMIN: run it as root");
	if (route_remove(&what) == -1)
		return rules_fail(error, "%s: %s; the rules stay in place",
		    what, strerror(errno));
	if (remove_bridge_table(error) == -1)
		return -1;
	return nft_run(RULES_CLEAR, error);
}
