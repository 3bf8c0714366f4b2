/* SPDX-License-Identifier: ISC */
/* The settings as a value: defaults, and the way to a child and back. */

#include "proxy/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "mutate.h"
#include "proxy/config_file.h"

#define ROOT_KEY "/usr/share/dns/root.key"

/* Nothing in it as it is by default. */
static const char everything[] =
    "mode = gateway; interfaces = [lan0, lan1]; ports = [25, 2525];\n"
    "inbound = [wan0];\n"
    "listen_port = 10026; keep_source_address = false;\n"
    "own_connections = uid; mark = 0x200; route_table = 77;\n"
    "route_priority = 78; manage_rules = false; keep_rules = false;\n"
    "workers = 3; user = mail; require_dnssec = true; on_refusal = bounce;\n"
    "enforce = false; state = \"redis://cache.example/1\";\n"
    "state_directory = \"/var/lib/other\";\n"
    "mta_sts { testing = enforce; timeout = 12 }\n"
    "trust = \"/proc/self/fd/%1$d\";\n"
    "dns { forward = [\"192.0.2.53\", \"[2001:db8::53]:5353\"];\n"
    "  root_hints = \"/dev/null\"; trust_anchor = \"/dev/zero\";\n"
    "  timeout = 11 }\n"
    "timeouts { connect = 31; greeting = 32; handshake = 33; command = 34;\n"
    "  reply = 35; data_initiation = 36; data_block = 37;\n"
    "  data_termination = 38; decision = 39; drain = 40 }\n"
    "limits { sessions = 41; sessions_per_client = 42;\n"
    "  connection_rate = 43 }\n"
    "gate { admission = on; watch_dns = false; queue = 44; queues = 5 }\n"
    "log { format = json; to = syslog; addresses = full; verbose = true }\n"
    "server one { match = [192.0.2.1, mx.example.net]; auth = true;\n"
    "  names = [a.example, b.example];\n"
    "  pins = [47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=] }\n"
    "server two { match = [\"2001:db8::/32\"]; level = encrypt;\n"
    "  until = 2090-01-31 }\n"
    "domain c.example { trust = \"/proc/self/fd/%2$d\" }\n"
    "domain *.c.example { level = none }\n"
    "domain d.example { level = observe }\n"
    "client c { match = [192.0.2.1, \"2001:db8::/32\"];\n"
    "  interfaces = [lan0, lan1]; marks = [7, \"0x10/0x30\"];\n"
    "  verdict = exempt; connection_rate = 45 }\n"
    "client all { sessions = 46 }\n"
    "destination d { match = [198.51.100.0/24]; verdict = reject }\n"
    "destination e { match = [\"::/0\"] }\n";

static int
file_of(const void *data, size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd != -1);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	return fd;
}

static int
pem_file(const char *more)
{
	char pem[128];
	int len = snprintf(
	    pem, sizeof(pem), "-----BEGIN CERTIFICATE-----\n%s\n", more);

	return file_of(pem, (size_t)len);
}

static struct config *
load_everything(void)
{
	struct config *config;
	char text[4096], path[64], error[CONFIG_ERROR_MAX];
	int one = pem_file("one"), two = pem_file("two and more"), file;

	file = file_of(
	    text, (size_t)snprintf(text, sizeof(text), everything, one, two));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	if ((config = config_load(path, NULL, error)) == NULL)
		fail_msg("%s", error);
	close(one);
	close(two);
	close(file);
	return config;
}

static void
assert_strings(char *const *a, size_t a_count, char *const *b, size_t b_count)
{
	assert_int_equal(a_count, b_count);
	for (size_t i = 0; i < a_count; i++)
		assert_string_equal(a[i], b[i]);
}

static void
assert_same_text(const char *a, const char *b)
{
	assert_int_equal(a == NULL, b == NULL);
	if (a != NULL)
		assert_string_equal(a, b);
}

