/* SPDX-License-Identifier: ISC */
/*
 * Dumps of nfnetlink, each filtered by the kernel where it can.  A dump that
 * was interrupted by a change is made again.
 */

#include "netfilter/rules_dump.h"

#include <arpa/inet.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <libmnl/libmnl.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netfilter/rules_netlink.h"

#define TABLE "postern"
#define TRIES 5 /* of a dump, while others change the rules */

/* Elements of sets that come and go by packets or time are no settings. */
#define SET_LIVES (NFT_SET_EVAL | NFT_SET_TIMEOUT)

struct set {
	char *name; /* owned */
	bool is_anonymous;
	bool lives;
	char *text; /* owned: what it is, and its elements in order */
};

struct chain {
	char *name; /* owned */
	char *text; /* owned */
};

struct dump {
	struct rules_netlink link; /* owned, as is all of it */
	struct set *sets;
	size_t set_count;
	struct chain *chains;
	size_t chain_count;
	char **elements; /* of the set that is being read */
	size_t element_count;
	FILE *out; /* borrowed: the rules of a chain, or the table */
};

static void
free_elements(struct dump *dump)
{
	while (dump->element_count > 0)
		free(dump->elements[--dump->element_count]);
	free(dump->elements);
	dump->elements = NULL;
}

static void
dump_close(struct dump *dump)
{
	int saved = errno;

	rules_netlink_close(&dump->link);
	while (dump->set_count > 0) {
		free(dump->sets[--dump->set_count].name);
		free(dump->sets[dump->set_count].text);
	}
	while (dump->chain_count > 0) {
		free(dump->chains[--dump->chain_count].name);
		free(dump->chains[dump->chain_count].text);
	}
	free_elements(dump);
	free(dump->sets);
	free(dump->chains);
	errno = saved;
}

/* Texts. */

static void
put_bytes(FILE *out, const void *data, size_t len)
{
	const uint8_t *bytes = data;
	size_t i;

	for (i = 0; i < len; i++)
		fprintf(out, "%02x", bytes[i]);
}

static void
put_attribute(FILE *out, const struct nlattr *attr)
{
	fprintf(out, "%u=", mnl_attr_get_type(attr));
	put_bytes(
	    out, mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr));
	fputc(' ', out);
}

/* Those whose type is among wanted, which ends with 0, as text; or NULL. */
static char *
choose(const struct nlattr *first, size_t len, const uint16_t *wanted)
{
	const char *end = (const char *)first + len;
	const struct nlattr *attr;
	char *text = NULL;
	size_t size, i;
	FILE *out;

	if ((out = open_memstream(&text, &size)) == NULL)
		return NULL;
	for (i = 0; wanted[i] != 0; i++)
		for (attr = first;
		     mnl_attr_ok(attr, (int)(end - (const char *)attr));
		     attr = mnl_attr_next(attr)) {
			if (mnl_attr_get_type(attr) == wanted[i])
				put_attribute(out, attr);
		}
	if (fclose(out) == EOF) {
		free(text);
		return NULL;
	}
	return text;
}

static char *
choose_in_message(const struct nlmsghdr *nlh, const uint16_t *wanted)
{
	return choose(
	    mnl_nlmsg_get_payload_offset(nlh, sizeof(struct nfgenmsg)),
	    mnl_nlmsg_get_payload_len(nlh) - sizeof(struct nfgenmsg), wanted);
}

/* Sets. */

static int
on_element(struct dump *dump, const struct nlattr *element)
{
	static const uint16_t wanted[] = {NFTA_SET_ELEM_KEY,
	    NFTA_SET_ELEM_KEY_END, NFTA_SET_ELEM_DATA, NFTA_SET_ELEM_FLAGS, 0};
	char **elements = reallocarray(
	    dump->elements, dump->element_count + 1, sizeof(*dump->elements));
	char *text;

	if (elements == NULL)
		return MNL_CB_ERROR;
	dump->elements = elements;
	text = choose(mnl_attr_get_payload(element),
	    mnl_attr_get_payload_len(element), wanted);
	if (text == NULL)
		return MNL_CB_ERROR;
	elements[dump->element_count++] = text;
	return MNL_CB_OK;
}

static int
on_elements(const struct nlmsghdr *nlh, void *arg)
{
	const struct nlattr *attr, *element;
	int ret = MNL_CB_OK;

	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		mnl_attr_for_each_nested(element, attr)
		{
			if (ret == MNL_CB_OK)
				ret = on_element(arg, element);
		}
	}
	return ret;
}

