/* SPDX-License-Identifier: ISC */
/* A name for an address, and for no other one, whatever shares its place. */

#include "proxy/session/hints.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/address.h"
#include "proxy/base/clock.h"
#include "proxy/policy/decision.h"

static struct hints *hints;

static int
setup(void **state)
{
	(void)state;
	return (hints = hints_new()) == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	hints_free(hints);
	return 0;
}

static struct address
address_of(const char *ip, uint16_t port)
{
	struct address address;

	assert_int_equal(address_from_text(&address, ip), 0);
	address.port = port;
	return address;
}

static const uint8_t policy[TLS_POLICY_LEN] = {7};

static const char *
hint_of(const struct address *address)
{
	struct tls_target target = {.address = *address, .sni = "old"};

	hints_get(hints, &target);
	/* The policy comes with the name, or not at all. */
	assert_int_equal(target.policy[0], target.sni != NULL ? 7 : 0);
	return target.sni;
}

static void
assert_hint(const struct address *address, const char *name)
{
	const char *hint = hint_of(address);

	if (name == NULL)
		assert_null(hint);
	else {
		assert_non_null(hint);
		assert_string_equal(hint, name);
	}
}

static void
test_put_and_drop(void **state)
{
	struct address a = address_of("192.0.2.1", 25);
	struct address b = address_of("2001:db8::1", 25);

	(void)state;
	assert_hint(&a, NULL);
	hints_put(hints, &a, "mx.a.example", policy);
	hints_put(hints, &b, "mx.b.example", policy);
	assert_hint(&a, "mx.a.example");
	assert_hint(&b, "mx.b.example");
	hints_put(hints, &a, "mx2.a.example", policy);
	assert_hint(&a, "mx2.a.example");
	hints_drop(hints, &a);
	assert_hint(&a, NULL);
	assert_hint(&b, "mx.b.example");
}

/* Another port is another server. */
static void
test_ports_count(void **state)
{
	struct address a = address_of("192.0.2.1", 25);
	struct address b = address_of("192.0.2.1", 587);

	(void)state;
	hints_put(hints, &a, "mx.a.example", policy);
	assert_hint(&b, NULL);
	hints_drop(hints, &b);
	assert_hint(&a, "mx.a.example");
}

/* What shares a place takes it, and never gets the other's name. */
static void
test_collisions(void **state)
{
	struct address all[2 * HINTS_MAX];
	size_t count = sizeof(all) / sizeof(all[0]), left = 0, i;
	char text[32], name[32];
	const char *hint;

	(void)state;
	for (i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "10.0.%zu.%zu", i / 256, i % 256);
		snprintf(name, sizeof(name), "mx%zu.example", i);
		all[i] = address_of(text, 25);
		hints_put(hints, &all[i], name, policy);
		assert_hint(&all[i], name);
	}
	for (i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "mx%zu.example", i);
		if ((hint = hint_of(&all[i])) == NULL)
			continue;
		assert_string_equal(hint, name);
		left++;
	}
	assert_in_range(left, 1, HINTS_MAX);
	/* Nor does dropping one that is gone take the one in its place. */
	for (i = 0; i < count; i++)
		if (hint_of(&all[i]) == NULL)
			hints_drop(hints, &all[i]);
	for (i = 0; i < count; i++)
		left -= hint_of(&all[i]) != NULL;
	assert_int_equal(left, 0);
}

static void
test_longest_name(void **state)
{
	struct address a = address_of("192.0.2.1", 25);
	char name[DECISION_NAME_MAX];

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	hints_put(hints, &a, name, policy);
	assert_hint(&a, name);
}

/* What a connection to the address begins with, and whether it is proved. */
static void
assert_guess(const struct address *address, const char *name, bool is_proved)
{
	struct tls_target target = {.address = *address, .sni = "old"};

	hints_get(hints, &target);
	if (name == NULL)
		assert_null(target.sni);
	else {
		assert_non_null(target.sni);
		assert_string_equal(target.sni, name);
	}
	assert_int_equal(target.policy[0], is_proved ? 7 : 0);
}