/* Compares what the pointers lead to, then the rest of it byte by byte. */
static void
assert_rules(const struct rule *a, const struct rule *b, size_t count)
{
	struct rule x, y;

	for (; count > 0; count--, a++, b++) {
		assert_same_text(a->name, b->name);
		assert_same_text(a->trust, b->trust);
		assert_same_text(a->origin, b->origin);
		assert_strings(
		    a->matches, a->match_count, b->matches, b->match_count);
		assert_strings(
		    a->names, a->name_count, b->names, b->name_count);
		assert_int_equal(a->pin_count, b->pin_count);
		if (a->pin_count > 0)
			assert_memory_equal(
			    a->pins, b->pins, a->pin_count * 32);
		memcpy(&x, a, sizeof(x));
		memcpy(&y, b, sizeof(y));
		x.name = x.trust = x.origin = NULL;
		y.name = y.trust = y.origin = NULL;
		x.matches = x.names = y.matches = y.names = NULL;
		x.pins = y.pins = NULL;
		assert_memory_equal(&x, &y, sizeof(x));
	}
}

static void
assert_admission(const struct admission_rule *a, const struct admission_rule *b,
    size_t count)
{
	for (; count > 0; count--, a++, b++) {
		assert_same_text(a->name, b->name);
		assert_same_text(a->origin, b->origin);
		assert_strings(
		    a->matches, a->match_count, b->matches, b->match_count);
		assert_strings(a->interfaces, a->interface_count, b->interfaces,
		    b->interface_count);
		assert_strings(
		    a->marks, a->mark_count, b->marks, b->mark_count);
		assert_int_equal(a->verdict, b->verdict);
		assert_int_equal(a->connection_rate, b->connection_rate);
		assert_int_equal(a->sessions, b->sessions);
	}
}

static void
clear_pointers(struct config *config)
{
	config->interfaces = config->inbound = NULL;
	config->user = config->trust = NULL;
	config->state = config->state_directory = NULL;
	config->dns.root_hints = config->dns.trust_anchor = NULL;
	config->servers = config->domains = NULL;
	config->clients = config->destinations = NULL;
	config->trusts = NULL;
}

static void
assert_same(const struct config *a, const struct config *b)
{
	struct config x, y;

	assert_strings(
	    a->inbound, a->inbound_count, b->inbound, b->inbound_count);
	assert_strings(a->interfaces, a->interface_count, b->interfaces,
	    b->interface_count);
	assert_same_text(a->user, b->user);
	assert_same_text(a->trust, b->trust);
	assert_same_text(a->state, b->state);
	assert_same_text(a->state_directory, b->state_directory);
	assert_same_text(a->dns.root_hints, b->dns.root_hints);
	assert_same_text(a->dns.trust_anchor, b->dns.trust_anchor);
	assert_int_equal(a->server_count, b->server_count);
	assert_rules(a->servers, b->servers, a->server_count);
	assert_int_equal(a->domain_count, b->domain_count);
	assert_rules(a->domains, b->domains, a->domain_count);
	assert_int_equal(a->client_count, b->client_count);
	assert_admission(a->clients, b->clients, a->client_count);
	assert_int_equal(a->destination_count, b->destination_count);
	assert_admission(
	    a->destinations, b->destinations, a->destination_count);
	assert_int_equal(a->trust_count, b->trust_count);
	for (size_t i = 0; i < a->trust_count; i++) {
		assert_string_equal(a->trusts[i].path, b->trusts[i].path);
		assert_int_equal(a->trusts[i].len, b->trusts[i].len);
		assert_memory_equal(
		    a->trusts[i].pem, b->trusts[i].pem, a->trusts[i].len);
	}
	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	clear_pointers(&x);
	clear_pointers(&y);
	assert_memory_equal(&x, &y, sizeof(x));
}

/* The bytes that a child would get; the caller frees them. */
static uint8_t *
bytes_of(const struct config *config, size_t *len)
{
	uint8_t *data;
	off_t size;
	int fd;

	assert_true((fd = config_to_fd(config)) != -1);
	assert_true((size = lseek(fd, 0, SEEK_END)) > 0);
	*len = (size_t)size;
	assert_non_null(data = malloc(*len));
	assert_int_equal(pread(fd, data, *len, 0), size);
	close(fd);
	return data;
}

