/* SPDX-License-Identifier: ISC */
/*
 * postern doctor: whether, on this machine and now, the road is closed and
 * postern can work.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/clock.h"
#include "proxy/cmd.h"
#include "proxy/cmd_options.h"
#include "proxy/doctor.h"
#include "proxy/doctor_facts.h"
#include "proxy/smtp/domain.h"

#define LIMIT_SECONDS 30
#define LIMIT_MAX     3600

static const char usage[] =
    "usage: postern doctor [--json] [--skip CHECK]... [--bogus NAME]\n"
    "           [--dane DOMAIN] [--mta-sts DOMAIN] [--limit SECONDS]\n"
    "           [-c FILE] [-i IFACE]... [--mode MODE] [-o SETTING]...\n";

static const char help[] =
    "\n"
    "Says whether, on this machine and now, the road is closed and postern\n"
    "can work: a line a check, `pass`, `note` or `FAIL` with what to do.  "
    "Runs\n"
    "as root, with the options that `postern run` has, and changes nothing.\n"
    "\n"
    "      --json              as one JSON object\n"
    "      --skip CHECK        leave a check out; may be repeated\n"
    "      --bogus NAME        signed wrongly: dnssec-failed.org\n"
    "      --dane DOMAIN       signed, with its MX hosts: nlnetlabs.nl\n"
    "      --mta-sts DOMAIN    has an MTA-STS policy: gmail.com\n"
    "      --limit SECONDS     for the DNS and MTA-STS: 30\n"
    "\n" OPTIONS_HELP "      --help              this text\n"
    "\n"
    "Ends with 0 when nothing fails, 1 when something does, 2 when the "
    "command\n"
    "line is wrong.\n";

enum {
	OPTION_JSON = OPTIONS_MODE + 1,
	OPTION_SKIP,
	OPTION_BOGUS,
	OPTION_DANE,
	OPTION_MTA_STS,
	OPTION_LIMIT,
};

/* In the order in which they are told; without a function, part of dns. */
static const struct check {
	const char *name;
	void (*look)(struct doctor *);
} checks[] = {
    {"configuration", doctor_check_settings},
    {"processes", doctor_check_processes},
    {"descriptors", doctor_check_descriptors},
    {"listener", doctor_check_listener},
    {"rules", doctor_check_rules},
    {"bypass", doctor_check_bypass},
    {"routing", doctor_check_routing},
    {"interfaces", doctor_check_interfaces},
    {"forwarding", doctor_check_forwarding},
    {"return-path", doctor_check_return_path},
    {"conntrack", doctor_check_conntrack},
    {"clock", doctor_check_clock},
    {"trust", doctor_check_trust},
    {"state", doctor_check_state},
    {DOCTOR_CHECK_DNS, NULL},
    {DOCTOR_CHECK_BOGUS, NULL},
    {DOCTOR_CHECK_TLSA, NULL},
    {DOCTOR_CHECK_MTA_STS, NULL},
};

#define CHECK_COUNT (sizeof(checks) / sizeof(checks[0]))

struct arguments {
	struct options options;
	struct doctor_names names;
	char bogus[DOMAIN_ASCII_MAX];
	char dane[DOMAIN_ASCII_MAX];
	char mta_sts[DOMAIN_ASCII_MAX];
	bool skips[CHECK_COUNT];
	bool is_json;
};

static int
set_skip(struct arguments *arguments, const char *name)
{
	size_t i;

	for (i = 0; i < CHECK_COUNT; i++)
		if (strcmp(checks[i].name, name) == 0) {
			arguments->skips[i] = true;
			return 0;
		}
	options_complain("--skip", name, "there is no such check; there are:");
	for (i = 0; i < CHECK_COUNT; i++)
		fprintf(stderr, " %s", checks[i].name);
	fputc('\n', stderr);
	return -1;
}

static int
set_limit(struct arguments *arguments, const char *value)
{
	const char *error;

	arguments->names.limit = (uint32_t)strtonum(
	    value, 1, LIMIT_MAX, &error);
	return error == NULL ? 0 : options_complain("--limit", value, error);
}

static int
set_option(struct arguments *arguments, int ch)
{
	switch (ch) {
	case OPTION_JSON:
		arguments->is_json = true;
		return 0;
	case OPTION_SKIP:
		return set_skip(arguments, optarg);
	case OPTION_BOGUS:
		return options_domain("--bogus", optarg, arguments->bogus);
	case OPTION_DANE:
		return options_domain("--dane", optarg, arguments->dane);
	case OPTION_MTA_STS:
		return options_domain("--mta-sts", optarg, arguments->mta_sts);
	case OPTION_LIMIT:
		return set_limit(arguments, optarg);
	}
	fputs(usage, stderr); /* getopt_long has told which option */
	return -1;
}