static int
compare_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The kernel's order of a set's elements is by chance. */
static int
read_elements(struct dump *dump, struct set *set)
{
	_Alignas(struct nlmsghdr) char buf[RULES_NETLINK_REQUEST];
	char *text;
	struct nlmsghdr *nlh;
	size_t size, i;
	FILE *out;

	free_elements(dump);
	nlh = rules_netlink_compose(
	    buf, NFT_MSG_GETSETELEM, NLM_F_DUMP, NFPROTO_INET);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, TABLE);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, set->name);
	if (rules_netlink_ask(&dump->link, nlh, on_elements, dump) == -1 ||
	    (out = open_memstream(&text, &size)) == NULL)
		return -1;
	if (dump->element_count > 0)
		qsort(dump->elements, dump->element_count,
		    sizeof(*dump->elements), compare_text);
	fputs(set->text, out);
	for (i = 0; i < dump->element_count; i++)
		fprintf(out, ", %s", dump->elements[i]);
	if (fclose(out) == EOF)
		return -1;
	free(set->text);
	set->text = text;
	return 0;
}

static uint32_t
flags_of(const struct nlmsghdr *nlh)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) == NFTA_SET_FLAGS &&
		    mnl_attr_validate(attr, MNL_TYPE_U32) != -1)
			return ntohl(mnl_attr_get_u32(attr));
	}
	return 0;
}

static int
on_set(const struct nlmsghdr *nlh, void *arg)
{
	static const uint16_t wanted[] = {NFTA_SET_FLAGS, NFTA_SET_KEY_TYPE,
	    NFTA_SET_KEY_LEN, NFTA_SET_DATA_TYPE, NFTA_SET_DATA_LEN,
	    NFTA_SET_TIMEOUT, 0};
	struct dump *dump = arg;
	struct set *sets = reallocarray(
	    dump->sets, dump->set_count + 1, sizeof(*sets));
	struct set *set;

	if (sets == NULL)
		return MNL_CB_ERROR;
	dump->sets = sets;
	set = &sets[dump->set_count++];
	*set = (struct set){
	    .name = strdup(rules_netlink_name(nlh, NFTA_SET_NAME)),
	    .is_anonymous = (flags_of(nlh) & NFT_SET_ANONYMOUS) != 0,
	    .lives = (flags_of(nlh) & SET_LIVES) != 0,
	    .text = choose_in_message(nlh, wanted),
	};
	return set->name == NULL || set->text == NULL ? MNL_CB_ERROR
	                                              : MNL_CB_OK;
}

static int
read_sets(struct dump *dump)
{
	_Alignas(struct nlmsghdr) char buf[RULES_NETLINK_REQUEST];
	struct nlmsghdr *nlh;
	size_t i;

	nlh = rules_netlink_compose(
	    buf, NFT_MSG_GETSET, NLM_F_DUMP, NFPROTO_INET);
	mnl_attr_put_strz(nlh, NFTA_SET_TABLE, TABLE);
	if (rules_netlink_ask(&dump->link, nlh, on_set, dump) == -1)
		return -1;
	for (i = 0; i < dump->set_count; i++)
		if (!dump->sets[i].lives &&
		    read_elements(dump, &dump->sets[i]) == -1)
			return -1;
	return 0;
}

/* Rules. */

/* An anonymous set's name is a number by chance: what is in it counts. */
static void
put_lookup(struct dump *dump, const struct nlattr *attr)
{
	size_t i;

	if (mnl_attr_get_type(attr) == NFTA_LOOKUP_SET)
		for (i = 0; i < dump->set_count; i++)
			if (dump->sets[i].is_anonymous &&
			    strcmp(dump->sets[i].name,
				rules_netlink_text(attr)) == 0) {
				fprintf(
				    dump->out, "{ %s} ", dump->sets[i].text);
				return;
			}
	put_attribute(dump->out, attr);
}

static void
put_expression(struct dump *dump, const struct nlattr *expression)
{
	const struct nlattr *attr, *data = NULL;
	const char *name = "";

	mnl_attr_for_each_nested(attr, expression)
	{
		if (mnl_attr_get_type(attr) == NFTA_EXPR_NAME)
			name = rules_netlink_text(attr);
		if (mnl_attr_get_type(attr) == NFTA_EXPR_DATA)
			data = attr;
	}
	fprintf(dump->out, "%s:", name);
	if (data == NULL)
		return;
	mnl_attr_for_each_nested(attr, data)
	{
		if (strcmp(name, "lookup") == 0)
			put_lookup(dump, attr);
		else
			put_attribute(dump->out, attr);
	}
}

static int
on_rule(const struct nlmsghdr *nlh, void *arg)
{
	const struct nlattr *attr, *expression;
	struct dump *dump = arg;

	fputs("\t\t", dump->out);
	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) != NFTA_RULE_EXPRESSIONS)
			continue;
		mnl_attr_for_each_nested(expression, attr)
		{
			put_expression(dump, expression);
		}
	}
	fputc('\n', dump->out);
	return MNL_CB_OK;
}

