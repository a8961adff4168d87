/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A storm of datagrams. Senders fill queues, are interrupted, time out, and do not wait; receivers stall, die and come
 * back. What arrives must be what was sent, whole, and once. What is lost is counted. Afterwards all is as it was.
 */
#define _GNU_SOURCE 1
#include "integrity_party.h"

static uint64_t sum_arrived(void)
{
	uint64_t sum = 0;

	for (unsigned from = 0; from < PARTIES; from++)
		for (unsigned to = 0; to < PARTIES; to++)
			sum += __atomic_load_n(&world->ledgers[from][to].arrived, __ATOMIC_RELAXED);
	return sum;
}

static void until_quiet(void)
{
	uint64_t before = 1, now = 0;

	for (int tries = 0; tries < 60 && now != before; tries++) {
		before = now;
		pause_ms(500);
		now = sum_arrived();
	}
}

static unsigned arrived_of(const struct ledger *ledger, uint32_t from, uint32_t end)
{
	unsigned arrived = 0;

	for (uint32_t i = from; i < end; i++)
		arrived += (ledger->fate[i] & FATE_ARRIVED) != 0;
	return arrived;
}

/* What is refused has not been sent, and what is sent twice is the program's doing. */
static void say_ledgers(void)
{
	uint64_t sent = 0, refused = 0, both = 0, tiny = 0;

	for (unsigned from = 0; from < PARTIES; from++)
		for (unsigned to = 0; to < PARTIES; to++) {
			const struct ledger *ledger = &world->ledgers[from][to];

			sent += ledger->next;
			tiny += ledger->tiny_arrived > ledger->tiny_sent ? ledger->tiny_arrived - ledger->tiny_sent : 0;
			for (uint32_t i = 0; i < ledger->next; i++) {
				refused += (ledger->fate[i] & FATE_REFUSED) != 0;
				both += ledger->fate[i] == (FATE_REFUSED | FATE_ARRIVED);
			}
		}
	fprintf(stderr, "%llu sent, %llu of them refused (%u interrupted), %llu arrived, %llu lost\n",
		(unsigned long long)sent, (unsigned long long)refused, world->interrupted,
		(unsigned long long)sum_arrived(), (unsigned long long)(sent - refused - sum_arrived()));
	if (world->spoil) {
		say("corrupt: %s", yes_no(world->corrupt));
		say("twice: %s", yes_no(world->twice));
		say("refused and arrived: %s", yes_no(both));
		return;
	}
	say("corrupt: %u", world->corrupt);
	say("twice: %u", world->twice);
	say("refused and arrived: %llu", (unsigned long long)both);
	say("tiny ones nobody sent: %llu", (unsigned long long)tiny);
	say("from nobody: %u", world->strangers);
}

static void say_calm(const uint32_t (*before)[PARTIES], const uint32_t (*answered)[PARTIES])
{
	unsigned forward = 0, answers = 0;

	for (unsigned from = RECEIVERS; from < PARTIES; from++)
		for (unsigned to = 0; to < RECEIVERS; to++) {
			const struct ledger *ledger = &world->ledgers[from][to];

			if (ledger->next != before[from][to] + CALM_SENT)
				die("party %u sent %u", from, ledger->next - before[from][to]);
			forward += arrived_of(ledger, ledger->next - CALM_WANTED, ledger->next);
			answers += world->ledgers[to][from].arrived >= answered[to][from] + CALM_WANTED;
		}
	say("calm: %u of %u arrived", forward, SENDERS * RECEIVERS * CALM_WANTED);
	say("calm: %u of %u were answered", answers, SENDERS * RECEIVERS);
}

static void kill_and_begin(pid_t *pids, uint64_t *state)
{
	const unsigned party = random_below(state, RECEIVERS);

	kill(pids[party], SIGKILL);
	waitpid(pids[party], NULL, 0);
	pause_ms(random_below(state, 300));
	pids[party] = begin(party);
}

static void end_all(pid_t *pids)
{
	unsigned good = 0;
	int status;

	__atomic_store_n(&world->phase, OVER, __ATOMIC_RELAXED);
	for (unsigned party = 0; party < PARTIES; party++) {
		/* Whoever waits for a datagram is not told. */
		if (party < RECEIVERS)
			kill(pids[party], SIGKILL);
		good += waitpid(pids[party], &status, 0) == pids[party] &&
			(party < RECEIVERS ? WIFSIGNALED(status) || WIFEXITED(status) : WIFEXITED(status) && !WEXITSTATUS(status));
	}
	say("ended well: %u of %u", good, PARTIES);
}

static void run(unsigned seconds, bool spoil)
{
	static uint32_t before[PARTIES][PARTIES], answered[PARTIES][PARTIES];
	uint64_t state = (uint64_t)getpid() * 2654435761u;
	unsigned deaths = 0;
	pid_t pids[PARTIES];

	world_make();
	world->spoil = spoil;
	for (unsigned party = 0; party < PARTIES; party++)
		pids[party] = begin(party);
	for (unsigned i = 0; i < seconds; i++) {
		pause_ms(800);
		for (int n = spoil ? 0 : 2; n > 0; n--, deaths++)
			kill_and_begin(pids, &state);
	}
	__atomic_store_n(&world->phase, SILENCE, __ATOMIC_RELAXED);
	until_quiet();
	for (unsigned from = 0; from < PARTIES; from++)
		for (unsigned to = 0; to < PARTIES; to++) {
			before[from][to] = world->ledgers[from][to].next;
			answered[from][to] = world->ledgers[from][to].arrived;
		}
	fprintf(stderr, "%u receivers died\n", deaths);
	if (!spoil) {
		__atomic_store_n(&world->phase, CALM, __ATOMIC_RELAXED);
		pause_ms(RECEIVERS * CALM_SENT * 10);
		until_quiet();
	}
	end_all(pids);
	say_ledgers();
	if (!spoil)
		say_calm(before, answered);
}

static void a_storm(void)
{
	run(10, false);
}

/* What the checks are worth: senders that do what must not happen. */
static void spoiled(void)
{
	run(1, true);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"storm", a_storm},
		{"spoiled", spoiled},
	};

	return RUN_CASES(cases, argc, argv);
}
