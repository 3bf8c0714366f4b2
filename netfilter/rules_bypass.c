/* SPDX-License-Identifier: ISC */
/*
 * Flowtables and rules of all tables, looked through for what forwards packets
 * before, or instead of, the hooks that other rules stand in.
 */

#include "netfilter/rules_bypass.h"

#include <arpa/inet.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "netfilter/rules_netlink.h"

#define NAME_TEXT_MAX 768 /* a family, and two names of 255 characters */

struct passing {
	rules_bypass each;
	void *arg; /* borrowed */
	char last[NAME_TEXT_MAX]; /* that was told */
};

static const char *
family_text(const struct nlmsghdr *nlh)
{
	const struct nfgenmsg *generic = mnl_nlmsg_get_payload(nlh);

	switch (generic->nfgen_family) {
	case NFPROTO_INET:
		return "inet";
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_IPV6:
		return "ip6";
	case NFPROTO_NETDEV:
		return "netdev";
	default:
		return "?";
	}
}

static void
tell(struct passing *passing, const struct nlmsghdr *nlh, const char *kind,
    const char *table, const char *name)
{
	char text[NAME_TEXT_MAX];

	snprintf(text, sizeof(text), "%s %s %s", family_text(nlh), table, name);
	if (strcmp(text, passing->last) == 0)
		return;
	strlcpy(passing->last, text, sizeof(passing->last));
	passing->each(passing->arg, kind, text);
}

static int
on_flowtable(const struct nlmsghdr *nlh, void *arg)
{
	tell(arg, nlh, "flowtable",
	    rules_netlink_name(nlh, NFTA_FLOWTABLE_TABLE),
	    rules_netlink_name(nlh, NFTA_FLOWTABLE_NAME));
	return MNL_CB_OK;
}

static bool
has_fwd(const struct nlattr *expressions)
{
	const struct nlattr *expression, *attr;

	mnl_attr_for_each_nested(expression, expressions)
	{
		mnl_attr_for_each_nested(attr, expression)
		{
			if (mnl_attr_get_type(attr) == NFTA_EXPR_NAME &&
			    strcmp(rules_netlink_text(attr), "fwd") == 0)
				return true;
		}
	}
	return false;
}

static int
on_netdev_rule(const struct nlmsghdr *nlh, void *arg)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) == NFTA_RULE_EXPRESSIONS &&
		    has_fwd(attr))
			tell(arg, nlh, "fwd",
			    rules_netlink_name(nlh, NFTA_RULE_TABLE),
			    rules_netlink_name(nlh, NFTA_RULE_CHAIN));
	}
	return MNL_CB_OK;
}

int
rules_bypass_each(rules_bypass each, void *arg)
{
	_Alignas(struct nlmsghdr) char buf[RULES_NETLINK_REQUEST];
	struct passing passing = {.each = each, .arg = arg};
	struct rules_netlink link;
	int ret;

	if ((ret = rules_netlink_open(&link)) == 0)
		ret = rules_netlink_ask(&link,
		    rules_netlink_compose(
			buf, NFT_MSG_GETFLOWTABLE, NLM_F_DUMP, NFPROTO_UNSPEC),
		    on_flowtable, &passing);
	if (ret == 0)
		ret = rules_netlink_ask(&link,
		    rules_netlink_compose(
			buf, NFT_MSG_GETRULE, NLM_F_DUMP, NFPROTO_NETDEV),
		    on_netdev_rule, &passing);
	rules_netlink_close(&link);
	return ret;
}
