/* SPDX-License-Identifier: ISC */
/*
 * The one rule that nft's language cannot say, written as a netlink message.
 * It stands in the same table as the others, so that whatever replaces or
 * removes the table takes it along.
 */

#include "netfilter/rules_queue.h"

#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <libnftnl/batch.h>
#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/table.h>
#include <linux/capability.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/xt_NFQUEUE.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netfilter/nft.h"

#define BATCH_MAX    8192
#define XT_REVISION  3 /* struct xt_NFQ_info_v3 */
#define TEST_TABLE   "postern_asks" /* never committed */
#define TARGET_TABLE "postern"
#define TARGET_CHAIN "ask"

struct batch {
	uint8_t data[2 * BATCH_MAX]; /* libmnl wants room for one more */
	struct mnl_nlmsg_batch *batch;
	uint32_t sequence;
};

static struct nlmsghdr *
batch_put(struct batch *b, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *message;

	message = nftnl_nlmsg_build_hdr(mnl_nlmsg_batch_current(b->batch), type,
	    NFPROTO_INET, (uint16_t)(flags | NLM_F_ACK), b->sequence++);
	return message;
}

/* No flag of it lets a packet pass where nobody listens. */
static struct nftnl_rule *
make_rule(const char *table, uint16_t first, uint16_t count)
{
	struct xt_NFQ_info_v3 *info;
	struct nftnl_rule *rule = nftnl_rule_alloc();
	struct nftnl_expr *target = nftnl_expr_alloc("target");

	if (rule == NULL || target == NULL ||
	    (info = calloc(1, sizeof(*info))) == NULL) {
		if (target != NULL)
			nftnl_expr_free(target);
		if (rule != NULL)
			nftnl_rule_free(rule);
		return NULL;
	}
	/* NOLINTBEGIN(clang-analyzer-unix.Malloc): the target has info */
	info->queuenum = first;
	info->queues_total = count;
	nftnl_expr_set_str(target, NFTNL_EXPR_TG_NAME, "NFQUEUE");
	nftnl_expr_set_u32(target, NFTNL_EXPR_TG_REV, XT_REVISION);
	nftnl_expr_set(target, NFTNL_EXPR_TG_INFO, info, sizeof(*info));
	nftnl_rule_set_str(rule, NFTNL_RULE_TABLE, table);
	nftnl_rule_set_str(rule, NFTNL_RULE_CHAIN, TARGET_CHAIN);
	nftnl_rule_set_u32(rule, NFTNL_RULE_FAMILY, NFPROTO_INET);
	nftnl_rule_add_expr(rule, target); /* which is the rule's */
	return rule;
}
/* NOLINTEND(clang-analyzer-unix.Malloc) */

static int
put_rule(struct batch *b, const char *table, uint16_t first, uint16_t count)
{
	struct nftnl_rule *rule;

	if ((rule = make_rule(table, first, count)) == NULL)
		return -1;
	/* Without NLM_F_APPEND it becomes the chain's first. */
	nftnl_rule_nlmsg_build_payload(
	    batch_put(b, NFT_MSG_NEWRULE, NLM_F_CREATE), rule);
	nftnl_rule_free(rule);
	return mnl_nlmsg_batch_next(b->batch) ? 0 : -1;
}

/* A table and a chain for a rule that is only asked about. */
static int
put_test_chain(struct batch *b)
{
	struct nftnl_table *table = nftnl_table_alloc();
	struct nftnl_chain *chain = nftnl_chain_alloc();
	int ret = -1;

	if (table == NULL || chain == NULL)
		goto out;
	nftnl_table_set_str(table, NFTNL_TABLE_NAME, TEST_TABLE);
	nftnl_table_nlmsg_build_payload(
	    batch_put(b, NFT_MSG_NEWTABLE, NLM_F_CREATE), table);
	mnl_nlmsg_batch_next(b->batch);
	nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, TEST_TABLE);
	nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, TARGET_CHAIN);
	nftnl_chain_nlmsg_build_payload(
	    batch_put(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE), chain);
	mnl_nlmsg_batch_next(b->batch);
	ret = 0;