static struct config *
config_of(const uint8_t *data, size_t len)
{
	struct config *config;
	int fd = file_of(data, len), saved;

	config = config_from_fd(fd);
	saved = errno;
	close(fd);
	errno = saved;
	return config;
}

/* As the manual page says. */
static void
test_defaults(void **state)
{
	struct config *config = config_new();

	(void)state;
	assert_non_null(config);
	assert_int_equal(config->mode, CONFIG_GATEWAY);
	assert_int_equal(config->interface_count, 0);
	assert_int_equal(config->port_count, 1);
	assert_int_equal(config->ports[0], 25);
	assert_int_equal(config->listen_port, 10025);
	assert_true(config->keep_source_address);
	assert_int_equal(config->own_connections, CONFIG_OWN_AUTO);
	assert_int_equal(config->mark, 0x100);
	assert_int_equal(config->route_table, 25925);
	assert_int_equal(config->route_priority, 925);
	assert_true(config->manage_rules && config->keep_rules);
	assert_int_equal(config->workers, 0);
	assert_string_equal(config->user, "postern");
	assert_string_equal(
	    config->trust, "/etc/ssl/certs/ca-certificates.crt");
	assert_false(config->require_dnssec);
	assert_int_equal(config->on_refusal, CONFIG_DEFER);
	assert_int_equal(config->dns.forward_count, 0);
	assert_null(config->dns.root_hints);
	assert_string_equal(config->dns.trust_anchor, ROOT_KEY);
	assert_int_equal(config->dns.timeout, 10);
	/* RFC 5321 4.5.3.2 */
	assert_int_equal(config->timeouts.greeting, 300);
	assert_int_equal(config->timeouts.command, 300);
	assert_int_equal(config->timeouts.reply, 300);
	assert_int_equal(config->timeouts.data_initiation, 120);
	assert_int_equal(config->timeouts.data_block, 180);
	assert_int_equal(config->timeouts.data_termination, 600);
	assert_int_equal(config->timeouts.connect, 30);
	assert_int_equal(config->timeouts.handshake, 60);
	assert_int_equal(config->timeouts.decision, 60);
	assert_int_equal(config->timeouts.drain, 60);
	assert_int_equal(config->limits.sessions, 8192);
	assert_int_equal(config->limits.sessions_per_client, 256);
	assert_int_equal(config->limits.connection_rate, 200);
	assert_int_equal(config->gate.admission, CONFIG_GATE_AUTO);
	assert_true(config->gate.watch_dns);
	assert_int_equal(config->gate.queue, 925);
	assert_int_equal(config->gate.queues, 4);
	assert_int_equal(config->log.format, LOG_FORMAT_TEXT);
	assert_int_equal(config->log.to, LOG_TO_AUTO);
	assert_false(config->log.full_addresses || config->log.verbose);
	assert_int_equal(config->server_count + config->domain_count, 0);
	assert_int_equal(config->client_count + config->destination_count, 0);
	assert_null(config_trust_get(config, NULL));
	config_free(config);
	config_free(NULL);
}

static void
test_round_trip(void **state)
{
	struct config *all[] = {config_new(), load_everything()};
	struct config *back;
	uint8_t *data;
	size_t i, len;

	(void)state;
	for (i = 0; i < 2; i++) {
		data = bytes_of(all[i], &len);
		assert_non_null(back = config_of(data, len));
		assert_same(all[i], back);
		config_free(back);
		config_free(all[i]);
		free(data);
	}
}

static void
test_trust_get(void **state)
{
	struct config *config = load_everything();
	const struct config_trust *trust;

	(void)state;
	assert_int_equal(config->trust_count, 2);
	assert_non_null(trust = config_trust_get(config, NULL));
	assert_string_equal(trust->path, config->trust);
	assert_non_null(strstr(trust->pem, "one"));
	assert_ptr_equal(config_trust_get(config, config->trust), trust);
	trust = config_trust_get(config, config->domains[0].trust);
	assert_non_null(trust);
	assert_non_null(strstr(trust->pem, "two"));
	assert_null(config_trust_get(config, "/nowhere"));
	config_free(config);
}

