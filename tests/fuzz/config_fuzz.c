/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as a mapping. What must hold: nothing is read or written out of bounds, the number of
 * complaints is that of the calls, each complaint points into the text, and every rule that was
 * understood is read back from its printed form as the same rule. `include` reads the text itself
 * from its second line on, so that inner files are as strange as outer ones.
 */
#include "ip2vsock/config.h"

#include "fuzz.h"

#include <errno.h>
#include <string.h>

struct state {
	const uint8_t *data;
	size_t size;
	int complaints;
	int reads;
	int open;
};

static void complain(void *context, const struct config_complaint *complaint)
{
	struct state *state = context;
	size_t length = strlen(complaint->text);

	state->complaints++;
	/* No full stop, unless many long names made it fill the parser's buffer and were cut. */
	FUZZ_ASSERT(length > 0 && length < 384);
	FUZZ_ASSERT(complaint->text[length - 1] != '.' || length == 383);
	for (size_t i = 0; i < length; i++)
		FUZZ_ASSERT(complaint->text[i] >= ' ' && complaint->text[i] <= '~');
	FUZZ_ASSERT(complaint->line >= 1 && complaint->line <= state->size + 1);
	FUZZ_ASSERT(complaint->column >= 1 && complaint->column <= state->size + 1);
}

static const char *read_inner(void *context, const char *path, size_t *length)
{
	struct state *state = context;
	const uint8_t *line = memchr(state->data, '\n', state->size);

	errno = *path % 2 ? ENOENT : EIO;
	if (!line || ++state->reads > 20)
		return NULL;
	state->open++;
	*length = (size_t)(state->data + state->size - line);
	return (const char *)line;
}

static void release(void *context, const char *text, size_t length)
{
	struct state *state = context;

	FUZZ_ASSERT(text && length <= state->size);
	state->open--;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_options(const struct rule_options *a, const struct rule_options *b)
{
	if (!a || !b)
		return a == b;
	return a->timeout == b->timeout && a->retry == b->retry && a->buffer == b->buffer && a->fallback == b->fallback &&
	       a->allow_count == b->allow_count && !a->allow == !b->allow &&
	       (!a->allow || memcmp(a->allow, b->allow, a->allow_count * sizeof(*a->allow)) == 0);
}

static void read_back(const struct rule *rule)
{
	struct arena arena = { .more = fuzz_more, .less = fuzz_less };
	struct rules *rules = rules_new(&arena);
	struct state state = { .size = CONFIG_RULE_TEXT_SIZE };
	const struct config_io io = { .context = &state, .complain = complain };
	char text[CONFIG_RULE_TEXT_SIZE];
	const struct rule *back;

	config_rule_text(rule, text, sizeof(text));
	FUZZ_ASSERT(config_text(rules, &arena, "back", text, strlen(text), &io) == 0);
	back = rules_at(rules, 0);
	FUZZ_ASSERT(back && !rules_at(rules, 1));
	FUZZ_ASSERT(back->direction == rule->direction && back->protocols == rule->protocols);
	FUZZ_ASSERT(back->is_host == rule->is_host);
	FUZZ_ASSERT(same_text(back->pattern.name, rule->pattern.name));
	FUZZ_ASSERT(back->pattern.any_address == rule->pattern.any_address);
	FUZZ_ASSERT(back->pattern.length == rule->pattern.length);
	FUZZ_ASSERT(memcmp(&back->pattern.ip, &rule->pattern.ip, sizeof(rule->pattern.ip)) == 0);
	FUZZ_ASSERT(back->pattern.port_low == rule->pattern.port_low);
	FUZZ_ASSERT(back->pattern.port_high == rule->pattern.port_high);
	FUZZ_ASSERT(back->target == rule->target && back->error == rule->error);
	FUZZ_ASSERT(back->cid == rule->cid && back->same_port == rule->same_port);
	FUZZ_ASSERT(same_text(back->path, rule->path) && same_options(back->options, rule->options));
	FUZZ_ASSERT(back->port_low == rule->port_low && back->port_high == rule->port_high);
	arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { .more = fuzz_more, .less = fuzz_less };
	struct state state = { .data = data, .size = size };
	const struct config_io io = { &state, complain, read_inner, release };
	struct rules *rules = rules_new(&arena);
	char text[256], message[300];
	const struct rule *rule;
	struct ip_addr addr;
	struct target target;
	size_t length = size < sizeof(text) ? size : sizeof(text) - 1;

	FUZZ_ASSERT(config_text(rules, &arena, "dir/fuzz", (const char *)data, size, &io) ==
		    state.complaints);
	FUZZ_ASSERT(state.open == 0);
	for (unsigned i = 0; (rule = rules_at(rules, i)); i++)
		read_back(rule);
	FUZZ_ASSERT(rules_seal(rules) == 0);

	memcpy(text, data, length);
	text[length] = '\0';
	text[strcspn(text, " \t\n")] = '\0';
	if (config_parse_address(rules, text, &addr, message, sizeof(message))) {
		rules_find(rules, RULE_CONNECT, RULE_TCP, &addr, &target);
		FUZZ_ASSERT(target.kind <= TARGET_REJECT);
		FUZZ_ASSERT((target.error != 0) == (target.kind == TARGET_REJECT));
	} else {
		FUZZ_ASSERT(message[0] != '\0');
	}
	arena_free(&arena);
	return 0;
}
