/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sockaddr_in and sockaddr_in6, in and out, as the kernel would take them. */
#include "ip2vsock/addr.h"
#include "unit.h"

#include <arpa/inet.h>
#include <linux/vm_sockets.h>
#include <stddef.h>

static struct in6_addr ip6(const char *text)
{
	struct in6_addr ip;

	ck_assert_int_eq(inet_pton(AF_INET6, text, &ip), 1);
	return ip;
}

/* A sockaddr of that family with everything set; addresses as IPv6 text. */
static struct sockaddr_storage sockaddr_make(int family, const char *ip, uint16_t port, uint32_t scope)
{
	struct sockaddr_storage out = { 0 };
	struct in6_addr v6 = ip6(ip);

	if (family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)&out;

		in->sin_port = htons(port);
		memcpy(&in->sin_addr, v6.s6_addr + 12, 4);
	} else {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out;

		in6->sin6_port = htons(port);
		in6->sin6_flowinfo = htonl(0x12345);
		in6->sin6_addr = v6;
		in6->sin6_scope_id = scope;
	}
	out.ss_family = (sa_family_t)family;
	return out;
}

static const struct {
	int family;
	socklen_t len;
	bool ok;
	uint32_t scope; /* that is read; 7 is what the sockaddr has */
} reads[] = {
	{ AF_INET, 0, false, 0 },
	{ AF_INET, 1, false, 0 },
	{ AF_INET, 2, false, 0 },
	{ AF_INET, 8, false, 0 },
	{ AF_INET, 15, false, 0 },
	{ AF_INET, 16, true, 0 },
	{ AF_INET, 17, true, 0 },
	{ AF_INET, 28, true, 0 },
	{ AF_INET, 128, true, 0 },
	{ AF_INET6, 2, false, 0 },
	{ AF_INET6, 16, false, 0 },
	{ AF_INET6, 23, false, 0 },
	{ AF_INET6, 24, true, 0 }, /* SIN6_LEN_RFC2133 */
	{ AF_INET6, 27, true, 0 },
	{ AF_INET6, 28, true, 7 },
	{ AF_INET6, 128, true, 7 },
	{ AF_UNIX, 110, false, 0 },
	{ AF_VSOCK, 16, false, 0 },
	{ AF_UNSPEC, 16, false, 0 },
	{ AF_UNSPEC, 128, false, 0 },
};

START_TEST(test_read_takes_what_the_kernel_takes)
{
	struct sockaddr_storage sa = sockaddr_make(reads[_i].family == AF_INET ? AF_INET : AF_INET6,
						   "::ffff:10.0.0.3", 5432, 7);
	char *exact = malloc(reads[_i].len); /* a byte read past it is seen by sanitizers */
	struct ip_addr addr;

	sa.ss_family = (sa_family_t)reads[_i].family;
	memcpy(exact, &sa, reads[_i].len);
	ck_assert(ip_addr_read(exact, reads[_i].len, &addr) == reads[_i].ok);
	if (reads[_i].ok) {
		ck_assert_int_eq(addr.family, reads[_i].family);
		ck_assert_uint_eq(addr.port, 5432);
		ck_assert_uint_eq(addr.scope, reads[_i].scope);
		ck_assert(ip_addr_is_v4(&addr));
		ck_assert_uint_eq(ip_addr_v4(&addr), 0x0a000003);
	}
	free(exact);
}
END_TEST

START_TEST(test_read_takes_unaligned)
{
	struct sockaddr_storage sa = sockaddr_make(_i & 1 ? AF_INET6 : AF_INET, "::ffff:10.0.0.3", 80, 0);
	char buf[sizeof(sa) + 8];
	struct ip_addr addr;

	memcpy(buf + _i, &sa, sizeof(sa));
	ck_assert(ip_addr_read(buf + _i, 28, &addr));
	ck_assert_uint_eq(addr.port, 80);
	ck_assert_uint_eq(ip_addr_v4(&addr), 0x0a000003);
}
END_TEST

START_TEST(test_read_of_null_is_the_kernels)
{
	struct ip_addr addr;

	ck_assert(!ip_addr_read(NULL, 0, &addr));
	ck_assert(!ip_addr_read(NULL, 16, &addr));
}
END_TEST

static const struct {
	int family;
	const char *ip;
	uint16_t port;
	uint32_t scope;
	const char *text;
	bool v4, any, loopback;
} kinds[] = {
	{ AF_INET, "::ffff:10.0.0.3", 80, 0, "10.0.0.3:80", true, false, false },
	{ AF_INET, "::ffff:0.0.0.0", 0, 0, "0.0.0.0:0", true, true, false },
	{ AF_INET, "::ffff:127.0.0.1", 65535, 0, "127.0.0.1:65535", true, false, true },
	{ AF_INET, "::ffff:127.255.1.2", 1, 0, "127.255.1.2:1", true, false, true },
	{ AF_INET, "::ffff:128.0.0.1", 1, 0, "128.0.0.1:1", true, false, false },
	{ AF_INET, "::ffff:255.255.255.255", 1, 0, "255.255.255.255:1", true, false, false },
	{ AF_INET6, "::ffff:10.0.0.3", 80, 0, "10.0.0.3:80", true, false, false },
	{ AF_INET6, "::ffff:0.0.0.0", 80, 0, "0.0.0.0:80", true, true, false },
	{ AF_INET6, "::ffff:127.0.0.1", 80, 0, "127.0.0.1:80", true, false, true },
	{ AF_INET6, "::", 80, 0, "[::]:80", false, true, false },
	{ AF_INET6, "::1", 80, 0, "[::1]:80", false, false, true },
	{ AF_INET6, "::2", 80, 0, "[::2]:80", false, false, false },
	{ AF_INET6, "2001:db8::7", 443, 0, "[2001:db8::7]:443", false, false, false },
	{ AF_INET6, "fe80::1", 443, 3, "[fe80::1]:443", false, false, false },
	{ AF_INET6, "1111:2222:3333:4444:5555:6666:7777:8888", 65535, 9,
	  "[1111:2222:3333:4444:5555:6666:7777:8888]:65535", false, false, false },
	{ AF_INET6, "64:ff9b::ffff:10.0.0.3", 1, 0, "[64:ff9b::ffff:a00:3]:1", false, false, false },
};

