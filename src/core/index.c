/* SPDX-License-Identifier: MIT */
/*
 * A radix tree without recursion: the path from the root to a leaf has at most INDEX_HEIGHT_MAX
 * nodes and is kept in an array where it is needed again.
 */
#include "core/index.h"

#include <errno.h>

struct node {
	uint32_t nr_used;
	void *children[INDEX_FANOUT];
};

struct leaf {
	uint32_t nr_used;
	uint32_t pfns[INDEX_FANOUT]; /* stored plus one: zeroed memory is an empty leaf */
};

static unsigned int slot_of(uint64_t at, unsigned int level)
{
	return (unsigned int)(at >> (INDEX_BITS * level)) & (INDEX_FANOUT - 1);
}

/* level 0 is the leaf's. */
static bool is_beyond(const struct index *index, uint64_t at)
{
	return at >> (INDEX_BITS * index->height) != 0;
}

uint32_t index_find(const struct index *index, uint64_t at)
{
	const void *node = index->root;

	if (is_beyond(index, at))
		return UINT32_MAX;
	for (unsigned int level = index->height; level > 1 && node; level--)
		node = ((const struct node *)node)->children[slot_of(at, level - 1)];
	if (!node)
		return UINT32_MAX;
	return ((const struct leaf *)node)->pfns[slot_of(at, 0)] - 1;
}

/* Frees the nodes on the way to at that have nothing in them, from the leaf up. */
static void prune(struct index *index, const struct epc_allocator *allocator, uint64_t at)
{
	struct node *path[INDEX_HEIGHT_MAX] = { 0 };
	void *below = index->root;
	unsigned int level;

	for (level = index->height; level > 1 && below; level--) {
		path[level - 1] = below;
		below = path[level - 1]->children[slot_of(at, level - 1)];
	}
	if (below && level == 1) {
		if (((struct leaf *)below)->nr_used)
			return;
		allocator->free_fn(allocator->context, below, sizeof(struct leaf));
		if (index->height > 1) {
			path[1]->children[slot_of(at, 1)] = NULL;
			path[1]->nr_used--;
		}
	}
	for (level = level > 1 ? level : 1; level < index->height; level++) {
		if (path[level]->nr_used)
			return;
		allocator->free_fn(allocator->context, path[level], sizeof(struct node));
		if (level + 1 < index->height) {
			path[level + 1]->children[slot_of(at, level + 1)] = NULL;
			path[level + 1]->nr_used--;
		}
	}
	index->root = NULL;
	index->height = 0;
}

static int grow(struct index *index, const struct epc_allocator *allocator, uint64_t at)
{
	while (!index->height || is_beyond(index, at)) {
		struct node *node;

		if (!index->root) {
			index->height++;
			continue;
		}
		node = allocator->alloc_fn(allocator->context, sizeof(*node));
		if (!node)
			return -ENOMEM;
		node->children[0] = index->root;
		node->nr_used = 1;
		index->root = node;
		index->height++;
	}
	return 0;
}

/* Takes away the levels that only a failed insertion needed. */
static void shrink(struct index *index, const struct epc_allocator *allocator, unsigned int height)
{
	while (index->height > height && index->root) {
		struct node *node = index->root;

		index->root = node->children[0];
		index->height--;
		allocator->free_fn(allocator->context, node, sizeof(*node));
	}
	if (!index->root)
		index->height = 0;
}

int index_insert(struct index *index, const struct epc_allocator *allocator, uint64_t at,
		 uint32_t pfn)
{
	unsigned int height = index->height;
	struct node *parent = NULL;
	struct leaf *leaf;
	void **link = &index->root;
	int error = grow(index, allocator, at);

	if (error) {
		shrink(index, allocator, height);
		return error;
	}
	for (unsigned int level = index->height; level > 0; level--) {
		if (!*link) {
			size_t size = level > 1 ? sizeof(struct node) : sizeof(struct leaf);

			*link = allocator->alloc_fn(allocator->context, size);
			if (!*link)
				goto prune;
			if (parent)
				parent->nr_used++;
		}
		if (level > 1) {
			parent = *link;
			link = &parent->children[slot_of(at, level - 1)];
		}
	}
	leaf = *link;
	leaf->pfns[slot_of(at, 0)] = pfn + 1;
	leaf->nr_used++;
	return 0;
prune:
	prune(index, allocator, at);
	if (index->height > height)
		shrink(index, allocator, height);
	return -ENOMEM;
}

