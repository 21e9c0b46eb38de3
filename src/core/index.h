/* SPDX-License-Identifier: MIT */
/*
 * The index of an instance: page index -> page frame number, or beyond all of those the number of
 * a page that has left the EPC. A radix tree of 512-way nodes that grows with the highest index. It
 * only remembers what the descriptors say.
 */
#ifndef EPCD_CORE_INDEX_H
#define EPCD_CORE_INDEX_H

#include "core/epc.h"

#define INDEX_BITS 9u
#define INDEX_FANOUT 512u
#define INDEX_HEIGHT_MAX 4u /* 36 bits, one more than EPC_NR_INDICES needs */

struct index {
	void *root;	     /* a leaf when height is 1; NULL when height is 0 */
	unsigned int height; /* levels */
};

/* The page frame number, or UINT32_MAX. */
uint32_t index_find(const struct index *index, uint64_t at);

/* at must be free. Errors: -ENOMEM, nothing is changed then. */
int index_insert(struct index *index, const struct epc_allocator *allocator, uint64_t at,
		 uint32_t pfn);

/* Something is at that place; it is replaced, which cannot fail. */
void index_replace(struct index *index, uint64_t at, uint32_t pfn);

/* Removes what is there, and the nodes that are empty then. */
void index_remove(struct index *index, const struct epc_allocator *allocator, uint64_t at);

/* The first used index in from..last, or UINT64_MAX. */
uint64_t index_next(const struct index *index, uint64_t from, uint64_t last);

/* Drops all nodes. */
void index_fini(struct index *index, const struct epc_allocator *allocator);

/* Every node is used and counts right. */
bool index_is_valid(const struct index *index);

#endif
