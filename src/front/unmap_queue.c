/* SPDX-License-Identifier: MIT */
/* Whose unmapping is performed next; see unmap_queue.h. */
#include "front/unmap_queue.h"

#include <stddef.h>

static void list_init(struct epc_list *list)
{
	list->next = list->prev = list;
}

static void list_add_tail(struct epc_list *list, struct epc_list *node)
{
	node->prev = list->prev;
	node->next = list;
	node->prev->next = node;
	list->prev = node;
}

static void list_remove(struct epc_list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node); /* as the core gave it */
}

static struct epc_unmap *unmap_of(struct epc_list *node)
{
	return (struct epc_unmap *)(void *)((char *)node - offsetof(struct epc_unmap, node));
}

void unmap_queue_init(struct unmap_queue *queue)
{
	*queue = (struct unmap_queue){ .nr_waiting = 0 };
	list_init(&queue->waiting);
}

void unmap_queue_add(struct unmap_queue *queue, struct epc_unmap *unmap)
{
	list_add_tail(&queue->waiting, &unmap->node);
	queue->nr_waiting++;
}

static bool may_have_one_more(const struct unmap_queue *queue, const struct epc_unmap *unmap)
{
	unsigned int nr_performed = 0;

	for (unsigned int i = 0; i < NR_UNMAPPERS; i++)
		nr_performed += queue->performed[i] &&
				epc_is_same_vm(queue->performed[i]->instance, unmap->instance);
	return nr_performed < NR_UNMAPPERS - 1;
}

/* The VM has had its turn: what else it waits for goes behind everybody else. */
static void go_behind(struct unmap_queue *queue, const struct epc_unmap *taken)
{
	struct epc_list *node = queue->waiting.next;

	for (unsigned int i = queue->nr_waiting; i; i--) {
		struct epc_list *next = node->next;

		if (epc_is_same_vm(unmap_of(node)->instance, taken->instance)) {
			list_remove(node);
			list_add_tail(&queue->waiting, node);
		}
		node = next;
	}
}

struct epc_unmap *unmap_queue_take(struct unmap_queue *queue)
{
	unsigned int place = 0;

	for (struct epc_list *node = queue->waiting.next; node != &queue->waiting;
	     node = node->next) {
		struct epc_unmap *unmap = unmap_of(node);

		if (!may_have_one_more(queue, unmap))
			continue;
		list_remove(node);
		queue->nr_waiting--;
		while (queue->performed[place])
			place++;
		queue->performed[place] = unmap;
		go_behind(queue, unmap);
		return unmap;
	}
	return NULL;
}

void unmap_queue_done(struct unmap_queue *queue, const struct epc_unmap *unmap)
{
	for (unsigned int i = 0; i < NR_UNMAPPERS; i++) {
		if (queue->performed[i] == unmap)
			queue->performed[i] = NULL;
	}
}
