/* SPDX-License-Identifier: ISC */
/* The configuration file: what it sets, and how it is told what is wrong. */

#include "proxy/config_file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/clock.h"
#include "proxy/cmd_options.h"
#include "proxy/config.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char directory[] = "/tmp/postern-test-XXXXXX";
static char file_path[64], trust_path[64];

static void
write_file(const char *path, const char *text, size_t len)
{
	FILE *fp = fopen(path, "w");

	assert_non_null(fp);
	assert_int_equal(fwrite(text, 1, len, fp), len);
	assert_int_equal(fclose(fp), 0);
}

static int
setup(void **state)
{
	static const char pem[] = "-----BEGIN CERTIFICATE-----\n";

	(void)state;
	if (mkdtemp(directory) == NULL)
		return -1;
	snprintf(file_path, sizeof(file_path), "%s/conf", directory);
	snprintf(trust_path, sizeof(trust_path), "%s/ca.pem", directory);
	write_file(trust_path, pem, sizeof(pem) - 1);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(file_path);
	unlink(trust_path);
	return rmdir(directory);
}

/*
 * Loads a text as the file.  The default trust file and an interface come
 * from the command line, so that the text alone is what is tested.
 */
static struct config *
load(const char *text, const char *overrides, char error[CONFIG_ERROR_MAX])
{
	char all[8192];

	write_file(file_path, text, strlen(text));
	if (overrides == NULL)
		overrides = "interfaces = [lan0];";
	snprintf(all, sizeof(all), "%s trust = \"%s\"", overrides, trust_path);
	return config_load(file_path, all, error);
}

static struct config *
must_load(const char *text, const char *overrides)
{
	char error[CONFIG_ERROR_MAX];
	struct config *config = load(text, overrides, error);

	if (config == NULL)
		fail_msg("%s", error);
	return config;
}

/* The file's name in an expected error is written as "@". */
static void
assert_error(const char *text, const char *overrides, const char *expected)
{
	char error[CONFIG_ERROR_MAX], shown[CONFIG_ERROR_MAX] = "", *at;
	const char *from = error;

	if (load(text, overrides, error) != NULL)
		fail_msg("passed: %s", text);
	while ((at = strstr(from, file_path)) != NULL) {
		*at = '\0';
		strlcat(shown, from, sizeof(shown));
		strlcat(shown, "@", sizeof(shown));
		from = at + strlen(file_path);
	}
	strlcat(shown, from, sizeof(shown));
	assert_string_equal(shown, expected);
}

struct row {
	const char *text, *error;
};

#define TWENTY "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20"
#define NONE   "match = [192.0.2.1]; level = none; "