void index_replace(struct index *index, uint64_t at, uint32_t pfn)
{
	void *node = index->root;

	for (unsigned int level = index->height; level > 1; level--)
		node = ((struct node *)node)->children[slot_of(at, level - 1)];
	((struct leaf *)node)->pfns[slot_of(at, 0)] = pfn + 1;
}

void index_remove(struct index *index, const struct epc_allocator *allocator, uint64_t at)
{
	void *node = index->root;
	struct leaf *leaf;

	if (is_beyond(index, at))
		return;
	for (unsigned int level = index->height; level > 1 && node; level--)
		node = ((struct node *)node)->children[slot_of(at, level - 1)];
	leaf = node;
	if (!leaf || !leaf->pfns[slot_of(at, 0)])
		return;
	leaf->pfns[slot_of(at, 0)] = 0;
	leaf->nr_used--;
	if (!leaf->nr_used)
		prune(index, allocator, at);
}

/* The first used slot from slot on, or INDEX_FANOUT. */
static unsigned int next_slot(const void *node, unsigned int level, unsigned int slot)
{
	for (; slot < INDEX_FANOUT; slot++) {
		if (level ? ((const struct node *)node)->children[slot] != NULL :
			    ((const struct leaf *)node)->pfns[slot] != 0)
			return slot;
	}
	return INDEX_FANOUT;
}

uint64_t index_next(const struct index *index, uint64_t from, uint64_t last)
{
	const void *node = index->root;
	unsigned int level = index->height;

	/* Each turn goes one level down, or skips the rest of a node and starts again. */
	while (node && from <= last && !is_beyond(index, from)) {
		unsigned int slot = slot_of(from, level - 1);
		unsigned int used = next_slot(node, level - 1, slot);
		unsigned int shift = INDEX_BITS * (level - 1);

		if (used == INDEX_FANOUT) {
			from = ((from >> shift >> INDEX_BITS) + 1) << INDEX_BITS << shift;
			node = index->root;
			level = index->height;
			continue;
		}
		if (used != slot)
			from = ((from >> shift) - slot + used) << shift;
		if (level == 1)
			return from <= last ? from : UINT64_MAX;
		node = ((const struct node *)node)->children[used];
		level--;
	}
	return UINT64_MAX;
}

void index_fini(struct index *index, const struct epc_allocator *allocator)
{
	for (;;) {
		uint64_t at = 0;
		void *node = index->root;

		if (!node)
			return;
		/* Empty the leftmost leaf, then let prune() take it away. */
		for (unsigned int level = index->height; level > 1; level--) {
			unsigned int slot = next_slot(node, level - 1, 0);

			at |= (uint64_t)slot << (INDEX_BITS * (level - 1));
			node = ((struct node *)node)->children[slot];
		}
		((struct leaf *)node)->nr_used = 0;
		prune(index, allocator, at);
	}
}

static bool node_is_valid(const void *node, unsigned int level)
{
	uint32_t nr_used = 0;

	for (unsigned int slot = next_slot(node, level, 0); slot < INDEX_FANOUT;
	     slot = next_slot(node, level, slot + 1))
		nr_used++;
	return nr_used && nr_used == (level ? ((const struct node *)node)->nr_used :
					      ((const struct leaf *)node)->nr_used);
}

bool index_is_valid(const struct index *index)
{
	const struct node *path[INDEX_HEIGHT_MAX];
	unsigned int slots[INDEX_HEIGHT_MAX];
	unsigned int level;

	if (!index->root || !index->height)
		return !index->root && !index->height;
	if (!node_is_valid(index->root, index->height - 1))
		return false;
	/* Depth first; path[level] is a node whose children are at level - 1. */
	level = index->height - 1;
	path[level] = index->root;
	slots[level] = 0;
	while (level > 0 && level < index->height) {
		unsigned int slot = next_slot(path[level], level, slots[level]);

		if (slot == INDEX_FANOUT) {
			level++;
			continue;
		}
		slots[level] = slot + 1;
		if (!node_is_valid(path[level]->children[slot], level - 1))
			return false;
		if (level > 1) {
			path[level - 1] = path[level]->children[slot];
			slots[level - 1] = 0;
			level--;
		}
	}
	return true;
}