static int
on_chain(const struct nlmsghdr *nlh, void *arg)
{
	static const uint16_t wanted[] = {NFTA_CHAIN_HOOK, NFTA_CHAIN_POLICY,
	    NFTA_CHAIN_TYPE, NFTA_CHAIN_FLAGS, 0};
	struct dump *dump = arg;
	struct chain *chains, *chain;

	/* The kernel filters these by family alone. */
	if (strcmp(rules_netlink_name(nlh, NFTA_CHAIN_TABLE), TABLE) != 0)
		return MNL_CB_OK;
	chains = reallocarray(
	    dump->chains, dump->chain_count + 1, sizeof(*chains));
	if (chains == NULL)
		return MNL_CB_ERROR;
	dump->chains = chains;
	chain = &chains[dump->chain_count++];
	chain->name = strdup(rules_netlink_name(nlh, NFTA_CHAIN_NAME));
	chain->text = choose_in_message(nlh, wanted);
	return chain->name == NULL || chain->text == NULL ? MNL_CB_ERROR
	                                                  : MNL_CB_OK;
}

static int
put_rules(struct dump *dump, const char *chain)
{
	_Alignas(struct nlmsghdr) char buf[RULES_NETLINK_REQUEST];
	struct nlmsghdr *nlh;

	nlh = rules_netlink_compose(
	    buf, NFT_MSG_GETRULE, NLM_F_DUMP, NFPROTO_INET);
	mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, TABLE);
	mnl_attr_put_strz(nlh, NFTA_RULE_CHAIN, chain);
	return rules_netlink_ask(&dump->link, nlh, on_rule, dump);
}

/* The table. */

static int
on_table(const struct nlmsghdr *nlh, void *arg)
{
	static const uint16_t wanted[] = {NFTA_TABLE_FLAGS, 0};
	struct dump *dump = arg;
	char *text = choose_in_message(nlh, wanted);

	if (text == NULL)
		return MNL_CB_ERROR;
	fprintf(dump->out, "\t%s\n", text);
	free(text);
	return MNL_CB_STOP;
}

static int
put_table(struct dump *dump)
{
	_Alignas(struct nlmsghdr) char buf[RULES_NETLINK_REQUEST];
	struct nlmsghdr *nlh;

	nlh = rules_netlink_compose(buf, NFT_MSG_GETTABLE, 0, NFPROTO_INET);
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, TABLE);
	return rules_netlink_ask(&dump->link, nlh, on_table, dump);
}

static int
put_parts(struct dump *dump)
{
	_Alignas(struct nlmsghdr) char buf[RULES_NETLINK_REQUEST];
	struct nlmsghdr *nlh;
	size_t i;

	nlh = rules_netlink_compose(
	    buf, NFT_MSG_GETCHAIN, NLM_F_DUMP, NFPROTO_INET);
	if (read_sets(dump) == -1 ||
	    rules_netlink_ask(&dump->link, nlh, on_chain, dump) == -1)
		return -1;
	for (i = 0; i < dump->chain_count; i++) {
		fprintf(dump->out, "\tchain %s {\n\t\t%s\n",
		    dump->chains[i].name, dump->chains[i].text);
		if (put_rules(dump, dump->chains[i].name) == -1)
			return -1;
		fputs("\t}\n", dump->out);
	}
	for (i = 0; i < dump->set_count; i++)
		if (!dump->sets[i].is_anonymous)
			fprintf(dump->out, "\tset %s {\n\t\t%s\n\t}\n",
			    dump->sets[i].name, dump->sets[i].text);
	return 0;
}

static char *
dump_once(void)
{
	struct dump dump = {0};
	char *text = NULL;
	size_t size;
	int ret = -1, saved;

	if (rules_netlink_open(&dump.link) == 0 &&
	    (dump.out = open_memstream(&text, &size)) != NULL) {
		fputs("table inet " TABLE " {\n", dump.out);
		if ((ret = put_table(&dump)) == 0)
			ret = put_parts(&dump);
		fputs("}\n", dump.out);
		saved = errno;
		if (fclose(dump.out) == EOF)
			ret = -1;
		errno = saved;
	}
	dump_close(&dump);
	if (ret == 0)
		return text;
	saved = errno;
	free(text);
	errno = saved;
	return NULL;
}

char *
rules_dump(void)
{
	char *text = NULL;
	int tries;

	for (tries = 0; tries < TRIES; tries++)
		if ((text = dump_once()) != NULL || errno != EINTR)
			break;
	return text;
}
