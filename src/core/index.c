/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prefixes and port ranges with a rank: a hash table of prefixes, and in each the ports cut into
 * segments that no longer overlap. */
#include "core/index.h"

#include <string.h>

struct key {
	uint64_t ip[2]; /* in memory as in struct in6_addr */
	uint64_t length;
};

struct segment {
	uint16_t low, high; /* inclusive */
	uint32_t rank;	    /* INDEX_NONE is a gap */
};

struct link {
	struct link *next;
	struct index_range range;
};

struct slot {
	const struct segment *segments; /* sorted, disjoint */
	uint32_t count;
	uint32_t first; /* smallest rank */
};

struct index_node {
	struct key key;
	struct slot slots[INDEX_PROTOCOLS];
	struct link ranges; /* in order of rank */
	struct link *last;  /* NULL: there are none yet */
	size_t count;
	struct segment single; /* for a node of one range */
	struct index_node *next;
};

struct index_prefix {
	struct index_prefix *next; /* in order of smallest rank */
	uint64_t mask[2];
	uint64_t length;
	uint32_t first[INDEX_PROTOCOLS];
};

/* Room for cutting one node's ranges; cuts are one more than cells. */
struct scratch {
	uint32_t *cuts;
	uint32_t *owner; /* of the cell from cuts[i] to cuts[i + 1] - 1 */
	uint32_t *next;	 /* where the next cell without owner may be: union-find */
};

static bool ip_is_v4(const uint64_t ip[2])
{
	static const unsigned char mapped[8] = { [2] = 0xff, [3] = 0xff };

	return ip[0] == 0 && memcmp(&ip[1], mapped, 4) == 0;
}

static uint32_t key_hash(const struct key *key)
{
	return hash_words(key->ip[0], key->ip[1], key->length);
}

static struct index_prefix *prefix_new(struct arena *arena, uint8_t length)
{
	struct index_prefix *prefix = arena_alloc(arena, sizeof(*prefix));
	struct in6_addr mask = { 0 };

	if (!prefix)
		return NULL;
	for (unsigned bit = 0; bit < length; bit++)
		mask.s6_addr[bit / 8] |= (unsigned char)(0x80 >> bit % 8);
	memcpy(prefix->mask, &mask, sizeof(mask));
	prefix->length = length;
	for (unsigned i = 0; i < INDEX_PROTOCOLS; i++)
		prefix->first[i] = INDEX_NONE;
	return prefix;
}

static int prefix_note(struct index *index, struct arena *arena, const struct key *key,
		       const struct index_range *range)
{
	struct index_prefix **at = &index->prefixes[ip_is_v4(key->ip)];

	while (*at && (*at)->length != key->length)
		at = &(*at)->next;
	if (!*at) {
		*at = prefix_new(arena, (uint8_t)key->length);
		if (!*at)
			return -1;
	}
	for (unsigned i = 0; i < INDEX_PROTOCOLS; i++)
		if (range->protocols >> i & 1 && range->rank < (*at)->first[i])
			(*at)->first[i] = range->rank;
	return 0;
}

static bool key_same(const void *entry, const void *key)
{
	const struct key *a = &((const struct index_node *)entry)->key, *b = key;

	/* Word by word, so that a look-up keeps its key in registers. */
	return a->ip[0] == b->ip[0] && a->ip[1] == b->ip[1] && a->length == b->length;
}

static struct index_node *node_new(struct index *index, struct arena *arena)
{
	struct index_node *node = arena_alloc(arena, sizeof(*node));

	if (!node)
		return NULL;
	if (index->last)
		index->last->next = node;
	else
		index->nodes = node;
	index->last = node;
	return node;
}

/* The node of a prefix, made when there is none. */
static struct index_node *node_get(struct index *index, struct arena *arena, const struct key *key)
{
	uint32_t hash = key_hash(key);
	struct index_node *node = table_find(&index->table, hash, key_same, key);

	if (node)
		return node;
	node = node_new(index, arena);
	if (!node)
		return NULL;
	node->key = *key;
	return table_add(&index->table, arena, hash, node) < 0 ? NULL : node;
}