/* What the parent handed over, nobody can change. */
static void
test_sealed(void **state)
{
	struct config *config = config_new();
	int fd = config_to_fd(config);

	(void)state;
	assert_true(fd != -1);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 1 << 20), -1);
	close(fd);
	config_free(config);
}

/*
 * Refused with EPROTO, or read: then it is whole, since it can be written
 * again.
 */
static void
try(const uint8_t *data, size_t len)
{
	struct config *config = config_of(data, len);
	uint8_t *again;
	size_t again_len;

	if (config == NULL) {
		assert_int_equal(errno, EPROTO);
		return;
	}
	again = bytes_of(config, &again_len);
	assert_int_equal(again_len, len);
	assert_memory_equal(again, data, len);
	free(again);
	config_free(config);
}

static void
test_spoilt(void **state)
{
	struct config *config = load_everything();
	size_t len;
	uint8_t *data = bytes_of(config, &len);

	(void)state;
	mutate(data, len, try);
	free(data);
	config_free(config);
}

static void
test_cut_or_longer(void **state)
{
	struct config *config = load_everything();
	size_t len, i;
	uint8_t *data = bytes_of(config, &len), *longer;

	(void)state;
	for (i = 0; i < len; i++) {
		assert_null(config_of(data, i));
		assert_int_equal(errno, EPROTO);
	}
	assert_non_null(longer = realloc(data, len + 1));
	longer[len] = 0;
	assert_null(config_of(longer, len + 1));
	assert_int_equal(errno, EPROTO);
	free(longer);
	config_free(config);
}

/* Replaces one piece of what a child would get, and expects a refusal. */
static void
assert_refused_with(const struct config *config, const void *old,
    size_t old_len, const void *new, size_t new_len)
{
	size_t len, before;
	uint8_t *data = bytes_of(config, &len), *at;

	assert_true(new_len <= old_len);
	assert_non_null(at = memmem(data, len, old, old_len));
	before = (size_t)(at - data);
	memcpy(at, new, new_len);
	memmove(at + new_len, at + old_len, len - before - old_len);
	assert_null(config_of(data, len - (old_len - new_len)));
	assert_int_equal(errno, EPROTO);
	free(data);
}

/* What no writer writes, though its lengths are right. */
static void
test_bad_values(void **state)
{
	static const char string[] = "\x09\0\0\0/dev/zero";
	static const char with_nul[] = "\x09\0\0\0/dev\0zero";
	static const char none[] = "\xff\xff\xff\xff";
	struct config *config = load_everything();
	struct address address = config->dns.forward[0];

	(void)state;
	assert_refused_with(
	    config, string, sizeof(string) - 1, with_nul, sizeof(with_nul) - 1);
	assert_refused_with(
	    config, string, sizeof(string) - 1, none, sizeof(none) - 1);
	address.family = AF_UNIX;
	assert_refused_with(config, &config->dns.forward[0], sizeof(address),
	    &address, sizeof(address));
	config_free(config);
}

/* The head: 16 bytes of name, four that tell the version. */
static void
test_other_version(void **state)
{
	struct config *config = config_new();
	size_t len, i;
	uint8_t *data = bytes_of(config, &len);

	(void)state;
	for (i = 0; i < 20; i++) {
		data[i] ^= 0x20;
		assert_null(config_of(data, len));
		assert_int_equal(errno, EPROTO);
		data[i] ^= 0x20;
	}
	assert_null(config_from_fd(-1));
	assert_int_equal(errno, EBADF);
	free(data);
	config_free(config);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_trust_get),
	    cmocka_unit_test(test_sealed),
	    cmocka_unit_test(test_spoilt),
	    cmocka_unit_test(test_cut_or_longer),
	    cmocka_unit_test(test_bad_values),
	    cmocka_unit_test(test_other_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
