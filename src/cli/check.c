/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check: the rules as they were understood. */
#include "cli/ctl.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* An option such as "-c 3" is one line; a file is many. */
const char *place_text(struct ctl *ctl, const struct rule_place *place)
{
	if (place->source[0] == '-' && place->line == 1)
		return place->source;
	return string_format(ctl, "%s:%u", place->source, place->line);
}

/* `names` is of a host statement, or NULL. */
static void line_print(struct ctl *ctl, const char *statement, const struct host_link *names,
		       const struct rule_place *place)
{
	int length = printf("%s", statement);

	for (; names; names = host_link_next_name(names))
		length += printf(" %s", host_link_name(names));
	printf("%*s # %s\n", length < 47 ? 47 - length : 0, "",
	       place->source ? place_text(ctl, place) : "not said");
}

bool address_append(void *context, const struct in6_addr *ip)
{
	struct address_list *list = context;
	char text[INET6_ADDRSTRLEN];
	int length;

	if (IN6_IS_ADDR_V4MAPPED(ip))
		inet_ntop(AF_INET, &ip->s6_addr[12], text, sizeof text);
	else
		inet_ntop(AF_INET6, ip, text, sizeof text);
	length = snprintf(list->text + list->length, sizeof list->text - list->length, "%s%s",
			  list->length ? ", " : "", text);
	if (length > 0 && (size_t)length < sizeof list->text - list->length)
		list->length += (size_t)length;
	else
		list->text[list->length] = '\0';
	return true;
}

const char *default_text(struct ctl *ctl, const struct target *target)
{
	if (target->kind == TARGET_INET)
		return "default inet";
	return string_format(ctl, "default reject%s%s", target->error ? " " : "",
			     target->error ? config_errno_name(target->error) : "");
}

int check_print(struct ctl *ctl)
{
	char statement[CONFIG_RULE_TEXT_SIZE];
	const struct rule *rule;
	struct rule_place place;
	struct target target;

	if (ctl->realm.name)
		printf("# in realm %s as CID %u\n", ctl->realm.name, ctl->realm.cid);
	for (unsigned i = 0; (rule = rules_at(ctl->rules, i)); i++) {
		struct address_list list = {.length = 0};

		config_rule_text(rule, statement, sizeof statement);
		line_print(ctl, statement, rules_host_names(ctl->rules, rule), &rule->place);
		if (rule->pattern.name &&
		    rules_name_address(ctl->rules, rule->pattern.name, address_append, &list))
			printf("#   %s is %s\n", rule->pattern.name, list.text);
	}
	rules_default(ctl->rules, &target, &place);
	line_print(ctl, default_text(ctl, &target), NULL, &place);
	return 0;
}
