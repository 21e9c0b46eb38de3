/* SPDX-License-Identifier: MIT */
/*
 * The unmappings that are to be performed: VMs take turns, and none has all unmappers. One
 * unmapping can take long, as long as a client's mappings are many: so a VM that asks for many of
 * them delays itself, and others only by one each. All calls under the engine's lock.
 */
#ifndef EPCD_FRONT_UNMAP_QUEUE_H
#define EPCD_FRONT_UNMAP_QUEUE_H

#include "core/epc.h"

#define NR_UNMAPPERS 4u

struct unmap_queue {
	struct epc_list waiting;
	unsigned int nr_waiting;
	struct epc_unmap *performed[NR_UNMAPPERS]; /* now; NULL: a free place */
};

void unmap_queue_init(struct unmap_queue *queue);

/* The queue borrows it until unmap_queue_done(). */
void unmap_queue_add(struct unmap_queue *queue, struct epc_unmap *unmap);

/* The next one to perform, or NULL: there is none whose VM may have one more. */
struct epc_unmap *unmap_queue_take(struct unmap_queue *queue);

/* It has been performed, and is the core's again. */
void unmap_queue_done(struct unmap_queue *queue, const struct epc_unmap *unmap);

#endif
