/* SPDX-License-Identifier: MIT */
/*
 * What every part of the core stands on: the caller's memory, and the effects that are left for
 * the caller. None of them can fail but an allocation.
 */
#include "core/internal.h"

void *epc_alloc(struct epc *epc, size_t size)
{
	return epc->allocator.alloc_fn(epc->allocator.context, size);
}

void epc_dealloc(struct epc *epc, void *memory, size_t size)
{
	epc->allocator.free_fn(epc->allocator.context, memory, size);
}

void epc_reply(struct epc *epc, struct epc_request *request, int result)
{
	request->result = result;
	list_add_tail(&epc->replies, &request->node);
}

void epc_record_add(struct epc *epc, const struct epc_record *record)
{
	struct epc_record *slot;

	if (epc->nr_records == NR_RECORDS_QUEUED)
		return; /* the caller breaks its promise to take effects after each call */
	slot = &epc->records[(epc->first_record + epc->nr_records++) % NR_RECORDS_QUEUED];
	*slot = *record;
	slot->time_ns = epc->now_ns;
}

void unmap_begin(struct epc *epc, struct epc_unmap *unmap, struct epc_instance *instance,
		 uint64_t first, uint32_t count, enum epc_unmap_kind kind)
{
	unmap->instance = instance;
	unmap->cookie = instance->cookie;
	unmap->first = first;
	unmap->count = count;
	unmap->kind = kind;
	instance->nr_unmaps++;
	epc->nr_unmaps++;
	list_add_tail(&epc->unmaps, &unmap->node);
}
