/* SPDX-License-Identifier: MIT */
/*
 * The core's memory; see pool.h. The core frees few kinds of things, all small: a list for each
 * size, in steps of POOL_STEP_BYTES. What is larger goes to malloc() or mmap(), it is allocated
 * once.
 */
#include "front/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define POOL_STEP_BYTES 64u
#define POOL_MAP_BYTES_MIN ((size_t)1 << 20)
#define NR_POOL_SIZES 128u /* up to 8 KiB: the largest, a node of an index, has 4 */

struct pool_item {
	struct pool_item *next;
};

struct pool {
	struct pool_item *items[NR_POOL_SIZES]; /* [n]: of (n + 1) * POOL_STEP_BYTES */
};

/* The list for a size, or NULL: too large. */
static struct pool_item **pool_list(struct pool *pool, size_t size)
{
	size_t step = size ? (size - 1) / POOL_STEP_BYTES : 0;

	return step < NR_POOL_SIZES ? &pool->items[step] : NULL;
}

/* A table that may never be filled, as that of swap slots: memory comes as it is used. */
static void *map(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void *pool_item_get(void *context, size_t size)
{
	struct pool_item **list = pool_list(context, size);
	struct pool_item *item;

	if (size >= POOL_MAP_BYTES_MIN)
		return map(size);
	if (!list)
		return calloc(1, size);
	item = *list;
	if (!item)
		return calloc(1, (size / POOL_STEP_BYTES + 1) * POOL_STEP_BYTES);
	*list = item->next;
	memset(item, 0, size);
	return item;
}

static void pool_item_put(void *context, void *memory, size_t size)
{
	struct pool_item **list = pool_list(context, size);
	struct pool_item *item = memory;

	if (item && size >= POOL_MAP_BYTES_MIN) {
		munmap(item, size);
		return;
	}
	if (!list || !item) {
		free(memory);
		return;
	}
	item->next = *list;
	*list = item;
}

int pool_new(struct pool **pool)
{
	*pool = calloc(1, sizeof(**pool));
	return *pool ? 0 : -ENOMEM;
}

void pool_free(struct pool *pool)
{
	if (!pool)
		return;
	for (unsigned int i = 0; i < NR_POOL_SIZES; i++) {
		struct pool_item *item;

		while ((item = pool->items[i])) {
			pool->items[i] = item->next;
			free(item);
		}
	}
	free(pool);
}

struct epc_allocator pool_allocator(struct pool *pool)
{
	return (struct epc_allocator){
		.alloc_fn = pool_item_get,
		.free_fn = pool_item_put,
		.context = pool,
	};
}
