/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rules back to text, and single addresses from text, for those who ask what the rules do. */
#include "ip2vsock/config.h"
#include "core/value.h"

#include <string.h>

static void cid_text(struct text *text, uint32_t cid)
{
	switch (cid) {
	case VMADDR_CID_ANY:
		text_str(text, "any");
		break;
	case VMADDR_CID_HOST:
		text_str(text, "host");
		break;
	case VMADDR_CID_LOCAL:
		text_str(text, "local");
		break;
	case VMADDR_CID_HYPERVISOR:
		text_str(text, "hypervisor");
		break;
	default:
		text_uint(text, cid);
	}
}

static void ports_text(struct text *text, uint32_t low, uint32_t high)
{
	text_str(text, ":");
	text_uint(text, low);
	if (low != high) {
		text_str(text, "-");
		text_uint(text, high);
	}
}

/* "10.0.0.3" or "[fd00::4]". */
static void ip_text(struct text *text, const struct in6_addr *ip)
{
	const struct ip_addr addr = { .family = AF_INET6, .ip = *ip };
	char buf[IP_ADDR_TEXT_SIZE];

	ip_addr_text(&addr, buf);
	text_strn(text, buf, strlen(buf) - strlen(":0"));
}

static void pattern_text(struct text *text, const struct rule_pattern *pattern)
{
	const struct ip_addr addr = { .ip = pattern->ip };
	unsigned length = pattern->length;

	if (pattern->any_address) {
		text_str(text, "*");
	} else if (pattern->name) {
		text_str(text, pattern->name);
	} else {
		ip_text(text, &pattern->ip);
		if (length < 128) {
			text_str(text, "/");
			text_uint(text, ip_addr_is_v4(&addr) ? length - 96 : length);
		}
	}
	if (pattern->port_low == 0 && pattern->port_high == UINT16_MAX)
		text_str(text, ":*");
	else
		ports_text(text, pattern->port_low, pattern->port_high);
}

/* In quotes when it is not one word without. */
static void path_text(struct text *text, const char *path)
{
	bool plain = !path[strcspn(path, " \t;#")];

	text_str(text, plain ? "" : "\"");
	text_str(text, path);
	text_str(text, plain ? "" : "\"");
}

static void target_ports_text(struct text *text, const struct rule *rule)
{
	if (rule->same_port)
		text_str(text, ":*");
	else
		ports_text(text, rule->port_low, rule->port_high);
}

static void target_text(struct text *text, const struct rule *rule)
{
	const char *error;

	switch (rule->target) {
	case TARGET_INET:
		text_str(text, " inet");
		break;
	case TARGET_VSOCK:
		text_str(text, " vsock ");
		cid_text(text, rule->cid);
		target_ports_text(text, rule);
		break;
	case TARGET_UNIX:
		text_str(text, " unix ");
		path_text(text, rule->path);
		target_ports_text(text, rule);
		break;
	case TARGET_REJECT:
		error = config_errno_name(rule->error);
		text_str(text, " reject ");
		text_str(text, error ? error : "");
		break;
	}
}

static void time_text(struct text *text, const char *key, uint32_t ms)
{
	if (!ms)
		return;
	text_str(text, key);
	text_uint(text, ms % 1000 ? ms : ms / 1000);
	text_str(text, ms % 1000 ? "ms" : "s");
}

static void allow_text(struct text *text, const struct rule_options *options)
{
	for (uint32_t i = 0; i < options->allow_count; i++) {
		text_str(text, i ? "," : " allow=");
		cid_text(text, options->allow[i].low);
		if (options->allow[i].low == options->allow[i].high)
			continue;
		text_str(text, "-");
		cid_text(text, options->allow[i].high);
	}
}

static void size_text(struct text *text, uint32_t size)
{
	static const char *const units[] = { "", "K", "M", "G" };
	unsigned unit = 0;

	for (; unit < 3 && size % 1024 == 0; unit++)
		size /= 1024;
	text_uint(text, size);
	text_str(text, units[unit]);
}

static void options_text(struct text *text, const struct rule_options *options)
{
	allow_text(text, options);
	time_text(text, " timeout=", options->timeout);
	time_text(text, " retry=", options->retry);
	if (options->fallback)
		text_str(text, " fallback=inet");
	if (options->buffer) {
		text_str(text, " buffer=");
		size_text(text, options->buffer);
	}
}

char *config_rule_text(const struct rule *rule, char *buf, size_t size)
{
	struct text text;

	text_init(&text, buf, size);
	if (rule->is_host) {
		text_str(&text, "host ");
		ip_text(&text, &rule->pattern.ip);
		text_str(&text, " ");
		cid_text(&text, rule->cid);
		return buf;
	}
	text_str(&text, rule->direction == RULE_LISTEN ? "listen " : "connect ");
	if (rule->protocols == RULE_TCP)
		text_str(&text, "tcp ");
	else if (rule->protocols == RULE_UDP)
		text_str(&text, "udp ");
	pattern_text(&text, &rule->pattern);
	target_text(&text, rule);
	if (rule->options)
		options_text(&text, rule->options);
	return buf;
}

char *config_endpoint_text(const struct endpoint *to, char *buf, size_t size)
{
	struct text text;

	text_init(&text, buf, size);
	if (to->path)
		path_text(&text, to->path);
	else
		cid_text(&text, to->cid);
	if (to->port == VMADDR_PORT_ANY)
		text_str(&text, ":*");
	else
		ports_text(&text, to->port, to->port);
	return buf;
}

static bool take_first(void *context, const struct in6_addr *ip)
{
	memcpy(context, ip, sizeof(*ip));
	return false;
}

/* A name as getaddrinfo would answer it in a program whose own resolver does not know it. */
static bool name_resolve(const struct rules *rules, struct slice name, uint16_t port, struct in6_addr *out,
			 struct why *why)
{
	char lower[VALUE_NAME_MAX + 1];

	value_name_lower(name, lower);
	if (rules_name_address(rules, lower, take_first, out) > 0 ||
	    rules_invent_address(rules, RULE_TCP, lower, port, AF_INET, out))
		return true;
	text_str(&why->text, "unknown name ");
	text_quoted(&why->text, name.text, name.length);
	text_str(&why->text, " (no rule mentions it)");
	return false;
}

bool config_parse_address(const struct rules *rules, const char *text, struct ip_addr *out,
			  char *message, size_t size)
{
	struct slice whole = { text, strlen(text) }, address, port, name;
	struct rule_pattern pattern = { 0 };
	struct ports ports = { 0 };
	struct why why;

	text_init(&why.text, message, size);
	if (!value_split(whole, &address, &port)) {
		text_quoted(&why.text, whole.text, whole.length);
		text_str(&why.text, " has no port (ADDRESS:PORT is expected)");
		return false;
	}
	if (!value_address(address, &pattern, &name, &why))
		return false;
	/* Port 0 is what a program binds to when it wants any. */
	if (!slice_is(port, "0") && !value_ports(port, UINT16_MAX, &ports, &why))
		return false;
	if (ports.low != ports.high || pattern.any_address ||
	    (name.length == 0 && pattern.length != 128)) {
		text_quoted(&why.text, whole.text, whole.length);
		text_str(&why.text, " is not one address and one port");
		return false;
	}
	if (name.length > 0 && !name_resolve(rules, name, (uint16_t)ports.low, &pattern.ip, &why))
		return false;
	*out = (struct ip_addr){ .family = AF_INET6, .port = (uint16_t)ports.low, .ip = pattern.ip };
	if (ip_addr_is_v4(out) && address.text[0] != '[')
		out->family = AF_INET;
	return true;
}