/* Returns 0, 1 where help was wanted, or -1 after a message. */
static int
arguments_read(struct arguments *arguments, int argc, char **argv)
{
	static const struct option longs[] = {
	    OPTIONS_COMMON,
	    {"json", no_argument, NULL, OPTION_JSON},
	    {"skip", required_argument, NULL, OPTION_SKIP},
	    {"bogus", required_argument, NULL, OPTION_BOGUS},
	    {"dane", required_argument, NULL, OPTION_DANE},
	    {"mta-sts", required_argument, NULL, OPTION_MTA_STS},
	    {"limit", required_argument, NULL, OPTION_LIMIT},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	int ch;

	while ((ch = getopt_long(argc, argv, OPTIONS_SHORT "h", longs, NULL)) !=
	       -1) {
		if (ch == 'h')
			return 1;
		switch (options_common(&arguments->options, ch, optarg)) {
		case OPTIONS_TAKEN:
			continue;
		case OPTIONS_BAD:
			return -1;
		case OPTIONS_OTHER:
			break;
		}
		if (set_option(arguments, ch) == -1)
			return -1;
	}
	if (optind == argc)
		return 0;
	fputs(usage, stderr);
	return -1;
}

static bool
is_skipped(const struct arguments *arguments, const char *name)
{
	size_t i;

	for (i = 0; i < CHECK_COUNT; i++)
		if (strcmp(checks[i].name, name) == 0)
			return arguments->skips[i];
	return false;
}

static void
look_at_dns(struct doctor *doctor, struct arguments *arguments)
{
	struct doctor_names *names = &arguments->names;

	if (is_skipped(arguments, DOCTOR_CHECK_DNS))
		return;
	if (!is_skipped(arguments, DOCTOR_CHECK_BOGUS))
		names->bogus = arguments->bogus;
	if (!is_skipped(arguments, DOCTOR_CHECK_TLSA))
		names->dane = arguments->dane;
	if (!is_skipped(arguments, DOCTOR_CHECK_MTA_STS))
		names->mta_sts = arguments->mta_sts;
	doctor_check_dns(doctor, names);
}

/* Without a configuration nothing else has a meaning. */
static void
look(struct report *report, struct arguments *arguments)
{
	struct doctor doctor = {.report = report};
	char error[CONFIG_ERROR_MAX];
	size_t i;

	doctor.config = options_load(&arguments->options, error);
	if (doctor.config == NULL) {
		report_fail(report, checks[0].name, "%s", error);
		report_remedy(report,
		    "put it right (`postern check`): until then postern does "
		    "not start, and keeps its old settings where it runs; "
		    "nothing else was looked at");
		return;
	}
	if (proc_scan(&doctor.processes) == -1)
		doctor.processes_errno = errno;
	for (i = 0; i < CHECK_COUNT; i++)
		if (checks[i].look != NULL && !arguments->skips[i])
			checks[i].look(&doctor);
	look_at_dns(&doctor, arguments);
	proc_list_clear(&doctor.processes);
	config_free(doctor.config);
}

static enum cmd_exit
tell(const struct report *report, bool is_json)
{
	int ret = is_json ? report_print_json(stdout, report, clock_wall())
	                  : report_print_text(stdout, report);

	if (ret == -1)
		fprintf(
		    stderr, "postern: standard output: %s\n", strerror(errno));
	return ret == 0 && !report_has_failed(report, NULL) ? CMD_OK
	                                                    : CMD_FAILED;
}

int
cmd_doctor(int argc, char **argv)
{
	struct arguments arguments = {
	    .names = {.limit = LIMIT_SECONDS},
	    .bogus = "dnssec-failed.org",
	    .dane = "nlnetlabs.nl",
	    .mta_sts = "gmail.com",
	};
	struct report report = {0};
	enum cmd_exit code;

	switch (arguments_read(&arguments, argc, argv)) {
	case -1:
		return CMD_USAGE;
	case 1:
		printf("%s%s", usage, help);
		return CMD_OK;
	}
	look(&report, &arguments);
	code = tell(&report, arguments.is_json);
	report_clear(&report);
	return code;
}
