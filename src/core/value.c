/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What single words of the mapping language mean. */
#include "core/value.h"
#include "ip2vsock/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* `before`, the offending text in quotes, `after`. Always false, to be returned. */
static bool fault(struct why *why, const char *before, struct slice slice, const char *after)
{
	why->at = slice.text;
	text_str(&why->text, before);
	text_quoted(&why->text, slice.text, slice.length);
	text_str(&why->text, after);
	return false;
}

static bool fault_plain(struct why *why, struct slice slice, const char *text)
{
	why->at = slice.text;
	text_str(&why->text, text);
	return false;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Decimal digits only. Whatever does not fit is UINT64_MAX. */
static bool number_read(struct slice slice, uint64_t *out)
{
	uint64_t value = 0;

	for (size_t i = 0; i < slice.length; i++) {
		if (!is_digit(slice.text[i]))
			return false;
		value = value > UINT64_MAX / 10 - 1 ? UINT64_MAX / 10
						    : value * 10 + (uint64_t)(slice.text[i] - '0');
	}
	*out = value >= UINT64_MAX / 10 - 1 ? UINT64_MAX : value;
	return slice.length > 0;
}

static bool port_read(struct slice slice, uint32_t max, uint32_t *out, struct why *why)
{
	uint64_t value;

	if (!number_read(slice, &value))
		return fault(why, "", slice, " is not a port (a number, a range such as 80-90, or \"*\")");
	if (value == 0)
		return fault_plain(why, slice, "port 0 cannot be asked for (write \"*\")");
	if (value > max) {
		fault(why, "port ", slice, " is too large (1 to ");
		text_uint(&why->text, max);
		text_str(&why->text, ")");
		return false;
	}
	*out = (uint32_t)value;
	return true;
}

bool value_ports(struct slice slice, uint32_t max, struct ports *out, struct why *why)
{
	size_t dash = slice_find(slice, '-');
	struct ports ports = { .high = max, .any = slice_is(slice, "*") };
	uint64_t ignored;

	if (slice.length == 0)
		return fault_plain(why, slice,
				   "port is missing (a number, a range such as 80-90, or \"*\")");
	if (ports.any) {
		*out = ports;
		return true;
	}
	if (dash == SLICE_NONE || !number_read(slice_before(slice, dash), &ignored) ||
	    !number_read(slice_after(slice, dash), &ignored)) {
		if (!port_read(slice, max, &ports.low, why))
			return false;
		ports.high = ports.low;
	} else {
		if (!port_read(slice_before(slice, dash), max, &ports.low, why) ||
		    !port_read(slice_after(slice, dash), max, &ports.high, why))
			return false;
		if (ports.low > ports.high)
			return fault(why, "port range ", slice, " ends before it begins");
	}
	*out = ports;
	return true;
}

bool value_cid(struct slice slice, enum rule_direction direction, uint32_t *out, struct why *why)
{
	static const struct {
		const char *name;
		uint32_t cid;
	} names[] = {
		{ "host", VMADDR_CID_HOST },
		{ "local", VMADDR_CID_LOCAL },
		{ "hypervisor", VMADDR_CID_HYPERVISOR },
		{ "any", VMADDR_CID_ANY },
	};
	uint64_t value;

	for (size_t i = 0; i < N_ELEMENTS(names); i++) {
		if (!slice_is(slice, names[i].name))
			continue;
		if (names[i].cid == VMADDR_CID_ANY && direction != RULE_LISTEN)
			return fault(why, "CID ", slice, " is for listen only");
		*out = names[i].cid;
		return true;
	}
	if (slice.length == 0)
		return fault_plain(why, slice, "CID is missing");
	if (!number_read(slice, &value))
		return fault(why, "unknown CID ", slice,
			     direction == RULE_LISTEN
				     ? " (host, local, hypervisor, any or a number)"
				     : " (host, local, hypervisor or a number)");
	if (value >= (uint32_t)VMADDR_CID_ANY)
		return fault(why, "CID ", slice, " is too large (0 to 4294967294)");
	*out = (uint32_t)value;
	return true;
}

/* inet_pton(3) for a piece of text. */
static bool ip_read(int family, struct slice slice, void *out)
{
	char text[INET6_ADDRSTRLEN];

	if (slice.length >= sizeof(text))
		return false;
	memcpy(text, slice.text, slice.length);
	text[slice.length] = '\0';
	return inet_pton(family, text, out) == 1;
}

static bool v4_read(struct slice slice, struct in6_addr *out, struct why *why)
{
	struct in_addr v4;

	if (!ip_read(AF_INET, slice, &v4))
		return fault(why, "", slice, " is not an IPv4 address");
	*out = ip_addr_from_v4(ntohl(v4.s_addr), 0, AF_INET).ip;
	return true;
}

static const char not_v6[] = " is not an IPv6 address";

static bool v6_read(struct slice slice, struct in6_addr *out, const char *wanted, struct why *why)
{
	size_t zone = slice_find(slice, '%');

	if (zone != SLICE_NONE) {
		struct slice rest = { slice.text + zone, slice.length - zone };

		return fault(why, "zone ", rest, " cannot be part of a rule (write the address alone)");
	}
	if (!ip_read(AF_INET6, slice, out))
		return fault(why, "", slice, wanted);
	return true;
}

/* Digits and dots only: meant as IPv4, whether it is right or not. */
static bool looks_like_v4(struct slice slice)
{
	for (size_t i = 0; i < slice.length; i++)
		if (!is_digit(slice.text[i]) && slice.text[i] != '.')
			return false;
	return slice.length > 0;
}

/* Cuts "[...]rest". */
static bool brackets_cut(struct slice slice, struct slice *inner, struct slice *rest,
			 struct why *why)
{
	size_t close = slice_find(slice, ']');

	if (close == SLICE_NONE)
		return fault(why, "", slice, " has no closing \"]\"");
	*inner = (struct slice){ slice.text + 1, close - 1 };
	*rest = slice_after(slice, close);
	return true;
}

bool value_ip(struct slice slice, struct in6_addr *out, struct why *why)
{
	struct slice inner, rest;

	if (slice.length == 0)
		return fault_plain(why, slice, "address is missing");
	if (slice_find(slice, '/') != SLICE_NONE)
		return fault(why, "", slice, " is a prefix (one address is needed here)");
	if (slice.text[0] == '[') {
		if (!brackets_cut(slice, &inner, &rest, why))
			return false;
		if (rest.length > 0)
			return fault(why, "", rest, " does not belong to an address");
		return v6_read(inner, out, not_v6, why);
	}
	if (slice_find(slice, ':') != SLICE_NONE)
		return v6_read(slice, out, " is not an address (IPv4 or IPv6, no port)", why);
	if (looks_like_v4(slice))
		return v4_read(slice, out, why);
	return fault(why, "", slice, " is not an address (IPv4 or IPv6)");
}

static bool length_read(struct slice slice, unsigned max, uint8_t *out, struct why *why)
{
	uint64_t value;

	if (!number_read(slice, &value) || value > max) {
		fault(why, "", slice, " is not a prefix length (0 to ");
		text_uint(&why->text, max);
		text_str(&why->text, ")");
		return false;
	}
	*out = (uint8_t)value;
	return true;
}

/* The text of an address with its prefix length, as value_address() reads it. */
static void prefix_text(struct text *text, const struct in6_addr *ip, unsigned length)
{
	const struct ip_addr addr = { .family = AF_INET6, .ip = *ip };
	char buf[IP_ADDR_TEXT_SIZE];

	ip_addr_text(&addr, buf);
	text_strn(text, buf, strlen(buf) - strlen(":0"));
	text_str(text, "/");
	text_uint(text, ip_addr_is_v4(&addr) ? length - 96 : length);
}

static bool bits_check(struct slice slice, const struct in6_addr *ip, unsigned length,
		       struct why *why)
{
	struct in6_addr cut = *ip;

	for (unsigned bit = length; bit < 128; bit++)
		cut.s6_addr[bit / 8] &= (unsigned char)~(0x80 >> bit % 8);
	if (memcmp(&cut, ip, sizeof(cut)) == 0)
		return true;
	fault(why, "", slice, " has bits set beyond its length (write \"");
	prefix_text(&why->text, &cut, length);
	text_str(&why->text, "\")");
	return false;
}

static bool v4_pattern(struct slice slice, struct rule_pattern *out, struct why *why)
{
	size_t slash = slice_find(slice, '/');
	struct slice address = slash == SLICE_NONE ? slice : slice_before(slice, slash);
	uint8_t length = 32;

	if (!v4_read(address, &out->ip, why))
		return false;
	if (slash != SLICE_NONE && !length_read(slice_after(slice, slash), 32, &length, why))
		return false;
	out->length = (uint8_t)(96 + length);
	return bits_check(slice, &out->ip, out->length, why);
}

/* "[IPv6]", "[IPv6]/len" or "[IPv6/len]". */
static bool v6_pattern(struct slice slice, struct rule_pattern *out, struct why *why)
{
	struct slice inner, rest, length = { 0 };
	size_t slash;

	if (!brackets_cut(slice, &inner, &rest, why))
		return false;
	slash = slice_find(inner, '/');
	if (rest.length > 0 && (rest.text[0] != '/' || slash != SLICE_NONE))
		return fault(why, "", rest, " does not belong to an address");
	if (rest.length > 0)
		length = slice_after(rest, 0);
	else if (slash != SLICE_NONE)
		length = slice_after(inner, slash);
	if (slash != SLICE_NONE)
		inner = slice_before(inner, slash);
	if (!v6_read(inner, &out->ip, not_v6, why))
		return false;
	out->length = 128;
	if (length.text && !length_read(length, 128, &out->length, why))
		return false;
	return bits_check(slice, &out->ip, out->length, why);
}

static const bool is_name_byte[256] = {
	['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true,
	['-'] = true, ['_'] = true, ['.'] = true,
};

bool value_name(struct slice slice, struct slice *out, struct why *why)
{
	struct slice name = slice;

	if (looks_like_v4(slice))
		return fault(why, "", slice, " is not a name (a number or an address)");
	if (name.length > 1 && name.text[name.length - 1] == '.')
		name.length--;
	for (size_t i = 0; i < name.length; i++) {
		if (!is_name_byte[(unsigned char)name.text[i]])
			return fault(why, "", slice,
				     " is not a name (letters, digits, \"-\", \"_\" and \".\")");
	}
	if (name.length == 0)
		return fault_plain(why, slice, "name is missing");
	if (name.length > VALUE_NAME_MAX)
		return fault(why, "name ", slice, " is too long (at most 253 bytes)");
	*out = name;
	return true;
}

void value_name_lower(struct slice name, char *out)
{
	for (size_t i = 0; i < name.length; i++) {
		char c = name.text[i];

		out[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
	}
	out[name.length] = '\0';
}

static bool name_pattern(struct slice slice, struct slice *name, struct why *why)
{
	size_t slash = slice_find(slice, '/');
	struct slice found;

	if (slice_find(slice, ':') != SLICE_NONE)
		return fault(why, "", slice, " is not an address (IPv6 stands in brackets)");
	if (!value_name(slash == SLICE_NONE ? slice : slice_before(slice, slash), &found, why))
		return false;
	if (slash != SLICE_NONE)
		return fault(why, "prefix length ", slice_after(slice, slash), " cannot follow a name");
	*name = found;
	return true;
}

bool value_address(struct slice slice, struct rule_pattern *out, struct slice *name,
		   struct why *why)
{
	size_t slash = slice_find(slice, '/');
	struct rule_pattern pattern = *out;
	struct slice host = { 0 };
	bool right = true;

	pattern.any_address = slice_is(slice, "*");
	pattern.length = 0;
	memset(&pattern.ip, 0, sizeof(pattern.ip));
	if (slice.length == 0)
		return fault_plain(why, slice, "address is missing (\"*\" is every address)");
	if (slice.text[0] == '[')
		right = v6_pattern(slice, &pattern, why);
	else if (looks_like_v4(slash == SLICE_NONE ? slice : slice_before(slice, slash)))
		right = v4_pattern(slice, &pattern, why);
	else if (!pattern.any_address)
		right = name_pattern(slice, &host, why);
	if (!right)
		return false;
	*out = pattern;
	*name = host;
	return true;
}

bool value_split(struct slice slice, struct slice *before, struct slice *port)
{
	size_t close = slice.length > 0 && slice.text[0] == '[' ? slice_find(slice, ']') : SLICE_NONE;
	size_t colon = slice_find_last(slice, ':');

	if (colon == SLICE_NONE || (close != SLICE_NONE && colon < close))
		return false;
	*before = slice_before(slice, colon);
	*port = slice_after(slice, colon);
	return true;
}

static const struct {
	const char *name;
	int error;
} errors[] = {
	{ "ECONNREFUSED", ECONNREFUSED },
	{ "EHOSTUNREACH", EHOSTUNREACH },
	{ "ENETUNREACH", ENETUNREACH },
	{ "ETIMEDOUT", ETIMEDOUT },
	{ "EACCES", EACCES },
	{ "EPERM", EPERM },
	{ "EADDRNOTAVAIL", EADDRNOTAVAIL },
	{ "EADDRINUSE", EADDRINUSE },
	{ "ENETDOWN", ENETDOWN },
	{ "EHOSTDOWN", EHOSTDOWN },
	{ "ECONNRESET", ECONNRESET },
	{ "ECONNABORTED", ECONNABORTED },
};

int config_errno_value(const char *name, size_t length)
{
	for (size_t i = 0; i < N_ELEMENTS(errors); i++)
		if (slice_is((struct slice){ name, length }, errors[i].name))
			return errors[i].error;
	return 0;
}

const char *config_errno_name(int error)
{
	for (size_t i = 0; i < N_ELEMENTS(errors); i++)
		if (errors[i].error == error)
			return errors[i].name;
	return NULL;
}

bool value_error(struct slice slice, int *out, struct why *why)
{
	int error = config_errno_value(slice.text, slice.length);

	if (error == 0) {
		fault(why, "unknown error ", slice, " (");
		for (size_t i = 0; i < N_ELEMENTS(errors); i++) {
			text_str(&why->text, errors[i].name);
			text_str(&why->text, i + 2 < N_ELEMENTS(errors)	  ? ", "
					     : i + 1 < N_ELEMENTS(errors) ? " or "
									  : ")");
		}
		return false;
	}
	*out = error;
	return true;
}

struct unit {
	const char *name;
	uint64_t factor;
};

/* A number and one of the units; 0 when it is none, or too large to be counted. */
static uint64_t quantity_read(struct slice slice, const struct unit *units)
{
	size_t digits = 0;
	uint64_t value;

	while (digits < slice.length && is_digit(slice.text[digits]))
		digits++;
	if (!number_read(slice_before(slice, digits), &value) || value > UINT32_MAX)
		return 0;
	for (; units->name; units++)
		if (slice_is((struct slice){ slice.text + digits, slice.length - digits }, units->name))
			return value * units->factor;
	return 0;
}

static bool time_read(struct slice slice, uint32_t *out, struct why *why)
{
	static const struct unit units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { NULL, 0 } };
	uint64_t value = quantity_read(slice, units);

	if (value == 0 || value > RULE_TIME_MOST)
		return fault(why, "", slice, " is not a time (500ms, 2s, 1m; at most 1440m)");
	*out = (uint32_t)value;
	return true;
}

static bool timeout_read(struct slice slice, const struct option_room *room, struct why *why)
{
	return time_read(slice, &room->options->timeout, why);
}

static bool retry_read(struct slice slice, const struct option_room *room, struct why *why)
{
	return time_read(slice, &room->options->retry, why);
}

static bool buffer_read(struct slice slice, const struct option_room *room, struct why *why)
{
	static const struct unit units[] = {
		{ "", 1 }, { "K", 1u << 10 }, { "M", 1u << 20 }, { "G", 1u << 30 }, { NULL, 0 }
	};
	uint64_t value = quantity_read(slice, units);

	if (value < RULE_BUFFER_LEAST || value > RULE_BUFFER_MOST)
		return fault(why, "", slice, " is not a size (65536, 256K, 4M; 128 to 2G)");
	room->options->buffer = (uint32_t)value;
	return true;
}

static bool fallback_read(struct slice slice, const struct option_room *room, struct why *why)
{
	room->options->fallback = true;
	return slice_is(slice, "inet") || fault(why, "unknown fallback ", slice, " (inet)");
}

/* One of "host,3,7-9". */
static bool range_read(struct slice item, struct cid_range *out, struct why *why)
{
	size_t dash = slice_find(item, '-');

	if (slice_is(item, "any"))
		return fault(why, "CID ", item, " allows everybody (leave allow= out)");
	if (!value_cid(dash == SLICE_NONE ? item : slice_before(item, dash), RULE_CONNECT, &out->low, why))
		return false;
	out->high = out->low;
	if (dash != SLICE_NONE && !value_cid(slice_after(item, dash), RULE_CONNECT, &out->high, why))
		return false;
	return out->low <= out->high || fault(why, "CID range ", item, " ends before it begins");
}

static bool allow_read(struct slice slice, const struct option_room *room, struct why *why)
{
	struct slice whole = slice;
	uint32_t count = 0;
	size_t comma;

	do {
		comma = slice_find(slice, ',');
		if (count == RULE_ALLOW_MOST)
			return fault(why, "", whole, " has too many CIDs (at most 32; 3-9 counts as one)");
		if (!range_read(comma == SLICE_NONE ? slice : slice_before(slice, comma), &room->ranges[count], why))
			return false;
		count++;
		if (comma != SLICE_NONE)
			slice = slice_after(slice, comma);
	} while (comma != SLICE_NONE);
	room->options->allow = room->ranges;
	room->options->allow_count = count;
	return true;
}

static const struct option {
	const char *name;
	unsigned directions; /* bits by enum rule_direction */
	unsigned protocols;  /* that it means something for */
	bool unix_too;	     /* not only for vsock targets */
	bool (*read)(struct slice slice, const struct option_room *room, struct why *why);
} options[] = {
	{ "allow", 1 << RULE_LISTEN, RULE_TCP | RULE_UDP, false, allow_read },
	{ "timeout", 1 << RULE_CONNECT, RULE_TCP, true, timeout_read },
	{ "retry", 1 << RULE_CONNECT, RULE_TCP, true, retry_read },
	{ "fallback", 1 << RULE_CONNECT | 1 << RULE_LISTEN, RULE_TCP, true, fallback_read },
	{ "buffer", 1 << RULE_CONNECT | 1 << RULE_LISTEN, RULE_TCP | RULE_UDP, true, buffer_read },
};

_Static_assert(N_ELEMENTS(options) == OPTION_COUNT, "bits of option_room.given");

static void option_say(struct why *why, struct slice key, const char *what)
{
	text_str(&why->text, "option ");
	text_quoted(&why->text, key.text, key.length);
	text_str(&why->text, what);
	why->at = key.text;
}

/* What is said of a known option in the wrong place; false. */
static bool option_misplaced(const struct option *option, struct slice key, const struct rule *rule, struct why *why)
{
	if (!(option->directions >> rule->direction & 1))
		option_say(why, key, rule->direction == RULE_LISTEN ? " is for connect only" : " is for listen only");
	else if (rule->target != TARGET_VSOCK && rule->target != TARGET_UNIX)
		option_say(why, key, " is for vsock and unix targets only");
	else if (rule->target == TARGET_UNIX && !option->unix_too)
		option_say(why, key, " is for vsock targets only (behind a unix socket there is one guest)");
	else if (!(option->protocols & rule->protocols))
		option_say(why, key, " is for tcp only");
	else
		return true;
	return false;
}

bool value_option(struct slice key, struct slice value, const struct rule *rule, struct option_room *room,
		  struct why *why)
{
	unsigned i = 0;

	while (i < N_ELEMENTS(options) && !slice_is(key, options[i].name))
		i++;
	if (i == N_ELEMENTS(options))
		return fault(why, "unknown option ", key, " (allow, timeout, retry, fallback or buffer)");
	if (!option_misplaced(&options[i], key, rule, why))
		return false;
	if (room->given >> i & 1) {
		option_say(why, key, " is given twice");
		return false;
	}
	room->given |= 1u << i;
	return options[i].read(value, room, why);
}
