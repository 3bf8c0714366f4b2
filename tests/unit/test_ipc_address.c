/* SPDX-License-Identifier: ISC */
/* Addresses in messages: what was put is what is got, and nothing else. */

#include "proxy/base/ipc_address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mutate.h"
#include "proxy/base/address.h"
#include "proxy/base/ipc.h"

static struct ipc_message message;

static struct address
address_of(const char *text, uint16_t port, uint32_t scope)
{
	struct address address = {0};

	if (text != NULL)
		assert_int_equal(address_from_text(&address, text), 0);
	address.port = port;
	address.scope = scope;
	return address;
}

static void
test_round_trip(void **state)
{
	const struct address all[] = {
	    address_of("0.0.0.0", 0, 0),
	    address_of("255.255.255.255", 65535, 0),
	    address_of("::", 0, 0),
	    address_of("fe80::1", 25, UINT32_MAX),
	    address_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 1, 2),
	    address_of(NULL, 0, 0),
	};
	struct ipc_reader reader;
	struct address back;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		ipc_compose(&message, 1, 0);
		ipc_put_address(&message, &all[i]);
		assert_false(message.is_bad);
		reader = (struct ipc_reader){
		    .data = message.data, .len = message.len};
		memset(&back, 0xa5, sizeof(back));
		assert_int_equal(ipc_get_address(&reader, &back), 0);
		assert_int_equal(ipc_end(&reader), 0);
		assert_memory_equal(&back, &all[i], sizeof(back));
	}
}

/* Whatever is taken for an address is written back as the very same bytes. */
static void
try(const uint8_t *data, size_t len)
{
	struct ipc_reader reader = {.data = data, .len = len};
	struct address address;

	if (ipc_get_address(&reader, &address) == -1) {
		assert_int_equal(ipc_end(&reader), -1);
		return;
	}
	assert_true(address.family == AF_INET || address.family == AF_INET6 ||
		    address.family == AF_UNSPEC);
	ipc_compose(&message, 1, 0);
	ipc_put_address(&message, &address);
	assert_int_equal(message.len, reader.pos);
	assert_memory_equal(message.data, data, message.len);
}

static void
test_spoilt(void **state)
{
	const struct address all[] = {
	    address_of("192.0.2.1", 25, 0),
	    address_of("2001:db8::1", 25, 7),
	    address_of(NULL, 0, 0),
	};
	uint8_t data[64];
	size_t len, i;

	(void)state;
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		ipc_compose(&message, 1, 0);
		ipc_put_address(&message, &all[i]);
		len = message.len;
		assert_true(len <= sizeof(data));
		memcpy(data, message.data, len);
		mutate(data, len, try);
	}
}

/* A kind, and bytes of another kind's length. */
static void
test_lengths_that_differ(void **state)
{
	static const uint8_t kinds[] = {0, 4, 6};
	static const size_t lengths[] = {0, 4, 16};
	struct ipc_reader reader;
	struct address address;
	uint8_t bytes[17] = {0};
	size_t kind, len;

	(void)state;
	for (kind = 0; kind < sizeof(kinds); kind++)
		for (len = 0; len <= sizeof(bytes); len++) {
			ipc_compose(&message, 1, 0);
			ipc_put_u8(&message, kinds[kind]);
			ipc_put_mem(&message, bytes, len);
			ipc_put_u16(&message, 25);
			ipc_put_u32(&message, 0);
			reader = (struct ipc_reader){
			    .data = message.data, .len = message.len};
			assert_int_equal(ipc_get_address(&reader, &address),
			    len == lengths[kind] ? 0 : -1);
			assert_int_equal(
			    ipc_end(&reader), len == lengths[kind] ? 0 : -1);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_spoilt),
	    cmocka_unit_test(test_lengths_that_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
