/* SPDX-License-Identifier: ISC */
/*
 * From settings to what is started.  Privilege is worked out here and nowhere
 * else: who the children run as, that a relay keeps CAP_NET_RAW only where it
 * needs it, to leave from the client's address or to mark its connections, and
 * that the gate keeps CAP_NET_ADMIN, without which the kernel hears no verdict.
 */

#include "proxy/plan.h"

#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/base/sandbox.h"

/* Descriptors of a relay beside two a session: channels, listeners, spare. */
#define FILES_SPARE 64
/* The gate's: a jail knows its netlink sockets by their high numbers. */
#define FILES_GATE (SANDBOX_NETLINK_FD + FILES_SPARE)

/* The programs lie beside this one (a build folder), or where installed. */
static char *
find_program(const char *name, char error[PLAN_ERROR_MAX])
{
	char self[PATH_MAX], *path = NULL, *slash;
	ssize_t len;

	if ((len = readlink("/proc/self/exe", self, sizeof(self) - 1)) == -1)
		len = 0;
	self[len] = '\0';
	if ((slash = strrchr(self, '/')) != NULL) {
		*slash = '\0';
		if (asprintf(&path, "%s/%s", self, name) == -1)
			fatal("path");
		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	if (asprintf(&path, "%s/%s", POSTERN_LIBEXECDIR, name) == -1)
		fatal("path");
	if (access(path, X_OK) == 0)
		return path;
	snprintf(error, PLAN_ERROR_MAX, "%s is neither in %.200s nor in %.200s",
	    name, self, POSTERN_LIBEXECDIR);
	free(path);
	return NULL;
}

/*
 * The rules of a sidecar are made by another step, before: they name a user
 * id, and to be another one is to meet oneself.
 */
static void
warn_of_another_user(const struct config *config)
{
	const struct passwd *user;

	if (config->mode != CONFIG_LOCAL ||
	    (user = getpwnam(config->user)) == NULL ||
	    user->pw_uid == geteuid())
		return;
	log_warnx(
	    "rules made by `postern rules apply` let pass the user \"%s\", "
	    "id %u, and this is id %u: its own connections are led back "
	    "to it, and mail is refused; run it as %u, or set user",
	    config->user, (unsigned int)user->pw_uid, (unsigned int)geteuid(),
	    (unsigned int)user->pw_uid);
}

static int
set_user(
    struct plan *plan, const struct config *config, char error[PLAN_ERROR_MAX])
{
	const struct passwd *user;

	if (geteuid() != 0) {
		log_info("not root: all of postern runs as user id %u",
		    (unsigned int)geteuid());
		warn_of_another_user(config);
		return 0;
	}
	if ((user = getpwnam(config->user)) == NULL) {
		snprintf(error, PLAN_ERROR_MAX,
		    "there is no user \"%s\"; create it with: useradd "
		    "--system --user-group --no-create-home "
		    "--home-dir /nonexistent --shell /usr/sbin/nologin %s",
		    config->user, config->user);
		return -1;
	}
	plan->relay.changes_user = true;
	plan->relay.uid = user->pw_uid;
	plan->relay.gid = user->pw_gid;
	return 0;
}

static int
set_net_raw(
    struct plan *plan, const struct config *config, char error[PLAN_ERROR_MAX])
{
	const char *why;

	if (config->mode != CONFIG_LOCAL)
		why = config->keep_source_address ? "keep_source_address"
		                                  : NULL;
	else
		why = config->own_connections == CONFIG_OWN_MARK
		          ? "own_connections = mark"
		          : NULL;
	if (why != NULL && !spawn_has_capability(CAP_NET_RAW)) {
		snprintf(error, PLAN_ERROR_MAX,
		    "%s needs CAP_NET_RAW: start postern as root, or with "
		    "that capability, or change the setting",
		    why);
		return -1;
	}
	if (why != NULL)
		plan->relay.keeps = UINT64_C(1) << CAP_NET_RAW;
	return 0;
}

/* As the relays, but for what it keeps. */
static int
set_gate(
    struct plan *plan, const struct config *config, char error[PLAN_ERROR_MAX])
{
	if (config->gate.admission != CONFIG_GATE_ON)
		return 0;
	if (!spawn_has_capability(CAP_NET_ADMIN)) {
		strlcpy(error,
		    "gate.admission = on needs CAP_NET_ADMIN: start postern "
		    "as root, or with that capability, or set it to off",
		    PLAN_ERROR_MAX);
		return -1;
	}
	plan->gate = plan->policy;
	plan->gate.path = find_program("postern-gate", error);
	plan->gate.keeps = UINT64_C(1) << CAP_NET_ADMIN;
	plan->gate.files = FILES_GATE;
	return plan->gate.path == NULL ? -1 : 0;
}

/* One relay for each CPU that this process may run on. */
static size_t
count_relays(const struct config *config)
{
	cpu_set_t set;
	size_t count = config->workers;

	if (count == 0)
		count = sched_getaffinity(0, sizeof(set), &set) == 0
		            ? (size_t)CPU_COUNT(&set)
		            : 1;
	return count > CONFIG_WORKERS_MAX ? CONFIG_WORKERS_MAX : count;
}

unsigned int
plan_relay_files(const struct config *config)
{
	return config->limits.sessions * 2 + FILES_SPARE;
}

int
plan_make(struct plan *plan, const struct config *config, bool without_rules,
    char error[PLAN_ERROR_MAX])
{
	memset(plan, 0, sizeof(*plan));
	plan->relay_count = count_relays(config);
	plan->relay.files = plan_relay_files(config);
	if ((plan->relay.path = find_program("postern-relay", error)) == NULL ||
	    (plan->policy.path = find_program("postern-policy", error)) ==
		NULL ||
	    set_user(plan, config, error) == -1 ||
	    set_net_raw(plan, config, error) == -1) {
		plan_clear(plan);
		return -1;
	}
	plan->policy.changes_user = plan->relay.changes_user;
	plan->policy.uid = plan->relay.uid;
	plan->policy.gid = plan->relay.gid;
	if (set_gate(plan, config, error) == -1) {
		plan_clear(plan);
		return -1;
	}
	plan->manages_rules = config->manage_rules && !without_rules;
	if (plan->manages_rules && geteuid() != 0) {
		log_warnx("not root: the rules are not managed here; nothing "
			  "is refused or led to postern unless rules made "
			  "elsewhere do it");
		plan->manages_rules = false;
	}
	return 0;
}

int
plan_policy(struct spawn *policy, const struct config *config,
    char error[PLAN_ERROR_MAX])
{
	const struct passwd *user;

	memset(policy, 0, sizeof(*policy));
	if (geteuid() == 0) {
		if ((user = getpwnam(config->user)) == NULL &&
		    (user = getpwnam("nobody")) == NULL) {
			snprintf(error, PLAN_ERROR_MAX,
			    "there is neither a user \"%s\" nor \"nobody\": "
			    "run this as a user that is not root",
			    config->user);
			return -1;
		}
		policy->changes_user = true;
		policy->uid = user->pw_uid;
		policy->gid = user->pw_gid;
	}
	policy->path = find_program("postern-policy", error);
	return policy->path == NULL ? -1 : 0;
}

void
plan_clear(struct plan *plan)
{
	free(plan->relay.path);
	free(plan->policy.path);
	free(plan->gate.path);
	plan->relay.path = plan->policy.path = plan->gate.path = NULL;
}

static void
note_fixed(const char *key, bool is_same)
{
	if (!is_same)
		log_warnx("%s changes only with a restart: the old value "
			  "stays",
		    key);
}

/* NULL is a text of its own. */
static bool
is_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void
set_text(char **to, const char *from)
{
	char *copy = NULL;

	if (from != NULL && (copy = strdup(from)) == NULL)
		fatal("configuration");
	free(*to);
	*to = copy;
}

#define KEEP(field)                                                            \
	do {                                                                   \
		note_fixed(#field, now->field == next->field);                 \
		next->field = now->field;                                      \
	} while (0)

void
plan_keep_fixed(const struct config *now, struct config *next)
{
	KEEP(mode);
	KEEP(listen_port);
	/* Sockets bear the mark that leads out by it. */
	note_fixed("bridge", is_same(now->bridge, next->bridge));
	set_text(&next->bridge, now->bridge);
	KEEP(workers);
	KEEP(manage_rules);
	/* The gate's sockets are open, and its jail lets it open no others. */
	KEEP(gate.admission);
	KEEP(gate.watch_dns);
	KEEP(gate.queue);
	KEEP(gate.queues);
	/* Connections in flight carry the old ones, and would be refused. */
	KEEP(own_connections);
	KEEP(mark);
	KEEP(route_table);
	KEEP(route_priority);
	/* The relays' capabilities were measured by it. */
	KEEP(keep_source_address);
	note_fixed("user", is_same(now->user, next->user));
	set_text(&next->user, now->user);
}
