/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text built piece by piece: numbers, quoting, and what happens at the end of the buffer. */
#include "unit.h"

static const struct {
	int64_t value;
	const char *text;
} ints[] = {
	{ 0, "0" },
	{ 7, "7" },
	{ -1, "-1" },
	{ 10, "10" },
	{ INT64_MAX, "9223372036854775807" },
	{ INT64_MIN, "-9223372036854775808" },
};

START_TEST(test_int)
{
	char buf[32];
	struct text text;

	text_init(&text, buf, sizeof(buf));
	text_int(&text, ints[_i].value);
	ck_assert_str_eq(buf, ints[_i].text);
	ck_assert_uint_eq(text.len, strlen(ints[_i].text));
}
END_TEST

static const struct {
	uint64_t value;
	const char *decimal, *hex;
} uints[] = {
	{ 0, "0", "0x0" },
	{ 255, "255", "0xff" },
	{ UINT64_MAX, "18446744073709551615", "0xffffffffffffffff" },
};

START_TEST(test_uint_and_hex)
{
	char buf[64], want[64];
	struct text text;

	text_init(&text, buf, sizeof(buf));
	text_uint(&text, uints[_i].value);
	text_str(&text, " ");
	text_hex(&text, uints[_i].value);
	strcpy(want, uints[_i].decimal);
	strcat(want, " ");
	strcat(want, uints[_i].hex);
	ck_assert_str_eq(buf, want);
}
END_TEST

static const struct {
	const char *bytes;
	size_t len;
	const char *text;
} quoted[] = {
	{ "", 0, "\"\"" },
	{ "90-80", 5, "\"90-80\"" },
	{ "a\"b\\c", 5, "\"a\\\"b\\\\c\"" },
	{ "a\0b", 3, "\"a\\x00b\"" },
	{ "\n\x7f\xc3\xa4", 4, "\"\\x0a\\x7f\\xc3\\xa4\"" },
	{ "123456789012345678901234567890123456789012345678901234567890", 60,
	  "\"123456789012345678901234567890123456789012345678901234567890\"" },
	{ "123456789012345678901234567890123456789012345678901234567890x", 61,
	  "\"123456789012345678901234567890123456789012345678901234567890...\"" },
};

START_TEST(test_quoted)
{
	char buf[128];
	struct text text;

	text_init(&text, buf, sizeof(buf));
	text_quoted(&text, quoted[_i].bytes, quoted[_i].len);
	ck_assert_str_eq(buf, quoted[_i].text);
}
END_TEST

START_TEST(test_every_buffer_size_is_filled_not_overrun)
{
	static const char want[] = "\"a\\x01\" is 4294967295 0xff";
	char buf[sizeof(want) + 1];
	size_t size = (size_t)_i;
	struct text text;

	memset(buf, '#', sizeof(buf));
	text_init(&text, buf, size);
	text_quoted(&text, "a\x01", 2);
	text_str(&text, " is ");
	text_uint(&text, UINT32_MAX);
	text_str(&text, " ");
	text_hex(&text, 255);
	if (size > 0) {
		ck_assert_uint_eq(text.len, size - 1 < strlen(want) ? size - 1 : strlen(want));
		ck_assert_int_eq(strncmp(buf, want, text.len), 0);
		ck_assert_int_eq(buf[text.len], '\0');
	}
	ck_assert_int_eq(buf[size], '#');
}
END_TEST

static void fill(TCase *tc)
{
	TABLE_TEST(test_int, ints);
	TABLE_TEST(test_uint_and_hex, uints);
	TABLE_TEST(test_quoted, quoted);
	tcase_add_loop_test(tc, test_every_buffer_size_is_filled_not_overrun, 0, 27);
}

int main(void)
{
	return unit_run("text", fill);
}