START_TEST(test_write_is_read_reversed)
{
	struct sockaddr_storage sa = sockaddr_make(kinds[_i].family, kinds[_i].ip, kinds[_i].port,
						   kinds[_i].scope);
	socklen_t len = kinds[_i].family == AF_INET ? 16 : 28;
	struct ip_addr addr, again;
	struct sockaddr_storage out;

	if (kinds[_i].family == AF_INET6) /* is not carried */
		((struct sockaddr_in6 *)&sa)->sin6_flowinfo = 0;
	ck_assert(ip_addr_read(&sa, len, &addr));
	memset(&out, 0xaa, sizeof(out));
	ck_assert_uint_eq(ip_addr_write(&addr, &out), len);
	ck_assert_mem_eq(&out, &sa, sizeof(sa)); /* padding too */
	ck_assert(ip_addr_read(&out, len, &again));
	ck_assert_mem_eq(&again.ip, &addr.ip, sizeof(addr.ip));
	ck_assert_uint_eq(again.port, addr.port);
	ck_assert_uint_eq(again.scope, addr.scope);
	ck_assert_int_eq(again.family, addr.family);
}
END_TEST

START_TEST(test_kinds_and_text)
{
	struct ip_addr addr = { .family = (sa_family_t)kinds[_i].family, .port = kinds[_i].port };
	char buf[IP_ADDR_TEXT_SIZE];

	addr.ip = ip6(kinds[_i].ip);
	ck_assert(ip_addr_is_v4(&addr) == kinds[_i].v4);
	ck_assert(ip_addr_is_any(&addr) == kinds[_i].any);
	ck_assert(ip_addr_is_loopback(&addr) == kinds[_i].loopback);
	ck_assert_ptr_eq(ip_addr_text(&addr, buf), buf);
	ck_assert_str_eq(buf, kinds[_i].text);
}
END_TEST

START_TEST(test_ipv6_as_ipv4_is_any)
{
	struct ip_addr addr = { .family = AF_INET, .port = 80, .ip = ip6("2001:db8::7") };
	struct sockaddr_storage out;
	struct sockaddr_in in;

	ck_assert_uint_eq(ip_addr_write(&addr, &out), sizeof(in));
	memcpy(&in, &out, sizeof(in));
	ck_assert_int_eq(in.sin_family, AF_INET);
	ck_assert_uint_eq(in.sin_addr.s_addr, INADDR_ANY);
	ck_assert_uint_eq(ntohs(in.sin_port), 80);
}
END_TEST

START_TEST(test_from_v4)
{
	struct ip_addr addr = ip_addr_from_v4(0xc6120003, 443, AF_INET6);

	ck_assert_int_eq(addr.family, AF_INET6);
	ck_assert_uint_eq(addr.port, 443);
	ck_assert_uint_eq(addr.scope, 0);
	ck_assert_uint_eq(ip_addr_v4(&addr), 0xc6120003);
}
END_TEST

static const socklen_t rooms[] = { 0, 1, 2, 4, 8, 15, 16, 17, 28, 128 };

START_TEST(test_copy_out_fills_and_never_overruns)
{
	struct sockaddr_storage sa = sockaddr_make(AF_INET, "::ffff:10.0.0.3", 80, 0);
	socklen_t room = rooms[_i], len = room, filled = room < 16 ? room : 16;
	unsigned char buf[200];

	memset(buf, 0xaa, sizeof(buf));
	ip_addr_copy_out(&sa, 16, buf, &len);
	ck_assert_uint_eq(len, 16); /* the true length, however much fitted */
	ck_assert_int_eq(memcmp(buf, &sa, filled), 0);
	for (size_t i = filled; i < sizeof(buf); i++)
		ck_assert_uint_eq(buf[i], 0xaa);
}
END_TEST

START_TEST(test_copy_out_to_nowhere)
{
	struct sockaddr_storage sa = sockaddr_make(AF_INET, "::ffff:10.0.0.3", 80, 0);
	socklen_t len = 0;
	char buf[16] = "unchanged";

	ip_addr_copy_out(&sa, 16, NULL, NULL);
	ip_addr_copy_out(&sa, 16, NULL, &len);
	ck_assert_uint_eq(len, 16);
	ip_addr_copy_out(&sa, 16, buf, NULL);
	ck_assert_str_eq(buf, "unchanged");
}
END_TEST

static void fill(TCase *tc)
{
	TABLE_TEST(test_read_takes_what_the_kernel_takes, reads);
	tcase_add_loop_test(tc, test_read_takes_unaligned, 0, 8);
	tcase_add_test(tc, test_read_of_null_is_the_kernels);
	TABLE_TEST(test_write_is_read_reversed, kinds);
	TABLE_TEST(test_kinds_and_text, kinds);
	tcase_add_test(tc, test_ipv6_as_ipv4_is_any);
	tcase_add_test(tc, test_from_v4);
	TABLE_TEST(test_copy_out_fills_and_never_overruns, rooms);
	tcase_add_test(tc, test_copy_out_to_nowhere);
}

int main(void)
{
	return unit_run("addr", fill);
}