static const struct row errors[] = {
    /* unknown words, wherever they stand */
    {"interfacs = [lan0]",
	"@:1: unknown setting 'interfacs' (did you mean 'interfaces'?)"},
    {"\n\nfoobar = 1", "@:3: unknown setting 'foobar'"},
    {"servre x {}", "@:1: unknown setting 'servre' (did you mean 'server'?)"},
    {"timeout = 3",
	"@:1: unknown setting 'timeout' (did you mean 'timeouts'?)"},
    {"dns {\n  # {\n  timeot = 3\n}",
	"@:3: unknown setting 'dns.timeot' (did you mean 'timeout'?)"},
    {"dns.timeot = 3", "@:1: unknown setting 'dns.timeot'"},
    {"dns {\n ports = [1]\n}", "@:2: unknown setting 'dns.ports'"},
    {"'' = 1", "@:1: unknown setting ''"},
    {"\"a\\u001b[0m\" = 1", "@:1: unknown setting 'a\\x1b[0m'"},
    {"domain a.example { match = [192.0.2.1] }",
	"@:1: unknown setting 'match'"},
    {"domain a.example { auth = true }", "@:1: unknown setting 'auth'"},
    {"server s {\n match = [a.example]\n nmaes = [b]\n}",
	"@:3: unknown setting 'nmaes' (did you mean 'names'?)"},
    /* wrong kinds of value */
    {"mode { a = 1 }", "@:1: mode: one value is expected"},
    {"mode = [local]", "@:1: mode: one value is expected"},
    {"dns = 3", "@:1: dns: a section is expected: dns {...}"},
    {"dns = [3]", "@:1: dns: a section is expected: dns {...}"},
    {"ports = 25", "@:1: ports: a list is expected: [...]"},
    {"ports = {}", "@:1: ports: a list is expected: [...]"},
    {"ports = [[25]]", "@:1: ports: one value is expected"},
    {"ports = []", "@:1: ports: the list is empty"},
    {"ports = [" TWENTY "]", "@:1: ports: more than 16 values"},
    {"ports = [25,\n  x]", "@:2: ports: 'x' is not a number"},
    {"ports = [25,\n\"26\"]",
	"@:2: ports: '26' must be written without quotes"},
    {"ports = [0]", "@:1: ports: '0' is not a port"},
    {"ports = [65536]", "@:1: ports: '65536' must be from 0 to 65535"},
    {"ports = [25, 26,\n25]", "@:2: ports: '25' is given twice"},
    {"state = \"redis://me:secret@a..b\"",
	"@:1: state: 'redis://***@a..b' has no valid host: a name, an IPv4 "
	"address, or an IPv6 address in brackets"},
    {"listen_port = 0", "@:1: listen_port: '0' must be from 1 to 65535"},
    {"listen_port = 65536",
	"@:1: listen_port: '65536' must be from 1 to 65535"},
    {"listen_port = 4294977321",
	"@:1: listen_port: '4294977321' must be from 1 to 65535"},
    {"listen_port = ten", "@:1: listen_port: 'ten' is not a number"},
    {"workers = 65", "@:1: workers: '65' must be from 0 to 64"},
    {"workers = 4294967296", "@:1: workers: '4294967296' must be from 0 to 64"},
    {"keep_rules = 1", "@:1: keep_rules: '1' must be true or false"},
    {"keep_rules = \"true\"",
	"@:1: keep_rules: 'true' must be written without quotes"},
    {"mode = lokal", "@:1: mode: 'lokal' must be gateway, local or bridge"},
    {"own_connections = pid",
	"@:1: own_connections: 'pid' must be auto, mark or uid"},
    {"log { addresses = some }",
	"@:1: log.addresses: 'some' must be domain or full"},
    {"user = root", "@:1: user: 'root' must be a user of its own"},
    {"dns { trust_anchor = root.key }",
	"@:1: dns.trust_anchor: 'root.key' is not an absolute path"},
    {"dns { forward = [\"192.0.2.53\",\n\n\"192.0.2.54:0\"] }",
	"@:3: dns.forward: '192.0.2.54:0' has a bad port"},
    {"dns { timeout = 6min }",
	"@:1: dns.timeout: '6min' must be from 1 to 300"},
    {"timeouts { drain = 0 }",
	"@:1: timeouts.drain: '0' must be from 1 to 86400"},
    {"timeouts { drain = 5 min }",
	"@:1: ';' or a new line is missing before 'min'"},
    {"limits { sessions = 0 }",
	"@:1: limits.sessions: '0' must be from 1 to 1000000"},
    /* twice, be it in another piece of the section */
    {"workers = 1\nworkers = 2", "@:2: workers is set already (@:1)"},
    {"dns {\n timeout = 1 }\n\n/* } */ dns {\n\n timeout = 2\n}",
	"@:6: dns.timeout is set already (@:2)"},
    {"dns { timeout = 1 }\ndns.timeout = 2",
	"@:2: dns.timeout is set already (@:1)"},
    {"ports = [25]; ports = [26]", "@:1: ports is set already (@:1)"},
    {"server s {\n match = [a.example]\n match = [b.example]\n}",
	"@:3: match is set already (@:2)"},
    /* blocks */
    {"\nserver = 3",
	"@:2: server: a named block is expected: server \"NAME\" {...}"},
    {"domain {}",
	"@:1: domain: a named block is expected: domain \"NAME\" {...}"},
    {"domain = a.example",
	"@:1: domain: a named block is expected: domain \"NAME\" {...}"},
    {"server {\n match = [a.example]\n}",
	"@:1: server: a named block is expected: server \"NAME\" {...}"},
    {"server {\n a { match = [a.example] }\n match = [b.example] }",
	"@:3: server: 'match' stands outside a named block"},
    {"server s {}", "@:1: match: missing in server 's'"},
    {"server \"\" {" NONE "}",
	"@:1: server: '' is not a name of 1 to 63 characters"},
    {"server s { " NONE "}\nserver t {\n" NONE "}",
	"@:2: match '192.0.2.1' is there already (@:1)"},
    {"server s { match = [\"2001:db8::/32\"] }\n"
     "server t { match = [\"2001:DB8:0::/32\"] }",
	"@:2: match '2001:db8::/32' is there already (@:1)"},
    {"server s { match = [a.example] }\nserver s { match = [b.example] }",
	"@:2: server 's' is there already (@:1)"},
    {"domain b.example {}\ndomain a.example {}\ndomain c.example {}\n"
     "domain A.example. {}",
	"@:4: domain 'a.example' is there already (@:2)"},
    {"domain a.example {}\ndomain b.example {\n names = [*.b.example] }",
	"@:3: names: '*.b.example' must be one host name, without a"
	" wildcard"},
    {"domain b\xc3\xbc"
     "cher.example {}",
	"@:1: domain: 'b\\xc3\\xbccher.example' is not ASCII: write its"
	" xn-- form"},
    {"domain a.example { names = [mx.a.example, MX.a.example.] }",
	"@:1: names: 'MX.a.example.' is given twice"},
    {"domain a.example { pins = [\"sha256:00\"] }",
	"@:1: pins: 'sha256:00' is not a SHA-256 in hexadecimal or"
	" base64"},
    {"domain a.example { level = none\n\n until = 2027-02-29 }",
	"@:3: until: '2027-02-29' is not a date (2027-01-31, or"
	" 2027-01-31T12:00:00Z)"},
    {"\ndomain a.example { until = 2027-01-31 }",
	"@:2: until: only a level of observe, encrypt or none ends"},
    {"domain a.example { level = encrypt; names = [a.example] }",
	"@:1: names: of no use at level = encrypt"},
    {"server s { " NONE "auth = true }",
	"@:1: auth: of no use at level = none"},
    {"server s {\n match = [a.example]\n trust = /nonexistent\n}",
	"@:3: trust: '/nonexistent': No such file or directory"},
    {"\ndomain a.example {\n trust = /dev/null\n}",
	"@:3: trust: '/dev/null' has no certificate in PEM"},
    {"domain a.example { trust = /dev/zero }",
	"@:1: trust: '/dev/zero': File too large"},
    {"domain a.example { trust = /dev }", "@:1: trust: '/dev': Is a directory"},
    /* what only the whole can tell */
    {"ports = [25, 2525]\nlisten_port = 2525",
	"@:2: listen_port: 2525 is one of the ports to intercept"},
    {"ports = [10025]",
	"@: listen_port: 10025 is one of the ports to intercept"},
    {"mark = 0x300", "@:1: mark: 0x300 is not one bit alone"},
    {"mark = 0", "@:1: mark: '0' must be from 1 to 4294967295"},
    {"route_table = 254", "@:1: route_table: 254 is one of the system's own"},
    {"route_priority = 32766",
	"@:1: route_priority: '32766' must be from 1 to 32763"},
    {"\ndns {\n root_hints = /nonexistent }",
	"@:3: dns.root_hints: '/nonexistent': No such file or"
	" directory"},
    /* blocks for the gate */
    {"client c {\n verdict = exempt\n}",
	"@:1: verdict: client 'c' would exempt everybody: give match,"
	" interfaces or marks"},
    {"client c { verdict = reject; connection_rate = 1 }",
	"@:1: connection_rate: of no use at verdict = reject"},
    {"\nclient c { verdict = reject; sessions = 1 }",
	"@:2: sessions: of no use at verdict = reject"},
    {"client c { match = [192.0.2.1]; verdict = exempt; sessions = 1 }",
	"@:1: sessions: of no use at verdict = exempt, since postern has none"
	" of these"},
    {"client c {\n verdict = drop }",
	"@:2: verdict: 'drop' must be intercept, reject or exempt"},
    {"client c {\n match = [a.example] }",
	"@:2: match: 'a.example' is not an address prefix (or has bits set"
	" past its length)"},
    {"client c { match = [192.0.2.0/24,\n192.0.3.0/23] }",
	"@:2: match: '192.0.3.0/23' is not an address prefix (or has bits set"
	" past its length)"},
    {"client c { match = [192.0.2.1,\n192.0.2.1] }",
	"@:2: match: '192.0.2.1' is given twice"},
    {"client c { interfaces = [\"lan0\\\"\"] }",
	"@:1: interfaces: 'lan0\"' is not an interface name"},
    {"client c { marks = [x] }",
	"@:1: marks: 'x' is not a packet mark: VALUE or VALUE/MASK"},
    {"client c { marks = [\"3/1\"] }",
	"@:1: marks: '3/1' is a packet mark that no packet has"},
    {"client c { marks = [\"1\",\n\"0x1/0xffffffff\"] }",
	"@:2: marks: '0x1/0xffffffff' is given twice"},
    {"client c { marks = [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17] }",
	"@:1: marks: more than 16 values"},
    {"client c { connection_rate = 1000001 }",
	"@:1: connection_rate: '1000001' must be from 0 to 1000000"},
    {"client c { sessions = -1 }", "@:1: sessions: '-1' is not a number"},
    {"client c { level = none }", "@:1: unknown setting 'level'"},
    {"client c { trust = /dev/null }", "@:1: unknown setting 'trust'"},
    {"client \"\" {}", "@:1: client: '' is not a name of 1 to 63 characters"},
    {"client = 3",
	"@:1: client: a named block is expected: client \"NAME\" {...}"},
    {"client c {}\nclient d {}\nclient c {}",
	"@:3: client 'c' is there already (@:1)"},
    {"\ndestination d {}", "@:2: match: missing in destination 'd'"},
    {"destination d { match = [mx.example.org] }",
	"@:1: match: 'mx.example.org' is not an address prefix (or has bits"
	" set past its length)"},
    {"destination d {\n match = [192.0.2.1]\n verdict = exempt }",
	"@:3: verdict: 'exempt' must be intercept or reject"},
    {"destination d { interfaces = [lan0] }",
	"@:1: unknown setting 'interfaces'"},
    {"destination d { marks = [1] }", "@:1: unknown setting 'marks'"},
    {"destination d { match = [192.0.2.1] }\n"
     "destination e { match = [192.0.2.2, 192.0.2.1/32] }",
	"@:2: match '192.0.2.1' is there already (@:1)"},
    {"destination d { match = [192.0.2.1] }\n"
     "destination d { match = [192.0.2.2] }",
	"@:2: destination 'd' is there already (@:1)"},
    {"gate { admission = yes }",
	"@:1: gate.admission: 'yes' must be auto, on or off"},
    {"gate { watch_dns = 1 }",
	"@:1: gate.watch_dns: '1' must be true or false"},
    {"gate {\n queues = 0 }", "@:2: gate.queues: '0' must be from 1 to 16"},
    {"gate { queues = 17 }", "@:1: gate.queues: '17' must be from 1 to 16"},
    {"gate { queue = 65520 }",
	"@:1: gate.queue: '65520' must be from 0 to 65519"},
    {"gate { que = 1 }",
	"@:1: unknown setting 'gate.que' (did you mean 'queue'?)"},
    {"limits { connection_rate = 1000001 }",
	"@:1: limits.connection_rate: '1000001' must be from 0 to 1000000"},
    {"gate { admission = off }\nclient c {}",
	"@:2: 'c': client and destination blocks are not for"
	" gate.admission = off"},
    {"gate { admission = off }\ndestination d { match = [192.0.2.1] }",
	"@:2: 'd': client and destination blocks are not for"
	" gate.admission = off"},
    /* postern's own bit says nothing of a client */
    {"\nclient c { marks = [\"0x100/0x100\"]; verdict = exempt }",
	"@:2: marks: '0x100/0x100' of client 'c' asks for postern's own bit"
	" (mark = 0x100)"},
    {"client c { marks = [2, \"0/0x100\"]; verdict = exempt }",
	"@:1: marks: '0x0/0x100' of client 'c' asks for postern's own bit"
	" (mark = 0x100)"},
    {"mark = 8\nclient b {}\nclient c { marks = [0x18] }",
	"@:3: marks: '0x18/0xffffffff' of client 'c' asks for postern's own"
	" bit (mark = 0x8)"},
    /* text that is no UCL */
    {"workers = 1\nserver s {\n", "@:2: what opens here lacks its '}'"},
    {"workers = 1\r\n\r\ndns {\r\n # {\r\n x = 1\r\n}\r\n",
	"@:5: unknown setting 'dns.x'"},
    {"user = <<EOD\npostern\nEOD\nx = 1", "@:4: unknown setting 'x'"},
    {".include \"/etc/passwd\"",
	"@:1: no macros and includes here; a setting is expected before"
	" '.include'"},
};

