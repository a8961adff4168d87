/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* explain: what the rules decide for an address. */
#include "cli/ctl.h"
#include "ip2vsock/dgram.h"

#include <stdio.h>
#include <string.h>

struct question {
	enum rule_direction direction;
	enum rule_protocol protocol;
	struct ip_addr addr;
};

/* "connect tcp 10.0.0.3:5432"; connect and tcp need not be said. */
static bool question_read(struct ctl *ctl, const char *text, struct question *out)
{
	static const struct {
		const char *word;
		unsigned place; /* the words stand in this order */
		int value;
	} words[] = {
		{"connect", 0, RULE_CONNECT},
		{"listen", 0, RULE_LISTEN},
		{"tcp", 1, RULE_TCP},
		{"udp", 1, RULE_UDP},
	};
	int values[] = {RULE_CONNECT, RULE_TCP};
	unsigned place = 0;
	char message[256];

	text += strspn(text, " \t");
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		size_t length = strlen(words[i].word);

		if (words[i].place < place || strncmp(text, words[i].word, length) != 0 ||
		    !strspn(text + length, " \t"))
			continue;
		values[words[i].place] = words[i].value;
		place = words[i].place + 1;
		text += length;
		text += strspn(text, " \t");
	}
	out->direction = (enum rule_direction)values[0];
	out->protocol = (enum rule_protocol)values[1];
	if (config_parse_address(ctl->rules, text, &out->addr, message, sizeof message))
		return true;
	option_complain(ctl, "%s", message);
	return false;
}

/* Who will connect is not known, so one CID is an example. */
static void shown_print(const struct ctl *ctl, const struct question *question, const struct target *target)
{
	const struct rule *rule;
	struct address_list list = {.length = 0};
	char address[IP_ADDR_TEXT_SIZE];
	uint32_t cid = 3;
	struct in6_addr ip;

	if (question->direction == RULE_CONNECT) {
		printf("  peer    is shown as %s\n", ip_addr_text(&question->addr, address));
		return;
	}
	for (unsigned i = 0; (rule = rules_at(ctl->rules, i)); i++) {
		if (rule->is_host && (target->to.cid == VMADDR_CID_ANY || rule->cid != target->to.cid)) {
			cid = rule->cid;
			break;
		}
	}
	if (target->kind == TARGET_UNIX) {
		rules_show_path(ctl->rules, target->to.path, question->addr.family, false, &ip);
		address_append(&list, &ip);
		printf("  peers   are shown as %s, each with a port of its own\n", list.text);
		return;
	}
	rules_show_cid(ctl->rules, cid, question->addr.family, false, &ip);
	address_append(&list, &ip);
	printf("  peers   are shown by their CID, CID %u for example as %s\n", cid, list.text);
}

/* Datagrams need a connection, on another port than TCP's; which one, ss(8) shows. */
static void carrier_print(const struct target *target, bool listens)
{
	struct endpoint carrier = target->to;
	char text[CONFIG_ENDPOINT_TEXT_SIZE];

	if (carrier.port == VMADDR_PORT_ANY)
		return;
	carrier.port = dgram_carrier_port(carrier.port);
	printf("  carrier %s %s\n", listens ? "connections to vsock" : "a connection to vsock",
	       config_endpoint_text(&carrier, text, sizeof text));
}

/* What the options of a rule add. */
static void options_print(const struct question *question, const struct target *target)
{
	const struct rule_options *options = target_options(target);
	bool listens = question->direction == RULE_LISTEN, tcp = question->protocol == RULE_TCP;

	if (options->allow)
		puts("  allow   only the CIDs that the rule names; others are closed when they come");
	if (options->timeout && tcp)
		printf("  timeout %u ms for one try to connect\n", options->timeout);
	if (options->retry && tcp)
		printf("  retry   for %u ms while nobody is there\n", options->retry);
	if (options->fallback && tcp)
		puts(listens ? "  beside  the network, at the address itself" : "  else    the network, at the address itself");
	if (options->buffer)
		printf("  buffer  %u bytes\n", options->buffer);
}

/* Where connections really go, or arrive. */
static void unix_print(const struct target *target, bool listens)
{
	if (listens)
		printf("  socket  %s_%u\n", target->to.path, target->to.port);
	else
		printf("  socket  %s, with \"CONNECT %u\"\n", target->to.path, target->to.port);
}

static void target_print(const struct ctl *ctl, const struct question *question, const struct target *target)
{
	bool listens = question->direction == RULE_LISTEN;
	char text[CONFIG_ENDPOINT_TEXT_SIZE];

	switch (target->kind) {
	case TARGET_INET:
		puts("  result  left to the network");
		return;
	case TARGET_REJECT:
		printf("  result  refused with %s (%s)\n", config_errno_name(target->error),
		       strerror(target->error));
		return;
	case TARGET_VSOCK:
	case TARGET_UNIX:
		break;
	}
	printf("  result  %s %s %s", listens ? "listens on" : "goes to", target->kind == TARGET_UNIX ? "unix" : "vsock",
	       config_endpoint_text(&target->to, text, sizeof text));
	if (ctl->realm.name && target->kind == TARGET_VSOCK)
		printf(" of realm %s", ctl->realm.name);
	putchar('\n');
	if (target->kind == TARGET_UNIX && target->to.port != VMADDR_PORT_ANY)
		unix_print(target, listens);
	if (question->protocol == RULE_UDP)
		carrier_print(target, listens);
	options_print(question, target);
	shown_print(ctl, question, target);
}

static void question_print(struct ctl *ctl, const struct question *question)
{
	char address[IP_ADDR_TEXT_SIZE], statement[CONFIG_RULE_TEXT_SIZE];
	struct rule_place place;
	struct target target;

	printf("%s %s %s\n", question->direction == RULE_CONNECT ? "connect" : "listen",
	       question->protocol == RULE_TCP ? "tcp" : "udp", ip_addr_text(&question->addr, address));
	rules_find(ctl->rules, question->direction, question->protocol, &question->addr, &target);
	if (target.rule) {
		printf("  rule    %s: %s\n", place_text(ctl, &target.rule->place),
		       config_rule_text(target.rule, statement, sizeof statement));
	} else {
		struct target fallback;

		rules_default(ctl->rules, &fallback, &place);
		printf("  rule    none matches; %s%s%s\n", place.source ? place_text(ctl, &place) : "",
		       place.source ? ": " : "", default_text(ctl, &fallback));
	}
	target_print(ctl, question, &target);
}

int explain_print(struct ctl *ctl)
{
	struct question question;

	ctl->option = "--explain";
	for (unsigned i = 0; i < ctl->question_count; i++) {
		ctl->value = ctl->questions[i];
		if (question_read(ctl, ctl->value, &question))
			question_print(ctl, &question);
	}
	return ctl->complaints ? EXIT_TROUBLE : 0;
}
