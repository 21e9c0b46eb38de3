/* SPDX-License-Identifier: MIT */
/*
 * Circular doubly linked lists with an embedded node. An unlinked node points to itself, so that
 * unlinking twice is harmless and "is it queued?" can be asked of the node.
 */
#ifndef EPCD_CORE_LIST_H
#define EPCD_CORE_LIST_H

#include "core/epc.h"

#define LIST_ENTRY(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))

static inline void list_init(struct epc_list *list)
{
	list->next = list;
	list->prev = list;
}

static inline bool list_is_empty(const struct epc_list *list)
{
	return list->next == list;
}

static inline void list_add_tail(struct epc_list *list, struct epc_list *node)
{
	node->prev = list->prev;
	node->next = list;
	list->prev->next = node;
	list->prev = node;
}

static inline void list_remove(struct epc_list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

static inline void list_move_tail(struct epc_list *list, struct epc_list *node)
{
	list_remove(node);
	list_add_tail(list, node);
}

#endif