static void
test_errors(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(errors); i++)
		assert_error(errors[i].text, NULL, errors[i].error);
}

/* Line numbers stay right behind any number of blocks, and inside them. */
static void
test_lines(void **state)
{
	static const char block[] = "server \"s%zu\"\n{\n  # }\n"
				    "  match = [ \"192.0.2.%zu\",\n"
				    "    /* { */ \"h%zu.example\" ];\n}\n";
	char text[8192], expected[128];
	size_t i, len = 0;

	(void)state;
	for (i = 0; i < 32; i++) {
		snprintf(text + len, sizeof(text) - len,
		    "server t { match = [\n\n  ?] }");
		snprintf(expected, sizeof(expected),
		    "@:%zu: match: '?' is not a host name", i * 6 + 3);
		assert_error(text, NULL, expected);
		len += (size_t)snprintf(
		    text + len, sizeof(text) - len, block, i, i, i);
	}
}

static void
test_command_line(void **state)
{
	static const struct {
		const char *text, *overrides, *error;
	} rows[] = {
	    {"", "workrs = 1;",
		"command line: unknown setting 'workrs' (did you mean"
		" 'workers'?)"},
	    {"", "workers = 1; workers = 2;",
		"command line: workers is set already (command line)"},
	    {"", "workers = 1 /*", "command line: comment is not closed"},
	    {"", "mark = 3; interfaces = [lan0];",
		"command line: mark: 0x3 is not one bit alone"},
	    {"domain a.example {}", "interfaces = [lan0]; domain a.example {}",
		"command line: domain 'a.example' is there already"
		" (@:1)"},
	    /* whichever of the two is said, it is where it stands */
	    {"", "mode = local; interfaces = [lan0];",
		"command line: interfaces: not for mode = local"},
	    {"\ninterfaces = [lan0]", "mode = local;",
		"@:2: interfaces: not for mode = local"},
	    {"mode = local\ninbound = [wan0]", "",
		"@:2: inbound: not for mode = local"},
	    {"mode = local\ngate { admission = on }", "",
		"@:2: gate.admission: on is not for mode = local"},
	    {"mode = local", "gate { admission = on }",
		"command line: gate.admission: on is not for mode = local"},
	    {"mode = local\n\nclient c {}", "",
		"@:3: 'c': client and destination blocks are not for"
		" mode = local"},
	    {"interfaces = [lan0, lan1]\ninbound = [wan0, lan1]", "",
		"@:2: inbound: lan1 is one of the interfaces that clients are"
		" behind"},
	    {"", "",
		"@: a gateway wants the interfaces that its clients are"
		" behind: give interfaces, or -i IFACE"},
	    {"\nmode = gateway", "",
		"@:2: a gateway wants the interfaces that its clients are"
		" behind: give interfaces, or -i IFACE"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_error(rows[i].text, rows[i].overrides, rows[i].error);
}

/* The command line's value takes the place of the file's, lists whole. */
static void
test_overrides(void **state)
{
	struct config *config;

	(void)state;
	config = must_load("interfaces = [lan0, lan1]; ports = [25, 26]\n"
			   "dns { timeout = 3; forward = [192.0.2.1] }\n"
			   "user = a; domain a.example {}",
	    "interfaces = [lan2]; ports = [27]; dns { timeout = 4 };\n"
	    "user = b; domain b.example {}");
	assert_int_equal(config->interface_count, 1);
	assert_string_equal(config->interfaces[0], "lan2");
	assert_int_equal(config->port_count, 1);
	assert_int_equal(config->ports[0], 27);
	assert_int_equal(config->dns.timeout, 4);
	assert_int_equal(config->dns.forward_count, 1);
	assert_string_equal(config->user, "b");
	assert_int_equal(config->domain_count, 2);
	assert_string_equal(config->domains[1].name, "b.example");
	assert_string_equal(config->domains[1].origin, "command line");
	config_free(config);
}

static void
test_blocks(void **state)
{
	struct config *config;
	const struct rule *rule;
	char origin[128];

	(void)state;
	config = must_load("server \"smart host\" {\n"
			   "  match = [192.0.2.1, \"192.0.2.0/24\",\n"
			   "    \"2001:DB8::/32\", SMTP.example.net]\n"
			   "  names = [A.example., b.example]; auth = yes }\n"
			   "\n"
			   "server { other { match = [a.example]\n"
			   "  level = encrypt; until = 2090-01-31 } }\n"
			   "domain *.Example.org { level = none }\n"
			   "domain example.org {}",
	    NULL);
	assert_int_equal(config->server_count, 2);
	rule = &config->servers[0];
	assert_string_equal(rule->name, "smart host");
	assert_int_equal(rule->match_count, 4);
	assert_string_equal(rule->matches[0], "192.0.2.1");
	assert_string_equal(rule->matches[1], "192.0.2.0/24");
	assert_string_equal(rule->matches[2], "2001:db8::/32");
	assert_string_equal(rule->matches[3], "smtp.example.net");
	assert_int_equal(rule->name_count, 2);
	assert_string_equal(rule->names[0], "a.example");
	assert_int_equal(rule->level, LEVEL_VERIFY);
	assert_true(rule->auth && rule->until == 0 && rule->trust == NULL);
	snprintf(origin, sizeof(origin), "%s:1", file_path);
	assert_string_equal(rule->origin, origin);

	rule = &config->servers[1];
	assert_string_equal(rule->name, "other");
	assert_int_equal(rule->level, LEVEL_ENCRYPT);
	assert_int_equal(rule->until, 3789590400);
	assert_false(rule->auth);
	snprintf(origin, sizeof(origin), "%s:6", file_path);
	assert_string_equal(rule->origin, origin);

	assert_int_equal(config->domain_count, 2);
	assert_string_equal(config->domains[0].name, "*.example.org");
	assert_int_equal(config->domains[0].level, LEVEL_NONE);
	assert_string_equal(config->domains[1].name, "example.org");
	assert_int_equal(config->domains[1].level, LEVEL_VERIFY);
	config_free(config);
}

static void
test_gate_blocks(void **state)
{
	const struct admission_rule *rule;
	struct config *config;
	char origin[128];

	(void)state;
	config = must_load("client \"back office\" {\n"
			   "  match = [192.0.2.1/32, \"2001:DB8::/32\",\n"
			   "    \"::ffff:10.0.0.0/104\"]\n"
			   "  interfaces = [lan0, lan1]\n"
			   "  marks = [7, \"0x10/0x30\", 0]\n"
			   "  verdict = exempt; connection_rate = 9 }\n"
			   "client other { sessions = 5 }\n"
			   "client third { match = [192.0.2.1] }\n"
			   "destination d { match = [0.0.0.0/0];\n"
			   "  verdict = reject }",
	    NULL);
	assert_int_equal(config->client_count, 3);
	rule = &config->clients[0];
	assert_string_equal(rule->name, "back office");
	assert_int_equal(rule->match_count, 3);
	assert_string_equal(rule->matches[0], "192.0.2.1");
	assert_string_equal(rule->matches[1], "2001:db8::/32");
	assert_string_equal(rule->matches[2], "10.0.0.0/8");
	assert_int_equal(rule->interface_count, 2);
	assert_string_equal(rule->interfaces[1], "lan1");
	assert_int_equal(rule->mark_count, 3);
	assert_string_equal(rule->marks[0], "0x7/0xffffffff");
	assert_string_equal(rule->marks[1], "0x10/0x30");
	assert_string_equal(rule->marks[2], "0x0/0xffffffff");
	assert_int_equal(rule->verdict, CONFIG_EXEMPT);
	assert_int_equal(rule->connection_rate, 9);
	assert_int_equal(rule->sessions, 0);
	snprintf(origin, sizeof(origin), "%s:1", file_path);
	assert_string_equal(rule->origin, origin);
	rule = &config->clients[1];
	assert_int_equal(rule->verdict, CONFIG_INTERCEPT);
	assert_int_equal(rule->sessions, 5);
	assert_int_equal(
	    rule->match_count + rule->interface_count + rule->mark_count, 0);
	assert_int_equal(config->destination_count, 1);
	rule = &config->destinations[0];
	assert_string_equal(rule->matches[0], "0.0.0.0/0");
	assert_int_equal(rule->verdict, CONFIG_REJECT);
	snprintf(origin, sizeof(origin), "%s:9", file_path);
	assert_string_equal(rule->origin, origin);
	config_free(config);
}

/* The same settings as JSON. */
static void
test_json(void **state)
{
	struct config *config;

	(void)state;
	config = must_load("{\n  \"mode\": \"gateway\",\n  \"ports\": [25],\n"
			   "  \"keep_rules\": false,\n"
			   "  \"timeouts\": {\"drain\": 5},\n"
			   "  \"domain\": {\"a.example\": {\"level\": \"none\","
			   " \"until\": \"2090-01-31\"}}\n}\n",
	    NULL);
	assert_false(config->keep_rules);
	assert_int_equal(config->timeouts.drain, 5);
	assert_int_equal(config->domain_count, 1);
	assert_int_equal(config->domains[0].level, LEVEL_NONE);
	config_free(config);
}

/* Each file is read once, the default one first. */
static void
test_trust(void **state)
{
	char text[512];
	struct config *config;

	(void)state;
	snprintf(text, sizeof(text),
	    "domain a.example { trust = \"%s\" }\n"
	    "domain b.example { trust = \"%s/../%s\" }\n"
	    "domain c.example { trust = \"%s/../%s\" }",
	    trust_path, directory, trust_path + 5, directory, trust_path + 5);
	config = must_load(text, NULL);
	assert_int_equal(config->trust_count, 2);
	assert_string_equal(config->trusts[0].path, trust_path);
	assert_string_equal(config->domains[0].trust, trust_path);
	assert_string_equal(config->trusts[1].path, config->domains[2].trust);
	assert_int_equal(config->trusts[0].len, 28);
	config_free(config);
}

/* What the operator is told of an exception that has ended. */
static char *
warnings_at(int64_t wall)
{
	static char text[1024];
	int fd = memfd_create("stderr", MFD_CLOEXEC), old = dup(STDERR_FILENO);
	ssize_t len;

	fflush(stderr);
	assert_true(dup2(fd, STDERR_FILENO) != -1);
	clock_fake(0, wall);
	config_free(must_load("\ndomain a.example { level = none\n"
			      " until = 2027-01-31 }",
	    NULL));
	clock_fake(-1, -1);
	fflush(stderr);
	dup2(old, STDERR_FILENO);
	close(old);
	len = pread(fd, text, sizeof(text) - 1, 0);
	assert_true(len >= 0);
	text[len] = '\0';
	close(fd);
	return text;
}

static void
test_ended(void **state)
{
	(void)state;
	assert_string_equal(warnings_at(1801439999), "");
	assert_non_null(strstr(warnings_at(1801440000),
	    "conf:2: the exception of domain 'a.example' has ended"));
}

static void
test_files(void **state)
{
	static char big[CONFIG_FILE_BYTES_MAX + 1];
	char error[CONFIG_ERROR_MAX];

	(void)state;
	assert_null(config_load("/nonexistent/conf", NULL, error));
	assert_string_equal(
	    error, "/nonexistent/conf: No such file or directory");
	assert_null(config_load("/dev", NULL, error));
	assert_string_equal(error, "/dev: Is a directory");
	memset(big, '\n', sizeof(big));
	write_file(file_path, big, sizeof(big));
	assert_null(config_load(file_path, NULL, error));
	assert_non_null(strstr(error, ": File too large"));
	/* at the bound, it is read */
	assert_int_equal(truncate(file_path, sizeof(big) - 1), 0);
	assert_null(config_load(file_path, "x = 1", error));
	assert_string_equal(error, "command line: unknown setting 'x'");
	write_file(file_path, "workers = 1\n\0", 13);
	assert_null(config_load(file_path, NULL, error));
	assert_non_null(strstr(error, "conf:1: has a NUL byte"));
}

/* As many blocks as may be, and one more. */
static void
test_many_blocks(void **state)
{
	char error[CONFIG_ERROR_MAX], *text;
	struct config *config;
	size_t i, len;
	FILE *fp = open_memstream(&text, &len);

	(void)state;
	for (i = 0; i < CONFIG_RULES_MAX; i++)
		fprintf(fp, "domain d%zu.example {}\n", i);
	fflush(fp);
	config = must_load(text, NULL);
	assert_int_equal(config->domain_count, CONFIG_RULES_MAX);
	config_free(config);
	fputs("domain one.more {}", fp);
	fclose(fp);
	assert_null(load(text, NULL, error));
	assert_non_null(strstr(error, "more than 4096 domain blocks"));
	free(text);
}

/* A message about the longest of texts fits, and keeps to one line. */
static void
test_long_text(void **state)
{
	char text[4096], error[CONFIG_ERROR_MAX];

	(void)state;
	strlcpy(text, "user = \"", sizeof(text));
	memset(text + 8, '\x01', 3000);
	strlcpy(text + 3008, "\"", 2);
	assert_null(load(text, NULL, error));
	assert_non_null(strstr(error, ":1: user: '\\x01\\x01"));
	assert_non_null(strstr(error, "' is too long"));
	memset(text + 8, 'a', 3000);
	assert_null(load(text, NULL, error));
	assert_non_null(strstr(error,
	    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "a' is too long"));
}

/* The options that run, check and rules share. */
static void
test_options(void **state)
{
	struct options options = {0};
	char *text;

	(void)state;
	assert_int_equal(options_common(&options, 'c', "/a"), OPTIONS_TAKEN);
	assert_string_equal(options.path, "/a");
	assert_int_equal(options_common(&options, 'h', NULL), OPTIONS_OTHER);
	assert_int_equal(options_common(&options, '?', NULL), OPTIONS_OTHER);
	text = options_overrides(&options);
	assert_string_equal(text, "");
	free(text);
	assert_int_equal(options_common(&options, 'i', "lan0"), OPTIONS_TAKEN);
	assert_int_equal(options_common(&options, 'i', "lan1"), OPTIONS_TAKEN);
	assert_int_equal(
	    options_common(&options, 'i', "a\"]; x = [\""), OPTIONS_BAD);
	assert_int_equal(
	    options_common(&options, OPTIONS_MODE, "local"), OPTIONS_TAKEN);
	assert_int_equal(
	    options_common(&options, OPTIONS_MODE, "local; x"), OPTIONS_BAD);
	assert_int_equal(options_common(&options, 'o', "a = 1"), OPTIONS_TAKEN);
	assert_int_equal(
	    options_common(&options, 'o', "b = 2 # c"), OPTIONS_TAKEN);
	text = options_overrides(&options);
	assert_string_equal(text, "mode = local;\n"
				  "interfaces = [\"lan0\", \"lan1\"];\n"
				  "a = 1\nb = 2 # c\n");
	free(text);
}

struct gleaning {
	const char *text, *overrides;
	bool knows_mode;
	enum config_mode mode;
	uint16_t ports[3]; /* 0: the end */
};

/* What a configuration that is refused still says of what to close. */
static void
test_glean(void **state)
{
	static const struct gleaning rows[] = {
	    {"", "", true, CONFIG_GATEWAY, {25}},
	    {"mode = local; nonsense = 1", "", true, CONFIG_LOCAL, {25}},
	    {"nonsense = 1; mode = local; ports = [587]", "", true,
		CONFIG_LOCAL, {587}},
	    {"mode = lokal; ports = [25, 587]", "", false, CONFIG_GATEWAY,
		{25, 587}},
	    {"mode = local; mode = local", "", false, CONFIG_LOCAL, {25}},
	    {"ports = [25, 2525, 99999]", "", true, CONFIG_GATEWAY, {25, 2525}},
	    {"ports = [x]", "", true, CONFIG_GATEWAY, {25}},
	    {"ports = 25; dns { forward = [x] }; domain x", "", true,
		CONFIG_GATEWAY, {25}},
	    {"mode = local }", "", false, CONFIG_GATEWAY, {25}},
	    {"mode = local }", "mode = gateway", true, CONFIG_GATEWAY, {25}},
	    {"mode = lokal", "mode = local; ports = [26]", true, CONFIG_LOCAL,
		{26}},
	    {"mode = local", "}", false, CONFIG_LOCAL, {25}},
	    {"mode = local", "mode = x", false, CONFIG_LOCAL, {25}},
	};
	struct config *config;
	bool knows_mode;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct gleaning *row = &rows[i];
		size_t n = 0;

		write_file(file_path, row->text, strlen(row->text));
		config = config_glean(file_path, row->overrides, &knows_mode);
		assert_non_null(config);
		assert_int_equal(knows_mode, row->knows_mode);
		assert_int_equal(config->mode, row->mode);
		while (n < 3 && row->ports[n] != 0)
			n++;
		assert_int_equal(config->port_count, n);
		assert_memory_equal(
		    config->ports, row->ports, n * sizeof(row->ports[0]));
		config_free(config);
	}
	config = config_glean("/nonexistent/file", "", &knows_mode);
	assert_non_null(config);
	assert_false(knows_mode);
	config_free(config);
}

static void
test_options_bounds(void **state)
{
	static char longest[OPTIONS_TEXT_MAX + 1];
	struct options options = {0};
	size_t i;

	(void)state;
	for (i = 0; i < CONFIG_INTERFACES_MAX; i++)
		assert_int_equal(
		    options_common(&options, 'i', "lan0"), OPTIONS_TAKEN);
	assert_int_equal(options_common(&options, 'i', "lan0"), OPTIONS_BAD);
	memset(longest, ' ', OPTIONS_TEXT_MAX - 2);
	assert_int_equal(options_common(&options, 'o', longest), OPTIONS_TAKEN);
	assert_int_equal(options_common(&options, 'o', ""), OPTIONS_BAD);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_errors),
	    cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_command_line),
	    cmocka_unit_test(test_overrides),
	    cmocka_unit_test(test_blocks),
	    cmocka_unit_test(test_gate_blocks),
	    cmocka_unit_test(test_json),
	    cmocka_unit_test(test_trust),
	    cmocka_unit_test(test_ended),
	    cmocka_unit_test(test_files),
	    cmocka_unit_test(test_many_blocks),
	    cmocka_unit_test(test_long_text),
	    cmocka_unit_test(test_options),
	    cmocka_unit_test(test_options_bounds),
	    cmocka_unit_test(test_glean),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