out:
	if (chain != NULL)
		nftnl_chain_free(chain);
	if (table != NULL)
		nftnl_table_free(table);
	return ret;
}

/*
 * Every message of a batch is answered, or the batch by one error; the first
 * error is the outcome.  The answers are there when the batch has been sent:
 * one that is not never comes, and is not waited for.
 */
static int
read_answers(struct mnl_socket *socket, uint32_t count)
{
	uint8_t data[BATCH_MAX];
	ssize_t n;
	int ret = 0;

	while (count > 0) {
		if ((n = mnl_socket_recvfrom(socket, data, sizeof(data))) <= 0)
			return -1;
		count--;
		if (ret == 0 &&
		    mnl_cb_run(data, (size_t)n, 0,
			mnl_socket_get_portid(socket), NULL, NULL) == -1)
			return -1; /* others may follow, and are not needed */
	}
	return ret;
}

/* answers: how many messages of the batch the kernel will answer. */
static int
batch_send(struct batch *b, uint32_t answers)
{
	struct mnl_socket *socket;
	int saved, ret = -1;

	socket = mnl_socket_open2(
	    NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (socket == NULL)
		return -1;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0 &&
	    mnl_socket_sendto(socket, mnl_nlmsg_batch_head(b->batch),
		mnl_nlmsg_batch_size(b->batch)) != -1)
		ret = read_answers(socket, answers);
	saved = errno;
	mnl_socket_close(socket);
	errno = saved;
	return ret;
}

static int
batch_begin(struct batch *b)
{
	b->sequence = 1;
	if ((b->batch = mnl_nlmsg_batch_start(b->data, BATCH_MAX)) == NULL)
		return -1;
	nftnl_batch_begin(mnl_nlmsg_batch_current(b->batch), b->sequence++);
	mnl_nlmsg_batch_next(b->batch);
	return 0;
}

/* A batch without an end is looked at by the kernel, and then forgotten. */
static bool
has_target(void)
{
	struct batch b;
	int ret = -1;

	if (batch_begin(&b) == -1)
		return false;
	if (put_test_chain(&b) == 0 && put_rule(&b, TEST_TABLE, 0, 1) == 0)
		ret = batch_send(&b, 3);
	mnl_nlmsg_batch_stop(b.batch);
	return ret == 0;
}

static bool
takes(const char *statement)
{
	char error[NFT_ERROR_MAX], text[256];

	snprintf(text, sizeof(text),
	    "add table inet " TEST_TABLE "\n"
	    "add chain inet " TEST_TABLE " ask\n"
	    "add rule inet " TEST_TABLE " ask %s\n",
	    statement);
	return nft_check(text, error) == 0;
}

enum rules_queue
rules_queue_find(void)
{
	if (!nft_has_capability(CAP_NET_ADMIN) || takes("queue num 0"))
		return RULES_QUEUE_NFT;
	return has_target() ? RULES_QUEUE_XT : RULES_QUEUE_NONE;
}

bool
rules_log_find(void)
{
	return !nft_has_capability(CAP_NET_ADMIN) || takes("log group 0");
}

int
rules_queue_insert(const struct config *config, char error[RULES_ERROR_MAX])
{
	struct batch b;
	int ret = -1;

	if (batch_begin(&b) == -1) {
		strlcpy(error, strerror(errno), RULES_ERROR_MAX);
		return -1;
	}
	if (put_rule(&b, TARGET_TABLE, (uint16_t)config->gate.queue,
		(uint16_t)config->gate.queues) == 0) {
		nftnl_batch_end(mnl_nlmsg_batch_current(b.batch), b.sequence++);
		mnl_nlmsg_batch_next(b.batch);
		ret = batch_send(&b, 1);
	}
	if (ret == -1)
		snprintf(error, RULES_ERROR_MAX,
		    "the target NFQUEUE: %s; the rules are in place: what "
		    "they cover is dropped",
		    strerror(errno));
	mnl_nlmsg_batch_stop(b.batch);
	return ret;
}
