/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prefixes and port ranges with a rank: a hash table for each length of prefix, and in each prefix the
 * ports cut into segments that no longer overlap. Ranges are only noted at first, so that the tables
 * can be made of the right size. */
#include "core/index.h"
#include "core/table.h"

#include <string.h>

struct ip_bits {
	uint64_t words[2]; /* in memory as in struct in6_addr */
};

/* Word by word, so that a look-up keeps its key in registers. */
static inline bool ip_same(const struct ip_bits *a, const struct ip_bits *b)
{
	return a->words[0] == b->words[0] && a->words[1] == b->words[1];
}

#undef HASH_KEYCMP
#define HASH_KEYCMP(a, b, size) (!ip_same(a, b))

struct link {
	struct link *next;
	struct ip_bits ip;
	struct index_range range;
};

/* In order of rank. */
struct link_list {
	struct link *head, *tail;
	uint32_t count;
};

struct slot {
	const struct index_range *segments; /* sorted, disjoint; rank INDEX_NONE is a gap */
	uint32_t count;
	uint32_t first; /* smallest rank */
};

struct index_node {
	UT_hash_handle hh; /* its key is the ip of the first range */
	struct slot slots[INDEX_PROTOCOLS];
	struct link_list ranges;
};

struct index_prefix {
	struct index_prefix *next; /* in order of smallest rank */
	struct ip_bits mask;
	struct index_node *nodes; /* by the bits that mask leaves */
	uint32_t first[INDEX_PROTOCOLS];
	uint8_t length;
	struct link_list ranges; /* until index_build() gives them to nodes */
};

/* Room for cutting one node's ranges; cuts are one more than cells. */
struct scratch {
	uint32_t *cuts;
	uint32_t *owner; /* of the cell from cuts[i] to cuts[i + 1] - 1 */
	uint32_t *next;	 /* where the next cell without owner may be: union-find */
};

static bool ip_is_v4(const struct ip_bits *ip)
{
	static const unsigned char mapped[8] = { [2] = 0xff, [3] = 0xff };

	return ip->words[0] == 0 && memcmp(&ip->words[1], mapped, 4) == 0;
}

static void list_append(struct link_list *list, struct link *link)
{
	link->next = NULL;
	if (list->tail)
		list->tail->next = link;
	else
		list->head = link;
	list->tail = link;
	list->count++;
}

static struct index_prefix *prefix_new(struct arena *arena, uint8_t length)
{
	struct index_prefix *prefix = arena_alloc(arena, sizeof(*prefix));
	struct in6_addr mask = { 0 };

	if (!prefix)
		return NULL;
	for (unsigned bit = 0; bit < length; bit++)
		mask.s6_addr[bit / 8] |= (unsigned char)(0x80 >> bit % 8);
	memcpy(&prefix->mask, &mask, sizeof(mask));
	prefix->length = length;
	for (unsigned i = 0; i < INDEX_PROTOCOLS; i++)
		prefix->first[i] = INDEX_NONE;
	return prefix;
}

static struct index_prefix *prefix_get(struct index *index, struct arena *arena,
				       const struct ip_bits *ip, uint8_t length)
{
	struct index_prefix **at = &index->prefixes[ip_is_v4(ip)];

	while (*at && (*at)->length != length)
		at = &(*at)->next;
	if (!*at)
		*at = prefix_new(arena, length);
	return *at;
}

static struct link_list *any_get(struct index *index, struct arena *arena)
{
	if (!index->any)
		index->any = arena_alloc(arena, sizeof(*index->any));
	return index->any ? &index->any->ranges : NULL;
}