static int node_add(struct index_node *node, struct arena *arena, const struct index_range *range)
{
	struct link *link = node->last ? arena_alloc(arena, sizeof(*link)) : &node->ranges;

	if (!link)
		return -1;
	link->range = *range;
	if (node->last)
		node->last->next = link;
	node->last = link;
	node->count++;
	return 0;
}

int index_add(struct index *index, struct arena *arena, const struct in6_addr *ip, uint8_t length,
	      const struct index_range *range)
{
	struct key key = { .length = length };
	struct index_node *node;

	if (!ip) {
		if (!index->any)
			index->any = node_new(index, arena);
		node = index->any;
	} else {
		memcpy(key.ip, ip, sizeof(key.ip));
		if (prefix_note(index, arena, &key, range) < 0)
			return -1;
		node = node_get(index, arena, &key);
	}
	return node ? node_add(node, arena, range) : -1;
}

static void sift_down(uint32_t *heap, size_t count, size_t at)
{
	uint32_t value = heap[at];

	for (size_t child; (child = 2 * at + 1) < count; at = child) {
		if (child + 1 < count && heap[child + 1] > heap[child])
			child++;
		if (heap[child] <= value)
			break;
		heap[at] = heap[child];
	}
	heap[at] = value;
}

/* Heap sort: qsort(3) may allocate. */
static void sort(uint32_t *values, size_t count)
{
	for (size_t i = count / 2; i > 0; i--)
		sift_down(values, count, i - 1);
	for (size_t i = count; i > 1; i--) {
		uint32_t largest = values[0];

		values[0] = values[i - 1];
		values[i - 1] = largest;
		sift_down(values, i - 1, 0);
	}
}

static size_t drop_repeated(uint32_t *sorted, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (kept == 0 || sorted[i] != sorted[kept - 1])
			sorted[kept++] = sorted[i];
	return kept;
}

/* The first cell at or after `cell` that has no owner. */
static uint32_t next_free(uint32_t *next, uint32_t cell)
{
	while (next[cell] != cell) {
		next[cell] = next[next[cell]];
		cell = next[cell];
	}
	return cell;
}

static uint32_t cell_of(const uint32_t *cuts, size_t count, uint32_t port)
{
	size_t low = 0;

	while (count > 1) {
		size_t half = count / 2;

		if (cuts[low + half] <= port)
			low += half;
		count -= half;
	}
	return (uint32_t)low;
}

/* Cuts the ports where a range of this slot begins or ends, and gives each cell to the first range
 * that covers it. Returns the number of cuts. */
static size_t cells_cut(const struct scratch *scratch, const struct index_node *node, unsigned slot)
{
	size_t count = 0;

	for (const struct link *link = &node->ranges; link; link = link->next) {
		if (!(link->range.protocols >> slot & 1))
			continue;
		scratch->cuts[count++] = link->range.low;
		scratch->cuts[count++] = link->range.high + 1u;
	}
	sort(scratch->cuts, count);
	count = drop_repeated(scratch->cuts, count);
	for (size_t i = 0; i < count; i++) {
		scratch->owner[i] = INDEX_NONE;
		scratch->next[i] = (uint32_t)i;
	}
	for (const struct link *link = &node->ranges; link; link = link->next) {
		const struct index_range *range = &link->range;
		uint32_t cell;

		if (!(range->protocols >> slot & 1))
			continue;
		/* The last cut lies above every range, so the walk ends there at the latest. */
		cell = next_free(scratch->next, cell_of(scratch->cuts, count, range->low));
		while (scratch->cuts[cell] <= range->high) {
			scratch->owner[cell] = range->rank;
			scratch->next[cell] = cell + 1;
			cell = next_free(scratch->next, cell);
		}
	}
	return count;
}

static int slot_build(struct slot *slot, struct arena *arena, const struct scratch *scratch,
		      size_t cuts)
{
	struct segment *segments;
	uint32_t count = 0;

	slot->first = INDEX_NONE;
	for (size_t i = 0; i + 1 < cuts; i++)
		if (i == 0 || scratch->owner[i] != scratch->owner[i - 1])
			count++;
	if (count == 0)
		return 0;
	segments = arena_alloc(arena, count * sizeof(*segments));
	if (!segments)
		return -1;
	slot->segments = segments;
	slot->count = count;
	segments--;
	for (size_t i = 0; i + 1 < cuts; i++) {
		if (i == 0 || scratch->owner[i] != scratch->owner[i - 1]) {
			segments++;
			segments->low = (uint16_t)scratch->cuts[i];
			segments->rank = scratch->owner[i];
		}
		segments->high = (uint16_t)(scratch->cuts[i + 1] - 1);
		if (scratch->owner[i] < slot->first)
			slot->first = scratch->owner[i];
	}
	return 0;
}