static void
guess(const struct address *address, const char *name, int64_t seconds)
{
	hints_guess(
	    hints, address, name, clock_monotonic_ms() + seconds * 1000);
}

/* A guess comes first, whatever the port; a policy is for a proved name. */
static void
test_guess(void **state)
{
	struct address bare = address_of("192.0.2.1", 0);
	struct address a = address_of("192.0.2.1", 25);
	struct address b = address_of("192.0.2.1", 587);
	struct address other = address_of("192.0.2.2", 25);
	struct address ipv6 = address_of("2001:db8::1", 25);

	(void)state;
	guess(&bare, "mx.a.example", 60);
	assert_guess(&a, "mx.a.example", false);
	assert_guess(&b, "mx.a.example", false);
	assert_guess(&other, NULL, false);
	hints_put(hints, &a, "mx.a.example", policy);
	assert_guess(&a, "mx.a.example", true);
	assert_guess(&b, "mx.a.example", false); /* proved elsewhere */
	guess(&bare, "mx.b.example", 60);
	assert_guess(&a, "mx.b.example", false);
	guess(&ipv6, "mx.c.example", 60);
	assert_guess(&ipv6, "mx.c.example", false);
}

/* What was proved is behind it again once it is of no more worth. */
static void
test_guess_ends(void **state)
{
	struct address bare = address_of("192.0.2.1", 0);
	struct address a = address_of("192.0.2.1", 25);

	(void)state;
	hints_put(hints, &a, "mx.a.example", policy);
	guess(&bare, "mx.b.example", 0);
	assert_guess(&a, "mx.a.example", true);
	guess(&bare, "mx.b.example", -86400);
	assert_guess(&a, "mx.a.example", true);
	hints_guess(hints, &bare, "mx.b.example", INT64_MIN);
	assert_guess(&a, "mx.a.example", true);
	hints_guess(hints, &bare, "mx.b.example", INT64_MAX);
	assert_guess(&a, "mx.b.example", false);
}

static void
test_guess_is_forgotten(void **state)
{
	struct address bare = address_of("192.0.2.1", 0);
	struct address a = address_of("192.0.2.1", 25);

	(void)state;
	guess(&bare, "mx.b.example", 60);
	hints_put(hints, &a, "mx.a.example", policy); /* it was wrong */
	assert_guess(&a, "mx.a.example", true);
	guess(&bare, "mx.a.example", 60);
	hints_put(hints, &a, "mx.a.example", policy); /* it was right */
	hints_drop(hints, &a);
	assert_guess(&a, NULL, false);
	guess(&bare, "", 60); /* none */
	assert_guess(&a, NULL, false);
}

/* Guesses that share a place, and a proof of one's neighbour. */
static void
test_guesses_collide(void **state)
{
	struct address all[2 * HINTS_MAX];
	struct tls_target target = {0};
	size_t count = sizeof(all) / sizeof(all[0]), left = 0, i;
	char text[32], name[32];

	(void)state;
	for (i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "10.0.%zu.%zu", i / 256, i % 256);
		snprintf(name, sizeof(name), "mx%zu.example", i);
		all[i] = address_of(text, 25);
		guess(&all[i], name, 60);
		assert_guess(&all[i], name, false);
	}
	for (i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "mx%zu.example", i);
		target.address = all[i];
		hints_get(hints, &target);
		if (target.sni == NULL) {
			hints_drop(hints, &all[i]); /* nobody else's */
			continue;
		}
		assert_string_equal(target.sni, name);
		left++;
	}
	assert_in_range(left, 1, HINTS_MAX);
	for (i = 0; i < count; i++) {
		target.address = all[i];
		hints_get(hints, &target);
		left -= target.sni != NULL;
	}
	assert_int_equal(left, 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_put_and_drop),
	    TEST(test_ports_count),
	    TEST(test_collisions),
	    TEST(test_longest_name),
	    TEST(test_guess),
	    TEST(test_guess_ends),
	    TEST(test_guess_is_forgotten),
	    TEST(test_guesses_collide),
	};

	return cmocka_run_group_tests_name("hints", tests, NULL, NULL);
}