int index_add(struct index *index, struct arena *arena, const struct in6_addr *ip, uint8_t length,
	      const struct index_range *range)
{
	struct link *link = arena_alloc(arena, sizeof(*link));
	struct index_prefix *prefix;
	struct link_list *list;

	if (!link)
		return -1;
	link->range = *range;
	if (!ip) {
		list = any_get(index, arena);
		if (!list)
			return -1;
	} else {
		memcpy(&link->ip, ip, sizeof(link->ip));
		prefix = prefix_get(index, arena, &link->ip, length);
		if (!prefix)
			return -1;
		for (unsigned i = 0; i < INDEX_PROTOCOLS; i++)
			if (range->protocols >> i & 1 && range->rank < prefix->first[i])
				prefix->first[i] = range->rank;
		list = &prefix->ranges;
	}
	list_append(list, link);
	return 0;
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

	for (const struct link *link = node->ranges.head; link; link = link->next) {
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
	for (const struct link *link = node->ranges.head; link; link = link->next) {
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
	struct index_range *segments;
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
	for (const struct link *link = node->ranges.head; link; link = link->next)
		if (link->range.protocols != (1 << INDEX_PROTOCOLS) - 1)
			return false;
	return true;
}

/* One range is its own segment. */
static void single_build(struct index_node *node)
{
	const struct index_range *range = &node->ranges.head->range;

	for (unsigned i = 0; i < INDEX_PROTOCOLS; i++)
		node->slots[i] = range->protocols >> i & 1
					 ? (struct slot){ range, 1, range->rank }
					 : (struct slot){ NULL, 0, INDEX_NONE };
}

static int node_build(struct index_node *node, struct arena *arena, const struct scratch *scratch)
{
	bool alike;

	if (node->ranges.count == 1) {
		single_build(node);
		return 0;
	}
	alike = protocols_alike(node);
	for (unsigned i = 0; i < INDEX_PROTOCOLS; i++) {
		if (alike && i > 0)
			node->slots[i] = node->slots[0];
		else if (slot_build(&node->slots[i], arena, scratch,
				    cells_cut(scratch, node, i)) < 0)
			return -1;
	}
	return 0;
}

static inline struct index_node *node_find(const struct index_prefix *prefix,
					   const struct ip_bits *ip, uint32_t hash)
{
	struct index_node *node;

	HASH_FIND_BYHASHVALUE(hh, prefix->nodes, ip, sizeof(*ip), hash, node);
	return node;
}

/* The node of an address, made when there is none. */
static struct index_node *node_get(struct index_prefix *prefix, struct arena *arena,
				   unsigned buckets_log2, const struct ip_bits *ip)
{
	uint32_t hash = hash_words(ip->words[0], ip->words[1]);
	struct index_node *node = node_find(prefix, ip, hash);

	if (node)
		return node;
	node = arena_alloc(arena, sizeof(*node));
	if (!node)
		return NULL;
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, prefix->nodes, ip, sizeof(*ip), hash, node);
	return node->hh.tbl ? node : NULL;
}

/* At least as many buckets as ranges: they need not grow, and a look-up sees few nodes. */
static unsigned log2_up(uint32_t count)
{
	return count < 2 ? 0 : 32 - (unsigned)__builtin_clz(count - 1);
}

/* Gives the ranges of a prefix length to nodes, and says how many the largest of these has. */
static int nodes_make(struct index_prefix *prefix, struct arena *arena, uint32_t *largest)
{
	unsigned buckets_log2 = log2_up(prefix->ranges.count);
	struct link *next;

	for (struct link *link = prefix->ranges.head; link; link = next) {
		struct index_node *node = node_get(prefix, arena, buckets_log2, &link->ip);

		if (!node)
			return -1;
		next = link->next;
		list_append(&node->ranges, link);
		if (node->ranges.count > *largest)
			*largest = node->ranges.count;
	}
	return 0;
}

static int nodes_build(const struct index_prefix *prefix, struct arena *arena,
		       const struct scratch *scratch)
{
	for (struct index_node *node = prefix->nodes; node; node = node->hh.next)
		if (node_build(node, arena, scratch) < 0)
			return -1;
	return 0;
}

static int scratch_init(struct scratch *scratch, struct arena *arena, uint32_t ranges)
{
	size_t cuts = 2 * (size_t)ranges;

	scratch->cuts = arena_alloc(arena, 3 * cuts * sizeof(uint32_t));
	if (!scratch->cuts)
		return -1;
	scratch->owner = scratch->cuts + cuts;
	scratch->next = scratch->owner + cuts;
	return 0;
}

int index_build(struct index *index, struct arena *arena)
{
	uint32_t largest = index->any ? index->any->ranges.count : 0;
	struct scratch scratch = { 0 };

	for (unsigned v4 = 0; v4 < 2; v4++)
		for (struct index_prefix *at = index->prefixes[v4]; at; at = at->next)
			if (nodes_make(at, arena, &largest) < 0)
				return -1;
	if (largest > 1 && scratch_init(&scratch, arena, largest) < 0)
		return -1;
	if (index->any && node_build(index->any, arena, &scratch) < 0)
		return -1;
	for (unsigned v4 = 0; v4 < 2; v4++)
		for (const struct index_prefix *at = index->prefixes[v4]; at; at = at->next)
			if (nodes_build(at, arena, &scratch) < 0)
				return -1;
	return 0;
}

static inline uint32_t segment_find(const struct slot *slot, uint16_t port)
{
	const struct index_range *at = slot->segments;
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
static inline uint32_t prefixes_find(const struct index_prefix *prefix, const struct ip_bits *ip,
				     unsigned slot, uint16_t port, uint32_t best)
{
	for (; prefix; prefix = prefix->next) {
		const struct ip_bits key = { {
			ip->words[0] & prefix->mask.words[0],
			ip->words[1] & prefix->mask.words[1],
		} };
		const struct index_node *node;
		uint32_t rank;

		if (prefix->first[slot] >= best)
			continue;
		node = node_find(prefix, &key, hash_words(key.words[0], key.words[1]));
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
	struct ip_bits bits;

	memcpy(&bits, ip, sizeof(bits));
	if (!ip_is_v4(&bits))
		return prefixes_find(index->prefixes[0], &bits, slot, port, best);
	/* The first half is known now: the compiler makes a shorter loop of the same lines. */
	bits.words[0] = 0;
	return prefixes_find(index->prefixes[1], &bits, slot, port, best);
}

const struct index_range *index_any(const struct index *index, unsigned slot, uint32_t number)
{
	const struct slot *ports = index->any ? &index->any->slots[slot] : NULL;

	return ports && number < ports->count ? &ports->segments[number] : NULL;
}