static bool protocols_alike(const struct index_node *node)
{
	for (const struct link *link = &node->ranges; link; link = link->next)
		if (link->range.protocols != (1 << INDEX_PROTOCOLS) - 1)
			return false;
	return true;
}

static void single_build(struct index_node *node)
{
	const struct index_range *range = &node->ranges.range;

	node->single = (struct segment){ range->low, range->high, range->rank };
	for (unsigned i = 0; i < INDEX_PROTOCOLS; i++)
		node->slots[i] = range->protocols >> i & 1
					 ? (struct slot){ &node->single, 1, range->rank }
					 : (struct slot){ NULL, 0, INDEX_NONE };
}

static int node_build(struct index_node *node, struct arena *arena, const struct scratch *scratch)
{
	bool alike = protocols_alike(node);

	for (unsigned i = 0; i < INDEX_PROTOCOLS; i++) {
		if (alike && i > 0)
			node->slots[i] = node->slots[0];
		else if (slot_build(&node->slots[i], arena, scratch,
				    cells_cut(scratch, node, i)) < 0)
			return -1;
	}
	return 0;
}

int index_build(struct index *index, struct arena *arena)
{
	struct scratch scratch = { 0 };
	size_t largest = 1;

	for (struct index_node *node = index->nodes; node; node = node->next)
		if (node->count > largest)
			largest = node->count;
	if (largest > 1) {
		scratch.cuts = arena_alloc(arena, 3 * 2 * largest * sizeof(uint32_t));
		if (!scratch.cuts)
			return -1;
		scratch.owner = scratch.cuts + 2 * largest;
		scratch.next = scratch.owner + 2 * largest;
	}
	for (struct index_node *node = index->nodes; node; node = node->next) {
		if (node->count == 1)
			single_build(node);
		else if (node_build(node, arena, &scratch) < 0)
			return -1;
	}
	return 0;
}

static inline uint32_t segment_find(const struct slot *slot, uint16_t port)
{
	const struct segment *at = slot->segments;
	uint32_t count = slot->count;

	if (count == 0)
		return INDEX_NONE;
	while (count > 1) {
		uint32_t half = count / 2;

		if (at[half].low <= port)
			at += half;
		count -= half;
	}
	return at->low <= port && port <= at->high ? at->rank : INDEX_NONE;
}

/* The best of `best` and of what the prefixes in a list say. */
static inline uint32_t prefixes_find(const struct index *index, const struct index_prefix *prefix,
				     const uint64_t ip[2], unsigned slot, uint16_t port,
				     uint32_t best)
{
	for (; prefix; prefix = prefix->next) {
		const struct key key = {
			.ip = { ip[0] & prefix->mask[0], ip[1] & prefix->mask[1] },
			.length = prefix->length,
		};
		const struct index_node *node;
		uint32_t rank;

		if (prefix->first[slot] >= best)
			continue;
		node = table_find(&index->table, key_hash(&key), key_same, &key);
		if (!node || node->slots[slot].first >= best)
			continue;
		rank = segment_find(&node->slots[slot], port);
		if (rank < best)
			best = rank;
	}
	return best;
}

uint32_t index_find(const struct index *index, unsigned slot, const struct in6_addr *ip,
		    uint16_t port)
{
	uint32_t best = index->any ? segment_find(&index->any->slots[slot], port) : INDEX_NONE;
	uint64_t bits[2];

	memcpy(bits, ip, sizeof(bits));
	if (!ip_is_v4(bits))
		return prefixes_find(index, index->prefixes[0], bits, slot, port, best);
	/* The first half is known now: the compiler makes a shorter loop of the same lines. */
	bits[0] = 0;
	return prefixes_find(index, index->prefixes[1], bits, slot, port, best);
}
