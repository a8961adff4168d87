/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Datagrams on a stream: the hello, the lengths, and what is none of them. */
#include "unit.h"

#include "ip2vsock/dgram.h"

static const struct {
	uint32_t port, carrier;
} carriers[] = {
	{ 0, 0x55440000 },
	{ 53, 0x55440035 },
	{ 65535, 0x5544ffff },
	{ 65536, 0x55450000 },
	{ 0x55440035, 53 },
	{ 0xffffffff, 0xaabbffff },
};

START_TEST(test_a_carrier_port_is_that_of_one_port_and_leads_back)
{
	ck_assert_uint_eq(dgram_carrier_port(carriers[_i].port), carriers[_i].carrier);
	ck_assert_uint_eq(dgram_carrier_port(carriers[_i].carrier), carriers[_i].port);
}
END_TEST

static const struct {
	uint32_t port;
	const char *bytes;
} written[] = {
	{ 0, "i2vU\x01\0\0\0\0\0\0\0" },
	{ 53, "i2vU\x01\0\0\0\0\0\0\x35" },
	{ 40000, "i2vU\x01\0\0\0\0\0\x9c\x40" },
	{ 0x01020384, "i2vU\x01\0\0\0\x01\x02\x03\x84" },
	{ 0xfffffffe, "i2vU\x01\0\0\0\xff\xff\xff\xfe" },
};

START_TEST(test_a_hello_is_twelve_bytes_and_is_read_back)
{
	uint8_t hello[DGRAM_HELLO_SIZE + 1];
	uint32_t port = ~written[_i].port;

	memset(hello, '#', sizeof hello);
	dgram_hello_write(written[_i].port, hello);
	ck_assert_mem_eq(hello, written[_i].bytes, DGRAM_HELLO_SIZE);
	ck_assert_int_eq(hello[DGRAM_HELLO_SIZE], '#');
	ck_assert_int_eq(dgram_hello_read(hello, &port), DGRAM_HELLO_GOOD);
	ck_assert_uint_eq(port, written[_i].port);
}
END_TEST

static const struct {
	const char *bytes;
	enum dgram_hello verdict;
} others[] = {
	{ "GET / HTTP/1", DGRAM_HELLO_FOREIGN },
	{ "SSH-2.0-Open", DGRAM_HELLO_FOREIGN },
	{ "\0\0\0\0\0\0\0\0\0\0\0\0", DGRAM_HELLO_FOREIGN },
	{ "i2vu\x01\0\0\0\0\0\0\x35", DGRAM_HELLO_FOREIGN },
	{ "I2vU\x01\0\0\0\0\0\0\x35", DGRAM_HELLO_FOREIGN },
	{ "\0i2vU\x01\0\0\0\0\0\x35", DGRAM_HELLO_FOREIGN },
	{ "i2vU\0\0\0\0\0\0\0\x35", DGRAM_HELLO_VERSION },
	{ "i2vU\x02\0\0\0\0\0\0\x35", DGRAM_HELLO_VERSION },
	{ "i2vU\xff\xff\xff\xff\0\0\0\x35", DGRAM_HELLO_VERSION },
	{ "i2vU\x01\x01\0\0\0\0\0\x35", DGRAM_HELLO_VERSION },
	{ "i2vU\x01\0\x01\0\0\0\0\x35", DGRAM_HELLO_VERSION },
	{ "i2vU\x01\0\0\x01\0\0\0\x35", DGRAM_HELLO_VERSION },
};

START_TEST(test_other_bytes_are_no_hello_and_leave_the_port_alone)
{
	uint32_t port = 4711;

	ck_assert_int_eq(dgram_hello_read((const uint8_t *)others[_i].bytes, &port), others[_i].verdict);
	ck_assert_uint_eq(port, 4711);
}
END_TEST

static const struct {
	const char *bytes;
	size_t have;
	long size;
} records[] = {
	{ "", 0, 0 },
	{ "\x00", 1, 0 },
	{ "\xff", 1, 0 }, /* whatever follows */
	{ "\x00\x00", 2, 2 },
	{ "\x00\x00", 3, 2 }, /* another one follows */
	{ "\x00\x01", 2, 3 },
	{ "\x00\x01x", 3, 3 },
	{ "\x01\x00", 2, 258 },
	{ "\x05\xc0", 2, 1474 },
	{ "\xff\xe3", 2, 65509 },
	{ "\xff\xf7", 2, 65529 },
	{ "\xff\xf8", 2, -1 },
	{ "\xff\xff", 2, -1 },
	{ "\xff\xff", 3, -1 },
};

START_TEST(test_a_record_says_how_much_it_takes)
{
	ck_assert_int_eq(dgram_record_size((const uint8_t *)records[_i].bytes, records[_i].have), records[_i].size);
}
END_TEST

START_TEST(test_every_length_that_a_datagram_has_is_read_back)
{
	for (size_t size = 0; size <= DGRAM_MOST; size++) {
		uint8_t prefix[DGRAM_PREFIX_SIZE + 1] = { 0, 0, '#' };

		dgram_prefix_write(size, prefix);
		ck_assert_int_eq(dgram_record_size(prefix, DGRAM_PREFIX_SIZE), (long)(DGRAM_PREFIX_SIZE + size));
		ck_assert_int_eq(prefix[DGRAM_PREFIX_SIZE], '#');
	}
}
END_TEST

static void fill(TCase *tc)
{
	TABLE_TEST(test_a_carrier_port_is_that_of_one_port_and_leads_back, carriers);
	TABLE_TEST(test_a_hello_is_twelve_bytes_and_is_read_back, written);
	TABLE_TEST(test_other_bytes_are_no_hello_and_leave_the_port_alone, others);
	TABLE_TEST(test_a_record_says_how_much_it_takes, records);
	tcase_add_test(tc, test_every_length_that_a_datagram_has_is_read_back);
}

int main(void)
{
	return unit_run("dgram", fill);
}
